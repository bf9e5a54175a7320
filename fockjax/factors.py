"""The joint state of some modes, independent of all others: pure or mixed.

A factor stays pure until something mixes it. Both kinds have the same methods, and the layout knows
how a factor is stored.
"""

import abc
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._linear import contract
from fockjax._numerics import ratio, safe_sqrt
from fockjax._random import draw_index, score_weight
from fockjax.layout import Box, Frame, Layout, Square
from fockjax.operators import Diagonal, Operator
from fockjax.superoperators import Channel

Stored = TypeVar("Stored", Layout, Square)


@dataclass(frozen=True, eq=False)
class Factor(abc.ABC, Generic[Stored]):
    """The state of some modes, `Pure` or `Mixed`.

    Attributes:
        array: its amplitudes or matrix elements, stored as `layout` says.
        modes: the modes, increasing.
        layout: how they are stored: a `Layout` of kets, or a `Square` of density matrices.
        is_pure: whether it is a ket.
    """

    array: jax.Array
    modes: tuple[int, ...] = field(metadata={"static": True})
    layout: Stored = field(metadata={"static": True})
    is_pure: ClassVar[bool]

    def apply(self, operator: Operator, modes: tuple[int, ...]) -> "Factor":
        array = self.layout.apply(operator, self.array, self.positions(modes))
        return replace(self, array=array)

    def apply_diagonals(self, diagonals: Mapping[int, Diagonal]) -> "Factor":
        """The factor after diagonal operators, one on each of some modes."""
        placed = [(diagonal, self.positions((mode,))) for mode, diagonal in diagonals.items()]
        return replace(self, array=self.layout.apply_diagonals(placed, self.array))

    def join(self, other: "Factor") -> "Factor":
        """The product with a factor of other modes: pure if both are."""
        if self.is_pure != other.is_pure:
            return self.mixed().join(other.mixed())
        modes = self.modes + other.modes
        order = sorted(range(len(modes)), key=modes.__getitem__)
        array = self.layout.join(self.array, other.layout, other.array, order)
        layout = self.layout.beside(other.layout, order)
        return type(self)(array, tuple(sorted(modes)), layout)

    @abc.abstractmethod
    def mixed(self) -> "Mixed":
        """The same state as a density matrix."""

    @abc.abstractmethod
    def apply_channel(self, channel: Channel, modes: tuple[int, ...]) -> "Mixed":
        """The factor after a channel on some of its modes."""

    def weighted(self, weight: jax.Array) -> "Factor":
        """The factor with its density matrix times ``weight``, a real scalar >= 0."""
        return replace(self, array=self.layout.weighted(self.array, weight))

    def trace_out(self, modes: Sequence[int]) -> "Factor | jax.Array":
        """The factor of the other modes; the trace, a real scalar, where there are none."""
        others = tuple(mode for mode in self.modes if mode not in modes)
        if not others:
            return self.norm_squared()
        positions = self.positions(others)
        rho = self.layout.partial_trace(self.array, positions)
        return Mixed(rho, others, Square(self.kets.of(positions)))

    @abc.abstractmethod
    def project(self, mode: int, weights: jax.Array, bras: jax.Array) -> "Factor | jax.Array":
        """What measuring a mode leaves of the others, ``sum_j weights[j] <bra_j| rho |bra_j>``.

        Args:
            mode: the mode, which is gone afterwards.
            weights: real, >= 0, shape (J,).
            bras: shape (J, cutoff): ``<bra_j| = sum_n bras[j, n] <n|``.

        Returns:
            A factor, not normalised, of the other modes: pure if this one is and J is 1. Where
            there are no others, its trace, a real scalar.
        """

    @property
    def kets(self) -> Layout:
        """The layout of kets of its modes."""
        return self.layout.kets

    @property
    def cutoffs(self) -> tuple[int, ...]:
        """The cutoff of each mode."""
        return self.layout.cutoffs

    @property
    def is_batch(self) -> bool:
        """Whether the array has axes besides those of one sample."""
        return self.array.ndim != self.layout.ndim

    @property
    def dtype(self) -> np.dtype:
        """The complex dtype."""
        return self.array.dtype

    def positions(self, modes: Sequence[int]) -> tuple[int, ...]:
        """The positions of some of its modes among all of them."""
        return tuple(self.modes.index(mode) for mode in modes)

    # What readouts are made of. ``modes`` are some of its own, in any order.

    def norm_squared(self) -> jax.Array:
        """The trace of the density matrix."""
        return self.layout.norm_squared(self.array)

    def probability(self, photons: Mapping[int, Any]) -> jax.Array:
        """The probability of ``photons[mode]`` photons in each mode; 0 beyond the cutoff."""
        return self.layout.probability(self.array, [photons[mode] for mode in self.modes])

    def probabilities(self, modes: tuple[int, ...]) -> jax.Array:
        """Joint photon-number probabilities, an axis for each of ``modes``."""
        return self.layout.probabilities(self.array, self.positions(modes))

    def means(self, observables: Sequence[Mapping[int, jax.Array]]) -> list[jax.Array]:
        """The means of ``prod values[mode][n_mode]`` for each of some observables of the same of
        its modes.
        """
        placed = [{self.modes.index(m): v for m, v in each.items()} for each in observables]
        return self.layout.means(self.array, placed)

    def sequence(self, modes: tuple[int, ...]) -> list[jax.Array]:
        """For each of ``modes`` the joint probabilities of its photon number and of those before:
        see `Layout.sequence`.
        """
        populations = self.layout.populations(self.array)
        return self.kets.sequence(populations, self.positions(modes))

    def edge(self) -> jax.Array:
        """The probability of the last two photon numbers that are kept: see `Layout.edge`."""
        return self.kets.edge(self.layout.populations(self.array))

    def band(self, mode: int, order: int, weights: np.ndarray) -> jax.Array:
        """``sum_n weights[n] <n + order| rho |n>`` of one mode, the others traced out."""
        return self.layout.band(self.array, self.modes.index(mode), order, weights)

    def reduced(self, modes: tuple[int, ...]) -> jax.Array:
        """The density matrix of ``modes``: their row axes, then their column axes."""
        return self.layout.reduced(self.array, self.positions(modes))

    def isospectral(self, modes: tuple[int, ...]) -> jax.Array:
        """A square matrix with the same nonzero eigenvalues as the density matrix of ``modes``."""
        return self.layout.isospectral(self.array, self.positions(modes))

    def gram(self, frame: Frame) -> jax.Array:
        """``trace(O_i^dagger O_j rho)``, where ``frame(layout, ket)`` stacks the ``O_j |ket>`` and
        is linear in the ket.
        """
        return self.layout.gram(self.array, frame)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Pure(Factor[Layout]):
    """A ket."""

    is_pure: ClassVar[bool] = True

    @staticmethod
    def of_ket(ket: jax.Array, modes: tuple[int, ...], layout: Layout | None = None) -> "Pure":
        """A factor from amplitudes with an axis for each mode, in the order of ``modes``.

        Args:
            ket: the amplitudes.
            modes: the modes.
            layout: the layout of the modes in increasing order; by default a box of the ket's
                shape.
        """
        ket = ket.transpose(sorted(range(len(modes)), key=modes.__getitem__))
        layout = layout or Box(ket.shape)
        return Pure(layout.unboxed(ket), tuple(sorted(modes)), layout)

    def mixed(self) -> "Mixed":
        return Mixed(self.layout.outer(self.array), self.modes, Square(self.kets))

    def apply_channel(self, channel: Channel, modes: tuple[int, ...]) -> "Mixed":
        return self.mixed().apply_channel(channel, modes)

    def unravel(
        self, channel: Channel, key: jax.Array, modes: tuple[int, ...]
    ) -> tuple["Pure", jax.Array]:
        """One random branch of a channel on some of its modes, and its weight."""
        positions = self.positions(modes)
        view, axes = self.layout.open(self.array, positions)
        view, weight = channel.unravel(key, view, axes)
        return replace(self, array=self.layout.close(view, positions)), weight

    def project(self, mode: int, weights: jax.Array, bras: jax.Array) -> Factor | jax.Array:
        kets = self.layout.project(self.array, self.modes.index(mode), bras)
        others = tuple(other for other in self.modes if other != mode)
        if not others:
            return Square.mixture(weights, kets).real
        layout = self.kets.of(self.positions(others))
        if len(weights) == 1:
            return Pure(kets[0], others, layout).weighted(weights[0])
        return Mixed(Square.mixture(weights, kets), others, Square(layout))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Mixed(Factor[Square]):
    """A density matrix: row axes, then column axes, each as the layout of kets says."""

    is_pure: ClassVar[bool] = False

    @staticmethod
    def of_matrix(rho: jax.Array, modes: tuple[int, ...], layout: Layout | None = None) -> "Mixed":
        """A factor from matrix elements with a row axis for each mode, then a column axis for each,
        in the order of ``modes``; ``layout`` is that of kets, as in `Pure.of_ket`.
        """
        order = sorted(range(len(modes)), key=modes.__getitem__)
        rho = rho.transpose(order + [len(modes) + k for k in order])
        layout = layout or Box(rho.shape[: len(modes)])
        return Mixed(layout.unboxed_matrix(rho), tuple(sorted(modes)), Square(layout))

    def mixed(self) -> "Mixed":
        return self

    def apply_channel(self, channel: Channel, modes: tuple[int, ...]) -> "Mixed":
        positions = self.positions(modes)
        view, rows, columns = self.layout.open(self.array, positions)
        view = channel.apply(view, rows, columns)
        return replace(self, array=self.layout.close(view, positions))

    def branch(self, key: jax.Array) -> tuple[Pure, jax.Array]:
        """One random branch, an eigenvector, and its weight, as in `Channel.unravel`."""
        ket, weight = _ket_of(self.array, key)
        return Pure(ket, self.modes, self.kets), weight

    def project(self, mode: int, weights: jax.Array, bras: jax.Array) -> Factor | jax.Array:
        rho = self.layout.project(self.array, self.modes.index(mode), weights, bras)
        others = tuple(other for other in self.modes if other != mode)
        if not others:
            return rho.real
        return Mixed(rho, others, Square(self.kets.of(self.positions(others))))


def _ket_of(rho: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A pure branch of a density matrix, an eigenvector, and its weight, as in `Channel.unravel`.

    Eigenvectors of equal eigenvalues have no derivatives. So they are taken as constants, and their
    change with rho is written by hand: ``psi_j = sqrt(l_j) v_j + (1 - P/2) drho v_j / sqrt(l_j)``,
    where P projects on the eigenvectors of nonzero eigenvalues. The sum of ``|psi_j><psi_j|`` has
    the first derivative of rho.
    """
    cutoffs = rho.shape[: rho.ndim // 2]
    size = math.prod(cutoffs)
    rho = rho.reshape(size, size)
    known = lax.stop_gradient(rho)
    values, vectors = jnp.linalg.eigh(known)
    there = values > size * jnp.finfo(values.dtype).eps * values[-1]
    values = jnp.where(there, values, 0)
    j = draw_index(key, values)
    vector = vectors[:, j]
    step = contract(rho - known, vector, "mn,n->m")
    inside = jnp.where(there, contract(vectors.conj(), step, "mj,m->j"), 0)
    step = step - contract(vectors, inside, "mj,j->m") / 2
    root = jnp.sqrt(values[j])  # 0 after an impossible selection
    ket = root.astype(rho.dtype) * vector + ratio(1, root).astype(rho.dtype) * step
    chance = contract(ket.conj(), ket, "m,m->", real=True)
    total = jnp.trace(rho).real
    ket = ket * safe_sqrt(ratio(total, chance)).astype(ket.dtype)
    return ket.reshape(cutoffs), score_weight(ratio(chance, total))
