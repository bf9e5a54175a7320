"""Which truncation takes least memory: a cutoff for each mode, or a bound on all photons together.

A bound on the total of coupled modes acts where photons are made, and where groups of modes are
joined. The inequality of `tally` holds for it too, since its proof uses only that truncating is a
projection: with T the sum of the probabilities that the exact state has beyond the bound wherever
it acts, a sample loses at most 4 T. For a Gaussian state these are known exactly. Otherwise the
most extreme samples run at growing totals until they keep to the tolerance.
"""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from fockjax._advice import first_few
from fockjax.circuit import Circuit, Weights
from fockjax.layout import TotalPhotons
from fockjax.runtime.cutoffs.gaussian import cuts
from fockjax.runtime.cutoffs.ladders import Ladder, ladder_of, photons_needed, raised_to_hold
from fockjax.runtime.cutoffs.modes import CutoffPlan, plan_cutoffs
from fockjax.runtime.cutoffs.pilot import MEMORY, PilotRunner, PilotTooLarge
from fockjax.runtime.cutoffs.plan import Plan, Truncation
from fockjax.runtime.cutoffs.samples import checked_samples, rows_to_plan_for
from fockjax.runtime.cutoffs.statistics import total_tails
from fockjax.runtime.cutoffs.tally import (
    SAFETY,
    Reason,
    Tally,
    check_tolerance,
    guarantee,
    promise,
    reservation,
    verdict,
)
from fockjax.runtime.cutoffs.trial import extreme_rows
from fockjax.runtime.memory import parse_size


@dataclass(frozen=True, eq=False)
class TotalPlan(Plan):
    """A planned bound on all photons together, and what is known of it.

    Attributes:
        tolerance, rungs: as of any `Plan`.
        bound: the most that a sample loses, not counting those that may exceed the tolerance.
        within: how many of the samples, or of those that ran, are known to keep to the tolerance.
        reason: what would lie beyond the next lower bound; None if this is the least allowed.
        rows: the samples looked at.
        short: those of them for which not even the maximum is known to suffice.
        guaranteed: whether photon statistics suffice, so that no sample had to run.
    """

    rungs: tuple[TotalPhotons, ...]
    bound: float
    within: int
    reason: Reason | None
    rows: np.ndarray
    short: np.ndarray
    guaranteed: bool

    def __str__(self) -> str:
        lines = [promise(str(self.truncation), self.within, self.rows, self.bound, self.tolerance)]
        if self.guaranteed and self.reason:
            why = self.reason
            lines.append(
                f"Beyond the next lower: {why.beyond:.1e} of {why.photons:.2f} photons, row "
                f"{why.row}, after {why.where}."
            )
        if not self.guaranteed:
            rows = first_few(np.unique(self.rows))
            lines.append(
                f"Not Gaussian throughout: the bound is what rows {rows} lost as they ran."
            )
        elif len(self.short) < len(self.rows):
            lines.append(guarantee(self.short))
        if len(self.short):
            lines.append(reservation(self.short, str(self.rungs[-1])))
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class TruncationPlan(Plan):
    """The plan of the kind that takes less memory. Printing it shows what both take.

    Attributes:
        tolerance, rungs: as of any `Plan`.
        plan: the plan that was chosen.
        sizes: bytes of the state of a sample after the operation where it is largest, by
            truncation, the chosen one first. It is the only one if planning the other would take a
            run that is too large.
    """

    plan: CutoffPlan | TotalPlan
    sizes: dict[Truncation, int]

    def __str__(self) -> str:
        sizes = ", ".join(f"{each} takes {size:,}" for each, size in self.sizes.items())
        return f"Bytes of a sample: {sizes}.\n{self.plan}"


def plan_truncation(
    circuit: Circuit,
    weights: Weights,
    x: Any = None,
    *,
    tolerance: float = 1e-3,
    share: float = 1.0,
    minimum: int = 4,
    maximum: int = 64,
    key: jax.Array | None = None,
    dtype=None,
    memory: int | str = MEMORY,
) -> TruncationPlan:
    """Plan cutoffs for each mode (`plan_cutoffs`) and a bound on all photons together
    (`plan_total`), and choose the one whose states take less memory at the same tolerance.

    If one of them keeps more samples to the tolerance, that one is chosen.

    Args:
        circuit, weights, x, tolerance, share, key, dtype, memory: as in `plan_cutoffs`.
        minimum, maximum: the least and the greatest number of photons, plus 1, of a mode or of all.

    Returns:
        A `TruncationPlan`, which `run_adaptive` takes.

    Raises:
        ValueError: as `plan_cutoffs`.

    Example:
        >>> import fockjax as fj
        >>> circuit = fj.Circuit(6)
        >>> for mode in range(6):
        ...     _ = circuit.displace(fj.Input(0), mode=mode).squeeze(0.1, mode=mode)
        >>> circuit = circuit.mesh([0.4] * 15, [0.2] * 15, [0.1] * 6, modes=range(6))
        >>> plan = fj.runtime.plan_truncation(circuit, {}, [[0.2], [0.3]])
        >>> plan.truncation
        TotalPhotons(below=6)
    """
    given: dict[str, Any] = {"tolerance": tolerance, "share": share}
    given |= {"minimum": minimum, "maximum": maximum}
    given |= {"key": key, "dtype": dtype, "memory": memory}
    plans: list[CutoffPlan | TotalPlan] = []
    for make in (plan_total, plan_cutoffs):
        try:
            plans.append(make(circuit, weights, x, **given))
        except PilotTooLarge:
            if make is plan_cutoffs and not plans:
                raise
    samples = checked_samples(circuit, x)
    pilots = PilotRunner(circuit, weights, samples, key, dtype, parse_size(memory))
    sizes = {plan.truncation: pilots.state_bytes(plan.truncation) for plan in plans}
    best = min(plans, key=lambda plan: (len(plan.short), sizes[plan.truncation]))
    order = sorted(sizes, key=lambda each: each != best.truncation)
    return TruncationPlan(best.tolerance, best.rungs, best, {each: sizes[each] for each in order})


def plan_total(
    circuit: Circuit,
    weights: Weights,
    x: Any = None,
    *,
    tolerance: float = 1e-3,
    share: float = 1.0,
    minimum: int = 4,
    maximum: int = 64,
    key: jax.Array | None = None,
    dtype=None,
    memory: int | str = MEMORY,
) -> TotalPlan:
    """The least bound on all photons together at which no sample loses more than a tolerance.

    Args:
        circuit, weights, x, tolerance, share, key, dtype, memory: as in `plan_cutoffs`.
        minimum, maximum: the least and the greatest bound.

    Returns:
        A `TotalPlan`, which `run_adaptive` takes.

    Raises:
        ValueError: for arguments out of range, or samples that the circuit does not take.
        PilotTooLarge: a ValueError too, if samples must run and not even one fits in memory.

    Example:
        >>> import fockjax as fj
        >>> circuit = fj.Circuit(2).displace(fj.Input(0), mode=0).squeeze(0.3, mode=1)
        >>> print(fj.runtime.plan_total(circuit.beamsplitter(0.3), {}, [[0.2], [1.5]]))
        TotalPhotons(below=12): 2 of 2 samples lose at most 1.1e-04, 1.0e-03 allowed.
        Beyond the next lower: 3.2e-04 of 2.34 photons, row 1, after step 3, BS on 0, 1.
        Guaranteed for these samples: the state is Gaussian wherever it is cut.
    """
    samples = checked_samples(circuit, x)
    check_tolerance(tolerance, share, dtype)
    low, most = TotalPhotons(minimum).below, TotalPhotons(maximum).below
    (least,) = raised_to_hold([max(photons_needed(circuit))], [low], [most])
    weights = circuit.checked(weights, samples[0], TotalPhotons(least), dtype, None, key).weights
    ladder = ladder_of(least, most)
    rows = rows_to_plan_for(samples)
    tally, exact = Tally((ladder,), rows), True
    for cut in cuts(circuit, weights, samples[rows]):
        if cut.group:
            exact = exact and cut.group.exact
            beyond = total_tails(cut.group, ladder)
            tally.add(0, beyond, cut.group.photons, cut.number, cut.step)
    spared = int((1 - share) * len(rows))
    (level,), short = tally.choose(tolerance / SAFETY, spared)
    bounds = SAFETY * tally.beyond([level])
    if not exact:
        pilots = PilotRunner(circuit, weights, samples, key, dtype, parse_size(memory))
        rows = extreme_rows(pilots, tally, spared)
        level, bounds = _level_by_running(pilots, rows, ladder, level, tolerance)
        short = ~(bounds <= tolerance)  # NaN is not enough
    bound, within = verdict(bounds, tolerance)
    return TotalPlan(
        tolerance=tolerance,
        bound=bound,
        within=within,
        rungs=tuple(map(TotalPhotons, ladder[level:])),
        reason=tally.reason(0, level),
        rows=rows,
        short=rows[short],
        guaranteed=exact,
    )


def _level_by_running(
    pilots: PilotRunner, rows: np.ndarray, ladder: Ladder, guess: int, tolerance: float
) -> tuple[int, np.ndarray]:
    """The least level at which these rows keep to the tolerance, and what they lose there.

    What the Gaussian part asks for, the ``guess``, may be far too much, as squeezing on both sides
    of a Kerr gate need not add up. So the levels below it are searched first, by bisection; those
    above it one by one, while they fit in memory. (Unless what crosses the cutoff may come back: of
    that, too little is seen at low cutoffs.)
    """
    seen: dict[int, np.ndarray] = {}

    def losses(level: int) -> np.ndarray:
        if level not in seen:
            seen[level] = pilots.losses(rows, TotalPhotons(ladder[level]))
        return seen[level]

    def fits(level: int) -> bool:
        return level < len(ladder) and pilots.fits(TotalPhotons(ladder[level]))

    low, level = (guess if pilots.reflects(TotalPhotons(ladder[0])) else 0), guess
    while low < level:
        middle = (low + level) // 2
        if not fits(middle) or np.all(losses(middle) <= tolerance):
            level = middle
        else:
            low = middle + 1
    while not np.all(losses(level) <= tolerance) and fits(level + 1):
        level += 1
    return level, seen[level]
