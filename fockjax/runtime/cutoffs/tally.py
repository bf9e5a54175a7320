"""The probabilities beyond cutoffs, summed over a circuit, and a bound on what a sample loses.

Where a cutoff acts, a run loses what the exact state has beyond it, apart from the effect of what
it lost before. Let the exact state have the probability t_k beyond the cutoffs of the modes that
the k-th operation touches. If psi is the exact state, chi that of a run, U the operation and P the
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

from fockjax._advice import first_few
from fockjax._numerics import canonical_complex
from fockjax.drawing import label
from fockjax.operations import Step
from fockjax.runtime.cutoffs.ladders import Ladders, Levels

SAFETY = 4  # the factor in the bound above
ROUNDING = 8  # times the precision: what is lost may differ by this from run to run


class Reason(NamedTuple):
    """Why a mode has its cutoff: what would lie beyond the next lower one.

    Attributes:
        beyond: the largest probability beyond that cutoff.
        photons: the mean photon number of the state that has it.
        row: the sample.
        where: the operation before, counted from 1 with layers written out.
    """

    beyond: float
    photons: float
    row: int
    where: str


class Tally:
    """The probabilities beyond each cutoff, summed over the points at which a cutoff acts.

    Args:
        ladders: for each mode the cutoffs to choose from, increasing.
        rows: the numbers of the samples.
        lost: what each sample has lost anyway, at the cutoffs of a pilot run.
    """

    def __init__(self, ladders: Ladders, rows: np.ndarray, lost: Any = 0.0):
        self.ladders, self.rows, self.lost = ladders, rows, lost
        self.sums = [np.zeros((len(rows), len(ladder))) for ladder in ladders]
        self.peaks: list[list[Reason | None]] = [[None] * len(ladder) for ladder in ladders]

    def add(self, mode: int, beyond: np.ndarray, photons: np.ndarray, number: int, step: Step):
        """Add a point of the circuit at which the cutoff of a mode acts.

        Args:
            mode: the mode.
            beyond: the probability beyond each cutoff of its ladder, (rows, cutoffs).
            photons: its mean photon number, (rows,).
            number, step: the operation before, and its position.
        """
        self.sums[mode] += beyond
        for level, row in enumerate(beyond.argmax(0)):
            value, known = float(beyond[row, level]), self.peaks[mode][level]
            if known is None or value > known.beyond:
                modes = ", ".join(map(str, step.modes))
                where = f"step {number}, {label(step, parameters=False)} on {modes}"
                reason = Reason(value, float(photons[row]), int(self.rows[row]), where)
                self.peaks[mode][level] = reason

    def beyond(self, levels: Levels) -> np.ndarray:
        """The probability beyond the cutoffs at these levels, and what is lost anyway, (rows,)."""
        return self.lost + sum(self.by_mode(levels))

    def by_mode(self, levels: Levels) -> np.ndarray:
        """The probability beyond the cutoff of each mode at these levels, (modes, rows)."""
        return np.stack([own[:, level] for own, level in zip(self.sums, levels, strict=True)])

    def choose(self, allowed: float, spared: int = 0) -> tuple[tuple[int, ...], np.ndarray]:
        """Levels at which no row has more than ``allowed`` beyond, except the ``spared`` worst.

        In the worst row that is not spared, the mode with most beyond its cutoff is raised, again
        and again until that row is within what is allowed. Then modes raised too far are lowered.

        Returns:
            The levels, and which rows exceed what is allowed even at the top of all ladders. Such
            rows are left out of account, unless all rows are.
        """
        top = [len(ladder) - 1 for ladder in self.ladders]
        short = ~(self.beyond(top) <= allowed)  # NaN is not enough
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
            levels[int(np.where(free, self.by_mode(levels)[:, row], -1).argmax())] += 1
        for mode in range(len(levels)):
            while levels[mode]:
                levels[mode] -= 1
                if worst(levels)[1] > allowed:
                    levels[mode] += 1
                    break
        return tuple(levels), short

    def worst_rows(self, count: int, spared: int) -> np.ndarray:
        """The rows with most beyond, taken from each mode in turn after its ``spared`` worst."""
        order = np.stack([(-own.sum(1)).argsort(kind="stable") for own in self.sums], 1)
        order = order[min(spared, len(order) - 1) :]
        return self.rows[np.array(list(dict.fromkeys(order.ravel()))[:count])]

    def reason(self, mode: int, level: int) -> Reason | None:
        """Why a mode has this level; None if it is the lowest."""
        return self.peaks[mode][level - 1] if level else None


def check_tolerance(tolerance: float, share: float, dtype: Any) -> None:
    """Refuse a tolerance that is no probability, or less than rounding in the precision of the
    runs; or a share that is no part of the samples.
    """
    if not 0 < tolerance < 1:
        raise ValueError(f"Argument `tolerance` must be between 0 and 1, got {tolerance!r}.")
    kind = canonical_complex(dtype)
    rounding = ROUNDING * float(np.finfo(kind).eps)
    if tolerance < rounding:
        instead = ", or compute in complex128" if kind == np.complex64 else ""
        raise ValueError(
            f"Argument `tolerance` is {tolerance:.1e}, but rounding alone moves what a sample "
            f"loses by up to {rounding:.0e} in {kind.name}: allow more{instead}."
        )
    if not 0 < share <= 1:
        raise ValueError(f"Argument `share` must be in (0, 1], got {share!r}.")


def verdict(bounds: np.ndarray, tolerance: float) -> tuple[float, int]:
    """Sum up bounds on what each sample loses.

    Returns:
        The largest bound among samples that keep to the tolerance (among all if none does), and
        how many keep to it.
    """
    within = bounds <= tolerance
    worst = np.max(bounds, where=within | ~within.any(), initial=0)
    return min(float(worst), 1.0), int(np.sum(within))


def promise(what: str, within: int, rows: np.ndarray, bound: float, tolerance: float) -> str:
    """The first line of a plan: how many samples, or runs of them, lose at most its bound."""
    kind = "samples" if len(np.unique(rows)) == len(rows) else "runs"
    few = f"{within} of {len(rows)} {kind} lose"
    return f"{what}: {few} at most {bound:.1e}, {tolerance:.1e} allowed."


def reservation(short: np.ndarray, greatest: str) -> str:
    """The line of a plan about the rows ``short``, which may not fit in the greatest truncation."""
    return (
        f"Rows {first_few(short)} may lose more even at {greatest}: raise `maximum`, or limit "
        "their displacements and squeezing."
    )


def guarantee(short: np.ndarray) -> str:
    """The line of a plan whose photon statistics are exact for all but the rows ``short``."""
    whom = "the other" if len(short) else "these"
    return f"Guaranteed for {whom} samples: the state is Gaussian wherever it is cut."
