"""How the state of one entangled group of modes is stored, known here and nowhere else.

A `Box` keeps the photon numbers below a cutoff for each mode: a ket is an array with one axis for
each mode. A `Square` keeps density matrices on a box: a row axis for each mode, then a column axis
for each. Both do the same things to what they store, so that factors and readouts need not know
which it is. Operators see a state only through `apply`, as an array some of whose axes are the
modes they act on.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import ascii_letters

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._linear import contract
from fockjax._numerics import safe_sqrt
from fockjax.operators import Operator


@dataclass(frozen=True)
class Box:
    """A cutoff for each mode: amplitudes have shape ``cutoffs``."""

    cutoffs: tuple[int, ...]

    @property
    def ndim(self) -> int:
        """How many axes the array of one sample has."""
        return len(self.cutoffs)

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

    def weighted(self, ket: jax.Array, weight: jax.Array) -> jax.Array:
        """Its density matrix times ``weight``, a real scalar >= 0."""
        return _times(safe_sqrt(weight), ket)

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

    def spectrum(self, ket: jax.Array, positions: tuple[int, ...]) -> jax.Array:
        """A square density matrix with the eigenvalues of that of some modes, zeros aside. Both
        sides of a pure state have the same: it is that of the smaller one.
        """
        others = tuple(k for k in range(len(self.cutoffs)) if k not in positions)
        smaller = min(positions, others, key=self.size)
        return self.reduced(ket, smaller).reshape(self.size(smaller), self.size(smaller))

    def gram(self, ket: jax.Array, frame: "Frame") -> jax.Array:
        """``trace(O_i^dagger O_j |ket><ket|)``, where ``frame(layout, ket)`` stacks the ``O_j
        |ket>``.
        """
        vectors = frame(self, ket)
        labels = ascii_letters[: ket.ndim]
        return contract(vectors.conj(), vectors, f"Y{labels},Z{labels}->YZ")

    def project(self, ket: jax.Array, position: int, bras: jax.Array) -> jax.Array:
        """``<bra_j|ket>`` for each ``j``, where ``<bra_j| = sum_n bras[j, n] <n|`` is of one mode:
        kets of the other modes along the first axis.
        """
        labels = ascii_letters[: ket.ndim]
        rest = labels[:position] + labels[position + 1 :]
        return contract(bras, ket, f"Z{labels[position]},{labels}->Z{rest}")

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


Frame = Callable[[Box, jax.Array], jax.Array]
"""Takes the layout of a ket and the ket, stacks what some operators make of it along a new first
axis; linear in the ket."""


@dataclass(frozen=True)
class Square:
    """Density matrices of modes with a cutoff each: shape ``(*cutoffs, *cutoffs)``, rows first."""

    cutoffs: tuple[int, ...]

    @property
    def _box(self) -> Box:
        """That of an array with as many axes: a density matrix is a ket of twice the modes."""
        return Box(self.cutoffs * 2)

    def axes(self, positions: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The row axes and the column axes of some modes."""
        return positions, tuple(len(self.cutoffs) + k for k in positions)

    @property
    def ndim(self) -> int:
        """How many axes the array of one sample has."""
        return 2 * len(self.cutoffs)

    def size(self, positions: tuple[int, ...]) -> int:
        """How many combinations of photon numbers some modes have."""
        return math.prod(self.cutoffs[k] for k in positions)

    def bytes(self, dtype) -> int:
        """The memory that the density matrix of one sample takes."""
        return self._box.bytes(dtype)

    def apply(self, operator: Operator, rho: jax.Array, positions: tuple[int, ...]) -> jax.Array:
        rows, columns = self.axes(positions)
        return operator.conj().apply(operator.apply(rho, rows), columns)

    def weighted(self, rho: jax.Array, weight: jax.Array) -> jax.Array:
        """The density matrix times ``weight``, a real scalar >= 0."""
        return _times(weight, rho)

    def join(
        self, rho: jax.Array, other: "Square", other_rho: jax.Array, order: list[int]
    ) -> tuple["Square", jax.Array]:
        """The product with an independent group: modes of both, ``order[k]`` standing at position
        ``k``.
        """
        n, more = len(self.cutoffs), len(other.cutoffs)
        rows = [k if k < n else n + k for k in order]
        columns = [k + n if k < n else n + more + k for k in order]
        box, joined = self._box.join(rho, other._box, other_rho, rows + columns)
        return Square(box.cutoffs[: n + more]), joined

    def norm_squared(self, rho: jax.Array) -> jax.Array:
        """The trace."""
        return self.probabilities(rho, ())

    def probabilities(self, rho: jax.Array, positions: tuple[int, ...]) -> jax.Array:
        """Joint photon-number probabilities of some modes, the others summed over."""
        everywhere = tuple(range(len(self.cutoffs)))
        diagonal = _diagonal(rho.reshape(-1), self.size(everywhere)).real.reshape(self.cutoffs)
        summed = diagonal.sum(tuple(k for k in everywhere if k not in positions))
        return summed.transpose(tuple(np.argsort(np.argsort(positions))))

    def probability(self, rho: jax.Array, photons: Sequence[jax.Array]) -> jax.Array:
        """Of one pattern of photon numbers, integers that may be traced; 0 beyond the cutoffs."""
        within = [jnp.clip(n, 0, c - 1) for n, c in zip(photons, self.cutoffs, strict=True)]
        found = rho[tuple(within * 2)].real
        inside = jnp.stack(within) == jnp.stack(photons)
        return jnp.where(inside.all(), found, 0)

    def coherence(self, rho: jax.Array, position: int, order: int) -> jax.Array:
        """``<n + order| rho |n>`` of one mode for each ``n``, the others traced out."""
        if order >= self.cutoffs[position]:
            return jnp.zeros((0,), rho.dtype)
        return jnp.diagonal(self.reduced(rho, (position,)), -order)

    def reduced(self, rho: jax.Array, positions: tuple[int, ...]) -> jax.Array:
        """The density matrix of some modes, the others traced out: their row axes in the order
        asked for, then their column axes.
        """
        others = tuple(k for k in range(len(self.cutoffs)) if k not in positions)
        (rows, columns), (more, more_columns) = self.axes(positions), self.axes(others)
        kept = tuple(self.cutoffs[k] for k in positions) * 2
        traced = self.size(others)
        rho = rho.transpose(rows + columns + more + more_columns).reshape(*kept, traced**2)
        return _diagonal(rho, traced).sum(-1)

    def spectrum(self, rho: jax.Array, positions: tuple[int, ...]) -> jax.Array:
        """The density matrix of some modes as a square matrix."""
        size = self.size(positions)
        return self.reduced(rho, positions).reshape(size, size)

    def gram(self, rho: jax.Array, frame: Frame) -> jax.Array:
        """``trace(O_i^dagger O_j rho)``, where ``frame(layout, ket)`` stacks the ``O_j |ket>``.

        Memory: that of the frame for each column of rho and for each of the identity.
        """
        box, size = Box(self.cutoffs), math.prod(self.cutoffs)
        identity = jnp.eye(size, dtype=rho.dtype).reshape(*self.cutoffs, size)
        columns = jax.vmap(lambda ket: frame(box, ket), in_axes=-1, out_axes=-1)
        turned, unturned = columns(rho.reshape(*self.cutoffs, size)), columns(identity)
        labels = ascii_letters[: turned.ndim - 1]
        return contract(unturned.conj(), turned, f"Y{labels},Z{labels}->YZ")

    def project(
        self, rho: jax.Array, position: int, weights: jax.Array, bras: jax.Array
    ) -> jax.Array:
        """``sum_j weights[j] <bra_j| rho |bra_j>``, the bras of one mode: see `Box.project`."""
        effect = contract(_times(weights, bras), bras.conj(), "Za,Zb->ab")
        labels = ascii_letters[: rho.ndim]
        (row,), (column,) = self.axes((position,))
        rest = "".join(label for k, label in enumerate(labels) if k not in (row, column))
        return contract(effect, rho, f"{labels[row]}{labels[column]},{labels}->{rest}")

    @staticmethod
    def mixture(weights: jax.Array, kets: jax.Array) -> jax.Array:
        """``sum_j weights[j] |ket_j><ket_j|`` of kets that stand along the first axis."""
        rows = ascii_letters[: kets.ndim - 1]
        columns = ascii_letters[kets.ndim - 1 : 2 * (kets.ndim - 1)]
        return contract(_times(weights, kets), kets.conj(), f"Z{rows},Z{columns}->{rows}{columns}")


def _times(weights: jax.Array, array: jax.Array) -> jax.Array:
    """Weights along the first axes of an array."""
    labels = ascii_letters[: array.ndim]
    return contract(weights, array, f"{labels[: weights.ndim]},{labels}->{labels}")


def _diagonal(matrix: jax.Array, size: int) -> jax.Array:
    """The diagonal of a matrix of ``size`` rows that is flattened into the last axis."""
    return lax.slice_in_dim(matrix, 0, None, size + 1, axis=-1)
