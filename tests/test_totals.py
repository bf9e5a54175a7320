"""Every operation under a bound on all photons keeps what it keeps in the box; and what else takes
such a bound.

Each acts once, on some modes of an entangled ket, so that both truncations cut the same. What is
made of several operations that are cut one by one is taken in its exact form.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import close
from flax import nnx

import fockjax as fj
from fockjax.validation.cases import Case, cases, names, template

MODES, ORDER = 3, (2, 0, 1)
CUT_BETWEEN = ("controlled_x", "controlled_z", "gaussian_transform", "symmetric_mach_zehnder")


def compared(kind, name) -> list[Case]:
    """Of a measurement all that is selected, of other operations one choice of options."""
    found = [case for case in cases(kind, name) if not case.is_random]
    if name in CUT_BETWEEN:
        return [case for case in found if case.options]
    return found if kind == "measurement" else found[:1]


CASES = {f"{case.kind} {case.label}": case for key in names() for case in compared(*key)}


def run(case, point, cutoff):
    """The amplitudes or matrix elements of the states that are kept, the probability of what was
    selected, and the norm.
    """
    below = 5 if case.name == "unitary" else 4  # as large as its matrix
    kept = fj.TotalPhotons(below)
    flat = np.ravel_multi_index(kept.states(MODES).T, (below,) * MODES)
    random = np.random.RandomState(case.size)
    ket = np.zeros(below**MODES, complex)
    ket[flat] = random.standard_normal((2, len(flat))).T @ [1, 1j]
    ket = 0.9 * ket.reshape((below,) * MODES) / np.linalg.norm(ket)
    circuit = template([(case, ORDER[: case.modes])], modes=MODES)
    cutoff = kept if cutoff == "total" else below
    state = circuit({}, point if case.size else None, cutoff=cutoff, initial=ket)
    if state.is_pure:
        array = state.ket().reshape(-1)[flat]
    else:
        array = state.density_matrix().reshape(below**MODES, below**MODES)[np.ix_(flat, flat)]
    return array, state.selection_probability


def point_of(case):
    low, high = np.reshape(case.limits(), (-1, 2)).T
    return np.random.RandomState(7).uniform(low, high)


# A preparation is made of the same parts as another; these are one of each kind.
SLOW = {name for name in CASES if "prepare" in name or "hbar" in name}
SLOW -= {"ket prepare two_mode_squeezed", "mixed prepare thermal"}
quick = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in CASES]
)


@quick
def test_values(name, x64):
    case = CASES[name]
    both = jax.jit(lambda point: [run(case, point, cutoff) for cutoff in ("total", "box")])
    for found, expected in zip(*both(point_of(case)), strict=True):
        close(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if case.size and case.kind in ("gate", "channel")]
)
def test_derivatives(name, x64):
    """Forwards as in the box, backwards as forwards."""
    case, point = CASES[name], point_of(CASES[name])
    direction = np.cos(np.arange(case.size))

    def number(found):
        array = found[0].reshape(-1)
        weights = np.exp(1j * np.arange(array.size))
        return jnp.sum((weights * array).real) + found[1]

    @jax.jit
    def slopes(point):
        total, box = (
            jax.jvp(partial(run, case, cutoff=cutoff), (point,), (direction,))[1]
            for cutoff in ("total", "box")
        )
        backwards = jax.grad(lambda p: number(run(case, p, "total")))(point) @ direction
        return total, box, backwards, number(total)

    total, box, backwards, forwards = slopes(point)
    for found, expected in zip(total, box, strict=True):
        close(found, expected, 1e-11)
    close(backwards, forwards, 1e-11)


def test_derivatives_of_active_gates_on_joined_modes(x64):
    """Against differences along a line."""
    circuit = fj.Circuit(2).beamsplitter(0.4, 0.3).displace(fj.Input(0), fj.Input(1), mode=1)
    circuit.two_mode_squeeze(fj.Input(2), fj.Input(3))
    x, direction = np.array([0.4, -0.8, 0.3, 1.2]), np.array([0.5, 0.7, -0.4, 0.6])

    def number(x):
        state = circuit({}, x, cutoff=fj.TotalPhotons(4))
        return state.quadrature(0, 0.4).mean + state.leakage

    def slopes(x):
        value, forward = jax.jvp(number, (x,), (direction,))
        return value, forward, jax.grad(number)(x) @ direction

    step = 1e-3
    points = x + step * np.multiply.outer([-2, -1, 1, 2, 0], direction)
    values, forward, reverse = jax.jit(jax.vmap(slopes))(points)
    close(reverse, forward)
    close(reverse[4], np.dot([1, -8, 8, -1], values[:4]) / (12 * step), 1e-9)


# What else takes such a bound

FEW = fj.TotalPhotons(3)


def passive():
    """Two photons that lose none; the angles are weights."""
    circuit = fj.Circuit(2).prepare("fock", 1, modes=0).prepare("fock", 1, modes=1)
    circuit.beamsplitter(fj.Weight("theta"), 0.3).kerr(fj.Weight("kappa"), mode=0)
    return circuit.beamsplitter(0.7, fj.Weight("phi"), modes=(1, 0))


WEIGHTS = {"theta": np.array(0.4), "kappa": np.array(0.2), "phi": np.array(-0.8)}


@pytest.mark.slow
def test_geometry(x64):
    """Of a ket, and under loss."""
    pure, lossy = passive(), passive().loss(0.8, mode=1)

    @jax.jit
    def read(weights):
        return [
            (
                fj.metric_tensor(partial(pure, cutoff=cutoff), weights),
                fj.quantum_fisher(partial(lossy, cutoff=cutoff), weights),
            )
            for cutoff in (FEW, 3)
        ]

    ours, box = read(WEIGHTS)
    assert max(abs(leaf) for leaf in jax.tree.leaves(ours)) > 0.1
    jax.tree.map(lambda found, expected: close(found, expected, 1e-9), ours, box)


def test_density_matrices(x64):
    state = passive().loss(0.8, mode=1)(WEIGHTS, cutoff=FEW)
    rho = state.density_matrix()
    again = fj.from_density_matrix(rho, cutoff=FEW)
    assert again.truncation == FEW and not again.is_pure
    close(again.density_matrix(), rho)
    close(again.photon_number(0).mean, state.photon_number(0).mean)
    with pytest.raises(ValueError, match=r"outside TotalPhotons\(below=2\)"):
        fj.from_density_matrix(rho, cutoff=fj.TotalPhotons(2))


def test_costs():
    circuit = fj.Circuit(3).displace(fj.Input(0), mode=0).beamsplitter().beamsplitter(modes=(1, 2))
    ours, box = (circuit.cost(cutoff=cutoff, batch=4) for cutoff in (fj.TotalPhotons(6), 6))
    assert (ours.outputs, box.outputs) == (4 * 56 * 8, 4 * 6**3 * 8)
    assert ours.memory < box.memory


def test_groups(x64):
    """A bound for each group."""
    circuit = fj.grouped(lambda modes: passive(), modes=4, group_size=2)
    weights = {"groups": {name: np.stack([w, 2 * w]) for name, w in WEIGHTS.items()}}
    state = circuit(weights, cutoff=FEW)
    assert state.truncation == FEW and state.groups == ((0, 1), (2, 3))
    first, second = (passive()({k: n * w for k, w in WEIGHTS.items()}, cutoff=3) for n in (1, 2))
    close(state.ket(), np.multiply.outer(first.ket(), second.ket()))


@pytest.mark.slow
def test_inspection():
    circuit = passive().displace(0.4, 0.7, mode=1)
    report = fj.inspect(circuit, WEIGHTS, cutoff=FEW)
    state = circuit(WEIGHTS, cutoff=FEW)
    last = report.rows[-1]
    close(report.state.amplitudes(), state.amplitudes(), 1e-6)
    close(last.leakage, state.leakage, 1e-6)
    close(last.photons, [state.photon_number(mode).mean for mode in range(2)], 1e-6)
    assert last.lost > 0.01 > abs(report.rows[-2].leakage)


@pytest.mark.slow
@pytest.mark.loose_promotion
def test_layers_of_a_network():
    circuit = passive().displace(fj.Input(0), 0.7, mode=1)
    layer = fj.nn.QuantumLayer(circuit, cutoff=FEW, rngs=nnx.Rngs(0))
    x = np.array([[0.2], [-0.4]], np.float32)
    weights = {name: layer.weights[name][...] for name in WEIGHTS}
    for found, row in zip(layer(x), x, strict=True):
        close(found, fj.nn.quadratures(circuit(weights, row, cutoff=FEW)), 1e-6)
