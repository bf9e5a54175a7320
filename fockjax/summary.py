"""What is told about a prediction: rows that cannot be used, leakage, cutoffs."""

import threading
from collections import Counter

import numpy as np
from rich.console import Console
from rich.text import Text

from fockjax._advice import SHOWN, first_few
from fockjax.inference import Predictor

NOTABLE_LEAKAGE = 0.05  # above which rows are warned of


class BadRows:
    """Rows that cannot be used: their number, and the reasons for the first of them. Two threads
    find some: that which reads, and that which stores.
    """

    def __init__(self):
        self.count, self.shown = 0, []
        self._lock = threading.Lock()

    def add(self, count: int, reasons: list[str]) -> None:
        """Take in so many rows, with the reasons for at least the first few."""
        with self._lock:
            self.count += count
            self.shown += reasons[: SHOWN - len(self.shown)]

    def __str__(self) -> str:
        return first_few(self.shown, self.count, "; ")

    def __bool__(self) -> bool:
        return self.count > 0


class Summary:
    """What is reported about all rows together."""

    def __init__(self):
        self.bad, self.rows, self.total, self.most, self.notable = BadRows(), 0, 0.0, 0.0, 0
        self.cutoffs: Counter[str] = Counter()
        self.over = 0

    def add(self, part: np.ndarray, reasons: list[str]) -> None:
        """Take in the rows of a chunk, and why some of them cannot be used."""
        good = part[part["usable"]]
        leakage = good["leakage"]
        self.bad.add(len(part) - len(leakage), reasons)
        self.rows += len(leakage)
        self.total += leakage.sum()
        self.most = max(self.most, leakage.max(initial=0))
        self.notable += int((leakage > NOTABLE_LEAKAGE).sum())
        if "cutoffs" in (part.dtype.names or ()):
            self.cutoffs.update(good["cutoffs"].tolist())
            self.over += int((~good["ok"]).sum())


def report(console: Console, predictor: Predictor, summary: Summary) -> None:
    """Print the summary, with warnings. Names of users are `Text`, which has no markup."""
    if summary.bad:
        console.print("[yellow]left empty:[/]", Text(str(summary.bad)), soft_wrap=True)
    if summary.rows:
        mean = max(summary.total / summary.rows, 0)
        console.print(f"leakage: mean {mean:.2%}, most {summary.most:.2%}")
    if summary.cutoffs:
        found = [(each, summary.cutoffs[each]) for each in predictor.labels]
        counts = [f"{count:,} at {cutoffs}" for cutoffs, count in found if count]
        console.print(f"rows by cutoffs: {', '.join(counts)}", soft_wrap=True)
    if summary.over:
        console.print(
            f"[yellow]warning:[/] {summary.over} rows lose more than the tolerance even at the "
            f"cutoffs {predictor.labels[-1]}; see column ok",
            soft_wrap=True,
        )
    elif summary.notable:
        planned = len(predictor.labels) > 1
        cutoff = "cutoffs" if planned else f"cutoff {predictor.config.cutoff}"
        console.print(
            f"[yellow]warning:[/] {summary.notable} rows lose more than {NOTABLE_LEAKAGE:.0%} to "
            f"the {cutoff}; see column leakage"
        )
    if predictor.classes is not None and len(predictor.classes) == 2:
        told = f"probability is that of {predictor.target} = {predictor.classes[1]!r}"
        console.print(Text(told))
