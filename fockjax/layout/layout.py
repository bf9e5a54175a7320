"""The base class of layouts: what all can do, in terms of the few methods in which they differ."""

import abc
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from string import ascii_letters
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._linear import contract
from fockjax._numerics import resized, safe_sqrt, shifted
from fockjax.operators import Diagonal, Operator

Axes = tuple[int, ...]
Means = list[jax.Array]  # a real scalar for each observable


class Layout(abc.ABC):
    """Which Fock states of some modes are kept, and how their amplitudes are stored.

    In all methods ``positions`` are some of the modes, each given by its place among them. ``at``
    is the first axis of the ket in an array that may have more axes before it and after it.
    """

    @property
    @abc.abstractmethod
    def cutoffs(self) -> tuple[int, ...]:
        """For each mode the least photon number that occurs in no state that is kept."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of a ket."""

    @property
    @abc.abstractmethod
    def truncation(self) -> Any:
        """The truncation as users give it."""

    @abc.abstractmethod
    def of(self, positions: Axes) -> Self:
        """The layout of some of the modes by themselves, in the order asked for."""

    @abc.abstractmethod
    def beside(self, other: "Layout", order: Sequence[int] | None = None) -> Self:
        """The layout of the modes of both, in which ``order[k]`` stands at position ``k``."""

    @abc.abstractmethod
    def open(self, array: jax.Array, positions: Axes, at: int = 0) -> tuple[jax.Array, Axes]:
        """A view that operators can act on. In place of the axes of the ket it has one axis for
        each of ``positions``, as long as the cutoff of that mode, and the axes of the layout of the
        other modes. It is zero where no state is kept.

        Returns:
            The view, and the axes of ``positions`` in it.
        """

    @abc.abstractmethod
    def close(self, view: jax.Array, positions: Axes, at: int = 0) -> jax.Array:
        """Undoes `open`; the amplitudes of states that are not kept are dropped."""

    @abc.abstractmethod
    def divide(self, array: jax.Array, positions: Axes, at: int = 0) -> tuple[jax.Array, Axes]:
        """A view as from `open`, but with the axes of the layout of ``positions`` instead of an
        axis for each.
        """

    @abc.abstractmethod
    def join(
        self,
        array: jax.Array,
        other: Self,
        other_array: jax.Array,
        order: Sequence[int],
        sides: int = 1,
    ) -> jax.Array:
        """The product of two kets, or of two density matrices if ``sides`` is 2, in the layout
        that `beside` gives.
        """

    @abc.abstractmethod
    def extended(self, by: int) -> Self:
        """The layout that keeps ``by`` more photons."""

    @abc.abstractmethod
    def index(self, photons: Sequence[Any]) -> tuple[tuple[Any, ...], Any]:
        """The index of the amplitude of a Fock state, and whether the state is kept. The photon
        numbers may be traced.
        """

    @abc.abstractmethod
    def keeps(self, photons: np.ndarray) -> np.ndarray:
        """Which of the Fock states with photon numbers ``(states, modes)`` are kept."""

    # how often probability may be lost

    @property
    @abc.abstractmethod
    def separable(self) -> bool:
        """Whether what is kept of a mode does not depend on the others, so that cut operators on
        different modes commute.
        """

    @property
    def join_truncations(self) -> int:
        """How many times joining two groups may lose probability."""
        return 0

    def truncations(self, operator: Operator) -> int:
        """How many times applying an operator may lose probability."""
        return operator.truncations

    # sizes

    @property
    def kets(self) -> "Layout":
        """The layout of kets: this one. Of a `Square`, that of its rows."""
        return self

    @property
    def ndim(self) -> int:
        """How many axes the array of one sample has."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many states are kept."""
        return math.prod(self.shape)

    def bytes(self, dtype) -> int:
        """The memory that the array of one sample takes."""
        return self.size * np.dtype(dtype).itemsize

    def view_bytes(self, positions: Axes, cutoffs: Sequence[int], dtype) -> int:
        """The memory that a view takes if ``positions`` have the given ``cutoffs`` in it."""
        others = self._others(positions)
        rest = self.of(others).bytes(dtype) if others else np.dtype(dtype).itemsize
        return math.prod(cutoffs) * rest

    # what is done to kets

    def vacuum(self, dtype) -> jax.Array:
        return jnp.zeros(self.size, dtype).at[0].set(1).reshape(self.shape)

    def boxed(self, array: jax.Array, at: int = 0) -> jax.Array:
        """The ket with an axis for each mode."""
        return self.open(array, tuple(range(len(self.cutoffs))), at)[0]

    def unboxed(self, array: jax.Array, at: int = 0) -> jax.Array:
        """Undoes `boxed`."""
        return self.close(array, tuple(range(len(self.cutoffs))), at)

    def apply(
        self, operator: Operator, array: jax.Array, positions: Axes, at: int = 0
    ) -> jax.Array:
        view, axes = self.open(array, positions, at)
        return self.close(operator.apply(view, axes), positions, at)

    def apply_diagonals(
        self, diagonals: Sequence[tuple[Diagonal, Axes]], array: jax.Array, at: int = 0
    ) -> jax.Array:
        """Apply diagonal operators on different modes."""
        for diagonal, positions in diagonals:
            array = self.apply(diagonal, array, positions, at)
        return array

    def weighted(self, ket: jax.Array, weight: jax.Array) -> jax.Array:
        """The ket whose density matrix is ``weight`` times larger, a real scalar >= 0."""
        return times(safe_sqrt(weight), ket)

    def padded(self, ket: jax.Array, by: int) -> tuple[Self, jax.Array]:
        """The layout that keeps ``by`` more photons, and the same amplitudes in it."""
        layout = self.extended(by)
        return layout, resized(ket, layout.shape)

    def quadratures(self, ket: jax.Array, position: int) -> tuple[jax.Array, jax.Array]:
        """``(a + a^dagger) |ket>`` and ``-i (a - a^dagger) |ket>`` for one mode, cut."""
        view, (axis,) = self.open(ket, (position,))
        labels = ascii_letters[: view.ndim]

        def step(by):  # a^dagger for 1, a for -1
            n = np.arange(self.cutoffs[position])
            roots = np.sqrt(n if by == 1 else n + 1).astype(jnp.finfo(ket.dtype).dtype)
            moved = contract(roots, shifted(view, by, axis), f"{labels[axis]},{labels}->{labels}")
            return self.close(moved, (position,))

        up, down = step(1), step(-1)
        return up + down, (up - down) * np.array(1j, ket.dtype)

    def project(self, ket: jax.Array, position: int, bras: jax.Array) -> jax.Array:
        """``<bra_j|ket>`` for each ``j``, where ``<bra_j| = sum_n bras[j, n] <n|`` is a bra of one
        mode. The kets of the other modes that this leaves stand along the first axis.
        """
        view, (axis,) = self.open(ket, (position,))
        labels = ascii_letters[: view.ndim]
        rest = labels.replace(labels[axis], "")
        return contract(bras, view, f"Z{labels[axis]},{labels}->Z{rest}")

    def outer(self, ket: jax.Array) -> jax.Array:
        """``|ket><ket|``."""
        return self.partial_trace(ket, tuple(range(len(self.cutoffs))))

    # what is read from them

    def norm_squared(self, ket: jax.Array) -> jax.Array:
        return self.probabilities(ket, ())

    def probabilities(self, ket: jax.Array, positions: Axes) -> jax.Array:
        """Joint photon-number probabilities of some modes, the others summed over."""
        view, axes = self.open(ket, positions)
        labels = ascii_letters[: view.ndim]
        kept = "".join(labels[k] for k in axes)
        return contract(view.conj(), view, f"{labels},{labels}->{kept}", real=True)

    def populations(self, ket: jax.Array) -> jax.Array:
        """The probability of each state that is kept, stored as the amplitudes are."""
        labels = ascii_letters[: ket.ndim]
        return contract(ket.conj(), ket, f"{labels},{labels}->{labels}", real=True)

    def means(self, ket: jax.Array, observables: Sequence[Mapping[int, jax.Array]]) -> Means:
        """The means of ``prod values[k][n_k]`` for each of some observables, which give ``values``
        for the same positions k.
        """
        joint = self.probabilities(ket, tuple(observables[0]))
        return [_mean(joint, values) for values in observables]

    def probability(self, ket: jax.Array, photons: Sequence[Any]) -> jax.Array:
        """The probability of one Fock state, 0 if it is not kept. The photon numbers are integers
        that may be traced.
        """
        where, kept = self.index(photons)
        found = ket[where]
        return jnp.where(kept, found.real**2 + found.imag**2, 0)

    def coherence(self, ket: jax.Array, position: int, order: int) -> jax.Array:
        """``sum conj(ket[.. n ..]) ket[.. n+order ..]`` for each ``n``: a diagonal of the mode's
        density matrix.
        """
        length = self.cutoffs[position] - order
        if length <= 0:
            return jnp.zeros((0,), ket.dtype)
        view, (axis,) = self.open(ket, (position,))
        labels = ascii_letters[: view.ndim]

        # Checkpointed, so that a gradient does not keep the conjugate, which would be one more ket
        # for each mode that is read.
        @jax.checkpoint
        def summed(view):
            lower = lax.slice_in_dim(view, 0, length, axis=axis)
            upper = lax.slice_in_dim(view, order, order + length, axis=axis)
            return contract(lower.conj(), upper, f"{labels},{labels}->{labels[axis]}")

        return summed(view)

    def band(self, ket: jax.Array, position: int, order: int, weights: np.ndarray) -> jax.Array:
        """``sum_n weights[n] <n + order| rho |n>`` of one mode."""
        return contract(weights, self.coherence(ket, position, order), "n,n->")

    def partial_trace(self, ket: jax.Array, positions: Axes) -> jax.Array:
        """The density matrix of some modes, the others traced out. It is stored as a `Square` of
        the layout `of` these modes.
        """
        view, axes = self.divide(ket, positions)
        labels = ascii_letters[: view.ndim]
        columns = ascii_letters[view.ndim : view.ndim + len(axes)]
        rows = "".join(labels[k] for k in axes)
        bra = labels.translate(str.maketrans(rows, columns))
        return contract(view, view.conj(), f"{labels},{bra}->{rows}{columns}")

    def reduced(self, ket: jax.Array, positions: Axes) -> jax.Array:
        """The partial trace with an axis for each mode: row axes in the order of ``positions``,
        then column axes.
        """
        return self.of(positions).boxed_matrix(self.partial_trace(ket, positions))

    def boxed_matrix(self, rho: jax.Array) -> jax.Array:
        """A density matrix with a row axis for each mode, then a column axis for each."""
        return self.boxed(self.boxed(rho), len(self.cutoffs))

    def unboxed_matrix(self, rho: jax.Array) -> jax.Array:
        """Undoes `boxed_matrix`."""
        return self.unboxed(self.unboxed(rho), self.ndim)

    def isospectral(self, ket: jax.Array, positions: Axes) -> jax.Array:
        """A square matrix with the same nonzero eigenvalues as the density matrix of some modes.

        Of a pure state these modes and the others have the same, so it is the density matrix of the
        side with fewer states.
        """
        sides = (positions, self._others(positions))
        smaller = min(sides, key=lambda side: self.of(side).size)
        size = self.of(smaller).size
        return self.partial_trace(ket, smaller).reshape(size, size)

    def gram(self, ket: jax.Array, frame: "Frame") -> jax.Array:
        """``trace(O_i^dagger O_j |ket><ket|)``, where ``frame(layout, ket)`` stacks the ``O_j
        |ket>``.
        """
        vectors = frame(self, ket)
        labels = ascii_letters[: ket.ndim]
        return contract(vectors.conj(), vectors, f"Y{labels},Z{labels}->YZ")

    # what is read from `populations`

    def marginal(self, populations: jax.Array, positions: Axes) -> jax.Array:
        """Joint photon-number probabilities of some modes, the others summed over."""
        view, axes = self.open(populations, positions)
        summed = view.sum(tuple(k for k in range(view.ndim) if k not in axes))
        return summed.transpose(tuple(np.argsort(np.argsort(axes))))

    def averages(
        self, populations: jax.Array, observables: Sequence[Mapping[int, jax.Array]]
    ) -> Means:
        """What `means` reads from a ket."""
        joint = self.marginal(populations, tuple(observables[0]))
        return [_mean(joint, values) for values in observables]

    def sequence(self, populations: jax.Array, positions: Axes) -> list[jax.Array]:
        """For each of some modes the joint probabilities of its photon number, along the last axis,
        and of the state of those before it, along the axes of the layout `of` these.
        """
        joint = self.marginal(populations, positions)
        return [joint.sum(range(k + 1, joint.ndim)) for k in range(joint.ndim)]

    @abc.abstractmethod
    def edge(self, populations: jax.Array) -> jax.Array:
        """The probability of the last two photon numbers that are kept, before the cutoff of each
        mode or the bound on the total.
        """

    def _others(self, positions: Iterable[int]) -> Axes:
        return tuple(k for k in range(len(self.cutoffs)) if k not in positions)


Frame = Callable[[Layout, jax.Array], jax.Array]
"""Takes the layout of a ket and the ket. Applies some operators to the ket and stacks the results
along a new first axis. It must be linear in the ket."""


def mixed_truncations(one: Layout, other: Layout) -> ValueError:
    """The error for groups of modes with different truncations, which cannot form one state."""
    return ValueError(
        f"Groups of modes truncated by {one.truncation} and by {other.truncation} cannot be parts "
        "of one state: give all the same total, or each mode a cutoff."
    )


def _mean(joint: jax.Array, values: Mapping[int, jax.Array]) -> jax.Array:
    """The mean of a product of observables, one of each axis of joint probabilities."""
    for each in values.values():
        rest = ascii_letters[1 : joint.ndim]
        joint = contract(each, joint, f"a,a{rest}->{rest}")
    return joint


def times(weights: jax.Array, array: jax.Array) -> jax.Array:
    """An array times weights that stand along its first axes."""
    labels = ascii_letters[: array.ndim]
    return contract(weights, array, f"{labels[: weights.ndim]},{labels}->{labels}")
