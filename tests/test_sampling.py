"""Shots from states: joint distributions against exact ones, and that it batches and compiles."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import close
from dense import coherent, counting_probability, hermite_functions
from scipy import stats
from test_detectors import ALARM, random_ket

import fockjax as fj
from fockjax.readouts import sampling

SHOTS = 10_000


def entangled(cutoffs=(4, 3, 5)):
    """Modes 0 and 2 in one factor, mode 1 in another; complex, and something is lost."""
    pair, single = 0.9 * random_ket(1, cutoffs[0], cutoffs[2]), random_ket(2, cutoffs[1])
    joint = np.einsum("ac,b->abc", pair, single)
    state = fj.vacuum(cutoffs)
    factors = tuple(
        type(state.factors[0]).of_ket(jnp.asarray(ket, state.dtype), modes)
        for ket, modes in ((pair, (0, 2)), (single, (1,)))
    )
    return replace(state, factors=factors), joint


def agrees(outcomes, expected):
    """Whether rows of integers have a distribution, an axis for each column, by chi-square; what is
    expected fewer than five times counts as one.
    """
    counts = np.zeros(expected.shape)
    np.add.at(counts, tuple(np.asarray(outcomes).T), 1)
    expected = expected / expected.sum() * len(outcomes)
    rare = expected < 5
    counts, expected = (
        np.append(values[~rare], values[rare].sum()) for values in (counts, expected)
    )
    if expected[-1] < 5:  # nearly nothing is rare: no cell of its own
        assert counts[-1] < 25
        counts, expected = counts[:-1], expected[:-1] * counts[:-1].sum() / expected[:-1].sum()
    return stats.chisquare(counts, expected).pvalue > ALARM


def test_photon_numbers():
    """In an order of its own; the state's norm is below one."""
    state, joint = entangled()
    p = abs(joint.transpose(2, 0, 1)) ** 2
    outcomes = jax.jit(lambda key: state.sample_photons(key, (2, 0, 1), SHOTS))(jax.random.key(0))
    assert outcomes.shape == (SHOTS, 3) and outcomes.dtype == jnp.int32
    assert agrees(outcomes, p)


@pytest.mark.slow
def test_photons_and_clicks_of_imperfect_detectors():
    state, joint = entangled()
    p = abs(joint.transpose(2, 0, 1)).astype(float) ** 2
    noise = {"efficiency": 0.7, "dark_counts": 0.3}
    counts, clicks = jax.jit(
        lambda key, noise: (
            state.sample_photons(key, (2, 0, 1), SHOTS, **noise),
            state.sample_threshold(key, (2, 0, 1), SHOTS, **noise),
        )
    )(jax.random.key(1), noise)
    tables = [
        np.array([[counting_probability(k, n, 0.7, 0.3) for n in range(size)] for k in range(12)])
        for size in p.shape
    ]
    assert agrees(counts, np.einsum("abc,ia,jb,kc->ijk", p, *tables))
    silent = [np.stack([table[0], 1 - table[0]]) for table in tables]
    assert agrees(clicks, np.einsum("abc,ia,jb,kc->ijk", p, *silent))


def test_rare_photon_numbers():
    """A pattern of 2e-9, beside one of nearly 1: given the first mode, the others are certain."""
    ket = np.zeros((2, 3, 3))
    ket[0, 0, 0], ket[1, 2, 1] = 1, 4e-5
    table = fj.detectors.counter.tails(jnp.asarray((ket**2).sum(0), jnp.float32))
    assert table[2, 1] > 0 and table[2, 1] == table[2, 0]
    likely = np.array([1 - 1e-7, 1e-7, 0.0])
    exact = fj.detectors.counter.tails(jnp.asarray(likely, jnp.float32))[1]
    np.testing.assert_allclose(exact, 1e-7, rtol=1e-6)


@pytest.mark.slow
def test_two_mode_squeezed_vacuum():
    """Equal photon numbers, and correlated quadratures: EPR."""
    r, cutoff = 0.5, 12
    circuit = fj.Circuit(2).two_mode_squeeze(r, modes=(0, 1))

    @jax.jit
    def sample(key, angles):
        state = circuit({}, cutoff=cutoff)
        homodyne = jax.vmap(lambda angle: state.sample_homodyne(key, shots=5000, angle=angle))
        return state.sample_photons(key, shots=SHOTS), homodyne(angles)

    angles = np.array([[0, 0], [math.pi / 2, math.pi / 2]], np.float32)
    photons, (x, p) = sample(jax.random.key(5), angles)
    assert (photons[:, 0] == photons[:, 1]).all()
    thermal = math.tanh(r) ** (2 * np.arange(cutoff))
    assert agrees(photons[:, :1], thermal)
    for values, sign in ((x, -1), (p, 1)):
        for combined, variance in (
            (values[:, 0] + sign * values[:, 1], 2 * math.exp(-2 * r)),
            (values[:, 0] - sign * values[:, 1], 2 * math.exp(2 * r)),
        ):
            normal = stats.norm(0, math.sqrt(variance))
            assert stats.kstest(np.asarray(combined), normal.cdf).pvalue > ALARM


def waves(size, angle, edges):
    """What the bins hold: ``int <m|x><x|n>`` over each, for quadratures in units of sqrt(hbar)."""
    q = (edges[:-1, None] + np.diff(edges)[:, None] * (np.arange(50) + 0.5) / 50).reshape(-1)
    h = hermite_functions(q, size) * np.exp(-1j * angle * np.arange(size))[:, None]
    h = h.reshape(size, -1, 50) * np.sqrt(np.diff(edges) / 50)[:, None]
    return np.einsum("mbx,nbx->bmn", h.conj(), h)


def test_quadratures_of_entangled_modes():
    """Two modes of three in one factor, at angles of their own, in the units of the state."""
    ket = random_ket(3, 4, 3, 3)
    state = fj.from_ket(ket, hbar=0.5)
    angles = np.array([0.4, -1.3], np.float32)
    sample = jax.jit(lambda key: state.sample_homodyne(key, (2, 0), 2 * SHOTS, angle=angles))
    outcomes = np.asarray(sample(jax.random.key(6))) / math.sqrt(0.5)
    edges = np.array([-9, -1.2, -0.4, 0.3, 1.1, 9])
    bins = [np.digitize(column, edges[1:-1]) for column in outcomes.T]
    first, second = (waves(size, a, edges) for size, a in zip((3, 4), angles, strict=True))
    expected = np.einsum("abc,def,icf,jad,be->ij", ket.conj(), ket, first, second, np.eye(3)).real
    close(expected.sum(), 1, 1e-3)
    assert agrees(np.stack(bins, -1), expected)


@pytest.mark.slow
def test_mixed_factors_give_what_pure_ones_do():
    """The same keys, the same outcomes, up to rounding."""
    state, _ = entangled()
    mixed = replace(state, factors=tuple(factor.mixed() for factor in state.factors))

    @jax.jit
    def sample(key, states):
        return [state.sample_homodyne(key, (2, 0), 50, angle=0.3) for state in states]

    pure, mixed = sample(jax.random.key(7), (state, mixed))
    close(pure, mixed, 2e-4)


def test_rounds_and_vmap_change_nothing(monkeypatch):
    """Nor do modes of other factors, or the number of shots."""
    state, _ = entangled()
    keys = jax.random.split(jax.random.key(8), 2)

    batched = jax.jit(jax.vmap(lambda key: state.sample_photons(key, (2, 1), 40)))(keys)
    monkeypatch.setattr(sampling, "TOGETHER", 7)
    one = jax.jit(lambda key: state.sample_photons(key, (2, 1), 25))
    close(batched[:, :25], np.stack([one(key) for key in keys]))
    alone = state.sample_photons(keys[0], 1, 40)  # eagerly
    assert alone.shape == (40,)
    close(alone, batched[0, :, 1])


def test_more_shots_of_a_kind_compile_nothing():
    """Also where nobody compiles them: a notebook draws from one state after the other."""
    state, _ = entangled()

    def draw(seed, state, number):
        key = jax.random.key(seed)
        state.sample_photons(key, (2, 0), 20, efficiency=number)
        state.sample_homodyne(key, 1, 20, angle=number)
        return sampling._in_rounds._cache_size()

    assert draw(0, state, 0.3) == draw(1, jax.tree.map(lambda leaf: leaf / 2, state), 0.4)


def test_outcomes_are_constants():
    circuit = fj.Circuit(1).squeeze(fj.Weight("r"), mode=0)

    def mean(r):
        state = circuit({"r": r}, cutoff=6)
        return state.sample_homodyne(jax.random.key(0), 0, 10, angle=r).sum()

    value, slope = jax.jit(jax.value_and_grad(mean))(jnp.float32(0.3))
    assert np.isfinite(value) and slope == 0


def test_a_state_that_is_not_finite():
    state = fj.from_ket(np.ones(3) / 2)
    state = jax.tree.map(lambda leaf: leaf * jnp.nan, state)
    assert (state.sample_photons(jax.random.key(0), 0, 3) == -1).all()


def test_refusals():
    state, key = fj.vacuum((3, 3)), jax.random.key(0)
    for message, call in {
        "`modes` must be integers from 0 to 1, got 2": lambda: state.sample_photons(key, 2),
        "`modes` must not repeat": lambda: state.sample_heterodyne(key, (0, 0)),
        "at least one mode": lambda: state.sample_photons(key, ()),
        "at least one mode, got": lambda: state.sample_homodyne(key, ()),
        "`key` must be one JAX random key.*got 0": lambda: state.sample_photons(0),
        "`shots` must be an integer >= 1, got 0": lambda: state.sample_threshold(key, 0, 0),
        "`angle` must be a number or one for each of 2": lambda: state.sample_homodyne(
            key, angle=np.zeros(3)
        ),
        r"`efficiency` must lie in \[0, 1\]": lambda: state.sample_photons(key, efficiency=1.5),
        "`hbar` must be positive": lambda: state.sample_homodyne(key, hbar=0),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.slow
def test_a_million_shots_of_four_modes_take_little_memory():
    """No array of shots x D^n: that would be 40 GB."""
    state = fj.from_ket(random_ket(5, 10, 10, 10, 10))
    outcomes = 10**6 * 4 * 4
    for name, shots in (("photons", 10**6), ("homodyne", 10**6), ("heterodyne", 10**6)):
        sample = jax.jit(lambda state, key: getattr(state, f"sample_{name}")(key, shots=shots))  # noqa: B023
        compiled = sample.lower(state, jax.random.key(0)).compile()
        scratch = compiled.memory_analysis().temp_size_in_bytes
        assert scratch < sampling.MEMORY + 4 * outcomes, name


@pytest.mark.slow
def test_coherent_states_in_every_detector():
    """Product states, where all distributions are known."""
    alphas, cutoff = (0.8 * np.exp(0.7j), -1.1j), 20
    ket = np.multiply.outer(*[coherent(alpha, cutoff) for alpha in alphas])
    state = fj.from_ket(ket)  # one factor, though a product
    key, shots = jax.random.key(9), 10**5
    photons = state.sample_photons(key, shots=shots)
    clicks = state.sample_threshold(key, shots=shots, efficiency=0.5)
    x = np.asarray(state.sample_homodyne(key, shots=shots, angle=0.2))
    alpha = np.asarray(state.sample_heterodyne(key, shots=shots))
    numbers = [stats.poisson(abs(a) ** 2).pmf(np.arange(cutoff)) for a in alphas]
    assert agrees(photons, np.multiply.outer(*numbers))
    silent = [math.exp(-(abs(a) ** 2) / 2) for a in alphas]
    assert agrees(clicks, np.multiply.outer(*[[s, 1 - s] for s in silent]))
    for k, a in enumerate(alphas):
        normal = stats.norm(2 * (a * np.exp(-0.2j)).real, 1)
        assert stats.kstest(x[:, k], normal.cdf).pvalue > ALARM
        for part in ((alpha[:, k] - a).real, (alpha[:, k] - a).imag):
            assert stats.kstest(part, stats.norm(0, math.sqrt(0.5)).cdf).pvalue > ALARM
    for pair in (x.T, (alpha - np.array(alphas)).real.T):
        assert abs(np.corrcoef(*pair)[0, 1]) < 4 / math.sqrt(shots)


@pytest.mark.slow
def test_heterodyne_of_two_mode_squeezed_vacuum():
    r, phi = 0.5, 0.9
    state = fj.Circuit(2).two_mode_squeeze(r, phi, modes=(0, 1))({}, cutoff=12)
    alpha, beta = np.asarray(state.sample_heterodyne(jax.random.key(10), shots=50_000)).T
    turned = (np.exp(-1j * phi) * beta).conj()
    for sign in (1, -1):  # squeezed with the vacuum's noise on top, in both quadratures
        normal = stats.norm(0, math.sqrt((math.exp(-2 * sign * r) + 1) / 2))
        for part in ((alpha - sign * turned).real, (alpha - sign * turned).imag):
            assert stats.kstest(part, normal.cdf).pvalue > ALARM
