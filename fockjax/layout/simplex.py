"""All Fock states with fewer photons in total than a bound."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from string import ascii_letters
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._given import checked_integer
from fockjax._linear import contract, fold, unfold
from fockjax.layout import tables
from fockjax.layout.layout import Axes, Layout, Means, mixed_truncations
from fockjax.operators import Diagonal, Matrix, Operator, Parity, Sectors


@dataclass(frozen=True)
class TotalPhotons:
    """A truncation: all Fock states with fewer than ``below`` photons in all modes together.

    It is given in place of a cutoff. For n modes it keeps ``C(n + below - 1, n)`` amplitudes, where
    the cutoff ``below`` for each mode keeps ``below^n``.

    Args:
        below: an integer >= 1.

    Raises:
        ValueError: for any other.

    Example:
        >>> import fockjax as fj
        >>> circuit = fj.Circuit(8).displace(0.5, mode=0).beamsplitter(modes=(0, 7))
        >>> state = circuit({}, cutoff=fj.TotalPhotons(6))
        >>> print(state.photon_number(7).mean.round(3))
        0.125
        >>> fj.TotalPhotons(6).states(8).shape  # where 6^8 = 1679616
        (1287, 8)
    """

    below: int

    def __post_init__(self):
        below = checked_integer(self.below, "Argument `below` of TotalPhotons")
        object.__setattr__(self, "below", below)

    def states(self, modes: int) -> np.ndarray:
        """The photon numbers of the Fock states kept, ``(states, modes)``, in the order in which
        `State.amplitudes` has them: by their total, then mode by mode.
        """
        return tables.states(self.below, modes).astype(np.int32)


@dataclass(frozen=True)
class Simplex(Layout):
    """The Fock states with fewer than ``below`` photons in total, along one axis. They are sorted
    by their total, and those of the same total by the photons of the first mode, then of the second
    and so on.

    So the states of the same total stand together, and fewer photons come first. In a view, the
    modes that are not opened are again stored in a `Simplex`.

    Attributes:
        below: the least total that is not kept.
        modes: the number of modes; with no modes there is no axis.
    """

    below: int
    modes: int

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return (self.below,) * self.modes

    @property
    def shape(self) -> tuple[int, ...]:
        return tables.extent(self.below, self.modes)

    @property
    def truncation(self) -> TotalPhotons:
        return TotalPhotons(self.below)

    @property
    def separable(self) -> bool:
        return False

    def of(self, positions: Axes) -> "Simplex":
        return Simplex(self.below, len(positions))

    def beside(self, other: Layout, order: Sequence[int] | None = None) -> "Simplex":
        if not isinstance(other, Simplex) or other.below != self.below:
            raise mixed_truncations(self, other)
        return Simplex(self.below, self.modes + len(other.cutoffs))

    def open(self, array: jax.Array, positions: Axes, at: int = 0) -> tuple[jax.Array, Axes]:
        if positions and self.modes > 1:
            (array,) = unfold(array, tables.view(self.below, self.modes, positions), axis=at)
        return array, tuple(range(at, at + len(positions)))

    def close(self, view: jax.Array, positions: Axes, at: int = 0) -> jax.Array:
        if positions and self.modes > 1:
            view = fold([view], tables.view(self.below, self.modes, positions), axis=at)
        return view

    def divide(self, array: jax.Array, positions: Axes, at: int = 0) -> tuple[jax.Array, Axes]:
        if positions and positions != tuple(range(self.modes)):
            (array,) = unfold(array, tables.division(self.below, self.modes, positions), axis=at)
        return array, (at,) if positions else ()

    def keeps(self, photons: np.ndarray) -> np.ndarray:
        return photons.sum(1) < self.below

    def apply_diagonals(
        self, diagonals: Sequence[tuple[Diagonal, Axes]], array: jax.Array, at: int = 0
    ) -> jax.Array:
        states = tables.states(self.below, self.modes)
        every = [op.values[tuple(states[:, k] for k in positions)] for op, positions in diagonals]
        together = reduce(lambda a, b: contract(a, b, "a,a->a"), every)
        labels = ascii_letters[: array.ndim]
        return contract(together, array, f"{labels[at]},{labels}->{labels}")

    def join(
        self,
        array: jax.Array,
        other: "Simplex",
        other_array: jax.Array,
        order: Sequence[int],
        sides: int = 1,
    ) -> jax.Array:
        mine, theirs = ascii_letters[:sides], ascii_letters[sides : 2 * sides]
        pairs = "".join(a + b for a, b in zip(mine, theirs, strict=True))
        array = contract(array, other_array, f"{mine},{theirs}->{pairs}")
        own = tuple(k for k, source in enumerate(order) if source < self.modes)
        together = self.beside(other)
        chart = tables.division(together.below, together.modes, own)
        for side in range(sides):
            array = fold([array], chart, axis=side)
        return array

    def means(self, ket: jax.Array, observables: Sequence[Mapping[int, jax.Array]]) -> Means:
        return self.averages(self.populations(ket), observables)

    def averages(
        self, populations: jax.Array, observables: Sequence[Mapping[int, jax.Array]]
    ) -> Means:
        states = tables.states(self.below, self.modes)  # opened, they would be those of a box

        def mean(values: Mapping[int, jax.Array]) -> jax.Array:
            each = [vector[states[:, k]] for k, vector in values.items()]
            weighted = reduce(lambda p, v: contract(v, p, "a,a->a"), each[1:], populations)
            return contract(each[0], weighted, "a,a->") if each else jnp.sum(populations)

        return [mean(values) for values in observables]

    def sequence(self, populations: jax.Array, positions: Axes) -> list[jax.Array]:
        layout = self
        for k in reversed(self._others(positions)):
            populations = layout.open(populations, (k,))[0].sum(0)
            layout = Simplex(self.below, layout.modes - 1)
        order = tuple(int(k) for k in np.argsort(np.argsort(positions)))
        populations = layout.divide(populations, order)[0]
        found = []
        for k in reversed(range(len(order))):
            view = Simplex(self.below, k + 1).open(populations, (k,))[0]
            found.append(jnp.moveaxis(view, 0, -1))
            populations = view.sum(0)
        return found[::-1]

    def edge(self, populations: jax.Array) -> jax.Array:
        return jnp.sum(populations[tables.count(max(self.below - 2, 0), self.modes) :])

    def extended(self, by: int) -> "Simplex":
        return Simplex(self.below + by, self.modes)

    def index(self, photons: Sequence[Any]) -> tuple[tuple[Any, ...], Any]:
        numbers = jnp.stack([jnp.asarray(n).astype(np.int32) for n in photons])
        kept = jnp.all(numbers >= 0) & jnp.all(numbers < self.below)
        kept &= jnp.sum(numbers, dtype=np.int32) < self.below
        within = jnp.where(kept, numbers, 0)
        base, steps = tables.ranks(self.below, self.modes)
        left = jnp.sum(within, dtype=np.int32)
        rank = jnp.asarray(base)[left]
        for mode, table in enumerate(steps):
            rank = rank + jnp.asarray(table)[left, within[mode]]
            left = left - within[mode]
        return (rank,), kept

    def apply(
        self, operator: Operator, array: jax.Array, positions: Axes, at: int = 0
    ) -> jax.Array:
        match operator:
            case Diagonal():
                return self.apply_diagonals([(operator, positions)], array, at)
            case Matrix() | Parity() if len(positions) == 1 and self.modes > 1:
                whole = operator.blocks if isinstance(operator, Parity) else operator.elements[None]
                chart = tables.stairs(self.below, self.modes, positions, len(whole))
                blocks = [whole[:, :stop, :stop] for _, stop, _ in chart.shapes]
            case Totals():
                chart, blocks = tables.totals(self.below, self.modes, positions), operator.blocks
            case Sectors(charge=1) if len(positions) == 2:
                chart, runs = tables.sectors(self.below, self.modes, positions)
                blocks = [operator.blocks[first:stop, :stop, :stop] for first, stop in runs]
            case _:
                return super().apply(operator, array, positions, at)
        pieces = unfold(array, chart, axis=at)
        pieces = [_multiplied(*pair, at) for pair in zip(blocks, pieces, strict=True)]
        return fold(pieces, chart, axis=at)

    def band(self, ket: jax.Array, position: int, order: int, weights: np.ndarray) -> jax.Array:
        count = tables.count(self.below - order, self.modes)
        lower = tables.states(self.below, self.modes)[:count]
        raised = fold([ket], tables.raised(self.below, self.modes, position, order))
        raised = contract(weights[lower[:, position]], raised, "a,a->a")
        return contract(ket[: len(lower)].conj(), raised, "a,a->")

    @property
    def join_truncations(self) -> int:
        return 1

    def truncations(self, operator: Operator) -> int:
        conserving = isinstance(operator, Sectors) and operator.charge == 1
        return 0 if conserving else operator.truncations


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Totals(Operator):
    """An operator that conserves the total photon number, on the states of fewer photons than a
    bound.

    Attributes:
        blocks: a matrix for each total, with the states of that total in the order of a `Simplex`.
        modes: how many modes it acts on.
    """

    blocks: tuple[jax.Array, ...]
    modes: int = field(metadata={"static": True})

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return (len(self.blocks),) * self.modes

    @property
    def truncations(self) -> int:
        return 0

    def _apply(self, ket: jax.Array, axes: Axes) -> jax.Array:
        layout = Simplex(len(self.blocks), self.modes)
        array = layout.unboxed(jnp.moveaxis(ket, axes, range(self.modes)))
        array = layout.apply(self, array, tuple(range(self.modes)))
        return jnp.moveaxis(layout.boxed(array), range(self.modes), axes)

    def adjoint(self) -> "Totals":
        return Totals(tuple(block.conj().T for block in self.blocks), self.modes)


def _multiplied(blocks: jax.Array, piece: jax.Array, axis: int) -> jax.Array:
    """A matrix applied along an axis. Several matrices are applied each to one element of the axis
    before it.
    """
    labels = ascii_letters[: piece.ndim]
    each = labels[axis : axis + blocks.ndim - 2]
    old = labels[axis + len(each)]
    return contract(blocks, piece, f"{each}Z{old},{labels}->{labels.replace(old, 'Z')}")
