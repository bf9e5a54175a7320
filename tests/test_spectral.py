"""Beamsplitters by the eigenvectors of their sectors: that they are beamsplitters, and which
circuits have them. The cutoff from which they are is lowered; in double precision, so that
disagreement is never rounding.
"""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fockjax as fj

kernel = importlib.import_module("fockjax.gates.beamsplitter")
THETAS = np.array([0.0, 0.8, np.pi - 0.01, 3.2, -9.5])


@pytest.fixture(autouse=True)
def lowered(x64, monkeypatch):
    monkeypatch.setattr(kernel, "FOLD", 3)


def with_derivatives(function):
    """Its value and two derivatives, for each of the angles."""
    first = jax.value_and_grad(function)
    return jax.jit(jax.vmap(lambda theta: (first(theta), jax.grad(jax.grad(function))(theta))))


def close(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12 * max(1.0, abs(b).max()), rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(4, 4), (4, 5), (5, 4)])
def test_it_is_the_beamsplitter_with_its_derivatives(sizes):
    random = np.random.RandomState(0)
    bra, ket = random.normal(size=(2, 2, *sizes)) + 1j * random.normal(size=(2, 2, *sizes))

    def element(gate):
        return lambda theta: jnp.vdot(bra, gate(theta).apply(ket, (1, 2))).real

    ours = with_derivatives(element(lambda theta: kernel.Spectral(theta, sizes)))(THETAS)
    close(ours, with_derivatives(element(lambda theta: kernel.core(theta, sizes)))(THETAS))
    gate = kernel.Spectral(jnp.asarray(0.8), sizes)
    close(gate.adjoint().to_dense(), kernel.core(0.8, sizes).adjoint().to_dense())


def elements(circuit, modes):
    """Whether any step makes the D^3 elements of a beamsplitter, by its program."""
    x, weights = jnp.ones(circuit.num_inputs), circuit.init(jax.random.key(0))
    text = jax.make_jaxpr(lambda x: circuit(weights, x, cutoff=(5, 5, *[2] * (modes - 2))).norm)(x)
    return "f64[5,5,5]" in str(text)


@pytest.mark.parametrize(
    ("theta", "modes", "built"),
    [
        (fj.Input(0), 2, False),
        (fj.Input(0) * fj.Weight("w"), 2, False),
        (fj.Weight("w"), 2, True),
        (fj.Input(0), 3, True),
    ],
    ids=str,
)
def test_an_angle_of_the_input_on_two_modes_is_applied_and_not_built(theta, modes, built):
    circuit = fj.Circuit(modes).squeeze(0.2, mode=0).displace(0.3, mode=1)
    if modes > 2:
        circuit.two_mode_squeeze(0.2, modes=(0, 2))
    circuit.beamsplitter(theta, fj.Input(1), modes=(0, 1))
    assert elements(circuit, modes) is built


@pytest.mark.slow
@pytest.mark.parametrize("phi", [0.7, pytest.param(0.0, marks=pytest.mark.slow)])
def test_in_a_circuit_it_changes_nothing(phi, monkeypatch):
    circuit = fj.Circuit(2).squeeze(0.2, mode=0).displace(0.3, 0.4, mode=1)
    circuit.beamsplitter(fj.Input(0), phi, modes=(1, 0)).loss(0.9, mode=0)
    circuit.beamsplitter(2 * fj.Input(0), phi)  # on a density matrix

    def probabilities():
        jax.clear_caches()
        return circuit({}, jnp.array([0.9]), cutoff=(5, 4)).probabilities()

    ours = probabilities()
    monkeypatch.setattr(kernel, "FOLD", 5)
    close(ours, probabilities())
