"""The command line: what a newcomer types, and one clear line when it cannot work."""

import csv
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

import fockjax as fj
from fockjax import cli
from fockjax.runtime import RunError, memory
from fockjax.training import loop

pytestmark = pytest.mark.loose_promotion  # Flax, Optax and scikit-learn promote


@pytest.fixture
def flowers(tmp_path):
    """A small CSV file of the user's."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2))
    path = tmp_path / "flowers.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["length", "width", "kind"])
        for row in x:
            writer.writerow([*row, "iris" if row.sum() > 0 else "rose"])
    return path


SMALL = ["--modes", "1", "--cutoff", "4", "--layers", "1", "--epochs", "2"]


def test_train_then_predict(flowers, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "--data", str(flowers), "--target", "kind", *SMALL]) == 0
    out = capsys.readouterr().out
    assert "photonic circuit (1 mode, cutoff 4)" in out and "model folder: runs/flowers" in out
    assert cli.main(["predict", "runs/flowers", "flowers.csv", "-o", "out.csv"]) == 0
    with open("out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40 and {row["prediction"] for row in rows} <= {"iris", "rose"}

    # Once more by accident, in the same folder; then with a file that lacks a column.
    assert cli.main(["train", "--data", str(flowers), "--target", "kind", *SMALL]) == 2
    assert "finished run: --resume" in one_line(capsys)
    (tmp_path / "other.csv").write_text("length,kind\n1,2\n")
    assert cli.main(["predict", "runs/flowers", "other.csv", "-o", "more.csv"]) == 2
    assert "lacks 1 of the model's columns: 'width'" in one_line(capsys)


def one_line(capsys):
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1, error
    return error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "FLOWERS", "--target", "sort"], "its columns are: length, width, kind"),
        (["--data", "missing.csv", "--target", "kind"], "missing.csv does not exist"),
        (["--data", "FLOWERS"], "--target COLUMN"),
        (["--target", "kind"], "need --data FILE"),
        (["--drop", "kind"], "need --data FILE"),
        (["--categorical", "kind"], "need --data FILE"),
        (["--task", "regression"], "needs --data"),
        (["--data", "FLOWERS", "--target", "width", "--drop", "x"], "no column 'x'"),
        (["--data", "FLOWERS", "--target", "kind", "--folds", "30"], "at least 30"),
        (["--data", "FLOWERS", "--target", "kind", "--test-fraction", "0.01"], "cannot be split"),
        (["--resume", "--overwrite"], "give only one"),
        (["--modes", "0"], "--modes must be at least 1, got 0"),
        (["--cutoff", "-3"], "--cutoff must be at least 1"),
        (["--batch-size", "0"], "--batch-size must be at least 1"),
        (["--learning-rate", "nan"], "--learning-rate must be positive and finite"),
        (["--leakage-penalty", "-1"], "--leakage-penalty must be finite and not negative, got -1"),
        (
            ["--leakage-penalty", "inf"],
            "--leakage-penalty must be finite and not negative, got inf",
        ),
        (["--weight-decay", "inf"], "--weight-decay must be finite and not negative, got inf"),
        (["--checkpoint-seconds", "nan"], "--checkpoint-seconds must not be negative, got nan"),
        (["--seed", "5000000000"], "--seed must lie between 0 and 4294967295, got 5000000000"),
        (["--test-fraction", "1.5"], "--test-fraction must lie between 0 and 1"),
        (
            ["--modes", "12", "--cutoff", "20", "--out", "new"],
            "bytes. Lower --modes or --cutoff, or bound all photons together (--total-photons).",
        ),
    ],
)
def test_what_cannot_work_is_one_line_and_exit_code_two(
    flowers, tmp_path, capsys, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    arguments = [str(flowers) if word == "FLOWERS" else word for word in arguments]
    assert cli.main(["train", *arguments]) == 2
    assert message in one_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["flowers.csv"]  # nothing left behind


@pytest.mark.slow
def test_memory_that_runs_out_is_told_with_options_of_the_command(
    flowers, tmp_path, capsys, monkeypatch
):
    def exhausted(*args, **named):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")

    monkeypatch.chdir(tmp_path)
    train = ["train", "--data", str(flowers), "--target", "kind", "--total-photons", *SMALL]
    with monkeypatch.context() as patch:
        patch.setattr(loop, "fit", exhausted)
        assert cli.main(train) == 2
    told = "allocating 9 bytes. Lower --batch-size. Lower --modes or --cutoff.\n"
    assert one_line(capsys).endswith(told)

    assert cli.main([*train, "--overwrite"]) == 0
    capsys.readouterr()
    monkeypatch.setattr(memory, "room", lambda *_: 10)
    assert cli.main(["predict", "runs/flowers", "flowers.csv", "-o", "out.csv"]) == 2
    assert "room for 10 B. Raise --memory, or train" in one_line(capsys)


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["train", "--epochs", "many"], ["predict", "model"]]
)
def test_wrong_usage_is_exit_code_two(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    assert "fockjax" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "predict", "validate", "serve", "report"])
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    assert f"fockjax {command}" in capsys.readouterr().out


def test_the_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"fockjax {fj.__version__}\n"


def test_the_values_in_a_message_are_not_taken_for_markup(capsys, tmp_path):
    assert cli.main(["predict", str(tmp_path / "[bold]"), "x.csv", "-o", "y.csv"]) == 2
    assert "[bold] is not a model folder" in one_line(capsys)


def test_an_interrupted_prediction_says_how_to_go_on(capsys, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "predict", interrupted)
    command = ["predict", "model", "x.csv", "-o", "y.csv"]
    assert cli.main(command) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert cli.main([*command, "--restart"]) == 130
    assert "the same command without --restart goes on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "out of memory"),
        (MemoryError("Unable to allocate 9 GiB"), "Unable to allocate 9 GiB"),
        (jax.errors.JaxRuntimeError("INTERNAL: a\nb"), "INTERNAL: a b"),
        (RunError("row 3 could not be finished.", None, np.array([3])), "could not be finished"),
    ],
)
def test_what_the_device_or_the_memory_refuses_is_one_line(capsys, monkeypatch, error, told):
    def failing(_):
        raise error

    monkeypatch.setattr(cli, "train", failing)
    monkeypatch.setattr(cli, "predict", failing)
    assert cli.main(["train"]) == 2
    assert one_line(capsys).endswith(f"{told}; continue with --resume\n")
    assert cli.main(["predict", "model", "x.csv", "-o", "y.csv"]) == 2
    assert one_line(capsys).endswith(f"{told}; the same command goes on from here\n")


def test_an_interrupted_training_says_how_to_go_on(capsys, monkeypatch):
    def interrupted(config):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "train", interrupted)
    assert cli.main(["train"]) == 130
    assert "--resume" in capsys.readouterr().err


@pytest.mark.parametrize("model", [None, "runs/mine"])
def test_validate_passes_the_model_on(monkeypatch, model):
    from pathlib import Path

    import fockjax.validation

    asked = []
    monkeypatch.setattr(
        fockjax.validation, "run", lambda *args, **named: asked.append((args, named)) or 1
    )
    arguments = [model] if model else []
    assert cli.main(["validate", *arguments, "--source", "golden"]) == 1
    assert asked == [((Path(model) if model else None,), {"source": "golden", "only": None})]
    cli.main(["validate", *arguments, "--only", "wigner", "loss"])
    assert asked[-1][1] == {"source": "auto", "only": ("wigner", "loss")}


def test_importing_the_tool_loads_no_heavy_library():
    heavy = {"matplotlib", "pyarrow", "sklearn"}
    code = f"import sys, fockjax.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone_is_no_traceback(unbuffered):
    """As in `fockjax --help | head -1`."""
    command = [sys.executable, "-m", "fockjax", "--help"]
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=env) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 1
