"""Cutoffs to choose from: few, so that programs are compiled for few."""

from collections.abc import Sequence

import numpy as np

Ladder = tuple[int, ...]  # increasing
Ladders = tuple[Ladder, ...]  # of each mode
Levels = Sequence[int] | np.ndarray  # of each mode the place of its cutoff in its ladder

BUCKETS = (*range(2, 12, 2), *range(12, 32, 4), *range(32, 64, 8), *range(64, 128, 16))
BUCKETS += tuple(range(128, 513, 32))


def ladder_of(low: int, high: int) -> Ladder:
    """The cutoffs from the least to the greatest allowed."""
    between = [bucket for bucket in BUCKETS if low < bucket < high]
    return tuple(dict.fromkeys([low, *between, high]))


def at(ladders: Ladders, levels: Levels) -> tuple[int, ...]:
    """The cutoff of each mode."""
    return tuple(ladder[level] for ladder, level in zip(ladders, levels, strict=True))


def rungs(ladders: Ladders, levels: Levels) -> tuple[tuple[int, ...], ...]:
    """The cutoffs at these levels, then all modes one level up, and so on."""
    pairs = list(zip(ladders, levels, strict=True))
    highest = max(len(ladder) - level for ladder, level in pairs)
    return tuple(
        tuple(ladder[min(level + k, len(ladder) - 1)] for ladder, level in pairs)
        for k in range(highest)
    )
