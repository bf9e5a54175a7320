"""How the amplitudes of one entangled group of modes are stored, known here and nowhere else.

A `Box` keeps the photon numbers below a cutoff for each mode: an array with one axis for each mode.
Operators see amplitudes only through `Box.apply`, as an array some of whose axes are the modes they
act on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_letters

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._linear import contract
from fockjax.operators import Operator


@dataclass(frozen=True)
class Box:
    """A cutoff for each mode: amplitudes have shape ``cutoffs``."""

    cutoffs: tuple[int, ...]

    def size(self, positions: tuple[int, ...]) -> int:
        """How many combinations of photon numbers some modes have."""
        return math.prod(self.cutoffs[k] for k in positions)

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

    def probability(self, ket: jax.Array, photons: Sequence[jax.Array]) -> jax.Array:
        """Of one pattern of photon numbers, integers that may be traced; 0 beyond the cutoffs."""
        within = [jnp.clip(n, 0, c - 1) for n, c in zip(photons, self.cutoffs, strict=True)]
        found = ket[tuple(within)]
        inside = jnp.stack(within) == jnp.stack(photons)
        return jnp.where(inside.all(), found.real**2 + found.imag**2, 0)

    def coherence(self, ket: jax.Array, position: int, order: int) -> jax.Array:
        """``sum conj(ket[.. n ..]) ket[.. n+order ..]`` for each ``n``: a diagonal of the mode's
        density matrix.
        """
        length = self.cutoffs[position] - order
        if length <= 0:
            return jnp.zeros((0,), ket.dtype)
        labels = ascii_letters[: ket.ndim]
        lower = lax.slice_in_dim(ket, 0, length, axis=position)
        upper = lax.slice_in_dim(ket, order, order + length, axis=position)
        return contract(lower.conj(), upper, f"{labels},{labels}->{labels[position]}")

    def reduced(self, ket: jax.Array, positions: tuple[int, ...]) -> jax.Array:
        """The density matrix of some modes, the others traced out: their row axes in the order
        asked for, then their column axes.
        """
        labels = ascii_letters[: ket.ndim]
        columns = ascii_letters[ket.ndim : ket.ndim + len(positions)]
        rows = "".join(labels[k] for k in positions)
        bra = labels.translate(str.maketrans(rows, columns))
        return contract(ket, ket.conj(), f"{labels},{bra}->{rows}{columns}")

    def padded(self, ket: jax.Array, by: int) -> tuple["Box", jax.Array]:
        """The same amplitudes with cutoffs that reach ``by`` further."""
        ket = lax.pad(ket, jnp.zeros((), ket.dtype), [(0, by, 0)] * ket.ndim)
        return Box(ket.shape), ket

    def quadratures(self, ket: jax.Array, position: int) -> tuple[jax.Array, jax.Array]:
        """``(a + a^dagger) |ket>`` and ``-i (a - a^dagger) |ket>`` of one mode, cut."""
        labels = ascii_letters[: ket.ndim]
        zero = jnp.zeros((), ket.dtype)

        def step(by):  # a^dagger for 1, a for -1
            n = np.arange(self.cutoffs[position])
            roots = np.sqrt(n if by == 1 else n + 1).astype(jnp.finfo(ket.dtype).dtype)
            config = [(0, 0, 0)] * ket.ndim
            config[position] = (by, -by, 0)
            return contract(
                roots, lax.pad(ket, zero, config), f"{labels[position]},{labels}->{labels}"
            )

        up, down = step(1), step(-1)
        return up + down, (up - down) * np.array(1j, ket.dtype)
