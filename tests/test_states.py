"""What a state says of itself: closed forms of quantum optics, then NumPy on dense random kets."""

import math
from functools import cache

import dense
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import close, close_by_name
from scipy.special import gammainc

import fockjax as fj
from fockjax.factors import Pure
from fockjax.states import State

# Gaussian states of one mode

ANGLES = (0.0, 0.4, math.pi / 2, -2.0)
HBARS = (2.0, 1.0, 0.7)
ALPHA, PHI, R, PSI = np.array(
    [
        (0.0, 0.0, 0.0, 0.0),
        (0.8, 0.9, 0.0, 0.0),
        (0.0, 0.0, 0.45, -1.3),
        (0.6, 2.2, 0.4, 0.7),
        (-0.9, -1.1, 0.3, 3.0),
        (0.5, 0.3, -0.35, 5.0),
    ]
).T
CUTOFF = 48


@cache
def displaced_squeezed():
    """Readouts of D(alpha e^{i phi}) S(r e^{i psi}) |0>, batched over the table above."""
    circuit = fj.Circuit(1).squeeze(fj.Input(2), fj.Input(3), mode=0)
    circuit.displace(fj.Input(0), fj.Input(1), mode=0)

    def read(x):
        state = circuit({}, x, cutoff=CUTOFF)
        moments = [[state.quadrature(0, angle, hbar) for angle in ANGLES] for hbar in HBARS]
        return state.ket(), state.photon_number(0), moments, state.leakage, state.reduced(0)

    return jax.jit(jax.vmap(read))(np.stack([ALPHA, PHI, R, PSI], 1))


def test_coherent_amplitudes(x64):
    ket = displaced_squeezed()[0][1]
    alpha = ALPHA[1] * np.exp(1j * PHI[1])
    close(ket, dense.coherent(alpha, CUTOFF))


def test_squeezed_vacuum_amplitudes(x64):
    ket = displaced_squeezed()[0][2]
    m = np.arange(CUTOFF // 2)
    binomial = np.array([math.comb(2 * k, k) / 4**k for k in m])
    tanh = -np.exp(1j * PSI[2]) * np.tanh(R[2])
    close(ket[::2], tanh**m * np.sqrt(binomial / np.cosh(R[2])))
    assert not np.any(ket[1::2])


def test_photon_statistics_of_displaced_squeezed_states(x64):
    _, (mean, variance), *_ = displaced_squeezed()
    spread = (
        np.exp(-2 * R) * np.cos(PHI - PSI / 2) ** 2 + np.exp(2 * R) * np.sin(PHI - PSI / 2) ** 2
    )
    close(mean, ALPHA**2 + np.sinh(R) ** 2)
    close(variance, ALPHA**2 * spread + 2 * np.sinh(R) ** 2 * np.cosh(R) ** 2)


def test_quadratures_of_displaced_squeezed_states_at_any_angle_and_hbar(x64):
    moments = displaced_squeezed()[2]
    for hbar, row in zip(HBARS, moments, strict=True):
        for angle, (mean, variance) in zip(ANGLES, row, strict=True):
            turn = angle - PSI / 2
            spread = np.exp(-2 * R) * np.cos(turn) ** 2 + np.exp(2 * R) * np.sin(turn) ** 2
            close(mean, np.sqrt(2 * hbar) * ALPHA * np.cos(PHI - angle))
            close(variance, hbar / 2 * spread)


def test_reduced_state_of_one_mode_is_its_projector(x64):
    ket, *_, leakage, reduced = displaced_squeezed()
    close(reduced, ket[:, :, None] * ket[:, None, :].conj())
    close(leakage, 0)


def test_kerr_turns_every_photon_number(x64):
    """<a> of K(kappa)|alpha> is alpha e^{i kappa} exp(|alpha|^2 (e^{2 i kappa} - 1))."""
    circuit = fj.Circuit(1).displace(fj.Input(0), fj.Input(1), mode=0).kerr(fj.Input(2), mode=0)

    @jax.jit
    @jax.vmap
    def read(x):
        state = circuit({}, x, cutoff=30)
        x, p = (state.quadrature(0, angle).mean for angle in (0.0, math.pi / 2))
        return x, p, state.mean_amplitude(0), state.ket()

    r, phi = np.array([0.7, 1.1, 0.9]), np.array([0.3, -1.0, 2.0])
    kappa = np.array([0.2, -1.3, math.pi / 2])
    x, p, a, ket = map(np.asarray, read(np.stack([r, phi, kappa], 1)))
    close((x + 1j * p) / 2, a)
    alpha = r * np.exp(1j * phi)
    close(a, alpha * np.exp(1j * kappa) * np.exp(r**2 * (np.exp(2j * kappa) - 1)))
    # K(pi/2) makes a cat: (1+i)/2 |alpha> + (1-i)/2 |-alpha>
    cat = (1 + 1j) / 2 * dense.coherent(alpha[2], 30) + (1 - 1j) / 2 * dense.coherent(-alpha[2], 30)
    close(ket[2], cat)


# two modes


def test_hong_ou_mandel(x64):
    """Two photons leave a 50:50 beamsplitter together."""
    circuit = fj.Circuit(2).beamsplitter(math.pi / 4, fj.Input(0), modes=(0, 1))
    one_each = np.zeros((3, 4))
    one_each[1, 1] = 1
    phi = 1.1

    @jax.jit
    def read(x):
        state = circuit({}, x, cutoff=(3, 4), initial=one_each)
        return state.ket(), state.probabilities(), state.leakage

    ket, probabilities, leakage = read(np.array([phi]))
    expected = np.zeros((3, 4), complex)
    expected[2, 0], expected[0, 2] = -np.exp(-1j * phi) / 2**0.5, np.exp(1j * phi) / 2**0.5
    close(ket, expected)
    close(probabilities, abs(expected) ** 2)
    close(leakage, 0)


def test_two_mode_squeezed_vacuum_from_two_squeezers_and_a_beamsplitter(x64):
    """S(z), S(-z e^{2i phi}), BS(pi/4, phi): sum_n (-e^{i(psi+phi)} tanh r)^n |n, n> / cosh r."""
    cutoff, r, psi, phi = 24, 0.4, 0.8, -1.9
    circuit = fj.Circuit(2)
    circuit.squeeze(fj.Input(0), fj.Input(1), mode=0)
    circuit.squeeze(-fj.Input(0), fj.Input(1) + 2 * fj.Input(2), mode=1)
    circuit.beamsplitter(math.pi / 4, fj.Input(2), modes=(0, 1))

    @jax.jit
    def read(x):
        state = circuit({}, x, cutoff=cutoff)
        return {
            "ket": state.ket(),
            "swapped": state.probabilities((1, 0)),
            "one": [state.probabilities(mode) for mode in (0, 1)],
            "mean": [state.photon_number(mode) for mode in (0, 1)],
            "reduced": state.reduced(1),
            "x": [state.quadrature(mode, 0.3) for mode in (0, 1)],
        }

    out = read(np.array([r, psi, phi]))
    n = np.arange(cutoff)
    amplitudes = (-np.exp(1j * (psi + phi)) * np.tanh(r)) ** n / np.cosh(r)
    # pairs beyond half the cutoff have met squeezed photon numbers that were cut off
    whole, tiny = n < cutoff // 2, 3e-5
    close(np.diagonal(out["ket"])[whole], amplitudes[whole])
    assert np.abs(out["ket"] - np.diag(np.diagonal(out["ket"]))).max() < tiny
    close(np.diagonal(out["swapped"])[whole], (np.tanh(r) ** (2 * n) / np.cosh(r) ** 2)[whole])
    thermal = np.sinh(r) ** 2
    for mode in (0, 1):
        close(out["one"][mode][whole], (np.tanh(r) ** (2 * n) / np.cosh(r) ** 2)[whole], 1e-8)
        close(out["mean"][mode], (thermal, thermal * (thermal + 1)), 1e-6)
        close(out["x"][mode], (0, np.cosh(2 * r)), 1e-6)
    close(np.diagonal(out["reduced"]).real, out["one"][1])
    assert np.abs(out["reduced"] - np.diag(np.diagonal(out["reduced"]))).max() < tiny


# any ket, dense in NumPy


def everything(state, target, angles=(0.0, 0.9)):
    """Every readout, in one pytree."""
    modes = range(state.modes)
    return {
        "ket": state.ket(),
        "norm": state.norm,
        "leakage": state.leakage,
        "error_bound": state.error_bound,
        "probabilities": [state.probabilities(), *map(state.probabilities, modes)],
        "photon_number": [state.photon_number(mode) for mode in modes],
        "quadrature": [[state.quadrature(m, angle, 1.7) for angle in angles] for m in modes],
        "reduced": [state.reduced(mode) for mode in modes],
        "fidelity": state.fidelity(target),
    }


def marginal(probabilities, modes):
    others = tuple(k for k in range(probabilities.ndim) if k not in modes)
    kept = sorted(modes)
    return probabilities.sum(others).transpose([kept.index(mode) for mode in modes])


def quadrature(ket, mode, angle, hbar):
    """Mean and variance by applying x cos + p sin, on a space one larger, to the ket itself."""
    wider = np.concatenate([ket, np.zeros_like(ket.take([0], mode))], mode)
    a = dense.lowering(wider.shape[mode])
    x, p = math.sqrt(hbar / 2) * (a + a.T), -1j * math.sqrt(hbar / 2) * (a - a.T)
    operator = np.cos(angle) * x + np.sin(angle) * p
    moved = np.moveaxis(np.tensordot(operator, wider, (1, mode)), 0, mode)
    mean = np.vdot(wider, moved).real
    return mean, np.vdot(moved, moved).real - mean**2


def expected_of(ket, target, truncations):
    p, modes = abs(ket) ** 2, range(ket.ndim)
    total = p.sum()

    def photons(mode):
        n, q = np.arange(ket.shape[mode]), marginal(p, (mode,))
        return (n * q).sum(), (n**2 * q).sum() - (n * q).sum() ** 2

    def reduced(mode):
        rows = np.moveaxis(ket, mode, 0).reshape(ket.shape[mode], -1)
        return rows @ rows.conj().T

    return {
        "ket": ket,
        "norm": math.sqrt(total),
        "leakage": 1 - total,
        "error_bound": math.sqrt(truncations * (1 - total)),
        "probabilities": [p, *(marginal(p, (mode,)) for mode in modes)],
        "photon_number": [photons(mode) for mode in modes],
        "quadrature": [[quadrature(ket, m, angle, 1.7) for angle in (0.0, 0.9)] for m in modes],
        "reduced": [reduced(mode) for mode in modes],
        "fidelity": abs(np.vdot(target, ket)) ** 2,
    }


@pytest.mark.parametrize("cutoffs", [(1,), (2,), (5,), (1, 1), (4, 1, 3)])
def test_readouts_of_any_ket(cutoffs, x64):
    """Cutoff 1 and 2 too, where a quadrature has no coherences to read; the ket is of norm 0.9."""
    rng = np.random.default_rng(1)
    ket, target = 0.9 * dense.random_ket(rng, cutoffs), dense.random_ket(rng, cutoffs)
    read = jax.jit(lambda ket, target: everything(fj.from_ket(ket), target))
    close_by_name(read(ket, target), expected_of(ket, target, truncations=1))


@pytest.mark.parametrize("top", [0, 1, 4])
def test_the_cutoff_does_not_bias_the_variance_of_the_highest_fock_state(top, x64):
    ket = np.zeros(top + 1)
    ket[top] = 1
    mean, variance = jax.jit(lambda ket: fj.from_ket(ket).quadrature(0, 0.7, 1.3))(ket)
    close(mean, 0)
    close(variance, 1.3 / 2 * (2 * top + 1))


def factored(kets, groups, truncations=0):
    factors = [
        Pure.of_ket(jnp.asarray(ket), group) for ket, group in zip(kets, groups, strict=True)
    ]
    return State(tuple(factors), truncations=truncations)


GROUPS = ((0, 3), (1,), (2, 4))
SHAPES = ((3, 2), (4,), (1, 2))
CUTOFFS = (3, 4, 1, 2, 2)


def leaky_factors(rng):
    norms = (0.9, 0.8, 0.95)
    return [n * dense.random_ket(rng, shape) for n, shape in zip(norms, SHAPES, strict=True)]


def joined(kets):
    """The ket of all modes of GROUPS, in mode order."""
    return np.einsum("ad,b,ce->abcde", *kets)


@pytest.mark.slow
def test_readouts_of_a_product_of_leaky_factors_are_those_of_its_dense_ket(x64):
    """Unnormalised, as Strawberry Fields: what one factor lost scales what all others say."""
    rng = np.random.default_rng(2)
    batch = [leaky_factors(rng) for _ in range(3)]
    target = dense.random_ket(rng, CUTOFFS)

    @jax.jit
    @jax.vmap
    def read(kets):
        state = factored(kets, GROUPS, truncations=3)
        assert state.modes == 5 and state.cutoffs == CUTOFFS and state.groups == GROUPS
        return everything(state, target)

    together = read([np.stack(kets) for kets in zip(*batch, strict=True)])
    for k, kets in enumerate(batch):
        one = jax.tree.map(lambda leaf, k=k: leaf[k], together)
        close_by_name(one, expected_of(joined(kets), target, truncations=3))


def test_joint_and_marginal_probabilities_in_the_order_asked_for(x64):
    kets = leaky_factors(np.random.default_rng(3))
    orders = [(), (0, 3), (3, 0), (2, 0, 1), (4, 3), (1, 3, 0), (4, 1, 2, 0), (4, 3, 2, 1, 0)]
    read = jax.jit(lambda kets: [factored(kets, GROUPS).probabilities(order) for order in orders])
    probabilities = abs(joined(kets)) ** 2
    for order, joint in zip(orders, read(kets), strict=True):
        assert joint.shape == tuple(CUTOFFS[mode] for mode in order)
        close(joint, marginal(probabilities, order))
    close(factored(kets, GROUPS).probabilities(np.int64(3)), marginal(probabilities, (3,)))


# truncation


def test_leakage_is_the_tail_of_the_poisson_distribution_and_the_bound_is_its_root(x64):
    circuit = fj.Circuit(1).displace(fj.Input(0), 0.4, mode=0).kerr(0.3, mode=0)

    @jax.jit
    @jax.vmap
    def read(x):
        state = circuit({}, x, cutoff=6)
        return state.leakage, state.error_bound, state.norm

    r = np.array([0.5, 1.0, 2.0, 6.0])
    leakage, bound, norm = read(r[:, None])
    tail = gammainc(6, r**2)
    close(leakage, tail)
    close(bound, np.sqrt(tail), 1e-9)  # one truncating gate: the bound is the error itself
    close(norm, np.sqrt(1 - tail))


def test_leakage_of_two_factors_is_that_of_their_product(x64):
    circuit = fj.Circuit(2).displace(0.9, 0.3, mode=0).displace(1.2, -0.7, mode=1)
    leakage, bound = jax.jit(lambda: ((s := circuit({}, cutoff=(3, 5))).leakage, s.error_bound))()
    kept = (1 - gammainc(3, 0.81)) * (1 - gammainc(5, 1.44))
    close(leakage, 1 - kept)
    close(bound, np.sqrt(2 * (1 - kept)))


def test_a_ket_that_lost_probability_before_has_an_error_bound():
    state = fj.from_ket(np.array([0.6, 0.6j]))
    close(state.error_bound, math.sqrt(1 - 0.72), 1e-6)
    later = fj.Circuit(1).displace(0.3, 0.2, mode=0)({}, cutoff=2, initial=np.array([0.6, 0.6j]))
    assert later.truncations == 2 and later.error_bound > math.sqrt(2 * (1 - 0.72))


def test_a_traced_ket_above_norm_one_shows_as_negative_leakage():
    state = jax.jit(fj.from_ket)(np.array([1.0, 1.0]))
    close(state.leakage, -1, 1e-6)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("dtype, rounding", [(np.complex64, 1e-6), (np.complex128, 1e-12)])
def test_nothing_bounds_the_error_of_a_ket_above_norm_one(dtype, rounding, mixed, x64):
    circuit = fj.Circuit(1).prepare("ket", fj.Weight("re", 4), fj.Weight("im", 4), modes=0)
    circuit.squeeze(0.3, mode=0)
    if mixed:
        circuit.loss(0.9, mode=0)

    def bound(re):
        state = circuit({"re": re, "im": 0.0 * re}, cutoff=40, dtype=dtype)
        return state.error_bound

    assert bound(np.ones(4)) == np.inf
    assert jax.grad(bound)(np.ones(4)).tolist() == [0, 0, 0, 0]
    assert bound(np.eye(4)[1] * (1 + rounding)) < 1e-2  # rounding is not a norm above one


# dtypes, transformations, errors


def test_dtypes(x64):
    assert fj.vacuum((2, 3)).ket().dtype == np.complex128
    state = fj.from_ket(np.array([1, 0]), dtype=np.complex64)
    target = np.array([0, 1], np.complex128)
    for leaf in jax.tree.leaves(jax.eval_shape(everything, state, target)):
        assert leaf.dtype in (np.complex64, np.float32)


def test_dtypes_without_x64():
    assert fj.vacuum((2, 3)).ket().dtype == np.complex64
    with pytest.raises(ValueError, match="complex128.*jax_enable_x64"):
        fj.vacuum((2, 3), dtype=np.complex128)
    with pytest.raises(ValueError, match="complex64 or complex128.*float32"):
        fj.from_ket(np.array([1.0]), dtype=np.float32)


def test_fidelity_takes_kets_of_any_dtype():
    state, one = fj.vacuum((2, 2)), [[1, 0], [0, 0]]
    for ket in (one, np.array(one), np.array(one, float), 1j * np.array(one), jnp.array(one)):
        close(state.fidelity(ket), 1, 1e-6)


def test_eager_equals_jit(x64):
    def read(kets):
        state = factored(kets, GROUPS, truncations=2)
        return state.quadrature(3, 0.9), state.photon_number(1), state.error_bound

    kets = leaky_factors(np.random.default_rng(4))
    for a, b in zip(*map(jax.tree.leaves, (read(kets), jax.jit(read)(kets))), strict=True):
        close(a, b, 1e-14)


def test_double_precision_is_not_read_where_jax_computes_in_single():
    with jax.enable_x64(True):
        state = fj.vacuum((3,))
        close(state.leakage, 0)
    reads = [state.probabilities, lambda: state.photon_number(0), lambda: state.error_bound]
    for read in reads:
        with pytest.raises(ValueError, match="complex128, but JAX computes in 32 bits here"):
            read()


def test_a_batch_of_states_is_a_state_with_batched_leaves():
    circuit = fj.Circuit(2).displace(fj.Input(0), mode=0).beamsplitter(0.3, 0.4)
    states = jax.vmap(lambda x: circuit({}, x, cutoff=4))(jnp.array([[0.1], [0.2], [0.5]]))
    means = jax.vmap(lambda state: state.photon_number(1).mean)(states)
    close(means, np.sin(0.3) ** 2 * np.array([0.01, 0.04, 0.25]), 1e-3)
    with pytest.raises(ValueError, match="is a batch, and readouts are of one sample"):
        states.photon_number(0)
    assert repr(states) == "State(cutoffs=(4, 4), groups=((0, 1),), dtype=complex64)"


def line_of_states():
    """A real number made of all readouts of two factors, along a line of amplitudes."""
    groups, shapes = ((0, 2), (1,)), ((3, 2), (4,))
    rng = np.random.default_rng(5)
    lines = [[dense.random_ket(rng, shape) for shape in shapes] for _ in range(2)]
    target = dense.random_ket(rng, (3, 4, 2))

    def total(t):
        kets = [0.6 * a + t.astype(complex) * b for a, b in zip(*lines, strict=True)]
        state = factored(kets, groups, truncations=2)
        leaves = jax.tree.leaves(everything(state, target, angles=(0.9,)))
        flat = jnp.concatenate([leaf.reshape(-1).astype(complex) for leaf in leaves])
        return jnp.sum(jnp.sin(flat.real + 2 * flat.imag + 0.3))

    return total


STEP = 1e-3
AROUND = [np.array(0.1 + shift * STEP) for shift in (-2, -1, 1, 2)]
DIFFERENCE = np.array([1, -8, 8, -1]) / (12 * STEP)


@pytest.mark.slow
def test_gradients_of_all_readouts_match_finite_differences(x64):
    derivatives = jax.jit(jax.value_and_grad(line_of_states()))
    values = np.array([derivatives(t)[0] for t in AROUND])
    close(derivatives(np.array(0.1))[1], values @ DIFFERENCE, 1e-8)


@pytest.mark.slow
def test_second_derivatives_of_all_readouts_match_finite_differences(x64):
    """Forward over reverse."""
    first = jax.grad(line_of_states())
    derivatives = jax.jit(lambda t: jax.jvp(first, (t,), (jnp.ones(()),)))
    slopes = np.array([derivatives(t)[0] for t in AROUND])
    close(derivatives(np.array(0.1))[1], slopes @ DIFFERENCE, 1e-8)


def test_derivatives_are_finite_at_the_vacuum_and_at_nothing(x64):
    """Where norm, error bound and square roots have their edges."""

    def total(ket):
        return sum(
            jnp.sum(leaf.real + leaf.imag)
            for leaf in jax.tree.leaves(everything(fj.from_ket(ket), ket + 0.0))
        )

    @jax.jit
    def derivatives(re):
        return jax.grad(total)(re), jax.hessian(total)(re)

    for ket in (np.array([1.0, 0, 0]), np.zeros(3), np.array([0.5, 0.5, 0.0])):
        assert all(np.isfinite(leaf).all() for leaf in derivatives(ket))


@pytest.mark.parametrize(
    "read, message",
    [
        (lambda s: s.quadrature(2), "`mode` must be an integer from 0 to 1, got 2"),
        (lambda s: s.photon_number(-1), "from 0 to 1, got -1"),
        (lambda s: s.reduced("0"), "from 0 to 1, got '0'"),
        (lambda s: s.probabilities((0, 2)), r"`modes` must be .* from 0 to 1, got \(0, 2\)"),
        (lambda s: s.probabilities((0, 0)), r"must not repeat a mode, got \(0, 0\)"),
        (lambda s: s.quadrature(0, hbar=0), "`hbar` must be positive and finite, got 0"),
        (lambda s: s.fidelity(np.ones((3, 2))), r"shape \(2, 3\).*got \(3, 2\)"),
        (lambda s: fj.vacuum((2, 0)), r"`cutoff`.*>= 1, or one for each mode.*got \(2, 0\)"),
        (lambda s: fj.vacuum(3), "`modes` must be an integer >= 1, got None"),
        (lambda s: fj.vacuum((2, 3), modes=3), r"`cutoff`.*each of 3 modes.*got \(2, 3\)"),
        (lambda s: s.probabilities(1.0), "`modes` must be integers from 0 to 1, got 1.0"),
        (lambda s: fj.vacuum(()), r"`cutoff`.*got \(\)"),
        (lambda s: fj.from_ket(1.0), "one axis for each mode, got a scalar"),
        (lambda s: fj.from_ket(np.zeros((2, 0))), r"not be empty.*\(2, 0\)"),
    ],
)
def test_bad_arguments(read, message):
    with pytest.raises(ValueError, match=message):
        read(fj.vacuum((2, 3)))
