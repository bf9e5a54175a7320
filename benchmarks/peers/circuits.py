"""The circuits that every peer runs, as data that needs nothing but NumPy.

Each begins with a displacement by the inputs of the sample, one a mode, and ends with <x> of every
mode, then <p> of every mode (hbar = 2). Conventions are Strawberry Fields', which Piquasso and
fockjax share. The loss is the mean over the batch of the squared distance to a random target.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np


class Entry(NamedTuple):
    """One entry of an array of weights, or of the inputs of a sample, which are called "x"."""

    name: str
    index: tuple[int, ...]


class Gate(NamedTuple):
    kind: str
    parameters: tuple[Entry | float, ...]
    modes: tuple[int, ...]


class Weights(NamedTuple):
    """An array of weights, uniform within `bound` of zero; `active` ones make light."""

    shape: tuple[int, ...]
    bound: float
    active: bool = False


class Data(NamedTuple):
    weights: dict[str, np.ndarray]
    inputs: np.ndarray
    """(batch, modes)"""
    targets: np.ndarray
    """(batch, 2 modes)"""


@dataclass(frozen=True)
class Workload:
    title: str
    modes: int
    cutoff: int
    converged: int
    """A cutoff so high that what it loses is below rounding, or nearly so."""
    batch: int
    layers: tuple[Gate, ...]
    weights: dict[str, Weights]
    double: bool = False
    """complex128 in place of complex64, where a peer has both."""

    @property
    def real(self) -> type[np.floating]:
        """What weights and inputs are."""
        return np.float64 if self.double else np.float32

    @property
    def gates(self) -> tuple[Gate, ...]:
        encoding = (Gate("displacement", (Entry("x", (m,)), 0.0), (m,)) for m in range(self.modes))
        return (*encoding, *self.layers)

    def data(self, light: float = 1.0) -> Data:
        """The same numbers in every process. `light` scales what makes photons: at 0.2 there are so
        few that two ways to truncate agree.
        """
        random = np.random.default_rng(0)
        weights = {
            name: random.uniform(-bound, bound, shape) * (light if active else 1.0)
            for name, (shape, bound, active) in self.weights.items()
        }
        inputs = light * random.uniform(-0.5, 0.5, (self.batch, self.modes))
        targets = random.normal(size=(self.batch, 2 * self.modes))
        arrays = {name: values.astype(self.real) for name, values in weights.items()}
        return Data(arrays, inputs.astype(self.real), targets.astype(self.real))


def bound_gates(gates: tuple[Gate, ...], weights, x) -> Iterator[tuple[str, list, tuple[int, ...]]]:
    """The gates with their parameters looked up, whatever the arrays are."""
    arrays = {**weights, "x": x}
    for kind, parameters, modes in gates:
        values = [p if isinstance(p, float) else arrays[p.name][p.index] for p in parameters]
        yield kind, values, modes


def _reference() -> Workload:
    modes, layers = 4, 2
    gates = []
    for k in range(layers):
        for m in range(modes):
            gates.append(Gate("squeezing", _entries(("squeeze_r", "squeeze_phi"), k, m), (m,)))
        for m in range(modes - 1):
            gates.append(Gate("beamsplitter", _entries(("mix_theta", "mix_phi"), k, m), (m, m + 1)))
    weights = {
        "squeeze_r": Weights((layers, modes), 0.2, active=True),
        "squeeze_phi": Weights((layers, modes), np.pi),
        "mix_theta": Weights((layers, modes - 1), np.pi),
        "mix_phi": Weights((layers, modes - 1), np.pi),
    }
    return Workload("reference circuit", modes, 6, 12, 128, tuple(gates), weights)


def _cvqnn() -> Workload:
    """The layers of Killoran et al., in the settings of Piquasso's `scripts/jax_cvnn_benchmark.py`,
    but for inputs and a batch; the weights have the names of `Circuit.cvqnn_layers`.
    """
    modes, layers, gates = 2, 3, []

    def add(kind: str, names: tuple[str, ...], k: int, index: int, modes: tuple[int, ...]) -> None:
        gates.append(Gate(kind, _entries(tuple(f"cvqnn.{n}" for n in names), k, index), modes))

    for k in range(layers):
        for mesh in ("interferometer1", "interferometer2"):
            add("beamsplitter", (f"{mesh}.theta", f"{mesh}.phi"), k, 0, (0, 1))
            add("rotation", (f"{mesh}.rotation",), k, 0, (0,))
            for m in range(modes):
                if mesh == "interferometer1":
                    add("squeezing", ("squeezing",), k, m, (m,))
                else:
                    add("displacement", ("displacement.r", "displacement.phi"), k, m, (m,))
        for m in range(modes):
            add("kerr", ("kerr",), k, m, (m,))
    mesh = {
        f"cvqnn.interferometer{i}.{part}": Weights((layers, 1), 1.0)
        for i in (1, 2)
        for part in ("theta", "phi", "rotation")
    }
    weights = mesh | {
        "cvqnn.squeezing": Weights((layers, modes), 0.1, active=True),
        "cvqnn.displacement.r": Weights((layers, modes), 0.1, active=True),
        "cvqnn.displacement.phi": Weights((layers, modes), 1.0),
        "cvqnn.kerr": Weights((layers, modes), 0.1),
    }
    return Workload("CV neural network", modes, 10, 30, 32, tuple(gates), weights)


def _entries(names: tuple[str, ...], *index: int) -> tuple[Entry, ...]:
    return tuple(Entry(name, index) for name in names)


WORKLOADS = {
    "reference": _reference(),
    "cvqnn10": _cvqnn(),
    "cvqnn20": replace(_cvqnn(), cutoff=20),
}
