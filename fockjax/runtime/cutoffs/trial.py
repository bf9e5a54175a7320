"""Pilot runs of the extreme samples, where a circuit is not Gaussian.

They run first at cutoffs generous enough to see what lies beyond those to choose from, then at the
cutoffs that were chosen.
"""

from typing import NamedTuple

import numpy as np

from fockjax import planning
from fockjax.runtime.cutoffs.ladders import Ladders, Levels, cutoffs_at
from fockjax.runtime.cutoffs.pilot import PilotRunner
from fockjax.runtime.cutoffs.tally import SAFETY, Tally

PILOTS = 8  # samples that run
SHOTS = 32  # runs of each of them, if the circuit is random
GENEROUS = 3  # levels of the ladders above those that the Gaussian part asks for


class Trial(NamedTuple):
    """What the pilot runs were, and what they lost.

    Attributes:
        rows: the samples that ran, each as often as it ran.
        generous: the cutoffs at which their photon numbers were looked at.
        lost: what each loses at the cutoffs planned.
    """

    rows: np.ndarray
    generous: tuple[int, ...]
    lost: np.ndarray


def extreme_rows(pilots: PilotRunner, guess: Tally, spared: int) -> np.ndarray:
    """The rows to run: those with most beyond their cutoffs, and in turn again if draws differ."""
    rows = guess.worst_rows(PILOTS, spared)
    random = planning.is_random(pilots.circuit.operations, unravel=False)
    return np.tile(rows, SHOTS if random else 1)


def observed_tally(
    pilots: PilotRunner, guess: Tally, tolerance: float, spared: int
) -> tuple[Tally, tuple[int, ...]]:
    """The tally of the extreme rows as they run, and the cutoffs at which they ran.

    These are so generous that what is lost at them hardly counts, or the largest that are allowed
    and fit in memory.
    """
    ladders = guess.ladders
    top = np.array([len(ladder) - 1 for ladder in ladders])
    levels = np.minimum(np.array(guess.choose(tolerance / SAFETY, spared)[0]) + GENEROUS, top)
    rows = extreme_rows(pilots, guess, spared)
    asked = levels
    while levels.any() and not pilots.fits(cutoffs_at(ladders, levels)):
        levels = np.maximum(levels - 1, 0)
    lowered = np.any(levels < asked)
    while True:
        cutoffs = cutoffs_at(ladders, levels)
        rows = rows[: pilots.batch(cutoffs)]
        pilot = pilots.run(rows, cutoffs)
        tally = Tally(
            tuple(ladder[: level + 1] for ladder, level in zip(ladders, levels, strict=True)),
            rows,
            pilot.lost,
        )
        for seen in pilot.seen:
            for mode, photons in seen.photons.items():
                below = np.cumsum(photons, 1, dtype=float)
                beyond = below[:, -1:] - below[:, np.array(tally.ladders[mode]) - 1]
                mean = photons @ np.arange(photons.shape[1])
                tally.add(mode, beyond, mean, seen.number, seen.step)
        # Raise the modes that reach the top of their cutoffs: those with a tenth or more of the
        # largest probability beyond the last level but one.
        edge = tally.by_mode(np.maximum(levels - 1, 0))[:, pilot.lost.argmax()]
        raised = np.minimum(
            levels + GENEROUS * (edge >= edge.max(where=levels < top, initial=0) / 10), top
        )
        enough = pilot.lost.max() <= tolerance / (4 * SAFETY)  # a quarter of what is allowed
        if enough or np.all(raised == levels):
            return tally, cutoffs
        if not pilots.fits(cutoffs_at(ladders, raised)):
            if lowered:  # less than the Gaussian part asks for, and not enough: this raises
                pilots.batch(cutoffs_at(ladders, raised))
            return tally, cutoffs
        levels = raised


def verified_levels(
    pilots: PilotRunner,
    tally: Tally,
    levels: Levels,
    short: np.ndarray,
    ladders: Ladders,
    tolerance: float,
) -> tuple[tuple[int, ...], np.ndarray]:
    """Levels at which the rows of the tally keep to the tolerance, and what they lose there.

    The rows run as the circuit itself will run, which cuts states inside gates as well; the levels
    are raised until that is enough, or no more fit in memory. Rows that are ``short`` do not count.
    """
    top = np.array([len(ladder) - 1 for ladder in ladders])
    while True:
        lost = pilots.losses(tally.rows, cutoffs_at(ladders, levels))
        raised = np.minimum(np.array(levels) + 1, top)
        if np.all(lost[~short] <= tolerance) or np.all(levels == top):
            return tuple(levels), lost
        if not pilots.fits(cutoffs_at(ladders, raised)):
            return tuple(levels), lost
        levels = raised
