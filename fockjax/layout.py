"""How the amplitudes of one entangled group of modes are stored, known here and nowhere else.

A `Box` keeps the photon numbers below a cutoff for each mode: an array with one axis for each mode.
Operators see amplitudes only through `Box.apply`, as an array some of whose axes are the modes they
act on.
"""

import math
from dataclasses import dataclass
from string import ascii_letters

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._linear import contract
from fockjax.operators import Operator


@dataclass(frozen=True)
class Box:
    """A cutoff for each mode: amplitudes have shape ``cutoffs``."""

    cutoffs: tuple[int, ...]

    def bytes(self, dtype) -> int:
        """The memory that the amplitudes of one sample take."""
        return math.prod(self.cutoffs) * np.dtype(dtype).itemsize

    def vacuum(self, dtype) -> jax.Array:
        return jnp.zeros(self.cutoffs, dtype).at[(0,) * len(self.cutoffs)].set(1)

    def apply(self, operator: Operator, ket: jax.Array, positions: tuple[int, ...]) -> jax.Array:
        return operator.apply(ket, positions)

    def join(
        self, ket: jax.Array, other: "Box", other_ket: jax.Array, order: list[int]
    ) -> tuple["Box", jax.Array]:
        """The product with an independent group: modes of both, ``order[k]`` standing at position
        ``k``.
        """
        cutoffs = self.cutoffs + other.cutoffs
        labels = ascii_letters[: len(cutoffs)]
        mine, others = labels[: len(self.cutoffs)], labels[len(self.cutoffs) :]
        out = "".join(labels[k] for k in order)
        joined = contract(ket, other_ket, f"{mine},{others}->{out}")
        return Box(tuple(cutoffs[k] for k in order)), joined

    def norm_squared(self, ket: jax.Array) -> jax.Array:
        return self.probabilities(ket, ())

    def probabilities(self, ket: jax.Array, positions: tuple[int, ...]) -> jax.Array:
        """Joint photon-number probabilities of some modes, the others summed over."""
        labels = ascii_letters[: ket.ndim]
        kept = "".join(labels[k] for k in positions)
        return contract(ket.conj(), ket, f"{labels},{labels}->{kept}", real=True)

    def coherence(self, ket: jax.Array, position: int, order: int) -> jax.Array:
        """``sum conj(ket[.. n ..]) ket[.. n+order ..]`` for each ``n``: a diagonal of the mode's
        density matrix.
        """
        length = self.cutoffs[position] - order
        if length <= 0:
            return jnp.zeros((0,), ket.dtype)
        labels = ascii_letters[: ket.ndim]
        lower = jax.lax.slice_in_dim(ket, 0, length, axis=position)
        upper = jax.lax.slice_in_dim(ket, order, order + length, axis=position)
        return contract(lower.conj(), upper, f"{labels},{labels}->{labels[position]}")

    def reduced(self, ket: jax.Array, position: int) -> jax.Array:
        """The density matrix of one mode, the others traced out."""
        labels = ascii_letters[: ket.ndim]
        row, column = labels[position], ascii_letters[ket.ndim]
        return contract(ket, ket.conj(), f"{labels},{labels.replace(row, column)}->{row}{column}")
