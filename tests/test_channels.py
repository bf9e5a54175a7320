"""Channels against their Kraus operators and closed forms, in NumPy; and their unravellings, branch
by branch.
"""

import math
from functools import cache, reduce

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import close_to_13_digits as close
from dense import amplifier_operators, loss_operators
from hypothesis import strategies as st
from scipy.special import gammaln

import fockjax as fj
from fockjax import superoperators
from fockjax.channels import REGISTRY
from fockjax.interop import oracle

D = 4
ENDS = {  # where each parameter's range begins, and a value up to which it is tested
    "loss": [(0, 1)],
    "amplifier": [(1, 3), (0, 2)],
    "thermal_loss": [(0, 1), (0, 2)],
    "dephasing": [(0, 2)],
    "additive_noise": [(0, 3)],
}
POINT = {
    "loss": (0.7,),
    "amplifier": (1.4, 0.3),
    "thermal_loss": (0.6, 0.4),
    "dephasing": (0.5,),
    "additive_noise": (0.8,),
}
OUTSIDE = {  # what is no channel
    "loss": [(-0.1,), (1.1,)],
    "amplifier": [(0.9, 0.1), (1.1, -0.1), (np.inf, 0.1)],
    "thermal_loss": [(-0.1, 0.1), (1.01, 0.1), (0.5, -0.1), (0.5, np.inf)],
    "dephasing": [(-0.1,), (np.nan,)],
    "additive_noise": [(-0.1,)],
}
LOSSLESS = ("loss", "dephasing")  # at the cutoff


def random(seed, *shape):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def random_kraus(seed, count, *cutoffs):
    """Kraus operators that sum to the identity: slices of an isometry."""
    size = math.prod(cutoffs)
    isometry, _ = np.linalg.qr(random(seed, count * size, size))
    return isometry.reshape(count, *cutoffs, *cutoffs)


# Kraus operators in NumPy ------------------------------------------------------------------------


def stages(name, *values):
    """Kraus operators of the channels of which one is made, one after the other."""
    match name, values:
        case "loss", (T,):
            return [loss_operators(T, D)]
        case "amplifier", (gain, nbar):
            total = gain + nbar * (gain - 1)
            return [loss_operators(gain / total, D), amplifier_operators(total, D)]
        case "thermal_loss", (T, nbar):
            gain = 1 + (1 - T) * nbar
            return [loss_operators(T / gain, D), amplifier_operators(gain, D)]
        case "additive_noise", (variance,):  # hbar = 2
            gain = 1 + variance / 2
            return [loss_operators(1 / gain, D), amplifier_operators(gain, D)]
        case "dephasing", (sigma,):
            # the mean over the angle, by quadrature
            nodes, weights = np.polynomial.hermite_e.hermegauss(60)
            turns = np.exp(1j * sigma * nodes[:, None] * np.arange(D))
            share = np.sqrt(weights / weights.sum())
            return [np.array([s * np.diag(turn) for s, turn in zip(share, turns, strict=True)])]
    raise AssertionError(name)


def superoperator(name, *values):
    """S[a, b, m, n]: what |m><n| holds of |a><b| afterwards."""
    one_by_one = [np.einsum("jam,jbn->abmn", K, K.conj()) for K in stages(name, *values)]
    return reduce(lambda S, T: np.einsum("abcd,cdmn->abmn", T, S), one_by_one)


# Values ------------------------------------------------------------------------------------------


@cache
def compiled(name):
    """The superoperator at given parameters, its axes standing in any order in a larger array."""
    basis = np.eye(D * D).reshape(D, D, D, D).astype(complex)  # [m, n, row, column]

    def run(values):
        channel = REGISTRY[name].build(*values, cutoff=D)
        turned = channel.apply(jnp.asarray(basis.transpose(3, 0, 2, 1)), (2,), (0,))
        return turned.transpose(2, 0, 1, 3)

    return jax.jit(run)


def at(name, *values):
    return np.asarray(compiled(name)(np.array(values, float)))


def test_every_channel_is_tested():
    assert {*ENDS, "kraus"} == set(REGISTRY)


@pytest.mark.parametrize("name", ENDS)
def test_structured_channels_are_their_kraus_operators(x64, name):
    lows, highs = np.transpose(ENDS[name]).tolist()
    for point in (POINT[name], lows, highs):
        close(at(name, *point), superoperator(name, *point))
    spec, cuts = REGISTRY[name], name not in LOSSLESS
    assert spec.build(*POINT[name], cutoff=D).truncations == spec.truncates == cuts


def test_batched_as_looped(x64):
    """Parameters and states."""
    points = np.array([(0.7, 0.3), (0.0, 1.0), (1.0, 0.0)])
    states = random(2, 3, D, D)

    def run(values, rho):
        return REGISTRY["thermal_loss"].build(*values, cutoff=D).apply(rho, (0,), (1,))

    got = jax.jit(jax.vmap(run))(points, states)
    for after, point, rho in zip(got, points, states, strict=True):
        close(after, np.einsum("abmn,mn", at("thermal_loss", *point), rho))


@pytest.mark.parametrize("name", ENDS)
@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=20)
def test_completely_positive(x64, name, data):
    """The Choi matrix has no negative eigenvalue; no trace is won, nor lost without a cutoff."""
    S = at(name, *(data.draw(st.floats(*ends)) for ends in ENDS[name]))
    choi = S.transpose(0, 2, 1, 3).reshape(D * D, D * D)
    close(choi, choi.conj().T)
    assert np.linalg.eigvalsh(choi)[0] > -1e-13
    kept = np.einsum("aamn->mn", S)
    if name in LOSSLESS:
        close(kept, np.eye(D))
    else:
        assert np.linalg.eigvalsh(np.eye(D) - kept)[0] > -1e-13


def test_laws_of_composition(x64):
    def after(second, first):
        return np.einsum("abcd,cdmn->abmn", second, first)

    one, other = at("loss", 0.7), at("loss", 0.4)
    close(after(one, other), at("loss", 0.7 * 0.4))
    gain = at("amplifier", 1.3, 0)
    close(after(gain, at("amplifier", 1.7, 0)), at("amplifier", 1.3 * 1.7, 0))
    close(1.3 * gain, at("loss", 1 / 1.3).transpose(2, 3, 0, 1))  # adjoint
    phase = at("dephasing", 0.3)
    close(after(phase, at("dephasing", 0.4)), at("dephasing", 0.5))
    close(after(phase, at("thermal_loss", 0.5, 1)), after(at("thermal_loss", 0.5, 1), phase))
    close(at("thermal_loss", 0.7, 0), one)
    close(at("additive_noise", 0.6), after(gain, at("loss", 1 / 1.3)))  # hbar = 2
    wide = fj.channels.additive_noise(0.3, cutoff=D, hbar=1.0)
    rho = random(3, D, D)
    close(
        wide.apply(jnp.asarray(rho), (0,), (1,)),
        np.einsum("abmn,mn", at("additive_noise", 0.6), rho),
    )


BIG = 40
STATES = {  # (covariance, mean), hbar = 2
    "vacuum": (np.eye(2), np.zeros(2)),
    "coherent": (np.eye(2), np.array([0.8, -1.1])),
    "squeezed": (np.array([[0.8, 0.4], [0.4, 1.45]]), np.array([0.5, 0.3])),
}
GAUSSIAN = {  # V -> transmitted V + added
    "loss": lambda T: (T, 1 - T),
    "amplifier": lambda gain, nbar: (gain, (gain - 1) * (2 * nbar + 1)),
    "thermal_loss": lambda T, nbar: (T, (1 - T) * (2 * nbar + 1)),
    "additive_noise": lambda variance: (1, variance),
}


@cache
def ready():
    """`mixed_gaussian` at a cutoff from which these states leak less than 1e-11."""
    return jax.jit(lambda cov, mean: fj.mixed.mixed_gaussian(cov, mean, cutoff=BIG))


def moments(rho):
    """Mean and covariance of x and p, hbar = 2, and the trace."""
    a = np.diag(np.sqrt(np.arange(1, BIG)), 1)
    mean_a, mean_aa, mean_n = (np.trace(A @ rho) for A in (a, a @ a, a.T @ a))
    mean = 2 * np.array([mean_a.real, mean_a.imag])
    raw = 2 * np.array([[mean_aa.real, mean_aa.imag], [mean_aa.imag, -mean_aa.real]])
    raw += (2 * mean_n.real + 1) * np.eye(2)
    return mean, raw - np.outer(mean, mean), np.trace(rho).real


@pytest.mark.parametrize("name", GAUSSIAN)
def test_gaussian_states(x64, name):
    """All elements, and the moments, of which the leakage is stated."""
    point = {**POINT, "amplifier": (1.2, 0.1), "thermal_loss": (0.6, 0.2)}[name]
    if name == "additive_noise":
        point = (0.3,)
    through = jax.jit(lambda rho: REGISTRY[name].build(*point, cutoff=BIG).apply(rho, (0,), (1,)))
    transmitted, added = GAUSSIAN[name](*point)
    for cov, mean in STATES.values():
        got = np.asarray(through(ready()(cov, mean)))
        cov, mean = transmitted * cov + added * np.eye(2), np.sqrt(transmitted) * mean
        close(got, ready()(cov, mean), 1e-11)
        got_mean, got_cov, trace = moments(got)
        assert abs(1 - trace) < 1e-11  # the leakage; a photon number below 40 multiplies it
        close(got_mean, mean, 1e-9)
        close(got_cov, cov, 1e-9)


def test_a_thermal_state_stays_in_its_bath(x64):
    bath = fj.mixed.thermal(0.3, cutoff=BIG)
    stay = jax.jit(lambda T: fj.channels.thermal_loss(T, 0.3, cutoff=BIG).apply(bath, (0,), (1,)))
    close(stay(0.35), bath, 1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("cutoff", [100, 200])
def test_single_precision_at_large_cutoffs(cutoff):
    """The part of |c><c + r| that moves to |a><a + r|, against logarithms in float64."""
    n, k = np.indices((cutoff, cutoff))
    factorials = gammaln(np.arange(cutoff) + 1)
    logs = factorials[n] - factorials[k] - factorials[abs(n - k)]
    r, a, c = np.ogrid[:cutoff, :cutoff, :cutoff]

    def expected(low, high, inside, log_kept, log_lost):
        inside = inside & (r + high < cutoff)
        j, other = np.where(inside, high - low, 0), np.where(inside, r + high, 0)
        log = (logs[high, j] + logs[other, j]) / 2 + (low + r / 2) * log_kept + j * log_lost
        return np.where(inside, np.exp(log), 0)

    for T in np.array([0.3, 0.9995], np.float32):
        exact = expected(a, c, c >= a, math.log(T), math.log1p(-T))
        got = fj.channels.loss(T, cutoff=cutoff).superoperator.blocks
        close(np.where(r + c < cutoff, got, 0), exact, 5e-7)
    gain = 1.625
    exact = expected(c, a, a >= c, -math.log(gain), math.log1p(-1 / gain)) / gain
    got = fj.channels.amplifier(gain, cutoff=cutoff).superoperator.blocks
    close(np.where((r + c < cutoff) & (r + a < cutoff), got, 0), exact, 5e-7)


# Unravelling -------------------------------------------------------------------------------------


@pytest.fixture
def by_branch(monkeypatch):
    """`unravel` takes for its key which branch to draw, or the random number it is made of."""
    monkeypatch.setattr(superoperators, "draw_index", lambda key, each: key)
    monkeypatch.setattr(jax.random, "normal", lambda key, shape, dtype: key)
    monkeypatch.setattr(jax.random, "split", lambda key, count: key)


def branches(name, ket, values):
    """The probability of each combination of jumps, in NumPy, and what draws it."""
    if name == "dephasing":
        nodes, weights = np.polynomial.hermite_e.hermegauss(40)
        return weights / weights.sum(), nodes
    found = [(1.0, ket, ())]
    for K in stages(name, *values):
        rising = np.any(np.tril(K[1], -1))
        grown = []
        for p, psi, names in found:
            kets = np.einsum("jmn,ns->jms", K, psi)
            each = np.sum(abs(kets) ** 2, axis=(1, 2))
            for j, q in enumerate(each):
                share = q / each.sum()
                if share > 0:
                    change = (j if rising else -j) % D
                    grown.append((p * share, kets[j] / np.sqrt(share), (*names, change)))
        found = grown
    names = np.array([names for _, _, names in found])
    return np.array([p for p, _, _ in found]), names[:, 0] if names.shape[1] == 1 else names


def both_ways(build, ket, axes, observable):
    """Of all branches named: |ket'><ket'| and the derivatives of weight * f; by the density matrix:
    it and the derivatives of f, f the mean of an observable.
    """
    size, count = ket.size, ket.ndim

    def unravelled(values, names):
        channel = build(*values)
        kets, weights = jax.vmap(lambda own: channel.unravel(own, jnp.asarray(ket), axes))(names)
        flat = kets.reshape(-1, size)
        f = jnp.einsum("ja,ab,jb->j", flat.conj(), observable, flat).real
        return weights * f, (weights, jnp.einsum("ja,jb->jab", flat, flat.conj()))

    def mixed(values):
        rho = jnp.asarray(np.multiply.outer(ket, ket.conj()))
        rho = build(*values).apply(rho, axes, tuple(axis + count for axis in axes))
        return jnp.einsum("ab,ba->", rho.reshape(size, size), observable).real, rho

    def run(values, names):
        slopes, (weights, outer) = jax.jacfwd(unravelled, has_aux=True)(values, names)
        slope, rho = jax.jacfwd(mixed, has_aux=True)(values)
        return weights, outer, rho.reshape(size, size), slopes, slope

    return jax.jit(run)


def check_branches(run, point, chances, names):
    weights, outer, rho, slopes, slope = run(np.array(point, float), names)
    assert abs(chances.sum() - 1) < 1e-12
    np.testing.assert_array_equal(weights, 1)
    close(np.einsum("j,jab->ab", chances, outer), rho, 1e-12)
    close(chances @ slopes, slope, 1e-11)
    assert np.linalg.norm(slope) > 0.01
    assert np.std(slopes) > 0.01  # branches differ, so that a lost weight would show


def hermitian(seed, size):
    part = random(seed, size, size)
    return part + part.conj().T


def with_slow(names, *slow):
    """All of them, some marked slow: the others run the same code."""
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in slow)) for name in names]


@pytest.mark.parametrize(
    "name",
    with_slow(["loss", "thermal_loss", "dephasing", "amplifier"], "thermal_loss", "amplifier"),
)
def test_the_mean_over_all_branches_is_the_channel(x64, by_branch, name):
    """And that of weighted gradients is its gradient. Gradients stay finite at the ends of the
    ranges; beyond, kets are NaN.
    """
    ket = random(5, D, 2)
    ket /= np.linalg.norm(ket)
    run = both_ways(
        lambda *values: REGISTRY[name].build(*values, cutoff=D), ket, (0,), hermitian(6, 2 * D)
    )
    chances, names = branches(name, ket, POINT[name])
    check_branches(run, POINT[name], chances, names)
    for end in np.transpose(ENDS[name]).tolist():
        _, _, _, slopes, slope = run(np.array(end, float), names)
        assert np.all(np.isfinite(slopes)) and np.all(np.isfinite(slope))
    for outside in OUTSIDE[name]:
        assert np.all(np.isnan(run(np.array(outside), names)[1]))


def test_kraus_operators_on_several_modes(x64, by_branch):
    """Two sets, mixed by an angle: on density matrices, and branch by branch."""
    sets = [random_kraus(seed, 2, 2, 3) for seed in (1, 2)]
    ket = random(3, 3, 2, 2)
    ket /= np.linalg.norm(ket)

    def mixture(angle, xp):
        c, s = (f(angle).astype(complex) for f in (xp.cos, xp.sin))
        return xp.concatenate([c * sets[0], s * sets[1]])

    def build(angle):
        return superoperators.Kraus(mixture(angle, jnp))

    kets = np.einsum("jxyab,bsa->jysx", mixture(np.float64(0.4), np), ket)
    chances = np.sum(abs(kets) ** 2, axis=(1, 2, 3))
    run = both_ways(build, ket, (2, 0), hermitian(4, 12))
    check_branches(run, (0.4,), chances, np.arange(4))
    rho = run(np.array([0.4]), np.arange(4))[2]
    close(rho, np.einsum("ja,jb->ab", kets.reshape(4, -1), kets.reshape(4, -1).conj()))
    # a loss as a channel on one mode, given in full
    loss = loss_operators(0.3, D)
    given = fj.channels.kraus(loss, cutoff=D)
    density = random(9, D, 2, D)
    close(
        given.apply(jnp.asarray(density), (2,), (0,)),
        fj.channels.loss(0.3, cutoff=D).apply(jnp.asarray(density), (2,), (0,)),
    )


def arguments(name):
    """Parameters at which to build a channel on one mode."""
    given = random_kraus(2, 3, D)
    return (given.real, given.imag) if name == "kraus" else POINT[name]


@pytest.mark.parametrize("name", REGISTRY)
def test_precision_and_shape(x64, name):
    """Nothing turns double that was asked for in single precision."""
    for dtype, real in (("complex64", "float32"), ("complex128", "float64")):

        def run(ket, rho, dtype=dtype):
            channel = REGISTRY[name].build(*arguments(name), cutoff=D, dtype=dtype)
            after = channel.unravel(jax.random.key(0), ket, (1,))
            return jax.tree.leaves(channel), after, channel.apply(rho, (3,), (1,))

        states = [jax.ShapeDtypeStruct(shape, dtype) for shape in ((2, D), (2, D, 1, D))]
        leaves, (ket, weight), rho = jax.eval_shape(run, *states)
        assert {leaf.dtype.name for leaf in leaves} <= {dtype, real}
        assert (ket.shape, ket.dtype, weight.shape, weight.dtype) == ((2, D), dtype, (), real)
        assert (rho.shape, rho.dtype) == ((2, D, 1, D), dtype)


def test_a_state_that_has_been_lost_stays_lost():
    ket, key = jnp.zeros((D, 2), jnp.complex64), jax.random.key(0)
    for name in ("loss", "kraus"):
        after, weight = jax.jit(
            lambda name=name: (
                REGISTRY[name].build(*arguments(name), cutoff=D).unravel(key, ket, (0,))
            )
        )()
        np.testing.assert_array_equal(after, 0)
        assert weight == 1


@pytest.mark.parametrize(
    "name", [pytest.param("thermal_loss", marks=pytest.mark.slow), "dephasing", "kraus"]
)
def test_trajectories_are_unbiased(x64, name):
    """The mean of a fixed 20 000, element by element within 5 standard errors; under vmap over keys
    as one by one.
    """
    ket = random(8, D, 2)
    ket /= np.linalg.norm(ket)
    channel = REGISTRY[name].build(*arguments(name), cutoff=D)
    run = jax.jit(lambda key: channel.unravel(key, jnp.asarray(ket), (0,))[0])
    keys = jax.random.split(jax.random.key(11), 20_000)
    kets = np.asarray(jax.vmap(run)(keys))
    close(kets[:2], [run(key) for key in keys[:2]], 1e-14)
    flat = kets.reshape(len(kets), -1)
    each = flat[:, :, None] * flat[:, None].conj()
    rho = channel.apply(jnp.asarray(np.multiply.outer(ket, ket.conj())), (0,), (2,))
    off = each.mean(0) - np.asarray(rho).reshape(2 * D, 2 * D)
    error = np.sqrt((each.real.var(0) + each.imag.var(0)) / len(each))
    assert np.all(abs(off) < 5 * error + 1e-12) and error.max() < 0.01


# Derivatives, bad input --------------------------------------------------------------------------


@pytest.mark.parametrize("name", with_slow(ENDS, "additive_noise", "amplifier"))
def test_derivatives_at_the_ends_of_the_ranges(x64, name):
    """Forwards and backwards against one-sided differences, where sqrt(T) does not enter."""
    m, n = np.indices((3, 3))
    rho, observable = hermitian(1, 3), hermitian(2, 3) * ((m - n) % 2 == 0)

    def f(values):
        after = REGISTRY[name].build(*values, cutoff=3).apply(jnp.asarray(rho), (0,), (1,))
        return jnp.einsum("ab,ba->", after, observable).real

    both = jax.value_and_grad(f)
    run = jax.jit(lambda v: (*both(v), *jax.jacfwd(both)(v)))
    lows, highs = np.transpose(ENDS[name]).astype(float)
    for point in (lows, *([highs] if name.endswith("loss") else [])):
        value, reverse, forward, second = run(point)
        close(forward, reverse, 1e-13)
        assert np.all(np.isfinite(second))
        h = 1e-4
        for k in range(len(point)):
            step = np.zeros_like(point)
            step[k] = -h if name.endswith("loss") and point[k] == 1 and k == 0 else h
            one, two, three = (np.asarray(run(point + i * step)[0]) for i in (1, 2, 3))
            slope = (-11 * value + 18 * one - 9 * two + 2 * three) / (6 * step[k])
            curve = (2 * value - 5 * one + 4 * two - three) / h**2
            np.testing.assert_allclose(forward[k], slope, atol=1e-8)
            np.testing.assert_allclose(second[k, k], curve, atol=1e-4)


@pytest.mark.parametrize("name", ENDS)
def test_parameters_out_of_range(x64, name):
    """Refused where known, in a circuit too; nothing but NaN where traced."""
    spec = REGISTRY[name]
    for values in OUTSIDE[name]:
        assert np.all(np.isnan(at(name, *values)))
        with pytest.raises(ValueError, match=rf"Argument `({'|'.join(spec.parameters)})` must"):
            spec.build(*values, cutoff=D)
        with pytest.raises(ValueError, match="must .*, got"):
            spec.check(dict(zip(spec.parameters, values, strict=True)), (0,), {"hbar": 2.0})
    spec.check(dict.fromkeys(spec.parameters, fj.Weight("w")), (0,), {"hbar": 2.0})


def test_bad_kraus_operators():
    good = random_kraus(1, 2, 2, 3)
    kraus = fj.channels.kraus
    assert kraus(good, cutoff=(2, 3)).cutoffs == (2, 3)
    flat = good.reshape(2, 6, 6)
    assert kraus(flat, cutoff=(2, 3)).elements.shape == (2, 2, 3, 2, 3)
    with pytest.raises(ValueError, match=r"sum to the identity, but .* = .* truncated=True"):
        kraus(0.9 * flat, cutoff=(2, 3))
    kraus(0.9 * flat, cutoff=(2, 3), truncated=True)
    with pytest.raises(ValueError, match="eigenvalue 1.21 > 1"):
        kraus(1.1 * flat, cutoff=(2, 3), truncated=True)
    with pytest.raises(ValueError, match=r"must be \(J, 3, 2, 3, 2\) or \(J, 6, 6\)"):
        kraus(good, cutoff=(3, 2))
    with pytest.raises(ValueError, match=r"got shape \(6, 6\)"):
        kraus(flat[0], cutoff=(2, 3))
    with pytest.raises(ValueError, match=r"and \(1, 6, 6\)"):
        REGISTRY["kraus"].build(flat.real, flat[:1].imag, cutoff=(2, 3))
    check, whole = REGISTRY["kraus"].check, {"truncated": False}
    check({"real": flat.real, "imag": flat.imag}, (0, 1), whole)
    with pytest.raises(ValueError, match="sum to the identity"):
        check({"real": flat.real, "imag": np.zeros(())}, (0, 1), whole)
    reflects = REGISTRY["kraus"].reflects
    assert reflects(whole) and not reflects({"truncated": True})


def test_how_far_kraus_operators_are_from_a_channel(x64):
    good = random_kraus(1, 3, 4)
    defect = jax.jit(fj.checks.kraus_defect)
    assert defect(good) < 1e-14
    close(defect(1.1 * good), 0.21 * 2, 1e-13)
    close(fj.checks.kraus_defect(1.1 * good), 0.21 * 2, 1e-13)
    with pytest.raises(ValueError, match=r"shape \(J, n, n\), got \(4, 4\)"):
        fj.checks.kraus_defect(good[0])


@pytest.mark.slow
@pytest.mark.skipif(not oracle.is_installed(), reason="needs Strawberry Fields")
def test_loss_of_strawberry_fields(x64):
    sf = oracle.load()
    root = random(1, 36, 36)
    rho = root @ root.conj().T
    rho = (rho / np.trace(rho)).reshape(6, 6, 6, 6)
    program = sf.Program(2)
    with program.context as q:
        # SF orders the axes row, column of each mode in turn.
        _ = sf.ops.DensityMatrix(rho.transpose(0, 2, 1, 3)) | q
        _ = sf.ops.LossChannel(0.35) | q[1]
    expected = sf.Engine("fock", backend_options={"cutoff_dim": 6}).run(program).state.dm()
    got = fj.channels.loss(0.35, cutoff=6).apply(jnp.asarray(rho), (1,), (3,))
    close(np.asarray(got).transpose(0, 2, 1, 3), expected, 1e-12)


def test_a_real_density_matrix_may_become_complex():
    flip = np.array([[[0, 1], [1j, 0]]])
    after = fj.channels.kraus(flip, cutoff=2).apply(np.eye(2) / 2, (0,), (1,))
    np.testing.assert_allclose(after, np.eye(2) / 2, atol=1e-7)
