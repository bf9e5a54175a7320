"""Inference over files: order, padding, columns by name, unusable rows by number."""

import csv
import dataclasses
import functools
import io
import os
import re
import shutil
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest
from flax import nnx
from models import categories, make_folder, numbers, without_circuits
from pyarrow import parquet
from rich.console import Console

import fockjax as fj
from fockjax import inference, prediction
from fockjax._files import write_sealed
from fockjax.inference import load_model
from fockjax.journal import Journal
from fockjax.prediction import PredictConfig, predict
from fockjax.runtime import PilotTooLarge, Runner, TooLarge, memory
from fockjax.runtime.run_record import read_records
from fockjax.training import TrainConfig, UserError, folder, train
from fockjax.training.data import make_splits

pytestmark = pytest.mark.loose_promotion  # Flax, Optax and scikit-learn promote

COLUMNS = ("a", "b", "c")


SMALL = {"modes": 1, "cutoff": 5}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "classifier"
    return make_folder(path, numbers(), photonic=True, **SMALL)


@pytest.fixture(scope="module")
def regressor(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "regressor"
    with without_circuits():
        once(make_folder(path, numbers(None), **SMALL))
    return path


@pytest.fixture(scope="module", autouse=True)
def loaded_once():
    """`predict` compiles a model once for all tests that read it, with each set of options."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction, "load_model", lambda path, warn: once(path))
        patch.setattr(inference.Predictor, "runner", functools.cache(inference.Predictor.runner))
        yield


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "mixed"
    with without_circuits():
        config = TrainConfig(
            out=out, modes=2, cutoff=4, layers=1, epochs=60, learning_rate=0.05, impute="median"
        )
        train(config, categories(), Console(file=io.StringIO()))
        once(out)
    return out


once = functools.cache(load_model)
FEATURES = numbers().features


def write_csv(path, features=FEATURES, columns=COLUMNS, edit=None, extra=None):
    rows = [[repr(float(value)) for value in row] for row in features]
    for (row, column), value in (edit or {}).items():
        rows[row - 1][column] = value
    if extra is not None:
        columns, rows = (*columns, extra), [[*row, "text"] for row in rows]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def write_parquet(path, features):
    columns = dict(zip(COLUMNS, features.T, strict=True))
    parquet.write_table(pa.table({"other": ["x"] * len(features), **columns}), path)


def run(model, data, out, **options):
    text = io.StringIO()
    config = PredictConfig(model, data, out, **options)
    rows = predict(config, Console(file=text, width=300))
    return rows, text.getvalue()


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def read(path):
    """The rows of an output, each to be asked by name."""
    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pylist()
    return np.load(path) if path.suffix == ".npy" else read_csv(path)


def test_predictions_are_those_of_the_module_by_hand(classifier):
    predictor = once(classifier)
    result = predictor(FEATURES)
    x = ((FEATURES - predictor.scaler.mean) / predictor.scaler.scale).astype(np.float32)
    logit, leakage = predictor.model(jnp.asarray(x))
    np.testing.assert_allclose(result.probability, jax.nn.sigmoid(logit), atol=1e-6)
    np.testing.assert_allclose(result.leakage, leakage, atol=1e-6)
    assert (result.leakage > 0).any()
    np.testing.assert_array_equal(result.prediction, np.where(logit > 0, "yes", "no"))


@pytest.mark.parametrize(
    "batch_size",
    [pytest.param(n, marks=[pytest.mark.slow] * (n in (1, 60))) for n in (1, 7, 60, 64)],
)
def test_order_is_kept_and_padding_changes_no_row(classifier, batch_size):
    predictor = once(classifier)
    expected, runner = predictor(FEATURES), predictor.runner(largest_batch=batch_size)
    result = predictor(FEATURES, runner)
    np.testing.assert_allclose(result.probability, expected.probability, atol=1e-6)
    backwards = predictor(FEATURES[::-1], runner)
    np.testing.assert_allclose(backwards.probability[::-1], expected.probability, atol=1e-6)


def test_files_of_any_length_compile_once(classifier, caplog):
    predictor = load_model(classifier)
    runner = predictor.runner(largest_batch=8)
    with jax.log_compiles(), caplog.at_level("WARNING"):
        for rows in (1, 7, 8, 9, 60):
            predictor(FEATURES[:rows], runner)
    lines = [record.getMessage() for record in caplog.records]
    compilations = [line for line in lines if line.startswith("Compiling ")]
    assert len(compilations) == 1, compilations


@pytest.mark.parametrize("suffix", [".csv", ".npy", ".parquet"])
@pytest.mark.parametrize("source", [".csv", ".npy", ".parquet"])
def test_every_source_and_output_gives_the_same(classifier, tmp_path, monkeypatch, source, suffix):
    monkeypatch.setattr(prediction, "CHUNK_ROWS", 17)
    data, out = tmp_path / f"data{source}", tmp_path / "new" / f"out{suffix}"
    {".csv": write_csv, ".npy": np.save, ".parquet": write_parquet}[source](data, FEATURES)
    rows, text = run(classifier, data, out, batch_size=16)
    assert rows == 60 and "60 rows" in text and "'yes'" in text and "leakage: mean" in text
    expected = once(classifier)(FEATURES)
    result = read(out)
    assert len(result) == 60
    for name in ("probability", "leakage"):
        got = [float(row[name]) for row in result]
        np.testing.assert_allclose(got, getattr(expected, name), atol=1e-6)
    assert [str(row["prediction"]) for row in result] == expected.prediction.tolist()
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_columns_go_by_name_and_others_are_ignored(classifier, tmp_path):
    straight = write_csv(tmp_path / "straight.csv")
    mixed = write_csv(tmp_path / "mixed.csv", FEATURES[:, [2, 0, 1]], ("c", "a", "b"), extra="y")
    for data in (straight, mixed):
        run(classifier, data, data.with_suffix(".npy"))
    np.testing.assert_array_equal(
        np.load(straight.with_suffix(".npy")), np.load(mixed.with_suffix(".npy"))
    )


def test_a_regression_has_no_probability_and_the_target_s_units(regressor, tmp_path):
    data = write_csv(tmp_path / "data.csv")
    run(regressor, data, tmp_path / "out.csv")
    rows = read_csv(tmp_path / "out.csv")
    assert list(rows[0]) == ["prediction", "leakage"]
    values = np.array([float(row["prediction"]) for row in rows])
    scaler = once(regressor).scaler
    assert 20 < scaler.target_mean < 80
    assert abs(values.mean() - scaler.target_mean) < 2 * scaler.target_scale


BAD = {(3, 1): "", (9, 0): "x", (9, 2): "nan", (60, 2): "1e300"}


@pytest.mark.parametrize("source", [".csv", ".npy"])
def test_unusable_rows_are_listed_and_nothing_is_written(classifier, tmp_path, source):
    data, out = tmp_path / f"data{source}", tmp_path / "out.csv"
    if source == ".csv":
        write_csv(data, edit=BAD)
        said = [r"row 3 \(line 4\), column 'b'.*missing", r"row 9 \(line 10\), column 'a': 'x'"]
        said.append(r"row 60 \(line 61\): a value is too large")
    else:
        features = FEATURES.copy()
        features[2, 1] = features[8, 0] = np.nan
        features[59, 2] = 1e300
        np.save(data, features)
        said = ["row 3, column 'b'", "row 9, column 'a'", "row 60: a value is too large"]
    out.write_text("kept")
    with pytest.raises(UserError, match=".*; ".join(said) + r".*Nothing was written; --skip-bad"):
        run(classifier, data, out, overwrite=True)
    assert out.read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == [data.name, "out.csv"]


@pytest.mark.parametrize("suffix", [".csv", ".npy"])
def test_unusable_rows_can_be_left_empty_and_change_no_other(classifier, tmp_path, suffix):
    clean, data = write_csv(tmp_path / "clean.csv"), write_csv(tmp_path / "data.csv", edit=BAD)
    out = tmp_path / f"out{suffix}"
    run(classifier, clean, tmp_path / f"clean_out{suffix}")
    _, text = run(classifier, data, out, skip_bad=True)
    assert "left empty:" in text and "row 3 (line 4)" in text and "row 60" in text
    if suffix == ".csv":
        rows, expected = read_csv(out), read_csv(tmp_path / "clean_out.csv")
        empty = dict.fromkeys(("prediction", "probability", "leakage"), "")
    else:
        rows, expected = np.load(out).tolist(), np.load(tmp_path / "clean_out.npy").tolist()
    for number, (row, other) in enumerate(zip(rows, expected, strict=True), 1):
        if number not in (3, 9, 60):
            assert row == other  # bit for bit
        elif suffix == ".csv":
            assert row == empty
        else:
            assert row[0] == "" and np.isnan(row[1:]).all()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.csv", "a,c,y\n1,2,3\n", "lacks 1 of the model's columns: 'b'"),
        ("data.csv", "a,b,c\n", "has no rows"),
        ("data.csv", "", "is empty"),
        ("data.csv", None, "does not exist"),
        ("data.npy", None, "does not exist"),
        ("data.npy", "no array", "cannot be read"),
        ("data.npy", np.zeros((4, 2)), r"\(rows, 3\).*float64 of shape \(4, 2\)"),
        ("data.npy", np.zeros(3), "shape"),
        ("data.npy", np.zeros((4, 3), complex), "real numbers.*complex128"),
        ("data.npy", np.zeros((0, 3)), "has no rows"),
        ("data.npy", np.array([[None] * 3]), "cannot be read"),
        ("data.xlsx", "x", "must end in .csv, .parquet or .npy"),
    ],
)
def test_data_that_cannot_be_used_are_refused(classifier, tmp_path, name, content, message):
    data = tmp_path / name
    if isinstance(content, str):
        data.write_text(content)
    elif content is not None:
        np.save(data, content, allow_pickle=True)
    with pytest.raises(UserError, match=message):
        run(classifier, data, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_the_output_is_checked_before_anything_is_done(classifier, tmp_path):
    data = write_csv(tmp_path / "data.csv")
    with pytest.raises(UserError, match="must end in .csv, .parquet or .npy"):
        run(classifier, data, tmp_path / "out.txt")
    with pytest.raises(UserError, match="would replace the data"):
        run(classifier, data, data, overwrite=True)
    out, content = tmp_path / "out.csv", data.read_bytes()
    (tmp_path / "link").symlink_to(data)
    for log, what in (
        (data, "the data"),
        (tmp_path / "link", "the data"),
        (out, "the output"),
        (tmp_path / "out.csv.journal", "the journal"),
    ):
        with pytest.raises(UserError, match=f"--log must be a file of its own, .* is {what}"):
            run(classifier, data, out, log=log)
    assert data.read_bytes() == content and not out.exists()


def test_an_output_that_exists_is_replaced_only_if_asked(classifier, tmp_path):
    data, out = write_csv(tmp_path / "data.csv"), tmp_path / "out.csv"
    out.write_text("mine")
    with pytest.raises(UserError, match=r"out.csv exists: give another name, or --overwrite"):
        run(classifier, data, out)
    assert out.read_text() == "mine" and len(list(tmp_path.iterdir())) == 2
    run(classifier, data, out, overwrite=True)
    assert len(read_csv(out)) == len(FEATURES)


def test_much_leakage_is_pointed_out(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr("fockjax.summary.NOTABLE_LEAKAGE", 1e-9)
    _, text = run(classifier, write_csv(tmp_path / "data.csv"), tmp_path / "out.csv")
    assert "rows lose more than" in text and "cutoff 5" in text


def test_cutoffs_are_planned_for_the_rows_of_a_file_and_the_report_says_why(classifier, tmp_path):
    data, out, log = write_csv(tmp_path / "data.csv"), tmp_path / "out.npy", tmp_path / "runs.jsonl"
    _, text = run(classifier, data, out, tolerance=1e-3, log=log)
    plan = once(classifier).planned(once(classifier).scaler.features(FEATURES), 1e-3).plan
    assert plan.truncation == (8,) and plan.trial is None and str(plan) in text
    assert "rows by cutoffs: 60 at 8" in text and "warning" not in text
    rows, model = np.load(out), nnx.clone(once(classifier).model)
    assert set(rows["cutoffs"]) == {"8"} and rows["ok"].all() and rows["leakage"].max() < 1e-3
    model.quantum.cutoff = 8
    logit, _ = model(jnp.asarray(once(classifier).scaler.features(FEATURES)))
    np.testing.assert_allclose(rows["probability"], jax.nn.sigmoid(logit), atol=1e-6)
    (record,) = read_records(log)
    assert record.levels["8"] == 60 and sum(record.levels.values()) == 60
    assert "displacement" in record.about and str(plan) in record.about


def test_rows_that_lose_too_much_run_again_at_larger_cutoffs_or_are_marked(
    classifier, tmp_path, monkeypatch
):
    data, predictor = write_csv(tmp_path / "data.csv"), once(classifier)
    lost = predictor(FEATURES).leakage
    tolerance = float(np.sort(lost)[-5] + 1e-9)  # four rows lose more
    monkeypatch.setattr(inference, "SHARE", 0.02)  # planned for the rows that lose least
    out, log = tmp_path / "out.csv", tmp_path / "runs.jsonl"
    _, text = run(classifier, data, out, tolerance=tolerance, log=log)
    rows = read_csv(out)
    again = [number for number, row in enumerate(rows) if row["cutoffs"] != "5"]
    assert again == np.flatnonzero(lost > tolerance).tolist() and len(again) == 4
    assert all(row["ok"] == "True" and float(row["leakage"]) <= tolerance for row in rows)
    assert {rows[number]["cutoffs"] for number in again} == {"6"}
    assert "rows by cutoffs: 56 at 5, 4 at 6" in text and "warning" not in text
    row, larger = rows[again[0]], nnx.clone(predictor.model)
    larger.quantum.cutoff = int(row["cutoffs"])
    logit, leakage = larger(jnp.asarray(predictor.scaler.features(FEATURES[again[:1]])))
    assert float(row["probability"]) == pytest.approx(float(jax.nn.sigmoid(logit[0])), abs=1e-6)
    assert float(row["leakage"]) == pytest.approx(float(leakage[0]), abs=1e-6)
    (record,) = read_records(log)
    assert {label: count for label, count in record.levels.items() if count} == {"5": 56, "6": 4}

    out = tmp_path / "out.npy"
    _, text = run(classifier, data, out, tolerance=tolerance, maximum_cutoff=5)
    assert "4 rows lose more than the tolerance even at the cutoffs 5; see column ok" in text
    np.testing.assert_array_equal(np.load(out)["ok"] == 1, lost <= tolerance)


@pytest.mark.slow
def test_with_a_total_of_photons_rows_run_again_at_larger_totals(tmp_path):
    model = make_folder(
        tmp_path / "model", numbers(), photonic=True, total_photons=True, alpha_max=1.0
    )
    predictor = once(model)
    assert predictor.model.quantum.cutoff == fj.TotalPhotons(4)
    features = numbers().features
    lost = predictor(features).leakage
    planned = predictor.planned(predictor.scaler.features(features), float(np.median(lost)))
    assert planned.plan.truncation == fj.TotalPhotons(int(planned.cutoffs[0, 0]))
    again = predictor.replanned(1e-3, planned.cutoffs.tolist(), "as before")
    assert again.plan.rungs == planned.plan.rungs and str(again.plan) == "as before"
    found = planned(features)
    again = found.cutoffs[:, 0] > 4
    assert again.sum() >= 30 and found.ok.all()
    larger = nnx.clone(predictor.model)
    larger.quantum.cutoff = fj.TotalPhotons(int(found.cutoffs[again][0, 0]))
    row = jnp.asarray(predictor.scaler.features(features[again][:1]))
    logit, leakage = larger(row)
    assert found.probability[again][0] == pytest.approx(float(jax.nn.sigmoid(logit[0])), abs=1e-6)
    assert found.leakage[again][0] == pytest.approx(float(leakage[0]), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": "8 PB"}, "--memory: .*'8GB'"),
        ({"trace": __file__}, "--trace must be a folder, got the file"),
        ({"log": "nowhere/runs.jsonl"}, "--log must be a file in an existing folder"),
        ({"batch_size": 0}, "--batch-size must be at least 1, got 0"),
        ({"tolerance": 0.0}, "--tolerance must lie between 1e-6 .rounding. and 1, got 0"),
        ({"maximum_cutoff": 9}, "--maximum-cutoff needs --tolerance"),
        ({"tolerance": 0.1, "maximum_cutoff": 4}, "at least 5, the cutoff of the model, got 4"),
    ],
)
def test_options_that_cannot_work_are_named(classifier, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        run(classifier, write_csv(tmp_path / "data.csv"), tmp_path / "out.csv", **options)


def test_a_limit_of_memory_makes_small_batches_or_is_refused(regressor, tmp_path, monkeypatch):
    data, log = write_csv(tmp_path / "data.csv"), tmp_path / "runs.jsonl"
    eight = once(regressor).runner(largest_batch=8).plan(np.zeros((1, 3), np.float32))
    monkeypatch.setattr(memory, "room", lambda *_: 1.3 * eight.bytes)
    run(regressor, data, tmp_path / "out.csv", memory="1GB", log=log)
    monkeypatch.setattr(memory, "room", lambda *_: 10)
    with pytest.raises(TooLarge, match="One row needs"):
        run(regressor, data, tmp_path / "more.csv", memory="2GB", log=log)
    (record,) = read_records(log)
    assert record.batches == {"8": 8}


@pytest.mark.parametrize("options", [{}, {"tolerance": 1e-6}])
def test_a_limit_below_what_the_process_uses_says_how_much_it_must_be(
    classifier, tmp_path, options
):
    data, out = write_csv(tmp_path / "data.csv"), tmp_path / "out.csv"
    with pytest.raises((TooLarge, UserError), match="itself uses .* must be at least .* [MG]B"):
        run(classifier, data, out, memory="5MB", **options)


def test_a_plan_that_does_not_fit_is_told_with_options_of_the_command(
    classifier, tmp_path, monkeypatch
):
    def too_large(*_):
        raise PilotTooLarge("To plan, 9 bytes", "Raise `memory`.", 9)

    monkeypatch.setattr(inference.Predictor, "planned", too_large)
    data, out = write_csv(tmp_path / "data.csv"), tmp_path / "out.csv"
    with pytest.raises(UserError, match=r"^To plan, 9 bytes\. Raise --memory or --tolerance, or"):
        run(classifier, data, out, tolerance=0.1)


def test_rows_from_python_are_checked(classifier):
    predictor = once(classifier)
    with pytest.raises(UserError, match=r"\(rows, 3\)"):
        predictor(np.zeros((2, 4)))
    with pytest.raises(UserError, match="rows 2, counted from 1"):
        predictor(np.array([[1.0, 2, 3], [1, np.inf, 3]]))
    with pytest.raises(UserError, match="rows 2, counted from 1"):  # a missing value
        predictor(np.ma.masked_array([[1, 2, 3], [1, 9, 3]], [[0, 0, 0], [0, 1, 0]]))
    other = predictor.planned(predictor.scaler.features(FEATURES[:4]), 1e-3, 8)
    with pytest.raises(UserError, match=r"the runner runs at cutoffs 5, .*predictor.runner\(\)"):
        other(FEATURES, predictor.runner())


def copy_of(model, to):
    return shutil.copytree(model, to)


def test_a_damaged_checkpoint_is_announced_and_the_one_before_is_used(classifier, tmp_path):
    model = copy_of(classifier, tmp_path / "model")
    (only,) = (model / "checkpoints").iterdir()
    only.with_name(only.name.replace("1", "2")).write_bytes(b"junk")
    with pytest.warns(RuntimeWarning, match="damaged"):
        load_model(model)


def test_folders_that_are_no_finished_model_say_so(classifier, tmp_path):
    with pytest.raises(UserError, match="not a model folder"):
        load_model(tmp_path)
    model = copy_of(classifier, tmp_path / "model")
    (model / "results.json").unlink()
    with pytest.warns(RuntimeWarning, match="not finished"):
        load_model(model)
    whole = (model / "config.json").read_text()
    description = folder.read_config(model)
    for broken, message in (
        (description | {"format": 99}, "not of format"),
        ({k: v for k, v in description.items() if k != "scaler"}, "cross-validation: name one"),
        ({k: v for k, v in description.items() if k != "data"}, "is incomplete"),
        (
            description | {"identity": description["identity"] | {"seed": 5}},
            "do not belong",
        ),
    ):
        write_sealed(model / "config.json", broken)
        with pytest.raises(UserError, match=message):
            load_model(model)
    (model / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"is damaged .* \(--out\)"):
        load_model(model)
    for path in (model / "checkpoints").iterdir():
        path.unlink()
    (model / "config.json").write_text(whole)
    with pytest.raises(UserError, match="no checkpoint yet"):
        load_model(model)


def write_categories(path):
    """`categories` as a file of the user's, missing values in several spellings."""
    dataset = categories()
    texts = [
        ["NA" if a != a else a, "" if p != p else dataset.categories["place"][int(p)], c]
        for a, p, c in dataset.features.tolist()
    ]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([("c", "place", "a"), *((c, p, a) for a, p, c in texts)])
    return path


def test_several_classes_have_a_probability_each(mixed, tmp_path):
    predictor, dataset = once(mixed), categories()
    result = predictor(dataset.features)
    assert result.probability.shape == (90, 3)
    np.testing.assert_allclose(result.probability.sum(axis=1), 1)
    np.testing.assert_array_equal(
        result.prediction, np.array([10, 20, 30])[result.probability.argmax(axis=1)]
    )
    assert np.mean(result.prediction == 10 * (dataset.target + 1)) > 0.6
    for suffix in (".csv", ".npy", ".parquet"):
        out = tmp_path / f"out{suffix}"
        run(mixed, write_categories(tmp_path / "data.csv"), out)
        rows = read(out)
        names = [f"probability_{label}" for label in (10, 20, 30)]
        got = np.array([[float(row[name]) for name in names] for row in rows])
        np.testing.assert_allclose(got, result.probability, atol=1e-6)
        assert [float(row["prediction"]) for row in rows] == result.prediction.tolist()


def test_names_of_the_user_s_are_printed_as_they_are(tmp_path):
    """Not as the markup or the emoji of the console."""
    names = ("speed [m/s]", "[/s]", ":x:")
    dataset = dataclasses.replace(
        numbers(("[/no]", "[yes]")), columns=names, target_name="[bold] :car:"
    )
    with without_circuits():
        model = make_folder(tmp_path / "model", dataset, **SMALL)
        once(model)
    edit = {
        (row, column): ("[/x]", "nan", ":cat:")[column] for row, column in enumerate((0, 1, 2), 1)
    }
    data, out = write_csv(tmp_path / "data.csv", columns=names, edit=edit), tmp_path / "[i] out.csv"
    _, text = run(model, data, out, skip_bad=True)
    for told in (
        "column 'speed [m/s]': '[/x]' is not",
        "column '[/s]': the value is missing",
        "column ':x:': ':cat:' is not",
        f"-> {out}\n",
        "that of [bold] :car: = '[yes]'",
    ):
        assert told in text, (told, text)


def test_the_inputs_of_a_model_by_hand(mixed):
    scaler, dataset = once(mixed).scaler, categories()
    split = make_splits(dataset, once(mixed).config)[0]
    known = dataset.features[split.train]
    fill = np.nanmedian(known, axis=0)
    kinds, counts = np.unique(known[~np.isnan(known[:, 1]), 1], return_counts=True)
    fill[1] = kinds[counts.argmax()]
    np.testing.assert_array_equal(scaler.fill, fill)
    filled = np.where(np.isnan(dataset.features), fill, dataset.features)
    mean, scale = (f(filled[split.train], axis=0) for f in (np.mean, np.std))
    standard = (filled - mean) / scale
    inputs = np.column_stack([standard[:, 0], np.eye(3)[filled[:, 1].astype(int)], standard[:, 2]])
    np.testing.assert_allclose(scaler.features(dataset.features), inputs, atol=1e-6)
    assert scaler.inputs == 5
    for features in ([0, 3, 0], [0, 0.5, 0], [0, -1, 0.0]):
        with pytest.raises(UserError, match="rows 1, counted from 1, are not"):
            once(mixed)(np.array([features]))
    assert once(mixed)(np.array([[np.nan] * 3])).ok.all()


def test_an_unknown_category_is_a_bad_row_and_a_matrix_has_none(mixed, tmp_path):
    data = write_categories(tmp_path / "data.csv")
    lines = data.read_text().splitlines()
    lines[4] = "1.5,nowhere,2"
    data.write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"row 4 \(line 5\).*'nowhere'.*\(here, there, where\)"):
        run(mixed, data, tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]
    run(mixed, data, tmp_path / "out.parquet", skip_bad=True)
    rows = read(tmp_path / "out.parquet")
    assert [number for number, row in enumerate(rows, 1) if row["prediction"] is None] == [4]
    np.save(tmp_path / "data.npy", categories().features)
    with pytest.raises(UserError, match="'place' are categories: give a .csv or .parquet"):
        run(mixed, tmp_path / "data.npy", tmp_path / "out.csv")


class Stop(BaseException):
    """Ends a run at a chosen place."""


@pytest.fixture
def long(tmp_path, monkeypatch):
    """A file of seven chunks, two rows of it bad, and how many rows have been computed."""
    monkeypatch.setattr(prediction, "CHUNK_ROWS", 16)
    features = np.tile(FEATURES, (2, 1))[:105]
    features[[20, 103], 1] = np.nan
    data = tmp_path / "data.parquet"
    write_parquet(data, features)
    computed, original = [], Runner._run_rows

    def counting(self, rows, record):
        original(self, rows, record)
        computed.append(len(rows))

    monkeypatch.setattr(Runner, "_run_rows", counting)
    return data, computed


OPTIONS = {"skip_bad": True, "batch_size": 16}
CHUNKS = [16] * 6 + [9]  # rows of `long`


def stop_at(patch, place, number):
    """Let the `number`-th call (from 0) of a step of the run not return, or not even begin."""
    owner, name, late = {
        "before a chunk": (Runner, "_run_rows", False),
        "before it is stored": (Journal, "append", False),
        "after it is stored": (Journal, "append", True),
        "within the output": (prediction.Summary, "add", False),
        "before the journal goes": (Journal, "discard", False),
    }[place]
    original, calls = getattr(owner, name), []

    def stopping(*arguments):
        calls.append(0)
        if len(calls) == number + 1 and not late:
            raise Stop
        result = original(*arguments)
        if len(calls) == number + 1:
            raise Stop
        return result

    patch.setattr(owner, name, stopping)


STOPS = [
    *(
        (place, number)
        for place in ("before a chunk", "before it is stored", "after it is stored")
        for number in range(7)
    ),
    *(("within the output", number) for number in range(7)),
    ("before the journal goes", 0),
]


@pytest.mark.parametrize("suffix", [".csv", ".npy", ".parquet"])
def test_a_run_stopped_anywhere_goes_on_and_ends_the_same(
    classifier, tmp_path, monkeypatch, long, suffix
):
    data, computed = long
    whole = tmp_path / f"whole{suffix}"
    _, told = run(classifier, data, whole, **OPTIONS)
    for place, number in STOPS:
        out = tmp_path / f"out{suffix}"
        computed.clear()
        with monkeypatch.context() as patch:
            stop_at(patch, place, number)
            with pytest.raises(Stop):
                run(classifier, data, out, **OPTIONS)
        finished = place in ("within the output", "before the journal goes")
        assert out.exists() == (place == "before the journal goes")
        rows, text = run(classifier, data, out, **OPTIONS)
        assert rows == 105 and out.read_bytes() == whole.read_bytes(), (place, number)
        # The chunk that is to be stored, and two that may run meanwhile, are lost.
        again = sum(computed) - 105
        most = {
            "before it is stored": CHUNKS[number : number + 3],
            "after it is stored": CHUNKS[1:3],
        }
        assert 0 <= again <= sum(most.get(place, [])), (place, number)
        kept = 105 if finished else sum(CHUNKS[: number + (place == "after it is stored")])
        assert (f"resuming after row {kept}" in text) == (kept > 0)
        assert told.partition("->")[2].splitlines()[1:] == text.partition("->")[2].splitlines()[1:]
        out.unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == [data.name, whole.name]


def test_what_has_changed_since_is_noticed_and_restart_begins_anew(
    classifier, regressor, tmp_path, monkeypatch, long
):
    data, computed = long
    out, journal = tmp_path / "out.csv", tmp_path / "out.csv.journal"

    def stopped():
        with monkeypatch.context() as patch:
            stop_at(patch, "before a chunk", 3)
            with pytest.raises(Stop):
                run(classifier, data, out, **OPTIONS)

    stopped()
    before = journal.read_bytes()
    with pytest.raises(UserError, match="journal belongs to .* other model and columns; --restart"):
        run(regressor, data, out, **OPTIONS)
    write_parquet(data, np.tile(FEATURES, (2, 1)))
    with pytest.raises(UserError, match="journal belongs to .* other data; --restart"):
        run(classifier, data, out, **OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(prediction, "version", lambda package: "0.0")
        with pytest.raises(UserError, match="other data and version of fockjax; --restart"):
            run(classifier, data, out, **OPTIONS)
    assert journal.read_bytes() == before and not out.exists()
    computed.clear()
    rows, text = run(classifier, data, out, restart=True, **OPTIONS)
    assert rows == sum(computed) == 120 and "resuming" not in text
    assert not journal.exists()


def test_an_interrupted_run_is_recorded_as_such(classifier, tmp_path, monkeypatch, long):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    data, _ = long
    log = tmp_path / "runs.jsonl"
    monkeypatch.setattr(Journal, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(classifier, data, tmp_path / "out.csv", log=log, **OPTIONS)
    (record,) = read_records(log)
    assert record.error["type"] == "GeneratorExit" and 16 <= record.rows < 105


def test_a_run_that_goes_on_keeps_to_its_plan(classifier, tmp_path, monkeypatch, long):
    """Another plan might be made meanwhile, since that depends on the memory that is free."""
    data, _ = long
    whole, out = tmp_path / "whole.csv", tmp_path / "out.csv"
    options = OPTIONS | {"tolerance": 1e-3}
    _, told = run(classifier, data, whole, **options)
    with monkeypatch.context() as patch:
        stop_at(patch, "before it is stored", 3)
        with pytest.raises(Stop):
            run(classifier, data, out, **options)
    planned, largest = inference.Predictor.planned, {}

    def other(self, inputs, tolerance, maximum=None, memory=None):
        return planned(self, inputs, tolerance, **largest)

    for options_then, message in (
        ({"tolerance": 2e-3}, "with other tolerance;"),
        ({"maximum_cutoff": 9}, "with other maximum cutoff;"),
        ({"tolerance": None}, "with other columns;"),
    ):
        with pytest.raises(UserError, match=message):
            run(classifier, data, out, **options | options_then)
    monkeypatch.setattr(inference.Predictor, "planned", other)
    largest["maximum"] = 9
    log = tmp_path / "runs.jsonl"
    _, text = run(classifier, data, out, **options, maximum_cutoff=32, log=log)
    assert "resuming after row 48" in text and out.read_bytes() == whole.read_bytes()
    plan = re.search(r"Cutoffs \(8,\).*Where a sample loses more: [^\n]*", told, re.DOTALL)[0]
    assert plan in text and plan in read_records(log)[0].about


def test_a_journal_alone_lets_no_output_be_replaced(classifier, tmp_path, monkeypatch, long):
    """Whatever journal is there, and however far it is: only if the run itself wrote the output."""
    data, computed = long
    out, journal = tmp_path / "out.csv", tmp_path / "out.csv.journal"
    out.write_text("mine")
    for content in ("", '{"format": 1}\n'):  # of a run that was killed early
        journal.write_text(content)
        with pytest.raises(UserError, match="out.csv exists"):
            run(classifier, data, out, **OPTIONS)
        assert not journal.exists()
    out.unlink()
    for place, number in (("before a chunk", 3), ("before it is stored", 2)):  # goes on from there
        with monkeypatch.context() as patch:
            stop_at(patch, place, number)
            with pytest.raises(Stop):
                run(classifier, data, out, **OPTIONS)
        before = journal.read_bytes()
        out.write_text("mine")
        for options, other in (({}, "move it away"), ({"restart": True}, "give another name")):
            with pytest.raises(UserError, match=f"out.csv exists: {other}, or --overwrite"):
                run(classifier, data, out, **OPTIONS, **options)
        assert out.read_text() == "mine" and journal.read_bytes() == before
        out.unlink()

    append = Journal.append

    def meanwhile(self, *arguments):
        append(self, *arguments)
        out.write_text("mine")

    computed.clear()
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", meanwhile)
        with pytest.raises(UserError, match="out.csv exists"):
            run(classifier, data, out, **OPTIONS)
    assert out.read_text() == "mine" and sum(computed) > 0
    computed.clear()
    assert run(classifier, data, out, **OPTIONS, overwrite=True)[0] == 105 and not computed
    assert not journal.exists() and len(read_csv(out)) == 105


def test_data_that_change_under_the_run_are_noticed(classifier, tmp_path, monkeypatch, long):
    data, _ = long
    append = Journal.append

    def touching(self, *arguments):
        append(self, *arguments)
        os.utime(data, ns=(1, 1))

    monkeypatch.setattr(Journal, "append", touching)
    with pytest.raises(UserError, match="was changed while it was read"):
        run(classifier, data, tmp_path / "out.csv", **OPTIONS)
    assert not (tmp_path / "out.csv").exists()


def test_what_is_no_file_is_refused_at_once(classifier, tmp_path):
    folder, pipe = tmp_path / "out.csv", tmp_path / "rows.csv"
    folder.mkdir()
    write_csv(data := tmp_path / "data.csv")
    with pytest.raises(UserError, match=r"the output must be a file, .*out.csv is a folder"):
        run(classifier, data, folder, overwrite=True)
    os.mkfifo(pipe)
    with pytest.raises(UserError, match=r"must be in a file, .*rows.csv is none: write them"):
        run(classifier, pipe, tmp_path / "new.csv")


def test_without_a_terminal_progress_is_in_lines(classifier, tmp_path, monkeypatch, long):
    monkeypatch.setattr("fockjax._progress.LINE_SECONDS", 0)
    _, text = run(classifier, long[0], tmp_path / "out.csv", **OPTIONS)
    assert f"predicting: {CHUNKS[0]} of 105 rows\n" in text
    assert "reading: 0 of 0 MB\n" in text and "writing: 105 of 105 rows\n" in text


def test_an_interrupted_run_says_what_it_waits_for(classifier, tmp_path, monkeypatch, long):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "append", interrupted)
    console = Console(file=io.StringIO())
    with pytest.raises(KeyboardInterrupt):
        predict(PredictConfig(classifier, long[0], tmp_path / "out.csv", **OPTIONS), console)
    assert console.file.getvalue().endswith("stopping after this chunk\n")


def test_no_row_of_data_that_changed_is_kept(classifier, tmp_path, monkeypatch, long):
    """The data are exchanged after the first chunk; once they are back, the run goes on."""
    data, _ = long
    out, whole = tmp_path / "out.csv", tmp_path / "whole.csv"
    run(classifier, data, whole, **OPTIONS)
    append, before, stat = Journal.append, data.read_bytes(), data.stat()

    def exchanging(self, *arguments):
        append(self, *arguments)
        write_parquet(data, np.tile(FEATURES[::-1], (7, 1)))

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", exchanging)
        with pytest.raises(UserError, match="was changed while it was read"):
            run(classifier, data, out, **OPTIONS)
    data.write_bytes(before)
    os.utime(data, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    rows, text = run(classifier, data, out, **OPTIONS)
    assert rows == 105 and f"resuming after row {CHUNKS[0]}" in text
    assert out.read_bytes() == whole.read_bytes()


ROWS_REFUSED = r"row 21, column 'b'.*; row 104, column 'b'.* first {} rows.*--skip-bad goes on from"


def test_advice_after_a_restart_does_not_discard_what_is_finished(classifier, tmp_path, long):
    with pytest.raises(UserError, match="--skip-bad without --restart goes on from here"):
        run(classifier, long[0], tmp_path / "out.csv", batch_size=16, restart=True)


def test_nothing_is_computed_after_a_row_that_is_refused_and_what_was_before_is_kept(
    classifier, tmp_path, long
):
    data, computed = long
    out = tmp_path / "out.csv"
    for _ in range(2):
        with pytest.raises(UserError, match=ROWS_REFUSED.format(16)):
            run(classifier, data, out, batch_size=16)
        assert sum(computed) == 16 and not out.exists()
    rows, text = run(classifier, data, out, **OPTIONS)
    assert rows == sum(computed) == 105 and "resuming after row 16" in text


@pytest.mark.parametrize("place", [("before it is stored", 5), ("within the output", 0)])
def test_a_forgotten_skip_bad_loses_no_finished_row(classifier, tmp_path, monkeypatch, long, place):
    """One row that it has to refuse is among those finished, the other after them, or too."""
    data, computed = long
    out, journal = tmp_path / "out.csv", tmp_path / "out.csv.journal"
    with monkeypatch.context() as patch:
        stop_at(patch, *place)
        with pytest.raises(Stop):
            run(classifier, data, out, **OPTIONS)
    before, kept = journal.read_bytes(), 105 if place[0] == "within the output" else 80
    with pytest.raises(UserError, match=ROWS_REFUSED.format(kept) + ".*--restart discards"):
        run(classifier, data, out, batch_size=16)
    assert journal.read_bytes() == before and not out.exists()
    computed.clear()
    rows, text = run(classifier, data, out, **OPTIONS)
    assert rows == 105 and sum(computed) == 105 - kept and f"after row {kept}" in text


def test_a_result_that_is_not_finite_keeps_the_chunks_before_it(
    classifier, tmp_path, monkeypatch, long
):
    """The chunk after it may be finished by then, but may not be stored without it."""
    data, _ = long
    write_parquet(data, np.tile(FEATURES, (2, 1))[:105])
    original, calls = prediction._records, []

    def third_bad(*arguments):
        part = original(*arguments)
        calls.append(0)
        part["usable"][4] &= len(calls) != 3
        return part

    monkeypatch.setattr(prediction, "_records", third_bad)
    with pytest.raises(UserError, match="row 37: the result is not finite.* first 32 rows"):
        run(classifier, data, tmp_path / "out.csv", batch_size=16)


# A run in its own process, to be killed: this one compiles in another way.
SCRIPT = """
import sys
from fockjax import prediction
prediction.CHUNK_BATCHES = 16
prediction.predict(prediction.PredictConfig(*sys.argv[1:4], skip_bad=True, batch_size=8))
"""
BYTES = 12 + 8 + 8 + 1  # of a row in the journal


def start(*paths):
    command = [sys.executable, "-c", SCRIPT, *map(str, paths)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize(("source", "suffix"), [(".csv", ".parquet"), (".npy", ".csv")])
def test_a_process_killed_at_any_moment_is_resumed_exactly(classifier, tmp_path, source, suffix):
    seed = np.random.SeedSequence().entropy  # unlike others, this test means to differ each time
    print(f"seed {seed}")  # pytest shows it where the test fails
    rng = np.random.default_rng(seed)
    count = 16000
    features = np.tile(FEATURES, (count // 60 + 1, 1))[:count] + rng.normal(size=(count, 3))
    features[rng.integers(count, size=3)] = np.inf
    data, out, whole = (tmp_path / name for name in (f"data{source}", "out", "whole"))
    out, whole = out.with_suffix(suffix), whole.with_suffix(suffix)
    (write_csv if source == ".csv" else np.save)(data, features)
    start(classifier, data, whole).communicate()
    journal, kept = tmp_path / f"out{suffix}.journal", [0]
    for share in sorted(rng.uniform(0, 0.6, size=3)):
        process = start(classifier, data, out)
        while process.poll() is None:
            if journal.exists() and journal.stat().st_size >= share * count * BYTES:
                process.send_signal(signal.SIGKILL)
        kept.append(resumed(process))
        assert process.returncode == -signal.SIGKILL and not out.exists()
    process = start(classifier, data, out)
    kept.append(resumed(process))
    assert kept == sorted(kept) and kept[-1] > 0
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(tmp_path.iterdir()) == sorted([data, out, whole])


def resumed(process):
    """After which row it went on, when the process has ended."""
    told, _ = process.communicate()
    rows = re.search("resuming after row ([0-9,]+)", told)
    return int(rows[1].replace(",", "")) if rows else 0
