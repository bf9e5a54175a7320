"""Which cutoff each mode needs, planned before anything runs.

The probabilities beyond each cutoff are summed over the points of the circuit at which it acts;
`tally` proves that the sum bounds what is lost. While a state is Gaussian these probabilities are
known exactly (`gaussian`, `statistics`), and the plan is a guarantee. Where it is not, they are
those of a few samples that run (`trial`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from fockjax._advice import first_few
from fockjax._given import cutoffs_of
from fockjax.circuit import Circuit, Weights
from fockjax.runtime.cutoffs.gaussian import cuts
from fockjax.runtime.cutoffs.ladders import (
    ladder_of,
    photons_needed,
    raised_to_hold,
    rungs,
)
from fockjax.runtime.cutoffs.pilot import MEMORY, PilotRunner
from fockjax.runtime.cutoffs.plan import Plan
from fockjax.runtime.cutoffs.samples import checked_samples, rows_to_plan_for
from fockjax.runtime.cutoffs.statistics import tails
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
from fockjax.runtime.cutoffs.trial import Trial, observed_tally, verified_levels
from fockjax.runtime.memory import parse_size


@dataclass(frozen=True, eq=False)
class CutoffPlan(Plan):
    """Planned cutoffs, one for each mode, and what is known of them.

    Attributes:
        tolerance, rungs: as of any `Plan`.
        bound: the most that a sample loses, not counting those that may exceed the tolerance.
        within: how many of the samples, or of those that ran, are known to keep to the tolerance.
        reasons: why each mode has its cutoff; None where it is the least allowed.
        rows: the samples looked at.
        short: those of them for which not even the maximum is known to suffice.
        trial: the samples that ran; None where photon statistics suffice, and give a guarantee.
    """

    rungs: tuple[tuple[int, ...], ...]
    bound: float
    within: int
    reasons: tuple[Reason | None, ...]
    rows: np.ndarray
    short: np.ndarray
    trial: Trial | None = None

    def __str__(self) -> str:
        table: list[tuple[str, ...]] = [
            ("mode", "cutoff", "beyond the next lower", "photons", "row", "after")
        ]
        cutoffs = self.rungs[0]
        for mode, (cutoff, why) in enumerate(zip(cutoffs, self.reasons, strict=True)):
            told = ("the least allowed", "", "", "")
            if why:
                told = (f"{why.beyond:.1e}", f"{why.photons:.2f}", str(why.row), why.where)
            table.append((str(mode), str(cutoff), *told))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        ran = self.trial.rows if self.trial else self.rows
        lines = [
            promise(f"Cutoffs {cutoffs}", self.within, ran, self.bound, self.tolerance),
            *("  ".join(map(str.ljust, row, widths)).rstrip() for row in table),
        ]
        if self.trial:
            rows, generous, lost = self.trial
            lines.append(
                "Not Gaussian throughout: the bound is that of rows "
                f"{first_few(np.unique(rows))}, seen at cutoffs {generous}. At the planned cutoffs "
                f"they lose at most {max(lost):.1e}."
            )
        elif len(self.short) < len(self.rows):
            lines.append(guarantee(self.short))
        if len(self.short):
            greatest = self.trial.generous if self.trial else self.rungs[-1]
            lines.append(reservation(self.short, f"cutoffs {greatest}"))
        if len(self.rungs) > 1:
            few = (
                self.rungs[1:] if len(self.rungs) < 5 else (*self.rungs[1:3], "..", self.rungs[-1])
            )
            lines.append(f"Where a sample loses more: {', '.join(map(str, few))}.")
        return "\n".join(lines)


def plan_cutoffs(
    circuit: Circuit,
    weights: Weights,
    x: Any = None,
    *,
    tolerance: float = 1e-3,
    share: float = 1.0,
    minimum: int | Sequence[int] = 4,
    maximum: int | Sequence[int] = 64,
    key: jax.Array | None = None,
    dtype=None,
    memory: int | str = MEMORY,
) -> CutoffPlan:
    """The cutoff of each mode at which no sample loses more probability than a tolerance.

    If the circuit is Gaussian up to its last loss of photons at a cutoff, the plan is a guarantee,
    made from photon statistics alone. Otherwise (a squeezer after a Kerr gate, a cubic phase gate,
    modes that were entangled with one that is measured) the most extreme samples run: at generous
    cutoffs, where their photon numbers are looked at, and then at those planned. The other samples
    should be checked as they run, which `run_adaptive` does.

    Args:
        circuit: a circuit; it starts in the vacuum.
        weights: as in calling it.
        x: samples, shape ``(rows, inputs)``, or one sample: data, or points of its ranges
            (`spread`). At most 1024 of them are looked at, among them those with the extreme values
            of each input.
        tolerance: the probability that a sample may lose.
        share: the share of the samples for which the cutoffs must suffice, in (0, 1]. A few extreme
            samples are better run again at higher cutoffs than to make all others more expensive.
        minimum, maximum: the least and the greatest cutoff, for all modes or for each. For a mode
            that a given matrix acts on, both must be the cutoff of that matrix.
        key: a JAX random key, for a circuit that measures.
        dtype: complex64 or complex128, for samples that run.
        memory: bytes that these may take, or a text like "8GB"; as many run at a time as fit.

    Returns:
        A `CutoffPlan`, whose ``truncation`` is the cutoffs. These are taken from a short list, so
        that few programs are compiled.

    Raises:
        ValueError: for arguments out of range, or samples that the circuit does not take.
        PilotTooLarge: a ValueError too, if samples must run and not even one fits in memory.

    Example:
        >>> import fockjax as fj
        >>> circuit = fj.Circuit(2).displace(fj.Input(0), mode=0).squeeze(0.3, mode=1)
        >>> print(fj.runtime.plan_cutoffs(circuit.beamsplitter(0.3), {}, [[0.2], [1.5]]))
        Cutoffs (10, 8): 2 of 2 samples lose at most 7.2e-04, 1.0e-03 allowed.
        mode  cutoff  beyond the next lower  photons  row  after
        0     10      2.3e-03                2.25     1    step 1, D on 0
        1     8       2.0e-04                0.09     0    step 2, S on 1
        Guaranteed for these samples: the state is Gaussian wherever it is cut.
        Where a sample loses more: (12, 10), (16, 12), .., (64, 64).
    """
    samples = checked_samples(circuit, x)
    least = cutoffs_of(minimum, circuit.modes, "minimum")
    most = cutoffs_of(maximum, circuit.modes, "maximum")
    least = raised_to_hold(photons_needed(circuit), least, most)
    check_tolerance(tolerance, share, dtype)
    weights = circuit.checked(weights, samples[0], least, dtype, None, key).weights
    ladders = tuple(ladder_of(low, high) for low, high in zip(least, most, strict=True))

    rows = rows_to_plan_for(samples)
    tally, exact = Tally(ladders, rows), True
    for cut in cuts(circuit, weights, samples[rows]):
        exact = exact and cut.exact
        for mode, one in cut.moments.items():
            beyond = tails(one, ladders[mode])
            tally.add(mode, beyond, one.photons + abs(one.mean) ** 2, cut.number, cut.step)
    spared, trial = int((1 - share) * len(rows)), None
    if exact:
        levels, short = tally.choose(tolerance / SAFETY, spared)
    else:
        pilots = PilotRunner(circuit, weights, samples, key, dtype, parse_size(memory))
        tally, generous = observed_tally(pilots, tally, tolerance, spared)
        levels, short = tally.choose(tolerance / SAFETY)
        levels, lost = verified_levels(pilots, tally, levels, short, ladders, tolerance)
        trial = Trial(tally.rows, generous, lost)
    bounds = SAFETY * tally.beyond(levels)
    if trial:
        # Not seen on the way is what a gate cuts inside, or what comes back at a cutoff.
        bounds = np.maximum(bounds, trial.lost)
        short = short | ~(trial.lost <= tolerance)  # NaN is not enough
    bound, within = verdict(bounds, tolerance)
    return CutoffPlan(
        tolerance=tolerance,
        bound=bound,
        within=within,
        rungs=rungs(ladders, levels),
        reasons=tuple(tally.reason(mode, level) for mode, level in enumerate(levels)),
        rows=rows,
        short=np.unique(tally.rows[short]),
        trial=trial,
    )
