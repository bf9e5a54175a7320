"""What functions are given is checked: nothing that cannot be meant is computed with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fockjax as fj

KERNELS = [
    (registry, name)
    for registry in (fj.gates, fj.kets, fj.channels, fj.mixed, fj.detectors)
    for name in registry.REGISTRY
]
KERNEL_NAMES = [f"{registry.__name__.split('.')[1]}.{name}" for registry, name in KERNELS]


@pytest.mark.parametrize("registry, name", KERNELS, ids=KERNEL_NAMES)
def test_a_kernel_takes_one_sample_of_real_numbers(registry, name):
    """An array as long as the cutoff would be broadcast against the photon numbers."""
    spec, kernel = registry.REGISTRY[name], getattr(registry, name)
    for wanted in spec.parameters:
        if wanted in spec.arrays:
            continue
        others = {parameter: 0.5 for parameter in spec.parameters if parameter != wanted}
        if "gain" in others:
            others["gain"] = 1.5
        for bad in (np.array([0.1, 0.2, 0.3]), jnp.full(3, 0.1), [0.1, 0.2, 0.3]):
            with pytest.raises(ValueError, match=f"`{wanted}` must be one real .*jax.vmap"):
                kernel(**others, **{wanted: bad}, cutoff=3)
        with pytest.raises(ValueError, match=f"`{wanted}` must be one real .*apart"):
            kernel(**others, **{wanted: 0.3 + 0.4j}, cutoff=3)
        with pytest.raises(ValueError, match=f"`{wanted}` must be one real"):
            jax.jit(lambda bad: kernel(**others, **{wanted: bad}, cutoff=3))(jnp.full(3, 0.1))  # noqa: B023


def test_by_position_too_and_under_vmap_and_grad():
    with pytest.raises(ValueError, match="`kappa` must be one real number, got float32"):
        fj.gates.kerr(jnp.array([0.1, 0.2, 0.3]), cutoff=3)

    def element(kappa):
        return fj.gates.kerr(kappa, cutoff=3).values[2].imag

    kappas = np.array([0.1, 0.2], np.float32)
    np.testing.assert_allclose(jax.vmap(element)(kappas), np.sin(4 * kappas), atol=1e-6)
    np.testing.assert_allclose(jax.grad(element)(0.1), 4 * np.cos(0.4), atol=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda: fj.kets.gaussian(np.eye(2), np.array([1j, 0]), cutoff=3),
        lambda: fj.mixed.mixed_gaussian(np.eye(2), np.array([1j, 0]), cutoff=3),
        lambda: fj.gates.snap([0.1, 0.2j], cutoff=3),
        lambda: jax.jit(lambda z: fj.gates.snap([0.1, z], cutoff=3))(1j),
        lambda: fj.gates.passive(1j * np.eye(2), cutoff=3),
    ],
)
def test_an_imaginary_part_is_not_dropped(call):
    with pytest.raises(TypeError, match="must be real, but is complex"):
        call()


def test_matrices_are_complex_arrays():
    K = np.array([[[0, 1], [1j, 0]]])
    rho = fj.mixed.density_matrix([[1, 0], [0, 0]], cutoff=2)
    after = fj.channels.kraus(K, cutoff=2).apply(rho, (0,), (1,))
    np.testing.assert_allclose(after, np.diag([0, 1]), atol=1e-7)
    np.testing.assert_allclose(fj.gates.unitary(K[0], cutoff=2).to_dense(), K[0], atol=1e-7)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda c: c.controlled_x(0.7, exact="False"), TypeError, "Gate 0 .*`exact` .*True or"),
        (lambda c: fj.gates.controlled_x(0.7, cutoff=3, exact="no"), TypeError, "`exact`"),
        (lambda c: c.kraus(np.eye(2)[None], modes=0, truncated=[]), TypeError, "`truncated`"),
        (lambda c: c.prepare("gkp", ampl_cutoff="a", modes=0), TypeError, "ampl_cutoff` .* real"),
        (lambda c: c({}, cutoff=2, memory_limit="1GB"), ValueError, "`memory_limit` must be an"),
        (lambda c: fj.inspect(c, {}, cutoff=2, memory_limit=1.5), ValueError, "`memory_limit`"),
    ],
)
def test_options_are_of_their_kind(call, error, message):
    with pytest.raises(error, match=message):
        call(fj.Circuit(2))


def test_options_may_be_those_of_numpy():
    gate = fj.gates.controlled_x(0.7, cutoff=3, exact=np.True_)
    np.testing.assert_array_equal(
        gate.to_dense(), fj.gates.controlled_x(0.7, cutoff=3, exact=True).to_dense()
    )
    assert fj.Circuit(1)({}, cutoff=2, memory_limit=np.int64(10**6)).trace == 1


@pytest.mark.parametrize("cutoff", [4, (4, 4, 4), np.array([4, 4, 4])])
def test_a_vacuum_of_one_cutoff_for_all_modes(cutoff):
    assert fj.vacuum(cutoff, modes=3).cutoffs == (4, 4, 4)


@pytest.mark.parametrize("outcome", [np.array(0.3), jnp.array(0.3), np.float32(0.3), 0.3])
def test_an_outcome_to_select_is_any_number(outcome):
    circuit = fj.Circuit(2).two_mode_squeeze(0.5)
    circuit.measure_homodyne(mode=0, select=outcome)
    (step,) = [step for step in circuit.operations if step.name == "homodyne"]
    assert step.parameters["select"] == pytest.approx(0.3)
    circuit.measure_photons(modes=1, select=np.array(2))
    with pytest.raises(ValueError, match="one outcome of the one mode"):
        fj.Circuit(1).measure_homodyne(mode=0, select=jnp.array([0.3]))


@pytest.mark.parametrize("coupled", [True, False])
def test_a_pattern_outside_a_total_is_refused(coupled):
    circuit = fj.Circuit(2).displace(1.0, mode=0).displace(1.0, mode=1)
    if coupled:
        circuit.beamsplitter(0.3)
    state = circuit({}, cutoff=fj.TotalPhotons(3))
    with pytest.raises(ValueError, match=r"inside the cutoffs TotalPhotons.*got \(2, 2\)"):
        state.probability((2, 2))
    assert state.probability((1, 1)) > 0


def test_inspect_loses_what_a_call_loses():
    circuit = fj.Circuit(2).prepare("ket", np.diag([0.6, 0, 0.8]), modes=(0, 1))
    cutoff = fj.TotalPhotons(3)
    assert circuit({}, cutoff=cutoff).leakage == pytest.approx(0.64)
    assert fj.inspect(circuit, {}, cutoff=cutoff).rows[-1].leakage == pytest.approx(0.64)
