"""Pilot runs: a few samples run at given cutoffs, to see what a planner needs to know."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from fockjax._advice import Advised
from fockjax.arguments import Cutoff
from fockjax.circuit import Circuit, Weights
from fockjax.factors import Factor
from fockjax.inspection import walk
from fockjax.leakage import lost
from fockjax.operations import Step
from fockjax.states import State

MEMORY = 4 * 2**30  # bytes that pilot runs may take by default
WORKING = 4  # a run takes this many times the size of its states


class Seen(NamedTuple):
    """The photon numbers after an operation at which a cutoff acted.

    Attributes:
        number: the position of the operation, counted from 1 with layers written out.
        step: the operation.
        photons: for each mode that it acts on the probabilities, shape ``(samples, cutoff)``.
    """

    number: int
    step: Step
    photons: dict[int, np.ndarray]


class Pilot(NamedTuple):
    """What a pilot run showed.

    Attributes:
        seen: the photon numbers wherever a cutoff acted.
        lost: what each sample lost (see `lost`), shape ``(samples,)``.
    """

    seen: tuple[Seen, ...]
    lost: np.ndarray


class PilotTooLarge(Advised, ValueError):
    """A pilot run needs more memory than it may take: `needed` bytes."""

    def __init__(self, fact: str, advice: str, needed: int):
        super().__init__(fact, advice)
        self.needed = needed


class PilotRunner(NamedTuple):
    """Runs some of the samples of a circuit at given cutoffs.

    Attributes:
        circuit, weights, dtype: as in calling the circuit.
        samples: all samples, shape ``(rows, inputs)``; methods take the numbers of some.
        key: a JAX random key; None if the circuit does not measure.
        memory: bytes that a run may take.
    """

    circuit: Circuit
    weights: Weights
    samples: np.ndarray
    key: jax.Array | None
    dtype: Any
    memory: int

    def run(self, rows: np.ndarray, cutoffs: Sequence[int]) -> Pilot:
        """Run these rows, all at once, and look at the photon numbers on the way."""
        steps: list[tuple[int, Step]] = []  # filled when `one` is traced

        def one(row, key):
            call = self.circuit.checked(self.weights, row, cutoffs, self.dtype, None, key)
            steps.clear()
            photons, truncations = [], 0
            for number, (step, state, _, _) in enumerate(walk(self.circuit, call, self.memory)):
                if step and state.truncations > truncations:
                    steps.append((number, step))
                    photons.append(_photons(state.factors, step.modes))
                truncations = state.truncations
            return photons, lost(state)  # pyright: ignore[reportPossiblyUnbound]

        keys = self._keys(rows)
        batched = jax.vmap(one, in_axes=(0, None if keys is None else 0))
        photons, leakage = jax.device_get(batched(self.samples[rows], keys))
        seen = (
            Seen(number, step, dict(zip(step.modes, own, strict=True)))
            for (number, step), own in zip(steps, photons, strict=True)
        )
        return Pilot(tuple(seen), leakage)

    def losses(self, rows: np.ndarray, cutoffs: Cutoff) -> np.ndarray:
        """What these rows lose, run in batches that fit in memory."""

        def one(x, key):
            call = partial(self.circuit, cutoff=cutoffs, dtype=self.dtype)
            return lost(call(self.weights, x, key=key, memory_limit=self.memory))

        keys = self._keys(rows)
        batch = jax.jit(jax.vmap(one, in_axes=(0, None if keys is None else 0)))
        size = self.batch(cutoffs)
        parts = [slice(first, first + size) for first in range(0, len(rows), size)]
        found = [
            batch(self.samples[rows[part]], None if keys is None else keys[part]) for part in parts
        ]
        return np.concatenate(jax.device_get(found))

    def batch(self, cutoffs: Cutoff) -> int:
        """How many samples run at a time: as many as fit in memory.

        Raises:
            PilotTooLarge: if not even one fits.
        """
        needed = WORKING * self.state_bytes(cutoffs)
        if needed > self.memory:
            raise PilotTooLarge(
                f"To plan, samples must run at cutoffs {cutoffs}, each in about {needed:,} bytes, "
                f"but only {self.memory:,} may be used",
                "Raise `memory` or `tolerance`, or lower `maximum`.",
                needed,
            )
        return self.memory // needed

    def fits(self, cutoffs: Cutoff) -> bool:
        """Whether a sample fits in memory."""
        return WORKING * self.state_bytes(cutoffs) <= self.memory

    def state_bytes(self, cutoffs: Cutoff) -> int:
        """Bytes of the state of one sample where it is largest: a measurement makes it smaller."""

        def factors(x):
            call = self.circuit.checked(self.weights, x, cutoffs, self.dtype, None, self.key)
            return [state.factors for _, state, _, _ in walk(self.circuit, call, 2**62)]

        after = jax.eval_shape(factors, self.samples[0])
        return max(
            sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(f)) for f in after
        )

    def reflects(self, cutoffs: Cutoff) -> bool:
        """Whether what crosses a cutoff may come back, so that `lost` is an estimate."""

        def run(x):
            call = partial(self.circuit, cutoff=cutoffs, dtype=self.dtype)
            return call(self.weights, x, key=self.key, memory_limit=2**62)

        return jax.eval_shape(run, self.samples[0]).reflects

    def _keys(self, rows: np.ndarray) -> Any:
        return None if self.key is None else jax.random.split(self.key, len(rows))


@partial(jax.jit, static_argnames="modes")
def _photons(factors: tuple[Factor, ...], modes: tuple[int, ...]) -> list[jax.Array]:
    state = State(factors)
    return [state.probabilities(mode) for mode in modes]
