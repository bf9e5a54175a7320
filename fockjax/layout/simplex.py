"""All Fock states with fewer photons in total than a bound."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from string import ascii_letters
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._given import checked_integer
from fockjax._linear import Chart, contract, fold, unfold
from fockjax.layout.layout import Axes, Layout, mixed_truncations
from fockjax.operators import Diagonal, Matrix, Operator, Parity, Sectors

# An array more takes time to compile. It is worth that if it saves this many products of one
# sample, and half of the products that there would be with an array for each number.
PIECE = 300


@dataclass(frozen=True)
class TotalPhotons:
    """A truncation: all Fock states with fewer than ``below`` photons in all modes together.

    It is given in place of a cutoff. For n modes it keeps ``C(n + below - 1, n)`` amplitudes, where
    the cutoff ``below`` for each mode keeps ``below^n``.

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
        return _states(self.below, modes).copy()


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
        return (_count(self.below, self.modes),) if self.modes else ()

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
            (array,) = unfold(array, _view(self, positions), axis=at)
        return array, tuple(range(at, at + len(positions)))

    def close(self, view: jax.Array, positions: Axes, at: int = 0) -> jax.Array:
        if positions and self.modes > 1:
            view = fold([view], _view(self, positions), axis=at)
        return view

    def divide(self, array: jax.Array, positions: Axes, at: int = 0) -> tuple[jax.Array, Axes]:
        if positions and positions != tuple(range(self.modes)):
            (array,) = unfold(array, _division(self, positions), axis=at)
        return array, (at,) if positions else ()

    def keeps(self, photons: np.ndarray) -> np.ndarray:
        return photons.sum(1) < self.below

    def apply_diagonals(
        self, diagonals: Sequence[tuple[Diagonal, Axes]], array: jax.Array, at: int = 0
    ) -> jax.Array:
        states = _states(self.below, self.modes)
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
        chart = _division(self.beside(other), own)
        for side in range(sides):
            array = fold([array], chart, axis=side)
        return array

    def extended(self, by: int) -> "Simplex":
        return Simplex(self.below + by, self.modes)

    def index(self, photons: Sequence[Any]) -> tuple[tuple[Any, ...], Any]:
        numbers = jnp.stack([jnp.asarray(n).astype(np.int32) for n in photons])
        kept = jnp.all(numbers >= 0) & jnp.all(numbers < self.below)
        kept &= jnp.sum(numbers, dtype=np.int32) < self.below
        within = jnp.where(kept, numbers, 0)
        base, steps = _ranks(self.below, self.modes)
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
                chart = _stairs(self, positions, len(whole))
                blocks = [whole[:, :stop, :stop] for _, stop, _ in chart.shapes]
            case Parity():
                return self.apply(operator.matrix, array, positions, at)
            case Totals():
                chart, blocks = _totals(self, positions), operator.blocks
            case Sectors(charge=1) if len(positions) == 2:
                chart, runs = _sectors(self, positions)
                blocks = [operator.blocks[first:stop, :stop, :stop] for first, stop in runs]
            case _:
                return super().apply(operator, array, positions, at)
        pieces = unfold(array, chart, axis=at)
        pieces = [_multiplied(*pair, at) for pair in zip(blocks, pieces, strict=True)]
        return fold(pieces, chart, axis=at)

    def band(self, ket: jax.Array, position: int, order: int, weights: np.ndarray) -> jax.Array:
        lower = _states(self.below, self.modes)[: _count(self.below - order, self.modes)]
        raised = fold([ket], _raised(self, position, order))
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


# Tables
# -------------------------------------------------------------------------------------------------


def _count(below: int, modes: int) -> int:
    """How many states have fewer than ``below`` photons in total."""
    return math.comb(modes + below - 1, modes) if below else 0


@lru_cache(maxsize=256)
def _states(below: int, modes: int) -> np.ndarray:
    """The photon numbers of all states in order, ``(states, modes)``."""
    return np.concatenate([_sector(total, modes) for total in range(below)])


@lru_cache(maxsize=4096)
def _sector(total: int, modes: int) -> np.ndarray:
    """The photon numbers of the states of one total, in order, ``(states, modes)``."""
    if modes < 2:
        return np.full((int(modes == 1 or total == 0), modes), total, np.int32)
    parts = [_sector(total - first, modes - 1) for first in range(total + 1)]
    first = np.repeat(np.arange(total + 1, dtype=np.int32), [len(part) for part in parts])
    return np.column_stack([first, np.concatenate(parts)])


@lru_cache(maxsize=256)
def _ranks(below: int, modes: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Tables whose entries add up to the place of a state.

    Returns:
        A table indexed by the total, and for each mode a table indexed by the photons in this mode
        and all later ones, and by the photons in this mode.
    """
    base = np.array([_count(total, modes) for total in range(below)])
    steps = []
    for after in reversed(range(modes)):
        each = np.zeros((below, below), np.int32)
        for left, n in np.ndindex(each.shape):
            each[left, n] = len(_sector(left - n, after)) if n <= left else 0
        steps.append(np.cumsum(each, axis=1, dtype=np.int32) - each)
    return base.astype(np.int32), steps


def _rank(below: int, numbers: np.ndarray) -> np.ndarray:
    """The places of states given by their photon numbers, ``(states, modes)``."""
    base, steps = _ranks(below, numbers.shape[1])
    left = numbers.sum(1)
    rank = base[left]
    for mode, table in enumerate(steps):
        rank = rank + table[left, numbers[:, mode]]
        left = left - numbers[:, mode]
    return rank


def _sides(layout: Simplex, positions: Axes) -> tuple[np.ndarray, np.ndarray]:
    """For all states, the photon numbers of some modes and those of the other modes."""
    states = _states(layout.below, layout.modes)
    others = [k for k in range(layout.modes) if k not in positions]
    return states[:, list(positions)], states[:, others]


@lru_cache(maxsize=1024)
def _view(layout: Simplex, positions: Axes) -> Chart:
    """The chart to an array whose axes are the photon numbers of some modes and the place of the
    state of the others.
    """
    numbers, rest = _sides(layout, positions)
    shape = (layout.below,) * len(positions) + layout.of((0,) * rest.shape[1]).shape
    index = [*numbers.T] + [_rank(layout.below, rest)] * bool(rest.shape[1])
    return Chart(np.asarray(np.ravel_multi_index(index, shape)), [shape])


@lru_cache(maxsize=1024)
def _division(layout: Simplex, positions: Axes) -> Chart:
    """The chart to an array whose axes are the place of the state of some modes, and that of the
    state of the others.
    """
    sides = [side for side in _sides(layout, positions) if side.shape[1]]
    shape = tuple(_count(layout.below, side.shape[1]) for side in sides)
    index = [_rank(layout.below, side) for side in sides]
    return Chart(np.asarray(np.ravel_multi_index(index, shape)), [shape])


@lru_cache(maxsize=1024)
def _raised(layout: Simplex, position: int, order: int) -> Chart:
    """The chart from each state to the one with ``order`` photons more in a mode, for those states
    for which it is kept.
    """
    states = _states(layout.below, layout.modes)[: _count(layout.below - order, layout.modes)]
    more = states + order * np.eye(layout.modes, dtype=int)[position]
    return Chart(_rank(layout.below, more), [layout.shape])


Runs = list[tuple[int, int]]


@lru_cache(maxsize=1024)
def _stairs(layout: Simplex, positions: Axes, parts: int) -> Chart:
    """The chart to arrays with the axes s, a and the state of the other modes, where one mode has
    ``parts * a + s`` photons.

    There is an array for each run of totals R of the other modes: where these have R photons, the
    mode has fewer than ``below - R``, so that an array for all R would be mostly empty.
    """
    numbers, rest = _sides(layout, positions)
    columns = np.array([_count(R, rest.shape[1]) for R in range(layout.below + 1)])

    def shape(first, stop):
        return parts, -(-(layout.below - first) // parts), int(columns[stop] - columns[first])

    runs = _runs(layout.below, lambda *run: math.prod(shape(*run)) * shape(*run)[1])
    own = _run_of(rest.sum(1), runs)
    above = columns[[runs[k][0] for k in own]]
    index = numbers[:, 0] % parts, numbers[:, 0] // parts, _rank(layout.below, rest) - above
    return _chart([shape(*run) for run in runs], own, index)


@lru_cache(maxsize=1024)
def _sectors(layout: Simplex, positions: Axes) -> tuple[Chart, Runs]:
    """The chart to arrays whose axes are the total N of two modes, the photons of the first of them
    and the state of the other modes; and the runs of N.

    There is an array for each run of N, since the other modes have fewer than ``below - N``
    photons.
    """
    numbers, rest = _sides(layout, positions)

    def shape(first, stop):
        return stop - first, stop, _count(layout.below - first, rest.shape[1])

    runs = _runs(layout.below, lambda *run: math.prod(shape(*run)) * shape(*run)[1])
    total = numbers.sum(1)
    own = _run_of(total, runs)
    index = total - np.array(runs)[own, 0], numbers[:, 0], _rank(layout.below, rest)
    return _chart([shape(*run) for run in runs], own, index), runs


@lru_cache(maxsize=1024)
def _totals(layout: Simplex, positions: Axes) -> Chart:
    """The chart to an array for each total of some modes, whose axes are the place of their state
    among those of that total, and the place of the state of the others.
    """
    numbers, rest = _sides(layout, positions)
    modes, others = numbers.shape[1], rest.shape[1]
    first = np.array([_count(total, modes) for total in range(layout.below + 1)])
    shapes = [
        (int(first[N + 1] - first[N]), *Simplex(layout.below - N, others).shape)
        for N in range(layout.below)
    ]
    own = numbers.sum(1)
    index = [_rank(layout.below, numbers) - first[own]]
    return _chart(shapes, own, index + [_rank(layout.below, rest)] * bool(others))


def lowered(total: int, modes: int) -> tuple[np.ndarray, np.ndarray]:
    """What a_k does to each state of a total: the places of the resulting states among those of one
    photon less, and the factors they get. Both have shape ``(modes, states)``.
    """
    states = _sector(total, modes)
    less = np.maximum(states - np.eye(modes, dtype=np.int32)[:, None], 0)
    there = less.sum(2) < total
    places = _rank(total, less.reshape(-1, modes) * there.reshape(-1, 1)).reshape(there.shape)
    return np.where(there, places - _count(total - 1, modes), 0), np.sqrt(states.T)


def _runs(below: int, cost: Callable[[int, int], int]) -> Runs:
    """The numbers below a bound, split into the runs that cost least in all. A run is given by its
    first number and the one after its last. Found by dynamic programming.
    """
    piece = max(PIECE, sum(cost(k, k + 1) for k in range(below)) // 2)
    best: list[tuple[int, Runs]] = [(0, [])]
    for stop in range(1, below + 1):
        ways = [
            (best[first][0] + cost(first, stop) + piece, [*best[first][1], (first, stop)])
            for first in range(stop)
        ]
        best.append(min(ways))
    return best[-1][1]


def _run_of(numbers: np.ndarray, runs: Runs) -> np.ndarray:
    """The index of the run that each number is in."""
    return np.searchsorted([stop for _, stop in runs], numbers, side="right")


def _chart(shapes: list[tuple[int, ...]], own: np.ndarray, index: Sequence[np.ndarray]) -> Chart:
    """The chart in which amplitude k stands in array ``own[k]``, at the place ``index[..][k]``."""
    first = np.cumsum([0] + [math.prod(shape) for shape in shapes])
    lengths = np.array(shapes)[own]
    place = np.zeros(len(own), int)
    for axis, at in enumerate(index):
        place = place * lengths[:, axis] + at
    return Chart(first[own] + place, shapes)
