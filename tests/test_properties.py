"""What holds for every circuit and every state, tried on many (Hypothesis)."""

import math
from functools import cache

import dense
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import close
from hypothesis import given, settings
from hypothesis import strategies as st

import fockjax as fj

few = settings(max_examples=20)
many = settings(max_examples=400)


@pytest.fixture(autouse=True)
def double(x64):
    """Everything here in double precision, so that disagreement is never rounding."""


def numbers(count, scale):
    number = st.floats(-scale, scale, allow_subnormal=False)
    return st.lists(number, min_size=count, max_size=count).map(np.array)


seeds = st.integers(0, 2**32 - 1)
angles = st.floats(-2 * math.pi, 2 * math.pi)

# A circuit of each kind of gate twice, in both mode orders: what is compiled once, for any values.
STRUCTURE = [
    ("squeezing", (0,)),
    ("displacement", (1,)),
    ("beamsplitter", (1, 0)),
    ("kerr", (0,)),
    ("rotation", (1,)),
    ("displacement", (0,)),
    ("squeezing", (1,)),
    ("beamsplitter", (0, 1)),
    ("kerr", (1,)),
    ("rotation", (0,)),
]
COUNT = sum(len(dense.PARAMETERS[name]) for name, _ in STRUCTURE)
SCALE = np.array([dense.SCALES[p] for name, _ in STRUCTURE for p in dense.PARAMETERS[name]])


def structure():
    circuit, taken = fj.Circuit(2), 0
    for name, modes in STRUCTURE:
        count = len(dense.PARAMETERS[name])
        circuit.add(name, *(fj.Input(taken + k) for k in range(count)), modes=modes)
        taken += count
    return circuit


def gates(values):
    values = iter(values)
    return [(name, [next(values) for _ in dense.PARAMETERS[name]], on) for name, on in STRUCTURE]


@cache
def run(cutoffs):
    """(values, initial) -> ket, leakage, error bound."""
    circuit = structure()

    @jax.jit
    def call(x, initial):
        state = circuit({}, x, cutoff=cutoffs, initial=initial)
        assert state.truncations == 6 + 1
        return state.ket(), state.leakage, state.error_bound

    return call


SMALL, LARGE = (4, 6), (26, 24)


def embed(ket, shape):
    out = np.zeros(shape, complex)
    out[tuple(map(slice, ket.shape))] = ket
    return out


@few
@given(numbers(COUNT, 1), seeds)
def test_a_circuit_is_the_product_of_its_gates_and_linear(values, seed):
    values, rng = values * SCALE, np.random.default_rng(seed)
    one, two = dense.random_ket(rng, SMALL), dense.random_ket(rng, SMALL)
    a, b = 0.3 - 0.4j, 0.5j
    after = [run(SMALL)(values, ket)[0] for ket in (one, two, a * one + b * two)]
    close(after[0], dense.run(gates(values), one))
    close(after[2], a * after[0] + b * after[1])


@pytest.mark.slow
@many
@given(numbers(COUNT, 1), seeds)
def test_many_circuits_are_the_products_of_their_gates(values, seed):
    values, ket = values * SCALE, dense.random_ket(np.random.default_rng(seed), SMALL)
    close(run(SMALL)(values, ket)[0], dense.run(gates(values), ket))


def check_error_bound(values, seed, norm, photons=9):
    """The bound holds against the same circuit with room for 26 x 24 photons, whose own bound is
    all that keeps it from the exact ket, which has at most so many photons.
    """
    values = values * SCALE
    exact = dense.random_ket(np.random.default_rng(seed), SMALL)
    exact[sum(np.indices(SMALL)) > photons] = 0
    exact /= np.linalg.norm(exact)
    ket = norm * exact
    small, leakage, bound = run(SMALL)(values, ket)
    large, _, its_bound = run(LARGE)(values, embed(exact, LARGE))
    error = np.linalg.norm(large - embed(small, LARGE))
    assert leakage >= -1e-13
    assert error <= bound + its_bound + 1e-7  # the root of rounding
    assert error >= 1 - math.sqrt(1 - leakage) - its_bound - 1e-7  # no less than the lost norm
    return error, bound


@few
@given(numbers(COUNT, 1), seeds, st.sampled_from([0.8, 1.0]))
def test_the_error_bound_bounds_the_error(values, seed, norm):
    check_error_bound(values, seed, norm)


def test_the_error_bound_is_near_where_little_is_lost():
    """Kets of at most one photon and weak gates, whose bound is far below 1."""
    ratios = []

    @few
    @given(numbers(COUNT, 0.15), seeds)
    def check(values, seed):
        error, bound = check_error_bound(values, seed, 1.0, photons=1)
        assert bound < 0.1
        if bound > 1e-6:  # more than rounding
            ratios.append(error / bound)

    check()
    assert len(ratios) > 10 and min(ratios) > 0.2


@pytest.mark.slow
@many
@given(numbers(COUNT, 1), seeds, st.floats(0.5, 1))
def test_the_error_bound_bounds_the_error_of_many_circuits(values, seed, norm):
    check_error_bound(values, seed, norm)


def test_the_error_bound_says_something():
    """Below 1 with an error within 20 times of it, for a circuit that hardly leaks."""
    vacuum = dense.vacuum(SMALL)
    small, _, bound = run(SMALL)(np.full(COUNT, 0.2) * SCALE, vacuum)
    large = run(LARGE)(np.full(COUNT, 0.2) * SCALE, dense.vacuum(LARGE))[0]
    error = np.linalg.norm(large - embed(small, LARGE))
    assert 0 < error <= bound < min(0.1, 20 * error)


# photon number is conserved by passive gates


@cache
def passive():
    """An interferometer of three modes with Kerr gates; cutoffs hold 3 photons in each mode."""
    circuit, taken = fj.Circuit(3), 0
    for first, second in [(0, 1), (2, 1), (0, 2)]:
        circuit.beamsplitter(fj.Input(taken), fj.Input(taken + 1), modes=(first, second))
        circuit.kerr(fj.Input(taken + 2), mode=second).rotate(fj.Input(taken + 3), mode=first)
        taken += 4

    @jax.jit
    def read(x, initial):
        state = circuit({}, x, cutoff=(4, 5, 4), initial=initial)
        return state.probabilities(), [state.photon_number(mode).mean for mode in range(3)]

    return read


@few
@given(numbers(12, 2 * math.pi), seeds)
def test_passive_gates_conserve_each_total_photon_number(x, seed):
    shape = (4, 5, 4)
    total = sum(np.indices(shape))
    ket = np.where(total <= 3, dense.random_ket(np.random.default_rng(seed), shape), 0)
    probabilities, means = passive()(x, ket)
    for n in range(total.max() + 1):
        close(probabilities[total == n].sum(), (abs(ket) ** 2)[total == n].sum())
    close(sum(means), (total * abs(ket) ** 2).sum())


# one mode: how readouts move under rotations and displacements

ROOM = 40


@cache
def moved():
    circuit = fj.Circuit(1).rotate(fj.Input(0), mode=0)
    circuit.displace(fj.Input(1), fj.Input(2), mode=0)

    @jax.jit
    def read(x, angle, ket):
        before, after = fj.from_ket(ket), circuit({}, x, cutoff=ROOM, initial=ket)
        return before.quadrature(0, angle - x[0]), after.quadrature(0, angle), after.leakage

    return read


@few
@given(angles, st.floats(-1, 1), angles, angles, seeds)
def test_rotation_turns_and_displacement_shifts_quadratures(turn, r, phi, angle, seed):
    """R(t) takes x_angle to x_{angle - t}; D(r e^{i phi}) adds sqrt(2 hbar) r cos(phi - angle)."""
    ket = embed(dense.random_ket(np.random.default_rng(seed), (5,)), (ROOM,))
    before, after, leakage = moved()(np.array([turn, r, phi]), angle, ket)
    close(leakage, 0)
    close(after.mean, before.mean + 2 * r * np.cos(phi - angle))
    close(after.variance, before.variance, 1e-11)


# any ket


@cache
def read_two_modes():
    @jax.jit
    def read(ket, target, angle):
        state = fj.from_ket(ket)
        return {
            "uncertainty": [state.quadrature(0, angle + k * jnp.pi / 2).variance for k in (0, 1)],
            "photons": state.photon_number(0),
            "joint": state.probabilities((1, 0)),
            "reduced": state.reduced(0),
            "norm": state.norm,
            "fidelity": [state.fidelity(target), fj.from_ket(target).fidelity(ket)],
            "same": state.fidelity(ket),
        }

    return read


@few
@given(seeds, angles, st.floats(0.1, 1))
def test_what_holds_in_every_state(seed, angle, norm):
    rng = np.random.default_rng(seed)
    ket, target = norm * dense.random_ket(rng, (4, 3)), dense.random_ket(rng, (4, 3))
    out = read_two_modes()(ket, target, angle)
    assert out["joint"].shape == (3, 4) and np.all(out["joint"] >= 0)
    close(out["joint"].sum(), norm**2)
    close(out["norm"], norm)
    reduced = np.asarray(out["reduced"])
    close(reduced, reduced.conj().T)
    close(np.diag(reduced), out["joint"].sum(0))
    assert np.linalg.eigvalsh(reduced).min() > -1e-13
    assert out["photons"].variance >= -1e-13
    close(out["fidelity"][0], out["fidelity"][1])
    close(out["same"], norm**4)
    assert -1e-13 <= out["fidelity"][0] <= norm**2 + 1e-13  # Cauchy-Schwarz
    normalised = read_two_modes()(ket / norm, target, angle)["uncertainty"]
    assert math.prod(normalised) >= 1 - 1e-12  # (hbar / 2)^2 at hbar = 2
