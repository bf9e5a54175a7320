"""The record of a run: what it did, how long it took, what went wrong."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fockjax.runtime.device import Hardware
from fockjax.runtime.memory import Watch

SHOWN_ROWS = 10


@dataclass
class RunRecord:
    """What one call of a `Runner` did. All of it is JSON, one object a line in a file.

    Attributes:
        started: when, in UTC.
        about: what ran; the circuit's text, say.
        device: what it ran on.
        versions: of jax and fockjax.
        rows: how many rows were given.
        seconds: "total", and its parts "trace", "compile", "transfer", "compute".
        memory: bytes in use "before" and "after", and at the "peak".
        batches: how many batches of each size were launched.
        levels: how many rows each function gave; those after the first have larger cutoffs.
        leakage: "mean" and "most", and how many rows are "over" the tolerance, if it is known.
        outputs: for each array of the results, by its place in them, "mean", "std", "min", "max".
        not_finite: how many rows have a NaN or an infinity.
        recoveries: what was done about failures, in order.
        error: of a run that failed, the "type" and "message", the "missing" rows (the first few),
            how many they are ("count") and a hash of them ("sha256").
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

    @classmethod
    def begin(cls, about: str, devices: Sequence[Hardware], rows: int) -> "RunRecord":
        return cls(
            started=datetime.now(UTC).isoformat(timespec="milliseconds"),
            about=about,
            device=f"{len(devices)} x {devices[0].device_kind}",
            versions=dict(_versions()),
            rows=rows,
        )

    def failed(self, error: Exception, digest: str, missing: np.ndarray) -> None:
        self.error = {
            "type": type(error).__name__,
            "message": str(error),
            "missing": missing[:SHOWN_ROWS].tolist(),
            "count": len(missing),
            "sha256": digest,
        }

    def end(self, watch: Watch, seconds: dict[str, float], results: Any) -> None:
        self.seconds = {"total": watch.seconds(), **seconds}
        self.memory = watch.memory()
        if results is None or not len(results.ok):
            return
        counts = np.bincount(results.level).tolist()
        self.levels = {str(level): count for level, count in enumerate(counts) if count}
        self.not_finite = int((~results.finite).sum())
        if results.leakage is not None and results.finite.any():
            lost = results.leakage[results.finite]
            over = int((results.finite & ~results.ok).sum())
            self.leakage = {"mean": float(lost.mean()), "most": float(lost.max()), "over": over}
        for path, leaf in jax.tree.leaves_with_path(results.values):
            if not np.iscomplexobj(leaf) and results.finite.any():
                good = leaf[results.finite].astype(np.float64)
                name = jax.tree_util.keystr(path) or "result"
                self.outputs[name] = {
                    what: float(getattr(good, what)()) for what in ("mean", "std", "min", "max")
                }

    def append_to(self, path: Path | str) -> None:
        """Add a line to a file, whole or not at all."""
        line = json.dumps(asdict(self), allow_nan=False) + "\n"
        with open(path, "ab", buffering=0) as file:
            file.write(line.encode())


@cache
def _versions() -> dict[str, str]:
    """Looked up once: reading a package's metadata takes longer than a small batch."""
    return {name: version(name) for name in ("jax", "fockjax")}


def read_records(path: Path | str) -> list[RunRecord]:
    """The records in a file; a last line that was cut off is left out."""
    lines = Path(path).read_text(encoding="utf-8").split("\n")[:-1]
    return [RunRecord(**json.loads(line)) for line in lines if line]
