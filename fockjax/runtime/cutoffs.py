"""Which cutoff each mode needs, planned before anything runs.

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

As long as a state is Gaussian all t_k are known exactly (`gaussian`), and the plan is a guarantee.
From where it is not, they are those of a few samples that ran at cutoffs generous enough
(`pilot`). Then psi is the state of that run: of its own leakage l the operations lose |(1 - P) U
chi|^2 <= (sqrt(t_k + l_k) + b_k)^2, and 4 (T + l) bounds the leakage of these samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from fockjax import arguments, planning
from fockjax.arguments import Cutoff
from fockjax.circuit import Circuit, Weights
from fockjax.drawing import label
from fockjax.operations import Step, flat
from fockjax.runtime import gaussian, pilot

Levels = Sequence[int] | np.ndarray  # of each mode the place of its cutoff in a ladder of them

SAFETY = 4  # of the bound above
BUCKETS = (*range(2, 12, 2), *range(12, 32, 4), *range(32, 64, 8), *range(64, 128, 16))
BUCKETS += tuple(range(128, 513, 32))
ROWS = 1024  # that many samples are looked at
PILOTS = 8  # where a run is needed, that many of them run,
SHOTS = 4  # each so many times if they measure,
GENEROUS = 3  # so many levels higher than the Gaussian part asks,
MEMORY = 4 * 2**30  # in so many bytes, unless others are given,
WORKING = 4  # states taking so many times their size


class PilotTooLarge(ValueError):
    """What is to be seen takes a run of more memory than there is for it."""


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


class Trial(NamedTuple):
    """A run of a few samples.

    Attributes:
        rows: which.
        generous: the cutoffs at which their photon numbers were looked at.
        lost: what each loses at the cutoffs planned.
    """

    rows: np.ndarray
    generous: tuple[int, ...]
    lost: np.ndarray


@dataclass(frozen=True, eq=False)
class CutoffPlan:
    """Cutoffs, and what is known of them. Printing it tells why.

    Attributes:
        cutoffs: one for each mode.
        tolerance: the probability that a sample may lose.
        bound: what a sample loses at most, those aside that may lose more than the tolerance.
        within: how many of the samples, or of those that ran, are known to keep to the tolerance.
        rungs: these cutoffs, then the next ones, up to the maximum: for samples that lose more.
        reasons: for each mode why it has its cutoff; None where it is the least allowed.
        rows: the samples looked at.
        short: those of them for which not even the maximum is known to suffice.
        trial: of samples that ran; None where photon statistics did without, as a guarantee.
    """

    cutoffs: tuple[int, ...]
    tolerance: float
    bound: float
    within: int
    rungs: tuple[tuple[int, ...], ...]
    reasons: tuple[Reason | None, ...]
    rows: np.ndarray
    short: np.ndarray
    trial: Trial | None = None

    def __str__(self) -> str:
        table: list[tuple[str, ...]] = [
            ("mode", "cutoff", "beyond the next lower", "photons", "row", "after")
        ]
        for mode, (cutoff, why) in enumerate(zip(self.cutoffs, self.reasons, strict=True)):
            told = ("the least allowed", "", "", "")
            if why:
                told = (f"{why.beyond:.1e}", f"{why.photons:.2f}", str(why.row), why.where)
            table.append((str(mode), str(cutoff), *told))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        count = len(self.trial.rows if self.trial else self.rows)
        lines = [
            f"Cutoffs {self.cutoffs}: {self.within} of {count} samples lose at most "
            f"{self.bound:.1e}, {self.tolerance:.1e} allowed.",
            *("  ".join(map(str.ljust, row, widths)).rstrip() for row in table),
        ]
        if self.trial:
            rows, generous, lost = self.trial
            lines.append(
                f"Not Gaussian throughout: the bound is that of rows {listed(rows)}, seen at "
                f"cutoffs {generous}. At those planned they lose at most {max(lost):.1e}."
            )
        else:
            lines.append(guarantee(self.short))
        if len(self.short):
            lines.append(
                f"Rows {listed(self.short)} may lose more even at cutoffs "
                f"{self.trial.generous if self.trial else self.rungs[-1]}: raise `maximum`, or "
                "bound what they displace and squeeze."
            )
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
    memory: int = MEMORY,
) -> CutoffPlan:
    """The cutoff of each mode at which no sample loses more probability than a tolerance.

    As long as the circuit is Gaussian, or no longer loses photons at a cutoff, it is a guarantee,
    from photon statistics alone. Otherwise (a squeezer after a Kerr gate, a cubic phase gate, what
    follows a measurement) the most extreme samples run at generous cutoffs, where their photon
    numbers are looked at, and then at those planned; the others are to be checked as they run,
    which `run_adaptive` does.

    Args:
        circuit: a circuit; it starts in the vacuum.
        weights: as in calling it.
        x: samples, shape ``(rows, inputs)``, or one sample: data, or points of its ranges
            (`spread`). Of more than 1024 as many are looked at, among them those with the extreme
            values of each input.
        tolerance: the probability that a sample may lose.
        share: of the samples that the cutoffs must suffice for, in (0, 1]. The few most extreme
            ones are better left to higher cutoffs than to make all others dearer.
        minimum, maximum: the least and the greatest cutoff, for all modes or for each. Give a mode
            that is acted on by a matrix the cutoff of that as both.
        key: a JAX random key, for a circuit that measures.
        dtype: complex64 or complex128, for samples that run.
        memory: bytes that they may take; as many run at a time as fit.

    Returns:
        A `CutoffPlan`. The cutoffs are among few, so that programs are compiled for few.

    Raises:
        ValueError: for arguments out of range, or samples that the circuit does not take; as
            `PilotTooLarge`, if it takes a run of which one sample does not fit.

    Example:
        >>> import fockjax as fj
        >>> circuit = fj.Circuit(2).displace(fj.Input(0), mode=0).squeeze(0.3, mode=1)
        >>> print(fj.runtime.plan_cutoffs(circuit.beamsplitter(0.3), {}, [[0.2], [1.5]]))
        Cutoffs (10, 8): 2 of 2 samples lose at most 7.2e-04, 1.0e-03 allowed.
        mode  cutoff  beyond the next lower  photons  row  after
        0     10      2.3e-03                2.25     1    step 1, D on 0
        1     8       2.0e-04                0.09     0    step 2, S on 1
        A guarantee for these samples: wherever it is cut, it is Gaussian.
        Where a sample loses more: (12, 10), (16, 12), .., (64, 64).
    """
    least, most = (list(arguments.cutoffs_of(circuit.modes, bound)) for bound in (minimum, maximum))
    for step in flat(circuit.operations):
        if step.name == "fock":
            (mode,) = step.modes
            least[mode] = max(least[mode], step.options["n"] + 1)
    if any(low > high for low, high in zip(least, most, strict=True)):
        raise ValueError(f"Argument `minimum` must not exceed `maximum`, got {least} and {most}.")
    check_range(tolerance, share)
    samples = rows_of(circuit, x)
    weights = circuit.checked(weights, samples[0], least, dtype, None, key)["weights"]
    ladders = tuple(ladder_of(low, high) for low, high in zip(least, most, strict=True))

    rows = extremes(samples)
    tally, exact = Tally(ladders, rows), True
    for cut in gaussian.cuts(circuit, weights, samples[rows]):
        exact = exact and cut.exact
        for mode, one in cut.moments.items():
            beyond = gaussian.tails(one, ladders[mode])
            tally.add(mode, beyond, one.photons + abs(one.mean) ** 2, cut.number, cut.step)
    spared, trial = int((1 - share) * len(rows)), None
    if exact:
        levels, short = tally.choose(tolerance / SAFETY, spared)
    else:
        course = Course(circuit, weights, samples, key, dtype, memory)
        tally, generous = _look(course, tally, tolerance, spared)
        levels, short = tally.choose(tolerance / SAFETY)
        levels, lost = _verified(course, tally, levels, short, ladders, tolerance)
        trial = Trial(tally.rows, generous, lost)
    bound, within = verdict(SAFETY * tally.beyond(levels), tolerance)
    cutoffs = _at(ladders, levels)
    return CutoffPlan(
        cutoffs=cutoffs,
        tolerance=tolerance,
        bound=bound,
        within=within,
        rungs=_rungs(ladders, levels),
        reasons=tuple(tally.reason(mode, level) for mode, level in enumerate(levels)),
        rows=rows,
        short=np.unique(tally.rows[short]),
        trial=trial,
    )


def spread(low: Any, high: Any, rows: int = 256) -> np.ndarray:
    """Points of the ranges of inputs, to plan with: its corners, if there are no more than half as
    many as ``rows``, and points that fill it evenly (Sobol's).

    Args:
        low, high: the ends of the range of each input, shape ``(inputs,)``.
        rows: how many points.

    Returns:
        Shape ``(rows, inputs)``.

    Example:
        >>> import fockjax as fj
        >>> fj.runtime.spread([-1.0, 0.0], [1.0, 2.0], rows=8)[:4]
        array([[-1.,  0.],
               [-1.,  2.],
               [ 1.,  0.],
               [ 1.,  2.]])
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    if low.ndim != 1 or low.shape != high.shape or not np.all(low <= high):
        raise ValueError(
            f"Arguments `low` and `high` must be vectors of one length, low <= high, got {low} and "
            f"{high}."
        )
    from scipy.stats import qmc  # takes a second

    unit = np.zeros((0, len(low)))
    if 2 ** len(low) <= rows // 2:
        unit = np.indices((2,) * len(low)).reshape(len(low), -1).T
    more = rows - len(unit)
    points = qmc.Sobol(len(low), scramble=False).random_base2(more.bit_length())[1 : 1 + more]
    return low + (high - low) * np.concatenate([unit, points])


# What lies beyond
# -------------------------------------------------------------------------------------------------


class Tally:
    """The probabilities beyond cutoffs, summed over all moments at which a cutoff acts.

    Args:
        ladders: of each mode the cutoffs to choose from, increasing.
        rows: the numbers of the samples.
        lost: what each has lost anyway.
    """

    def __init__(self, ladders: tuple[tuple[int, ...], ...], rows: np.ndarray, lost: Any = 0.0):
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


# Samples that run
# -------------------------------------------------------------------------------------------------


class Course(NamedTuple):
    """What runs."""

    circuit: Circuit
    weights: Weights
    samples: np.ndarray
    key: jax.Array | None
    dtype: Any
    memory: int

    def keys(self, rows: np.ndarray) -> Any:
        return None if self.key is None else jax.random.split(self.key, len(rows))

    def pilot(self, rows: np.ndarray, cutoffs: tuple[int, ...]) -> pilot.Pilot:
        samples, keys = self.samples[rows], self.keys(rows)
        return pilot.run(self.circuit, self.weights, samples, keys, cutoffs, self.dtype)

    def lost(self, rows: np.ndarray, cutoffs: Cutoff) -> np.ndarray:
        def one(x, key):
            call = partial(self.circuit, cutoff=cutoffs, dtype=self.dtype)
            return pilot.lost(call(self.weights, x, key=key))

        keys = self.keys(rows)
        batch = jax.jit(jax.vmap(one, in_axes=(0, None if keys is None else 0)))
        size = max(1, self.most(cutoffs))
        parts = [slice(first, first + size) for first in range(0, len(rows), size)]
        lost = [
            batch(self.samples[rows[part]], None if keys is None else keys[part]) for part in parts
        ]
        return np.concatenate(jax.device_get(lost))

    def most(self, cutoffs: Cutoff) -> int:
        """How many samples may run at a time."""
        return self.memory // (WORKING * self.bytes(cutoffs))

    def bytes(self, cutoffs: Cutoff) -> int:
        """Of the state of one sample."""
        call = partial(self.circuit, cutoff=cutoffs, dtype=self.dtype, memory_limit=2**62)
        state = jax.eval_shape(lambda x: call(self.weights, x, key=self.key), self.samples[0])
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state.factors))


def _look(
    course: Course, guess: Tally, tolerance: float, spared: int
) -> tuple[Tally, tuple[int, ...]]:
    """What lies beyond the cutoffs in the extreme rows, and the cutoffs at which they ran: so
    generous that what is lost there hardly counts, or the greatest there are.
    """
    ladders = guess.ladders
    top = np.array([len(ladder) - 1 for ladder in ladders])
    levels = np.minimum(np.array(guess.choose(tolerance / SAFETY, spared)[0]) + GENEROUS, top)
    rows = guess.extreme(PILOTS, spared)
    if planning.is_random(course.circuit.operations, unravel=False):
        rows = np.repeat(rows, SHOTS)
    while True:
        cutoffs = _at(ladders, levels)
        most = course.most(cutoffs)
        if most < 1:
            raise PilotTooLarge(
                f"To see what the circuit does takes a run at cutoffs {cutoffs}, of about "
                f"{WORKING * course.bytes(cutoffs):,} bytes a sample, over {course.memory:,}: "
                "raise `memory` or `tolerance`, or lower `maximum`."
            )
        rows = rows[:most]
        found = course.pilot(rows, cutoffs)
        tally = Tally(
            tuple(ladder[: level + 1] for ladder, level in zip(ladders, levels, strict=True)),
            rows,
            found.lost,
        )
        for seen in found.seen:
            for mode, photons in seen.photons.items():
                below = np.cumsum(photons, 1, dtype=float)
                beyond = below[:, -1:] - below[:, np.array(tally.ladders[mode]) - 1]
                mean = photons @ np.arange(photons.shape[1])
                tally.add(mode, beyond, mean, seen.number, seen.step)
        # Raised are the modes that reach the top, by what is beyond the level next to it.
        edge = tally.share(np.maximum(levels - 1, 0))[:, found.lost.argmax()]
        raised = np.minimum(
            levels + GENEROUS * (edge >= edge.max(where=levels < top, initial=0) / 10), top
        )
        enough = found.lost.max() <= tolerance / (4 * SAFETY)
        if enough or np.all(raised == levels) or course.most(_at(ladders, raised)) < 1:
            return tally, cutoffs
        levels = raised


def _verified(
    course: Course, tally: Tally, levels, short: np.ndarray, ladders, tolerance: float
) -> tuple[tuple[int, ...], np.ndarray]:
    """Levels at which the rows that ran keep to the tolerance when the circuit runs as it will, cut
    inside its gates too; and what they lose.
    """
    top = np.array([len(ladder) - 1 for ladder in ladders])
    while True:
        lost = course.lost(tally.rows, _at(ladders, levels))
        if not np.any(lost[~short] > tolerance) or np.all(levels == top):
            return tuple(levels), lost
        levels = np.minimum(np.array(levels) + 1, top)


# Cutoffs and samples
# -------------------------------------------------------------------------------------------------


def ladder_of(low: int, high: int) -> tuple[int, ...]:
    between = [bucket for bucket in BUCKETS if low < bucket < high]
    return tuple(dict.fromkeys([low, *between, high]))


def _at(ladders, levels) -> tuple[int, ...]:
    return tuple(ladder[level] for ladder, level in zip(ladders, levels, strict=True))


def _rungs(ladders, levels) -> tuple[tuple[int, ...], ...]:
    """The cutoffs at these levels, then all modes one level up, and so on."""
    pairs = list(zip(ladders, levels, strict=True))
    highest = max(len(ladder) - level for ladder, level in pairs)
    return tuple(
        tuple(ladder[min(level + k, len(ladder) - 1)] for ladder, level in pairs)
        for k in range(highest)
    )


def check_range(tolerance: float, share: float) -> None:
    """Refuse what is no probability, or no share of the samples."""
    if not 0 < tolerance < 1:
        raise ValueError(f"Argument `tolerance` must be between 0 and 1, got {tolerance!r}.")
    if not 0 < share <= 1:
        raise ValueError(f"Argument `share` must be in (0, 1], got {share!r}.")


def rows_of(circuit: Circuit, x: Any) -> np.ndarray:
    """Samples, shape (rows, inputs)."""
    wanted = circuit.num_inputs
    samples = np.zeros((1, 0)) if x is None else np.atleast_2d(np.asarray(x))
    if samples.ndim != 2 or samples.shape[1] != wanted or not len(samples):
        raise ValueError(
            f"Argument `x` must have shape (rows, {wanted}), the inputs of the circuit, got "
            f"{'none' if x is None else np.shape(x)}."
        )
    if not np.all(np.isfinite(samples)):
        row = int(np.argmin(np.all(np.isfinite(samples), 1)))
        raise ValueError(f"Argument `x` must be finite, but row {row} is {samples[row]}.")
    return samples


def extremes(samples: np.ndarray) -> np.ndarray:
    """The rows to look at: all, or those with extreme values and others, evenly spaced."""
    if len(samples) <= ROWS:
        return np.arange(len(samples))
    size = np.linalg.norm(samples, axis=1)
    chosen = [*samples.argmin(0), *samples.argmax(0), size.argmax()]
    even = np.linspace(0, len(samples) - 1, ROWS - len(set(chosen))).astype(int)
    return np.unique(np.concatenate([np.array(chosen, int), even]))


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


def listed(rows: np.ndarray, most: int = 8) -> str:
    shown = ", ".join(str(row) for row in np.unique(rows)[:most])
    return shown + (", .." if len(np.unique(rows)) > most else "")
