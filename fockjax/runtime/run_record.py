"""The record of a run: what it did, how long it took, what went wrong."""

import contextlib
import json
import math
import os
import re
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fockjax._advice import SHOWN, first_few
from fockjax._files import write_all
from fockjax.runtime.gateway import Device
from fockjax.runtime.memory import in_use, text_of

AT_ONCE = 2**18  # numbers


@dataclass
class Statistics:
    """Mean, standard deviation and extremes of numbers that come in parts.

    >>> some = Statistics()
    >>> some.add(np.array([1.0, 2.0]))
    >>> some.add(np.array([6.0]))
    >>> some.mean, some.std, some.low, some.high
    (3.0, 2.16, 1.0, 6.0)
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0  # sum of the squared distances from the mean
    low: float = math.inf
    high: float = -math.inf

    def add(self, values: np.ndarray) -> None:
        """Take in more numbers (Chan, Golub & LeVeque 1983, eq. 2.1), as many as memory spares."""
        values = values.ravel()
        for start in range(0, values.size, AT_ONCE):
            self._add(values[start : start + AT_ONCE].astype(np.float64))

    @np.errstate(over="ignore", invalid="ignore")  # of numbers whose squares are infinite
    def _add(self, values: np.ndarray) -> None:
        count, mean = self.count + values.size, float(values.sum()) / values.size
        distances, apart = values - mean, mean - self.mean
        self.squares += float(distances @ distances)
        self.squares += float(np.square(apart)) * self.count * values.size / count
        self.mean += apart * values.size / count
        self.count = count
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))

    @property
    def std(self) -> float:
        return math.sqrt(self.squares / self.count)


class Watch:
    """Measures time from its creation on, and the memory of a device if one is given.

    Asking for memory takes up to 0.7 ms.
    """

    def __init__(self, device: Device | None):
        self._device, self._start = device, time.perf_counter()
        if device is None:
            return
        self._before = in_use(device)
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # Linux: resets the peak (VmHWM)

    def seconds(self) -> float:
        return time.perf_counter() - self._start

    def memory(self) -> dict[str, int]:
        """Bytes in use "before", at the "peak" and "after".

        Where the system cannot reset the peak, it is that of the whole process so far.
        """
        if self._device is None:
            return {}
        stats, after = self._device.memory_stats(), in_use(self._device)
        if stats is not None:
            peak = stats["peak_bytes_in_use"]
        else:
            mark = re.search(r"VmHWM:\s*(\d+) kB", text_of(Path("/proc/self/status")) or "")
            peak = int(mark[1]) * 1024 if mark else after
        return {"before": self._before, "peak": max(peak, after), "after": after}


@dataclass
class RunRecord:
    """What one call of a `Runner`, or one stream, did. In a file it is a line of JSON.

    Attributes:
        started: when, in UTC.
        about: what ran, for example the text of the circuit.
        device: what it ran on.
        versions: of jax and fockjax.
        rows: how many rows were given.
        seconds: "total" of the run, of which "transfer" and "compute" are parts, and "trace" and
            "compile" since the run before: within it, or earlier, as by `Runner.warm_up`.
        memory: bytes in use "before" and "after", and at the "peak"; empty if it was not watched.
        batches: how many batches of each size were launched.
        levels: how many rows each function gave; functions after the first have larger cutoffs.
        leakage: "mean" and "most", and how many rows are "over" the tolerance; empty if not known.
        outputs: "mean", "std", "min" and "max" of each array of the results, by its path in them;
            without those too large for a float64.
        not_finite: how many rows have a NaN or an infinity.
        recoveries: what was done about failures, in order.
        error: if the run failed or did not come to its end, the "type" and "message" of the
            exception, the numbers of the first "missing" rows, the "count" of all of these, and
            their hash ("sha256"). A stream that was closed has the type "GeneratorExit".
    """

    started: str
    about: str
    device: str
    versions: dict[str, str]
    rows: int
    seconds: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    batches: dict[str, int] = field(default_factory=dict)
    levels: dict[str, int] = field(default_factory=dict)
    leakage: dict[str, float] = field(default_factory=dict)
    outputs: dict[str, dict[str, float]] = field(default_factory=dict)
    not_finite: int = 0
    recoveries: list[str] = field(default_factory=list)
    error: dict[str, Any] | None = None

    def __post_init__(self):
        self._lost, self._results = Statistics(), {}

    @classmethod
    def begin(cls, about: str, devices: Sequence[Device], labels: Sequence[str]) -> "RunRecord":
        return cls(
            started=datetime.now(UTC).isoformat(timespec="milliseconds"),
            about=about,
            device=f"{len(devices)} x {devices[0].device_kind}",
            versions=dict(_versions()),
            rows=0,
            levels=dict.fromkeys(labels, 0),
        )

    def failed(
        self, error: BaseException, digest: str, missing: Sequence[int] | np.ndarray
    ) -> None:
        self.error = {
            "type": type(error).__name__,
            "message": "closed" if isinstance(error, GeneratorExit) else str(error),
            "missing": [int(row) for row in missing[:SHOWN]],
            "count": len(missing),
            "sha256": digest,
        }

    def add(self, results: Any) -> None:
        """Count the `Results` of some rows."""
        for label, count in zip(self.levels, np.bincount(results.level).tolist(), strict=False):
            self.levels[label] += count
        good = results.finite
        some, kept = good.any(), slice(None) if good.all() else good
        self.not_finite += int((~good).sum())
        if results.leakage is not None and some:
            self._lost.add(results.leakage[kept])
            over = int(self.leakage.get("over", 0)) + int((good & ~results.ok).sum())
            self.leakage = {"mean": self._lost.mean, "most": self._lost.high, "over": over}
        for path, leaf in jax.tree.leaves_with_path(results.values):
            if not np.iscomplexobj(leaf) and some and leaf.size:
                name = jax.tree_util.keystr(path) or "result"
                own = self._results.setdefault(name, Statistics())
                own.add(leaf[kept])
                figures = {"mean": own.mean, "std": own.std, "min": own.low, "max": own.high}
                self.outputs[name] = {k: v for k, v in figures.items() if math.isfinite(v)}

    def end(self, watch: Watch, seconds: dict[str, float]) -> None:
        self.seconds = {"total": watch.seconds(), **seconds}
        self.memory = watch.memory()

    def append_to(self, path: Path | str) -> None:
        """Append the record to a file as a line, by a single write if the system makes it so."""
        line = json.dumps(asdict(self), allow_nan=False).encode() + b"\n"
        if not _ends_with_a_line(Path(path)):
            line = b"\n" + line
        with open(path, "ab", buffering=0) as file:
            write_all(file, line)


def _ends_with_a_line(path: Path) -> bool:
    """Whether a file is empty or its last line is complete; a full disk cuts lines short."""
    if not path.is_file() or not path.stat().st_size:
        return True
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


@cache
def _versions() -> dict[str, str]:
    """Looked up once: reading a package's metadata takes longer than a small batch."""
    return {name: version(name) for name in ("jax", "fockjax")}


def check_log(path: Path | str, name: str) -> None:
    """Refuse a path that cannot be a file of records, before a run rather than at its end.

    Raises:
        ValueError: naming the argument or option, ``name``.
    """
    path = Path(path)
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(f"{name} must be a file in an existing folder, got {str(path)!r}.")


def check_trace(path: Path | str, name: str) -> None:
    """Refuse a path that cannot be a folder of traces.

    Raises:
        ValueError: naming the argument or option, ``name``.
    """
    if Path(path).exists() and not Path(path).is_dir():
        raise ValueError(f"{name} must be a folder, got the file {str(path)!r}.")


def read_records(path: Path | str, warn: Callable[[str], object] | None = None) -> list[RunRecord]:
    """The records in a file, without lines that are not records.

    Args:
        path: the file.
        warn: called with a message if lines are left out, other than a last one that is not
            complete. Default: `warnings.warn`.

    Raises:
        ValueError: if no line is a record.
    """
    warn = warn or (lambda message: warnings.warn(message, RuntimeWarning, stacklevel=3))
    records, bad, reason = [], [], None
    for number, line in enumerate(Path(path).read_bytes().split(b"\n")[:-1], 1):
        try:
            if line:
                record = RunRecord(**json.loads(line))
                if "total" not in record.seconds:
                    raise ValueError("a record without its seconds")
                records.append(record)
        except (ValueError, TypeError) as error:
            bad.append(number)
            reason = reason or f"line {number}: {error}"
    if bad and not records:
        raise ValueError(reason)
    if bad:
        lines = "line" if len(bad) == 1 else "lines"
        warn(f"{path}: cut short or not a record, and left out: {lines} {first_few(bad)}")
    return records
