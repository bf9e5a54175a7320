"""Where a circuit is not Gaussian, the samples with most beyond their cutoffs run: first at cutoffs
generous enough to see what lies beyond, then at those chosen.
"""

from typing import NamedTuple

import numpy as np

from fockjax import planning
from fockjax.runtime.cutoffs.course import WORKING, Course
from fockjax.runtime.cutoffs.ladders import Ladders, Levels, at
from fockjax.runtime.cutoffs.tally import SAFETY, Tally

PILOTS = 8  # that many samples run,
SHOTS = 4  # each so many times if they measure,
GENEROUS = 3  # so many levels higher than the Gaussian part asks


class PilotTooLarge(ValueError):
    """What is to be seen takes a run of more memory than there is for it."""


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


def look(
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
        cutoffs = at(ladders, levels)
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
        if enough or np.all(raised == levels) or course.most(at(ladders, raised)) < 1:
            return tally, cutoffs
        levels = raised


def verified(
    course: Course,
    tally: Tally,
    levels: Levels,
    short: np.ndarray,
    ladders: Ladders,
    tolerance: float,
) -> tuple[tuple[int, ...], np.ndarray]:
    """Levels at which the rows that ran keep to the tolerance when the circuit runs as it will, cut
    inside its gates too; and what they lose.
    """
    top = np.array([len(ladder) - 1 for ladder in ladders])
    while True:
        lost = course.lost(tally.rows, at(ladders, levels))
        if not np.any(lost[~short] > tolerance) or np.all(levels == top):
            return tuple(levels), lost
        levels = np.minimum(np.array(levels) + 1, top)
