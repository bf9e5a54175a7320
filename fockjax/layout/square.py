"""Density matrices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_letters
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._linear import contract
from fockjax.layout.layout import Axes, Frame, Layout, Means, times
from fockjax.operators import Diagonal, Operator


@dataclass(frozen=True)
class Square:
    """A layout of density matrices: the axes of a layout of kets for the rows, then the same axes
    for the columns. Methods do for density matrices what those of the same name in `Layout` do for
    kets.
    """

    kets: Layout

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return self.kets.cutoffs

    @property
    def shape(self) -> tuple[int, ...]:
        return self.kets.shape * 2

    @property
    def ndim(self) -> int:
        """How many axes the array of one sample has."""
        return 2 * self.kets.ndim

    def bytes(self, dtype) -> int:
        """The memory that the array of one sample takes."""
        return self.kets.size * self.kets.bytes(dtype)

    def view_bytes(self, positions: Axes, cutoffs: Sequence[int], dtype) -> int:
        """The memory that a view takes if ``positions`` have the given ``cutoffs`` in it."""
        return self.kets.view_bytes(positions, cutoffs, dtype) ** 2 // np.dtype(dtype).itemsize

    def open(self, rho: jax.Array, positions: Axes) -> tuple[jax.Array, Axes, Axes]:
        """A view, made by `Layout.open` from the rows and from the columns; and the row axes and
        the column axes of ``positions`` in it.
        """
        view, rows = self.kets.open(rho, positions)
        view, columns = self.kets.open(view, positions, view.ndim - self.kets.ndim)
        return view, rows, columns

    def close(self, view: jax.Array, positions: Axes) -> jax.Array:
        """Undoes `open`."""
        view = self.kets.close(view, positions, view.ndim // 2)
        return self.kets.close(view, positions)

    def apply(self, operator: Operator, rho: jax.Array, positions: Axes) -> jax.Array:
        rho = self.kets.apply(operator, rho, positions)
        return self.kets.apply(operator.conj(), rho, positions, self.kets.ndim)

    def apply_diagonals(
        self, diagonals: Sequence[tuple[Diagonal, Axes]], rho: jax.Array
    ) -> jax.Array:
        """Apply diagonal operators on different modes."""
        rho = self.kets.apply_diagonals(diagonals, rho)
        conjugate = [(diagonal.conj(), positions) for diagonal, positions in diagonals]
        return self.kets.apply_diagonals(conjugate, rho, self.kets.ndim)

    def weighted(self, rho: jax.Array, weight: jax.Array) -> jax.Array:
        """The density matrix times ``weight``, a real scalar >= 0."""
        return times(weight, rho)

    def beside(self, other: "Square", order: Sequence[int]) -> "Square":
        """The layout of the modes of both, in which ``order[k]`` stands at position ``k``."""
        return Square(self.kets.beside(other.kets, order))

    def join(
        self, rho: jax.Array, other: "Square", other_rho: jax.Array, order: Sequence[int]
    ) -> jax.Array:
        """The product of two density matrices, in the layout that `beside` gives."""
        return self.kets.join(rho, other.kets, other_rho, order, sides=2)

    def norm_squared(self, rho: jax.Array) -> jax.Array:
        """The trace."""
        return self.probabilities(rho, ())

    def probabilities(self, rho: jax.Array, positions: Axes) -> jax.Array:
        """Joint photon-number probabilities of some modes, the others summed over."""
        return self.kets.marginal(self.populations(rho), positions)

    def populations(self, rho: jax.Array) -> jax.Array:
        """The probability of each state that is kept, stored as the amplitudes of a ket are."""
        return _diagonal(rho.reshape(-1), self.kets.size).real.reshape(self.kets.shape)

    def means(self, rho: jax.Array, observables: Sequence[Mapping[int, jax.Array]]) -> Means:
        """The means of products of observables: see `Layout.means`."""
        return self.kets.averages(self.populations(rho), observables)

    def probability(self, rho: jax.Array, photons: Sequence[Any]) -> jax.Array:
        """The probability of one Fock state, 0 if it is not kept. The photon numbers are integers
        that may be traced.
        """
        where, kept = self.kets.index(photons)
        return jnp.where(kept, rho[where * 2].real, 0)

    def coherence(self, rho: jax.Array, position: int, order: int) -> jax.Array:
        """``<n + order| rho |n>`` of one mode for each ``n``, the others traced out."""
        if order >= self.cutoffs[position]:
            return jnp.zeros((0,), rho.dtype)
        return jnp.diagonal(self.reduced(rho, (position,)), -order)

    def band(self, rho: jax.Array, position: int, order: int, weights: np.ndarray) -> jax.Array:
        """``sum_n weights[n] <n + order| rho |n>`` of one mode."""
        return contract(weights, self.coherence(rho, position, order), "n,n->")

    def partial_trace(self, rho: jax.Array, positions: Axes) -> jax.Array:
        """The density matrix of some modes, the others traced out."""
        view, rows = self.kets.divide(rho, positions)
        half = view.ndim - self.kets.ndim
        view, columns = self.kets.divide(view, positions, half)
        more = tuple(k for k in range(half) if k not in rows)
        more_columns = tuple(k for k in range(half, view.ndim) if k not in columns)
        kept = [view.shape[k] for k in rows + columns]
        traced = int(np.prod([view.shape[k] for k in more]))
        view = view.transpose(rows + columns + more + more_columns).reshape(*kept, traced**2)
        return _diagonal(view, traced).sum(-1)

    def reduced(self, rho: jax.Array, positions: Axes) -> jax.Array:
        """The partial trace with an axis for each mode: row axes in the order of ``positions``,
        then column axes.
        """
        return self.kets.of(positions).boxed_matrix(self.partial_trace(rho, positions))

    def isospectral(self, rho: jax.Array, positions: Axes) -> jax.Array:
        """The density matrix of some modes as a square matrix: see `Layout.isospectral`."""
        size = self.kets.of(positions).size
        return self.partial_trace(rho, positions).reshape(size, size)

    def gram(self, rho: jax.Array, frame: Frame) -> jax.Array:
        """``trace(O_i^dagger O_j rho)``, where ``frame(layout, ket)`` stacks the ``O_j |ket>``.

        It takes the memory of a frame for each column of rho and for each column of the identity.
        """
        shape, size = self.kets.shape, self.kets.size
        identity = jnp.eye(size, dtype=rho.dtype).reshape(*shape, size)
        columns = jax.vmap(lambda ket: frame(self.kets, ket), in_axes=-1, out_axes=-1)
        turned, unturned = columns(rho.reshape(*shape, size)), columns(identity)
        labels = ascii_letters[: turned.ndim - 1]
        return contract(unturned.conj(), turned, f"Y{labels},Z{labels}->YZ")

    def project(
        self, rho: jax.Array, position: int, weights: jax.Array, bras: jax.Array
    ) -> jax.Array:
        """``sum_j weights[j] <bra_j| rho |bra_j>``, where the bras act on one mode: see
        `Layout.project`.
        """
        effect = contract(times(weights, bras), bras.conj(), "Za,Zb->ab")
        view, (row,), (column,) = self.open(rho, (position,))
        labels = ascii_letters[: view.ndim]
        rest = "".join(label for k, label in enumerate(labels) if k not in (row, column))
        return contract(effect, view, f"{labels[row]}{labels[column]},{labels}->{rest}")

    @staticmethod
    def mixture(weights: jax.Array, kets: jax.Array) -> jax.Array:
        """``sum_j weights[j] |ket_j><ket_j|`` for kets that stand along the first axis."""
        rows = ascii_letters[: kets.ndim - 1]
        columns = ascii_letters[kets.ndim - 1 : 2 * (kets.ndim - 1)]
        return contract(times(weights, kets), kets.conj(), f"Z{rows},Z{columns}->{rows}{columns}")


def _diagonal(matrix: jax.Array, size: int) -> jax.Array:
    """The diagonal of a matrix of ``size`` rows that is flattened in the last axis."""
    return lax.slice_in_dim(matrix, 0, None, size + 1, axis=-1)
