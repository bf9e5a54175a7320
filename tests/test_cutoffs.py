"""Planned cutoffs: what lies beyond them in closed form, what is lost at them, who runs again."""

import runpy
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammainc

import fockjax as fj
from fockjax.channels import REGISTRY as CHANNELS
from fockjax.gates import REGISTRY as GATES
from fockjax.kets import REGISTRY as KETS
from fockjax.mixed import REGISTRY as MIXED
from fockjax.runtime.cutoffs.gaussian import cuts
from fockjax.runtime.cutoffs.moves import MOVES
from fockjax.runtime.cutoffs.statistics import OneMode, tails, total_tails
from fockjax.runtime.cutoffs.tally import Tally

CUTOFFS = (1, 2, 3, 5, 8, 13, 21, 34)
ONE_SAMPLE = np.zeros((1, 0))


def one_mode(mean=0.0, photons=0.0, pairs=0.0) -> OneMode:
    return OneMode(
        np.atleast_1d(mean).astype(complex), np.atleast_1d(photons), np.atleast_1d(pairs)
    )


def beyond(circuit: fj.Circuit, weights=None) -> tuple[np.ndarray, bool]:
    """What lies beyond each cutoff at the end, (modes, cutoffs), and whether that is exact."""
    for mode in range(circuit.modes):
        circuit.displace(0.0, mode=mode)
    last = list(cuts(circuit, weights or {}, ONE_SAMPLE))[-circuit.modes :]
    found = [tails(cut.moments[mode], CUTOFFS)[0] for mode, cut in enumerate(last)]
    return np.array(found), all(cut.exact for cut in last)


# What lies beyond a cutoff


@given(st.floats(0, 5), st.floats(0, 7))
def test_beyond_a_cutoff_a_coherent_state_is_poisson(r, phi):
    found = tails(one_mode(r * np.exp(1j * phi)), CUTOFFS)[0]
    np.testing.assert_allclose(found, gammainc(CUTOFFS, r**2), atol=1e-11)


@given(st.floats(0, 20))
def test_beyond_a_cutoff_a_thermal_state_is_a_power(nbar):
    found = tails(one_mode(photons=nbar), CUTOFFS)[0]
    np.testing.assert_allclose(found, (nbar / (1 + nbar)) ** np.array(CUTOFFS), atol=1e-11)


@given(st.floats(-2, 2), st.floats(0, 7))
def test_beyond_a_cutoff_a_squeezed_vacuum_has_pairs(r, phi):
    pairs = -np.exp(1j * phi) * np.sinh(r) * np.cosh(r)
    found = tails(one_mode(photons=np.sinh(r) ** 2, pairs=pairs), CUTOFFS)[0]
    k = np.arange(1, 20)
    ratios = np.concatenate([[1], np.cumprod(np.tanh(r) ** 2 * (2 * k - 1) / (2 * k))]) / np.cosh(r)
    photons = np.zeros(40)
    photons[::2] = ratios
    expected = 1 - np.cumsum(photons)[np.array(CUTOFFS) - 1]
    np.testing.assert_allclose(found, expected, atol=1e-11)


def test_far_beyond_the_cutoffs_nothing_comes_back():
    np.testing.assert_allclose(tails(one_mode(12.0), (4, 8)), 1, atol=1e-11)


# Moments through a circuit


def test_every_gaussian_operation_is_known():
    others = {"cubic_phase", "unitary", "kraus", "cat", "gkp", "ket", "density_matrix"}
    specs = GATES | CHANNELS | KETS | MIXED
    names = {name for name, spec in specs.items() if spec.truncates}
    assert names - others <= set(MOVES) <= set(specs)


def test_moments_are_those_of_the_state():
    circuit = fj.Circuit(2).displace(0.4, 0.3, mode=0).squeeze(0.3, 1.1, mode=1)
    circuit.beamsplitter(0.5, 0.7).two_mode_squeeze(0.2, 0.4).x_displace(0.3, mode=1)
    circuit.quadratic_phase(0.2, mode=0).controlled_z(0.2).mach_zehnder(0.4, 0.7)
    state = circuit({}, cutoff=16)
    found, exact = beyond(circuit)
    assert exact
    for mode in range(2):
        below = np.cumsum(state.probabilities(mode))[np.array(CUTOFFS[:5]) - 1]
        np.testing.assert_allclose(found[mode, :5], 1 - below, atol=2e-5)


OPERATIONS = {
    "beamsplitter": lambda c: c.beamsplitter(0.4, 0.7, modes=(1, 0)),
    "mach_zehnder": lambda c: c.mach_zehnder(0.4, 0.7),
    "symmetric_mach_zehnder": lambda c: c.symmetric_mach_zehnder(0.4, 0.7),
    "symmetric, exact": lambda c: c.symmetric_mach_zehnder(0.4, 0.7, exact=True),
    "two_mode_squeezing": lambda c: c.two_mode_squeeze(0.3, 0.7),
    "controlled_x": lambda c: c.controlled_x(0.3),
    "controlled_x, exact": lambda c: c.controlled_x(0.3, exact=True),
    "controlled_z": lambda c: c.controlled_z(0.3),
    "quadratic_phase": lambda c: c.quadratic_phase(0.4, mode=0),
    "x_displacement": lambda c: c.x_displace(0.4, mode=0),
    "p_displacement": lambda c: c.p_displace(0.4, mode=1),
    "fourier": lambda c: c.fourier(mode=0).rotate(0.3, mode=1).beamsplitter(),
    "interferometer": lambda c: c.mesh([0.4], [0.2], [0.1, 0.7], modes=(1, 0)).beamsplitter(),
    "interferometer, exact": lambda c: c.mesh([0.4], [0.2], [0.1, 0.7], modes=(0, 1), exact=True),
    "passive": lambda c: c.passive(np.array([[0.3, 0.4], [0.7, 0.1]]), modes=(0, 1)),
    "gaussian_transform": lambda c: c.gaussian_transform(
        np.diag([0.8, 0.7, 1.25, 1 / 0.7]), modes=(0, 1)
    ),
    "loss": lambda c: c.loss(0.4, mode=0),
    "thermal_loss": lambda c: c.thermal_loss(0.6, 0.2, mode=0),
    "amplifier": lambda c: c.amplifier(1.1, 0.1, mode=0),
    "additive_noise": lambda c: c.additive_noise(0.2, mode=0),
    "displaced_squeezed": lambda c: (
        c.beamsplitter()
        .prepare("displaced_squeezed", 0.4, 0.3, 0.2, 0.5, modes=1)
        .beamsplitter(0.3)
    ),
    "two_mode_squeezed": lambda c: c.prepare("two_mode_squeezed", 0.4, 0.3, modes=(0, 1)),
    "coherent, squeezed": lambda c: (
        c.prepare("coherent", 0.5, 0.3, modes=0)
        .prepare("squeezed", 0.3, 0.2, modes=1)
        .beamsplitter()
    ),
    "thermal": lambda c: c.prepare("thermal", 0.2, modes=0),
    "mixed_gaussian": lambda c: c.prepare(
        "mixed_gaussian", np.array([[1.2, 0.3], [0.3, 1.4]]), np.array([0.4, 0.2]), modes=0
    ),
    "a measurement": lambda c: c.measure_photons(modes=1, select=0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
def test_moments_of_each_operation(name):
    circuit = fj.Circuit(2, hbar=1.5)
    if name != "a measurement":
        circuit.displace(0.3, 0.4, mode=0).squeeze(0.2, 0.9, mode=0)
        circuit.displace(0.4, 1.4, mode=1).squeeze(0.15, 2.9, mode=1)
    OPERATIONS[name](circuit)
    state = circuit({}, cutoff=16)
    found, exact = beyond(circuit)
    assert exact or name == "a measurement"
    for mode in range(2):
        below = np.cumsum(state.probabilities(mode))[np.array(CUTOFFS[:5]) - 1]
        np.testing.assert_allclose(found[mode, :5], 1 - below, atol=3e-5)


def test_kerr_gates_keep_the_photon_numbers_but_not_the_gaussian_state():
    circuit = fj.Circuit(3).displace(0.5, mode=0).two_mode_squeeze(0.3, modes=(0, 1))
    circuit.kerr(0.3, mode=0).cross_kerr(0.2, modes=(0, 2)).squeeze(0.2, mode=1)
    assert all(cut.exact for cut in cuts(circuit, {}, ONE_SAMPLE))
    circuit.rotate(0.2, mode=0).beamsplitter(modes=(0, 1)).displace(0.1, mode=1)

    def exact():
        return [cut.exact for cut in cuts(circuit, {}, ONE_SAMPLE) if cut.moments]

    assert exact() == [True, True, True, False, False]
    circuit.prepare("coherent", 0.3, modes=1).squeeze(0.1, mode=1)  # what is new is Gaussian
    assert exact()[5:] == [True, True]


# Plans


def test_a_plan_holds_what_it_promises():
    circuit = fj.Circuit(2).displace(fj.Input(0), mode=0).squeeze(fj.Weight("r"), mode=1)
    circuit.beamsplitter(0.7).kerr(0.2, mode=0)
    weights, x = {"r": jnp.array(0.4)}, np.linspace(-1.5, 1.5, 31)[:, None]
    plan = fj.runtime.plan_cutoffs(circuit, weights, x)
    lost = jax.vmap(lambda row: circuit(weights, row, cutoff=plan.truncation).leakage)(x)
    assert plan.trial is None and plan.within == 31 and not len(plan.short)
    assert max(lost) <= plan.bound <= plan.tolerance
    assert max(lost) > plan.bound / 30  # and does not promise too little
    assert plan.reasons[0].row in (0, 30) and plan.reasons[0].where == "step 1, D on 0"
    assert "Guaranteed" in str(plan)


def test_what_passes_through_a_mode_counts():
    """All photons go to the other mode and come back: the cutoff must hold them there."""
    circuit = fj.Circuit(2).displace(1.5, mode=0).mesh([np.pi / 2], [0.0], [0.0, 0.0], modes=(0, 1))
    circuit.beamsplitter(-np.pi / 2)
    there = fj.runtime.plan_cutoffs(circuit, {})
    assert there.truncation[1] >= 10 and "BS" not in there.reasons[1].where
    at_once = fj.Circuit(2).displace(1.5, mode=0).mesh([0.0], [0.0], [0.0, 0.0], modes=(0, 1))
    assert fj.runtime.plan_cutoffs(at_once, {}).truncation[1] == 4


def test_rows_that_are_too_much_for_the_maximum_are_told():
    circuit = fj.Circuit(1).displace(fj.Input(0), mode=0)
    x = np.array([[0.3], [9.0], [0.7]])
    plan = fj.runtime.plan_cutoffs(circuit, {}, x, maximum=30)
    assert plan.truncation == (6,) and plan.within == 2
    np.testing.assert_array_equal(plan.short, [1])
    assert "Rows 1 may lose more even at cutoffs (30,)" in str(plan)
    assert "Guaranteed for the other samples" in str(plan)
    for make in (fj.runtime.plan_cutoffs, fj.runtime.plan_total):
        alone = make(circuit, {}, x[1:2], maximum=30)
        assert "Rows 0 may lose more" in str(alone) and "Guaranteed" not in str(alone)
    assert plan.rungs == ((6,), (8,), (10,), (12,), (16,), (20,), (24,), (28,), (30,))


def test_a_row_far_beyond_the_maximum_is_told():
    """So far that its bound is no number."""
    circuit = fj.Circuit(1).displace(fj.Input(0), mode=0).kerr(0.1, mode=0).squeeze(0.2, mode=0)
    plan = fj.runtime.plan_cutoffs(circuit, {}, [[300.0], [0.3]], maximum=32)
    assert plan.within == 1


def test_few_extreme_rows_may_be_left_to_higher_cutoffs():
    circuit = fj.Circuit(1).displace(fj.Input(0), mode=0)
    x = np.concatenate([np.full(98, 0.7), [3.0, 2.0]])[:, None]
    assert fj.runtime.plan_cutoffs(circuit, {}, x).truncation == (24,)
    assert fj.runtime.plan_cutoffs(circuit, {}, x, share=0.99).truncation == (16,)
    plan = fj.runtime.plan_cutoffs(circuit, {}, x, share=0.98)
    assert plan.truncation == (6,) and plan.within == 98 and not len(plan.short)


def test_the_choice_lowers_what_was_raised_too_far():
    tally = Tally(((4, 8), (4, 8)), np.arange(2))
    tally.sums = [np.array([[0.4, 0.0], [0.3, 0.0]]), np.array([[0.0, 0.0], [0.9, 0.1]])]
    assert tally.choose(0.5)[0] == (0, 1)
    assert tally.choose(0.35)[0] == (1, 1)
    assert tally.choose(0.95)[0] == (1, 0) or tally.choose(0.95)[0] == (0, 1)
    assert tally.choose(0.45, spared=1)[0] == (0, 0)
    np.testing.assert_array_equal(tally.choose(0.05)[1], [False, True])


def test_a_mode_holds_its_fock_state():
    plan = fj.runtime.plan_cutoffs(
        fj.Circuit(1).prepare("fock", n=6, modes=0).kerr(1.0, mode=0), {}
    )
    assert plan.truncation == (7,)


def test_a_mode_holds_the_photons_that_are_selected_there():
    def circuit(**noise):
        start = fj.Circuit(2).two_mode_squeeze(0.3)
        return start.measure("photons", modes=1, select=8, **noise)

    assert fj.runtime.plan_cutoffs(circuit(), {}).truncation == (4, 9)
    assert fj.runtime.plan_total(circuit(), {}).truncation.below >= 9
    assert fj.runtime.plan_cutoffs(circuit(dark_counts=0.1), {}).truncation == (4, 4)


@pytest.mark.slow
def test_a_plan_says_what_samples_lose_that_is_not_seen_on_the_way():
    """Inside a Gaussian transformation of several gates more is lost than after it can be seen."""
    c, s = np.cosh(0.35), np.sinh(0.35)
    S = np.block([[np.array([[c, s], [s, c]]), np.zeros((2, 2))], [np.zeros((2, 2)), np.eye(2)]])
    S[2:, 2:] = [[c, -s], [-s, c]]
    circuit = fj.Circuit(2).gaussian_transform(S).kerr(0.1, mode=0).displace(0.1, mode=0)
    plan = fj.runtime.plan_cutoffs(circuit, {}, tolerance=1e-2)
    assert plan.trial is not None
    assert circuit({}, cutoff=plan.truncation).leakage <= 1.001 * plan.bound <= 1e-2


def test_a_mode_holds_the_phases_of_its_snap_gates():
    circuit = fj.Circuit(1).displace(fj.Input(0), mode=0).snap(fj.Weight("p", 6), mode=0)
    weights = {"p": np.linspace(0, 1, 6)}
    plan = fj.runtime.plan_cutoffs(circuit, weights, [[0.3], [0.5]])
    assert plan.truncation == (6,) and plan.trial is None
    total = fj.runtime.plan_total(circuit, weights, [[0.3], [0.5]])
    assert total.truncation.below == 6
    with pytest.raises(ValueError, match="has a phase for 5 photons, got 5"):
        fj.runtime.plan_cutoffs(circuit, weights, [[0.3]], maximum=5)


def test_samples_run_where_a_circuit_is_not_gaussian():
    circuit = fj.Circuit(1).displace(fj.Input(0), mode=0).kerr(0.3, mode=0).displace(0.8, mode=0)
    x = np.linspace(0.1, 1.2, 20)[:, None]
    plan = fj.runtime.plan_cutoffs(circuit, {}, x)
    assert plan.trial is not None and plan.trial.generous > plan.truncation
    lost = jax.vmap(lambda row: circuit({}, row, cutoff=plan.truncation).leakage)(x)
    assert max(lost) <= plan.bound <= plan.tolerance
    np.testing.assert_allclose(lost[plan.trial.rows], plan.trial.lost, atol=1e-6)
    assert "Not Gaussian throughout" in str(plan)


@pytest.mark.slow
def test_a_measurement_leaves_modes_gaussian_that_were_not_entangled_with_it():
    circuit = fj.Circuit(3).displace(fj.Input(0), 0.4, mode=0).squeeze(0.4, 0.3, mode=2)
    circuit.beamsplitter(0.5, 0.7, modes=(0, 1)).beamsplitter(0.3, 0.2, modes=(2, 0))
    circuit.prepare("coherent", 0.5, modes=0).measure_photons(modes=2)  # 0 and 2 are free of 1
    circuit.displace(0.6, 0.1, mode=0).beamsplitter(0.6, 0.3, modes=(0, 2))
    x, key = np.linspace(0.1, 0.9, 5)[:, None], jax.random.key(1)
    plan = fj.runtime.plan_cutoffs(circuit, {}, x, key=key)
    assert plan.trial is None  # a guarantee
    keys = jax.random.split(key, len(x))
    states = jax.vmap(lambda row, key: circuit({}, row, cutoff=plan.truncation, key=key))(x, keys)
    assert max(jax.vmap(fj.runtime.lost)(states)) <= plan.bound <= plan.tolerance

    circuit.squeeze(0.1, mode=1)  # which was entangled with the mode that was measured
    assert fj.runtime.plan_cutoffs(circuit, {}, x, key=key).trial is not None


@pytest.mark.slow
def test_samples_run_as_many_at_a_time_as_fit():
    circuit = fj.Circuit(1).displace(fj.Input(0), mode=0).cubic_phase(0.05, mode=0)
    x = [[0.2], [0.4], [0.6]]
    whole = fj.runtime.plan_total(circuit, {}, x, maximum=16)
    rooms = [4 * 8 * 16, 2 * 4 * 8 * 16]  # of one and of two kets of 16 levels, four times
    for memory in rooms:
        plan = fj.runtime.plan_total(circuit, {}, x, maximum=16, memory=f"{memory}B")
        assert plan.rungs == whole.rungs and plan.bound == pytest.approx(whole.bound)
    for plan in (fj.runtime.plan_cutoffs, fj.runtime.plan_total, fj.runtime.plan_truncation):
        with pytest.raises(fj.runtime.PilotTooLarge, match="only 100 may be used. Raise `memory`"):
            plan(circuit, {}, x, maximum=16, memory=100)


@pytest.mark.slow
def test_samples_run_where_a_circuit_measures_or_reflects():
    circuit = fj.Circuit(2).two_mode_squeeze(0.5).measure_homodyne(mode=0)
    circuit.x_displace(fj.Outcome("m0") * 0.5, mode=1).cubic_phase(0.05, mode=1)
    with pytest.raises(ValueError, match="`key` is missing"):
        fj.runtime.plan_cutoffs(circuit, {})
    key = jax.random.key(0)
    plan = fj.runtime.plan_cutoffs(circuit, {}, key=key)
    assert plan.trial is not None and len(plan.trial.rows) == 32  # of the one sample
    assert "32 of 32 runs lose" in str(plan)
    assert max(plan.trial.lost) <= plan.tolerance
    state = circuit({}, cutoff=plan.truncation, key=key)
    assert state.reflects and fj.runtime.lost(state) > state.leakage


def test_bad_arguments_are_refused_by_name():
    circuit = fj.Circuit(1).displace(fj.Input(0), mode=0)
    plan = fj.runtime.plan_cutoffs
    for named, call in {
        "`x` must have shape": lambda: plan(circuit, {}, np.zeros((3, 2))),
        r"`x` must be finite, but row 1": lambda: plan(circuit, {}, [[0.0], [np.nan]]),
        "`tolerance`": lambda: plan(circuit, {}, [[0.1]], tolerance=0.0),
        "`share`": lambda: plan(circuit, {}, [[0.1]], share=0.0),
        "got 9 and 8": lambda: plan(circuit, {}, [[0.1]], minimum=9, maximum=8),
        "exceed `maximum`, got 9": lambda: fj.runtime.plan_total(
            circuit, {}, [[0.1]], minimum=9, maximum=8
        ),
        "`maximum` must be at least 71, as the circuit prepares, .* 70 photons, got 64": lambda: (
            plan(fj.Circuit(1).prepare("fock", 70, modes=0), {})
        ),
        "`maximum` must be an integer >= 1, got .8, 8": lambda: plan(
            circuit, {}, [[0.1]], maximum=(8, 8)
        ),
        "`low` and `high`": lambda: fj.runtime.spread([1.0], [0.0]),
        "`rows` must be an integer >= 1, got 0": lambda: fj.runtime.spread([0.0], [1.0], rows=0),
    }.items():
        with pytest.raises(ValueError, match=named):
            call()
    with pytest.raises(TypeError, match="`plan` must come from .* got tuple"):
        fj.runtime.run_adaptive(circuit, lambda s: s.norm, {}, [[0.1]], (4,))


def test_of_many_rows_the_extreme_ones_are_looked_at():
    circuit = fj.Circuit(1).displace(fj.Input(0), mode=0)
    x = np.zeros((5000, 1))
    x[3123] = 1.5
    plan = fj.runtime.plan_cutoffs(circuit, {}, x)
    assert 3123 in plan.rows and len(plan.rows) <= 1024 and plan.truncation == (10,)


def test_points_to_plan_with_are_the_corners_and_fill_the_ranges():
    low, high = np.array([-1.0, 0.0, 2.0]), np.array([1.0, 5.0, 2.0])
    points = fj.runtime.spread(low, high, rows=128)
    assert points.shape == (128, 3) and np.all((points >= low) & (points <= high))
    corners = {(a, b, 2.0) for a in (-1.0, 1.0) for b in (0.0, 5.0)}
    assert corners <= {tuple(point) for point in points[:8].tolist()}
    counts, *_ = np.histogram2d(*points[8:, :2].T, bins=4, range=[(-1, 1), (0, 5)])
    assert counts.min() >= 6 and counts.max() <= 9  # of 120 points in 16 cells
    few = fj.runtime.spread([0.0] * 5, [1.0] * 5, rows=32)  # more corners than half of them
    assert few.shape == (32, 5) and np.all((0 < few.mean(0)) & (few.mean(0) < 1))
    assert not np.isin(few, (0, 1)).all(1).any()


# Samples that run again


def test_of_many_rows_of_many_inputs_no_more_are_looked_at():
    from fockjax.runtime.cutoffs.samples import ROWS, rows_to_plan_for

    chosen = rows_to_plan_for(np.random.default_rng(0).normal(size=(5000, 784)))
    assert len(chosen) <= ROWS and len(np.unique(chosen)) == len(chosen)


def test_results_whose_shape_depends_on_the_cutoff_are_refused():
    circuit = fj.Circuit(1).displace(fj.Input(0), mode=0)
    plan = fj.runtime.plan_cutoffs(circuit, {}, [[0.1]])
    with pytest.raises(fj.runtime.RunError, match="same shape at all cutoffs"):
        fj.runtime.run_adaptive(circuit, lambda s: s.probabilities(0), {}, [[0.1], [1.0]], plan)


def test_calls_that_share_executables_compile_once_whatever_the_weights_and_keys():
    circuit = fj.Circuit(1).displace(fj.Input(0), mode=0).squeeze(fj.Weight("r"), mode=0)
    circuit.measure_homodyne(mode=0, name="x")
    x, shared = np.array([[0.1], [0.2], [0.3]]), fj.runtime.Executables()
    plan = fj.runtime.plan_cutoffs(circuit, {"r": 0.1}, x, key=jax.random.key(0))

    def drawn(r, key):
        run = partial(fj.runtime.run_adaptive, circuit, lambda s: s.outcomes["x"], {"r": r}, x)
        return run(plan, key=key, flag=True, executables=shared).values

    first = drawn(0.1, jax.random.key(1))
    compiled = shared.compiled
    assert len(set(first.tolist())) == 3  # each sample has a key of its own
    assert not np.allclose(first, drawn(0.1, jax.random.key(2)))
    assert not np.allclose(first, drawn(0.2, jax.random.key(1)))
    np.testing.assert_array_equal(first, drawn(0.1, jax.random.key(1)))
    assert shared.compiled == compiled
    cutoff = plan.rungs[0]
    own = [jax.random.fold_in(jax.random.key(1), k) for k in range(3)]
    alone = [circuit({"r": 0.1}, x[k], cutoff=cutoff, key=own[k]).outcomes["x"] for k in range(3)]
    np.testing.assert_allclose(first, alone, rtol=1e-3)
    np.testing.assert_allclose(drawn(0.1, jax.random.PRNGKey(1)), alone, rtol=1e-3)


def test_samples_adapt_and_what_is_too_much_is_never_silent():
    circuit = fj.Circuit(1).displace(fj.Input(0), mode=0)
    x = np.array([[0.2], [0.4], [1.2], [0.1], [9.0]])
    plan = fj.runtime.plan_cutoffs(circuit, {}, x[:2], maximum=8)

    def photons(state):
        return state.photon_number(0).mean

    with pytest.raises(fj.runtime.LeakageError, match=r"1 of 5 .* \(8,\) \(rows 4;") as error:
        fj.runtime.run_adaptive(circuit, photons, {}, x, plan)
    result = error.value.results
    np.testing.assert_array_equal(result.ok, [True, True, True, True, False])
    assert error.value.plan is plan and str(result) == "level 0: 3 rows\nlevel 2: 2 rows\nnot ok: 1"
    np.testing.assert_allclose(result.values[:4], x[:4, 0] ** 2, rtol=1e-2)
    assert result.level[2] > result.level[0] == 0
    flagged = fj.runtime.run_adaptive(circuit, photons, {}, x[4:], plan, flag=True)
    assert not flagged.ok.any() and flagged.level == len(plan.rungs) - 1 == 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Gaussian", "Kerr", "cubic", "data"])
def test_random_circuits(kind):
    path = Path(__file__).parent.parent / "benchmarks" / "cutoffs.py"
    found = runpy.run_path(str(path))["study"](kind, 1, 1e-3)
    assert found.kept and found.caught and found.above <= 3
    assert found.lost <= 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Gaussian", "Kerr", "data"])
def test_states_at_planned_cutoffs_are_those_at_large_ones(x64, kind):
    """As far as the tolerance promises, and no closer than what is lost."""
    path = Path(__file__).parent.parent / "benchmarks" / "cutoffs.py"
    circuit, inputs = runpy.run_path(str(path))["circuit_of"](kind, 1, np.random.default_rng(1))
    x = np.random.default_rng(2).normal(size=(3, inputs))
    plan = fj.runtime.plan_cutoffs(circuit, {}, x if inputs else None, tolerance=1e-3)
    call = jax.jit(circuit, static_argnames="cutoff")
    for row in x if inputs else [None]:
        state = call({}, row, cutoff=plan.truncation)
        large = call({}, row, cutoff=tuple(2 * cutoff for cutoff in plan.truncation))
        missing = np.array(large.ket())
        missing[tuple(map(slice, state.cutoffs))] -= state.ket()
        error = np.linalg.norm(missing)
        assert 1e-9 < state.leakage <= 1e-3 and large.leakage < state.leakage / 100
        assert 0.5 * np.sqrt(state.leakage) < error < state.error_bound + large.error_bound


# A bound on all photons together


def totals_of(state: fj.State, below: int) -> np.ndarray:
    """The probability of fewer photons in total, for each number up to ``below``."""
    photons = np.indices(state.cutoffs).sum(0)
    weights = abs(np.asarray(state.ket())) ** 2
    return np.array([weights[photons < k].sum() for k in range(1, below + 1)])


def test_beyond_a_total_two_squeezed_modes_have_pairs():
    """A two-mode squeezed vacuum has 2k photons with probability tanh^2k r / cosh^2 r."""
    circuit = fj.Circuit(2).two_mode_squeeze(0.6, 0.3).rotate(0.2, mode=0)
    (cut,) = (cut for cut in cuts(circuit, {}, ONE_SAMPLE) if cut.group)
    found = total_tails(cut.group, CUTOFFS)[0]
    pairs = (np.array(CUTOFFS) + 1) // 2  # so many pairs exceed it
    np.testing.assert_allclose(found, np.tanh(0.6) ** (2 * pairs), rtol=1e-5)
    np.testing.assert_allclose(cut.group.photons, 2 * np.sinh(0.6) ** 2, rtol=1e-6)


def test_a_total_acts_where_photons_are_made_or_groups_are_joined():
    circuit = fj.Circuit(3).displace(0.3, mode=0).beamsplitter(modes=(0, 1))
    circuit.beamsplitter(0.2, modes=(1, 0)).kerr(0.3, mode=0).add("cross_kerr", 0.2, modes=(1, 2))
    circuit.loss(0.8, mode=1).squeeze(0.2, mode=2)
    found = [cut for cut in cuts(circuit, {}, ONE_SAMPLE) if cut.group]
    assert [(cut.number, len(cut.group.mean[0]) // 2, cut.group.exact) for cut in found] == [
        *[(1, 1, True), (2, 2, True), (5, 3, False), (7, 3, False)],
    ]


def test_totals_are_those_of_the_state():
    circuit = fj.Circuit(2).displace(0.4, 0.3, mode=0).squeeze(0.3, 1.1, mode=1)
    circuit.beamsplitter(0.5, 0.7).two_mode_squeeze(0.2, 0.4)
    *_, cut = cuts(circuit, {}, ONE_SAMPLE)
    found = total_tails(cut.group, tuple(range(1, 9)))[0]
    np.testing.assert_allclose(found, 1 - totals_of(circuit({}, cutoff=16), 8), atol=2e-5)


def many_modes(modes: int) -> fj.Circuit:
    circuit = fj.Circuit(modes)
    for mode in range(modes):
        circuit.displace(fj.Input(0), mode=mode).squeeze(0.1, mode=mode)
    for mode in range(modes - 1):
        circuit.beamsplitter(0.4, modes=(mode, mode + 1))
    return circuit


def test_the_truncation_of_least_memory_is_chosen():
    apart = fj.Circuit(2).displace(fj.Input(0), mode=0).squeeze(0.1, mode=1).beamsplitter(0.1)
    plan = fj.runtime.plan_truncation(apart, {}, [[2.0]])
    assert isinstance(plan.truncation, tuple) and plan.truncation[1] < plan.truncation[0]
    assert str(plan).startswith(f"Bytes of a sample: {plan.truncation} takes ")
    plan = fj.runtime.plan_truncation(many_modes(4), {}, [[0.2], [0.3]], tolerance=1e-2)
    assert isinstance(plan.truncation, fj.TotalPhotons)
    (least, more) = plan.sizes.values()
    assert least < more and plan.rungs[0] == plan.truncation and plan.plan.guaranteed


def test_the_state_is_sized_where_it_is_largest():
    """After a selection little is left, but the joint state was there."""
    circuit = many_modes(4)
    whole = fj.runtime.plan_truncation(circuit, {}, [[0.2]], tolerance=1e-2)
    selected = circuit.measure_photons(modes=(1, 2, 3), select=[1, 0, 0])
    plan = fj.runtime.plan_truncation(selected, {}, [[0.2]], tolerance=1e-2)
    assert plan.sizes == whole.sizes and plan.truncation == whole.truncation


def test_a_measurement_hides_no_run_that_is_too_large():
    circuit = fj.Circuit(3).displace(fj.Input(0), mode=0).beamsplitter(modes=(0, 1))
    circuit.beamsplitter(modes=(1, 2)).kerr(0.1, mode=2).displace(0.3, mode=2)
    circuit.measure_photons(modes=(0, 1), select=[1, 0])
    with pytest.raises(fj.runtime.PilotTooLarge, match="only 10,000 may be used"):
        fj.runtime.plan_cutoffs(circuit, {}, [[0.7]], memory=10_000)


@pytest.mark.slow
def test_rows_that_lose_too_much_run_again_at_larger_totals():
    circuit, x = many_modes(4), np.array([[0.1], [0.2], [0.6]])
    plan = fj.runtime.plan_total(circuit, {}, x[:2], tolerance=1e-2)
    result = fj.runtime.run_adaptive(circuit, lambda s: s.quadrature(0).mean, {}, x, plan)
    assert result.level[2] > 0 and list(result.level[:2]) == [0, 0] and result.ok.all()
    assert str(result).startswith("level 0: 2 rows\nlevel ")
    direct = circuit({}, x[2], cutoff=plan.rungs[result.level[2]])
    np.testing.assert_allclose(result.values[2], direct.quadrature(0).mean, rtol=1e-5)
    assert np.all(result.leakage[:2] <= plan.bound)


@pytest.mark.slow
@pytest.mark.parametrize("padding", [0, 20])
def test_a_total_is_found_by_running_where_it_is_not_gaussian(padding):
    circuit = fj.Circuit(2).displace(fj.Input(0), mode=0).beamsplitter(0.3)
    circuit.cubic_phase(0.05, padding=padding, mode=0).beamsplitter(0.2)
    plan = fj.runtime.plan_total(circuit, {}, [[0.2], [0.7]], tolerance=1e-3)
    assert not plan.guaranteed and plan.within == 2 and "as they ran" in str(plan)
    state = circuit({}, np.array([0.7]), cutoff=plan.truncation)
    assert fj.runtime.lost(state) <= 1e-3


@pytest.mark.parametrize("plan", [fj.runtime.plan_cutoffs, fj.runtime.plan_total])
def test_samples_that_are_no_numbers_are_refused(plan):
    circuit = fj.Circuit(1).displace(fj.Input(0), mode=0)
    masked = np.ma.masked_array([[0.2], [90.0]], [[False], [True]])
    with pytest.raises(ValueError, match="`x` has masked values"):
        plan(circuit, {}, masked)
    for x in ([["a"]], [[None]]):
        with pytest.raises(TypeError, match="`x` must be made of real numbers, got dtype"):
            plan(circuit, {}, x)
    swapped = plan(circuit, {}, np.array([[0.5]], ">f8"))
    assert swapped.rungs == plan(circuit, {}, [[0.5]]).rungs
    groups = fj.grouped(lambda n: fj.Circuit(n), modes=2, group_size=1)
    with pytest.raises(TypeError, match="must be a Circuit, got Grouped; .* of one group"):
        plan(groups, {}, None)


def kerr_between_squeezers(modes):
    """Squeezing that does not add up, which the Gaussian part does not know."""
    circuit = fj.Circuit(modes)
    for mode in range(modes):
        circuit.squeeze(0.5, mode=mode).kerr(np.pi / 4, mode=mode).squeeze(0.5, 0.3, mode=mode)
        circuit.displace(fj.Input(0), 0.2, mode=mode)
    for mode in range(modes - 1):
        circuit.beamsplitter(0.6, 0.3, modes=(mode, mode + 1))
    return circuit


@pytest.mark.slow
def test_the_total_planned_is_the_least_that_suffices():
    circuit, x = kerr_between_squeezers(3), np.array([[0.2]])
    plan = fj.runtime.plan_total(circuit, {}, x, tolerance=1e-2)
    assert not plan.guaranteed and plan.within == 1

    def lost(total):
        return fj.runtime.lost(circuit({}, x[0], cutoff=fj.TotalPhotons(total)))

    below = plan.truncation.below
    assert lost(below) <= 1e-2 < lost(below - 2)  # the next lower one of the list
    assert below < 20


@pytest.mark.slow
def test_what_fits_is_planned_where_the_generous_cutoffs_do_not_fit():
    circuit = kerr_between_squeezers(3)
    whole = fj.runtime.plan_cutoffs(circuit, {}, [[0.2]], tolerance=1e-2)
    plan = fj.runtime.plan_cutoffs(circuit, {}, [[0.2]], tolerance=1e-2, memory=4 * 8 * 20**3)
    assert whole.trial and plan.trial and max(plan.trial.generous) <= 20 < max(whole.trial.generous)
    assert plan.truncation == whole.truncation
    with pytest.raises(fj.runtime.PilotTooLarge, match="may be used"):  # it is not enough
        fj.runtime.plan_cutoffs(circuit, {}, [[0.2]], tolerance=1e-2, memory=4 * 8 * 6**3)


@pytest.mark.parametrize("plan", [fj.runtime.plan_cutoffs, fj.runtime.plan_total])
def test_a_tolerance_below_rounding_is_refused(plan):
    circuit = fj.Circuit(1).displace(0.1, mode=0)
    with pytest.raises(ValueError, match="rounding alone .* complex64: allow more, or compute in"):
        plan(circuit, {}, tolerance=1e-7, dtype=jnp.complex64)
    assert plan(circuit, {}, tolerance=1e-6, dtype=jnp.complex64).within == 1


@pytest.mark.slow
def test_a_rung_over_the_limit_of_a_state_is_left_out():
    """8 GiB for a state, whatever the memory: 64 levels of 6 modes would be 550 GB."""
    circuit = fj.Circuit(6)
    for mode in range(6):
        circuit.displace(fj.Input(0), mode=mode)
    for mode in range(5):
        circuit.beamsplitter(0.6, 0.3, modes=(mode, mode + 1))
    plan = fj.runtime.plan_cutoffs(circuit, {}, [[0.1]], minimum=3, tolerance=1e-2)
    rungs = (plan.rungs[0], (64,) * 6)
    plan = replace(plan, rungs=rungs)
    read = fj.nn.photon_numbers
    found = fj.runtime.run_adaptive(circuit, read, {}, [[0.1], [2.0]], plan, flag=True)
    assert found.ok.tolist() == [True, False] and found.level.tolist() == [0, 0]
