"""The cutoffs that a plan chooses from: few, so that few programs are compiled."""

from collections.abc import Sequence

import numpy as np

from fockjax.circuit import Circuit
from fockjax.operations import flat

Ladder = tuple[int, ...]  # cutoffs, increasing
Ladders = tuple[Ladder, ...]  # one for each mode
Levels = Sequence[int] | np.ndarray  # for each mode the index of a cutoff in its ladder

BUCKETS = (*range(2, 12, 2), *range(12, 32, 4), *range(32, 64, 8), *range(64, 128, 16))
BUCKETS += tuple(range(128, 513, 32))


def photons_needed(circuit: Circuit) -> list[int]:
    """For each mode the most photons that a Fock state prepared, an outcome selected or a SNAP gate
    there has.

    Whatever the light, no smaller cutoff will do.
    """
    needed = [0] * circuit.modes
    for step in flat(circuit.operations):
        photons = step.spec.needs(step.parameters, step.options)
        if isinstance(photons, int | float) and photons:  # else none, or a parameter
            (mode,) = step.modes
            needed[mode] = max(needed[mode], int(photons))
    return needed


def raised_to_hold(
    needed: Sequence[int], least: Sequence[int], most: Sequence[int]
) -> tuple[int, ...]:
    """The least cutoffs, raised to hold the photons needed.

    Raises:
        ValueError: if one is above the greatest.
    """
    for low, high, photons in zip(least, most, needed, strict=True):
        if low > high:
            raise ValueError(f"Argument `minimum` must not exceed `maximum`, got {low} and {high}.")
        if photons >= high:
            raise ValueError(
                f"Argument `maximum` must be at least {photons + 1}, as the circuit prepares, "
                f"selects or has a phase for {photons} photons, got {high}."
            )
    return tuple(max(low, photons + 1) for low, photons in zip(least, needed, strict=True))


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
