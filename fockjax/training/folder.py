"""The model folder: its files, when it may be written to, and the log of epochs.

config.json        options, data description, scaler: all that using the model takes, but weights
checkpoints/       the last two states of the training, with the best weights
metrics.jsonl      one line per epoch
probe.json         a test row and its answer: docs/serving.md
results.json       test figures; its presence means the run is finished
report.md, *.png   for people
fold_0/, ...       one model folder per fold, with --folds
"""

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from fockjax._advice import UserError
from fockjax._files import atomic_writer, lock, remove_leftovers, write_json
from fockjax.training import checkpoint
from fockjax.training.config import TrainConfig, identity_hash

CONFIG, RESULTS, METRICS, REPORT = "config.json", "results.json", "metrics.jsonl", "report.md"
CHECKPOINTS, PROBE = "checkpoints", "probe.json"
PLOTS = ("learning_curve.png", "confusion_matrix.png", "roc.png", "predicted_vs_true.png")
FORMAT = 4
DIGEST = "sha256"


@contextlib.contextmanager
def claimed(folder: Path, description: dict, config: TrainConfig) -> Iterator[None]:
    """Make `folder` the place of this run, and of no other process until the block ends; raises
    UserError if it cannot be.

    Args:
        folder: created if need be.
        description: becomes config.json; its "identity" must equal that of a run to be resumed.
        config: says whether to resume or to overwrite.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the model folder {folder}: {error.strerror}") from None
    with _locked(folder):
        _claim(folder, description, config)
        yield


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows cannot open a folder
        yield
        return
    try:
        lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _claim(folder: Path, description: dict, config: TrainConfig) -> None:
    if not (folder / CONFIG).exists():
        remove_leftovers(folder / CONFIG)  # all that a run killed this early can leave
        if any(folder.iterdir()):
            raise UserError(f"{folder} is not empty and holds no run: choose another --out")
    elif config.overwrite:
        clear(folder)
    elif config.resume:
        _check_same(folder, read_config(folder)["identity"], description["identity"])
        _remove_leftovers(folder)
        return
    else:
        state = "a finished run" if (folder / RESULTS).exists() else "an unfinished run"
        raise UserError(
            f"{folder} holds {state}: --resume continues it, --overwrite starts afresh, "
            "--out names another folder"
        )
    write_json(folder / CONFIG, description | {DIGEST: identity_hash(description)})


def _remove_leftovers(folder: Path) -> None:
    """Remove what a process killed while writing a file of a run has left beside it."""
    for name in (CONFIG, RESULTS, PROBE, REPORT, METRICS, *PLOTS):
        remove_leftovers(folder / name)
    for leftover in (folder / CHECKPOINTS).glob(".epoch-*.ckpt.*.tmp"):
        leftover.unlink(missing_ok=True)


def clear(folder: Path) -> None:
    """Remove the files of a run and folders that are empty then, but nothing else."""
    _remove_leftovers(folder)
    for name in (RESULTS, PROBE, REPORT, METRICS, *PLOTS):
        (folder / name).unlink(missing_ok=True)
    for path in checkpoint.paths(folder / CHECKPOINTS):
        path.unlink()
    emptied = [folder / CHECKPOINTS]
    for fold in folder.glob("fold_*"):
        if (fold / CONFIG).exists():
            clear(fold)
            (fold / CONFIG).unlink()
            emptied.append(fold)
    for place in emptied:
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()


def read_config(folder: Path) -> dict:
    """The description in config.json."""
    path = folder / CONFIG
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} is not a model folder: it has no {CONFIG}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise UserError(f"{path} is not of format {FORMAT}: made by another version of fockjax?")
    if description.pop(DIGEST, None) != identity_hash(description):
        raise UserError(f"{path} is damaged or was edited (its checksum does not match)")
    return description


def read_results(folder: Path) -> dict | None:
    """results.json of a finished run, None if the run is not finished."""
    path = folder / RESULTS
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        reason = str(error)
    else:
        if _are_results(results):
            return results
        reason = "it lacks figures, or has some that are no numbers"
    raise UserError(f"{path} is damaged ({reason}): remove it, and --resume writes it anew")


def _are_results(results: Any) -> bool:
    """Whether `results` has all that is shown of a finished run, and combined over folds."""
    try:
        titles, figures, leakage = (results[name] for name in ("titles", "figures", "leakage"))
        complete = {"photonic", "identity"} <= titles.keys() == figures.keys() and all(
            each.keys() >= set(results["figure_names"]) for each in figures.values()
        )
        numbers = [number for each in figures.values() for number in each.values()]
        numbers += leakage["mean"], leakage["max"], results["skipped_steps"], results["seconds"]
        texts = [results["task"], results["data"], *titles.values(), *results["notes"]]
    except (KeyError, TypeError, AttributeError):
        return False
    return complete and all(map(_is_number, numbers)) and all(isinstance(t, str) for t in texts)


def _check_same(folder: Path, stored: dict, given: dict) -> None:
    changed = [
        f"{name} was {stored.get(name)!r}, now {given.get(name)!r}"
        for name in sorted(stored.keys() | given.keys())
        if stored.get(name) != given.get(name)
    ]
    if changed:
        raise UserError(
            f"{folder} cannot be resumed, it belongs to another run: {'; '.join(changed)}"
        )


class MetricsLog:
    """The file metrics.jsonl: a line for each epoch. Resuming a run cuts it back to its checkpoint.

    Args:
        path: the file.
        epochs: how many epochs to keep the lines of; 0 for a new run.
        names: the metrics of each epoch.
        warn: called with a message if some of these lines are missing or damaged; their metrics
            become null.
    """

    def __init__(
        self, path: Path, epochs: int, names: Sequence[str], warn: Callable[[str], object]
    ):
        self.history = _read_history(path, epochs, names, warn)
        with atomic_writer(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in self.history)
        self._file = open(path, "a", encoding="utf-8")

    def append(self, line: dict) -> None:
        """Add a line. Numbers that are not finite become null, since JSON has no NaN."""
        line = {key: value if _finite(value) else None for key, value in line.items()}
        self.history.append(line)
        self._file.write(json.dumps(line, allow_nan=False) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Write the lines to the disk. Call this before a checkpoint that relies on them."""
        os.fsync(self._file.fileno())

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _finite(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _read_history(
    path: Path, epochs: int, names: Sequence[str], warn: Callable[[str], object]
) -> list[dict]:
    """The lines of the first `epochs`. A kill can have cut short only a later one; one that is
    damaged in another way is not known.
    """
    texts = path.read_bytes().splitlines() if path.exists() else []
    lines = [
        _whole_line(text, epoch, names)
        for epoch, text in zip_longest(range(1, epochs + 1), texts[:epochs])
    ]
    if missing := lines.count(None):
        warn(f"{path} is damaged: the metrics of {missing} of {epochs} epochs are not known")
    unknown = dict.fromkeys(names)
    return [line or {"epoch": epoch, **unknown} for epoch, line in enumerate(lines, 1)]


def _whole_line(text: bytes | None, epoch: int, names: Sequence[str]) -> dict | None:
    """The line of an epoch, None if `text` is not one."""
    try:
        line = json.loads(text or b"")
        values = [line[name] for name in names]
        whole = line["epoch"] == epoch and all(v is None or _is_number(v) for v in values)
    except (ValueError, LookupError, TypeError):
        return None
    return line if whole else None
