"""Expectation values of operators and inner products of states."""

import math

import dense
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import close
from test_states import CUTOFFS, GROUPS, factored, joined, leaky_factors

import fockjax as fj
from fockjax.factors import Mixed, Pure
from fockjax.operators import Diagonal
from fockjax.states import State


def test_displacements_are_the_characteristic_function(x64):
    """Of a thermal state ``exp(-(nbar + 1/2) |beta|^2)``, moved by ``2i Im(beta alpha^*)``."""
    alpha, beta, nbar = 0.4 * np.exp(0.7j), 0.6 * np.exp(-0.2j), 0.3
    circuit = fj.Circuit(2).prepare("thermal", nbar, modes=1).displace(0.4, 0.7, mode=1)

    def read(r):
        gate = fj.gates.displacement(r, -0.2, cutoff=40)
        return circuit({}, cutoff=(2, 40)).expectation(gate, 1)

    phase = beta * np.conj(alpha) - np.conj(beta) * alpha
    expected = np.exp(-(nbar + 0.5) * abs(beta) ** 2 + phase)
    value, slope = jax.jit(lambda r: jax.jvp(read, (r,), (1.0,)))(abs(beta))
    close(value, expected, 1e-10)
    close(slope, expected * (phase / abs(beta) - (2 * nbar + 1) * abs(beta)), 1e-10)


def test_stabilisers_of_a_gkp_state(x64):
    """Both commute, and are near 1 for either logical state; the logical Z tells these apart."""
    kets = [fj.kets.gkp(theta, epsilon=0.06, cutoff=80) for theta in (0.0, math.pi)]
    gates = [(np.sqrt(2 * np.pi), 0.0), (np.sqrt(2 * np.pi), np.pi / 2)]
    logical = fj.gates.displacement(np.sqrt(np.pi / 2), np.pi / 2, cutoff=80)
    for sign, ket in zip((1, -1), kets, strict=True):
        state = fj.from_ket(ket)
        for r, phi in gates:
            stabiliser = state.expectation(fj.gates.displacement(r, phi, cutoff=80), 0)
            assert 0.6 < stabiliser.real < 1 and abs(stabiliser.imag) < 1e-6
        assert sign * state.expectation(logical, 0).real > 0.8


OPERATORS = {
    "one mode": (1,),
    "one of a factor of more amplitudes": (3,),
    "both of a factor, reversed": (3, 0),
    "of two factors": (4, 1),
    "of all factors": (2, 4, 0),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_of_factors_that_lost_probability(name, x64):
    """Against the dense ket, as an array and as a structured operator, pure and mixed."""
    rng, modes = np.random.default_rng(4), OPERATORS[name]
    kets = leaky_factors(rng)
    cutoffs = tuple(CUTOFFS[mode] for mode in modes)
    array = rng.normal(size=(*cutoffs, *cutoffs, 2)) @ [1, 1j]
    values = rng.normal(size=(*cutoffs, 2)) @ [1, 1j]
    pure = factored(kets, GROUPS)
    mixed = State(tuple(f if f.modes[0] else f.mixed() for f in pure.factors))

    @jax.jit
    def read(array, values):
        diagonal = Diagonal(values)
        return [
            [state.expectation(o, modes) for o in (array, diagonal, diagonal @ diagonal)]
            for state in (pure, mixed)
        ]

    ket = joined(kets)
    size = math.prod(cutoffs)
    rest = [mode for mode in range(ket.ndim) if mode not in modes]
    rows = ket.transpose([*modes, *rest]).reshape(size, -1)
    rho = rows @ rows.conj().T
    diagonals = [values.ravel(), values.ravel() ** 2]
    expected = [np.trace(array.reshape(size, size) @ rho)]
    expected += [np.sum(d * np.diagonal(rho)) for d in diagonals]
    for found in read(array, values):
        close(found, expected, 1e-12)
    close(pure.expectation(np.eye(size).reshape(cutoffs * 2), modes), pure.trace, 1e-13)


def test_many_modes_that_never_met_are_joined_in_a_ket(x64):
    """The density matrix of eight modes of cutoff 4 would take 64 GiB."""
    circuit = fj.Circuit(9)
    for mode in range(9):
        circuit.displace(0.2 + 0.05 * mode, 0.3 * mode, mode=mode)
    state = circuit({}, cutoff=4)
    kets = [np.asarray(factor.array) for factor in state.factors]
    turn = Diagonal(jnp.exp(0.3j * np.indices((4,) * 8).sum(0)))
    each = [np.sum(np.exp(0.3j * np.arange(4)) * abs(ket) ** 2) for ket in kets[:8]]
    close(state.expectation(turn, range(8)), np.prod(each) * np.sum(abs(kets[8]) ** 2), 1e-12)


def test_batches_of_operators_and_of_states_in_single_precision():
    rng = np.random.default_rng(5)
    kets = np.stack([dense.random_ket(rng, (5,)) for _ in range(3)]).astype(np.complex64)
    r = np.array([0.2, 0.5, 0.9], np.float32)

    def read(ket, r):
        state = fj.from_ket(ket)
        return state.expectation(fj.gates.displacement(r, 0.4, cutoff=5), 0)

    found = jax.jit(jax.vmap(read))(kets, r)
    assert found.dtype == np.complex64
    for k in range(3):
        gate = np.asarray(fj.gates.displacement(r[k], 0.4, cutoff=5).to_dense())
        close(found[k], kets[k].conj() @ gate @ kets[k], 1e-6)
    real = fj.from_ket(kets[0]).expectation(np.eye(5), 0)
    assert real.dtype == np.complex64


@pytest.mark.parametrize(
    "operator, modes, message",
    [
        (np.eye(3), 0, r"`operator` must have shape \(2, 2\).*got \(3, 3\)"),
        (np.eye(6), (0, 1), r"must have shape \(2, 3, 2, 3\).*got \(6, 6\)"),
        (fj.gates.rotation(0.2, cutoff=2), 1, r"has cutoffs \(2,\), but modes \(1,\) have \(3,\)"),
        (np.eye(2), 2, "from 0 to 1, got 2"),
        (np.ones(()), (), "at least one mode"),
    ],
)
def test_operators_of_other_modes(operator, modes, message):
    with pytest.raises(ValueError, match=message):
        fj.vacuum((2, 3)).expectation(operator, modes)


# inner products


def groups_of(kets, groups):
    return State(tuple(sorted(map(Pure.of_ket, kets, groups), key=lambda f: f.modes)))


def test_overlaps_have_their_phase_and_squares(x64):
    """Coherent states: ``<a|b> = exp(a^* b - |a|^2/2 - |b|^2/2)``; the phase of a Kerr gate."""
    a, b = 0.5 * np.exp(0.3j), 0.8 * np.exp(-1.1j)
    circuit = fj.Circuit(2).displace(fj.Input(0), fj.Input(1), mode=0).displace(0.4, mode=1)
    circuit.beamsplitter(0.4, 0.2)

    def read(phi):
        one, other = (
            circuit({}, jnp.stack([jnp.asarray(abs(z)), angle]), cutoff=30)
            for z, angle in ((a, jnp.angle(a)), (b, phi))
        )
        return one.overlap(other), one.hilbert_schmidt(other), one.fidelity(other)

    phi = np.angle(b)
    (value, trace, fidelity), (slope, *_) = jax.jit(lambda p: jax.jvp(read, (p,), (1.0,)))(phi)
    expected = np.exp(np.conj(a) * b - abs(a) ** 2 / 2 - abs(b) ** 2 / 2)
    close(value, expected, 1e-10)
    close(slope, 1j * np.conj(a) * b * expected, 1e-10)
    close((trace, fidelity), abs(expected) ** 2, 1e-10)
    close(jax.jit(jax.grad(lambda p: read(p)[0].imag))(phi), slope.imag, 1e-10)


def test_factors_that_are_grouped_differently(x64):
    rng = np.random.default_rng(6)
    kets = leaky_factors(rng)
    groups = ((0, 2, 4), (1, 3))
    others = [0.8 * dense.random_ket(rng, tuple(CUTOFFS[m] for m in g)) for g in groups]
    one, other = factored(kets, GROUPS), groups_of(others, groups)
    target = np.einsum("ace,bd->abcde", *others)
    inner = np.vdot(joined(kets), target)

    @jax.jit
    def read(one, other):
        mixed = State(tuple(f.mixed() if f.modes[0] else f for f in other.factors))
        return (
            (one.overlap(other), other.overlap(one), one.overlap(target)),
            [one.hilbert_schmidt(other), one.hilbert_schmidt(mixed), mixed.hilbert_schmidt(one)],
            (mixed.hilbert_schmidt(mixed), mixed.purity()),
        )

    overlaps, traces, (own, purity) = read(one, other)
    close(overlaps, (inner, inner.conj(), inner))
    close(traces, abs(inner) ** 2)
    close(own, purity)


def test_the_trace_of_two_density_matrices(x64):
    rng = np.random.default_rng(7)

    def matrix(shape):
        kets = [dense.random_ket(rng, shape) for _ in range(3)]
        return 0.9 * sum(np.multiply.outer(ket, ket.conj()) for ket in kets) / 3

    parts = matrix((2, 3)), matrix((2,))
    whole = matrix((2, 2, 3))
    state = State((Mixed.of_matrix(parts[0], (0, 2)), Mixed.of_matrix(parts[1], (1,))))
    rho = np.einsum("acdf,be->abcdef", *parts).reshape(12, 12)
    expected = np.trace(rho @ whole.reshape(12, 12)).real
    close(state.hilbert_schmidt(whole), expected)
    close(fj.from_density_matrix(whole).hilbert_schmidt(state), expected)


def test_a_mixed_state_has_no_overlap():
    pure, mixed = fj.from_ket([0.6, 0.8]), fj.from_density_matrix(np.diag([0.5, 0.5]))
    for one, other in ((pure, mixed), (mixed, pure), (pure, np.diag([0.5, 0.5]))):
        with pytest.raises(ValueError, match="`overlap` needs a pure state.*`hilbert_schmidt`"):
            one.overlap(other)
    with pytest.raises(ValueError, match=r"must have the cutoffs of the state, \(2,\)"):
        pure.hilbert_schmidt(fj.vacuum((3,)))
