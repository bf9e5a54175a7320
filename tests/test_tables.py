"""Tables on disk: what each format gives and takes, columns of numbers and of categories."""

import decimal

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from fockjax.training import UserError
from fockjax.training.tables import Column, encode, open_table, survey, write_table
from fockjax.training.tables.columns import MOST_CATEGORIES

NAN = np.nan
ROWS = 50
NUMBERS = np.random.default_rng(0).normal(size=(ROWS, 2))


def made(path, **options):
    """A file with the columns a, b of NUMBERS, where the format has names."""
    if path.suffix == ".csv":
        lines = [",".join(map(repr, row)) for row in NUMBERS.tolist()]
        path.write_text("\n".join(["a,b", *lines]))
    elif path.suffix == ".npy":
        np.save(path, np.asarray(NUMBERS, **options))
    else:
        parquet.write_table(pa.table(dict(zip("ab", NUMBERS.T, strict=True))), path, **options)
    return open_table(path)


@pytest.mark.parametrize(
    ("name", "options"),
    [("t.csv", {}), ("t.npy", {}), ("t.npy", {"order": "F"}), ("t.parquet", {"row_group_size": 7})],
)
@pytest.mark.parametrize("start", [0, 1, 7, 20, 21, ROWS - 1, ROWS])
def test_a_table_is_read_in_order_from_any_row_on(tmp_path, name, options, start):
    table = made(tmp_path / name, **options)
    columns = (Column("a"), Column("b"))
    seen = start
    for raw in table.chunks(("a", "b"), start, 8):
        assert raw.start == seen and 0 < raw.count <= 8
        np.testing.assert_array_equal(encode(raw, columns).values, NUMBERS[seen : seen + raw.count])
        seen += raw.count
    assert seen == ROWS and table.rows in (None, ROWS)


def test_columns_go_by_name_in_the_order_asked_for(tmp_path):
    for name in ("t.csv", "t.parquet"):
        (raw,) = made(tmp_path / name).chunks(("b",))
        assert list(raw.fields) == ["b"]
        np.testing.assert_array_equal(encode(raw, [Column("b")]).values, NUMBERS[:, 1:])


@pytest.mark.parametrize("header", [",a,", "n,a, "])
def test_a_column_without_a_name_may_be_there_but_not_be_used(tmp_path, header):
    table = csv_of(tmp_path, f"{header}\n0,1.5,\n1,2.5,\n")
    (raw,) = table.chunks(["a"])
    np.testing.assert_array_equal(encode(raw, [Column("a")]).values[:, 0], [1.5, 2.5])
    position = 1 + header.split(",").index("" if header[0] == "," else " ")
    with pytest.raises(UserError, match=f"column {position} has no name.*index=False"):
        survey(table, table.names)


def test_in_one_column_a_blank_line_is_a_missing_value(tmp_path):
    for text in ("\na\n1\n\n3\n\n", '\na\n1\n""\n3\n""\n'):
        (raw,) = csv_of(tmp_path, text).chunks(["a"])
        chunk = encode(raw, [Column("a")])
        np.testing.assert_array_equal(chunk.values[:, 0], [1, NAN, 3, NAN])
        assert str(chunk.problems[0]) == "row 2 (line 4), column 'a': the value is missing"
    (raw,) = csv_of(tmp_path, "a,b\n1,2\n\n3,4\n\n").chunks(["a"])
    assert raw.fields == {"a": ["1", "3"]} and raw.lines == [2, 4]


def of(tmp_path, **columns):
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table(columns), path)
    return open_table(path)


def test_parquet_has_numbers_truth_values_and_text_of_many_types(tmp_path):
    table = of(
        tmp_path,
        small=pa.array([1, None, 3], pa.int8()),
        half=pa.array(np.array([0.5, 1, 2], np.float16)),
        exact=pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("2.50")]),
        truth=pa.array([True, None, False]),
        none=pa.nulls(3),
        text=pa.array(["x", None, " y "]),
        large=pa.array(["x", "y", None], pa.large_string()),
        coded=pa.array(["x", "y", "x"]).dictionary_encode(),
    )
    columns = survey(table, table.names)
    kinds = {column.name: column.categories for column in columns}
    assert kinds == dict.fromkeys(("small", "half", "exact", "none")) | dict.fromkeys(
        ("text", "large", "coded"), ("x", "y")
    ) | {"truth": ("False", "True")}
    (raw,) = table.chunks(table.names)
    chunk = encode(raw, columns, filled=True)
    nan = np.nan
    np.testing.assert_array_equal(
        chunk.values.T,
        [
            [1, nan, 3],
            [0.5, 1, 2],
            [1.25, nan, 2.5],
            [1, nan, 0],
            [nan, nan, nan],
            [0, nan, 1],
            [0, 1, nan],
            [0, 1, 0],
        ],
    )
    assert not chunk.problems
    problems = encode(raw, columns).problems
    assert len(problems) == 8 and {problem.reason for problem in problems} == {
        "the value is missing"
    }
    assert str(problems[0]) == "row 1, column 'none': the value is missing"


def test_parquet_that_cannot_be_used_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    with pytest.raises(UserError, match="does not exist"):
        open_table(path)
    path.write_bytes(b"no parquet")
    with pytest.raises(UserError, match="is no Parquet file"):
        open_table(path)
    table = of(tmp_path, when=pa.array([0, 1], pa.timestamp("s")))
    with pytest.raises(UserError, match="'when' is of type timestamp.*--drop"):
        list(table.chunks(["when"]))
    parquet.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), path)
    with pytest.raises(UserError, match="column 'a' 2 times"):
        open_table(path)
    made(path)
    content = bytearray(path.read_bytes())
    content[4:40] = bytes(36)  # of the first page
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read"):
        list(open_table(path).chunks(["a"]))


def csv_of(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text)
    return open_table(path)


def test_text_is_categories_unless_there_are_numbers_too(tmp_path):
    table = csv_of(tmp_path, "a,b,c,d,e\n1,x,1,NA,3\n2, y ,z,,3.0\nnull,,3,NaN,20\n")
    assert survey(table, "abcde", categorical="e") == (
        Column("a"),
        Column("b", ("x", "y")),
        Column("c"),
        Column("d"),
        Column("e", ("20", "3")),
    )


def test_whole_numbers_are_the_same_category_in_every_format(tmp_path):
    table = of(tmp_path, zone=pa.array([10.0, 2.0, 10.0]))
    columns = survey(table, ["zone"], categorical=["zone"])
    assert columns == (Column("zone", ("10", "2")),)
    (raw,) = csv_of(tmp_path, "zone\n2\n10\n2\n").chunks(["zone"])
    np.testing.assert_array_equal(encode(raw, columns).values[:, 0], [1, 0, 1])


@pytest.mark.parametrize(
    ("trained", "categories", "given", "codes"),
    [
        ("1 2 10", ("1", "10", "2"), "1.0 +2 1e1 01 -1", [0, 2, 1, NAN, NAN]),
        ("0.50 -0.0 1.", ("0", "0.5", "1"), "0 .5 1.0", [0, 1, 2]),
        ("01 1", ("01", "1"), "1 01 1.0", [1, 0, NAN]),
        ("2.0 b", ("2.0", "b"), "2 2.0", [NAN, 0]),
        (f"{2**53} {2**53 + 1}.0", (str(2**53), str(2**53 + 1)), str(2**53 + 1), [1]),
    ],
)
def test_numbers_as_categories_are_compared_as_numbers_unless_one_is_a_code(
    tmp_path, trained, categories, given, codes
):
    def table(values):
        return csv_of(tmp_path, "\n".join(["k", *values.split()]))

    (column,) = survey(table(trained), ["k"], categorical=["k"])
    assert column.categories == categories
    (raw,) = table(given).chunks(["k"])
    np.testing.assert_array_equal(encode(raw, [column]).values[:, 0], codes)


@pytest.mark.parametrize(
    ("trained", "categories", "given", "codes"),
    [
        ("True False", ("False", "True"), "true FALSE True 1 yes", [1, 0, 1, NAN, NAN]),
        ("true FALSE TRUE", ("False", "True"), "True false", [1, 0]),
        ("True maybe", ("True", "maybe"), "True true", [0, NAN]),
        ("0 1", None, "True false 1 tru", [1, 0, 1, NAN]),
        ("1 0 x", ("0", "1", "x"), "1 True", [1, NAN]),
    ],
)
def test_truth_values_are_two_categories_or_1_and_0(tmp_path, trained, categories, given, codes):
    def table(values):
        return csv_of(tmp_path, "\n".join(["k", *values.split()]))

    (column,) = survey(table(trained), ["k"], categorical=["k"] if "x" in trained else [])
    assert column.categories == categories
    (raw,) = table(given).chunks(["k"])
    chunk = encode(raw, [column])
    np.testing.assert_array_equal(chunk.values[:, 0], codes)
    np.testing.assert_array_equal(chunk.bad, np.isnan(codes))


def test_truth_values_are_the_same_in_parquet_and_in_csv(tmp_path):
    values = [True, None, False]
    stored = of(tmp_path, k=pa.array(values))
    written = csv_of(tmp_path, "k,l\nTrue,\n,\nFalse,\n")
    assert survey(stored, ["k"]) == survey(written, ["k"]) == (Column("k", ("False", "True")),)
    for column in (Column("k", ("False", "True")), Column("k", ("0", "1")), Column("k")):
        for table in (stored, written):
            (raw,) = table.chunks(["k"])
            chunk = encode(raw, [column], filled=True)
            np.testing.assert_array_equal(chunk.values[:, 0], [1, NAN, 0])
            assert not chunk.problems and not chunk.bad.any()


def test_a_category_that_is_new_is_named(tmp_path):
    (raw,) = csv_of(tmp_path, 'k\nx\nz\n""\n').chunks(["k"])
    chunk = encode(raw, [Column("k", ("x", "y"))])
    np.testing.assert_array_equal(chunk.values[:, 0], [0, np.nan, np.nan])
    assert [str(problem) for problem in chunk.problems] == [
        "row 2 (line 3), column 'k': 'z' is not among the categories of the training (x, y)",
        "row 3 (line 4), column 'k': the value is missing",
    ]


def test_names_are_not_taken_for_categories(tmp_path):
    table = csv_of(tmp_path, "id\n" + "".join(f"n{i}\n" for i in range(MOST_CATEGORIES + 1)))
    with pytest.raises(UserError, match="'id' has 65 distinct values.*--drop"):
        survey(table, ["id"])


KIND = np.dtype([("label", "<U3"), ("count", "<i8"), ("share", "<f8")])
RECORDS = np.array([("yes", 1, 0.5), ("no", 2, 0.1), ("no", 3, 1e-300)], KIND)
USABLE = np.array([True, False, True])


def written(path):
    parts = [(RECORDS[:2], USABLE[:2]), (RECORDS[2:], USABLE[2:])]
    write_table(path, KIND, 3, iter(parts))
    return path


def test_what_is_written_can_be_read_and_bad_rows_are_empty(tmp_path):
    assert written(tmp_path / "t.csv").read_text().split() == [
        "label,count,share",
        "yes,1,0.5",
        ",,",
        "no,3,1e-300",
    ]
    table = parquet.read_table(written(tmp_path / "t.parquet"))
    assert table.schema.types == [pa.string(), pa.int64(), pa.float64()]
    empty = dict.fromkeys(KIND.names)
    assert table.to_pylist() == [
        {"label": "yes", "count": 1, "share": 0.5},
        empty,
        {"label": "no", "count": 3, "share": 1e-300},
    ]
    array = np.load(written(tmp_path / "t.npy"))
    assert array.dtype == np.dtype([("label", "<U3"), ("count", "<f8"), ("share", "<f8")])
    assert array[0].tolist() == ("yes", 1, 0.5) and array[2].tolist() == ("no", 3, 1e-300)
    assert array[1]["label"] == "" and np.isnan(array[1].tolist()[1:]).all()


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy"])
@pytest.mark.parametrize("name", ["probability_größer", "probability_β", "probability_高" * 9])
def test_columns_may_have_any_name(tmp_path, suffix, name):
    kind = np.dtype([("label", "<U3"), (name, "<f8"), ("leakage", "<f8")])
    path = tmp_path / f"t{suffix}"
    write_table(path, kind, 3, [(RECORDS.astype(kind), USABLE)])
    if suffix == ".npy":
        array = np.load(path)
        assert array.dtype == kind and array["leakage"].tolist()[::2] == [0.5, 1e-300]
        assert np.load(path, mmap_mode="r").offset % 64 == 0
    else:
        assert open_table(path).names == list(kind.names)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy"])
def test_a_table_that_is_not_finished_does_not_appear(tmp_path, suffix):
    def parts():
        yield RECORDS, USABLE
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_table(tmp_path / f"t{suffix}", KIND, 6, parts())
    assert not list(tmp_path.iterdir())
