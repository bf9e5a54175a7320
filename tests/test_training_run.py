"""A whole run: its folder, its refusals, and that a kill at any moment changes nothing.

Where the circuit does not matter, the model is built without it, which compiles faster.
"""

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import time
from unittest.mock import Mock

import jax
import numpy as np
import pytest
from flax import nnx
from models import without_circuits
from rich.console import Console

from fockjax.inference import load_model
from fockjax.training import TrainConfig, UserError, breast_cancer, folder, loop, plots, run, train
from fockjax.training.data import Dataset, make_splits
from fockjax.training.metrics import Evaluation
from fockjax.training.probe import Probe

pytestmark = pytest.mark.loose_promotion  # Flax, Optax and scikit-learn promote

EPOCHS = 8
PNG = b"\x89PNG\r\n\x1a\n"


def made(classes=("no", "yes"), rows=80):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(rows, 4)) * [1, 10, 0.1, 3] + [0, 5, 0, -2]
    y = 2 * x[:, 0] - x[:, 1] / 10 + 0.3 * rng.normal(size=rows)
    target = y if classes is None else (y > -0.5).astype(float)
    return Dataset("made", x, target, ("a", "b", "c", "d"), "y", classes)


def config(out, **changes):
    return dataclasses.replace(
        TrainConfig(out=out, epochs=EPOCHS, checkpoint_seconds=0, modes=2), **changes
    )


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """Leave the circuit out, and compile once what runs of one configuration have in common."""
    programs, make_program = {}, loop.make_program

    def once(model, task, config, rows):
        shapes = [leaf.shape for leaf in jax.tree.leaves(nnx.state(model))]
        key = (json.dumps(config.identity()), task, rows, str(shapes))
        if key not in programs:
            programs[key] = make_program(model, task, config, rows)
        return programs[key]

    with without_circuits(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "make_program", once)
        yield


def quietly(config, dataset=None):
    """Train, and return (results, what was printed)."""
    text = io.StringIO()
    console = Console(file=text, width=200)
    return train(config, dataset or made(), console).results, text.getvalue()


def test_names_of_the_user_s_are_printed_as_they_are(tmp_path):
    """Not as the markup or the emoji of the console."""
    x, y = made().features, made().target
    x[:, 1] = 7
    names = ("speed [m/s]", "[/s]", "[bold]", ":x:")
    dataset = Dataset("[/made] :car:", x, y, names, "y", ("no", "yes"))
    out = tmp_path / "[red] runs"
    _, text = quietly(config(out, epochs=1), dataset)
    for told in ("Test rows of [/made] :car:", "so without effect: [/s]", f"folder: {out}\n"):
        assert told in text, told
    (only,) = (out / folder.CHECKPOINTS).iterdir()
    (damaged := only.with_name(only.name.replace("1", "2"))).write_bytes(b"junk")
    (out / folder.RESULTS).unlink()
    _, text = quietly(config(out, epochs=1, resume=True), dataset)
    assert f"{damaged} is damaged" in text


def log_of(out):
    """metrics.jsonl without the one figure that is a timing."""
    lines = [json.loads(line) for line in (out / folder.METRICS).read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "samples_per_second"} for line in lines]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "finished"
    results, text = quietly(config(out))
    return out, results, text


def test_the_folder_holds_what_is_promised(finished):
    out, results, _ = finished
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoints",
        "config.json",
        "confusion_matrix.png",
        "learning_curve.png",
        "metrics.jsonl",
        "probe.json",
        "report.md",
        "results.json",
        "roc.png",
    ]
    for name in ("confusion_matrix.png", "learning_curve.png", "roc.png"):
        assert (out / name).read_bytes().startswith(PNG)
    assert folder.read_results(out) == results
    description = folder.read_config(out)
    assert description["data"]["columns"] == ["a", "b", "c", "d"]
    assert description["data"]["classes"] == ["no", "yes"]
    assert description["identity"]["epochs"] == EPOCHS
    assert description["split"] == {"train": 51, "validation": 13, "test": 16}
    log = log_of(out)
    assert [line["epoch"] for line in log] == list(range(1, EPOCHS + 1))
    assert {"loss", "score", "leakage", "val_loss", "skipped"} <= log[0].keys()


def test_the_table_compares_with_every_baseline(finished):
    out, results, text = finished
    assert list(results["figures"]) == ["photonic", "identity", "linear", "linear_pca", "mlp"]
    report = (out / "report.md").read_text()
    for shown in (text, report):
        for title in results["titles"].values():
            assert title in shown
        assert "The circuit changes accuracy by" in shown
        assert f"{100 * results['figures']['linear']['accuracy']:.1f}%" in shown
    assert "logistic regression, PCA to 2" in text and "all 4 features" in text
    assert "8 of 8 epochs" in text and "leakage" in text
    assert "samples/s" in text


def test_the_weights_are_those_of_the_best_epoch(finished):
    out, results, _ = finished
    assert min(log_of(out), key=lambda line: line["val_loss"])["epoch"] == results["best_epoch"]
    predictor, dataset = load_model(out), made()
    test = make_splits(dataset, predictor.config)[0].test
    predicted = predictor(dataset.features[test]).prediction == "yes"
    accuracy = np.mean(predicted == dataset.target[test])
    assert accuracy == pytest.approx(results["figures"]["photonic"]["accuracy"])


def test_a_finished_run_is_neither_lost_nor_repeated_by_accident(finished):
    out, results, _ = finished
    before = (out / "results.json").read_bytes()
    with pytest.raises(UserError, match="finished run: --resume .* --overwrite"):
        quietly(config(out))
    assert (out / "results.json").read_bytes() == before
    again, text = quietly(config(out, resume=True))
    assert again == results and "of 8 epochs" not in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.5}, "learning_rate was 0.01, now 0.5"),
        ({"modes": 3, "seed": 4}, "modes was 2, now 3; seed was 0, now 4"),
    ],
)
def test_another_configuration_is_not_resumed(finished, changes, message):
    with pytest.raises(UserError, match=f"another run: {message}"):
        quietly(config(finished[0], resume=True, **changes))


def test_other_data_are_not_resumed(finished):
    with pytest.raises(UserError, match="data_sha256"):
        quietly(config(finished[0], resume=True), made(rows=81))


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    for changes in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(UserError, match="not empty and holds no run"):
            quietly(config(tmp_path, **changes))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_is_of_one_process_at_a_time(finished):
    options = config(finished[0], resume=True)
    with folder._locked(finished[0]), pytest.raises(UserError, match="another process is writing"):
        quietly(options)
    assert quietly(options)[0] == finished[1]


def test_temporary_files_of_others_are_left_alone(tmp_path):
    for name in (".draft.tmp", ".config.json.abc.tmp"):  # the second may be that of a killed run
        (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match="not empty and holds no run"):
        quietly(config(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [".draft.tmp"]


NUMERIC = [each.name for each in dataclasses.fields(TrainConfig) if each.type in (int, float)]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", NUMERIC)
def test_no_number_among_the_options_may_be_infinite(tmp_path, name, value):
    out = tmp_path / "run"
    options = config(out, **{name: value})
    if (name, value) == ("checkpoint_seconds", np.inf):
        return options.check()  # only at the end
    with pytest.raises(UserError, match=f"--{name.replace('_', '-')} must .* got {value}"):
        quietly(options)
    assert not out.exists()


class Stop(Exception):
    """Ends a run at a chosen place."""


def stop_at(monkeypatch, place, epoch):
    """Break off when `epoch` is shown, or while its checkpoint is saved."""
    if place == "progress":
        original = run.TrainingProgress.epoch

        def shown(self, number, metrics):
            if number == epoch:
                raise Stop
            return original(self, number, metrics)

        monkeypatch.setattr(run.TrainingProgress, "epoch", shown)
    else:
        save = run.checkpoint.save

        def saved(checkpoints, number, *rest):
            if number == epoch:
                raise Stop
            return save(checkpoints, number, *rest)

        monkeypatch.setattr(run.checkpoint, "save", saved)


def broken_off(monkeypatch, out, place, epoch):
    with monkeypatch.context() as patch:
        stop_at(patch, place, epoch)
        with pytest.raises(Stop):
            quietly(config(out))
    assert not (out / "results.json").exists()


def assert_ends_as(finished, out, results):
    assert log_of(out) == log_of(finished[0])
    assert results["figures"] == finished[1]["figures"]
    assert results["best_epoch"] == finished[1]["best_epoch"]


@pytest.mark.parametrize(("place", "epoch"), [("progress", 1), ("save", 5)])
def test_a_broken_off_run_is_resumed_exactly(finished, tmp_path, monkeypatch, place, epoch):
    out = tmp_path / "run"
    broken_off(monkeypatch, out, place, epoch)
    with pytest.raises(UserError, match="unfinished run: --resume"):
        quietly(config(out))
    with open(out / "metrics.jsonl", "a") as file:  # a line that the kill cut short
        file.write('{"epoch": 99, "lo')
    results, text = quietly(config(out, resume=True))
    assert ("resuming after epoch 4" in text) == (place == "save")
    assert_ends_as(finished, out, results)


def test_a_damaged_checkpoint_costs_an_epoch_not_the_run(finished, tmp_path, monkeypatch):
    out = tmp_path / "run"
    broken_off(monkeypatch, out, "save", 6)
    newest = run.checkpoint.paths(out / "checkpoints")[0]
    newest.write_bytes(newest.read_bytes()[:-1])
    results, text = quietly(config(out, resume=True))
    assert "warning" in text and newest.name in text and "resuming after epoch 4" in text
    assert_ends_as(finished, out, results)


@pytest.mark.parametrize("place", ["baselines", pytest.param("results", marks=pytest.mark.slow)])
def test_a_run_that_stopped_early_is_resumed(tmp_path, monkeypatch, place):
    """The epoch under way when patience ran out is in the checkpoint, and so in the log."""
    out, options = tmp_path / "run", {"epochs": 40, "patience": 2, "learning_rate": 0.3}
    whole, _ = quietly(config(tmp_path / "whole", **options))
    assert whole["epochs"] < 40
    if place == "results":
        quietly(config(out, **options))
        (out / "results.json").unlink()
    else:
        with monkeypatch.context() as patch:
            patch.setattr(run.baselines, "evaluate_baselines", Mock(side_effect=Stop))
            with pytest.raises(Stop):
                quietly(config(out, **options))
    results, text = quietly(config(out, **options, resume=True))
    assert f"resuming after epoch {whole['epochs']}" in text
    assert_ends_as((tmp_path / "whole", whole), out, results)
    # From the checkpoint before, too, at which patience had run out as well.
    run.checkpoint.paths(out / "checkpoints")[0].unlink()
    (out / "results.json").unlink()
    results, text = quietly(config(out, **options, resume=True))
    assert f"resuming after epoch {whole['epochs'] - 1}" in text
    assert_ends_as((tmp_path / "whole", whole), out, results)


@pytest.mark.slow
def test_folds_are_reported_by_mean_and_spread_and_resumed(tmp_path, monkeypatch):
    out = tmp_path / "folds"
    options = config(out, folds=2, epochs=3)
    original = run._Run.train_split

    def second_fold_fails(self, number, path, title):
        if number == 1:
            raise Stop
        return original(self, number, path, title)

    with monkeypatch.context() as patch:
        patch.setattr(run._Run, "train_split", second_fold_fails)
        with pytest.raises(Stop):
            quietly(options)
    first = (out / "fold_0" / "results.json").stat().st_mtime_ns
    results, text = quietly(dataclasses.replace(options, resume=True))
    assert (out / "fold_0" / "results.json").stat().st_mtime_ns == first
    folds = [json.loads((out / f"fold_{k}" / "results.json").read_text()) for k in (0, 1)]
    for key, figures in results["figures"].items():
        values = [fold["figures"][key]["accuracy"] for fold in folds]
        assert figures["accuracy"] == pytest.approx(np.mean(values))
        assert figures["accuracy_std"] == pytest.approx(np.std(values))
    assert "±" in text and "over 2 folds" in text
    # Overwriting clears the folds, too, and files that are not ours stay.
    (out / "notes.txt").write_text("mine")
    again, _ = quietly(dataclasses.replace(options, overwrite=True))
    assert again["figures"] == results["figures"]
    assert (out / "notes.txt").exists()


def test_regression_is_reported_in_the_units_of_the_target(tmp_path):
    dataset = made(classes=None)
    dataset = dataclasses.replace(dataset, target=1000 + 50 * dataset.target)
    dataset.features[:, 2] = 4.0
    results, text = quietly(config(tmp_path / "r", epochs=40, learning_rate=0.05), dataset)
    assert list(results["figures"]["linear"]) == ["rmse", "r2"]
    assert results["figures"]["photonic"]["r2"] > 0.8
    spread = dataset.target.std()
    assert 0.05 * spread < results["figures"]["photonic"]["rmse"] < 0.5 * spread
    assert (tmp_path / "r" / "predicted_vs_true.png").read_bytes().startswith(PNG)
    assert not (tmp_path / "r" / "roc.png").exists()
    assert "RMSE" in text and "R²" in text
    assert "constant in training, so without effect: c" in text


def test_targets_beyond_single_precision_are_learned(tmp_path):
    dataset = made(classes=None)
    large = dataclasses.replace(dataset, target=1e60 * dataset.target)
    results, _ = quietly(config(tmp_path / "large", epochs=3), large)
    same, _ = quietly(config(tmp_path / "same", epochs=3), dataset)
    for model, figures in results["figures"].items():
        assert figures["rmse"] == pytest.approx(1e60 * same["figures"][model]["rmse"], rel=1e-3)
        assert figures["r2"] == pytest.approx(same["figures"][model]["r2"], abs=1e-3)


@pytest.mark.parametrize("folds", [1, 4])
def test_a_row_far_from_the_others_is_named_before_anything_is_written(tmp_path, folds):
    dataset = made(classes=None)
    options = config(tmp_path / "run", folds=folds)
    row = make_splits(dataset, options)[0].test[0]
    features, target = dataset.features.copy(), dataset.target.copy()
    features[row, 1], target[row] = 1e60, 1e60
    for changed in ({"features": features}, {"target": target}):
        far = dataclasses.replace(dataset, **changed)
        name = far.columns[1] if "features" in changed else far.target_name
        with pytest.raises(UserError, match=f"row {row + 1} of .*: its '{name}' is too far"):
            quietly(options, far)
    assert not (tmp_path / "run").exists()


def several(rows=90):
    """Three classes, a column of two categories, some values missing."""
    rng = np.random.default_rng(6)
    kind = rng.integers(3, size=rows)
    features = np.column_stack([kind + 0.2 * rng.normal(size=rows), kind == 1, np.ones(rows)])
    features[:5, 0] = features[9:12, 1] = np.nan
    columns, categories = ("a", "b", "one"), {"b": ("no", "yes")}
    return Dataset("several", features, kind * 1.0, columns, "kind", ("x", "y", "z"), categories)


@pytest.mark.slow
def test_several_classes_are_reported_drawn_and_compared(tmp_path):
    out = tmp_path / "several"
    options = config(out, epochs=40, batch_size=8, learning_rate=0.05, impute="mean")
    results, text = quietly(options, several())
    for figures in results["figures"].values():
        assert list(figures) == ["accuracy", "auc"] and figures["auc"] > 0.5
    for key in ("photonic", "linear", "mlp"):
        assert results["figures"][key]["accuracy"] > 0.8 and results["figures"][key]["auc"] > 0.9
    for name in ("confusion_matrix.png", "learning_curve.png", "roc.png"):
        assert (out / name).read_bytes().startswith(PNG)
    assert "columns of categories: b (2)" in text and "all 4 features" in text
    assert "8 missing values imputed (mean) in: a, b" in text and "without effect: one" in text
    description = folder.read_config(out)
    assert description["data"]["classes"] == ["x", "y", "z"]
    assert description["data"]["categories"] == {"b": ["no", "yes"]}


# A run in its own process, to be killed. The first argument says whether there is a circuit.
SCRIPT = """
import sys
from pathlib import Path
from fockjax.training import TrainConfig, run, model
from fockjax.training.run import train
build = model.build_model
if sys.argv[1] == "classical":
    run.build_model = lambda n, c, photonic=True, outputs=1: build(n, c, photonic=False)
train(TrainConfig(out=Path(sys.argv[2]), epochs=int(sys.argv[3]), cutoff=4, layers=1,
                  checkpoint_seconds=0, patience=10**6, resume=True))
"""


def start(kind, out, epochs):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, kind, str(out), str(epochs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(kind, out, epochs):
    """Let a process train to its end, and return what it printed."""
    process = start(kind, out, epochs)
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 0, output
    return output


def finish_here(kind, out, epochs):
    """The same in this process."""
    assert kind == "classical"
    options = config(out, epochs=epochs, cutoff=4, layers=1, patience=10**6, resume=True)
    return quietly(options, breast_cancer())[1]


def kill_when(process, reached, timeout=300):
    """SIGKILL as soon as `reached()`; False if the process ended before."""
    end = time.monotonic() + timeout
    while process.poll() is None and not reached():
        assert time.monotonic() < end
        time.sleep(0.002)
    alive = process.poll() is None
    if alive:
        process.send_signal(signal.SIGKILL)
    process.communicate()
    return alive


def kill_and_compare(kind, tmp_path, epochs, moments, finish):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(kind, whole, epochs)
    for moment in moments:
        process = start(kind, killed, epochs)
        assert kill_when(process, moment(killed)), "the run ended before it could be killed"
    assert "resuming after epoch" in finish(kind, killed, epochs)
    assert log_of(killed) == log_of(whole)
    results = [json.loads((out / "results.json").read_text()) for out in (whole, killed)]
    assert results[0]["figures"] == results[1]["figures"]
    assert not list(killed.glob(".*.tmp")) and not list((killed / "checkpoints").glob(".*.tmp"))


def after_checkpoint(epoch):
    """A moment: the checkpoint of `epoch`, or a later one, is there."""

    def moment(out):
        checkpoints = out / "checkpoints"

        def reached():
            names = os.listdir(checkpoints) if checkpoints.is_dir() else []
            return any(name.startswith("epoch-") and int(name[6:14]) >= epoch for name in names)

        return reached

    return moment


@pytest.mark.slow
def test_a_killed_process_is_resumed_exactly(tmp_path):
    kill_and_compare("classical", tmp_path, 250, [after_checkpoint(20)], finish_here)


@pytest.mark.slow
def test_a_process_killed_at_random_moments_is_resumed_exactly(tmp_path):
    seed = np.random.SeedSequence().entropy  # unlike others, this test means to differ each time
    print(f"seed {seed}")  # pytest shows it where the test fails
    rng = np.random.default_rng(seed)

    def after_seconds(out):
        end = time.monotonic() + rng.uniform(0, 12)
        return lambda: time.monotonic() > end

    moments = [after_checkpoint(epoch) for epoch in sorted(rng.integers(1, 350, size=4))]
    kill_and_compare("photonic", tmp_path, 400, [after_seconds, *moments], finish)


def test_an_epoch_without_a_finite_loss_is_drawn_and_is_not_the_best(tmp_path):
    keys = ("loss", "score", "leakage", "val_loss", "val_score", "val_leakage")
    history = [{"epoch": 1} | dict.fromkeys(keys, 0.5), {"epoch": 2} | dict.fromkeys(keys)]
    plots.learning_curve(tmp_path / "curve.png", history, 1, "accuracy")
    assert (tmp_path / "curve.png").read_bytes().startswith(PNG)


MONEY = ("$0_to_$10k", "_$10k_to_$50k")  # to Matplotlib a formula it cannot read, and a hidden one


def test_labels_are_drawn_as_they_stand(tmp_path, monkeypatch):
    out = tmp_path / "money"
    results, _ = quietly(config(out), made(classes=MONEY))
    assert (out / "results.json").exists()
    assert not [note for note in results["notes"] if "drawn" in note]
    truth, answer = np.arange(12.0) % 3, np.eye(3)[np.arange(12) % 3]
    evaluation = Evaluation(truth, truth, answer, np.zeros(12))
    plots.predicted_against_true(tmp_path / "scatter.png", evaluation, "$_usd_$")
    figures, save = [], plots._save
    monkeypatch.setattr(plots, "_save", lambda figure, path: figures.append(figure))
    plots.roc_of_classes(tmp_path / "roc.png", evaluation, (*MONEY, "rest"))
    plots.confusion_matrix(tmp_path / "matrix.png", evaluation, (*MONEY, "rest"))
    curves, matrix = (figure.axes[0] for figure in figures)
    named = [text.get_text().replace("\\", "") for text in curves.get_legend().get_texts()]
    assert named == [f"{name}: 1.000" for name in (*MONEY, "rest")]
    for axis in (matrix.xaxis, matrix.yaxis):
        words = [text.get_text().replace("\\", "") for text in axis.get_ticklabels()]
        assert words == [*MONEY, "rest"]
    for figure in figures:
        save(figure, tmp_path / "drawn.png")


def test_a_plot_that_fails_does_not_take_the_training_with_it(tmp_path, monkeypatch):
    def failing(*_):
        raise ValueError("no such\nfont")

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(plots, "confusion_matrix", failing)
        results, text = quietly(config(out))
    note = "confusion_matrix.png could not be drawn: ValueError: no such font"
    assert note in results["notes"] and note in text
    report = (out / "report.md").read_text()
    assert note in report and "![confusion" not in report and "![roc.png]" in report
    assert quietly(config(out, resume=True))[0] == results


def test_a_disk_that_fails_under_a_plot_leaves_the_run_to_be_resumed(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(plots, "confusion_matrix", full)
        with pytest.raises(OSError, match="No space"):
            quietly(config(out))
    assert not (out / "results.json").exists()
    quietly(config(out, resume=True))
    assert (out / "confusion_matrix.png").exists()


def test_a_probe_far_from_zero_is_compared_in_standard_deviations():
    probe = Probe([[1.0]], np.array([1.7e9]), np.array([1e-3]))
    for off, right in ((1e-4, True), (0.1, False), (1e5, False)):
        assert probe.agrees(probe.answer + off, probe.leakage, center=1.7e9 - 3, unit=10.0) == right
