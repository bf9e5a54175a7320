"""The model folder: its files, and when it may be written to.

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
import os
from collections.abc import Iterator
from pathlib import Path

from fockjax._advice import UserError
from fockjax._files import lock, read_sealed, remove_leftovers, write_sealed
from fockjax.training import checkpoint
from fockjax.training.config import TrainConfig

CONFIG, RESULTS, METRICS, REPORT = "config.json", "results.json", "metrics.jsonl", "report.md"
CHECKPOINTS, PROBE = "checkpoints", "probe.json"
PLOTS = ("learning_curve.png", "confusion_matrix.png", "roc.png", "predicted_vs_true.png")
FOLDS = "fold_[0-9]*"
FILES = (RESULTS, PROBE, REPORT, METRICS, *PLOTS)  # beside config.json
FORMAT = 5


@contextlib.contextmanager
def claimed(
    folder: Path, description: dict, config: TrainConfig, *, fold: bool = False
) -> Iterator[None]:
    """Make `folder` the place of this run, and of no other process until the block ends; raises
    UserError if it cannot be.

    Args:
        folder: created if need be.
        description: becomes config.json; its "identity" must equal that of a run to be resumed.
        config: says whether to resume or to overwrite.
        fold: whether it is within a folder claimed for the same run; other files may be in it then.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the model folder {folder}: {error.strerror}") from None
    with _locked(folder):
        _claim(folder, description, config, fold)
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


def _claim(folder: Path, description: dict, config: TrainConfig, fold: bool) -> None:
    if not (folder / CONFIG).exists():
        remove_leftovers(folder / CONFIG)  # all that a run killed this early can leave
        if fold:
            _check_free(folder)
        elif any(folder.iterdir()):
            raise UserError(f"{folder} is not empty and holds no run: choose another --out")
    elif config.resume:
        _check_same(folder, read_config(folder)["identity"], description["identity"])
        _remove_leftovers(folder)
        return
    else:
        _check_ours(folder)
        if not config.overwrite:
            state = "a finished run" if (folder / RESULTS).exists() else "an unfinished run"
            raise UserError(
                f"{folder} holds {state}: --resume continues it, --overwrite starts afresh, "
                "--out names another folder"
            )
        clear(folder)
    write_sealed(folder / CONFIG, description)


def _remove_leftovers(folder: Path) -> None:
    """Remove what a process killed while writing a file of a run has left beside it."""
    for name in (CONFIG, *FILES):
        remove_leftovers(folder / name)
    for leftover in (folder / CHECKPOINTS).glob(".epoch-*.ckpt.*.tmp"):
        leftover.unlink(missing_ok=True)


def _check_ours(folder: Path) -> None:
    """Raise UserError if `folder`, or one that is named as a fold in it, holds files that are named
    as those of a run and are not of one.
    """
    for place in (folder, *folder.glob(FOLDS)):
        if not place.is_dir():
            raise UserError(f"{place} is not the folder of a fold: choose another --out")
        if not (place / CONFIG).exists():
            _check_free(place)
        elif not _describes_a_run(place / CONFIG):
            raise UserError(
                f"{place}: its {CONFIG} is not of fockjax, or is damaged: choose another --out"
            )


def _check_free(folder: Path) -> None:
    """Raise UserError if a folder without a run has files that are named as those of one."""
    for name in (*FILES, CHECKPOINTS):
        if (folder / name).exists():
            raise UserError(f"{folder} holds no run, but has a {name}: choose another --out")


def _describes_a_run(config: Path) -> bool:
    """Whether a config.json is that of a run, of whatever format. Other programs have one, too."""
    try:
        description = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(description, dict) and {"format", "identity"} <= description.keys()


def clear(folder: Path) -> None:
    """Remove the files of a run and folders that are empty then, but nothing else."""
    _remove_leftovers(folder)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    for path in checkpoint.paths(folder / CHECKPOINTS):
        path.unlink()
    emptied = [folder / CHECKPOINTS]
    for fold in folder.glob(FOLDS):
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
        description = read_sealed(
            path, "take it from a copy, or train anew in another folder (--out)"
        )
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
