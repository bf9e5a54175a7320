"""The workloads that speed is judged by: times, compile times, memory, and the bars.

    python benchmarks/workloads.py [W1 W2 ..] [--rounds 5] [--flax]

Each workload is first checked to give the same readouts and gradients on all sides:

* fockjax runs as `jax.vmap` of the one-sample call of a `Circuit`, or with --flax as a
  `QuantumLayer`;
* naive is what a naive user writes: `naive.py` for W1, its formulas for the others (`textbook.py`);
* dense is naive with gates made by fockjax's kernels, all in one call.

complex64, no flags. "v+g" is the value and gradient, with respect to the weights, of the squared
error of <x>, <p> of every mode; for W4 of the infidelity. CPU time is that of all threads. All
sides compile in each round as well, in turns and with empty caches.
"""

import argparse
import math
import platform
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

import dense_gates
import jax
import jax.numpy as jnp
import naive
import numpy as np
import textbook
from _circuits import REFERENCE, encoded, inputs, reference, squared_error, uniform
from _timing import Compiled, Times, alternate, compile_fresh, ratio
from flax import nnx

import fockjax as fj
from fockjax.operations import Repeat, flat


@dataclass(frozen=True)
class Bars:
    """Least speed-up of the forward pass and of value-and-gradient, most compile seconds of the
    latter; None where there is no bar.
    """

    forward: float
    gradient: float
    compile: float | None = None


NOT_SLOWER = Bars(0.9, 0.9)


@dataclass(frozen=True)
class Workload:
    """A circuit at a batch, and what is read from it.

    ``target`` is a ket to learn; without one <x>, <p> of all modes are read.
    """

    name: str
    what: str
    circuit: fj.Circuit
    cutoffs: tuple[int, ...]
    batch: int
    bars: Bars
    target: np.ndarray | None = None
    naive: Callable | None = None

    def weights(self) -> dict[str, jax.Array]:
        return self.circuit.init(jax.random.key(0))

    def inputs(self, batch: int | None = None) -> jax.Array:
        return inputs(self.circuit, batch or self.batch)

    def readout(self, state: fj.State) -> jax.Array:
        return fj.nn.quadratures(state) if self.target is None else state.fidelity(self.target)

    def fockjax(self, weights, x):
        return jax.vmap(lambda x: self.readout(self.circuit(weights, x, cutoff=self.cutoffs)))(x)

    def flax(self) -> Callable:
        layer = fj.nn.QuantumLayer(self.circuit, self.cutoffs, self.readout, rngs=nnx.Rngs(0))
        graph, params = nnx.split(layer)
        tree = jax.tree.structure(params)  # its leaves are the weights in the order of their names

        def forward(weights, x):
            return nnx.merge(graph, jax.tree.unflatten(tree, jax.tree.leaves(weights)))(x)

        return forward

    def textbook(self, weights, x):
        return self.dense(weights, x, by_textbook=True)

    def dense(self, weights, x, by_textbook: bool = False):
        def one(x):
            ket = dense_gates.amplitudes(self.circuit, weights, x, self.cutoffs, by_textbook)
            if self.target is None:
                return dense_gates.quadratures(ket)
            return dense_gates.fidelity(ket, self.target)

        return jax.vmap(one)(x)

    def sides(self) -> dict[str, Callable]:
        """What fockjax is compared with; of gates without a textbook's formula only "dense"."""
        names = {step.spec.name for step in flat(self.circuit.operations)}
        if not names <= set(vars(textbook)):
            return {"dense": self.dense}
        return {"naive": self.naive or self.textbook, "dense": self.dense}

    def loss(self, forward: Callable) -> Callable:
        """A scalar of weights and inputs."""
        if self.target is not None:
            return lambda weights, x: 1 - jnp.mean(forward(weights, x))
        return squared_error(forward)


# The circuits
# -------------------------------------------------------------------------------------------------


def every_gate() -> fj.Circuit:
    """Every gate of the registry once, in no order, on five modes; a beamsplitter and a two-mode
    squeezer by the data.
    """
    counter = iter(range(100))

    def w(*shape: int) -> fj.Weight:
        return fj.Weight(f"w{next(counter):02d}", shape, uniform(0.15))

    circuit = encoded(5)
    circuit.squeeze(w(), w(), mode=0).two_mode_squeeze(w(), w(), modes=(3, 1))
    circuit.beamsplitter(fj.Input(0) + w(), fj.Input(1), modes=(0, 1)).rotate(w(), mode=2)
    circuit.controlled_x(w(), modes=(2, 4)).kerr(w(), mode=1).cubic_phase(w(), mode=4)
    circuit.mesh(w(3), w(3), w(3), modes=(1, 2, 3)).snap(w(3), mode=0)
    circuit.mach_zehnder(w(), w(), modes=(4, 3)).p_displace(w(), mode=2).fourier(mode=3)
    circuit.cross_kerr(w(), modes=(0, 3)).quadratic_phase(w(), mode=1)
    circuit.passive(w(2, 2), modes=(2, 1)).controlled_z(w(), modes=(3, 4))
    circuit.x_displace(w(), mode=0).symmetric_mach_zehnder(w(), w(), modes=(1, 0))
    circuit.beamsplitter(fj.Input(2), w(), modes=(4, 2)).unitary(np.eye(3)[::-1], modes=0)
    squeezed = np.diag([0.9, 1.1, 1 / 0.9, 1 / 1.1])
    return (
        circuit.gaussian_transform(squeezed, modes=(0, 2))
        .kerr(w(), mode=2)
        .displace(w(), w(), mode=4)
    )


def _learning(layers: int, **given: Any) -> Workload:
    target = np.zeros(50, np.complex64)
    target[1] = 1
    circuit = fj.Circuit(1).cvqnn_layers(layers)
    what = f"1 mode, D=50, {layers} CV-NN layers, state learning"
    return Workload(circuit=circuit, cutoffs=(50,), what=what, batch=1, target=target, **given)


W1 = Workload(
    "W1",
    "4 modes, D=6, 2 layers",
    REFERENCE,
    (6,) * 4,
    128,
    Bars(3, 4.3, 3.5),
    naive=naive.forward,
)
W2 = Workload(
    "W2",
    "2 modes, D=20, 3 CV-NN layers",
    encoded(2).cvqnn_layers(3),
    (20,) * 2,
    32,
    Bars(4.5, 4, 3),
)
W3 = Workload("W3", "6 modes, D=4, 2 layers", reference(6, 2), (4,) * 6, 64, Bars(2, 3.5, 6))
W4 = _learning(25, name="W4", bars=Bars(1.3, 4, 1))
DEEP = _learning(200, name="W4-200", bars=NOT_SLOWER)
ANY = Workload(
    "any", "5 modes, D=3 4 5 4 3, every gate", every_gate(), (3, 4, 5, 4, 3), 37, NOT_SLOWER
)
WORKLOADS = {w.name: w for w in (W1, W2, W3, W4, DEEP)} | {
    f"{w.name}-{batch}": replace(w, name=f"{w.name}-{batch}", batch=batch, bars=NOT_SLOWER)
    for w, batch in [(ANY, 1), (ANY, 37), (W1, 1), (W1, 37), (W2, 1), (W2, 37), (W3, 1), (W3, 37)]
}


# Measuring
# -------------------------------------------------------------------------------------------------


@dataclass
class Part:
    """The forward pass or value-and-gradient of one implementation, compiled once a round."""

    function: Callable
    compilations: list[Compiled] = field(default_factory=list)

    def compile(self, *args) -> None:
        self.compilations.append(compile_fresh(self.function, *args))

    @property
    def run(self) -> Callable:
        return self.compilations[-1].run

    @property
    def temp_bytes(self) -> int:
        return self.compilations[-1].temp_bytes

    @property
    def seconds(self) -> list[float]:
        return [each.seconds for each in self.compilations]

    @property
    def median_seconds(self) -> float:
        return statistics.median(self.seconds)

    def __str__(self):
        return f"{self.median_seconds:.2f} ({min(self.seconds):.2f} to {max(self.seconds):.2f})"


class Side:
    """One implementation."""

    def __init__(self, workload: Workload, forward: Callable):
        self.forward = Part(forward)
        self.gradient = Part(jax.value_and_grad(workload.loss(forward)))

    def compile(self, *args) -> None:
        self.forward.compile(*args)
        self.gradient.compile(*args)


def gates(operations) -> int:
    """How many gates act, layers written out; rounding grows with their root."""
    return sum(o.times * gates(o.operations) if isinstance(o, Repeat) else 1 for o in operations)


def check(workload: Workload, expected: Side, ours: Side, *args) -> tuple[float, float]:
    """The largest differences of readouts, and of gradients relative to the largest component."""
    forward = float(jnp.abs(expected.forward.run(*args) - ours.forward.run(*args)).max())
    gradients = [
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(side.gradient.run(*args)[1])])
        for side in (expected, ours)
    ]
    gradient = np.abs(gradients[0] - gradients[1]).max() / np.abs(gradients[0]).max()
    assert forward <= 2e-6 * max(1.0, math.sqrt(max(workload.cutoffs))), forward
    assert gradient <= 4e-6 * math.sqrt(max(1, gates(workload.circuit.operations) / 100)), gradient
    return forward, float(gradient)


def measure(workload: Workload, forward: Callable, rounds: int) -> tuple[list[str], float]:
    """The rows of a workload, and what compiling its value-and-gradient took."""
    args = workload.weights(), workload.inputs()
    functions = {**workload.sides(), "fockjax": forward}
    sides = {label: Side(workload, function) for label, function in functions.items()}
    for _ in range(rounds):
        for side in sides.values():
            side.compile(*args)
    for label in workload.sides():
        check(workload, sides[label], sides["fockjax"], *args)
    times = {
        part: dict(
            zip(
                sides,
                alternate([getattr(side, part).run for side in sides.values()], args, rounds),
                strict=True,
            )
        )
        for part in ("forward", "gradient")
    }
    return rows(workload, sides, times), sides["fockjax"].gradient.median_seconds


def rows(
    workload: Workload, sides: dict[str, Side], times: dict[str, dict[str, Times]]
) -> list[str]:
    lines = []
    for label, side in sides.items():
        parts = (side.forward, side.gradient)
        own = [times[part][label] for part in times]
        lines.append(
            [
                label,
                *(cell for t in own for cell in (str(t), f"{t.median_cpu:.2f}")),
                " / ".join(map(str, parts)),
                " / ".join(f"{part.temp_bytes / 1e6:.1f}" for part in parts),
            ]
        )
    bars, spent = workload.bars, sides["fockjax"].gradient.median_seconds
    for label in workload.sides():
        cells = [f"{label} / fockjax"]
        decides = label == next(iter(workload.sides()))
        for part, bar in (("forward", bars.forward), ("gradient", bars.gradient)):
            gain = ratio(times[part][label], times[part]["fockjax"])
            cpu = times[part][label].median_cpu / times[part]["fockjax"].median_cpu
            cells += [f"**{gain:.2f}** {_verdict(gain, bar) if decides else ''}", f"{cpu:.2f}"]
        limit = _verdict(-spent, -bars.compile) if decides and bars.compile else ""
        lines.append([*cells, limit, ""])
    title = f"{workload.name}: {workload.what}, batch {workload.batch}"
    return [
        "| " + " | ".join([title if k == 0 else "", *line]) + " |" for k, line in enumerate(lines)
    ]


def _verdict(found: float, bar: float) -> str:
    sign = ">=" if bar > 0 else "<="
    return f"({sign} {abs(bar):g}: {'met' if found >= bar else 'NOT met'})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--flax", action="store_true", help="through QuantumLayer")
    options = parser.parse_args()
    if unknown := set(options.names) - set(WORKLOADS):
        parser.error(f"unknown workload {min(unknown)!r}; there are {', '.join(WORKLOADS)}")
    jax.block_until_ready(jax.jit(lambda x: x + 1)(jnp.zeros(3)))  # starts the compiler
    print(
        f"{'QuantumLayer' if options.flax else 'jax.vmap of Circuit'}, complex64; Python "
        f"{platform.python_version()}, jax {version('jax')}, {jax.devices()[0].device_kind}; "
        f"median (least to greatest) of {options.rounds} alternating rounds, ratios: median over "
        "the rounds\n\n| | | forward ms | CPU ms | v+g ms | CPU ms | compile s, forward / v+g "
        "| temp MB, forward / v+g |\n|-|-|-|-|-|-|-|-|"
    )
    compiling = {}
    for name in options.names or WORKLOADS:
        workload = WORKLOADS[name]
        forward = workload.flax() if options.flax else workload.fockjax
        lines, compiling[name] = measure(workload, forward, options.rounds)
        print("\n".join(lines), flush=True)
    if {W4.name, DEEP.name} <= compiling.keys():
        longer = compiling[DEEP.name] / compiling[W4.name]
        print(
            f"\n200 layers of W4 compile v+g in {longer:.2f} times the time of 25 "
            f"{_verdict(-longer, -1.2)}."
        )


if __name__ == "__main__":
    main()
