"""Linear operators on a few modes, stored by their structure.

A gate is a `Diagonal` (rotation, Kerr), a `Matrix` (any unitary), a `Parity` (squeezing, half of
whose elements vanish) or `Sectors` (what conserves a sum or difference of photon numbers: on two
modes about D^3 numbers where the dense tensor has D^4). Above small cutoffs a gate with a phase is
`Turned`, and a `Generated` gate states its derivative. A `Product` is several operators, one after
the other, and `Padded` an operator that is cut after it has acted. `fockjax.gates` builds
operators; here they are combined (``@``, `Operator.adjoint`) and applied to a ket
(`Operator.apply`).

Operators are pytrees of one sample; batch them with `jax.vmap`.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from string import ascii_letters
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._bands import Build, Slope, apply_generated, rebuilt
from fockjax._linear import apply_matrix, contract, merge, skew, split
from fockjax._numerics import resized
from fockjax._phases import phase_factor

FOLD = 16  # up to this cutoff phases and neighbours are multiplied into the elements of a gate


class Operator(abc.ABC):
    """A linear operator on ``len(cutoffs)`` modes, cut to the photon numbers below the cutoffs."""

    @property
    @abc.abstractmethod
    def cutoffs(self) -> tuple[int, ...]:
        """The cutoff of each mode the operator acts on."""

    @property
    def truncations(self) -> int:
        """How many times applying it may lose probability at the cutoff."""
        return 1

    @abc.abstractmethod
    def _apply(self, ket: jax.Array, axes: tuple[int, ...]) -> jax.Array: ...

    @abc.abstractmethod
    def adjoint(self) -> "Operator":
        """The Hermitian conjugate of the truncated operator."""

    def apply(self, ket: jax.Array, modes: tuple[int, ...]) -> jax.Array:
        """Act on axes ``modes`` of ``ket``, an array with one axis for each mode; the shape stays.

        Raises:
            ValueError: if a mode is missing or repeated or an axis is not as long as the operator's
                cutoff.
        """
        modes = tuple(modes)
        if len(set(modes)) != len(modes) or any(not 0 <= mode < ket.ndim for mode in modes):
            raise ValueError(
                f"Argument `modes` must name distinct axes of a ket with {ket.ndim} modes, got "
                f"{modes}."
            )
        cutoffs = tuple(ket.shape[mode] for mode in modes)
        if cutoffs != self.cutoffs:
            raise ValueError(
                f"The operator has cutoffs {self.cutoffs} but modes {modes} of the ket have "
                f"cutoffs {cutoffs}; build it with those."
            )
        return self._apply(ket, modes)

    def suited(self, others: float) -> "Operator":
        """The same operator in the structure that is applied fastest to a ket.

        Args:
            others: how many amplitudes the ket has for each state of the operator's modes; infinity
                if it is not stored with an axis for each mode.
        """
        return self

    def conj(self) -> Self:
        """The operator with the complex conjugate of every matrix element."""
        return jax.tree.map(jnp.conj, self)

    def to_dense(self) -> jax.Array:
        """The matrix elements <m1, m2, ..| O |n1, n2, ..> as an array of shape ``(*cutoffs,
        *cutoffs)``.

        Output photon numbers come first. It is for inspection and tests: no circuit builds it.
        """
        size = 1
        for cutoff in self.cutoffs:
            size *= cutoff
        real = jnp.finfo(jax.tree.leaves(self)[0].dtype).dtype
        basis = jnp.eye(size, dtype=real)
        columns = jax.vmap(lambda ket: self._apply(ket, tuple(range(len(self.cutoffs)))), -1, -1)
        return columns(basis.reshape(*self.cutoffs, size)).reshape(self.cutoffs * 2)

    def __matmul__(self, other: "Operator") -> "Operator":
        """The composition ``self @ other`` (``other`` acts first) in the simplest structure that
        holds it.
        """
        if not isinstance(other, Operator):
            return NotImplemented
        if self.cutoffs != other.cutoffs:
            raise ValueError(
                f"Operators with cutoffs {self.cutoffs} and {other.cutoffs} do not compose: "
                "their modes must agree."
            )
        return _compose(self, other)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Diagonal(Operator):
    """An operator diagonal in the photon numbers.

    Attributes:
        values: array of shape ``cutoffs``, the eigenvalue for each combination of photon numbers.
    """

    values: jax.Array

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def truncations(self) -> int:
        return 0

    def _apply(self, ket: jax.Array, axes: tuple[int, ...]) -> jax.Array:
        labels = ascii_letters[: ket.ndim]
        mine = "".join(labels[axis] for axis in axes)
        return contract(self.values, ket, f"{mine},{labels}->{labels}")

    def adjoint(self) -> "Diagonal":
        return Diagonal(self.values.conj())


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Matrix(Operator):
    """An operator given by all its matrix elements.

    Attributes:
        elements: array of shape ``(*cutoffs, *cutoffs)``, output photon numbers first.
    """

    elements: jax.Array

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return self.elements.shape[: self.elements.ndim // 2]

    def _apply(self, ket: jax.Array, axes: tuple[int, ...]) -> jax.Array:
        return apply_matrix(self.elements, ket, axes)

    def adjoint(self) -> "Matrix":
        modes = self.elements.ndim // 2
        return Matrix(self.elements.conj().transpose([*range(modes, 2 * modes), *range(modes)]))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Generated(Operator):
    """A real matrix M(r) of one mode with ``dM/dr = A M + M B``, where A and B have few bands: see
    `fockjax._bands`.

    Attributes:
        values: M, of shape ``(cutoff, cutoff)``, not to be differentiated.
        r: what M depends on, a real scalar.
        slope: A and B.
        build: ``(r, cutoff) -> M``.
    """

    values: jax.Array
    r: jax.Array
    slope: Slope
    build: Build = field(metadata={"static": True})

    @staticmethod
    def of(
        build: Build, slope: Callable[[jax.Array], Slope], r: jax.Array, cutoff: int
    ) -> "Generated":
        """The operator for a value of r."""
        return Generated(build(lax.stop_gradient(r), cutoff), r, slope(r), build)

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return self.values.shape[:1]

    @property
    def matrix(self) -> Matrix:
        return Matrix(rebuilt(self.build, self.r, self.values))

    def _apply(self, ket: jax.Array, axes: tuple[int, ...]) -> jax.Array:
        return apply_generated(self.build, axes[0], self.r, self.values, self.slope, ket)

    def to_dense(self) -> jax.Array:
        return self.matrix.elements

    def adjoint(self) -> Matrix:
        return self.matrix.adjoint()


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Parity(Operator):
    """An operator on one mode of even cutoff that conserves the parity of the photon number, as
    squeezing does: half of its elements vanish.

    Attributes:
        blocks: array of shape ``(2, cutoff / 2, cutoff / 2)``; ``blocks[s, a, c]`` is
            <2 a + s| O |2 c + s>.
    """

    blocks: jax.Array

    @staticmethod
    def of(elements: jax.Array) -> "Parity":
        """The operator of a full matrix, whose elements between different parities are zero."""
        return Parity(jnp.stack([elements[0::2, 0::2], elements[1::2, 1::2]]))

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return (2 * self.blocks.shape[-1],)

    @property
    def matrix(self) -> Matrix:
        size = self.blocks.shape[-1]
        same = np.eye(2, dtype=self.blocks.real.dtype)
        elements = contract(self.blocks, same, "sac,st->asct")
        return Matrix(elements.reshape(2 * size, 2 * size))

    def _apply(self, ket: jax.Array, axes: tuple[int, ...]) -> jax.Array:
        labels = ascii_letters[: ket.ndim + 1]
        (axis,) = axes
        old, parity, new = labels[axis], labels[axis + 1], ascii_letters[ket.ndim + 1]
        ket = split(ket, axis=axis, parts=2)
        out = labels.replace(old, new)
        ket = contract(self.blocks, ket, f"{parity}{new}{old},{labels}->{out}")
        return merge(ket, axis=axis)

    def adjoint(self) -> "Parity":
        return Parity(self.blocks.conj().transpose(0, 2, 1))

    def halves(self, diagonal: Diagonal) -> jax.Array:
        """The values of a diagonal by parity, shape ``(cutoff / 2, 2)``."""
        return split(diagonal.values, axis=0, parts=2)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Sectors(Operator):
    """An operator on two or more modes that conserves a sum (``charge=1``) or difference
    (``charge=-1``) of photon numbers.

    Let ``n`` be the photon number of the mode with the largest cutoff ``Dr`` (the last such mode if
    there are several), and ``c`` the photon numbers of all other modes. The operator conserves
    ``N = n + charge * sum(c)`` and is block diagonal in ``r = N mod Dr``. Sectors that share an
    ``r`` share a block and do not mix in it.

    Attributes:
        blocks: array of shape ``(Dr, *Dc, *Dc)``, ``Dc`` the cutoffs of the other modes;
            ``blocks[r, a, c]`` takes ``c`` to ``a`` photons at fixed ``r``.
        sizes: the cutoffs.
        charge: +1 if the total photon number is conserved, -1 if the difference is.
    """

    blocks: jax.Array
    sizes: tuple[int, ...] = field(metadata={"static": True})
    charge: int = field(default=1, metadata={"static": True})

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return self.sizes

    @property
    def row(self) -> int:
        """The position of the mode with the largest cutoff, which has no axis in the blocks."""
        return row_mode(self.sizes)

    def _apply(self, ket: jax.Array, axes: tuple[int, ...]) -> jax.Array:
        row = axes[self.row]
        columns = [axis for axis in axes if axis != row]
        labels = ascii_letters[: ket.ndim]
        new = ascii_letters[ket.ndim : ket.ndim + len(columns)]
        old = "".join(labels[axis] for axis in columns)
        for column in columns:
            ket = skew(ket, column=column, row=row, sign=self.charge)
        out = labels.translate(str.maketrans(old, new))
        ket = contract(self.blocks, ket, f"{labels[row]}{new}{old},{labels}->{out}")
        for column in columns:
            ket = skew(ket, column=column, row=row, sign=-self.charge)
        return ket

    def adjoint(self) -> "Sectors":
        half = self.blocks.ndim // 2
        order = [0, *range(half + 1, 2 * half + 1), *range(1, half + 1)]
        return Sectors(self.blocks.conj().transpose(order), self.sizes, self.charge)

    def skewed(self, diagonal: Diagonal) -> jax.Array:
        """The values of a diagonal in the order of the blocks, shape ``(Dr, *Dc)``."""
        values = diagonal.values
        for column in range(len(self.sizes)):
            if column != self.row:
                values = skew(values, column=column, row=self.row, sign=self.charge)
        return jnp.moveaxis(values, self.row, 0)


def row_mode(sizes: tuple[int, ...]) -> int:
    """The position of the largest cutoff, the last one if there are several: see `Sectors`."""
    return max(range(len(sizes)), key=lambda k: (sizes[k], k))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Turned(Operator):
    """A gate with a phase, ``e^{i phi n} core e^{-i phi n}``, n the photon number of one of its
    modes.

    Attributes:
        core: the gate without the phase, which is usually real.
        phi: the phase in radians, a real scalar.
        turn: the diagonal ``e^{i phi n}``.
        mode: the position of the mode.
        steps: an integer: steps * 2 pi / 256 is added to the phase without rounding.
    """

    core: Matrix | Generated | Sectors
    phi: jax.Array
    turn: Diagonal
    mode: int = field(metadata={"static": True})
    steps: int = field(metadata={"static": True})

    @staticmethod
    def of(core: Matrix | Generated | Sectors, phi: jax.Array, mode: int, steps: int) -> "Turned":
        """The gate with a given phase."""
        turn = Diagonal(phase_factor(phi, np.arange(core.cutoffs[mode]), steps))
        return Turned(core, phi, turn, mode, steps)

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return self.core.cutoffs

    def fused(self) -> Matrix | Sectors:
        """The gate with the phase multiplied into its elements.

        Each element gets one factor ``e^{i phi (m - n)}``, not two. In a product of two factors
        their derivatives in phi would cancel, which costs the Hessian four digits in single
        precision at cutoff 200.
        """
        core = self.core.matrix if isinstance(self.core, Generated) else self.core
        if isinstance(core, Matrix):
            n = np.arange(core.cutoffs[0])
            turns = phase_factor(self.phi, n[:, None] - n, self.steps)
            return Matrix(contract(turns, core.elements, "mn,mn->mn"))
        # c counts the photons of the column's mode. Those of the row's mode change by as many, with
        # the opposite sign if the sum is conserved.
        c = np.arange(core.blocks.shape[-1])
        away = -core.charge if self.mode == core.row else 1
        turns = phase_factor(self.phi, away * (c[:, None] - c), self.steps)
        return Sectors(contract(turns, core.blocks, "ac,rac->rac"), core.sizes, core.charge)

    def parts(self) -> tuple[tuple[Operator, tuple[int, ...]], ...]:
        """The gate as three operators in the order they act, each with the positions it acts on."""
        everywhere = tuple(range(len(self.cutoffs)))
        back, forth = (self.turn.adjoint(), (self.mode,)), (self.turn, (self.mode,))
        return back, (self.core, everywhere), forth

    def _apply(self, ket: jax.Array, axes: tuple[int, ...]) -> jax.Array:
        return self.fused()._apply(ket, axes)

    def adjoint(self) -> "Turned":
        return replace(self, core=self.core.adjoint())

    def conj(self) -> "Turned":
        return Turned(self.core.conj(), -self.phi, self.turn.conj(), self.mode, -self.steps)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Product(Operator):
    """Several operators on the modes of one small register, the first in the list acting first.

    Attributes:
        factors: the operators.
        placements: for each, the positions (in this product) of the modes it acts on.
        sizes: the cutoffs of the modes of the product.
    """

    factors: tuple[Operator, ...]
    placements: tuple[tuple[int, ...], ...] = field(metadata={"static": True})
    sizes: tuple[int, ...] = field(metadata={"static": True})

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return self.sizes

    @property
    def truncations(self) -> int:
        return sum(factor.truncations for factor in self.factors)

    def _apply(self, ket: jax.Array, axes: tuple[int, ...]) -> jax.Array:
        for factor, placement in zip(self.factors, self.placements, strict=True):
            ket = factor._apply(ket, tuple(axes[k] for k in placement))
        return ket

    def adjoint(self) -> "Product":
        factors = tuple(factor.adjoint() for factor in reversed(self.factors))
        return Product(factors, self.placements[::-1], self.sizes)

    def conj(self) -> "Product":  # a factor may hold a phase, which is real
        return replace(self, factors=tuple(factor.conj() for factor in self.factors))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Padded(Operator):
    """An operator built with larger cutoffs and cut only after it has acted, so that its factors
    lose nothing in between.

    A product of operators that are cut one by one is not the cut of their product, unless the
    cutoffs are so large that nothing gets lost on the way.

    Attributes:
        inner: the operator, on cutoffs at least as large.
        sizes: the cutoffs of the modes it acts on.
    """

    inner: Operator
    sizes: tuple[int, ...] = field(metadata={"static": True})

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return self.sizes

    def _apply(self, ket: jax.Array, axes: tuple[int, ...]) -> jax.Array:
        large = list(ket.shape)
        for axis, cutoff in zip(axes, self.inner.cutoffs, strict=True):
            large[axis] = cutoff
        padded = resized(ket, tuple(large))
        return lax.slice(self.inner._apply(padded, axes), (0,) * ket.ndim, ket.shape)

    def adjoint(self) -> "Padded":
        return Padded(self.inner.adjoint(), self.sizes)

    def conj(self) -> "Padded":
        return Padded(self.inner.conj(), self.sizes)


def product(*steps: tuple[Operator, tuple[int, ...]], cutoffs: tuple[int, ...]) -> Product:
    """A `Product` from pairs of an operator and the positions it acts on, the first pair acting
    first.
    """
    return Product(tuple(op for op, _ in steps), tuple(at for _, at in steps), tuple(cutoffs))


def flat_parts(
    operator: Operator, modes: tuple[int, ...]
) -> list[tuple[Operator, tuple[int, ...]]]:
    """An operator on ``modes`` as a list of operators that are no `Product` and no `Turned`, each
    with the modes it acts on; the first acts first.
    """
    match operator:
        case Product():
            parts = zip(operator.factors, operator.placements, strict=True)
        case Turned():
            parts = operator.parts()
        case _:
            return [(operator, tuple(modes))]
    return [
        step for factor, at in parts for step in flat_parts(factor, tuple(modes[k] for k in at))
    ]


def join(a: Diagonal, b: Diagonal) -> Diagonal:
    """Two diagonals on different modes as one on the modes of both."""
    labels = ascii_letters[: a.values.ndim + b.values.ndim]
    mine, others = labels[: a.values.ndim], labels[a.values.ndim :]
    return Diagonal(contract(a.values, b.values, f"{mine},{others}->{labels}"))


def expand(operator: Diagonal, position: int, sizes: tuple[int, ...]) -> Diagonal:
    """A one-mode diagonal as a diagonal on several modes, the identity on all but ``position``."""
    shape = [1] * len(sizes)
    shape[position] = sizes[position]
    return Diagonal(jnp.broadcast_to(operator.values.reshape(shape), sizes))


def _compose(a: Operator, b: Operator) -> Operator:
    a, b = (operator.fused() if isinstance(operator, Turned) else operator for operator in (a, b))
    if isinstance(a, Product) or isinstance(b, Product):
        everywhere = tuple(range(len(a.cutoffs)))
        flat = flat_parts(b, everywhere) + flat_parts(a, everywhere)
        return product(*flat, cutoffs=a.cutoffs)
    match a, b:
        case Diagonal(), Parity():
            return Parity(contract(b.halves(a), b.blocks, "as,sac->sac"))
        case Parity(), Diagonal():
            return Parity(contract(a.blocks, a.halves(b), "sac,cs->sac"))
        case Parity(), Parity():
            return Parity(contract(a.blocks, b.blocks, "sab,sbc->sac"))
    a, b = (op.matrix if isinstance(op, Parity | Generated) else op for op in (a, b))
    match a, b:
        case Diagonal(), Diagonal():
            labels = ascii_letters[: len(a.cutoffs)]
            return Diagonal(contract(a.values, b.values, f"{labels},{labels}->{labels}"))
        case Diagonal(), Matrix():
            modes = len(a.cutoffs)
            new, old = ascii_letters[:modes], ascii_letters[modes : 2 * modes]
            return Matrix(contract(a.values, b.elements, f"{new},{new}{old}->{new}{old}"))
        case Matrix(), Diagonal():
            modes = len(a.cutoffs)
            new, old = ascii_letters[:modes], ascii_letters[modes : 2 * modes]
            return Matrix(contract(a.elements, b.values, f"{new}{old},{old}->{new}{old}"))
        case Matrix(), Matrix():
            modes = len(a.cutoffs)
            new, mid, old = (ascii_letters[k * modes : (k + 1) * modes] for k in range(3))
            return Matrix(contract(a.elements, b.elements, f"{new}{mid},{mid}{old}->{new}{old}"))
        case Diagonal(), Sectors():
            new, _, old = _block_labels(b)
            blocks = contract(b.skewed(a), b.blocks, f"Z{new},Z{new}{old}->Z{new}{old}")
            return Sectors(blocks, b.sizes, b.charge)
        case Sectors(), Diagonal():
            new, _, old = _block_labels(a)
            blocks = contract(a.blocks, a.skewed(b), f"Z{new}{old},Z{old}->Z{new}{old}")
            return Sectors(blocks, a.sizes, a.charge)
        case Sectors(), Sectors() if a.charge == b.charge:
            new, mid, old = _block_labels(a)
            blocks = contract(a.blocks, b.blocks, f"Z{new}{mid},Z{mid}{old}->Z{new}{old}")
            return Sectors(blocks, a.sizes, a.charge)
    everywhere = tuple(range(len(a.cutoffs)))
    return product((b, everywhere), (a, everywhere), cutoffs=a.cutoffs)


def _block_labels(sectors: Sectors) -> tuple[str, str, str]:
    """Three lists of labels for the modes that have axes in the blocks; Z is left for the first
    axis.
    """
    count = len(sectors.sizes) - 1
    new, mid, old = (ascii_letters[k * count : (k + 1) * count] for k in range(3))
    return new, mid, old
