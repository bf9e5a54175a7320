"""What is validated: one entry a gate, random circuits, a trained model.

Random numbers come from NumPy's ``RandomState``, whose stream is frozen for good, seeded by the
row's label: the golden file stays valid on every NumPy, and a new gate leaves other rows alone.
"""

import itertools
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fockjax.circuit import Circuit
from fockjax.parameters import Input

Range = tuple[float, float]
GateCall = tuple[str, dict[str, float], tuple[int, ...]]
"""A gate of a flat circuit: registry name, parameters by name, modes."""

ANGLE: Range = (-2 * math.pi, 2 * math.pi)


@dataclass(frozen=True)
class Case:
    """How one gate of the registry is validated.

    Attributes:
        operation: class name in ``strawberryfields.ops``; its parameters, in order, are ``ranges``.
        ranges: for each parameter the interval it is drawn from, kept to where SF is accurate.
        modes: how many modes it acts on.
    """

    operation: str
    ranges: Mapping[str, Range]
    modes: int = 1


# SF builds displacement, squeezing and beamsplitter by recurrences that lose digits as amplitude
# and cutoff grow. Within these ranges, at cutoff 12, they keep 1e-14.
CASES: dict[str, Case] = {
    "displacement": Case("Dgate", {"r": (-1.5, 1.5), "phi": ANGLE}),
    "squeezing": Case("Sgate", {"r": (-0.8, 0.8), "phi": ANGLE}),
    "rotation": Case("Rgate", {"phi": ANGLE}),
    "kerr": Case("Kgate", {"kappa": (-math.pi, math.pi)}),
    "beamsplitter": Case("BSgate", {"theta": ANGLE, "phi": ANGLE}, modes=2),
}

CUTOFFS = (5, 12)
PARAMETER_SETS = 20
LAYOUTS = 5  # random sequences of gates; compiling them is most of the command's time
CIRCUITS_PER_LAYOUT = 4  # parameters and kets for each
CIRCUIT_CUTOFFS = {3: 6, 2: 8}  # cutoff by number of modes
MODEL_INPUTS = 4


def split_point(point: Any) -> tuple[dict[str, Any], Any]:
    """A point of a circuit without weights: all of it is the input vector."""
    return {}, point


@dataclass(frozen=True)
class Row:
    """Points at which one circuit is evaluated by fockjax and by the reference.

    Attributes:
        label: unique name, the key in the golden file.
        circuit: called as ``circuit(*unpack(point), cutoff=cutoff, initial=ket)``, and without
            ``initial`` where ``kets`` is None.
        cutoff: of every mode (SF knows one only).
        points: shape (points, parameters), exact in float32.
        kets: shape (points, cutoff, ..., cutoff), the states the circuit starts from; None: vacuum.
        directions: shape (directions, parameters); gradients are taken along them.
        unpack: point -> (weights, inputs).
    """

    label: str
    circuit: Any
    cutoff: int
    points: np.ndarray
    kets: np.ndarray | None
    directions: np.ndarray
    unpack: Callable[[Any], tuple[dict[str, Any], Any]] = split_point

    def gates(self, point: np.ndarray) -> list[GateCall]:
        """The flat gate list at ``point``."""
        return self.circuit.gates(*self.unpack(point))

    def starts(self) -> np.ndarray:
        """``kets``, the vacuum written out."""
        if self.kets is not None:
            return self.kets
        modes = self.circuit.modes
        vacuum = np.zeros((len(self.points), *(self.cutoff,) * modes), np.complex128)
        vacuum[(slice(None), *(0,) * modes)] = 1.0
        return vacuum


def random_ket(random: np.random.RandomState, cutoff: int, modes: int) -> np.ndarray:
    """A normalised joint ket with random complex amplitudes, shape (cutoff,) * modes."""
    real, imaginary = random.uniform(-1, 1, (2, *(cutoff,) * modes))
    ket = real + 1j * imaginary
    return ket / np.linalg.norm(ket)


def random_layout(
    random: np.random.RandomState,
    *,
    modes: int,
    length: int,
    cases: Mapping[str, Case] = CASES,
) -> list[tuple[str, tuple[str, ...], tuple[int, ...]]]:
    """A random sequence of gates in which every gate of ``cases`` occurs about equally often.

    Args:
        random: source of randomness.
        modes: number of modes, at least 2.
        length: number of gates.
        cases: the gates to draw from.

    Returns:
        List of (name, parameter names, modes); two-mode gates in either order of modes.
    """
    rounds = -(-length // len(cases))
    names = [str(name) for _ in range(rounds) for name in random.permutation(sorted(cases))]
    return [
        (
            name,
            tuple(cases[name].ranges),
            tuple(int(mode) for mode in random.permutation(modes)[: cases[name].modes]),
        )
        for name in names[:length]
    ]


def random_point(
    random: np.random.RandomState,
    layout: Sequence[tuple[str, Sequence[str], tuple[int, ...]]],
    *,
    cases: Mapping[str, Case] = CASES,
    strength: float = 0.4,
) -> np.ndarray:
    """Random values of all parameters of a layout, in order, exact in float32.

    ``strength`` scales every range, so that a dozen gates do not empty the truncated space.
    """
    ranges = [cases[name].ranges[p] for name, parameters, _ in layout for p in parameters]
    return np.array([_float32(random, strength * low, strength * high) for low, high in ranges])


def random_circuit(
    random: np.random.RandomState,
    *,
    modes: int,
    length: int,
    cases: Mapping[str, Case] = CASES,
    strength: float = 0.4,
) -> list[GateCall]:
    """A random flat circuit: `random_layout` with the values of `random_point`.

    Returns:
        List of (name, parameters by name, modes), as ``Circuit.gates`` gives.
    """
    layout = random_layout(random, modes=modes, length=length, cases=cases)
    point: Any = random_point(random, layout, cases=cases, strength=strength)
    return template(layout, modes).gates({}, point)


def template(layout: Sequence[tuple[str, Sequence[str], tuple[int, ...]]], modes: int) -> Circuit:
    """The circuit of a layout, every parameter a component of its input."""
    circuit, position = Circuit(modes=modes), itertools.count()
    for name, parameters, on in layout:
        circuit.add(name, **{p: Input(next(position)) for p in parameters}, modes=on)
    return circuit


def gate_rows(name: str) -> Iterator[Row]:
    """One row for each cutoff and order of modes of a gate."""
    case = CASES[name]
    for cutoff, order in itertools.product(
        CUTOFFS, itertools.permutations(range(case.modes), case.modes)
    ):
        label = f"{name} {order} cutoff {cutoff}" if case.modes > 1 else f"{name} cutoff {cutoff}"
        random = _random(label)
        yield Row(
            label=label,
            circuit=template([(name, tuple(case.ranges), order)], modes=case.modes),
            cutoff=cutoff,
            points=np.array(
                [
                    [_float32(random, *limits) for limits in case.ranges.values()]
                    for _ in range(PARAMETER_SETS)
                ]
            ),
            kets=np.stack([random_ket(random, cutoff, case.modes) for _ in range(PARAMETER_SETS)]),
            directions=np.eye(len(case.ranges)),
        )


def circuit_rows() -> Iterator[Row]:
    """One row for each layout; its gradient is taken along one random direction."""
    for index in range(LAYOUTS):
        modes = 3 - index % 2
        label = f"layout {index}, {modes} modes"
        random = _random(label)
        layout = random_layout(random, modes=modes, length=random.randint(10, 15))
        points = [random_point(random, layout) for _ in range(CIRCUITS_PER_LAYOUT)]
        cutoff = CIRCUIT_CUTOFFS[modes]
        yield Row(
            label=label,
            circuit=template(layout, modes),
            cutoff=cutoff,
            points=np.stack(points),
            kets=np.stack([random_ket(random, cutoff, modes) for _ in points]),
            directions=_direction(random, points[0].size),
        )


def model_row(circuit: Any, weights: Mapping[str, Any], cutoff: int, amplitude: float) -> Row:
    """A trained circuit at random inputs within ``+-amplitude``, from the vacuum.

    Its gradient is taken along one random direction through all its weights and inputs.
    """
    random = _random("model")
    arrays = {name: np.asarray(weights[name], float) for name in sorted(weights)}
    ends = np.cumsum([0, *(array.size for array in arrays.values())])
    trained = np.concatenate([np.ravel(array) for array in arrays.values()])
    inputs = random.uniform(-amplitude, amplitude, (MODEL_INPUTS, circuit.num_inputs))

    def unpack(point):
        pieces = zip(arrays.items(), itertools.pairwise(ends), strict=True)
        weights = {name: point[a:b].reshape(array.shape) for (name, array), (a, b) in pieces}
        return weights, point[ends[-1] :]

    points = np.hstack([np.tile(trained, (MODEL_INPUTS, 1)), inputs.astype(np.float32)])
    return Row(
        label="model",
        circuit=circuit,
        cutoff=cutoff,
        points=points,
        kets=None,
        directions=_direction(random, points.shape[1]),
        unpack=unpack,
    )


def _random(label: str) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(label.encode()))


def _float32(random: np.random.RandomState, low: float, high: float) -> float:
    """Uniform in [low, high] and exact in float32, so that both precisions see the same number."""
    return float(np.float32(random.uniform(low, high)))


def _direction(random: np.random.RandomState, size: int) -> np.ndarray:
    """A random direction, shape (1, size), with a share of every parameter."""
    direction = random.uniform(0.5, 1.0, (1, size)) * random.choice([-1.0, 1.0], (1, size))
    return direction / np.linalg.norm(direction)
