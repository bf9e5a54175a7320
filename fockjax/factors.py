"""The joint state of some modes, independent of all others: pure or mixed.

A factor stays pure until something mixes it. What is done to it and what is read from it is the
same for both kinds; how it is stored is the business of its layout.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import jax
import numpy as np

from fockjax.layout import Box, Frame, Square
from fockjax.operators import Operator


@dataclass(frozen=True, eq=False)
class Factor:
    """The state of some modes, `Pure` or `Mixed`.

    Attributes:
        array: its amplitudes or matrix elements, stored as `layout` says.
        modes: the modes, increasing.
        layout: how they are stored.
        is_pure: whether it is a ket.
    """

    array: jax.Array
    modes: tuple[int, ...] = field(metadata={"static": True})
    layout: Any = field(metadata={"static": True})
    is_pure: ClassVar[bool]

    def apply(self, operator: Operator, modes: tuple[int, ...]) -> "Factor":
        array = self.layout.apply(operator, self.array, self.positions(modes))
        return replace(self, array=array)

    def join(self, other: "Factor") -> "Factor":
        """The product with a factor of other modes: pure if both are."""
        if self.is_pure != other.is_pure:
            return self.mixed().join(other.mixed())
        modes = self.modes + other.modes
        order = sorted(range(len(modes)), key=modes.__getitem__)
        layout, array = self.layout.join(self.array, other.layout, other.array, order)
        return type(self)(array, tuple(sorted(modes)), layout)

    def mixed(self) -> "Mixed":
        """As a density matrix."""
        raise NotImplementedError

    def channel(self, channel: Any, modes: tuple[int, ...]) -> "Mixed":
        """After a channel on some of its modes."""
        raise NotImplementedError

    def weighted(self, weight: jax.Array) -> "Factor":
        """With its density matrix times ``weight``, a real scalar >= 0."""
        return replace(self, array=self.layout.weighted(self.array, weight))

    def trace_out(self, modes: Sequence[int]) -> "Factor | jax.Array":
        """The factor of the other modes; the trace, a real scalar, where there are none."""
        others = tuple(mode for mode in self.modes if mode not in modes)
        return Mixed.of_matrix(self.reduced(others), others) if others else self.norm_squared()

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
        raise NotImplementedError

    # what readouts ask of it: see `fockjax.readouts.Part`

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return self.layout.cutoffs

    @property
    def is_batch(self) -> bool:
        return self.array.ndim != self.layout.ndim

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype

    def norm_squared(self) -> jax.Array:
        return self.layout.norm_squared(self.array)

    def probability(self, photons: Mapping[int, Any]) -> jax.Array:
        return self.layout.probability(self.array, [photons[mode] for mode in self.modes])

    def probabilities(self, modes: tuple[int, ...]) -> jax.Array:
        return self.layout.probabilities(self.array, self.positions(modes))

    def coherence(self, mode: int, order: int) -> jax.Array:
        return self.layout.coherence(self.array, self.modes.index(mode), order)

    def reduced(self, modes: tuple[int, ...]) -> jax.Array:
        return self.layout.reduced(self.array, self.positions(modes))

    def spectrum_of(self, modes: tuple[int, ...]) -> jax.Array:
        return self.layout.spectrum(self.array, self.positions(modes))

    def gram(self, frame: Frame) -> jax.Array:
        return self.layout.gram(self.array, frame)

    def positions(self, modes: Sequence[int]) -> tuple[int, ...]:
        """Where some of its modes stand among them."""
        return tuple(self.modes.index(mode) for mode in modes)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Pure(Factor):
    """A ket, in a `Box`."""

    is_pure: ClassVar[bool] = True

    @staticmethod
    def of_ket(ket: jax.Array, modes: tuple[int, ...]) -> "Pure":
        """A factor from amplitudes whose axes stand in the order of ``modes``."""
        order = sorted(range(len(modes)), key=modes.__getitem__)
        ket = ket.transpose(order)
        return Pure(ket, tuple(sorted(modes)), Box(ket.shape))

    @property
    def ket(self) -> jax.Array:
        """The amplitudes."""
        return self.array

    def mixed(self) -> "Mixed":
        return Mixed(self.reduced(self.modes), self.modes, Square(self.cutoffs))

    def channel(self, channel: Any, modes: tuple[int, ...]) -> "Mixed":
        return self.mixed().channel(channel, modes)

    def project(self, mode: int, weights: jax.Array, bras: jax.Array) -> Factor | jax.Array:
        kets = self.layout.project(self.ket, self.modes.index(mode), bras)
        others = tuple(other for other in self.modes if other != mode)
        if not others:
            return Square.mixture(weights, kets).real
        if len(weights) == 1:
            return Pure.of_ket(kets[0], others).weighted(weights[0])
        return Mixed.of_matrix(Square.mixture(weights, kets), others)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Mixed(Factor):
    """A density matrix, in a `Square`."""

    is_pure: ClassVar[bool] = False

    @staticmethod
    def of_matrix(rho: jax.Array, modes: tuple[int, ...]) -> "Mixed":
        """A factor from matrix elements whose row axes, then column axes, stand in the order of
        ``modes``.
        """
        order = sorted(range(len(modes)), key=modes.__getitem__)
        rho = rho.transpose(order + [len(modes) + k for k in order])
        return Mixed(rho, tuple(sorted(modes)), Square(rho.shape[: len(modes)]))

    @property
    def rho(self) -> jax.Array:
        """The matrix elements: row axes, then column axes."""
        return self.array

    def mixed(self) -> "Mixed":
        return self

    def channel(self, channel: Any, modes: tuple[int, ...]) -> "Mixed":
        rows, columns = self.layout.axes(self.positions(modes))
        return replace(self, array=channel.apply(self.rho, rows, columns))

    def project(self, mode: int, weights: jax.Array, bras: jax.Array) -> Factor | jax.Array:
        rho = self.layout.project(self.rho, self.modes.index(mode), weights, bras)
        others = tuple(other for other in self.modes if other != mode)
        return Mixed.of_matrix(rho, others) if others else rho.real
