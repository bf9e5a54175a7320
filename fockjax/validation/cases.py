"""What is validated: every operation and readout, random circuits, a trained model.

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

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._spec import Spec
from fockjax.arguments import Cutoff
from fockjax.channels import REGISTRY as CHANNELS
from fockjax.circuit import Circuit
from fockjax.detectors import REGISTRY as DETECTORS
from fockjax.gates import REGISTRY as GATES
from fockjax.kets import REGISTRY as KETS
from fockjax.layout import TotalPhotons
from fockjax.mixed import REGISTRY as MIXED
from fockjax.parameters import Input, apply, stack
from fockjax.validation.readouts import PURE_ONLY, SAMPLES, SHOTS, Readout

Range = tuple[float, float]
GateCall = tuple[str, dict[str, Any], tuple[int, ...]]
"""An operation of a flat circuit: registry name, parameters and options by name, modes."""

ANGLE: Range = (-2 * math.pi, 2 * math.pi)

Kind = Literal["gate", "ket", "channel", "mixed", "measurement"]
REGISTRIES: Mapping[Kind, Mapping[str, Spec]] = {
    "gate": GATES,
    "ket": KETS,
    "channel": CHANNELS,
    "mixed": MIXED,
    "measurement": DETECTORS,
}


@dataclass(frozen=True)
class Case:
    """How an operation of a registry is validated, with one choice of its options.

    Attributes:
        kind: which registry.
        name: its name in that registry.
        ranges: for each number that is drawn the interval it is drawn from, kept to where SF is
            accurate.
        shapes: the shapes of those that are arrays.
        parameters: makes the parameters of the operation from what is drawn, by JAX; None: what is
            drawn are the parameters.
        modes: how many modes it acts on.
        spectators: how many more modes there are, entangled with these.
        options: its options; of a measurement the outcome selected among them, unless it is drawn
            with the other numbers, or left to chance.
        hbar: the convention of the circuit.
        cutoffs: the cutoffs at which it runs.
        points: how many sets of parameters are drawn.
    """

    kind: Kind
    name: str
    ranges: Mapping[str, Range] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    parameters: Callable[..., Mapping[str, Any]] | None = None
    modes: int = 1
    spectators: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    hbar: float = 2.0
    cutoffs: tuple[int, ...] = (5, 12)
    points: int = 20

    @property
    def spec(self) -> Spec:
        """Its entry in the registry."""
        return REGISTRIES[self.kind][self.name]

    @property
    def prepares(self) -> bool:
        """Whether it is a preparation."""
        return self.kind in ("ket", "mixed")

    @property
    def starts(self) -> tuple[str, ...]:
        """The initial states of its rows, in turn: "vacuum", random "ket"s or "mixed" states."""
        if self.prepares and not self.spectators:
            return ("vacuum",)
        if self.kind == "measurement" and not self.is_random:
            return ("ket", "mixed")
        return ("mixed",) if self.kind == "channel" else ("ket",)

    @property
    def is_mixed(self) -> bool:
        """Whether it leaves density matrices."""
        return self.kind not in ("gate", "ket") or self.spectators > 0

    @property
    def is_random(self) -> bool:
        """Whether it draws at random."""
        return self.kind == "measurement" and "select" not in {*self.options, *self.ranges}

    @property
    def label(self) -> str:
        """Its name in tables, which tells it from other cases of the operation."""
        details = [f"{name}={value}" for name, value in self.options.items()]
        if self.hbar != 2:
            details.append(f"hbar={self.hbar:g}")
        if self.spec.modes is None:
            details.append(f"{self.modes} mode{'s' if self.modes > 1 else ''}")
        if self.prepares and self.spectators:
            details.append("of an entangled mode")
        if self.is_random:
            details.append("drawn")
        elif self.name in DETECTORS and {"efficiency", "dark_counts"} & self.ranges.keys():
            details.append("imperfect")
        verb = {"ket": "prepare ", "mixed": "prepare ", "measurement": "measure "}
        given = f" ({', '.join(details)})" if details else ""
        return verb.get(self.kind, "") + self.name + given

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
        if self.kind == "measurement":
            circuit.measure(self.name, **parameters, **self.options, modes=modes[0])
        else:
            add = circuit.prepare if self.prepares else circuit.add
            add(self.name, **parameters, **self.options, modes=modes)


def _shaped(shape, *entries):
    return jnp.reshape(stack(*entries), shape)


def gaussian_state(r, phi, theta, alpha, nbar=0.0, hbar=2.0) -> dict[str, Any]:
    """Covariance and means of two thermal modes (by default the vacuum) that are squeezed, met at a
    beamsplitter and displaced.
    """

    def covariance(r, phi, theta, nbar):
        cos, sin = jnp.cos(phi), jnp.sin(phi)
        plus, minus = ((2 * nbar + 1) * f(2 * r) for f in (jnp.cosh, jnp.sinh))
        xx, xp, pp = plus - minus * cos, -minus * sin, plus + minus * cos
        V = jnp.block([[jnp.diag(xx), jnp.diag(xp)], [jnp.diag(xp), jnp.diag(pp)]])
        c, s = jnp.cos(theta), jnp.sin(theta)
        turn = jnp.stack([jnp.stack([c, -s]), jnp.stack([s, c])])
        both = jnp.kron(jnp.eye(2, dtype=turn.dtype), turn)
        return hbar / 2 * jnp.einsum("ij,jk,lk->il", both, V, both, precision="highest")

    def mean(alpha):
        return math.sqrt(2 * hbar) * alpha

    return {"cov": apply(covariance, r, phi, theta, nbar), "mean": apply(mean, alpha)}


def mixture(real, imag) -> dict[str, Any]:
    """``A A^dagger`` of a matrix A whose first axes are the modes'."""

    def part(index, real, imag):
        A = jax.lax.complex(real, imag)
        rho = jnp.tensordot(A, A.conj(), (-1, -1), precision="highest")
        return (rho.real, rho.imag)[index]

    return {name: apply(partial(part, k), real, imag) for k, name in enumerate(("real", "imag"))}


# SF builds displacement, squeezing and beamsplitter by recurrences that lose digits as amplitude
# and cutoff grow. Within these ranges, at cutoff 12, they keep 1e-14.
STRENGTH: Range = (-0.8, 0.8)
QUADRATURE: Range = (-1.5, 1.5)
gate, ket, mixed = partial(Case, "gate"), partial(Case, "ket"), partial(Case, "mixed")
beside: dict[str, Any] = {"spectators": 1, "cutoffs": (5,), "points": 5}
channel = partial(Case, "channel", **beside)
measure = partial(Case, "measurement", **beside)
chance = partial(measure, points=2)
imperfect = {"efficiency": (0.3, 0.95), "dark_counts": (0.05, 0.5)}
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
    ket("coherent", {"r": (-1, 1), "phi": ANGLE}, **beside),
    channel("loss", {"T": (0.1, 0.95)}),
    channel("thermal_loss", {"T": (0.1, 0.95), "nbar": (0.05, 0.2)}),
    channel("amplifier", {"gain": (1.05, 1.6), "nbar": (0.05, 0.2)}),
    channel("dephasing", {"sigma": (0.1, 0.8)}),
    channel("additive_noise", {"variance": (0.1, 0.8)}),
    channel("additive_noise", {"variance": (0.1, 0.8)}, hbar=1.0),
    Case("channel", "kraus", **amplitudes(2, 4, 4), spectators=1, cutoffs=(4,), points=5),
    Case(
        "channel",
        "kraus",
        **amplitudes(2, 4, 4),
        modes=2,
        cutoffs=(2,),
        points=4,
        options={"truncated": True},
    ),
    mixed("thermal", {"nbar": (0.1, 1.5)}),
    mixed("thermal", {"nbar": (0.1, 1.5)}, **beside),
    mixed(
        "density_matrix", **amplitudes(2, 3, 3), parameters=mixture, modes=2, cutoffs=(5,), points=5
    ),
    *(
        mixed(
            "mixed_gaussian",
            {
                "r": (-0.2, 0.2),
                "phi": ANGLE,
                "theta": ANGLE,
                "alpha": (-0.2, 0.2),
                "nbar": (0.05, 0.15),
            },
            {"r": (2,), "phi": (2,), "alpha": (4,), "nbar": (2,)},
            partial(gaussian_state, hbar=hbar),
            modes=2,
            cutoffs=(5,),
            points=3,
            hbar=hbar,
        )
        for hbar in (2.0, 1.0)
    ),
    measure("photons", options={"select": 2}),
    measure("photons", imperfect, options={"select": 2}),
    chance("photons", imperfect),
    measure("threshold", imperfect, options={"select": 1}),
    chance("threshold", imperfect),
    *(
        measure("homodyne", {"angle": ANGLE, "select": (-2, 2)}, hbar=hbar, points=3)
        for hbar in (2.0, 1.0)
    ),
    chance("homodyne", {"angle": ANGLE}),
    measure("heterodyne", options={"select": 0.6 - 0.4j}),
    measure("heterodyne", {"select": (-1, 1)}),
    chance("heterodyne"),
)


def cases(kind: str, name: str) -> list[Case]:
    """All cases of an operation."""
    return [case for case in CASES if (case.kind, case.name) == (kind, name)]


def names() -> list[tuple[str, str]]:
    """Kind and name of every entry of the registries, each of which must have a case."""
    return [(kind, name) for kind, registry in REGISTRIES.items() for name in registry]


RECIPES = 4  # random sequences of gates; compiling them is most of the command's time
CIRCUITS_PER_RECIPE = 5  # parameters and kets for each
CIRCUIT_CUTOFFS = {3: 6, 2: 8}  # cutoff by number of modes
MODEL_INPUTS = 4
NOISY_CUTOFF = 6
TOTAL_CUTOFF = 5
UNREPEATABLE = ("unitary", "passive", "kraus")  # not in random circuits: see `random_recipes`
READOUT_CUTOFF, READOUT_POINTS = 4, 4
MIXED_CUTOFF, MIXED_POINTS = 3, 2


def split_point(point: Any) -> tuple[dict[str, Any], Any]:
    """The weights and inputs of a circuit without weights: all of the point is the input vector."""
    return {}, point if len(point) else None


@dataclass(frozen=True)
class ReadoutRow:
    """States of three modes that one readout is taken of.

    Attributes:
        label: unique name, the key in the golden file.
        readout: what is read.
        states: kets of shape (points, cutoff, cutoff, cutoff), their norm below 1; or density
            matrices with twice as many axes.
        direction: the direction in which the states change for the gradient, an array like a state.
        slopes: how the arguments of the readout change along it, by name.
        shots: how many outcomes a readout that samples draws; 0 for the others.
    """

    label: str
    readout: Readout
    states: np.ndarray
    direction: np.ndarray
    slopes: Mapping[str, np.ndarray]
    shots: int = 0


def readout_rows(readout: Readout) -> Iterator[ReadoutRow]:
    """The rows of a readout: of kets, and of mixed states."""
    shots = SHOTS if readout in SAMPLES else 0
    # Random mixed states look alike in every direction, so they would not tell distributions apart.
    for kind in ("ket",) if shots or readout.name in PURE_ONLY else ("ket", "mixed"):
        label = f"readout {readout.name}" + (", mixed" if kind == "mixed" else "")
        random = _random(label)
        if kind == "ket":
            cutoff, points, draw = READOUT_CUTOFF, READOUT_POINTS, random_ket
        else:
            cutoff, points, draw = MIXED_CUTOFF, MIXED_POINTS, random_density_matrix
        *states, direction = (draw(random, cutoff, 3) for _ in range(points + 1))
        slopes = {
            name: random.uniform(-1, 1, np.shape(value))
            for name, value in readout.arguments.items()
        }
        yield ReadoutRow(label, readout, 0.9 * np.stack(states), direction, slopes, shots)


@dataclass(frozen=True)
class Row:
    """Points at which one circuit is evaluated by fockjax and by the reference.

    Attributes:
        label: unique name, the key in the golden file.
        circuit: called as ``circuit(*unpack(point), cutoff=cutoff, initial=state)``, and without
            ``initial`` where ``states`` is None.
        cutoff: of every mode (SF knows one only).
        points: shape (points, parameters), exact in float32.
        states: shape (points, cutoff, ..., cutoff), the kets the circuit starts from, or density
            matrices with twice as many cutoffs; None: the vacuum.
        directions: shape (directions, parameters); gradients are taken along them.
        unpack: point -> (weights, inputs).
        mixed: whether what it leaves is compared as a density matrix.
        shots: of a circuit that draws at random, how many runs.
        total: whether fockjax keeps fewer than ``cutoff`` photons in all modes together. That loses
            no more than SF does where the states have so few, and the circuit adds none.
    """

    label: str
    circuit: Any
    cutoff: int
    points: np.ndarray
    states: np.ndarray | None
    directions: np.ndarray
    unpack: Callable[[Any], tuple[dict[str, Any], Any]] = split_point
    mixed: bool = False
    shots: int = 0
    total: bool = False

    @property
    def truncation(self) -> Cutoff:
        """What fockjax is given for ``cutoff``."""
        return TotalPhotons(self.cutoff) if self.total else self.cutoff

    def evaluated(self, point: np.ndarray) -> list[GateCall]:
        """The flat list of operations at ``point``."""
        return self.circuit.evaluated(*self.unpack(point))

    def starts(self) -> np.ndarray:
        """``states``, the vacuum written out; density matrices if it is mixed."""
        modes, states = self.circuit.modes, self.states
        if states is None:
            states = np.zeros((len(self.points), *(self.cutoff,) * modes), np.complex128)
            states[(slice(None), *(0,) * modes)] = 1.0
        if self.mixed and states.ndim == 1 + modes:
            states = np.stack([np.multiply.outer(ket, ket.conj()) for ket in states])
        return states


def random_ket(random: np.random.RandomState, cutoff: int, modes: int) -> np.ndarray:
    """A normalised joint ket with random complex amplitudes, shape (cutoff,) * modes."""
    real, imaginary = random.uniform(-1, 1, (2, *(cutoff,) * modes))
    ket = real + 1j * imaginary
    return ket / np.linalg.norm(ket)


def random_density_matrix(random: np.random.RandomState, cutoff: int, modes: int) -> np.ndarray:
    """A density matrix of full rank with complex elements, row axes first, of trace 1."""
    size = cutoff**modes
    real, imaginary = random.uniform(-1, 1, (2, size, size))
    root = real + 1j * imaginary
    rho = root @ root.conj().T
    return (rho / np.trace(rho)).reshape((cutoff,) * 2 * modes)


Recipe = Sequence[tuple[Case, tuple[int, ...]]]
"""The operations of a circuit, each with its modes, before their numbers are drawn. Labels in the
golden file call it a layout."""


def random_recipes(random: np.random.RandomState, modes: Sequence[int]) -> list[Recipe]:
    """Random sequences of 10 to 14 gates, one for each number of modes; gates in any order of
    modes.

    Every kind of gate occurs about equally often in all of them together. Left out are the gates
    that Strawberry Fields only has in a larger space, and arbitrary matrices, which are no gates
    one can repeat.
    """
    stream = _endless(random, _plain("gate"))
    recipes = []
    for of in modes:
        drawn = list(itertools.islice(stream, random.randint(10, 15)))
        recipes.append([(case, _on(random, case, of)) for case in drawn])
    return recipes


def noisy_recipe(random: np.random.RandomState) -> Recipe:
    """Gates and channels on two modes; then a mode's photons are counted, the mode is prepared
    anew in a mixed state, and more gates and channels follow.
    """
    gates, channels = (_endless(random, _plain(kind)) for kind in ("gate", "channel"))

    def some() -> Recipe:
        drawn = [*itertools.islice(gates, 5), *itertools.islice(channels, 3)]
        order = random.permutation(len(drawn))
        return [(drawn[k], _on(random, drawn[k], 2)) for k in order]

    (count, *_), (thermal, *_) = cases("measurement", "photons"), cases("mixed", "thermal")
    mode = _on(random, count, 2)
    return [*some(), (count, mode), (thermal, mode), *some()]


def _plain(kind: Kind) -> list[Case]:
    """Cases to make random circuits of."""
    known = [case for case in CASES if case.kind == kind and case.modes <= 2]
    known = [case for case in known if not case.options and case.hbar == 2]
    return [case for case in known if case.name not in UNREPEATABLE]


def _endless(random: np.random.RandomState, known: Sequence[Case]) -> Iterator[Case]:
    """All of them in random order, again and again."""
    while True:
        yield from (known[k] for k in random.permutation(len(known)))


def _on(random: np.random.RandomState, case: Case, of: int) -> tuple[int, ...]:
    """Modes for an operation."""
    return tuple(int(mode) for mode in random.permutation(of)[: case.modes])


def random_point(
    random: np.random.RandomState, recipe: Recipe, *, strength: float = 1.0
) -> np.ndarray:
    """Random values of all that a recipe has drawn, in order, exact in float32.

    ``strength`` scales the ranges of gates; 0.4 keeps a dozen from emptying the truncated space.
    """
    ranges = [
        (scale * low, scale * high)
        for case, _ in recipe
        for scale in (strength if case.kind == "gate" else 1.0,)
        for low, high in case.limits()
    ]
    return np.array([_float32(random, *limits) for limits in ranges])


def template(recipe: Recipe, modes: int) -> Circuit:
    """The circuit of a recipe, every number that is drawn a component of its input."""
    circuit = Circuit(modes=modes, hbar=recipe[0][0].hbar)
    numbers = map(Input, itertools.count())
    for case, on in recipe:
        case.add_to(circuit, numbers, on)
    return circuit


def case_rows(case: Case) -> Iterator[Row]:
    """Rows in which each cutoff occurs, of several modes their order and the reverse, and kets and
    mixed states to start from.
    """
    total = case.modes + case.spectators
    forwards = tuple(range(total))
    orders = [forwards, forwards[::-1]] if case.modes > 1 else [forwards[-1:], forwards[:1]]
    number = max(case.modes > 1 and len(orders), len(case.cutoffs), len(case.starts))
    turns = zip(*map(itertools.cycle, (case.cutoffs, orders, case.starts)), strict=True)
    for cutoff, order, start in itertools.islice(turns, number):
        label = f"{case.label} {order}" if total > 1 else case.label
        label = f"{label} cutoff {cutoff}"
        random = _random(label)
        recipe = [(case, order)]
        count = case.points if case.size or start != "vacuum" else 1
        points = [random_point(random, recipe) for _ in range(count)]
        few = case.size <= 4  # then a direction for each number, else one random direction
        draw = {"ket": random_ket, "mixed": random_density_matrix}.get(start)
        yield Row(
            label=label,
            circuit=template(recipe, modes=total),
            cutoff=cutoff,
            points=np.stack(points),
            states=np.stack([draw(random, cutoff, total) for _ in points]) if draw else None,
            directions=np.eye(case.size) if few else _direction(random, case.size),
            mixed=case.is_mixed,
            shots=SHOTS if case.is_random else 0,
        )


def circuit_rows() -> Iterator[Row]:
    """One row for each recipe; its gradient is taken along one random direction."""
    modes = [3 - index % 2 for index in range(RECIPES)]
    for index, recipe in enumerate(random_recipes(_random("layouts"), modes)):
        label = f"layout {index}, {modes[index]} modes"
        random = _random(label)
        points = [random_point(random, recipe, strength=0.4) for _ in range(CIRCUITS_PER_RECIPE)]
        cutoff = CIRCUIT_CUTOFFS[modes[index]]
        yield Row(
            label=label,
            circuit=template(recipe, modes[index]),
            cutoff=cutoff,
            points=np.stack(points),
            states=np.stack([random_ket(random, cutoff, modes[index]) for _ in points]),
            directions=_direction(random, points[0].size),
        )


def noisy_row() -> Row:
    """A row as in `circuit_rows`, of circuits with channels, a measurement and a preparation."""
    random = _random("noisy layout")
    recipe = noisy_recipe(random)
    points = [random_point(random, recipe, strength=0.4) for _ in range(CIRCUITS_PER_RECIPE)]
    return Row(
        label="noisy layout",
        circuit=template(recipe, 2),
        cutoff=NOISY_CUTOFF,
        points=np.stack(points),
        states=np.stack([random_ket(random, NOISY_CUTOFF, 2) for _ in points]),
        directions=_direction(random, points[0].size),
        mixed=True,
    )


def conserving_row() -> Row:
    """A circuit that adds no photons, on kets of few photons: `TotalPhotons` must give there what
    cutoffs do.
    """
    random = _random("conserving layout")
    names = ("beamsplitter", "kerr", "mach_zehnder", "rotation", "cross_kerr", "beamsplitter")
    recipe = [(case, _on(random, case, 3)) for name in names for case in cases("gate", name)[:1]]
    points = [random_point(random, recipe) for _ in range(CIRCUITS_PER_RECIPE)]
    few = np.indices((TOTAL_CUTOFF,) * 3).sum(0) < TOTAL_CUTOFF
    return Row(
        label="conserving layout",
        circuit=template(recipe, 3),
        cutoff=TOTAL_CUTOFF,
        points=np.stack(points),
        states=np.stack([few * random_ket(random, TOTAL_CUTOFF, 3) for _ in points]),
        directions=_direction(random, points[0].size),
        total=True,
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
        states=None,
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
