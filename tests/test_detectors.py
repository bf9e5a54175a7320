"""Detectors of one mode: their effects, probabilities and draws, against closed forms."""

import math
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import close
from dense import coherent, counting_probability, hermite_functions
from jaxprs import equations
from scipy import stats
from scipy.special import erfc, gammaln

import fockjax as fj
from fockjax._random import draw_photon_number, tails, uniform
from fockjax.detectors._inversion import Cells
from fockjax.interop import oracle

ALARM = 1e-4  # how often a statistical test would fail by chance, were its key not fixed
CUTOFF, ANGLE = 6, 0.7


def random_ket(seed, *shape):
    random = np.random.RandomState(seed)
    ket = random.standard_normal((2, *shape))
    return (ket[0] + 1j * ket[1]) / np.linalg.norm(ket)


def random_rho(seed, cutoff, trace=0.8):
    """A mixed state with complex coherences that has lost something."""
    kets = [random_ket(seed + k, cutoff) for k in range(3)]
    return trace / 3 * sum(np.outer(ket, ket.conj()) for ket in kets)


def quadrature_cdf(rho, angle, q):
    """Closed form, float64: ``int h_m h_n = (h_m' h_n - h_m h_n') / (2 (n - m))``, and for m = n
    from one to the next; q in units of sqrt(hbar).
    """
    size = len(rho)
    n = np.arange(size)
    h = hermite_functions(q, size + 1)
    slopes = np.sqrt(n / 2)[:, None] * h[n - 1] - np.sqrt((n + 1) / 2)[:, None] * h[n + 1]
    h = h[:size]
    same = erfc(-q) / 2 - np.cumsum(
        np.vstack([0 * q, h[:-1] * h[1:] / np.sqrt(2 * n[1:])[:, None]]), 0
    )
    real = (rho * np.exp(1j * angle * (n - n[:, None]))).real
    gap = np.where(n == n[:, None], 1, n - n[:, None])
    off = np.where(n == n[:, None], 0, real / gap)
    return (np.diag(real) @ same + np.einsum("mx,mn,nx->x", slopes, off, h)) / np.trace(real)


# photons and clicks


@cache
def photon_weights():
    """Weights, and their first and second derivatives, at each outcome."""

    def weights(parameters, k):
        return fj.detectors.photons(*parameters, cutoff=4).effect(k)[0]

    def all_of_them(parameters, k):
        reverse = jax.jacrev(weights)
        return weights(parameters, k), reverse(parameters, k), jax.jacfwd(reverse)(parameters, k)

    each = jax.vmap(all_of_them, (None, 0))
    return jax.jit(jax.vmap(each, (0, None)))


def test_counts_of_an_imperfect_detector(x64):
    """Values and derivatives, both ends of the ranges included."""
    points = np.array([[0.3, 0.4], [1.0, 0.0], [0.0, 0.0], [0.0, 0.7], [1.0, 1.2]])
    outcomes = np.array([-1, 0, 1, 2, 5, 40])
    values, slopes, second = photon_weights()(points, outcomes)
    step = 1e-4

    def table(efficiency, dark):
        return np.array(
            [
                [counting_probability(k, n, efficiency, dark) if k >= 0 else 0.0 for n in range(4)]
                for k in outcomes
            ]
        )

    for point, value, slope, curvature in zip(points, values, slopes, second, strict=True):
        close(value, table(*point))
        for axis, move in enumerate(step * np.eye(2)):
            ahead, behind = table(*(point + move)), table(*(point - move))
            close(slope[..., axis], (ahead - behind) / (2 * step), 1e-7)
            bend = (ahead + behind - 2 * table(*point)) / step**2
            close(curvature[..., axis, axis], bend, 1e-6)


def test_effects_of_counters_sum_to_one(x64):
    photons = fj.detectors.photons(0.6, 0.5, cutoff=CUTOFF)
    threshold = fj.detectors.threshold(0.6, 0.5, cutoff=CUTOFF)
    weights, bras = jax.jit(jax.vmap(photons.effect))(jnp.arange(30))
    close(np.einsum("kj,kjm,kjn->mn", weights, bras, bras), np.eye(CUTOFF))
    clicks, bras = jax.jit(jax.vmap(threshold.effect))(jnp.arange(3))
    close(clicks.sum(0), 1)
    close(clicks[2], 0)
    close(clicks[0], weights[0])
    close(bras[1], np.eye(CUTOFF))


@pytest.mark.parametrize("dark, efficiency", [(1e-9, 0.0), (0.0, 1e-9)])
def test_rare_clicks_keep_their_digits(dark, efficiency):
    click, _ = fj.detectors.threshold(efficiency, dark, cutoff=3).effect(1)
    np.testing.assert_allclose(click, dark + efficiency * np.arange(3), rtol=1e-6)


def test_an_ideal_counter_leaves_pure_states_pure():
    detector = fj.detectors.photons(cutoff=3)
    weights, bras = detector.effect(2)
    close(weights, [1])
    close(bras, [[0, 0, 1]])
    close(detector.effect(3)[1], [[0, 0, 0]])  # beyond the cutoff: never found
    assert fj.detectors.photons(0.9, cutoff=3).effect(2)[0].shape == (3,)


def test_dark_counts_are_drawn_where_there_may_be_some():
    """JAX draws Poisson numbers in loops, which take seconds to compile."""

    def loops(**noise):
        detector = fj.detectors.photons(**noise, cutoff=3)
        traced = equations(lambda key: detector.respond(key, jnp.int32(2)), jax.random.key(0))
        return any(equation.primitive.name == "while" for equation in traced)

    assert loops(efficiency=0.9, dark_counts=0.1) and not loops(efficiency=0.9)


def test_dark_counts_are_drawn_with_keys_of_any_generator():
    """`jax.random.poisson` takes those of one alone."""
    detector = fj.detectors.photons(0.0, 2.0, cutoff=2)
    keys = jax.random.split(jax.random.key(0, impl="rbg"), 2000)
    counts = jax.vmap(lambda key: detector.respond(key, jnp.int32(1)))(keys)
    assert abs(counts.mean() - 2) < 5 * np.sqrt(2 / 2000)


@pytest.mark.parametrize("make", [fj.detectors.photons, fj.detectors.threshold])
def test_parameters_out_of_range(make):
    for values in ({"efficiency": 1.2}, {"efficiency": -0.1}, {"dark_counts": -1.0}):
        with pytest.raises(ValueError, match=f"`{next(iter(values))}` must (lie|be)"):
            make(**values, cutoff=3)

    def traced(efficiency):
        detector = make(efficiency, cutoff=3)
        rho = np.diag([0.5, 0.5, 0]).astype(np.complex64)
        return detector.effect(1)[0], detector.sample(jax.random.key(0), rho)

    weights, outcome = jax.jit(jax.vmap(traced))(np.array([1.2, math.nan, 0.5], np.float32))
    assert np.isnan(weights[:2]).all() and np.isfinite(weights[2]).all()
    assert outcome[0] == outcome[1] == -1 and outcome[2] in (0, 1)


def test_draws_resolve_what_is_rare():
    """More digits near 0 than a step of 2^-24, and all photon numbers at their own share."""
    keys = jax.random.split(jax.random.key(3), 20_000)
    drawn = np.asarray(jax.jit(jax.vmap(lambda key: uniform(key, jnp.float32)))(keys))
    assert 0 < drawn.min() and drawn.max() < 1
    assert stats.kstest(drawn, "uniform").pvalue > ALARM
    small = drawn[drawn < 0.01] * 2.0**24
    assert np.mean(small == np.round(small)) < 0.1
    p = np.array([0.5, 0.0, 0.3, 0.2, 0.0])
    n = np.asarray(
        jax.jit(jax.vmap(draw_photon_number, (0, None)))(keys, tails(jnp.asarray(3 * p)))
    )
    counts = np.bincount(n, minlength=5)
    assert counts[1] == counts[4] == 0
    assert stats.chisquare(counts[p > 0], len(n) * p[p > 0]).pvalue > ALARM


# homodyne


def homodyne_effects(x):
    return fj.detectors.homodyne(ANGLE, cutoff=CUTOFF, hbar=1.5).effect(x)


def test_effects_of_homodyne_sum_to_one(x64):
    x, step = np.linspace(-12, 12, 400, retstep=True)
    weights, bras = jax.jit(jax.vmap(homodyne_effects))(x)
    assert weights.shape == (400, 1)
    close(step * np.einsum("xj,xjm,xjn->mn", weights, bras, bras.conj()), np.eye(CUTOFF))
    expected = (
        hermite_functions(x / math.sqrt(1.5), CUTOFF)
        * np.exp(-1j * ANGLE * np.arange(CUTOFF))[:, None]
    )
    close(bras[:, 0].T, expected / 1.5**0.25)


@pytest.mark.parametrize(
    "name, tolerance",
    [("complex64", 4e-7), pytest.param("complex128", 1e-11, marks=pytest.mark.slow)],
)
def test_points_of_a_share_of_homodyne_outcomes(name, tolerance, request):
    """Within rounding of the closed form at all states, right out to the tails."""
    if name == "complex128":
        request.getfixturevalue("x64")
    size = 24
    kets = [random_ket(0, size), np.eye(size)[-1], coherent(1.8 * np.exp(0.4j), size)]
    rhos = np.array([np.outer(ket, np.conj(ket)) for ket in kets]).astype(name)
    detector = fj.detectors.homodyne(ANGLE, cutoff=size, hbar=1.0)
    real = np.finfo(name).dtype
    shares = np.array([1e-15, 1e-9, 1e-6, 1e-3, 0.1, 0.37, 0.5], real)
    cells = fj.detectors._homodyne._cells(size)

    def both_sides(rho):
        def inverse(share, right):
            return cells.quantile(share, right, detector._density(rho))

        inverse = jax.vmap(jax.vmap(inverse, (None, 0)), (0, None))
        return inverse(shares, jnp.arange(2) == 1)

    found = np.asarray(jax.jit(jax.vmap(both_sides))(rhos), float)
    for rho, points in zip(rhos.astype(complex), found, strict=True):
        left = quadrature_cdf(rho, ANGLE, points[:, 0])
        n = np.arange(size)
        mirrored = rho * (-1.0) ** (n + n[:, None])
        right = quadrature_cdf(mirrored, ANGLE, -points[:, 1])  # what lies beyond
        close(left, shares, tolerance)
        close(right, shares, tolerance)
        # far out shares mean something too, but for the digits that the closed form loses there
        assert (np.diff(points[:, 0]) > 0).all() and (np.diff(points[:, 1]) < 0).all()


def test_tails_of_the_vacuum_at_a_high_cutoff():
    """Where erfc is known: 1e-15 of the whole is resolved in single precision."""
    cells = fj.detectors._homodyne._cells(40)
    detector = fj.detectors.homodyne(cutoff=40, hbar=1.0)
    rho = np.zeros((40, 40), np.complex64)
    rho[0, 0] = 0.9
    find = jax.jit(lambda share: cells.quantile(share, jnp.asarray(True), detector._density(rho)))
    q = float(find(jnp.float32(1e-15)))
    np.testing.assert_allclose(erfc(q) / 2, 1e-15, rtol=1e-4)


@pytest.mark.parametrize("name", ["homodyne", "heterodyne"])
def test_probabilities_and_their_derivatives(name, x64):
    """Of a displaced state, along its own parameters and the detector's, against differences."""
    rho = random_rho(4, CUTOFF)

    def density(t):
        turns = t[0] * np.subtract.outer(np.arange(CUTOFF), np.arange(CUTOFF)).astype(float)
        turned = rho * jax.lax.complex(jnp.cos(turns), jnp.sin(turns))
        if name == "homodyne":
            detector = fj.detectors.homodyne(t[1], cutoff=CUTOFF)
            return detector.probability(t[2], turned)
        detector = fj.detectors.heterodyne(cutoff=CUTOFF)
        return detector.probability(jax.lax.complex(t[1], t[2]), turned)

    def everything(t):
        return density(t), jax.grad(density)(t), jax.jacfwd(density)(t)

    run = jax.jit(jax.vmap(everything))
    points = np.array([[0.2, 0.7, -0.4], [0.0, 0.0, 0.0]])
    step = 1e-3
    moves = step * np.vstack([np.zeros(3), np.eye(3), -np.eye(3), 2 * np.eye(3), -2 * np.eye(3)])
    values, reverse, forward = (
        np.asarray(part).reshape(2, 13, *part.shape[1:])
        for part in run((points[:, None] + moves).reshape(-1, 3))
    )
    near, far = values[:, 1:4] - values[:, 4:7], values[:, 7:10] - values[:, 10:]
    slopes = (8 * near - far) / (12 * step)
    assert (abs(slopes) > 1e-4).any(0).all()
    close(reverse[:, 0], slopes, 1e-9)
    close(forward[:, 0], slopes, 1e-9)

    for point, value in zip(points, values[:, 0], strict=True):
        n = np.arange(CUTOFF)
        state = rho * np.exp(1j * point[0] * (n[:, None] - n))
        if name == "homodyne":
            bra = hermite_functions(point[2:] / math.sqrt(2), CUTOFF)[:, 0] * np.exp(
                -1j * point[1] * n
            )
            scale = math.sqrt(2)
        else:
            bra, scale = coherent(point[1] + 1j * point[2] + 1e-300, CUTOFF).conj(), math.pi
        close(value, (bra @ state @ bra.conj()).real / scale / np.trace(state).real)


def drawn(make, size, seed, rhos, *arguments, count=20_000):
    """Many outcomes of each of several states, compiled once."""
    keys = jax.random.split(jax.random.key(seed), (len(rhos), count))
    rhos = jnp.asarray(np.array(rhos), jnp.complex64)

    def sample(key, rho, *arguments):
        return make(*arguments, cutoff=size).sample(key, rho)

    def shots(keys, rho, *arguments):
        return jax.vmap(sample, (0, None, *[None] * len(arguments)))(keys, rho, *arguments)

    arguments = [np.array(argument, np.float32) for argument in arguments]
    return np.asarray(jax.jit(jax.vmap(shots))(keys, rhos, *arguments))


@pytest.mark.slow
def test_homodyne_of_a_cat_and_a_squeezed_state():
    size = 24
    halves = coherent(1.5 * np.exp(0.5j), size), coherent(-1.5 * np.exp(0.5j), size)
    cat = halves[0] + 1j * halves[1]
    r, phi = 0.5, 1.1
    even = np.arange(size // 2)
    squeezed = np.zeros(size, complex)
    squeezed[::2] = (-np.exp(1j * phi) * math.tanh(r) / 2) ** even / math.sqrt(math.cosh(r))
    squeezed[::2] *= np.exp(gammaln(2 * even + 1) / 2 - gammaln(even + 1))
    rhos = [np.outer(ket, ket.conj()) for ket in (cat, squeezed)]
    angles = (0.5 + math.pi / 2, 0.3)  # the first across the halves of the cat

    fringes, x = drawn(fj.detectors.homodyne, size, 1, rhos, angles)
    detector = fj.detectors.homodyne(angles[0], cutoff=size)
    one = jax.jit(lambda key: detector.sample(key, jnp.asarray(rhos[0], jnp.complex64)))
    keys = jax.random.split(jax.random.key(1), (2, len(x)))
    close(fringes[:3], [one(keys[0, k]) for k in range(3)], 1e-5)
    uniformly = quadrature_cdf(rhos[0], angles[0], fringes.astype(float) / math.sqrt(2))
    assert stats.kstest(uniformly, "uniform").pvalue > ALARM
    along = math.cos(angles[1] - phi / 2) ** 2
    variance = math.exp(-2 * r) * along + math.exp(2 * r) * (1 - along)
    assert stats.kstest(x, stats.norm(0, math.sqrt(variance)).cdf).pvalue > ALARM


# heterodyne


def test_effects_of_heterodyne_sum_to_one(x64):
    detector = fj.detectors.heterodyne(cutoff=CUTOFF)
    axis, step = np.linspace(-8, 8, 90, retstep=True)
    alpha = (axis + 1j * axis[:, None]).reshape(-1)
    weights, bras = jax.jit(jax.vmap(detector.effect))(alpha)
    close(step**2 * np.einsum("xj,xjm,xjn->mn", weights, bras, bras.conj()), np.eye(CUTOFF))
    close(bras[7, 0], coherent(alpha[7], CUTOFF).conj())


def test_heterodyne_draws_husimis_function():
    """Modulus and phase of a state without symmetry, jointly; and a coherent state's normal
    distribution."""
    at, size = 0.8 * np.exp(-2j), 10
    rho, ket = random_rho(9, CUTOFF), coherent(at, size)
    rhos = [np.pad(rho, [(0, size - CUTOFF)] * 2), np.outer(ket, ket.conj())]
    alpha, normal = drawn(fj.detectors.heterodyne, size, 4, rhos, count=10_000)
    for part in ((normal - at).real, (normal - at).imag):
        assert stats.kstest(part, stats.norm(0, math.sqrt(0.5)).cdf).pvalue > ALARM

    r = np.linspace(0, 6, 601)[1:] - 0.005
    phi = np.linspace(-math.pi, math.pi, 64, endpoint=False) + math.pi / 64
    kets = coherent(r[:, None, None] * np.exp(1j * phi[:, None]), CUTOFF)
    q = np.einsum("rpm,mn,rpn->rp", kets.conj(), rho, kets).real / math.pi / np.trace(rho).real
    mass = q * r[:, None] * 0.01 * (2 * math.pi / 64)
    close(mass.sum(), 1, 1e-5)
    edges = np.array([0, 90, 130, 170, 220, 600])
    expected = np.add.reduceat(mass.reshape(600, 8, 8).sum(2), edges[:-1], 0)
    rows = np.digitize(abs(alpha), edges[1:-1] * 0.01)
    columns = np.clip((np.angle(alpha) + math.pi) // (math.pi / 4), 0, 7).astype(int)
    counts = np.zeros((5, 8))
    np.add.at(counts, (rows, columns), 1)
    expected *= len(alpha) / expected.sum()
    assert expected.min() > 5
    assert stats.chisquare(counts.ravel(), expected.ravel()).pvalue > ALARM


@pytest.mark.parametrize("make", fj.detectors.REGISTRY)
def test_nothing_to_draw_from(make):
    detector = fj.detectors.REGISTRY[make].build(cutoff=3, dtype=jnp.complex64)
    bad = jnp.stack([jnp.full((3, 3), math.nan), jnp.zeros((3, 3))]).astype(jnp.complex64)
    drawn = jax.jit(jax.vmap(detector.sample, (None, 0)))(jax.random.key(0), bad)
    if fj.detectors.REGISTRY[make].outcome == "integer":
        assert (drawn == -1).all()
    else:
        assert np.isnan(drawn).all()


def test_cells_of_any_density():
    """A density with a gap and a pole's worth of slope, by cells alone."""
    cells = Cells(8, 0.5)
    q = cells.nodes()
    density = jnp.asarray(np.where(abs(q) < 1, 0, q**2), jnp.float32)
    find = jax.jit(jax.vmap(cells.quantile, (0, None, None)))
    share = np.array([0.1, 0.25, 0.5], np.float32)
    for right, sign in ((False, -1), (True, 1)):
        found = find(share, jnp.asarray(right), density)
        close(found, sign * np.cbrt(64 - 126 * share), 1e-5)


@pytest.mark.slow
@pytest.mark.skipif(not oracle.is_installed(), reason="needs Strawberry Fields")
def test_strawberry_fields_measures_the_same(x64, monkeypatch):
    """The distribution that `MeasureHomodyne` draws from, and the state of the other mode after it
    and after `MeasureFock`.

    The state after a homodyne outcome x at x = 0 only: elsewhere Strawberry Fields displaces the
    cut eigenstate of 0 by a cut displacement, which is not the cut eigenstate of x.
    """
    sf = oracle.load()
    cutoff, ket = 7, random_ket(11, 7, 7)
    seen = []

    def run(measurement):
        program = sf.Program(2)
        with program.context as q:
            _ = sf.ops.Ket(ket) | (q[0], q[1])
            _ = measurement | q[1]
        state = sf.Engine("fock", backend_options={"cutoff_dim": cutoff}).run(program).state
        return state.reduced_dm(0)

    homodyne = fj.detectors.homodyne(0.8, cutoff=cutoff)
    photons = fj.detectors.photons(cutoff=cutoff)
    for (weights, bras), measurement in (
        (homodyne.effect(0.0), sf.ops.MeasureHomodyne(0.8, select=0.0)),
        (photons.effect(2), sf.ops.MeasureFock(select=2)),
    ):
        left = ket @ np.asarray(bras[0])
        rho = np.outer(left, left.conj()) * float(weights[0])
        close(rho / np.trace(rho), run(measurement), 1e-10)

    draw = np.random.multinomial
    monkeypatch.setattr(np.random, "multinomial", lambda n, p: seen.append(p) or draw(n, p))
    run(sf.ops.MeasureHomodyne(0.8))
    x = np.linspace(-10, 10, len(seen[0]))[::1000]
    rho = jnp.asarray(ket.T @ ket.conj())
    ours = jax.jit(jax.vmap(homodyne.probability, (0, None)))(x, rho)
    close(seen[0][::1000] / (20 / (len(seen[0]) - 1)), ours, 1e-6)


@pytest.mark.parametrize("efficiency", [1.0, 0.9])
def test_counts_are_integers(efficiency):
    detector = fj.detectors.photons(efficiency, cutoff=3)
    rho = np.diag([0.0, 1.0, 0.0])
    close(detector.probability(np.int8(1), rho), efficiency, 1e-6)
    with pytest.raises(TypeError, match="`outcome` must be an integer, got 1.5"):
        detector.probability(1.5, rho)
