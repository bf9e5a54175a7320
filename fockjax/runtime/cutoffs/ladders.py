"""The cutoffs that a plan chooses from: few, so that few programs are compiled."""

from collections.abc import Sequence

import numpy as np

Ladder = tuple[int, ...]  # cutoffs, increasing
Ladders = tuple[Ladder, ...]  # one for each mode
Levels = Sequence[int] | np.ndarray  # for each mode the index of a cutoff in its ladder

BUCKETS = (*range(2, 12, 2), *range(12, 32, 4), *range(32, 64, 8), *range(64, 128, 16))
BUCKETS += tuple(range(128, 513, 32))


def ladder_of(low: int, high: int) -> Ladder:
    """The cutoffs to choose from between the least and the greatest allowed, both included."""
    between = [bucket for bucket in BUCKETS if low < bucket < high]
    return tuple(dict.fromkeys([low, *between, high]))


def cutoffs_at(ladders: Ladders, levels: Levels) -> tuple[int, ...]:
    """The cutoff of each mode at these levels."""
    return tuple(ladder[level] for ladder, level in zip(ladders, levels, strict=True))


def rungs(ladders: Ladders, levels: Levels) -> tuple[tuple[int, ...], ...]:
    """The cutoffs at these levels, then with all modes one level up, and so on to the top."""
    pairs = list(zip(ladders, levels, strict=True))
    highest = max(len(ladder) - level for ladder, level in pairs)
    return tuple(
        tuple(ladder[min(level + k, len(ladder) - 1)] for ladder, level in pairs)
        for k in range(highest)
    )
