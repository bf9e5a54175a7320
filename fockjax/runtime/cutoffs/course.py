"""Runs of a few samples to plan with, as many at a time as memory allows."""

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from fockjax.arguments import Cutoff
from fockjax.circuit import Circuit, Weights
from fockjax.runtime.cutoffs import pilot

MEMORY = 4 * 2**30  # bytes that a run may take, unless others are given,
WORKING = 4  # states taking so many times their size


class Course(NamedTuple):
    """A circuit and samples, of which some run at cutoffs that are tried.

    Attributes:
        key: a JAX random key; None if the circuit does not measure.
        memory: bytes that a run may take.
    """

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
