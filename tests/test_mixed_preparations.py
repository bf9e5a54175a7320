"""Mixed states against closed forms, pure states, channels and The Walrus."""

import dense
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import walrus
from compare import close_to_13_digits as close

import fockjax as fj
from fockjax.mixed import REGISTRY

mixed = fj.mixed


def random_symplectic(seed, modes):
    return dense.random_symplectic(seed, np.random.default_rng(seed).uniform(-0.6, 0.6, modes))


def random_covariance(seed, modes, hbar=2.0):
    """Of thermal modes, squeezed and mixed."""
    S = random_symplectic(seed, modes)
    photons = np.random.default_rng(seed).uniform(0, 0.6, modes)
    return hbar / 2 * S @ np.diag(np.tile(2 * photons + 1, 2)) @ S.T


# Thermal -----------------------------------------------------------------------------------------


def test_thermal_states(dtype):
    real = np.finfo(dtype).dtype
    run = jax.jit(jax.vmap(lambda nbar: mixed.thermal(nbar, cutoff=100, dtype=dtype)))
    nbar = np.array([0, 1e-3, 0.7, 30], np.float32)
    n = np.arange(100)
    for rho, mean in zip(run(nbar.astype(real)), nbar.astype(float), strict=True):
        assert rho.dtype == dtype
        close(rho, np.diag(mean**n / (1 + mean) ** (n + 1)), 1e-14 if real == "float64" else 1e-7)
    outside = np.array([-0.1, np.inf, np.nan, -2], real)
    assert np.all(np.isnan(np.asarray(run(outside)).diagonal(axis1=1, axis2=2)))


def test_slope_of_thermal_states(x64):
    """Known at 0: the vacuum goes to one photon."""

    def photons(nbar):
        return mixed.thermal(nbar, cutoff=3).diagonal().real

    both = jax.jit(lambda nbar: (jax.jacfwd(photons)(nbar), jax.jacrev(photons)(nbar)))
    for slope in both(0.0):
        close(slope, [-1, 1, 0])
    for slope in both(1.0):
        close(slope, [-1 / 4, 0, 1 / 16])


def test_refused_thermal_states():
    with pytest.raises(ValueError, match="Argument `nbar` must be finite and >= 0, got -0.1"):
        mixed.thermal(-0.1, cutoff=3)
    with pytest.raises(ValueError, match="got -0.1"):
        REGISTRY["thermal"].check({"nbar": -0.1}, (0,), {})


# Arrays ------------------------------------------------------------------------------------------


def random_state(seed, *cutoffs):
    rng = np.random.default_rng(seed)
    size = int(np.prod(cutoffs))
    root = rng.normal(size=(2, size, size)).T @ [1, 1j]
    rho = root @ root.conj().T
    return (rho / np.trace(rho)).reshape(cutoffs * 2)


def test_density_matrices_are_padded_and_cut(dtype):
    rho = random_state(1, 2, 3)
    got = mixed.density_matrix(rho, cutoff=(4, 2), dtype=dtype)
    assert got.shape == (4, 2, 4, 2) and got.dtype == dtype
    expected = np.zeros((4, 2, 4, 2), complex)
    expected[:2, :, :2] = rho[:, :2, :, :2]
    close(got, expected, 1e-7 if dtype == np.complex64 else 0)
    one = mixed.density_matrix(np.diag([1, 0]), cutoff=3, dtype=dtype)  # integers
    close(one, np.diag([1, 0, 0]), 0)


def test_density_matrices_as_circuits_build_them(x64):
    spec, rho = REGISTRY["density_matrix"], random_state(2, 2, 2)
    spec.check({"real": rho.real, "imag": rho.imag}, (0, 1), {})
    build = jax.jit(lambda a, b: spec.build(a, b, cutoff=(2, 3), dtype=complex))
    close(build(rho.real, rho.imag)[:, :2, :, :2], rho, 0)
    real = spec.build(jnp.asarray(rho.real), jnp.zeros(()), cutoff=(2, 2), dtype=complex)
    close(real, rho.real, 0)
    with pytest.raises(ValueError, match=r"two axes for each of 1 mode.*\(2, 2, 2, 2\)"):
        spec.check({"real": rho.real, "imag": rho.imag}, (0,), {})
    with pytest.raises(ValueError, match="the density matrix must be Hermitian.* by 0.2"):
        spec.check({"real": np.eye(2) / 2, "imag": np.array([[0, 0.1], [0.1, 0]])}, (0,), {})


@pytest.mark.parametrize(
    "elements, message",
    [
        ([0.5, 0.5], r"a row axis for each mode, .*; got shape \(2,\)"),
        (np.ones((2, 3)) / 9, r"of the same lengths; got shape \(2, 3\)"),
        (np.zeros((0, 0)), r"not be empty, .* \(0, 0\)"),
        ([["a"]], "made of numbers"),
        (np.diag([0.5, np.nan]), "must be finite"),
        ([[0.5, 0.1], [0.2, 0.5]], "must be Hermitian, .* by 0.1"),
        (np.diag([0.7, 0.5]), "trace 1.2, above 1"),
        (np.diag([0.7, -0.1]), "eigenvalue -0.1, below 0"),
        (np.zeros((2, 2)), "is zero"),
        (np.eye(4).reshape(2, 2, 2, 2) / 4, r"two axes for each of 1 mode"),
    ],
)
def test_refused_density_matrices(elements, message):
    with pytest.raises(ValueError, match=f"Argument `elements` .*{message}|^{message}"):
        mixed.density_matrix(elements, cutoff=(2,))


def test_how_far_from_a_density_matrix(x64):
    defect = jax.jit(fj.checks.density_defect)
    good = random_state(3, 4)
    assert defect(good) < 1e-14 and defect(0.3 * good) < 1e-14
    wrong = np.diag([0.9, 0.4, -0.1]) + 0.01j * np.eye(3)
    for run in (defect, fj.checks.density_defect):
        close(run(wrong), 0.1 + 0.2 + 0.01 * np.sqrt(3))


# Gaussian ----------------------------------------------------------------------------------------


def test_pure_gaussian_states(dtype):
    """As their kets, displaced and squeezed, in the units of any hbar."""
    hbar, S = 0.7, random_symplectic(3, 2)
    cov, mean = hbar / 2 * S @ S.T, np.array([0.8, -0.3, 0.4, 0.6])
    options = {"cutoff": (4, 6), "hbar": hbar, "dtype": dtype}
    psi = np.asarray(jax.jit(lambda m: fj.kets.gaussian(cov, m, **options))(mean))
    rho = jax.jit(lambda m: mixed.mixed_gaussian(cov, m, **options))(mean)
    assert rho.dtype == dtype
    tolerance = 1e-6 if dtype == np.complex64 else 1e-14
    close(rho, np.multiply.outer(psi, psi.conj()), tolerance)


def test_one_mode_of_a_squeezed_pair_is_thermal(x64):
    rho = jax.jit(lambda v: mixed.mixed_gaussian(v * np.eye(2), cutoff=60))
    close(rho(2.4), mixed.thermal(0.7, cutoff=60), 1e-14)
    close(rho(1.0), mixed.thermal(0.0, cutoff=60), 0)


def test_lossy_entangled_pairs(x64):
    """A squeezed, displaced pair through loss and noise on either mode, photon by photon."""
    cutoffs, S = (16, 14), random_symplectic(5, 2)
    S = np.diag([1, 1.2, 1, 1 / 1.2]) @ S
    cov, mean = 0.4 * S @ S.T + 0.6 * np.eye(4), np.array([0.3, -0.2, 0.1, 0.4])
    T, variance = 0.6, 0.1
    X, Y = np.diag([T, 1, T, 1]), np.diag([1 - T, variance, 1 - T, variance])
    after = np.sqrt(X) @ cov @ np.sqrt(X) + Y

    @jax.jit
    def run():
        rho = mixed.mixed_gaussian(cov, mean, cutoff=cutoffs)
        rho = fj.channels.loss(T, cutoff=16).apply(rho, (0,), (2,))
        rho = fj.channels.additive_noise(variance, cutoff=14).apply(rho, (1,), (3,))
        return rho, mixed.mixed_gaussian(after, np.sqrt(X) @ mean, cutoff=cutoffs)

    got, expected = (np.asarray(rho) for rho in run())
    leakage = 1 - np.einsum("abab", expected).real
    assert 0 < leakage < 1e-8
    # Coherences with photon numbers over the cutoff are up to sqrt(leakage); loss lets some down.
    close(got, expected, 2 * np.sqrt(leakage))
    few = np.s_[:8, :8, :8, :8]
    close(got[few], expected[few], 1e-9)


def test_gaussian_states_that_are_none():
    with pytest.raises(ValueError, match="breaks the uncertainty relation"):
        mixed.mixed_gaussian(0.9 * np.eye(2), cutoff=3)
    with pytest.raises(ValueError, match="must be symmetric"):
        mixed.mixed_gaussian(np.array([[2, 0.1], [0, 2]]), cutoff=3)
    with pytest.raises(ValueError, match=r"`cov` must have shape \(2, 2\)"):
        mixed.mixed_gaussian(np.eye(4), cutoff=3)
    with pytest.raises(ValueError, match=r"`mean` must have shape \(2,\)"):
        mixed.mixed_gaussian(np.eye(2), np.zeros(3), cutoff=3)
    check, hbar = REGISTRY["mixed_gaussian"].check, {"hbar": 2.0}
    check({"cov": 2 * np.eye(2), "mean": fj.Weight("mean", (2,))}, (0,), hbar)
    with pytest.raises(ValueError, match="breaks the uncertainty relation"):
        check({"cov": np.eye(2), "mean": np.zeros(())}, (0,), {"hbar": 2.5})


def test_gradients_of_gaussian_states(x64):
    """Forwards and backwards, of all elements of a covariance matrix, against differences."""
    rng = np.random.default_rng(7)
    cov, by = random_covariance(6, 1), rng.normal(size=(2, 2))
    observable = rng.normal(size=(2, 4, 4)).T @ [1, 1j]

    def f(x):
        rho = mixed.mixed_gaussian(cov + x * (by + by.T), x * np.arange(2.0), cutoff=4)
        return jnp.sum(rho * observable).real

    both = jax.jit(lambda x: (f(x), jax.jacfwd(f)(x), jax.grad(f)(x)))
    _, forward, reverse = both(0.01)
    close(forward, reverse, 1e-13)
    h = 1e-4
    close(forward, (both(0.01 + h)[0] - both(0.01 - h)[0]) / (2 * h), 1e-6)
    assert abs(forward) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("modes, cutoff, hbar", [(1, 12, 2.0), (2, 5, 0.6)])
def test_gaussian_states_against_the_walrus(x64, modes, cutoff, hbar):
    cov = random_covariance(modes, modes, hbar)
    mean = np.sqrt(hbar) * np.random.default_rng(modes).normal(size=2 * modes) / 2
    expected = walrus.quantum("density_matrix", mean, cov, cutoff=cutoff, hbar=hbar)
    # The Walrus orders the axes row, column of each mode in turn.
    order = [*range(0, 2 * modes, 2), *range(1, 2 * modes, 2)]
    got = mixed.mixed_gaussian(cov, mean, cutoff=(cutoff,) * modes, hbar=hbar)
    close(got, expected.transpose(order), 1e-12)
