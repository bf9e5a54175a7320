"""The log of epochs, metrics.jsonl: what a plot of the training is drawn from."""

import json
import math
import os
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path

from fockjax._files import atomic_writer, naming, write_all


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
        self._path, self._file = path, open(path, "ab", buffering=0)

    def append(self, line: dict) -> None:
        """Add a line. Numbers that are not finite become null, since JSON has no NaN."""
        line = {key: value if _finite(value) else None for key, value in line.items()}
        self.history.append(line)
        with naming(self._path):
            write_all(self._file, json.dumps(line, allow_nan=False).encode() + b"\n")

    def sync(self) -> None:
        """Write the lines to the disk. Call this before a checkpoint that relies on them."""
        with naming(self._path):
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
