"""A cutoff for each mode."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from string import ascii_letters
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._linear import contract
from fockjax.layout.layout import Axes, Layout, mixed_truncations
from fockjax.operators import Diagonal, join


@dataclass(frozen=True)
class Box(Layout):
    """The photon numbers below a cutoff for each mode, stored with an axis of that length for each.

    Attributes:
        sizes: the cutoffs.
    """

    sizes: tuple[int, ...]

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return self.sizes

    @property
    def shape(self) -> tuple[int, ...]:
        return self.cutoffs

    @property
    def truncation(self) -> tuple[int, ...]:
        return self.cutoffs

    @property
    def separable(self) -> bool:
        return True

    def of(self, positions: Axes) -> "Box":
        return Box(tuple(self.cutoffs[k] for k in positions))

    def beside(self, other: Layout, order: Sequence[int] | None = None) -> "Box":
        if not isinstance(other, Box):
            raise mixed_truncations(self, other)
        cutoffs = self.cutoffs + other.cutoffs
        return Box(cutoffs if order is None else tuple(cutoffs[k] for k in order))

    def open(self, array: jax.Array, positions: Axes, at: int = 0) -> tuple[jax.Array, Axes]:
        return array, tuple(at + k for k in positions)

    def close(self, view: jax.Array, positions: Axes, at: int = 0) -> jax.Array:
        return view

    def divide(self, array: jax.Array, positions: Axes, at: int = 0) -> tuple[jax.Array, Axes]:
        return self.open(array, positions, at)

    def join(
        self,
        array: jax.Array,
        other: "Box",
        other_array: jax.Array,
        order: Sequence[int],
        sides: int = 1,
    ) -> jax.Array:
        n, more = self.ndim, other.ndim
        mine, theirs = ascii_letters[: sides * n], ascii_letters[sides * n : sides * (n + more)]
        out = "".join(
            mine[side * n + k] if k < n else theirs[side * more + k - n]
            for side in range(sides)
            for k in order
        )
        return contract(array, other_array, f"{mine},{theirs}->{out}")

    def extended(self, by: int) -> "Box":
        return Box(tuple(cutoff + by for cutoff in self.cutoffs))

    def index(self, photons: Sequence[Any]) -> tuple[tuple[Any, ...], Any]:
        within = [jnp.clip(n, 0, c - 1) for n, c in zip(photons, self.cutoffs, strict=True)]
        return tuple(within), (jnp.stack(within) == jnp.stack(photons)).all()

    def keeps(self, photons: np.ndarray) -> np.ndarray:
        return np.all(photons < np.array(self.cutoffs), axis=1)

    def edge(self, populations: jax.Array) -> jax.Array:
        modes = range(len(self.cutoffs))
        return sum(
            (jnp.sum(self.marginal(populations, (k,))[-2:]) for k in modes),
            jnp.zeros((), populations.dtype),
        )

    def apply_diagonals(
        self, diagonals: Sequence[tuple[Diagonal, Axes]], array: jax.Array, at: int = 0
    ) -> jax.Array:
        together = reduce(join, [diagonal for diagonal, _ in diagonals])
        positions = tuple(k for _, own in diagonals for k in own)
        return self.apply(together, array, positions, at)
