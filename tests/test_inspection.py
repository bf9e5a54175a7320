"""What fj.inspect tells about a circuit, step by step."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fockjax as fj
from fockjax import inspection
from fockjax.gates import REGISTRY as GATES
from fockjax.operations import Measurement

CUTOFFS = (5, 9, 7)


def circuit_with_all():
    """Preparations, inputs, weights, a repeated block, linked modes; complex phases."""
    block = fj.Circuit(2).beamsplitter(fj.Weight("t"), 0.4).kerr(fj.Weight("k"), mode=1)
    circuit = fj.Circuit(3).prepare("fock", n=2, modes=1)
    circuit.displace(fj.Input(0), 0.3, mode=0).squeeze(0.4, fj.Weight("phi"), mode=2)
    return circuit.repeat(block, 3).beamsplitter(0.7, 1.1, modes=(2, 0))


WEIGHTS = {"t": jnp.array([0.3, 0.9, -0.4]), "k": jnp.array([0.1, 0.2, 0.3]), "phi": jnp.array(0.8)}
X = jnp.array([0.8])


def tells(row, state):
    """A row says of each mode what the state says."""
    assert row.groups == state.groups
    close = partial(np.testing.assert_allclose, rtol=0, atol=1e-6)
    close(row.norm, state.norm)
    close(row.leakage, state.leakage)
    for mode in range(3):
        close(row.top[mode], state.probabilities(mode)[-1])
        close(row.photons[mode], state.photon_number(mode).mean)


def test_rows_are_what_the_circuit_does_up_to_there():
    circuit = circuit_with_all()
    report = fj.inspect(circuit, WEIGHTS, X, cutoff=CUTOFFS)
    steps = circuit.evaluated(WEIGHTS, X)
    assert len(report.rows) == 1 + len(steps) == 11
    prefix = fj.Circuit(3)
    for number, row in enumerate(report.rows):
        if number:
            name, values, modes = steps[number - 1]
            assert (row.step.name, row.step.modes) == (name, modes)
            given = {k: np.asarray(v) if np.ndim(v) else v for k, v in values.items()}
            given = {k: v if isinstance(v, int) else float(v) for k, v in given.items()}
            (prefix.prepare if name == "fock" else prefix.add)(name, modes=modes, **given)
        if number in (3, 6):  # before the layers, and within them
            tells(row, prefix({}, cutoff=CUTOFFS))
    lost = [row.lost for row in report.rows]
    np.testing.assert_allclose(np.cumsum(lost), [row.leakage for row in report.rows], atol=1e-6)
    state = circuit(WEIGHTS, X, cutoff=CUTOFFS)
    tells(report.rows[-1], state)
    np.testing.assert_allclose(report.state.ket(), state.ket(), atol=1e-6)
    assert report.state.truncations == state.truncations
    assert report.state.reflects == state.reflects


def noisy_circuit():
    """A mixed preparation, channels, measurements and feed-forward, in layers and outside."""
    block = fj.Circuit(2).beamsplitter(fj.Weight("t"), 0.4).measure_photons(0.8, modes=1, name="n")
    circuit = fj.Circuit(2).prepare("thermal", fj.Input(0), modes=0)
    circuit.repeat(block.displace(0.3 * fj.Outcome("n"), 0.7, mode=0), 2)
    return circuit.displace(0.1 * fj.Outcome("n")[-1], 0.3, mode=0).loss(0.8, mode=0)


@pytest.mark.slow
@pytest.mark.parametrize("unravel", [False, True])
def test_the_same_key_sees_what_the_call_sees(unravel):
    circuit, weights = noisy_circuit(), {"t": jnp.array([0.8, 1.6])}
    options = {"cutoff": (4, 3), "key": jax.random.key(19), "unravel": unravel}
    report = fj.inspect(circuit, weights, X, **options)
    state = circuit(weights, X, **options)
    assert state.outcomes["n"].sum() > 0  # something was found, and fed forward
    found = [row.outcome for row in report.rows if isinstance(row.step, Measurement)]
    np.testing.assert_array_equal(found, state.outcomes["n"])
    np.testing.assert_array_equal(report.state.outcomes["n"], state.outcomes["n"])
    assert report.state.is_pure == state.is_pure == unravel
    np.testing.assert_allclose(report.state.density_matrix(), state.density_matrix(), atol=1e-5)
    assert report.state.truncations == state.truncations
    np.testing.assert_allclose(report.state.selection_probability, 1)
    assert all((p is None) for row in report.rows for p in row.purities) == unravel
    for row in report.rows[1:]:  # measuring loses nothing, nor does losing photons
        loses = not isinstance(row.step, Measurement) and row.step.name != "loss"
        assert loses or abs(row.lost) < report.rounding


@pytest.mark.slow
def test_a_mixed_initial_state_is_unravelled_as_in_the_call():
    initial = fj.from_density_matrix(np.diag([0.5, 0.3, 0.2, 0.0]))
    circuit = fj.Circuit(1).squeeze(0.2, mode=0).loss(0.7, mode=0)
    key = jax.random.key(3)
    state = circuit({}, cutoff=4, initial=initial, key=key, unravel=True)
    *_, (_, seen, _, _) = inspection.walk(
        circuit, circuit.checked({}, None, 4, None, initial, key, unravel=True)
    )
    np.testing.assert_allclose(seen.ket(), state.ket(), atol=1e-6)
    fj.inspect(circuit, {}, cutoff=4, initial=initial, key=key, unravel=True)


def test_outcomes_their_probabilities_and_purities():
    """Of one of two modes squeezed together n photons are found, which leaves n in the other."""
    circuit = fj.Circuit(3).two_mode_squeeze(0.6, 0.3).prepare("thermal", 0.25, modes=2)
    circuit.measure_photons(modes=0).measure_homodyne(0.4, mode=1, select=0.9)
    report = fj.inspect(circuit, {}, cutoff=12, key=jax.random.key(0))
    squeezed, thermal, counted, projected = report.rows[1:]
    assert (squeezed.outcome, squeezed.probability) == (None, 1)
    n = counted.outcome
    assert n > 0
    expected = np.tanh(0.6) ** (2 * n) / np.cosh(0.6) ** 2
    np.testing.assert_allclose(counted.probability, expected, rtol=1e-4)
    density = fj.from_ket(np.eye(12)[n]).quadrature_distribution(0, jnp.array([0.9]))[0]
    np.testing.assert_allclose(projected.probability, density, rtol=1e-4)
    np.testing.assert_allclose(report.state.selection_probability, density, rtol=1e-4)
    assert np.isclose(projected.outcome, 0.9) and projected.selects and not counted.selects
    assert squeezed.purities == (None, None) and counted.purities[:2] == (None, None)
    np.testing.assert_allclose(thermal.purities[1], 1 / 1.5, rtol=1e-4)
    np.testing.assert_allclose(counted.photons, [0, n, 0.25], atol=1e-3)
    head, titles, *rows = repr(report).split("\n")
    assert head.endswith(f"selected with {density:.3g}")
    assert titles.split()[-3:] == ["groups", "purity", "found"]
    assert rows[2].endswith("0 1 | 2    ket | 0.67")
    assert rows[3].endswith(f"ket | ket | 0.67  m0 = {n}, p = {expected:.3g}")
    assert rows[4].endswith(f"m1 = 0.9, density = {density:.3g}")


def test_advice_on_selections():
    """What is rare may be made of what was lost; what is impossible leaves nothing."""
    circuit = fj.Circuit(2).two_mode_squeeze(0.3, 0.2)
    (advice,) = fj.inspect(circuit.measure_photons(modes=0, select=3), {}, cutoff=4).advice
    assert "select=3) on mode 0 as m0 has the probability 5.6e-04" in advice
    assert "5.2e-05 was lost before it" in advice
    circuit = fj.Circuit(2).measure_photons(modes=0, select=3)
    (advice,) = fj.inspect(circuit, {}, cutoff=4).advice
    assert advice.startswith("Impossible: what is selected in step 1, measure photons(")
    with pytest.raises(ValueError, match="impossible"):
        circuit({}, cutoff=4)


def test_an_initial_ket_is_where_it_starts():
    ket = np.zeros((4, 3), complex)
    ket[1, 2], ket[0, 1] = 0.6j, 0.6
    report = fj.inspect(fj.Circuit(2, hbar=1.0).beamsplitter(), {}, cutoff=(4, 3), initial=ket)
    start = report.rows[0]
    assert start.step is None and start.name == "start" and start.groups == ((0, 1),)
    assert np.isclose(start.leakage, 0.28) and np.isclose(start.lost, 0.28)
    np.testing.assert_allclose(start.top, [0, 0.36], atol=1e-6)
    np.testing.assert_allclose(start.photons, [0.36, 1.08], atol=1e-6)
    assert report.state.hbar == 1


def test_the_step_that_lost_most_is_named_with_the_mode_to_raise():
    circuit = fj.Circuit(2).displace(0.4, mode=0).displace(1.5, mode=1).beamsplitter(0.2)
    report = fj.inspect(circuit, {}, cutoff=(8, 6))
    assert report.lossiest is report.rows[2]
    (advice,) = report.advice
    assert "step 2, displacement(r=1.5, phi=0) on mode 1: raise the cutoff of mode 1" in advice
    assert repr(report).endswith(advice)
    assert fj.inspect(circuit, {}, cutoff=20).advice == ()


def test_the_first_operation_that_is_not_finite_is_named_with_its_parameters():
    circuit = circuit_with_all()
    report = fj.inspect(circuit, WEIGHTS | {"phi": jnp.nan}, X, cutoff=CUTOFFS)
    assert report.first_nonfinite is report.rows[3] and report.lossiest is None
    assert np.isnan(report.rows[3].norm)
    (advice,) = report.advice
    assert advice == (
        "Not finite from step 3, squeezing(r=0.4, phi=nan) on mode 2 on: its phi is not finite."
    )
    lines = repr(report).split("\n")
    assert len(lines) == 2 + 4 + 1  # the table ends where it went wrong
    assert fj.inspect(circuit, WEIGHTS, X, cutoff=CUTOFFS).first_nonfinite is None


def test_a_gate_that_reflects_makes_the_leakage_a_lower_bound(monkeypatch):
    spec = replace(GATES["squeezing"], name="mirror", reflects=lambda options: True)
    monkeypatch.setitem(GATES, "mirror", spec)
    circuit = fj.Circuit(2).add("mirror", 0.1, modes=0).displace(1.0, mode=1)
    report = fj.inspect(circuit, {}, cutoff=(7, 5))
    assert "leakage at least" in repr(report)
    assert any("lower bound" in advice for advice in report.advice)
    assert "mode 1 holds 1.5e-02 in its top level" in report.advice[-1]


def test_a_deeper_circuit_compiles_nothing_new():
    block = fj.Circuit(2).beamsplitter(fj.Weight("t"), 0.4).kerr(fj.Weight("k"), mode=1)

    def inspected(layers):
        circuit = fj.Circuit(2).displace(0.3, mode=0).repeat(block, layers)
        return fj.inspect(circuit, circuit.init(jax.random.key(0)), cutoff=3)

    inspected(2)
    compiled = inspection._advance._cache_size(), inspection._look._cache_size()
    assert len(inspected(40).rows) == 1 + 1 + 40 * 2
    assert (inspection._advance._cache_size(), inspection._look._cache_size()) == compiled


def test_the_table():
    circuit = fj.Circuit(2).displace(0.5, mode=0).beamsplitter(0.3, modes=(1, 0))
    head, titles, *rows = repr(fj.inspect(circuit, {}, cutoff=(10, 12))).split("\n")
    assert head == "2 steps at cutoffs (10, 12): norm 1.000000, leakage 0"
    assert titles.split() == "step operation leakage lost top level photons groups".split()
    assert rows[0].split() == "0 start 0 0 0 0.00 0.00 0 | 1".split()
    assert rows[2].startswith("   2  BS(0.3) on 1, 0")


def test_bad_arguments():
    circuit = fj.Circuit(1).squeeze(fj.Weight("r"), mode=0)
    with pytest.raises(TypeError, match="must be a Circuit"):
        fj.inspect([], {}, cutoff=3)
    with pytest.raises(TypeError, match="outside jax.jit"):
        jax.jit(lambda r: fj.inspect(circuit, {"r": r}, cutoff=3).rows[0].norm)(0.1)
    with pytest.raises(ValueError, match="missing"):
        fj.inspect(circuit, {}, cutoff=3)
    with pytest.raises(ValueError, match="`key` is missing"):
        fj.inspect(fj.Circuit(1).measure_photons(modes=0), {}, cutoff=3)
    with pytest.raises(ValueError, match="cutoff"):
        fj.inspect(circuit, {"r": 0.1}, cutoff=0)
    with pytest.raises(ValueError, match="initial"):
        fj.inspect(circuit, {"r": 0.1}, cutoff=3, initial=np.ones(4))
    with pytest.raises(ValueError, match="memory_limit"):
        fj.inspect(fj.Circuit(2).beamsplitter(), {}, cutoff=8, memory_limit=64)
