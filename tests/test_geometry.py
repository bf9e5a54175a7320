"""Metric tensor and quantum Fisher information of states that depend on parameters."""

import math
from functools import partial

import dense
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import close
from test_states import GROUPS, factored, leaky_factors

import fockjax as fj
from fockjax.factors import Mixed, Pure
from fockjax.states import State


def test_closed_forms(x64):
    """Displacement, squeezing, rotation (4 Var n) and Kerr (4 Var n^2) of one mode."""
    r, alpha = 0.4, 0.7
    displaced = fj.Circuit(1).displace(fj.Input(0), fj.Input(1), mode=0)
    squeezed = fj.Circuit(1).squeeze(fj.Input(0), fj.Input(1), mode=0)
    turned = fj.Circuit(1).displace(alpha, 0.3, mode=0)
    turned.rotate(fj.Input(0), mode=0).kerr(fj.Input(1), mode=0)

    @jax.jit
    def read(x):
        values = jnp.array([alpha, r, 0.2])
        return [
            fj.quantum_fisher(partial(circuit, {}, cutoff=60), jnp.stack([value, x]))
            for circuit, value in zip((displaced, squeezed, turned), values, strict=True)
        ]

    coherent, vacuum, number = read(0.3)
    close(coherent, np.diag([4, 4 * alpha**2]), 1e-10)
    # d/dphi turns by phi / 2: 4 Var(n) / 4, with Var(n) = 2 sinh^2 cosh^2
    close(vacuum, np.diag([2, np.sinh(2 * r) ** 2 / 2]), 1e-10)
    m = alpha**2  # moments of the Poisson distribution
    n = [1, m, m + m**2, m + 3 * m**2 + m**3, m + 7 * m**2 + 6 * m**3 + m**4]
    expected = [[n[2] - n[1] ** 2, n[3] - n[1] * n[2]], [n[3] - n[1] * n[2], n[4] - n[2] ** 2]]
    close(number, 4 * np.array(expected), 1e-10)


def test_a_beamsplitter_angle_of_one_photon_moves_it_on_a_sphere(x64):
    """cos theta |1, 0> + e^{i phi} sin theta |0, 1>: a Bloch sphere of radius 1/2."""
    circuit = fj.Circuit(2).beamsplitter(fj.Input(0), fj.Input(1), modes=(0, 1))
    one = np.zeros((2, 2))
    one[1, 0] = 1
    metric = fj.metric_tensor(lambda x: circuit({}, x, cutoff=2, initial=one), np.array([0.4, 1.1]))
    close(metric, np.diag([1, (math.sin(0.8) / 2) ** 2]))


def leaky(rng):
    """Three factors of norm below one that depend on parameters of two shapes."""
    lines = [leaky_factors(rng) for _ in range(5)]

    def function(parameters):
        numbers = [*parameters["a"], *parameters["b"].reshape(-1)]
        kets = lines[0]
        for number, line in zip(numbers, lines[1:], strict=False):
            wave = jnp.sin(number).astype(complex)
            kets = [ket + wave * more for ket, more in zip(kets, line, strict=True)]
        return factored(kets, GROUPS)

    return function, {"a": np.array([0.3, -0.2]), "b": np.array([[0.5, 0.1]])}


def test_factors_that_lost_probability_nested_as_a_hessian(x64):
    """Against the formula on the dense ket, with nothing renormalised; under vmap as well."""
    function, parameters = leaky(np.random.default_rng(0))

    def dense_ket(parameters):
        return function(parameters).ket().reshape(-1)

    @jax.jit
    def read(batch):
        one = jax.tree.map(lambda p: p[0], batch)
        return (
            jax.vmap(lambda parameters: fj.metric_tensor(function, parameters))(batch),
            fj.metric_tensor(dense_ket, one),
            dense_ket(one),
            jax.jacfwd(dense_ket)(one),
        )

    batch = jax.tree.map(lambda p: np.stack([p, 2 * p]), parameters)
    metrics, of_ket, ket, jacobian = read(batch)
    for a, p in parameters.items():
        for b, q in parameters.items():
            left, right = (np.asarray(jacobian[name]).reshape(ket.size, -1) for name in (a, b))
            expected = left.conj().T @ right - np.outer(left.conj().T @ ket, ket.conj() @ right)
            expected = expected.real.reshape(p.shape + q.shape)
            close(of_ket[a][b], expected, 1e-11)
            close(metrics[a][b][0], expected, 1e-11)


@pytest.mark.slow
def test_it_is_the_second_derivative_of_the_infidelity_and_has_derivatives(x64):
    rng = np.random.default_rng(1)
    written = dense.random_circuit(3, 2, 5)
    names = sorted(written.weights)

    def function(flat):
        weights = dict(written.weights)
        for k, name in enumerate(names[:2]):
            weights[name] = written.weights[name] + flat[k]
        return written.circuit(weights, written.x, cutoff=(14, 13))

    @jax.jit
    def read(at):
        here = function(at)

        def infidelity(there):
            return -function(there).fidelity(here)

        metric = fj.metric_tensor(function, at)
        slope = jax.jvp(lambda at: fj.metric_tensor(function, at)[0, 0], (at,), (jnp.ones(2),))[1]
        return (
            metric,
            jax.hessian(infidelity)(at) / 2,
            slope,
            jax.grad(lambda at: fj.metric_tensor(function, at)[0, 0])(at),
        )

    at = 0.1 * rng.normal(size=2)
    metric, curvature, slope, gradient = read(at)
    close(metric, curvature, 1e-6)  # where nothing is lost they agree
    close(slope, gradient.sum(), 1e-10)


# mixed states


def matrix(tree, names):
    return np.array([[tree[a][b] for b in names] for a in names])


def test_closed_forms_of_mixed_states(x64):
    """Coherent light under loss, which stays pure; displaced thermal light; one factor beside the
    other.
    """
    r, T, nbar = 0.7, 0.6, 0.3
    circuit = fj.Circuit(3).displace(fj.Weight("r"), fj.Weight("phi"), mode=0).loss(T, mode=0)
    circuit.prepare("thermal", fj.Weight("nbar"), modes=1)
    circuit.displace(fj.Weight("s"), fj.Weight("psi"), mode=1)
    circuit.squeeze(0.3, fj.Weight("angle"), mode=2)  # pure
    at = {"r": r, "phi": 0.4, "nbar": nbar, "s": 0.5, "psi": -1.1, "angle": 0.2}
    fisher = jax.jit(lambda w: fj.quantum_fisher(partial(circuit, cutoff=(24, 60, 24)), w))(at)
    noise = 2 * nbar + 1
    expected = [4 * T, 4 * T * r**2, 1 / (nbar * (nbar + 1))]
    expected += [4 / noise, 4 * 0.5**2 / noise, np.sinh(0.6) ** 2 / 2]
    close(matrix(fisher, at), np.diag(expected), 1e-9)


@pytest.mark.parametrize("n", [2, 3])
def test_noon_states_under_loss(n, x64):
    """2 N^2 Ta^N Tb^N / (Ta^N + Tb^N): U. Dorner et al., Phys. Rev. Lett. 102, 040403 (2009)."""
    ket = np.zeros((n + 1, n + 1), complex)
    ket[n, 0], ket[0, n] = np.sqrt(0.5), np.sqrt(0.5) * np.exp(0.8j)
    circuit = fj.Circuit(2).rotate(fj.Input(0), mode=0).loss(fj.Input(1), mode=0).loss(0.9, mode=1)

    @jax.jit
    @jax.vmap
    def read(T):
        def state(phi):
            x = jnp.stack([phi, T])
            return circuit({}, x, cutoff=n + 1, initial=ket)

        fisher = partial(fj.quantum_fisher, state)
        return fisher(0.3), jax.grad(fisher)(0.3)

    T = np.array([0.5, 0.8, 1.0])
    a, b = T**n, 0.9**n
    fisher, slope = read(T)
    close(fisher, 2 * n**2 * a * b / (a + b), 1e-11)
    close(slope, 0, 1e-11)  # the same at every phase


def squeezed_under_loss(cutoff, dtype=None):
    circuit = fj.Circuit(1).squeeze(fj.Weight("r"), 0.4, mode=0)
    circuit.rotate(fj.Weight("phi"), mode=0).loss(fj.Weight("T"), mode=0)
    return partial(circuit, cutoff=cutoff, dtype=dtype)


WEIGHTS = {"r": 0.5, "phi": 0.0, "T": 0.7}


def gaussian_fisher(weights, names):
    """Of a Gaussian state of one mode without displacement: O. Pinel et al., Phys. Rev. A 88,
    040102 (2013), in terms of its covariance matrix (of determinant 1 / purity^2).
    """

    def covariance(r, phi, T):
        turn = np.array([[np.cos(phi), -np.sin(phi)], [np.sin(phi), np.cos(phi)]])
        axis = np.array([[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]])
        squeezed = turn @ axis @ np.diag([np.exp(-2 * r), np.exp(2 * r)]) @ axis.T @ turn.T
        return T * squeezed + (1 - T) * np.eye(2)

    def slope(name, of):
        return (
            sum(
                c * of(covariance(**(weights | {name: weights[name] + 1e-3 * h})))
                for c, h in ((8, 1), (-8, -1), (-1, 2), (1, -2))
            )
            / 12e-3
        )

    def purity(V):
        return 1 / np.sqrt(np.linalg.det(V))

    V = covariance(**weights)
    mu, inverse = purity(V), np.linalg.inv(V)
    change = {name: inverse @ slope(name, lambda V: V) for name in names}
    pure = {name: slope(name, purity) for name in names}
    return np.array(
        [
            [
                np.trace(change[a] @ change[b]) / (2 * (1 + mu**2))
                + 2 * pure[a] * pure[b] / (1 - mu**4)
                for b in names
            ]
            for a in names
        ]
    )


@pytest.mark.slow
def test_squeezed_light_under_loss_in_both_precisions(x64):
    names = list(WEIGHTS)
    expected = gaussian_fisher(WEIGHTS, names)
    assert abs(expected[1, 1] - 1.2149182) < 1e-7
    found = jax.jit(lambda w: fj.quantum_fisher(squeezed_under_loss(60), w))(WEIGHTS)
    close(matrix(found, names), expected, 1e-8)

    single = {name: np.float32(value) for name, value in WEIGHTS.items()}
    read = jax.jit(lambda w: fj.quantum_fisher(squeezed_under_loss(60, np.complex64), w))
    found = read(single)
    assert found["r"]["T"].dtype == np.float32
    close(matrix(found, names), expected, 5e-5)


@pytest.mark.slow
def test_derivatives_of_the_fisher_information(x64):
    """To second order against differences, at zero and equal eigenvalues as well."""
    states = {
        "full rank": squeezed_under_loss(8),
        "one of two factors": partial(
            fj.Circuit(2)
            .displace(fj.Weight("r"), fj.Weight("phi"), mode=0)
            .squeeze(fj.Weight("r"), mode=1)
            .loss(fj.Weight("T"), mode=1),
            cutoff=6,
        ),
        "rank one": partial(
            fj.Circuit(1).displace(fj.Weight("r"), fj.Weight("phi"), mode=0).loss(1.0, mode=0),
            cutoff=8,
        ),
    }
    direction = {"r": 0.3, "phi": 0.7, "T": 0.1}

    def number(state, t):
        weights = jax.tree.map(lambda w, d: w + t * d, WEIGHTS, direction)
        if state is states["rank one"]:
            weights = {name: weights[name] for name in ("r", "phi")}
        fisher = fj.quantum_fisher(state, weights)
        return sum(jnp.sin(leaf) for leaf in jax.tree.leaves(fisher))

    for state in states.values():
        of = partial(number, state)
        around = 1e-3 * np.array([-2.0, -1.0, 1.0, 2.0])
        value, forward, reverse, second = jax.jit(
            jax.vmap(
                lambda t, of=of: (of(t), jax.jacfwd(of)(t), jax.grad(of)(t), jax.hessian(of)(t))
            )
        )(np.append(around, 0.0))
        difference = np.array([1, -8, 8, -1]) / 12e-3
        close(forward, reverse, 1e-9)
        close(reverse[4], difference @ value[:4], 1e-7)
        close(second[4], difference @ reverse[:4], 1e-6)


def leaky_mixed(rng):
    """A mixed and a pure factor of trace below one that depend on parameters."""
    a, b, c = (0.9 * dense.random_ket(rng, shape) for shape in ((2, 3), (2, 3), (4,)))
    turn = dense.random_ket(rng, (4,))

    def function(x):
        first = jnp.cos(x[0]).astype(complex) * a + jnp.sin(x[1]).astype(complex) * b
        second = c + jnp.sin(x[1] - x[0]).astype(complex) * turn / 3
        rho = sum(k[..., None, None] * k.conj()[None, None] for k in (first / 2, 0.7 * b))
        mixed = Mixed.of_matrix(rho, (2, 0))
        return State((mixed, Pure.of_ket(second, (1,))))

    return function, np.array([0.4, -0.3])


def test_what_a_state_lost_is_not_restored_and_factors_need_not_be_joined(x64):
    """Against the sum over the spectrum of the joint density matrix."""
    function, x = leaky_mixed(np.random.default_rng(2))

    def joint(x):
        rho = function(x).density_matrix()
        return rho.reshape((math.isqrt(rho.size),) * 2)

    fisher, rho, slopes = jax.jit(
        lambda x: (fj.quantum_fisher(function, x), joint(x), jax.jacfwd(joint)(x))
    )(x)
    values, vectors = np.linalg.eigh(rho)
    assert np.sum(values) < 0.9
    sums = values[:, None] + values
    inside = np.einsum("ak,abi,bl->ikl", vectors.conj(), slopes, vectors)
    weights = np.where(sums > 1e-12, 2 / np.where(sums > 1e-12, sums, 1), 0)
    close(fisher, np.einsum("kl,ikl,jkl->ij", weights, inside, inside.conj()).real, 1e-10)


def test_a_pure_state_has_the_same_information_as_a_density_matrix(x64):
    circuit = fj.Circuit(2).squeeze(fj.Weight("r"), 0.3, mode=0).displace(0.4, mode=1)
    circuit.beamsplitter(0.7, fj.Weight("phi")).kerr(fj.Weight("kappa"), mode=1)
    weights = {"r": 0.4, "phi": 0.3, "kappa": 0.1}

    def mixed(w):
        state = circuit(w, cutoff=6)
        return State((state.factors[0].mixed(),))

    def read(w):
        pure = fj.quantum_fisher(partial(circuit, cutoff=6), w)
        metric = fj.metric_tensor(partial(circuit, cutoff=6), w)
        return pure, fj.quantum_fisher(mixed, w), metric, circuit(w, cutoff=6).leakage

    pure, held, metric, leakage = jax.jit(read)(weights)
    assert 1e-5 < leakage < 1e-2
    close(matrix(held, weights), matrix(pure, weights), 1e-10)
    close(matrix(pure, weights), 4 * matrix(metric, weights), leakage)


def test_not_a_number_stays_visible():
    state = squeezed_under_loss(5)
    found = fj.quantum_fisher(state, WEIGHTS | {"r": np.float32(np.nan)})
    assert np.isnan(found["r"]["r"])


def test_the_metric_of_a_mixed_state_is_refused():
    with pytest.raises(ValueError, match="`metric_tensor` needs a pure state.*`quantum_fisher`"):
        fj.metric_tensor(squeezed_under_loss(5), WEIGHTS)


def test_bad_arguments():
    with pytest.raises(TypeError, match="real floating-point arrays, got int32"):
        fj.metric_tensor(lambda n: fj.vacuum((2,)), np.array([1]))
    with pytest.raises(TypeError, match="real floating-point arrays, got complex64"):
        fj.quantum_fisher(lambda n: fj.vacuum((2,)), np.ones(1, np.complex64))
    with pytest.raises(TypeError, match="return a State or a ket as an array, got tuple"):
        fj.metric_tensor(lambda x: (x,), np.ones(1, np.float32))


@pytest.mark.parametrize("loss", [1.0, 0.8])
def test_a_batch_of_states_is_refused(loss):
    circuit = fj.Circuit(2).displace(fj.Weight("r") * fj.Input(0), mode=0).loss(loss, mode=0)
    xs = np.array([[0.5], [1.0]])

    def states(w):
        return jax.vmap(lambda x: circuit(w, x, cutoff=5))(xs)

    with pytest.raises(ValueError, match="batch"):
        fj.quantum_fisher(states, {"r": 0.3})
