"""A few samples run at generous cutoffs, and what was seen of their photon numbers on the way."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax.circuit import Circuit, Weights
from fockjax.factors import Factor
from fockjax.inspection import walk
from fockjax.layout import TotalPhotons
from fockjax.operations import Step
from fockjax.states import State


@dataclass(frozen=True)
class Seen:
    """The photon numbers after an operation at which a cutoff acted.

    Attributes:
        number: that of the operation, layers written out, from 1 on.
        step: the operation.
        photons: of each mode it touches the probabilities, shape ``(samples, cutoff)``.
    """

    number: int
    step: Step
    photons: dict[int, np.ndarray]


@dataclass(frozen=True)
class Pilot:
    """What a pilot run saw.

    Attributes:
        cutoffs: where it ran.
        seen: all moments at which a cutoff acted.
        lost: see `lost`, shape ``(samples,)``.
    """

    cutoffs: tuple[int, ...]
    seen: tuple[Seen, ...]
    lost: np.ndarray


def run(
    circuit: Circuit, weights: Weights, x: np.ndarray, keys: Any, cutoffs: Sequence[int], dtype=None
) -> Pilot:
    """Run all samples; ``keys`` is a random key for each, or None."""
    steps: list[tuple[int, Step]] = []

    def one(row, key):
        given = circuit.checked(weights, row, cutoffs, dtype, None, key)
        steps.clear()
        photons, truncations = [], 0
        for number, (step, state, _, _) in enumerate(walk(circuit, given)):
            if step and state.truncations > truncations:
                steps.append((number, step))
                photons.append(_photons(state.factors, step.modes))
            truncations = state.truncations
        return photons, lost(state)  # pyright: ignore[reportPossiblyUnbound]

    found = jax.vmap(one, in_axes=(0, None if keys is None else 0))(x, keys)
    photons, leakage = jax.device_get(found)
    seen = (
        Seen(number, step, dict(zip(step.modes, own, strict=True)))
        for (number, step), own in zip(steps, photons, strict=True)
    )
    return Pilot(tuple(cutoffs), tuple(seen), leakage)


def lost(state: State) -> jax.Array:
    """The probability that a state has lost where it is cut, a real scalar: its leakage, and where
    what crosses the cutoff comes back, so that the leakage does not tell (`State.reflects`), that
    of the two top levels of each mode, or the two top totals of each group, as well.
    """
    lost = state.leakage
    if not state.reflects:
        return lost
    if isinstance(state.truncation, TotalPhotons):
        below = state.truncation.below
        for factor in state.factors:
            own = factor.array
            photons = abs(own) ** 2 if factor.is_pure else jnp.diagonal(own).real
            totals = state.truncation.states(len(factor.modes)).sum(1)
            lost = lost + jnp.sum(photons, where=totals >= below - 2)
        return lost
    for mode in range(state.modes):
        lost = lost + jnp.sum(state.probabilities(mode)[-2:])
    return lost


@partial(jax.jit, static_argnames="modes")
def _photons(factors: tuple[Factor, ...], modes: tuple[int, ...]) -> list[jax.Array]:
    state = State(factors)
    return [state.probabilities(mode) for mode in modes]
