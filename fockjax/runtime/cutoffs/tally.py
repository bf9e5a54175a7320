"""What lies beyond cutoffs, and so what a sample loses at most.

What is lost where a cutoff acts is what the exact state has beyond it, but for what was lost
before. Let the exact state have the probability t_k beyond the cutoffs of the modes that the k-th
operation touches. If psi is the exact state, chi that of a run, U the operation and P the
projection on what is kept, then psi' = U psi, chi' = P U chi, and their distance d = chi - psi
becomes

    d' = P U d - (1 - P) psi',    |d'|^2 = |d|^2 - |(1 - P) U d|^2 + t_k.

So the sum of all b_k^2 = |(1 - P) U d|^2 is at most the sum T of all t_k. Operation k loses
|(1 - P) U chi|^2 <= (sqrt(t_k) + b_k)^2, and all of them, by the inequality of Minkowski,

    leakage <= (sqrt(T) + sqrt(T))^2 = 4 T.

Channels obey it too: with the environment they are unitary.

With t_k of the exact state this is a guarantee. With those seen in a run, psi is the state of that
run: of its own leakage l the operations lose |(1 - P) U chi|^2 <= (sqrt(t_k + l_k) + b_k)^2, and
4 (T + l) bounds the leakage.
"""

from typing import Any, NamedTuple

import numpy as np

from fockjax.drawing import label
from fockjax.operations import Step
from fockjax.runtime.cutoffs.ladders import Ladders, Levels

SAFETY = 4  # of the bound above


class Reason(NamedTuple):
    """Why a mode has its cutoff: what would lie beyond the next lower one.

    Attributes:
        beyond: that probability, where it is greatest.
        photons: the mean photon number there.
        row: the sample.
        where: after which operation, counted from 1 on with layers written out.
    """

    beyond: float
    photons: float
    row: int
    where: str


class Tally:
    """The probabilities beyond cutoffs, summed over all moments at which a cutoff acts.

    Args:
        ladders: of each mode the cutoffs to choose from, increasing.
        rows: the numbers of the samples.
        lost: what each has lost anyway.
    """

    def __init__(self, ladders: Ladders, rows: np.ndarray, lost: Any = 0.0):
        self.ladders, self.rows, self.lost = ladders, rows, lost
        self.sums = [np.zeros((len(rows), len(ladder))) for ladder in ladders]
        self.peaks: list[list[Reason | None]] = [[None] * len(ladder) for ladder in ladders]

    def add(self, mode: int, beyond: np.ndarray, photons: np.ndarray, number: int, step: Step):
        """One such moment of a mode: what is beyond each of its cutoffs, (rows, cutoffs)."""
        self.sums[mode] += beyond
        for level, row in enumerate(beyond.argmax(0)):
            value, known = float(beyond[row, level]), self.peaks[mode][level]
            if known is None or value > known.beyond:
                modes = ", ".join(map(str, step.modes))
                where = f"step {number}, {label(step, parameters=False)} on {modes}"
                reason = Reason(value, float(photons[row]), int(self.rows[row]), where)
                self.peaks[mode][level] = reason

    def beyond(self, levels: Levels) -> np.ndarray:
        """Of each row what is beyond the cutoffs at these levels of the ladders, and lost."""
        return self.lost + sum(self.share(levels))

    def share(self, levels: Levels) -> np.ndarray:
        """What each mode has beyond, (modes, rows)."""
        return np.stack([own[:, level] for own, level in zip(self.sums, levels, strict=True)])

    def choose(self, allowed: float, spared: int = 0) -> tuple[tuple[int, ...], np.ndarray]:
        """Levels at which no row has more than allowed beyond, but for so many spared, and the rows
        that have at every level; these do not count unless there are no others.

        The mode with most beyond is raised, in the row with most, until all is well; what was
        raised too far is lowered in the end.
        """
        top = [len(ladder) - 1 for ladder in self.ladders]
        short = self.beyond(top) > allowed
        if short.all():
            return tuple(top), short
        spared = min(spared, int(np.sum(~short)) - 1)

        def worst(levels: Levels) -> tuple[int, float]:
            beyond = np.where(short, -1, self.beyond(levels))
            row = int(np.argsort(-beyond, kind="stable")[spared])
            return row, beyond[row]

        levels = [0] * len(top)
        while True:
            row, most = worst(levels)
            if most <= allowed:
                break
            free = np.array(levels) < top
            levels[int(np.where(free, self.share(levels)[:, row], -1).argmax())] += 1
        for mode in range(len(levels)):
            while levels[mode]:
                levels[mode] -= 1
                if worst(levels)[1] > allowed:
                    levels[mode] += 1
                    break
        return tuple(levels), short

    def extreme(self, count: int, spared: int) -> np.ndarray:
        """The rows with most beyond, of each mode in turn, but for so many of each."""
        order = np.stack([(-own.sum(1)).argsort(kind="stable") for own in self.sums], 1)
        order = order[min(spared, len(order) - 1) :]
        return self.rows[np.array(list(dict.fromkeys(order.ravel()))[:count])]

    def reason(self, mode: int, level: int) -> Reason | None:
        return self.peaks[mode][level - 1] if level else None


def check_tolerance(tolerance: float, share: float) -> None:
    """Refuse what is no probability, or no share of the samples."""
    if not 0 < tolerance < 1:
        raise ValueError(f"Argument `tolerance` must be between 0 and 1, got {tolerance!r}.")
    if not 0 < share <= 1:
        raise ValueError(f"Argument `share` must be in (0, 1], got {share!r}.")


def verdict(bounds: np.ndarray, tolerance: float) -> tuple[float, int]:
    """What samples lose at most that keep to a tolerance, all of them if none does; and how many
    do, given what each loses at most.
    """
    within = bounds <= tolerance
    worst = np.max(bounds, where=within | ~within.any(), initial=0)
    return min(float(worst), 1.0), int(np.sum(within))


def guarantee(short: np.ndarray) -> str:
    """What is said of samples whose photon statistics are known, some of them too large."""
    whom = "the other" if len(short) else "these"
    return f"A guarantee for {whom} samples: wherever it is cut, it is Gaussian."
