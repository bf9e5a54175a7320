"""Called outside jit, as notebooks do: one program a readout, and nothing is compiled twice."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fockjax as fj

KET = np.array([[0.6, 0.2, 0.1], [0.1, 0.3j, 0.0]])
RHO = np.diag([0.5, 0.1, 0.1, 0.1, 0.1, 0.1]).reshape(2, 3, 2, 3)
STATES = {"pure": fj.from_ket(KET), "mixed": fj.from_density_matrix(RHO)}
POINTS = np.linspace(-2, 2, 5)
DISPLACEMENT = fj.gates.displacement(0.5, 0.3, cutoff=3)

READOUTS = {
    "norm": lambda state, _: state.norm,
    "leakage": lambda state, _: state.leakage,
    "probability": lambda state, _: state.probability((1, 0)),
    "probabilities": lambda state, _: state.probabilities((1, 0)),
    "photon number": lambda state, _: state.photon_number(0),
    "parity": lambda state, _: state.parity(),
    "diagonal": lambda state, r: state.diagonal_expectation(r * POINTS[:2], 0),
    "quadrature": lambda state, r: state.quadrature(0, r),
    "covariance": lambda state, _: state.covariance((1, 0), hbar=1.0),
    "density of a quadrature": lambda state, r: state.quadrature_distribution(1, POINTS, r),
    "Wigner": lambda state, r: state.wigner(0, r * POINTS, POINTS),
    "reduced": lambda state, _: state.reduced(1),
    "entropy": lambda state, _: state.entropy(0),
    "purity": lambda state, _: state.purity(0),
    "fidelity": lambda state, _: state.fidelity(STATES["pure"]),
    "expectation": lambda state, _: state.expectation(np.diag([1, 2j]), 0),
    "of a gate": lambda state, _: state.expectation(DISPLACEMENT, 1),
    "trace of a product": lambda state, _: state.hilbert_schmidt(STATES["mixed"]),
    "coherent": lambda state, r: state.fidelity_coherent(r, [0.1, 0.2]),
}


@pytest.fixture
def compiled(caplog):
    """How many programs a call compiles."""

    def count(call, *args):
        caplog.clear()
        with jax.log_compiles(), caplog.at_level("WARNING"):
            call(*args)
        return sum(record.getMessage().startswith("Compiling") for record in caplog.records)

    return count


@pytest.mark.parametrize("kind", ["pure", pytest.param("mixed", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", READOUTS)
def test_a_readout_is_one_program(name, kind, compiled):
    jax.clear_caches()
    read, state = READOUTS[name], STATES[kind]
    assert compiled(read, state, 0.3) == 1
    other = replace(state, truncations=7, outcomes={"m0": jnp.ones(())}, reflects=True)
    assert compiled(read, other, 0.4) == 0


@pytest.mark.slow
def test_it_reads_what_it_reads_in_a_transformation():
    state = STATES["mixed"]
    for name, read in READOUTS.items():
        alone, traced = read(state, 0.3), jax.jit(read)(state, 0.3)
        batch = jax.vmap(read, (None, 0))(state, np.full(2, 0.3, np.float32))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6), alone, traced)
        for k in range(2):
            part = jax.tree.map(lambda leaf, k=k: leaf[k], batch)
            jax.tree.map(
                lambda a, b, name=name: np.testing.assert_allclose(a, b, atol=2e-6, err_msg=name),
                alone,
                part,
            )


def test_modes_may_be_a_list():
    state = STATES["pure"]
    np.testing.assert_array_equal(state.probabilities([1, 0]), state.probabilities((1, 0)))
    with pytest.raises(ValueError, match="from 0 to 1, got 2"):
        state.wigner(2, POINTS, POINTS)
    with pytest.raises(TypeError, match="positional"):
        state.wigner(0, POINTS)


def test_the_error_bound_is_one_program(compiled):
    jax.clear_caches()
    state = STATES["pure"]
    assert compiled(lambda: state.error_bound) == 1
    assert compiled(lambda: replace(state, truncations=7).error_bound) == 0


def test_a_call_with_arrays_moves_nothing_to_the_device():
    circuit = fj.Circuit(1).displace(fj.Input(0), mode=0).squeeze(fj.Weight("r"), mode=0)
    given = {"r": jnp.float32(0.3)}, jnp.array([0.2])
    circuit(*given, cutoff=4)
    with jax.transfer_guard_host_to_device("disallow"):
        circuit(*given, cutoff=4)


CALLS = {
    "displacement": lambda r: fj.gates.displacement(r, 0.3, cutoff=4),
    "squeezing": lambda r: fj.gates.squeezing(r, 0.3, cutoff=4),
    "passive": lambda r: fj.gates.passive(r * np.eye(2), cutoff=3),
    "squeezed ket": lambda r: fj.kets.squeezed(r, 0.3, cutoff=4),
    "two-mode squeezed ket": lambda r: fj.kets.two_mode_squeezed(r, 0.3, cutoff=4),
    "GKP ket": lambda r: fj.kets.gkp(r, 0.3, cutoff=4),
    "polynomial": lambda r: STATES["pure"].quadrature_polynomial(r * np.eye(4)),
    "circuit built anew": lambda r: (
        fj.Circuit(1).squeeze(fj.Weight("r"), mode=0)({"r": r}, cutoff=4).ket()
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_second_call_compiles_nothing(name, compiled):
    CALLS[name](0.3)
    assert compiled(CALLS[name], 0.4) == 0
