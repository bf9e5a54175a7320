"""Ready states against closed forms, exact recurrences, The Walrus and Strawberry Fields."""

import math
from functools import cache

import dense
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import walrus
from compare import close
from scipy.special import gammaln

import fockjax as fj
from fockjax.interop import oracle
from fockjax.kets.recurrence import amplitudes

kets = fj.kets
needs_oracle = pytest.mark.skipif(not oracle.is_installed(), reason="needs Strawberry Fields")
BARS = {"complex64": 3e-7, "complex128": 3e-15}


def batched(ket, points, cutoff, dtype, **options):
    """The kets at the rows of ``points``, which are rounded to float32."""
    points = np.array(points, np.float32).astype(np.finfo(dtype).dtype)
    run = jax.jit(jax.vmap(lambda point: ket(*point, cutoff=cutoff, dtype=dtype, **options)))
    return np.asarray(run(points), np.complex128), points.astype(float)


# Closed forms ------------------------------------------------------------------------------------


def coherent_column(alpha, cutoff):
    n, alpha = np.arange(cutoff), np.asarray(alpha, complex)[:, None]
    log_modulus = n * np.log(abs(alpha)) - abs(alpha) ** 2 / 2 - gammaln(n + 1) / 2
    return np.exp(log_modulus + 1j * n * np.angle(alpha))


def test_coherent_states_to_cutoff_200(dtype):
    got, (*rows,) = batched(kets.coherent, [(0.3, 0.2), (-1.7, 4.0), (10, -1.0)], 200, dtype)
    r, phi = np.array(rows).T
    # scipy's gammaln and the logarithms here are good to 1e-13 only
    close(got, coherent_column(r * np.exp(1j * phi), 200), max(BARS[dtype.name], 1e-13) * 2)
    vacuum = kets.coherent(0.0, 0.4, cutoff=4, dtype=dtype)
    np.testing.assert_array_equal(vacuum, kets.vacuum(cutoff=4, dtype=dtype))


def test_squeezed_vacuum(dtype):
    got, points = batched(kets.squeezed, [(0.4, 1.0), (-1.2, 0.3), (3.0, -2.0)], 101, dtype)
    m = np.arange(51)
    binomial = np.array([math.comb(2 * k, k) / 4**k for k in m.tolist()])
    for ket, (r, phi) in zip(got, points, strict=True):
        expected = (-np.exp(1j * phi) * np.tanh(r)) ** m * np.sqrt(binomial / np.cosh(r))
        close(ket[::2], expected, BARS[dtype.name])
        assert not np.any(ket[1::2])


def test_two_mode_squeezed_vacuum(dtype):
    for cutoff in ((7, 4), (1, 5)):
        (ket,), ((r, phi),) = batched(kets.two_mode_squeezed, [(-0.8, 2.2)], cutoff, dtype)
        n = np.arange(min(cutoff))
        expected = np.zeros(cutoff, complex)
        expected[n, n] = (np.exp(1j * phi) * np.tanh(r)) ** n / np.cosh(r)
        close(ket, expected, BARS[dtype.name])


CATS = [(0.8, 0.3, 0.0), (1.3, -2.0, 1.0), (2.2, 0.4, 0.37), (-0.7, 1.1, 2.6), (1e-3, 0.5, 1.0)]


def test_cat_states(dtype):
    got, points = batched(kets.cat, CATS, 60, dtype)
    a, phi, p = points.T
    alpha, turn = a * np.exp(1j * phi), np.exp(1j * np.pi * p)
    both = coherent_column(alpha, 60) + turn[:, None] * coherent_column(-alpha, 60)
    norm = np.sqrt(2 * (1 + np.cos(np.pi * p) * np.exp(-2 * a**2)))[:, None]
    # the odd cat of the last row loses ten digits in the closed form
    close(got[:-1], (both / norm)[:-1], 2 * max(BARS[dtype.name], 1e-15))
    close(got[-1, :3], [0, np.exp(1j * phi[-1]), 0], 1e-6)
    weight_even, weight_odd = 1 + np.cos(np.pi * p), 1 - np.cos(np.pi * p)
    down = np.exp(-2 * a**2)
    photons = a**2 * (weight_even * (1 - down) + weight_odd * (1 + down))
    photons /= weight_even * (1 + down) + weight_odd * (1 - down)
    close(
        (abs(got) ** 2 @ np.arange(60))[:-1], photons[:-1], 1e-5 if dtype == "complex64" else 1e-12
    )


def test_the_odd_cat_at_zero_is_one_photon(x64):
    def cat(a, p):
        ket = kets.cat(a, 0.6, p, cutoff=4)
        return jnp.stack([ket.real, ket.imag])

    @jax.jit
    @jax.vmap
    def at_zero(p):
        zero, one = jnp.zeros(()), jnp.ones(())
        slope = lambda a: jax.jvp(cat, (a, p), (one, zero))  # noqa: E731
        (value, first), (_, second) = jax.jvp(slope, (zero,), (one,))
        return value, first, second, jax.jvp(cat, (zero, p), (zero, one))[1]

    value, first, second, by_p = map(np.asarray, at_zero(np.array([1.0, -1.0, 3.0, 0.5])))
    odd = np.array([0, np.exp(0.6j), 0, 0])
    close(value[:, 0] + 1j * value[:, 1], [odd] * 3 + [[np.exp(0.25j * np.pi), 0, 0, 0]], 1e-14)
    close(first[:3], 0, 1e-14)
    # <3|cat> = a^2 e^{3 i phi} / sqrt 6 + O(a^6), <1|cat> = e^{i phi} + O(a^4)
    curvature = np.array([0, 0, 0, 2 / math.sqrt(6) * np.exp(1.8j)])
    close(second[:3, 0] + 1j * second[:3, 1], [curvature] * 3, 1e-13)
    assert np.all(np.isfinite(by_p)) and np.all(np.isfinite(second))


GKPS = [(0.0, 0.0, 0.2), (math.pi, 0.4, 0.1), (1.1, -0.7, 0.3), (2.0, 2.5, 0.8)]


def test_gkp_states_are_damped_combs(x64):
    """<n|gkp> is e^{-epsilon n} times the comb's h_n at its teeth, for however wide a comb."""
    cutoff, t = 40, np.arange(-12, 13)
    got, points = batched(kets.gkp, GKPS, cutoff, np.dtype(complex), ampl_cutoff=1e-30, exact=True)
    normalised, _ = batched(kets.gkp, GKPS, cutoff, np.dtype(complex), ampl_cutoff=1e-30)
    close(np.linalg.norm(normalised, axis=-1), 1, 1e-14)
    combs = [
        dense.hermite_functions((2 * t + mu) * math.sqrt(math.pi), 250).sum(1) for mu in (0, 1)
    ]
    for ket, unit, (theta, phi, epsilon) in zip(got, normalised, points, strict=True):
        comb = np.cos(theta / 2) * combs[0] + np.exp(-1j * phi) * np.sin(theta / 2) * combs[1]
        comb = comb * np.exp(-epsilon * np.arange(250))
        # 25 teeth reach photon number 250 at less than 1e-10 of the damping
        close(ket, (comb / np.linalg.norm(comb))[:cutoff], 1e-9 if epsilon < 0.15 else 1e-12)
        close(unit, ket / np.linalg.norm(ket), 1e-14)


def test_gkp_of_zero_damping_and_in_single_precision():
    ket, _ = batched(kets.gkp, [(1.1, -0.7, 0.0), (1.1, -0.7, 0.3)], 12, np.dtype("complex64"))
    assert np.all(np.isfinite(ket))
    with jax.enable_x64(True):
        right, _ = batched(kets.gkp, [(1.1, -0.7, 0.0), (1.1, -0.7, 0.3)], 12, np.dtype(complex))
    close(ket, right, 1e-6)
    # The ideal comb cut to 12 photon numbers, whose wavefunctions end long before its teeth do.
    teeth = 2 * np.arange(-12, 13)
    zero, one = (
        dense.hermite_functions((teeth + mu) * math.sqrt(math.pi), 12).sum(1) for mu in (0, 1)
    )
    theta, phi = map(float, np.float32([1.1, -0.7]))
    comb = np.cos(theta / 2) * zero + np.exp(-1j * phi) * np.sin(theta / 2) * one
    close(right[0], comb / np.linalg.norm(comb), 1e-12)


# Exact recurrences -------------------------------------------------------------------------------


def exact_amplitudes(quadratic, linear, log_vacuum, cutoffs, digits=120):
    """Amplitudes of a Gaussian state along one axis after the other, in many digits."""
    with mpmath.workdps(digits):
        roots = [mpmath.sqrt(k) for k in range(max(cutoffs))]
        out = np.empty(cutoffs, object)
        for k in np.ndindex(*cutoffs):
            raised = [i for i, photons in enumerate(k) if photons]
            if not raised:
                out[k] = mpmath.exp(log_vacuum)
                continue
            i = raised[0]
            lower = list(k)
            lower[i] -= 1
            value = linear[i] * out[tuple(lower)]
            for j, photons in enumerate(lower):
                if photons:
                    lower[j] -= 1
                    value += quadratic[i][j] * roots[photons] * out[tuple(lower)]
                    lower[j] += 1
            out[k] = value / roots[k[i]]
        return np.array([complex(value) for value in out.ravel()]).reshape(cutoffs)


@cache
def exact_displaced_squeezed(r_d, phi_d, r_s, phi_s, cutoff):
    with mpmath.workdps(120):
        alpha = mpmath.mpf(r_d) * mpmath.expj(phi_d)
        quadratic = -mpmath.tanh(r_s) * mpmath.expj(phi_s)
        linear = alpha - quadratic * mpmath.conj(alpha)
        log_vacuum = -(mpmath.conj(alpha) * linear + mpmath.log(mpmath.cosh(r_s))) / 2
    return exact_amplitudes([[quadratic]], [linear], log_vacuum, (cutoff,))


# r_d, phi_d, r_s, phi_s, and how much worse than BARS it may be: in single precision an angle of
# 2 is known to 1e-7 only, which at r_d = 10 moves the state by 1e-6 e^{r_s}
DISPLACED_SQUEEZED = [
    (0.5, 0.3, 0.3, 1.0, 1),
    (3.0, 1.2, -1.5, 2.4, 1),
    (5.0, 3.0, 0.5, 3.0, 1),
    (0.0, 1.0, 2.0, 1.0, 1),
    (-2.0, 0.4, 0.0, 2.0, 1),
    (10.0, 0.3, 0.5, 1.0, 10),
    (10.0, 2.0, 2.0, 4.0, 10),
]


def test_displaced_squeezed_states_to_cutoff_100(dtype):
    rows = [row[:4] for row in DISPLACED_SQUEEZED]
    got, points = batched(kets.displaced_squeezed, rows, 100, dtype)
    for ket, point, (*_, factor) in zip(got, points, DISPLACED_SQUEEZED, strict=True):
        expected = exact_displaced_squeezed(*map(float, point), 100)
        close(ket, expected, factor * BARS[dtype.name])


def test_photon_statistics_of_displaced_squeezed_states(x64):
    rows = [(0.5, 0.3, 0.3, 1.0), (3.0, 2.0, 0.5, -1.0), (-2.0, 0.4, -0.4, 2.0)]
    got, points = batched(kets.displaced_squeezed, rows, 100, np.dtype(complex))
    n, p = np.arange(100), abs(got) ** 2
    r_d, phi_d, r_s, phi_s = points.T
    turn = phi_d - phi_s / 2
    spread = np.exp(-2 * r_s) * np.cos(turn) ** 2 + np.exp(2 * r_s) * np.sin(turn) ** 2
    close(p @ n, r_d**2 + np.sinh(r_s) ** 2, 1e-12)
    variance = r_d**2 * spread + 2 * np.sinh(r_s) ** 2 * np.cosh(r_s) ** 2
    close(p @ n**2 - (p @ n) ** 2, variance, 1e-10)


def squeezed_modes(strengths, seed):
    """B = U diag(-tanh r) U^T for a random unitary U."""
    rng = np.random.default_rng(seed)
    modes = len(strengths)
    unitary, _ = np.linalg.qr(rng.normal(size=(modes, modes)) + 1j * rng.normal(size=(modes,) * 2))
    return unitary @ np.diag(-np.tanh(strengths)) @ unitary.T


MANY_MODES = [
    ((1.5, 1.5), (0.3, 0.2j), (50, 40)),
    ((1.5, -1.5), (2.0, -2.0j), (30, 50)),
    ((1.0, -0.5, 1.2), (0.4, -0.3j, 1 + 0.2j), (8, 13, 10)),
    ((1.2, 0.3, -0.8, 0.6), (0.2j, -0.3, 0.5, 1j), (3, 6, 4, 5)),
]


@pytest.mark.parametrize("strengths, alpha, cutoffs", MANY_MODES)
def test_recurrence_of_several_modes(dtype, strengths, alpha, cutoffs):
    """One axis after the other would lose all digits on the second in single precision."""
    quadratic = squeezed_modes(strengths, 1).astype(np.complex64).astype(complex)
    alpha = np.array(alpha, complex)
    linear = (alpha - quadratic @ alpha.conj()).astype(np.complex64).astype(complex)
    log_vacuum = complex(
        np.complex64(-alpha.conj() @ linear / 2 - np.log(np.cosh(strengths)).sum() / 2)
    )
    exact = [[mpmath.mpc(z) for z in row] for row in quadratic]
    expected = exact_amplitudes(exact, [mpmath.mpc(z) for z in linear], log_vacuum, cutoffs)
    got = jax.jit(amplitudes, static_argnums=3)(
        *(np.asarray(value, dtype) for value in (quadratic, linear, log_vacuum)), cutoffs
    )
    close(got, expected, BARS[dtype.name])


# Gaussian states ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_gaussian_states_against_the_walrus(x64):
    rng = np.random.default_rng(3)
    for modes, cutoffs, hbar in ((1, (14,), 2.0), (2, (6, 9), 1.0), (3, (5, 3, 4), 0.7)):
        S = dense.random_symplectic(modes, [0.5, -0.3, 0.4][:modes])
        cov = S @ S.T * hbar / 2
        mean = rng.normal(size=2 * modes) * math.sqrt(hbar)
        expected = walrus.quantum("state_vector", mean, cov, cutoff=max(cutoffs), hbar=hbar)
        expected = expected[tuple(slice(c) for c in cutoffs)]
        close(kets.gaussian(cov, mean, cutoff=cutoffs, hbar=hbar), expected, 1e-13)


def test_gaussian_states_are_those_of_their_covariance(x64):
    """Means and variances that the state reads are the ones it was made of."""
    hbar, S = 1.3, dense.random_symplectic(5, [0.3, -0.2])
    cov, mean = S @ S.T * hbar / 2, np.array([0.5, -0.3, 0.2, 0.7])
    circuit = fj.Circuit(2, hbar=hbar).prepare("gaussian", cov, mean, modes=(0, 1))
    angles = np.array([0.0, math.pi / 2])

    @jax.jit
    def read():
        state = circuit({}, cutoff=(34, 30))
        assert state.truncations == 1 and not state.reflects
        return [jax.vmap(lambda angle, k=k: state.quadrature(k, angle))(angles) for k in (0, 1)]

    for mode, (means, variances) in enumerate(read()):
        close(means, mean[[mode, 2 + mode]], 1e-8)
        close(variances, np.diag(cov)[[mode, 2 + mode]], 1e-6)


def test_displaced_squeezed_states_are_gaussian(x64):
    turned = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    cov = turned @ np.diag(np.exp([-1.0, 1.0])) @ turned.T
    mean = 2 * 0.8 * np.array([np.cos(0.3), np.sin(0.3)])

    @jax.jit
    def both():
        one = kets.displaced_squeezed(0.8, 0.3, 0.5, 1.4, cutoff=20)
        return one, kets.gaussian(cov, mean, cutoff=20)

    close(*both(), 1e-14)


def test_gaussian_vacuum_and_its_derivatives(x64):
    """At the vacuum the mean adds one photon to first order, the covariance a pair."""

    def ket(cov, mean):
        ket = kets.gaussian(cov, mean, cutoff=(3, 2))
        return jnp.stack([ket.real, ket.imag])

    vacuum = np.eye(4), np.zeros(4)
    forwards = jax.jacfwd(ket, argnums=(0, 1))
    cotangent = np.arange(12.0).reshape(2, 3, 2)
    everything = jax.jit(lambda *x: (ket(*x), *forwards(*x), *jax.vjp(ket, *x)[1](cotangent)))
    value, by_cov, by_mean, *pulled = map(np.asarray, everything(*vacuum))
    value, by_cov, by_mean = (real + 1j * imag for real, imag in (value, by_cov, by_mean))
    close(value, dense.vacuum((3, 2)), 1e-14)
    expected = np.zeros((3, 2, 4), complex)
    expected[1, 0], expected[0, 1] = [0.5, 0, 0.5j, 0], [0, 0.5, 0, 0.5j]
    close(by_mean, expected, 1e-14)
    # B = (V_xx - V_pp + i (V_xp + V_px)) / 4 to first order, and |2, 0> has B_11 / sqrt 2
    close(by_cov[2, 0, 0, [0, 2]], np.array([1, 1j]) / (4 * math.sqrt(2)), 1e-14)
    close(by_cov[1, 1, 0, 1], 1 / 8, 1e-14)
    for got, slope in zip(pulled, (by_cov, by_mean), strict=True):
        both = np.tensordot(cotangent[0], slope.real, 2) + np.tensordot(cotangent[1], slope.imag, 2)
        close(got, both, 1e-14)


def test_a_traced_covariance_that_is_not_pure_shows_as_leakage(x64):
    """One thermal photon: the vacuum's share is half. What is not even positive gives nothing."""

    @jax.jit
    @jax.vmap
    def leakage(cov):
        return fj.from_ket(kets.gaussian(cov, cutoff=60)).leakage

    covs = np.array([np.diag([0.5, 2.0]), 3 * np.eye(2), np.diag([-4.0, 1.0])])
    close(leakage(covs), [0, 0.5, 1], 1e-12)


# Derivatives -------------------------------------------------------------------------------------

ONE_MODE = {
    "coherent": (0.7, 0.4),
    "squeezed": (0.6, -1.1),
    "displaced_squeezed": (0.7, 0.4, -0.5, 2.0),
    "cat": (0.9, 0.3, 1.0),
    "gkp": (1.1, 0.6, 0.3),
}


@pytest.mark.slow
def test_derivatives(x64):
    """Along a direction: the first and second forwards, against differences; backwards, the same
    first; and all finite at zero."""

    def everything(x):
        parts, start = [], 0
        for name, values in ONE_MODE.items():
            parts.append(getattr(kets, name)(*x[start : start + len(values)], cutoff=5))
            start += len(values)
        parts.append(kets.two_mode_squeezed(x[start], x[start + 1], cutoff=(3, 2)).ravel())
        ket = jnp.concatenate(parts)
        return jnp.concatenate([ket.real, ket.imag])

    @jax.jit
    @jax.vmap
    def along(x):
        slope = lambda x: jax.jvp(everything, (x,), (direction,))  # noqa: E731
        (value, first), (_, second) = jax.jvp(slope, (x,), (direction,))
        return value, first, second, jax.vjp(everything, x)[1](cotangent)[0]

    rng = np.random.default_rng(7)
    x = np.array([value for values in ONE_MODE.values() for value in values] + [0.4, 0.9])
    direction, cotangent = rng.normal(size=len(x)), rng.normal(size=62)
    origin = np.zeros_like(x)
    origin[-3] = 0.2  # the damping
    step = 1e-4
    points = np.stack([x, origin, *(x + k * step * direction for k in (-2, -1, 1, 2))])
    value, first, second, back = map(np.asarray, along(points))
    for got, before in ((first, value), (second, first)):
        lower, low, high, higher = before[2:]
        close(got[0], (lower - 8 * low + 8 * high - higher) / (12 * step), 1e-9)
    close(back[0] @ direction, first[0] @ cotangent, 1e-12)
    assert all(np.all(np.isfinite(part[1])) for part in (first, second, back))


# Strawberry Fields -------------------------------------------------------------------------------


def strawberry_fields(operation, parameters, cutoff):
    sf = oracle.load()
    program = sf.Program(1)
    with program.context as q:
        _ = getattr(sf.ops, operation)(*parameters) | q[0]
    return sf.Engine("fock", backend_options={"cutoff_dim": cutoff}).run(program).state.ket()


OF_STRAWBERRY_FIELDS = [
    ("coherent", "Coherent", (0.7, 0.4)),
    ("squeezed", "Squeezed", (-0.7, 0.4)),
    ("displaced_squeezed", "DisplacedSqueezed", (0.7, 0.4, 0.5, -2.1)),
    ("displaced_squeezed", "DisplacedSqueezed", (-0.7, 2.4, -0.5, 1.0)),
    ("cat", "Catstate", (0.7, 0.4, 0.0)),
    ("cat", "Catstate", (1.2, -0.4, 1.0)),
    ("cat", "Catstate", (-0.6, 2.4, 0.3)),
    ("gkp", "GKP", (0.0, 0.0, 0.2)),
    ("gkp", "GKP", (2.1, 0.4, 0.1)),
    ("gkp", "GKP", (1.0, -2.0, 0.5)),
]


@needs_oracle
def test_kets_of_strawberry_fields(x64):
    """With their phases. SF itself adds 1e-10 under a root in displaced squeezed and GKP states."""
    *ours, few_teeth = jax.jit(
        lambda: [
            *(getattr(kets, name)(*given, cutoff=12) for name, _, given in OF_STRAWBERRY_FIELDS),
            kets.gkp(1.0, -2.0, 0.1, cutoff=12, ampl_cutoff=0.5),
        ]
    )()
    for ket, (_, operation, given) in zip(ours, OF_STRAWBERRY_FIELDS, strict=True):
        if operation == "GKP":
            given = (list(given[:2]), given[2])
        close(ket, strawberry_fields(operation, given, 12), 1e-10)
    close(few_teeth, strawberry_fields("GKP", ([1.0, -2.0], 0.1, 0.5), 12), 1e-10)  # 3 of each


# What is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((np.array([[1, 0.1], [0, 1]]),), "symmetric, but an element differs.* by 0.1"),
        ((0.9 * np.eye(2),), "uncertainty relation.*hbar = 2.*eigenvalue -0.1"),
        ((3 * np.eye(2),), "mixed state, of purity 0.333333"),
        ((np.eye(4),), r"shape \(2, 2\) for 1 mode\(s\), got \(4, 4\)"),
        ((np.eye(3),), r"shape \(2n, 2n\), got \(3, 3\)"),
        ((np.full((2, 2), np.nan),), "finite"),
        ((np.eye(2), np.zeros(3)), r"`mean` must have shape \(2,\)"),
    ],
)
def test_covariances_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        kets.gaussian(*arguments, cutoff=3)
    if not (isinstance(arguments[0], np.ndarray) and np.isnan(arguments[0]).any()):
        with pytest.raises(ValueError, match=f"prepare gaussian.*{message}"):
            fj.Circuit(1).prepare("gaussian", *arguments, modes=0)


KETS = [
    (np.array([1.0, 1.0]), "norm 1.414214, above 1"),
    (np.array([1.0, 2e-3j]), "norm 1.000002, above 1"),
    (np.zeros(2), "zero"),
    (np.array([np.nan, 0.0]), "finite"),
    (np.array([np.inf, 0.0]), "finite"),
    (np.array(["a", "b"]), "numbers"),
]


@pytest.mark.parametrize("ket, message", KETS)
def test_kets_that_are_refused(ket, message):
    calls = [
        lambda: kets.ket(ket, cutoff=2),
        lambda: fj.from_ket(ket),
        lambda: fj.Circuit(1)({}, cutoff=2, initial=ket),
    ]
    if ket.dtype.kind != "U" and np.all(np.isfinite(ket)):
        calls.append(lambda: fj.Circuit(1).prepare("ket", ket, modes=0))
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()


def test_kets_that_are_allowed():
    long = np.full(1000, (1 + 2e-5) / math.sqrt(1000), np.complex64)  # single precision drifts
    fj.from_ket(long)
    assert fj.from_ket(np.array([0.5, 0.5j])).norm < 1
    fj.from_ket(np.array([1.0, 1e-3j]))
    with pytest.raises(ValueError, match="each of 2 modes"):
        kets.ket(np.array([1.0]), cutoff=(2, 2))
    with pytest.raises(ValueError, match="one axis"):
        kets.ket(1.0, cutoff=2)


def test_any_ket_is_cut_or_filled_up_to_the_cutoff():
    ket = dense.random_ket(np.random.default_rng(2), (3, 4)).astype(np.complex64)
    np.testing.assert_array_equal(kets.ket(ket, cutoff=(5, 2))[:3], ket[:, :2])
    assert not np.any(kets.ket(ket, cutoff=(5, 2))[3:])
    np.testing.assert_array_equal(kets.ket([0, 1], cutoff=2), kets.fock(1, cutoff=2))


def test_what_else_is_refused():
    with pytest.raises(ValueError, match="`epsilon` must be finite and >= 0, got -0.1"):
        kets.gkp(epsilon=-0.1, cutoff=3)
    with pytest.raises(ValueError, match="`ampl_cutoff` must lie between 0 and 1, got 2"):
        kets.gkp(cutoff=3, ampl_cutoff=2)
    circuit = fj.Circuit(2)
    with pytest.raises(ValueError, match="`epsilon` must be positive, got -0.1"):
        circuit.prepare("gkp", epsilon=-0.1, modes=0)
    with pytest.raises(ValueError, match="`ampl_cutoff` must lie"):
        circuit.prepare("gkp", ampl_cutoff=0.0, modes=0)
    with pytest.raises(ValueError, match="`n` must be an integer >= 0, got -1"):
        circuit.prepare("fock", n=-1, modes=0)
    with pytest.raises(ValueError, match="cutoff of at least 4, got 3"):
        kets.fock(3, cutoff=3)
    with pytest.raises(ValueError, match=r"two_mode_squeezed.* acts on 2 mode"):
        circuit.prepare("two_mode_squeezed", 0.1, modes=0)
    with pytest.raises(ValueError, match=r"must agree in shape, got \(2,\) and \(1,\)"):
        circuit.prepare("ket", [1.0, 0.0], [0.0], modes=0)
    with pytest.raises(ValueError, match="one axis for each of 1 mode"):
        circuit.prepare("ket", [[1.0]], [[0.0]], modes=0)
    assert not circuit.operations
