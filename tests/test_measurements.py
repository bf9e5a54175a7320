"""Measurements in circuits: what they find, what they leave, and what follows from it."""

import copy
import math

import dense
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import close
from scipy import stats

import fockjax as fj
from fockjax import planning

CUTOFF = 7


def source(modes=3):
    """Entangled, with complex amplitudes."""
    circuit = fj.Circuit(modes).two_mode_squeeze(0.6, 0.4, modes=(0, 1)).displace(0.4, 0.9, mode=0)
    circuit.beamsplitter(0.5, 0.3, modes=(0, 1))
    return circuit.beamsplitter(0.7, -0.4, modes=(1, 2)) if modes > 2 else circuit


def wave(x, cutoff, angle, hbar):
    """<x_angle|n>."""
    functions = dense.hermite_functions(x / math.sqrt(hbar), cutoff) / hbar**0.25
    return functions * np.exp(-1j * angle * np.arange(cutoff))


def coherent(alpha, cutoff):
    """<alpha|n> / sqrt(pi)."""
    return dense.coherent(alpha, cutoff).conj() / math.sqrt(math.pi)


def counted(k, efficiency, dark):
    """The probability of counting k where n photons are, for all n."""
    return np.array([dense.counting_probability(k, n, efficiency, dark) for n in range(CUTOFF)])


clicked = 1 - 0.8 ** np.arange(CUTOFF) * math.exp(-0.1)
# A measurement of mode 1 with its outcome, and its effect: weights and bras.
SELECTED = {
    "photons": (("photons", (), 2), [1], np.eye(CUTOFF)[2:3]),
    "no photons": (("photons", (), 0), [1], np.eye(CUTOFF)[:1]),
    "faulty photons": (("photons", (0.7, 0.2), 2), counted(2, 0.7, 0.2), np.eye(CUTOFF)),
    "click": (("threshold", (0.2, 0.1), 1), clicked, np.eye(CUTOFF)),
    "homodyne": (("homodyne", (0.6,), 0.8), [1], wave(0.8, CUTOFF, 0.6, 1.3)[None]),
    "heterodyne": (("heterodyne", (), 0.3 - 0.5j), [1], coherent(0.3 - 0.5j, CUTOFF)[None]),
}


SELDOM = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("photons", "no photons")]


@pytest.mark.parametrize("kind", ["faulty photons", "click", "homodyne", "heterodyne", *SELDOM])
def test_a_selected_outcome_leaves_what_it_projects_on(kind, x64):
    (name, values, outcome), weights, bras = SELECTED[kind]
    before = fj.Circuit(3, hbar=1.3)
    before._operations = list(source().operations)
    ket = np.asarray(before({}, cutoff=CUTOFF).ket())
    state = before.measure(name, *values, modes=1, select=outcome)({}, cutoff=CUTOFF)
    left = np.einsum("anb,jn->jab", ket, bras)
    rho = np.einsum("j,jab,jcd->abcd", weights, left, left.conj())
    trace = np.vdot(ket, ket).real
    probability = np.einsum("abab->", rho).real / trace
    close(state.selection_probability, probability)
    close(state.trace, trace)
    close(state.reduced((0, 2)), rho / probability)
    close(state.probabilities(1), trace * np.eye(CUTOFF)[0])
    assert state.groups == ((0, 2), (1,))
    assert state.is_pure == (len(weights) == 1)
    assert state.error_bound == np.inf
    assert state.outcomes["m1"] == outcome


@pytest.mark.parametrize(
    "kind, values, outcomes",
    [
        ("photons", (), 7),
        pytest.param("photons", (0.7, 0.2), 9, marks=pytest.mark.slow),
        ("threshold", (0.2, 0.1), 2),
    ],
)
def test_a_count_may_be_selected_by_a_parameter(kind, values, outcomes, x64):
    """All outcomes under one vmap are those selected as integers; what is none has the probability
    0.
    """
    scanned = source(2).measure(kind, *values, modes=1, select=fj.Input(0) - fj.Weight("start"))

    def found(n):
        state = scanned({"start": 2}, jnp.stack([n]), cutoff=CUTOFF)
        return state.selection_probability, state.reduced(0), state.outcomes["m1"]

    chances, states, found_ = jax.jit(jax.vmap(found))(jnp.arange(outcomes) + 2)
    assert found_.tolist() == list(range(outcomes)) and found_.dtype == np.int32
    for n in (0, 1, outcomes - 1):
        state = source(2).measure(kind, *values, modes=1, select=n)({}, cutoff=CUTOFF)
        close(chances[n], state.selection_probability)
        close(states[n], state.reduced(0))
    impossible = jnp.array([0.5, 1.0, 2.999, jnp.nan, -jnp.inf, 300.0, 1e12])
    chances, _, found_ = jax.jit(jax.vmap(found))(impossible)
    assert np.all(chances < 1e-300) and found_[:5].tolist() == [-1, -1, -1, -1, found_[4]]
    with pytest.raises(ValueError, match="impossible.*select="):
        scanned({"start": 2}, [2.5], cutoff=CUTOFF)


def test_the_same_count_as_before_may_be_selected():
    circuit = source(2).measure_photons(modes=0).measure_photons(modes=1, select=fj.Outcome("m0"))
    state = circuit({}, cutoff=CUTOFF, key=jax.random.key(1))
    assert state.outcomes["m0"] == state.outcomes["m1"]
    report = fj.inspect(circuit, {}, cutoff=CUTOFF, key=jax.random.key(1))
    close(report.rows[-1].probability, state.selection_probability, 1e-6)


@pytest.mark.slow
def test_what_another_mode_lost_before_counts(x64):
    """A gate on it is cut before the measurement, in a call and inspected."""
    circuit = fj.Circuit(2).two_mode_squeeze(0.8).squeeze(0.9, mode=1)
    ket = circuit({}, cutoff=6).ket()
    circuit.measure_photons(modes=0, select=2)
    state, report = circuit({}, cutoff=6), fj.inspect(circuit, {}, cutoff=6)
    left = abs(ket[2]) ** 2 / jnp.sum(abs(ket) ** 2)
    close(state.selection_probability, jnp.sum(left))
    close(report.rows[-1].probability, jnp.sum(left))
    close(state.leakage, 1 - jnp.sum(abs(ket) ** 2))
    close(state.probabilities(1) / state.trace, left / jnp.sum(left))


def test_of_a_mixed_state_too(x64):
    circuit = source(2).loss(0.7, mode=0)
    rho = np.asarray(circuit({}, cutoff=CUTOFF).density_matrix())
    state = circuit.measure_photons(modes=0, select=1)({}, cutoff=CUTOFF)
    left, trace = rho[1, :, 1, :], np.einsum("abab->", rho).real
    close(state.selection_probability, np.trace(left).real / trace)
    close(state.reduced(1), left / np.trace(left) * trace)


@pytest.mark.slow
def test_selections_multiply_and_differentiate(x64):
    """The joint probability of a pattern, and its derivatives by reverse and forward mode."""
    plain = fj.Circuit(2).squeeze(fj.Input(0), 0.3, mode=0).displace(fj.Input(1), mode=1)
    plain.beamsplitter(0.6, 0.4)
    selected = fj.Circuit(2).squeeze(fj.Input(0), 0.3, mode=0).displace(fj.Input(1), mode=1)
    selected.beamsplitter(0.6, 0.4).measure_photons(modes=(1, 0), select=(2, 1))

    def of_pattern(x):
        state = plain({}, x, cutoff=6)
        return state.probability((1, 2)) / state.trace

    def of_selection(x):
        return selected({}, x, cutoff=6).selection_probability

    x = jnp.array([0.4, 0.5])
    value, slope, forward = jax.jit(
        lambda x: (of_selection(x), jax.grad(of_selection)(x), jax.jacfwd(of_selection)(x))
    )(x)
    expected, expected_slope = jax.value_and_grad(of_pattern)(x)
    close(value, expected)
    close(slope, expected_slope)
    close(forward, expected_slope)


def test_outcomes_have_the_joint_distribution():
    circuit = source(2).measure_photons(modes=(1, 0))
    keys = jax.random.split(jax.random.key(2), 4000)
    outcomes = jax.jit(jax.vmap(lambda key: circuit({}, cutoff=CUTOFF, key=key).outcomes))(keys)
    assert outcomes["m0"].dtype == np.int32
    joint = np.asarray(source(2)({}, cutoff=CUTOFF).probabilities(), float)
    seen = np.histogram2d(outcomes["m0"], outcomes["m1"], np.arange(CUTOFF + 1) - 0.5)[0]
    often = joint > 2e-3
    expected = np.append(joint[often], joint[~often].sum())
    found = np.append(seen[often], seen[~often].sum())
    assert stats.chisquare(found, 4000 * expected / expected.sum()).pvalue > 1e-3


def test_a_drawn_outcome_leaves_what_selecting_it_leaves():
    drawn = source().measure_photons(modes=2)
    state = drawn({}, cutoff=CUTOFF, key=jax.random.key(4))
    chosen = source().measure_photons(modes=2, select=int(state.outcomes["m2"]))({}, cutoff=CUTOFF)
    close(state.reduced((0, 1)), chosen.reduced((0, 1)), 1e-6)
    close(state.selection_probability, 1)
    keys = jax.random.split(jax.random.key(4), 3)
    batch = jax.vmap(lambda key: drawn({}, cutoff=CUTOFF, key=key).outcomes["m2"])(keys)
    assert batch.tolist() == [int(drawn({}, cutoff=CUTOFF, key=key).outcomes["m2"]) for key in keys]


# Feed-forward -------------------------------------------------------------------------------------


def teleporting(r):
    circuit = fj.Circuit(3).displace(0.5, 0.4, mode=0)
    circuit.prepare("two_mode_squeezed", r, modes=(1, 2)).beamsplitter(np.pi / 4, 0.0)
    circuit.measure_homodyne(mode=0, name="x").measure_homodyne(np.pi / 2, mode=1, name="p")
    circuit.x_displace(math.sqrt(2) * fj.Outcome("x"), mode=2)
    return circuit.p_displace(math.sqrt(2) * fj.Outcome("p"), mode=2)


@pytest.mark.slow
def test_teleportation_has_its_known_fidelity():
    """1 / (1 + e^{-2r}) for a coherent state (S. L. Braunstein and H. J. Kimble, PRL 80, 869
    (1998)), within 4 standard errors."""
    r = 0.7
    circuit = teleporting(r)

    def fidelity(state):
        return state.fidelity_coherent([0.0, 0.0, 0.5], [0.0, 0.0, 0.4])

    estimate = jax.jit(
        lambda key: fj.monte_carlo(
            lambda key: circuit({}, cutoff=(12, 12, 14), key=key), fidelity, key, 800
        )
    )(jax.random.key(0))
    assert estimate.standard_error < 0.01
    assert abs(estimate.mean - 1 / (1 + math.exp(-2 * r))) < 4 * estimate.standard_error


def test_what_is_fed_forward_is_the_outcome():
    """All kinds of outcomes, in arithmetic, next to the same numbers written."""

    def circuit(first, second, angle):
        measured = source().measure_heterodyne(mode=0, name="alpha", select=0.4 - 0.3j)
        measured.measure_photons(modes=1, select=2)
        measured.displace(first(measured), mode=2).squeeze(second(measured), mode=0)
        return measured.rotate(angle(measured), mode=2)({}, cutoff=5)

    alpha, n = fj.Outcome("alpha"), fj.Outcome("m1")
    fed = circuit(
        lambda _: alpha.real * 0.5, lambda _: 0.1 * n, lambda _: fj.apply(jnp.cos, alpha.imag)
    )
    written = circuit(lambda _: 0.2, lambda _: 0.2, lambda _: math.cos(-0.3))
    close(fed.ket(), written.ket(), 1e-6)


def test_what_a_complex_outcome_is_made_into_may_be_real():
    alpha = 0.4 - 0.3j
    block = fj.Circuit(2).two_mode_squeeze(0.6).measure_heterodyne(mode=0, select=alpha, name="a")
    block.displace(abs(fj.Outcome("a")), fj.apply(jnp.angle, fj.Outcome("a")), mode=1)
    circuit = fj.Circuit(2).repeat(block, 2).rotate(abs(1j * fj.Outcome("a")[1]), mode=1)
    written = fj.Circuit(2)
    for name in "ab":
        written.two_mode_squeeze(0.6).measure_heterodyne(mode=0, select=alpha, name=name)
        written.displace(0.5, np.angle(alpha), mode=1)
    close(circuit({}, cutoff=5).ket(), written.rotate(0.5, mode=1)({}, cutoff=5).ket(), 1e-5)


@pytest.mark.parametrize(
    "select",
    [
        fj.Input(0) + 1j * fj.Input(1),
        np.complex64(1j) * fj.Input(1) + fj.Input(0),
        fj.apply(jax.lax.complex, fj.Input(0), fj.Input(1)),
        fj.Outcome("a") * 1.0,
    ],
)
@pytest.mark.loose_promotion  # x + iy promotes x
def test_a_complex_amplitude_may_be_selected_by_parameters(select, x64):
    x = jnp.array([0.4, -0.3])
    start = source(2).measure_heterodyne(mode=0, select=0.4 - 0.3j, name="a")
    constant = copy.copy(start).measure_heterodyne(mode=1, select=0.4 - 0.3j)
    circuit = start.displace(fj.Input(0) - x[0], mode=0).displace(fj.Input(1) - x[1], mode=0)
    circuit.measure_heterodyne(mode=1, select=select)
    state, expected = circuit({}, x, cutoff=5), constant({}, cutoff=5)
    close(state.selection_probability, expected.selection_probability)
    assert np.isclose(state.outcomes["m1"], 0.4 - 0.3j)
    assert np.isclose(fj.inspect(circuit, {}, x, cutoff=5).rows[-1].outcome, 0.4 - 0.3j)


def test_layers_that_measure_are_those_written_out():
    """With the same keys the same outcomes, one for each layer, fed forward inside and after."""
    block = fj.Circuit(2).squeeze(fj.Weight("r"), 0.3, mode=0).beamsplitter(0.5, 0.2)
    block.measure_photons(modes=1).displace(0.2 * fj.Outcome("m1"), mode=0).prepare(
        "fock", 1, modes=1
    )
    circuit = fj.Circuit(2).repeat(block, 3).rotate(fj.Outcome("m1")[-1], mode=0)
    weights = {"r": jnp.array([0.5, -0.4, 0.6])}
    key = jax.random.key(8)
    state = circuit(weights, cutoff=6, key=key)
    assert state.outcomes["m1"].shape == (3,)
    assert len(set(state.outcomes["m1"].tolist())) > 1
    written, found = fj.Circuit(2), state.outcomes["m1"].tolist()
    for r, n in zip([0.5, -0.4, 0.6], found, strict=True):
        written.squeeze(r, 0.3, mode=0).beamsplitter(0.5, 0.2)
        written.measure_photons(modes=1, select=n, name=f"m{len(written.operations)}")
        written.displace(0.2 * n, mode=0).prepare("fock", 1, modes=1)
    selected = written.rotate(float(found[-1]), mode=0)({}, cutoff=6)
    close(state.ket(), selected.ket(), 1e-5)
    assert state.truncations == selected.truncations
    assert len(list(planning.keys(circuit.operations, key))) == 3 * 5 + 1


def test_a_block_that_measures_on_two_pairs_of_modes():
    """Entanglement swapping in two stages. Each place has outcomes of its own, of one layer."""

    def bell(name):
        block = fj.Circuit(2).beamsplitter(0.5, 0.2).measure_photons(modes=0, name=f"a{name}")
        return block.displace(0.2 * fj.Outcome(f"a{name}"), mode=1)

    circuit = fj.Circuit(4).two_mode_squeeze(0.7, modes=(0, 1)).two_mode_squeeze(0.5, modes=(2, 3))
    circuit.repeat(bell(1), modes=(2, 1)).repeat(bell(2), modes=(0, 3))
    circuit.rotate(fj.Outcome("a1")[0], mode=1)
    key = jax.random.key(1)
    state = circuit({}, cutoff=5, key=key)
    found = {name: int(outcome) for name, (outcome,) in state.outcomes.items()}
    assert list(found) == ["a1", "a2"]
    written = fj.Circuit(4).two_mode_squeeze(0.7, modes=(0, 1)).two_mode_squeeze(0.5, modes=(2, 3))
    for name, (first, second) in {"a1": (2, 1), "a2": (0, 3)}.items():
        written.beamsplitter(0.5, 0.2, modes=(first, second))
        written.measure_photons(modes=first, select=found[name])
        written.displace(0.2 * found[name], mode=second)
    close(state.ket(), written.rotate(found["a1"], mode=1)({}, cutoff=5).ket(), 1e-5)
    with pytest.raises(ValueError, match="an outcome is called 'a1' already; give this one"):
        circuit.repeat(bell(1), modes=(1, 2))


@pytest.mark.slow
def test_the_weight_makes_gradients_unbiased():
    """A displacement by 0.4 n1 makes <n0> + 0.16 <n1^2> of <n0>, <n1 a0> being 0 here. Without the
    weight the derivative is 0.39 instead of 0.68.
    """
    plain = fj.Circuit(2).squeeze(fj.Weight("r"), mode=0).beamsplitter(0.6, 0.2)
    fed = fj.Circuit(2).squeeze(fj.Weight("r"), mode=0).beamsplitter(0.6, 0.2)
    fed.measure_photons(modes=1).displace(0.4 * fj.Outcome("m1"), mode=0)

    def exact(r):
        state = plain({"r": r}, cutoff=10)
        n1 = state.photon_number(1)
        return state.photon_number(0).mean + 0.16 * (n1.variance + n1.mean**2)

    @jax.jit
    def sampled(r, key):
        def mean(r):
            estimate = fj.monte_carlo(
                lambda key: fed({"r": r}, cutoff=10, key=key),
                lambda state: state.photon_number(0).mean,
                key,
                16_000,
            )
            return estimate.mean, estimate.standard_error

        return jax.value_and_grad(mean, has_aux=True)(r)

    r = jnp.array(0.4)
    value, slope = jax.value_and_grad(exact)(r)
    (mean, error), tangent = sampled(r, jax.random.key(1))
    assert abs(mean - value) < 4 * error
    assert abs(tangent - slope) < 0.1 * abs(slope)


def test_initial_states_go_on_and_keep_their_kind():
    first = source(2).loss(0.8, mode=1)({}, cutoff=5)
    whole = source(2).loss(0.8, mode=1).squeeze(0.2, 0.3, mode=0)({}, cutoff=5)
    after = fj.Circuit(2).squeeze(0.2, 0.3, mode=0)({}, cutoff=5, initial=first)
    close(after.density_matrix(), whole.density_matrix(), 1e-6)
    assert after.truncations == whole.truncations
    with pytest.raises(ValueError, match=r"`initial` has cutoffs, dtype and hbar.*must agree"):
        fj.Circuit(2).rotate(0.1, mode=0)({}, cutoff=6, initial=first)


# Refusals -----------------------------------------------------------------------------------------

REFUSED = {
    "twice": (
        lambda c: c.measure_photons(modes=0).measure_homodyne(mode=0, name="again"),
        "mode 0 has been measured",
    ),
    "twice in layers": (
        lambda c: c.repeat(fj.Circuit(1).measure_photons(modes=0), 2),
        "mode 0 has been measured",
    ),
    "name": (
        lambda c: c.measure_photons(modes=0).displace(0.1, mode=0).measure_photons(modes=0),
        "called 'm0' already",
    ),
    "not measured": (
        lambda c: c.displace(fj.Outcome("m1"), mode=0),
        "no outcome before it is called 'm1'; there are none",
    ),
    "complex": (
        lambda c: c.measure_heterodyne(mode=0).displace(fj.Outcome("m0"), mode=1),
        r"'r' must be real, but m0 is complex: take the \.real, \.imag or abs",
    ),
    "complex function": (
        lambda c: c.measure_heterodyne(mode=0).rotate(
            2 - fj.apply(jnp.conj, fj.Outcome("m0")), mode=1
        ),
        r"'phi' must be real, but \(2 - conj\w*\(m0\)\) is complex",
    ),
    "complex number": (
        lambda c: c.displace(1j * fj.Weight("r"), mode=1),
        r"'r' must be real, but \(\(0\+1j\) \* r\) is complex: .* modulus and phase apart",
    ),
    "complex quadrature": (
        lambda c: c.measure_homodyne(mode=0, select=1j * fj.Weight("r")),
        r"'select' must be real, but \(\(0\+1j\) \* r\) is complex",
    ),
    "real part": (
        lambda c: c.measure_photons(modes=0).displace(fj.Outcome("m0").real, mode=1),
        "'m0' is integer; leave the part out",
    ),
    "layers": (
        lambda c: c.repeat(
            fj.Circuit(1).measure_photons(modes=0).displace(0.1, mode=0), 3
        ).displace(fj.Outcome("m0"), mode=1),
        r"each of 3 layers; take one",
    ),
    "layer": (
        lambda c: c.repeat(
            fj.Circuit(1).measure_photons(modes=0).displace(0.1, mode=0), 3
        ).displace(fj.Outcome("m0")[3], mode=1),
        r"has 3 layers, got \[3\]",
    ),
    "kind": (lambda c: c.measure("foton", modes=0), "Unknown measurement 'foton'"),
    "list": (lambda c: c.measure_photons(modes=0, select=[1]), "one outcome of the one mode"),
    "no integer": (lambda c: c.measure_photons(modes=0.0), r"modes must be integers .*, got 0\.0"),
    "no mode": (lambda c: c.measure_photons(modes=()), r"must name at least one mode, got \(\)"),
    "negative": (
        lambda c: c.measure_photons(modes=0, select=-1),
        r"`select` must be an integer >= 0",
    ),
    "no click": (lambda c: c.measure_threshold(modes=0, select=2), "0 or 1|1 or 0|no click"),
    "fraction": (
        lambda c: c.measure_photons(modes=0, select=0.5),
        r"`select` must be an integer >= 0",
    ),
    "entries": (
        lambda c: c.measure_photons(modes=(0, 1), select=(1,)),
        "`select` must have one entry",
    ),
    "one for all": (
        lambda c: c.measure_photons(modes=(0, 1), select=1),
        "`select` must have one entry",
    ),
    "one name for all": (
        lambda c: c.measure_photons(modes=(0, 1), name="m"),
        "`name` must have one entry",
    ),
    "efficiency": (lambda c: c.measure_photons(1.5, modes=0), r"efficiency.*\[0, 1\], got 1\.5"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_measured(case):
    add, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        add(fj.Circuit(2))


def test_a_refused_measurement_leaves_no_trace():
    circuit = fj.Circuit(3).measure_photons(modes=0)
    with pytest.raises(ValueError, match="called 'm0'"):
        circuit.measure_photons(modes=(1, 2), name=("m1", "m0"))
    circuit.measure_photons(modes=1)
    assert len(circuit.operations) == 2
    with pytest.raises(ValueError, match="no outcome before it is called"):
        circuit.displace(fj.Weight("r"), fj.Outcome("later"), mode=2)
    assert not circuit.init(jax.random.key(0))


def test_an_impossible_selection_is_refused_or_flagged():
    circuit = fj.Circuit(2).prepare("fock", 1, modes=0).prepare("fock", 1, modes=1)
    circuit.beamsplitter().measure_photons(modes=(0, 1), select=(1, 1))
    with pytest.raises(ValueError, match=r"impossible.*photons.*on mode 0.*select"):
        circuit({}, cutoff=3)
    chance = jax.jit(lambda: circuit({}, cutoff=3).selection_probability)()
    assert chance < 1e-12
    vacuum = fj.Circuit(1).measure_photons(modes=0, select=2)
    state = jax.jit(lambda: vacuum({}, cutoff=3))()
    assert state.selection_probability == 0
    assert state.is_finite
    assert state.trace == 0


def test_a_selection_that_only_some_runs_make_impossible_is_not_refused():
    """A photon that is lost, or found elsewhere before, is not there to be selected."""
    one = fj.Circuit(2).prepare("fock", 1, modes=0)
    lossy = copy.copy(one).loss(0.5, mode=0).measure_photons(modes=0, select=1)
    drawn = one.beamsplitter().measure_photons(modes=0).measure_photons(modes=1, select=1)
    for circuit in (lossy, drawn):
        found = [
            float(circuit({}, cutoff=2, key=key, unravel=True).selection_probability)
            for key in jax.random.split(jax.random.key(0), 8)
        ]
        assert {round(chance, 5) for chance in found} == {0.0, 1.0}
    never = fj.Circuit(2).measure_photons(modes=0, select=1).measure_photons(modes=1)
    with pytest.raises(ValueError, match="impossible"):
        never({}, cutoff=2, key=jax.random.key(0))


def test_what_follows_an_impossible_selection_is_impossible_too():
    circuit = fj.Circuit(3).two_mode_squeeze(0.5).measure_photons(modes=0, select=1)
    circuit.beamsplitter(0.3, modes=(1, 2)).measure_photons(modes=(1, 2), select=(2, 1))
    with pytest.raises(ValueError, match="impossible"):  # one photon is there
        circuit({}, cutoff=6)
    assert jax.jit(lambda: circuit({}, cutoff=6).selection_probability)() == 0
    drawn = fj.Circuit(1).squeeze(0.5, mode=0).measure_photons(modes=0, select=1)
    drawn.displace(0.2, mode=0).measure_homodyne(mode=0, name="x")
    state = jax.jit(lambda key: drawn({}, cutoff=6, key=key))(jax.random.key(0))
    assert state.weight == 1 and state.selection_probability == 0


def test_a_selection_is_judged_apart_from_those_of_the_state_it_starts_from():
    """Heralding in stages: each is likely, all together rarer than rounding."""
    click = fj.Circuit(2).two_mode_squeeze(0.03).measure_photons(modes=0, select=1)
    state = click({}, cutoff=9)
    for stage in range(2, 7):
        state = click({}, cutoff=9, initial=state)
        assert 0 < state.selection_probability < 0.01**stage
    never = fj.Circuit(2).beamsplitter(0.3).measure_photons(modes=(0, 1), select=(4, 4))
    with pytest.raises(ValueError, match="impossible"):
        never({}, cutoff=5, initial=fj.from_ket(np.eye(5)[:2].sum(0)[:, None] * np.eye(5)[0] / 2))


def test_measuring_needs_a_key_only_where_it_draws():
    with pytest.raises(ValueError, match="Argument `key` is missing"):
        fj.Circuit(1).measure_photons(modes=0)({}, cutoff=3)
    fj.Circuit(1).measure_photons(modes=0, select=0)({}, cutoff=3)
    for key in (0, jax.random.split(jax.random.key(0))):
        with pytest.raises(ValueError, match="`key` must be one JAX random key"):
            fj.Circuit(1).measure_photons(modes=0)({}, cutoff=3, key=key)
    fj.Circuit(1).measure_photons(modes=0)({}, cutoff=3, key=jax.random.PRNGKey(0))


def test_monte_carlo_wants_a_state_and_numbers_of_it():
    circuit, key = fj.Circuit(1).displace(0.3, mode=0).measure_photons(modes=0), jax.random.key(0)

    def run(key):
        return circuit({}, cutoff=3, key=key)

    with pytest.raises(TypeError, match="`run` must return a State, got "):
        fj.monte_carlo(lambda key: run(key).norm, lambda state: state.norm, key, 4)
    with pytest.raises(TypeError, match="`readout` must return numbers, got a State"):
        fj.monte_carlo(run, lambda state: state, key, 4)


def test_a_mean_is_that_given_what_is_selected_after_an_outcome():
    """The outcome of mode 2 is drawn and forgotten, as if the mode had been traced out. The average
    of what is complex, in batches."""
    drawn = source().measure_photons(modes=2).measure_photons(modes=1, select=1)
    traced = source().prepare("vacuum", modes=2).measure_photons(modes=1, select=1)

    def read(state):
        return state.mean_amplitude(0)

    def run(key):
        return drawn({}, cutoff=5, key=key)

    found = fj.monte_carlo(run, read, jax.random.key(1), 1000, batch_size=300)
    exact = read(traced({}, cutoff=5))
    assert abs(found.mean - exact) < 3 * found.standard_error
    plain = jnp.mean(
        jax.vmap(lambda key: read(run(key)))(jax.random.split(jax.random.key(0), 1000))
    )
    assert abs(plain - exact) > 10 * found.standard_error


def test_a_raw_key_of_numpy_is_a_key():
    circuit, key = (
        fj.Circuit(1).displace(0.3, mode=0).measure_photons(modes=0),
        jax.random.PRNGKey(2),
    )
    one, other = (circuit({}, cutoff=3, key=k).outcomes["m0"] for k in (key, np.asarray(key)))
    assert one == other


def test_complex_readouts_are_averaged_in_batches():
    circuit = fj.Circuit(1).displace(0.5, 0.3, mode=0).kerr(0.4, mode=0).loss(0.5, mode=0)

    def run(key):
        return circuit({}, cutoff=6, key=key, unravel=True)

    whole, parts = (
        fj.monte_carlo(
            run, lambda state: state.mean_amplitude(0), jax.random.key(0), 50, batch_size=size
        )
        for size in (50, 20)
    )
    np.testing.assert_allclose(parts.mean, whole.mean, atol=1e-6)
    np.testing.assert_allclose(parts.standard_error, whole.standard_error, rtol=1e-4)


def test_each_of_many_selections_is_judged_by_itself():
    """Two photons meet, and one is found behind: cos(2 theta)^2 of the time, in each layer anew."""
    block = fj.Circuit(2).prepare("fock", 1, modes=0).prepare("fock", 1, modes=1)
    block.beamsplitter(0.6, 0.4).measure_photons(modes=1, select=1, name="m")
    circuit, chance = fj.Circuit(2).repeat(block, 40), math.cos(1.2) ** 2
    state = circuit({}, cutoff=4)
    close(state.rarest_selection, chance, 1e-6)
    close(state.photon_number(0).mean, 1, 1e-5)
    few = fj.Circuit(2).repeat(block, 14)
    close(few({}, cutoff=4).selection_probability / chance**14, 1, 1e-4)
    assert not fj.inspect(few, {}, cutoff=4).advice
    again = circuit({}, cutoff=4, initial=state)
    close(again.rarest_selection, chance, 1e-6)
    block.measure_photons(modes=0, select=2, name="n")
    with pytest.raises(ValueError, match="impossible: of .* one has the probability"):
        fj.Circuit(2).repeat(block, 3)({}, cutoff=4)
    (advice,) = fj.inspect(fj.Circuit(2).repeat(block, 3), {}, cutoff=4).advice
    assert advice.startswith("Impossible: what is selected in step 5, ")
