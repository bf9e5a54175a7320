"""What is validated: every gate, preparation and readout, random circuits, a trained model.

Random numbers come from NumPy's ``RandomState``, whose stream is frozen for good, seeded by the
row's label: the golden file stays valid on every NumPy, and a new gate leaves other rows alone.
"""

import itertools
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from fockjax.circuit import Circuit
from fockjax.gates import REGISTRY as GATES
from fockjax.kets import REGISTRY as KETS
from fockjax.parameters import Input, apply, stack
from fockjax.validation.readouts import Readout

Range = tuple[float, float]
GateCall = tuple[str, dict[str, Any], tuple[int, ...]]
"""An operation of a flat circuit: registry name, parameters and options by name, modes."""

ANGLE: Range = (-2 * math.pi, 2 * math.pi)


@dataclass(frozen=True)
class Case:
    """How an operation of a registry is validated, with one choice of its options.

    Attributes:
        kind: "gate" or "ket".
        name: its name in that registry.
        ranges: for each number that is drawn the interval it is drawn from, kept to where SF is
            accurate.
        shapes: of those that are arrays.
        parameters: the parameters of the operation from what is drawn, in JAX; None: the same.
        modes: how many modes it acts on.
        options: its options.
        hbar: of the circuit.
        cutoffs: at which it runs.
        points: how many sets of parameters.
    """

    kind: Literal["gate", "ket"]
    name: str
    ranges: Mapping[str, Range] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    parameters: Callable[..., Mapping[str, Any]] | None = None
    modes: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    hbar: float = 2.0
    cutoffs: tuple[int, ...] = (5, 12)
    points: int = 20

    @property
    def label(self) -> str:
        """Its name in tables: what differs from other cases of the operation included."""
        registry = GATES if self.kind == "gate" else KETS
        details = [f"{name}={value}" for name, value in self.options.items()]
        if self.hbar != 2:
            details.append(f"hbar={self.hbar:g}")
        if registry[self.name].modes is None:
            details.append(f"{self.modes} mode{'s' if self.modes > 1 else ''}")
        prepare = "prepare " if self.kind == "ket" else ""
        return prepare + self.name + (f" ({', '.join(details)})" if details else "")

    @property
    def size(self) -> int:
        """How many numbers are drawn."""
        return sum(math.prod(self.shapes.get(name, ())) for name in self.ranges)

    def limits(self) -> list[Range]:
        """The interval of each number that is drawn."""
        return [
            limits
            for name, limits in self.ranges.items()
            for _ in range(math.prod(self.shapes.get(name, ())))
        ]

    def add_to(self, circuit: Circuit, numbers: Iterator[Any], modes: Sequence[int]) -> None:
        """Add the operation to a circuit, what is drawn taken from ``numbers``."""
        drawn = {}
        for name in self.ranges:
            shape = self.shapes.get(name, ())
            entries = list(itertools.islice(numbers, math.prod(shape)))
            drawn[name] = apply(partial(_shaped, shape), *entries) if shape else entries[0]
        parameters = drawn if self.parameters is None else self.parameters(**drawn)
        add = circuit.add if self.kind == "gate" else circuit.prepare
        add(self.name, **parameters, **self.options, modes=modes)


def _shaped(shape, *entries):
    return jnp.reshape(stack(*entries), shape)


def gaussian_state(r, phi, theta, alpha, hbar=2.0) -> dict[str, Any]:
    """Covariance and means of two squeezed modes that are displaced and met at a beamsplitter."""

    def covariance(r, phi, theta):
        cos, sin = jnp.cos(phi), jnp.sin(phi)
        plus, minus = jnp.cosh(2 * r), jnp.sinh(2 * r)
        xx, xp, pp = plus - minus * cos, -minus * sin, plus + minus * cos
        V = jnp.block([[jnp.diag(xx), jnp.diag(xp)], [jnp.diag(xp), jnp.diag(pp)]])
        c, s = jnp.cos(theta), jnp.sin(theta)
        turn = jnp.stack([jnp.stack([c, -s]), jnp.stack([s, c])])
        both = jnp.kron(jnp.eye(2, dtype=turn.dtype), turn)
        return hbar / 2 * jnp.einsum("ij,jk,lk->il", both, V, both, precision="highest")

    def mean(alpha):
        return math.sqrt(2 * hbar) * alpha

    return {"cov": apply(covariance, r, phi, theta), "mean": apply(mean, alpha)}


# SF builds displacement, squeezing and beamsplitter by recurrences that lose digits as amplitude
# and cutoff grow. Within these ranges, at cutoff 12, they keep 1e-14.
STRENGTH: Range = (-0.8, 0.8)
QUADRATURE: Range = (-1.5, 1.5)
gate, ket = partial(Case, "gate"), partial(Case, "ket")
two_modes: dict[str, Any] = {"modes": 2, "cutoffs": (5, 10)}
exact: dict[str, Any] = {"options": {"exact": True}}
several: dict[str, Any] = {"modes": 2, "cutoffs": (6,), "points": 6}
three_modes: dict[str, Any] = {"modes": 3, "cutoffs": (4,), "points": 4}


def mesh(modes: int, layers: tuple[int, ...] = ()) -> dict[str, Any]:
    """The angles of interferometers."""
    pairs = modes * (modes - 1) // 2
    return {
        "ranges": {"theta": ANGLE, "phi": ANGLE, "rotation": ANGLE},
        "shapes": {
            "theta": (*layers, pairs),
            "phi": (*layers, pairs),
            "rotation": (*layers, modes),
        },
    }


def transform(modes: int) -> dict[str, Any]:
    """The parameters of a Gaussian transformation."""
    angles = mesh(modes, (2,))
    return {
        "ranges": angles["ranges"] | {"r": (-0.5, 0.5)},
        "shapes": angles["shapes"] | {"r": (modes,)},
    }


def amplitudes(*shape: int) -> dict[str, Any]:
    """Real and imaginary part of an array, its norm about a half."""
    most = 1 / math.sqrt(math.prod(shape))
    return {
        "ranges": {"real": (-most, most), "imag": (-most, most)},
        "shapes": {"real": shape, "imag": shape},
    }


CASES: tuple[Case, ...] = (
    gate("displacement", {"r": (-1.5, 1.5), "phi": ANGLE}),
    gate("squeezing", {"r": STRENGTH, "phi": ANGLE}),
    gate("rotation", {"phi": ANGLE}),
    gate("kerr", {"kappa": (-math.pi, math.pi)}),
    *(
        gate(name, ranges, hbar=hbar)
        for hbar in (2.0, 1.0)
        for name, ranges in {
            "x_displacement": {"x": QUADRATURE},
            "p_displacement": {"p": QUADRATURE},
            "cubic_phase": {"gamma": (-0.5, 0.5)},
        }.items()
    ),
    gate("cubic_phase", {"gamma": (-0.2, 0.2)}, options={"padding": 12}),
    gate("quadratic_phase", {"s": (-1.2, 1.2)}),
    gate("fourier"),
    gate("snap", {"phases": ANGLE}, {"phases": (4,)}),
    gate("unitary", **amplitudes(5, 5), cutoffs=(5,)),
    gate("beamsplitter", {"theta": ANGLE, "phi": ANGLE}, **two_modes),
    gate("mach_zehnder", {"phi_in": ANGLE, "phi_ex": ANGLE}, **two_modes),
    gate("symmetric_mach_zehnder", {"phi_in": ANGLE, "phi_ex": ANGLE}, **two_modes),
    gate("symmetric_mach_zehnder", {"phi_in": ANGLE, "phi_ex": ANGLE}, **several, **exact),
    gate("two_mode_squeezing", {"r": STRENGTH, "phi": ANGLE}, **two_modes),
    gate("cross_kerr", {"kappa": (-math.pi, math.pi)}, **two_modes),
    gate("controlled_x", {"s": (-1, 1)}, **two_modes),
    gate("controlled_x", {"s": (-1, 1)}, **several, **exact),
    gate("controlled_z", {"s": (-1, 1)}, **two_modes),
    gate("controlled_z", {"s": (-1, 1)}, **several, **exact),
    gate("unitary", **amplitudes(3, 3, 3, 3), modes=2, cutoffs=(3,), points=6),
    gate("interferometer", **mesh(2), **several),
    gate("interferometer", **mesh(3), **three_modes, options={"mesh": "triangular"}),
    gate("interferometer", **mesh(3), **three_modes, **exact),
    gate("passive", {"generator": (-2, 2)}, {"generator": (2, 2)}, **several),
    gate("gaussian_transform", **transform(2), **several),
    gate("gaussian_transform", **transform(2), **several, **exact),
    ket("vacuum"),
    ket("fock", options={"n": 3}),
    ket("coherent", {"r": (-1.5, 1.5), "phi": ANGLE}),
    ket("squeezed", {"r": STRENGTH, "phi": ANGLE}),
    ket(
        "displaced_squeezed",
        {"r_d": (-1.2, 1.2), "phi_d": ANGLE, "r_s": STRENGTH, "phi_s": ANGLE},
    ),
    ket("two_mode_squeezed", {"r": STRENGTH, "phi": ANGLE}, **two_modes),
    ket("cat", {"a": (-1.5, 1.5), "phi": ANGLE, "p": (-1, 1)}),
    ket("gkp", {"theta": ANGLE, "phi": ANGLE, "epsilon": (0.15, 0.5)}),
    ket("gkp", {"theta": ANGLE, "phi": ANGLE, "epsilon": (0.15, 0.5)}, **exact),
    ket("ket", **amplitudes(3, 4), modes=2, cutoffs=(5,), points=5),
    *(
        ket(
            "gaussian",
            {"r": (-0.3, 0.3), "phi": ANGLE, "theta": ANGLE, "alpha": (-0.3, 0.3)},
            {"r": (2,), "phi": (2,), "alpha": (4,)},
            partial(gaussian_state, hbar=hbar),
            modes=2,
            cutoffs=(5,),
            points=5,
            hbar=hbar,
        )
        for hbar in (2.0, 1.0)
    ),
)


def cases(kind: str, name: str) -> list[Case]:
    """All cases of an operation."""
    return [case for case in CASES if (case.kind, case.name) == (kind, name)]


def names() -> list[tuple[str, str]]:
    """Kind and name of all that the registries hold, which is what has to have a case."""
    return [("gate", name) for name in GATES] + [("ket", name) for name in KETS]


LAYOUTS = 4  # random sequences of gates; compiling them is most of the command's time
CIRCUITS_PER_LAYOUT = 5  # parameters and kets for each
CIRCUIT_CUTOFFS = {3: 6, 2: 8}  # cutoff by number of modes
MODEL_INPUTS = 4
READOUT_CUTOFF, READOUT_POINTS = 4, 4


def split_point(point: Any) -> tuple[dict[str, Any], Any]:
    """A point of a circuit without weights: all of it is the input vector."""
    return {}, point if len(point) else None


@dataclass(frozen=True)
class ReadoutRow:
    """Kets of three modes that one readout is taken of.

    Attributes:
        readout: what is read.
        kets: shape (points, cutoff, cutoff, cutoff), their norm below 1.
        direction: in which the gradient is taken: a complex array of the shape of a ket.
        slopes: and along which the arguments of the readout change, by name.
    """

    readout: Readout
    kets: np.ndarray
    direction: np.ndarray
    slopes: Mapping[str, np.ndarray]

    @property
    def label(self) -> str:
        """Unique name, the key in the golden file."""
        return f"readout {self.readout.name}"


def readout_row(readout: Readout) -> ReadoutRow:
    """The row of a readout."""
    random = _random(f"readout {readout.name}")
    *kets, direction = (random_ket(random, READOUT_CUTOFF, 3) for _ in range(READOUT_POINTS + 1))
    slopes = {
        name: random.uniform(-1, 1, np.shape(value)) for name, value in readout.arguments.items()
    }
    return ReadoutRow(readout, 0.9 * np.stack(kets), direction, slopes)


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
        """The flat list of operations at ``point``."""
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


Layout = Sequence[tuple[Case, tuple[int, ...]]]
"""Operations of a circuit yet to be given numbers, each with its modes."""


def random_layouts(random: np.random.RandomState, modes: Sequence[int]) -> list[Layout]:
    """Random sequences of 10 to 14 gates, one for each number of modes; gates in any order of
    modes.

    Every kind of gate occurs about equally often in all of them together. Left out are the gates
    that Strawberry Fields only has in a larger space, and arbitrary matrices, which are no gates
    one can repeat.
    """
    kinds = [case for case in CASES if case.kind == "gate" and case.modes <= min(modes)]
    kinds = [case for case in kinds if not case.options and case.hbar == 2]
    kinds = [case for case in kinds if case.name not in ("unitary", "passive")]
    stream = itertools.chain.from_iterable(
        random.permutation(len(kinds)) for _ in itertools.count()
    )

    def on(case: Case, of: int) -> tuple[int, ...]:
        return tuple(int(mode) for mode in random.permutation(of)[: case.modes])

    layouts = []
    for of in modes:
        drawn = [kinds[k] for k in itertools.islice(stream, random.randint(10, 15))]
        layouts.append([(case, on(case, of)) for case in drawn])
    return layouts


def random_point(
    random: np.random.RandomState, layout: Layout, *, strength: float = 1.0
) -> np.ndarray:
    """Random values of all that a layout has drawn, in order, exact in float32.

    ``strength`` scales every range; 0.4 keeps a dozen gates from emptying the truncated space.
    """
    ranges = [limits for case, _ in layout for limits in case.limits()]
    return np.array([_float32(random, strength * low, strength * high) for low, high in ranges])


def template(layout: Layout, modes: int) -> Circuit:
    """The circuit of a layout, every number that is drawn a component of its input."""
    circuit = Circuit(modes=modes, hbar=layout[0][0].hbar)
    numbers = map(Input, itertools.count())
    for case, on in layout:
        case.add_to(circuit, numbers, on)
    return circuit


def case_rows(case: Case) -> Iterator[Row]:
    """Rows in which each cutoff occurs, and for several modes their order and the reverse."""
    modes = tuple(range(case.modes))
    orders = [modes, modes[::-1]] if case.modes > 1 else [modes]
    for index in range(max(len(orders), len(case.cutoffs))):
        cutoff, order = case.cutoffs[index % len(case.cutoffs)], orders[index % len(orders)]
        label = f"{case.label} {order}" if case.modes > 1 else case.label
        label = f"{label} cutoff {cutoff}"
        random = _random(label)
        layout = [(case, order)]
        points = [random_point(random, layout) for _ in range(case.points if case.size else 1)]
        few = case.size <= 4  # directions: each number's own, or one with a share of all
        yield Row(
            label=label,
            circuit=template(layout, modes=case.modes),
            cutoff=cutoff,
            points=np.stack(points),
            kets=np.stack([random_ket(random, cutoff, case.modes) for _ in points])
            if case.kind == "gate"
            else None,
            directions=np.eye(case.size) if few else _direction(random, case.size),
        )


def circuit_rows() -> Iterator[Row]:
    """One row for each layout; its gradient is taken along one random direction."""
    modes = [3 - index % 2 for index in range(LAYOUTS)]
    for index, layout in enumerate(random_layouts(_random("layouts"), modes)):
        label = f"layout {index}, {modes[index]} modes"
        random = _random(label)
        points = [random_point(random, layout, strength=0.4) for _ in range(CIRCUITS_PER_LAYOUT)]
        cutoff = CIRCUIT_CUTOFFS[modes[index]]
        yield Row(
            label=label,
            circuit=template(layout, modes[index]),
            cutoff=cutoff,
            points=np.stack(points),
            kets=np.stack([random_ket(random, cutoff, modes[index]) for _ in points]),
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
