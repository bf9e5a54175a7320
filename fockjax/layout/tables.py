"""Tables of the Fock states with fewer photons in total than a bound: their order, and the charts
from it to the arrays that operators act on.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from fockjax._linear import Chart
from fockjax.layout.layout import Axes

Runs = list[tuple[int, int]]

# An array more takes time to compile. It is worth that if it saves this many products of one
# sample, and half of the products that there would be with an array for each number.
PIECE = 300

NUMBER = np.int16  # of photons: the tables are larger than a state


def count(below: int, modes: int) -> int:
    """How many states have fewer than ``below`` photons in total."""
    return math.comb(modes + below - 1, modes) if below else 0


def extent(below: int, modes: int) -> tuple[int, ...]:
    """The shape of an array with one element for each of them: without modes it has no axis."""
    return (count(below, modes),) if modes else ()


@lru_cache(maxsize=256)
def states(below: int, modes: int) -> np.ndarray:
    """The photon numbers of all states in order, ``(states, modes)``."""
    return np.concatenate([_sector(total, modes) for total in range(below)])


@lru_cache(maxsize=4096)
def _sector(total: int, modes: int) -> np.ndarray:
    """The photon numbers of the states of one total, in order, ``(states, modes)``."""
    if modes < 2:
        return np.full((int(modes == 1 or total == 0), modes), total, NUMBER)
    parts = [_sector(total - first, modes - 1) for first in range(total + 1)]
    first = np.repeat(np.arange(total + 1, dtype=NUMBER), [len(part) for part in parts])
    return np.column_stack([first, np.concatenate(parts)])


@lru_cache(maxsize=256)
def ranks(below: int, modes: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Tables whose entries add up to the place of a state.

    Returns:
        A table indexed by the total, and for each mode a table indexed by the photons in this mode
        and all later ones, and by the photons in this mode.
    """
    base = np.array([count(total, modes) for total in range(below)])
    steps = []
    for after in reversed(range(modes)):
        each = np.zeros((below, below), np.int32)
        for left, n in np.ndindex(each.shape):
            each[left, n] = len(_sector(left - n, after)) if n <= left else 0
        steps.append(np.cumsum(each, axis=1, dtype=np.int32) - each)
    return base.astype(np.int32), steps


def _rank(below: int, numbers: np.ndarray) -> np.ndarray:
    """The places of states given by their photon numbers, ``(states, modes)``."""
    base, steps = ranks(below, numbers.shape[1])
    left = numbers.sum(1, dtype=np.int32)
    rank = base[left]
    for mode, table in enumerate(steps):
        rank = rank + table[left, numbers[:, mode]]
        left = left - numbers[:, mode]
    return rank


def _sides(below: int, modes: int, positions: Axes) -> tuple[np.ndarray, np.ndarray]:
    """For all states, the photon numbers of some modes and those of the other modes."""
    every = states(below, modes)
    others = [k for k in range(modes) if k not in positions]
    return every[:, list(positions)], every[:, others]


@lru_cache(maxsize=1024)
def view(below: int, modes: int, positions: Axes) -> Chart:
    """The chart to an array whose axes are the photon numbers of some modes and the place of the
    state of the others.
    """
    numbers, rest = _sides(below, modes, positions)
    shape = (below,) * len(positions) + extent(below, rest.shape[1])
    index = [*numbers.T] + [_rank(below, rest)] * bool(rest.shape[1])
    return Chart(np.asarray(np.ravel_multi_index(index, shape)), [shape])


@lru_cache(maxsize=1024)
def division(below: int, modes: int, positions: Axes) -> Chart:
    """The chart to an array whose axes are the place of the state of some modes, and that of the
    state of the others.
    """
    sides = [side for side in _sides(below, modes, positions) if side.shape[1]]
    shape = tuple(count(below, side.shape[1]) for side in sides)
    index = [_rank(below, side) for side in sides]
    return Chart(np.asarray(np.ravel_multi_index(index, shape)), [shape])


@lru_cache(maxsize=1024)
def raised(below: int, modes: int, position: int, order: int) -> Chart:
    """The chart from each state to the one with ``order`` photons more in a mode, for those states
    for which it is kept.
    """
    every = states(below, modes)[: count(below - order, modes)]
    more = every + order * np.eye(modes, dtype=NUMBER)[position]
    return Chart(_rank(below, more), [extent(below, modes)])


@lru_cache(maxsize=1024)
def stairs(below: int, modes: int, positions: Axes, parts: int) -> Chart:
    """The chart to arrays with the axes s, a and the state of the other modes, where one mode has
    ``parts * a + s`` photons.

    There is an array for each run of totals R of the other modes: where these have R photons, the
    mode has fewer than ``below - R``, so that an array for all R would be mostly empty.
    """
    numbers, rest = _sides(below, modes, positions)
    columns = np.array([count(R, rest.shape[1]) for R in range(below + 1)])

    def shape(first, stop):
        return parts, -(-(below - first) // parts), int(columns[stop] - columns[first])

    runs = _runs(below, lambda *run: math.prod(shape(*run)) * shape(*run)[1])
    own = _run_of(rest.sum(1), runs)
    above = columns[[runs[k][0] for k in own]]
    index = numbers[:, 0] % parts, numbers[:, 0] // parts, _rank(below, rest) - above
    return _chart([shape(*run) for run in runs], own, index)


@lru_cache(maxsize=1024)
def sectors(below: int, modes: int, positions: Axes) -> tuple[Chart, Runs]:
    """The chart to arrays whose axes are the total N of two modes, the photons of the first of them
    and the state of the other modes; and the runs of N.

    There is an array for each run of N, since the other modes have fewer than ``below - N``
    photons.
    """
    numbers, rest = _sides(below, modes, positions)

    def shape(first, stop):
        return stop - first, stop, count(below - first, rest.shape[1])

    runs = _runs(below, lambda *run: math.prod(shape(*run)) * shape(*run)[1])
    total = numbers.sum(1)
    own = _run_of(total, runs)
    index = total - np.array(runs)[own, 0], numbers[:, 0], _rank(below, rest)
    return _chart([shape(*run) for run in runs], own, index), runs


@lru_cache(maxsize=1024)
def totals(below: int, modes: int, positions: Axes) -> Chart:
    """The chart to an array for each total of some modes, whose axes are the place of their state
    among those of that total, and the place of the state of the others.
    """
    numbers, rest = _sides(below, modes, positions)
    some, others = numbers.shape[1], rest.shape[1]
    first = np.array([count(total, some) for total in range(below + 1)])
    shapes = [(int(first[N + 1] - first[N]), *extent(below - N, others)) for N in range(below)]
    own = numbers.sum(1)
    index = [_rank(below, numbers) - first[own]]
    return _chart(shapes, own, index + [_rank(below, rest)] * bool(others))


def lowered(total: int, modes: int) -> tuple[np.ndarray, np.ndarray]:
    """What a_k does to each state of a total: the places of the resulting states among those of one
    photon less, and the factors they get. Both have shape ``(modes, states)``.
    """
    every = _sector(total, modes)
    less = np.maximum(every - np.eye(modes, dtype=np.int32)[:, None], 0)
    there = less.sum(2) < total
    places = _rank(total, less.reshape(-1, modes) * there.reshape(-1, 1)).reshape(there.shape)
    return np.where(there, places - count(total - 1, modes), 0), np.sqrt(every.T, dtype=float)


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
