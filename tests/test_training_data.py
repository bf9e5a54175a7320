"""CSV files good and bad, the decision on the task, honest splits, standardisation."""

import dataclasses
import functools
import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from fockjax.training import TrainConfig, UserError, breast_cancer, data, read_table
from fockjax.training.scaling import Scaler
from fockjax.training.tables.csvfile import CsvTable

NAN = np.nan


@pytest.fixture
def table(tmp_path):
    """Writes a CSV of 30 rows a, b, y; `edit` changes cells by (row from 1, column)."""

    def write(target=lambda i: i % 2, edit=None, header="a,b,y", rows=30):
        rng = np.random.default_rng(1)
        cells = [
            [repr(float(v)) for v in rng.normal(size=2)] + [str(target(i))] for i in range(rows)
        ]
        for (row, column), value in (edit or {}).items():
            cells[row - 1][column] = value
        path = tmp_path / "table.csv"
        path.write_text("\n".join([header, *(",".join(row) for row in cells)]) + "\n")
        return path

    return write


def test_numbers_columns_and_labels_are_read_as_they_stand(table):
    dataset = read_table(table(edit={(1, 0): "1.5e-3", (2, 1): " -2 "}), "y")
    assert dataset.columns == ("a", "b") and dataset.name == "table"
    assert dataset.features.shape == (30, 2)
    assert dataset.features[0, 0] == 1.5e-3 and dataset.features[1, 1] == -2
    assert dataset.classes == (0, 1)
    np.testing.assert_array_equal(dataset.target, np.arange(30) % 2)


def test_the_target_may_stand_anywhere_and_columns_can_be_dropped(table):
    dataset = read_table(table(header="y,id,b", target=lambda i: i), "y", drop=("id",))
    assert dataset.columns == ("b",)
    assert dataset.task == "regression"


def test_a_byte_order_mark_and_blank_lines_are_harmless(table):
    path = table()
    path.write_text("\ufeff" + path.read_text().replace("\n", "\n\n", 3))
    assert read_table(path, "y").features.shape == (30, 2)


@pytest.mark.parametrize(
    ("target", "task", "classes"),
    [
        (lambda i: "MB"[i % 2], "auto", ("B", "M")),
        (lambda i: 2 + 3 * (i % 2), "auto", (2, 5)),
        (lambda i: 0.5 + (i % 2), "auto", (0.5, 1.5)),
        (lambda i: i / 7, "auto", None),
        (lambda i: "cab"[i % 3], "auto", ("a", "b", "c")),
        (lambda i: 10 ** (i % 3), "classification", (1, 10, 100)),
        (lambda i: i % 3, "auto", None),
        (lambda i: i % 2, "regression", None),
    ],
)
def test_the_task_follows_from_the_target(table, target, task, classes):
    dataset = read_table(table(target), "y", task=task)
    assert dataset.classes == classes
    if classes is not None:
        assert [classes[int(index)] for index in dataset.target] == [target(i) for i in range(30)]


@pytest.mark.parametrize(
    ("target", "classes"),
    [
        (["01", "02"], ("01", "02")),
        (["9007199254740993", "9007199254740992"], ("9007199254740992", "9007199254740993")),
        (["2.0", "1.0"], (1.0, 2.0)),
        (["2", "1.0", "1", "2"], (1, 2)),
        (["10", "9.5"], ("9.5", "10")),
        (["+1", "-1"], ("-1", "+1")),
        (["1", "01"], ("01", "1")),
    ],
)
def test_labels_are_kept_as_they_are_written(table, target, classes):
    dataset = read_table(table(lambda i: target[i % len(target)]), "y")
    assert repr(dataset.classes) == repr(classes)
    named = [str(classes[int(index)]) for index in dataset.target]
    assert [float(name) for name in named] == [float(target[i % len(target)]) for i in range(30)]


@pytest.mark.parametrize("codes", [("1_1", "1_2", "2_1"), ("１", "２", "３"), ("inf", "sup")])
def test_codes_that_only_python_takes_for_numbers_are_text(table, codes):
    path = table(lambda i: codes[i % len(codes)])
    assert read_table(path, "y").classes == codes
    with pytest.raises(UserError, match=f"row 1 .*'y': '{codes[0]}' is not a finite number"):
        read_table(path, "y", task="regression")
    path = table(edit={(row, 0): codes[row % len(codes)] for row in range(1, 31)})
    dataset = read_table(path, "y")
    assert dataset.categories == {"a": codes}
    expected = [row % len(codes) for row in range(1, 31)]
    np.testing.assert_array_equal(dataset.features[:, 0], expected)
    with pytest.raises(UserError, match=f"row 3 .*'a': '{codes[0]}' is not a finite number"):
        read_table(table(edit={(3, 0): codes[0]}), "y")


def test_blanks_of_any_kind_around_numbers_are_harmless(table):
    numbers = [f"\u00a0{row / 7} \t" for row in range(1, 31)]
    path = table(lambda i: numbers[i], edit={(row, 0): numbers[row - 1] for row in range(1, 31)})
    dataset = read_table(path, "y")
    np.testing.assert_array_equal(dataset.features[:, 0], np.arange(1, 31) / 7)
    np.testing.assert_array_equal(dataset.target, np.arange(1, 31) / 7)


def test_labels_of_parquet_are_exact_numbers(tmp_path):
    for labels, classes in [
        ([2**53, 2**53 + 1], ("9007199254740992", "9007199254740993")),
        ([0.5, 1.0], (0.5, 1)),
        ([3, 4], (3, 4)),
    ]:
        path = tmp_path / "table.parquet"
        parquet.write_table(pa.table({"a": np.arange(30.0), "y": labels * 15}), path)
        dataset = read_table(path, "y")
        assert dataset.classes == classes
        np.testing.assert_array_equal(dataset.target, np.arange(30) % 2)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({(7, 1): ""}, ["row 7", "line 8", "'b'", "missing"]),
        ({(7, 1): "nan"}, ["row 7", "line 8", "'b'", "'nan'"]),
        ({(3, 0): "hello"}, ["row 3", "line 4", "'a'", "'hello'"]),
        ({(3, 0): "1e400"}, ["row 3", "'a'", "1e400"]),
        ({(3, 0): "inf"}, ["row 3", "'a'", "inf"]),
        ({(4, 2): ""}, ["row 4", "line 5", "'y'", "missing"]),
        ({(2, 0): "x", (9, 1): "z"}, ["row 2", "row 9"]),
        ({(5, 2): "1,9"}, ["row 5", "4 fields", "3"]),
        ({(5, 0): "1\n2"}, ["row 5", "line 6", "'b'", "1 fields"]),
    ],
)
def test_an_unusable_field_is_named_by_row_line_and_column(table, edit, words):
    with pytest.raises(UserError) as error:
        read_table(table(edit=edit), "y")
    for word in words:
        assert word in str(error.value)


def test_text_is_categories_and_what_is_missing_may_be_imputed(table):
    words = {(row, 0): "xyz"[row % 3] for row in range(1, 31)}
    path = table(edit=words | {(4, 0): "NA", (5, 1): ""})
    with pytest.raises(
        UserError, match=r"row 4 .*'a': .*missing \('NA'\); row 5 .*'b': .*missing$"
    ):
        read_table(path, "y")
    dataset = read_table(path, "y", missing_allowed=True)
    assert dataset.categories == {"a": ("x", "y", "z")}
    expected = np.array([row % 3 for row in range(1, 31)], float)
    expected[3] = np.nan
    np.testing.assert_array_equal(dataset.features[:, 0], expected)
    assert np.flatnonzero(np.isnan(dataset.features[:, 1])).tolist() == [4]
    with pytest.raises(UserError, match="not finite"):
        data.make_splits(dataset, TrainConfig())
    assert len(data.make_splits(dataset, TrainConfig(impute="mean"))) == 1


def test_numbers_are_categories_if_asked_for(table):
    path = table(edit={(row, 0): str(row % 4) for row in range(1, 31)})
    assert read_table(path, "y").categories == {}
    dataset = read_table(path, "y", categorical=("a",))
    assert dataset.categories == {"a": ("0", "1", "2", "3")}
    for name, message in (("q", "no column 'q'"), ("y", "'y', which is not a feature")):
        with pytest.raises(UserError, match=message):
            read_table(path, "y", categorical=(name,))


def test_parquet_is_read_like_csv(table, tmp_path):
    path = table(lambda i: "pqr"[i % 3], edit={(2, 0): "", (3, 1): "null"})
    dataset = read_table(path, "y", missing_allowed=True)
    a, b = dataset.features.T
    target = pa.array(["pqr"[i % 3] for i in range(30)]).dictionary_encode()
    other = tmp_path / "table.parquet"
    parquet.write_table(
        pa.table({"a": pa.array(a, from_pandas=True), "y": target, "b": pa.array(b)}), other
    )
    again = read_table(other, "y", missing_allowed=True)
    assert again.fingerprint() == dataset.fingerprint() and again.name == "table"
    with pytest.raises(UserError, match="row 2, column 'a': the value is missing; row 3, column"):
        read_table(other, "y")
    np.save(tmp_path / "table.npy", np.eye(3))
    with pytest.raises(UserError, match="no column names"):
        read_table(tmp_path / "table.npy", "y")


def test_problems_are_found_beyond_the_first_chunk(table, monkeypatch):
    monkeypatch.setattr(CsvTable, "chunks", functools.partialmethod(CsvTable.chunks, size=8))
    with pytest.raises(UserError, match=r"row 23 \(line 24\), column 'a'"):
        read_table(table(edit={(23, 0): "?"}), "y")
    assert read_table(table(), "y").features.shape == (30, 2)


def test_a_long_list_of_problems_is_cut(table):
    with pytest.raises(UserError, match="and 19 more"):
        read_table(table(edit={(row, 0): "?" for row in range(2, 31)}), "y")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ({"header": "a,b,z"}, {}, "no column 'y'; its columns are: a, b, z"),
        ({"header": "a;b;y"}, {}, "comma-separated"),
        ({"header": "a,a,y"}, {}, "names column 'a' 2 times"),
        ({"header": "a,,y"}, {}, "column 2 has no name"),
        ({}, {"drop": ("q",)}, "no column 'q'"),
        ({}, {"drop": ("y",)}, "also named by --drop"),
        ({}, {"drop": ("a", "b")}, "no feature columns"),
        ({"rows": 5}, {}, "has 5 rows; at least 20"),
        ({"rows": 0}, {}, "has 0 rows"),
        ({"target": lambda i: "a"}, {}, "has 1 .a."),
        ({"target": lambda i: "ab"[i % 2]}, {"task": "regression"}, "row 1 .*'a' is not a finite"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_a_reason(table, arguments, options, message):
    with pytest.raises(UserError, match=message):
        read_table(table(**arguments), "y", **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"a,y\n\xff\xfe,1\n", "not UTF-8"),
        (b'a,y\n"1,2\n', "not valid CSV"),
    ],
)
def test_a_file_that_is_no_csv_is_refused(tmp_path, content, message):
    path = tmp_path / "x.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_table(path, "y")


@pytest.mark.parametrize("folds", [1, 5])
def test_splits_are_disjoint_complete_and_stratified(folds):
    dataset = breast_cancer()
    splits = data.make_splits(dataset, TrainConfig(folds=folds, seed=3))
    assert len(splits) == folds
    share = dataset.target.mean()
    for split in splits:
        rows = np.concatenate([split.train, split.validation, split.test])
        np.testing.assert_array_equal(np.sort(rows), np.arange(569))
        for part in (split.train, split.validation, split.test):
            assert abs(dataset.target[part].mean() - share) < 0.02
        assert abs(len(split.test) / 569 - 0.2) < 0.01
        assert abs(len(split.validation) / (len(split.train) + len(split.validation)) - 0.2) < 0.01
    if folds > 1:
        tested = np.concatenate([split.test for split in splits])
        np.testing.assert_array_equal(np.sort(tested), np.arange(569))


def fitted(features, target, impute=None, **options):
    """The scaler of all rows of made data, by default for a regression."""
    names = tuple(f"c{index}" for index in range(features.shape[1]))
    dataset = data.Dataset("made", features, target, names, "y", **{"classes": None} | options)
    return Scaler.fit(dataset, slice(None), impute)


def test_the_scaler_knows_the_rows_it_was_fitted_on_and_no_others():
    dataset = breast_cancer()
    split = data.make_splits(dataset, TrainConfig())[0]
    x, y = dataset.features[split.train], dataset.target[split.train]
    scaler = Scaler.fit(dataset, split.train)
    np.testing.assert_allclose(scaler.mean, x.mean(axis=0), rtol=1e-12)
    assert (np.abs(scaler.mean - dataset.features.mean(axis=0)) > 0).all()
    z = scaler.features(x)
    assert z.dtype == np.float32
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(scaler.target(y), y)


def test_a_regression_target_is_standardised_and_survives_json():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 2)), 100 + 7 * rng.normal(size=50)
    scaler = fitted(x, y)
    again = Scaler.from_json(scaler.to_json())
    np.testing.assert_array_equal(again.features(x), scaler.features(x))
    np.testing.assert_allclose(again.target(y).std(), 1, rtol=1e-5)


def test_a_constant_column_becomes_zero_not_rounding_noise():
    x = np.column_stack([np.full(30, 0.1), np.arange(30.0)])
    scaled = fitted(x, x[:, 1]).features(x)
    np.testing.assert_allclose(scaled[:, 0], 0, atol=1e-6)


@pytest.mark.parametrize("impute", [None, "mean", "median"])
def test_no_digit_is_lost_in_columns_of_large_numbers(impute):
    far = 1.7e18 + 768  # where float64 has steps of 256
    unit = np.arange(60.0)
    x = far + 256 * np.column_stack([np.zeros(60), unit, unit == 7])
    if impute:
        x[3, 0] = x[9, 0] = NAN
    scaler = fitted(x, x[:, 1], impute)
    again = Scaler.from_json(json.loads(json.dumps(scaler.to_json())))
    constant, even, rare = again.features(x).T
    np.testing.assert_array_equal(constant, 0)
    for scaled in (even, scaler.target(x[:, 1])):
        np.testing.assert_allclose(scaled, (unit - unit.mean()) / unit.std(), atol=0.1)
    np.testing.assert_allclose([rare.std(), abs(rare).min()], [1, 0], atol=1e-6)


def dataset_of(features, target, classes):
    features = np.asarray(features, np.float64)
    columns = tuple(f"c{i}" for i in range(features.shape[1]))
    return data.Dataset("made", features, np.asarray(target, np.float64), columns, "y", classes)


@pytest.mark.parametrize(
    ("features", "target", "classes", "folds", "message"),
    [
        (np.ones((30, 2)), np.arange(30) % 2, (0, 1), 1, "every feature .* constant"),
        (np.eye(30), np.arange(30) < 3, (0, 1), 1, "class 1 .* has 3 of the rows; at least 5"),
        (np.eye(30), np.arange(30) < 6, (0, 1), 8, "class 1 .* at least 8"),
        (np.eye(30), np.zeros(30), None, 1, "target 'y' is constant"),
        (np.eye(30), np.arange(30), None, 31, "--folds 31 is more"),
        (np.eye(10), np.arange(10), None, 1, "10 rows; at least 20"),
        (np.eye(30) * np.nan, np.arange(30), None, 1, "not finite"),
        (np.eye(30) * 1e308, np.arange(30), None, 1, "too large to standardise in: c0"),
        (np.eye(30), np.arange(30) * 1e300, None, 1, "target 'y' has values beyond 1e.100, too"),
    ],
)
def test_data_that_cannot_be_learned_from_are_refused(features, target, classes, folds, message):
    with pytest.raises(UserError, match=message):
        data.make_splits(dataset_of(features, target, classes), TrainConfig(folds=folds))


def test_arrays_of_single_precision_are_split_without_a_warning():
    single = data.Dataset(
        "made",
        np.eye(30, 2, dtype=np.float32),
        np.arange(30, dtype=np.float32),
        ("a", "b"),
        "y",
        None,
    )
    (split,) = data.make_splits(single, TrainConfig())
    assert len(split.train) + len(split.validation) + len(split.test) == 30


@pytest.mark.parametrize(
    ("columns", "target", "classes", "message"),
    [
        (("a", "b"), np.zeros(29), None, r"\(rows, 2\).* got \(30, 2\) and \(29,\)"),
        (("a",), np.zeros(30), None, r"\(rows, 1\).* got \(30, 2\)"),
        (("a", "b"), np.full(30, np.nan), None, "target must be finite"),
        (("a", "b"), np.arange(30) % 3, ("u", "v"), "indices, from 0, of the 2 classes"),
        (("a", "b"), np.arange(30) / 2, ("u", "v"), "indices"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(columns, target, classes, message):
    with pytest.raises(UserError, match=message):
        data.Dataset("made", np.ones((30, 2)), target * 1.0, columns, "y", classes)


OBJECTS, KINDS = np.array([1, "x"], object), np.array(["x", "y"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ("u",), "target": np.zeros(30)}, r"`classes` must be two or more.*got \('u',"),
        ({"classes": ("u", "u")}, "`classes` has 'u' more than once"),
        ({"classes": (1, "1")}, "`classes` has '1' more than once"),
        ({"classes": ("u", "")}, "`classes` must be text, not empty, .* got ''"),
        ({"classes": (0, None)}, "`classes` must be .* got None"),
        ({"classes": (0.5, NAN)}, "`classes` must be .* got nan"),
        ({"classes": (0, 2**53)}, r"below 2\^53\), got 9007199254740992"),
        ({"classes": "uv"}, "`classes` must be a tuple of labels, got 'uv'"),
        ({"classes": 2}, "`classes` must be a tuple of labels, got 2"),
        ({"columns": ("a", "a")}, "`columns` has 'a' more than once"),
        ({"columns": (0, 1)}, "`columns` must be text, not empty, got 0"),
        ({"columns": ("a", "")}, "`columns` must be text, not empty, got ''"),
        ({"columns": "ab"}, "`columns` must be a tuple of text, got 'ab'"),
        ({"target_name": 3}, "`target_name` must be text, not empty, got 3"),
        ({"name": None}, "`name` must be text, not empty, got None"),
        ({"categories": {"zz": ("u", "v")}}, "names 'zz', which is not among the columns: a, b"),
        ({"categories": {"b": ("u", "u")}}, r"`categories\['b'\]` has 'u' more than once"),
        ({"categories": {"b": (1, 2)}}, r"`categories\['b'\]` must be text, not empty, got 1"),
        ({"categories": {"b": ()}}, r"`categories\['b'\]` must not be empty"),
        ({"features": np.resize(OBJECTS, (30, 2))}, "`features` must be .* real numbers, got obj"),
        ({"features": np.resize(KINDS, (30, 2))}, "`features` must be .* real numbers, got <U1: g"),
        ({"features": np.ones((30, 2)) * 1j}, "`features` must be .* real numbers, got complex128"),
        ({"features": [[1, 2]] * 29 + [[1]]}, "`features` must be .* got rows of different length"),
        ({"features": None}, "`features` must be .* real numbers, got object"),
        ({"target": np.resize(KINDS, 30)}, "`target` must be .* real numbers, got <U1: .* index"),
        ({"target": 0.0}, r"the target \(rows,\), got \(30, 2\) and \(\)"),
    ],
)
def test_a_data_set_that_would_fail_later_is_refused_at_once(changes, message):
    good = {
        "name": "made",
        "features": np.ones((30, 2)),
        "target": np.arange(30) % 2,
        "columns": ("a", "b"),
        "target_name": "y",
        "classes": ("u", "v"),
        "categories": {"b": ("u", "v")},
    }
    data.Dataset(**good)
    with pytest.raises(UserError, match=message):
        data.Dataset(**(good | changes))


def test_lists_and_what_numpy_makes_of_labels_are_taken():
    kind = np.array([3, 8, 5] * 10)
    labels, indices = np.unique(kind, return_inverse=True)
    names = np.array(["a", "b"])
    rows = [[row, row % 2] for row in range(30)]
    words = {np.str_("b"): np.array(["u", "v"])}
    dataset = data.Dataset("made", rows, indices, names, np.str_("y"), labels, words)
    plain = data.Dataset(
        "made",
        np.array(rows, np.float64),
        np.array([0, 2, 1] * 10, np.float64),
        ("a", "b"),
        "y",
        (3, 5, 8),
        {"b": ("u", "v")},
    )
    assert dataset.features.dtype == dataset.target.dtype == np.float64
    assert dataset.fingerprint() == plain.fingerprint()
    labels = json.dumps([dataset.columns, dataset.classes, dataset.categories])
    assert labels == json.dumps([plain.columns, plain.classes, plain.categories])
    assert len(data.make_splits(dataset, TrainConfig())) == 1
    for given, taken in ((KINDS, ("x", "y")), (np.array([0.5, 1e20]), (0.5, 1e20))):
        found = data.Dataset("made", rows, kind == 5, names, "y", given).classes
        assert found == taken and json.loads(json.dumps(found)) == list(taken)


@pytest.mark.parametrize(
    ("how", "fill"), [("mean", [3.5, 1]), ("median", [2, 1]), ("most-frequent", [1, 1])]
)
def test_what_is_missing_is_filled_with_what_is_known(how, fill):
    values = np.array([[1.0, 0], [NAN, 1], [1, 1], [9, NAN], [3, 2]])
    scaler = fitted(values, np.arange(5), how, categories={"c1": ("a", "b", "c")})
    np.testing.assert_array_equal(scaler.fill, fill)
    filled = np.array([1, fill[0], 1, 9, 3])
    inputs = scaler.features(values)
    np.testing.assert_allclose(inputs[:, 0], (filled - filled.mean()) / filled.std(), rtol=1e-6)
    np.testing.assert_array_equal(inputs[:, 1:], np.eye(3)[[0, 1, 1, 1, 2]])
    again = Scaler.from_json(json.loads(json.dumps(scaler.to_json())))
    np.testing.assert_array_equal(again.features(values), inputs)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([NAN] * 30, "no row has a value in: c1; leave out"),
        ([0, 1, 2] * 10, "'c1' must hold indices of its 2 categories"),
    ],
)
def test_columns_that_cannot_be_are_refused(column, message):
    dataset = dataset_of(np.column_stack([np.arange(30), column]), np.arange(30), None)
    dataset = dataclasses.replace(dataset, categories={"c1": ("u", "v")})
    with pytest.raises(UserError, match=message):
        data.make_splits(dataset, TrainConfig(impute="mean"))


def test_no_part_may_lack_a_class_or_all_values_of_a_column():
    kind = np.repeat([0, 1, 2], [5, 500, 500])
    dataset = dataset_of(np.arange(1005)[:, None], kind, ("a", "b", "c"))
    with pytest.raises(
        UserError, match="cannot be split by --test-fraction 0.02: a class would have no row"
    ):
        data.make_splits(dataset, TrainConfig(test_fraction=0.02))
    few = dataset_of(np.arange(400)[:, None], np.repeat([0, 1], [395, 5]), ("a", "b"))
    with pytest.raises(UserError, match="fraction 0.9: a class would have no row left to train on"):
        data.make_splits(few, TrainConfig(validation_fraction=0.9))
    numbers = dataset_of(np.arange(20.0)[:, None], np.arange(20.0), None)
    with pytest.raises(UserError, match="fraction 0.05: one row alone would be there"):
        data.make_splits(numbers, TrainConfig(test_fraction=0.05))
    with pytest.raises(UserError, match="--folds 11 is more than half of the 20 rows"):
        data.make_splits(numbers, TrainConfig(folds=11))
    features = np.column_stack([np.arange(30.0), np.full(30, NAN)])
    split = data.make_splits(dataset_of(features[:, :1], np.arange(30), None), TrainConfig())[0]
    features[split.test, 1] = 1
    with pytest.raises(UserError, match="no training row has a value in: c1"):
        data.make_splits(dataset_of(features, np.arange(30), None), TrainConfig(impute="mean"))


def test_the_fingerprint_sees_any_change():
    base = dataset_of(np.eye(30), np.arange(30), None)
    other = dataset_of(np.eye(30), np.arange(30), None)
    assert base.fingerprint() == other.fingerprint()
    other.features[3, 4] = 1e-300
    assert base.fingerprint() != other.fingerprint()
