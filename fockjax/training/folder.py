"""The model folder: its files, when it may be written to, and the log of epochs.

config.json        options, data description, scaler: all that using the model takes, but weights
checkpoints/       the last two states of the training, with the best weights
metrics.jsonl      one line per epoch
probe.json         a test row and its answer: docs/serving.md
results.json       test figures; its presence means the run is finished
report.md, *.png   for people
fold_0/, ...       one model folder per fold, with --folds

The files of JSON hold a checksum of themselves: one that is damaged or was edited is refused.
"""

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

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
    write_sealed(folder / CONFIG, description)


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


def write_sealed(path: Path, value: dict) -> None:
    """Write JSON together with its checksum, by which `read_sealed` tells whether it is whole."""
    write_json(path, value | {DIGEST: identity_hash(value)})


def read_sealed(path: Path, remedy: str) -> dict:
    """What `write_sealed` has written.

    Raises:
        FileNotFoundError: if there is no such file.
        UserError: if it cannot be read, is damaged or was edited; with what to do then.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): {remedy}") from None
    if not isinstance(value, dict) or value.pop(DIGEST, None) != identity_hash(value):
        raise UserError(f"{path} is damaged or was edited (its checksum does not match): {remedy}")
    return value


def read_config(folder: Path) -> dict:
    """The description in config.json."""
    path = folder / CONFIG
    try:
        description = read_sealed(path, "take it from a copy, or train anew (--overwrite)")
    except FileNotFoundError:
        raise UserError(f"{folder} is not a model folder: it has no {CONFIG}") from None
    if description.get("format") != FORMAT:
        raise UserError(f"{path} is not of format {FORMAT}: made by another version of fockjax?")
    return description


def read_results(folder: Path) -> dict | None:
    """results.json of a finished run, None if the run is not finished."""
    try:
        return read_sealed(folder / RESULTS, "remove it, and --resume writes it anew")
    except FileNotFoundError:
        return None


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
