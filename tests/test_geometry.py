"""The metric tensor of states that depend on parameters."""

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


def test_bad_arguments():
    with pytest.raises(TypeError, match="real floating-point arrays, got int32"):
        fj.metric_tensor(lambda n: fj.vacuum((2,)), np.array([1]))
    with pytest.raises(TypeError, match="real floating-point arrays, got complex64"):
        fj.quantum_fisher(lambda n: fj.vacuum((2,)), np.ones(1, np.complex64))
    with pytest.raises(TypeError, match="return a State or a ket as an array, got tuple"):
        fj.metric_tensor(lambda x: (x,), np.ones(1, np.float32))
