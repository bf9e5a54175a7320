"""What is known of the peers on a workload, and the table of it."""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from environments import Unavailable
from peers import Peer
from session import Session

HEADER = (
    "",
    "forward ms",
    "to fockjax",
    "value + gradient ms",
    "to fockjax",
    "compile s",
    "memory MiB",
    "lost",
)


@dataclass
class Timing:
    """Of one operation; seconds for the whole batch, one number a turn."""

    compiling: float
    calls: int
    seconds: list[float] = field(default_factory=list)
    memory: float = 0.0


@dataclass
class Row:
    """What is known of a peer on a workload; `results` by operation and light."""

    peer: Peer
    session: Session | None = None
    samples: str = ""
    scale: float = 1.0
    results: dict[tuple[str, float], list] = field(default_factory=dict)
    timings: dict[str, Timing] = field(default_factory=dict)
    lost: float = math.nan
    failure: str = ""

    def attempt(self, step: Callable, *arguments) -> None:
        """A step of the comparison; if it fails, the row says so and is left out of later ones."""
        if not self.failure:
            try:
                step(self, *arguments)
            except Unavailable as reason:
                self.failure = str(reason)


def table(workloads: dict[str, list[Row]]) -> str:
    """Markdown, fockjax the first row of each workload. Compile and memory are those of forward /
    value and gradient.
    """
    lines = [HEADER, ("-",) * len(HEADER)]
    for title, rows in workloads.items():
        lines.append((f"**{title}**", *[""] * (len(HEADER) - 1)))
        lines += [(row.peer.label + row.samples, *cells(row, rows[0])) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cells(row: Row, ours: Row) -> list[str]:
    failure = row.failure or ours.failure and f"fockjax failed, {ours.failure}"
    if failure:
        return [f"not measured: {failure}", *["-"] * (len(HEADER) - 2)]
    runs = []
    for operation in ("forward", "gradient"):
        if operation in row.timings:
            seconds, base = (r.timings[operation].seconds for r in (row, ours))
            ratio = statistics.median(seconds) / statistics.median(base)
            runs += [span([1e3 * s for s in seconds]), digits(ratio)]
        else:
            runs += ["-", "-"]
    compiling = " / ".join(f"{timing.compiling:.1f}" for timing in row.timings.values())
    memory = " / ".join(f"{timing.memory:.1f}" for timing in row.timings.values())
    return [*runs, compiling, memory, f"{row.lost:.0e}"]


def span(values: list[float]) -> str:
    """Median (least to greatest)."""
    middle = statistics.median(values)
    return f"{digits(middle)} ({digits(min(values), middle)} to {digits(max(values), middle)})"


def digits(value: float, like: float | None = None) -> str:
    """Three digits, or as many decimals as that gives `like`."""
    decimals = max(0, 2 - math.floor(math.log10(like or value)))
    return f"{value:.{decimals}f}"
