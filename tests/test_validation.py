"""`fockjax validate`: the oracle is driven right, agreement passes, every planted error fails."""

import io
import itertools
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from flax import nnx
from rich.console import Console

import fockjax as fj
import fockjax.training
from fockjax import validation
from fockjax.channels import REGISTRY as CHANNELS
from fockjax.detectors import REGISTRY as DETECTORS
from fockjax.gates import REGISTRY as GATES
from fockjax.interop import oracle
from fockjax.kets import REGISTRY as KETS
from fockjax.mixed import REGISTRY as MIXED
from fockjax.validation import (
    cases,
    detection,
    golden,
    make_golden,
    readings,
    readouts,
    report,
)

needs_oracle = pytest.mark.skipif(not oracle.is_installed(), reason="needs Strawberry Fields")
sources = pytest.mark.parametrize("source", [pytest.param("sf", marks=needs_oracle), "golden"])
slow_sf = pytest.mark.parametrize(
    "source", [pytest.param("sf", marks=[needs_oracle, pytest.mark.slow]), "golden"]
)


def validate(**options) -> tuple[int, str]:
    """Exit code and printed text."""
    console = Console(width=200, file=io.StringIO())
    code = validation.run(console=console, **options)
    return code, console.file.getvalue()


# the oracle


def one_photon(cutoff: int, modes: int, mode: int) -> np.ndarray:
    ket = np.zeros((cutoff,) * modes, complex)
    ket[tuple(int(m == mode) for m in range(modes))] = 1
    return ket


@needs_oracle
@pytest.mark.parametrize("modes", list(itertools.permutations(range(3), 2)))
def test_oracle_beamsplitter_acts_on_the_modes_it_is_given(modes):
    # |1,0> -> cos|1,0> + e^{i phi} sin|0,1> and |0,1> -> cos|0,1> - e^{-i phi} sin|1,0>
    theta, phi = 0.6, 1.1
    first, second = (one_photon(4, 3, mode) for mode in modes)
    out = oracle.run([("BSgate", (theta, phi), modes)], 0.3 * first + 0.5j * second)
    cos, sin = np.cos(theta), np.sin(theta)
    expected = (0.3 * cos - 0.5j * np.exp(-1j * phi) * sin) * first
    expected += (0.5j * cos + 0.3 * np.exp(1j * phi) * sin) * second
    np.testing.assert_allclose(out, expected, atol=1e-14)


@needs_oracle
def test_strawberry_fields_itself_misplaces_a_gate_whose_second_mode_is_zero():
    # Why `oracle.run` renumbers modes. If this fails, SF has been mended and the detour can go.
    ket = one_photon(4, 3, 2)
    operation = ("BSgate", (0.6, 1.1), (2, 0))
    assert np.abs(oracle._run([operation], ket) - oracle.run([operation], ket)).max() > 0.1


@needs_oracle
def test_oracle_keeps_the_order_of_gates_the_norm_and_complex_amplitudes():
    ket = 0.5 * one_photon(5, 2, 0)
    operations = [
        ("Rgate", (0.4,), (0,)),
        ("BSgate", (np.pi / 2, 0.3), (1, 0)),
        ("Kgate", (0.7,), (1,)),
    ]
    # e^{0.4i}, then from second to first of (1, 0): -e^{-0.3i} |1> in mode 1, then e^{0.7i}
    expected = -np.exp(1j * (0.4 - 0.3 + 0.7)) * 0.5 * one_photon(5, 2, 1)
    np.testing.assert_allclose(oracle.run(operations, ket), expected, atol=1e-15)
    np.testing.assert_array_equal(oracle.run([], ket), ket)


def test_oracle_refuses_unequal_cutoffs():
    with pytest.raises(ValueError, match=r"same cutoff on every mode.*\(3, 4\)"):
        oracle.run([], np.zeros((3, 4)))


def test_missing_strawberry_fields_says_what_to_install(monkeypatch):
    monkeypatch.setattr(oracle, "is_installed", lambda: False)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[oracle\]"'):
        oracle.load.__wrapped__()


@needs_oracle
def test_oracle_reads_quadratures_at_hbar_two_whatever_sf_is_set_to(monkeypatch):
    ket = np.array([0.6, 0.8 * np.exp(0.9j)])
    x = 2 * 0.48 * np.cos(0.9 - 0.5)  # <x cos 0.5 + p sin 0.5> at hbar = 2
    sf = oracle.load()
    for hbar in (2, 0.5):
        monkeypatch.setattr(sf, "hbar", hbar)
        mean, _ = oracle.quadrature(oracle.reduced_state(ket, 0), 0.5)
        assert mean == pytest.approx(x, abs=1e-15)


@needs_oracle
def test_reduced_state_is_strawberry_fields_own():
    ket = cases.random_ket(np.random.RandomState(0), 4, 3)
    for mode in range(3):
        expected = oracle.state(ket).reduced_dm([mode])
        np.testing.assert_allclose(oracle.reduced_state(ket, mode).dm(), expected, atol=1e-15)


# the cases


def test_everything_has_a_case_that_fits_it():
    assert {(case.kind, case.name) for case in cases.CASES} == set(cases.names())
    named = {readout.name for readout in readouts.READOUTS + readouts.SAMPLES}
    assert named == readouts.public_readouts()
    labels = [case.label for case in cases.CASES]
    assert len(set(labels)) == len(labels)
    for case in cases.CASES:
        spec = cases.REGISTRIES[case.kind][case.name]
        chosen = {"select"} if case.kind == "measurement" else set()
        assert set(case.options) <= set(spec.options) | chosen
        assert spec.modes in (None, case.modes)
        beside = case.kind == "measurement" or (case.kind == "channel" and case.modes == 1)
        assert case.spectators or not beside


def test_every_option_and_convention_has_a_case():
    for kind, name in cases.names():
        spec = cases.REGISTRIES[kind][name]
        found = cases.cases(kind, name)
        if kind == "measurement":  # selected and drawn
            assert {case.is_random for case in found} == {True, False}
        for option in set(spec.options) - {"hbar", "n", "ampl_cutoff"}:
            assert len({case.options.get(option) for case in found}) > 1, (name, option)
        if "hbar" in spec.options:
            assert {case.hbar for case in found} == {1, 2}


def test_rows_are_what_is_promised():
    for case in cases.CASES:
        rows = list(cases.case_rows(case))
        assert {row.cutoff for row in rows} == set(case.cutoffs)
        forwards = tuple(range(case.modes))
        orders = {row.evaluated(row.points[0])[0][2] for row in rows}
        assert orders >= ({(1,)} if case.spectators else {forwards, forwards[::-1]})
        for row in rows:
            count = 1 if case.starts == ("vacuum",) and not case.size else case.points
            assert row.points.shape == (count, case.size)
            assert len(np.unique(row.points)) == row.points.size
            np.testing.assert_array_equal(row.points, row.points.astype(np.float32))
            total = row.circuit.modes
            assert total == case.modes + case.spectators
            assert row.starts().ndim == 1 + (2 if case.is_mixed else 1) * total
            if case.starts != ("vacuum",):
                assert np.abs(row.states.reshape(count, -1).imag).max(axis=1).min() > 0
            if case.kind == "gate":
                assert np.abs(row.starts().imag).min() > 0


def test_random_circuits_are_what_is_promised():
    rows = list(cases.circuit_rows())
    assert sum(len(row.points) for row in rows) == 20
    assert Counter(row.circuit.modes for row in rows) == {2: 2, 3: 2}
    orders, names = set(), Counter()
    for row in rows:
        gates = row.evaluated(row.points[0])
        assert len(gates) >= 10
        names.update(name for name, _, _ in gates)
        orders |= {modes for _, _, modes in gates if len(modes) == 2}
        assert np.count_nonzero(row.starts()) == row.starts().size
    assert set(names) == set(GATES) - {"passive", "unitary"}
    assert orders >= {(0, 1), (1, 0)}
    assert {abs(first - second) for first, second in orders} == {1, 2}


def test_the_random_circuit_with_noise_is_what_is_promised():
    row = cases.noisy_row()
    names = [name for name, _, _ in row.evaluated(row.points[0])]
    assert set(names) >= {"photons", "thermal"} and len(set(names) & set(CHANNELS)) >= 4
    assert len(names) == 18 and len(row.points) == 5


def test_the_circuit_that_adds_no_photons_starts_from_few():
    row = cases.conserving_row()
    photons = np.argwhere(row.starts())[:, 1:].sum(1)
    assert set(photons) == set(range(row.cutoff)) and row.truncation == fj.TotalPhotons(row.cutoff)
    assert {name for name, _, _ in row.evaluated(row.points[0])} >= {"beamsplitter", "cross_kerr"}


def test_random_density_matrices_are_states():
    rho = cases.random_density_matrix(np.random.RandomState(0), 3, 2).reshape(9, 9)
    values = np.linalg.eigvalsh(rho)
    np.testing.assert_allclose(rho, rho.conj().T, atol=1e-15)
    assert values.min() > 0 and values.sum() == pytest.approx(1)


def test_mean_waves_are_those_of_the_outcomes():
    """Closed forms against sums over what is found of each outcome."""
    cutoff, x = 4, np.linspace(-14, 14, 2001)
    imperfect = {"efficiency": 0.6, "dark_counts": 0.3}
    square = np.add.outer(x[::20] / 2, 1j * x[::20] / 2).ravel()
    for name, given, outcomes, step in (
        ("photons", imperfect, np.arange(20), 1),
        ("threshold", imperfect, np.arange(2), 1),
        ("homodyne", {"angle": 0.7, "hbar": 1.5}, x, x[1] - x[0]),
        ("heterodyne", {}, square, (10 * (x[1] - x[0])) ** 2),
    ):
        found = [detection.bras(name, {**given, "select": u}, cutoff) for u in outcomes]
        waves = detection.wave(outcomes, np)
        for weights, expected in (
            (np.ones(len(outcomes)), np.eye(cutoff)),
            (waves, detection.mean_wave(name, given, cutoff)),
        ):
            total = sum(w * b.conj().T @ b for w, b in zip(weights, found, strict=True)) * step
            np.testing.assert_allclose(total, expected, atol=1e-11, err_msg=name)


def test_vacuum_is_written_out():
    row = cases.model_row(fj.Circuit(modes=2).rotate(fj.Weight("a"), mode=0), {"a": 0.1}, 3, 1.0)
    assert row.starts().shape == (cases.MODEL_INPUTS, 3, 3)
    np.testing.assert_array_equal(row.starts().sum(axis=(1, 2)), row.starts()[:, 0, 0])


# the golden file


def agrees_with_the_file(rows):
    for row in rows:
        fresh, stored = golden.fingerprints(readings.from_strawberryfields(row)), golden.lookup(row)
        tolerances = (1e-12, 1e-10, 1e-7, 1e-10)
        for values, reference, tolerance in zip(stored, fresh, tolerances, strict=True):
            np.testing.assert_allclose(values, reference, rtol=0, atol=tolerance, err_msg=row.label)


def test_golden_file_has_every_row():
    assert {row.label for row in make_golden.rows()} == golden._load().keys()


@needs_oracle
def test_golden_file_is_what_strawberry_fields_says_today():
    some = [case for case in cases.CASES if case.name == "kerr"]
    agrees_with_the_file(next(cases.case_rows(case)) for case in some)


@pytest.mark.slow
@needs_oracle
def test_all_of_the_golden_file_is_what_strawberry_fields_says_today():
    agrees_with_the_file(make_golden.rows())


@needs_oracle
def test_golden_script_writes_what_is_read(tmp_path, monkeypatch):
    rows = {"a row": readings.Readings(*np.arange(32.0).reshape(4, 8) * (1 + 1j))}
    monkeypatch.setattr(make_golden, "generate", lambda: rows)
    make_golden.write(tmp_path / "golden.npz")
    monkeypatch.setattr(golden, "PATH", tmp_path / "golden.npz")
    stored = golden._load.__wrapped__()
    np.testing.assert_array_equal(stored["a row"], np.stack(rows["a row"]))

    def interrupted(file, **_):
        getattr(file, "write", golden.PATH.write_bytes)(b"half")
        raise KeyboardInterrupt

    before = golden.PATH.read_bytes()
    monkeypatch.setattr(np, "savez_compressed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_golden.write(golden.PATH)
    assert golden.PATH.read_bytes() == before


def test_golden_file_is_small():
    assert golden.PATH.stat().st_size <= 80_000


def test_one_wrong_number_moves_every_fingerprint_by_its_error():
    values = np.random.RandomState(0).normal(size=(20, 12, 12))
    wrong = values.copy()
    wrong[3, 4, 5] += 1e-6
    moved = np.abs(golden._fingerprint(wrong) - golden._fingerprint(values))
    np.testing.assert_allclose(moved, 1e-6, rtol=1e-6)


# the command


REGISTRIES = (GATES, KETS, CHANNELS, MIXED, DETECTORS)
SOME = ("snap", "vacuum", "loss", "photons", "parity", "sample_photons")


@needs_oracle
@pytest.mark.slow
def test_some_of_everything_agrees():
    """A part, though every kind of row; all of it is the slow test (and `test_features` proves the
    values of all)."""
    code, text = validate(source="sf", only=SOME)
    assert code == 0, text
    for label in (
        "snap, against NumPy",
        "prepare vacuum",
        "loss",
        "measure photons (select=2)",
        "measure photons (drawn), against NumPy",
        "readout parity",
        "readout sample_photons, against NumPy",
    ):
        assert f"  ok      {label}\n" in text
    assert "Strawberry Fields 0." in text


@pytest.mark.slow
@sources
def test_everything_and_all_twenty_circuits_agree(source):
    code, text = validate(source=source)
    assert code == 0, text
    for name in {name for _, name in cases.names()} | readouts.public_readouts():
        assert name in text
    assert "10 random circuits, 2 modes" in text
    assert "10 random circuits, 3 modes" in text
    assert "5 random circuits with channels and a measurement" in text


WRONG = {
    "displacement": lambda r, phi: (r, -phi),
    "squeezing": lambda r, phi: (r, -phi),
    "rotation": lambda phi: (-phi,),
    "kerr": lambda kappa: (-kappa,),
    "beamsplitter": lambda theta, phi: (theta, -phi),
    "coherent": lambda r, phi: (r, -phi),
    "loss": lambda T: (T + 1e-4,),
    "thermal": lambda nbar: (nbar + 1e-4,),
    "threshold": lambda efficiency, dark_counts: (dark_counts, efficiency),
}


@pytest.fixture
def plant(monkeypatch):
    """plant(name, change): build ``name`` with ``change``d parameters until the test ends."""

    def change_parameters(name, change):
        registry = next(registry for registry in REGISTRIES if name in registry)
        spec = registry[name]

        def build(*values, **options):
            return spec.build(*change(*values), **options)

        only = replace(spec, build=build, of_sample=None, of_total=None)
        monkeypatch.setitem(registry, name, only)

    jax.clear_caches()  # a circuit once traced keeps the gates it was traced with
    yield change_parameters
    jax.clear_caches()


@pytest.mark.parametrize(
    "name",
    [name if name == "rotation" else pytest.param(name, marks=pytest.mark.slow) for name in WRONG],
)
def test_wrong_parameters_fail(name, plant):
    plant(name, WRONG[name])
    code, text = validate(only=[name])
    assert code == 1
    assert text.count("FAILED") == sum(case.name == name for case in cases.CASES)


@pytest.mark.slow
def test_wrong_readout_fails(monkeypatch):
    def mirrored(state, mode, x, p, hbar=None):
        return wigner(state, mode, x, -p, hbar)

    wigner = fj.State.wigner
    monkeypatch.setattr(fj.State, "wigner", mirrored)
    code, text = validate(source="golden", only=["wigner"])
    assert code == 1 and text.count("FAILED") == 1


@pytest.mark.slow
def test_draws_from_another_distribution_fail(monkeypatch):
    def turned(state, key, modes, shots, *, angle, hbar):
        angle = np.negative(angle)
        return sample(state, key, modes, shots, angle=angle, hbar=hbar)

    sample = fj.State.sample_homodyne
    readout = next(each for each in readouts.SAMPLES if each.name == "sample_homodyne")
    planted = partial(turned, **readout.ours.keywords)
    wrong = replace(readout, ours=planted)
    (row,) = cases.readout_rows(readout)
    ours = readings.from_fockjax(replace(row, readout=wrong), report.DTYPES[0])
    theirs = report.choose_reference("golden").values(row).draws
    assert abs(golden.fingerprints(ours).draws - theirs).max() > 2 * report.TOLERANCES.draws


def rotation_deviations(source: str) -> report.Deviations:
    row = next(cases.case_rows(cases.cases("gate", "rotation")[0]))
    ours = [readings.from_fockjax(row, dtype) for dtype in report.DTYPES]
    return report.deviations(row, report.choose_reference(source), ours)


@slow_sf
def test_small_error_fails_only_where_it_shows(source, plant):
    # 1e-8 radians: seen at complex128, lost in the rounding of complex64
    plant("rotation", lambda phi: (phi + 1e-8,))
    found = rotation_deviations(source)
    assert 1e-10 < found.state < 1e-6
    assert found.single < report.TOLERANCES.single


@slow_sf
def test_wrong_gradient_alone_fails(source, plant):
    # the value of 2 phi - stop(phi) is phi, its slope is 2
    plant("rotation", lambda phi: (2 * phi - jax.lax.stop_gradient(phi),))
    found = rotation_deviations(source)
    assert found.state <= report.TOLERANCES.state
    assert found.observables <= report.TOLERANCES.observables
    assert found.gradients > 1e-2


@slow_sf
def test_error_at_complex64_alone_fails(source, plant):
    plant("rotation", lambda phi: (phi + 1e-3 * (phi.dtype == np.float32),))
    found = rotation_deviations(source)
    assert found.state <= report.TOLERANCES.state
    assert found.single > report.TOLERANCES.single


def test_what_has_no_case_fails(monkeypatch):
    monkeypatch.setitem(GATES, "twirl", replace(GATES["rotation"], name="twirl"))
    monkeypatch.setitem(KETS, "mist", replace(KETS["vacuum"], name="mist"))
    monkeypatch.setitem(CHANNELS, "fog", replace(CHANNELS["loss"], name="fog"))
    monkeypatch.setitem(MIXED, "heat", replace(MIXED["thermal"], name="heat"))
    monkeypatch.setitem(DETECTORS, "eye", replace(DETECTORS["homodyne"], name="eye"))
    monkeypatch.setattr(fj.State, "charm", property(lambda state: 0), raising=False)
    for name in ("twirl", "mist", "fog", "heat", "eye", "charm"):
        code, text = validate(only=[name], source="golden")
        assert code == 1
        assert f"{name}: no validation case; add one to " in text
    everything = report.plan(report.choose_reference("golden"), None, None)
    problems = {check.label: check.problem for check in everything if check.problem}
    assert set(problems) == {"twirl", "mist", "fog", "heat", "eye", "readout charm"}


@pytest.mark.slow
def test_case_missing_from_the_golden_file_fails_and_says_how_to_write_it(monkeypatch):
    monkeypatch.setattr(golden, "_load", dict)
    code, text = validate(only=["rotation"], source="golden")
    assert code == 1
    assert "no row 'rotation cutoff 5'" in text
    assert "python -m fockjax.validation.make_golden" in text


def test_an_unknown_name_is_refused():
    with pytest.raises(fj.training.UserError, match="readout 'rotatoin'; there are displacement"):
        validate(only=["rotation", "rotatoin"], source="golden")


def test_each_line_is_printed_when_it_is_known(monkeypatch):
    """Also into a file, where no progress bar can be seen."""

    def line(check, futures):
        if check.label == "rotation":
            raise KeyboardInterrupt
        return report.Line(check.label, report.Deviations(0, 0, 0, 0, 0))

    monkeypatch.setattr(report, "_submit", lambda pool, row: [])
    monkeypatch.setattr(report, "_line", line)
    console = Console(width=80, file=io.StringIO())
    with pytest.raises(KeyboardInterrupt):
        validation.run(only=["rotation", "squeezing"], source="golden", console=console)
    assert console.file.getvalue().rstrip().endswith("  ok      squeezing")


def test_nan_is_not_agreement():
    good = report.Deviations(0.0, 0.0, 0.0, 0.0, 0.0)
    assert report.Line("x", good).passed
    for kind in good._fields:
        assert not report.Line("x", good._replace(**{kind: float("nan")})).passed
        over = 1.01 * getattr(report.TOLERANCES, kind)
        assert not report.Line("x", good._replace(**{kind: over})).passed
    assert not report.Line("x").passed


def test_draws_that_are_nan_in_one_precision_are_not_agreement():
    right = readings.Readings(*np.zeros((4, 1)))
    wrong = right._replace(draws=np.array([np.nan]))
    reference = report.Reference("made", lambda row: right)
    for ours in ([right, wrong], [wrong, right]):
        found = report.deviations(None, reference, ours)
        assert np.isnan(found.draws) and not report.Line("x", found).passed
    assert report.Line("x", report.deviations(None, reference, [right, right])).passed


def test_a_row_that_raises_fails_alone(monkeypatch):
    def run(row, dtype):
        if row.label.startswith("rotation"):
            raise MemoryError("no room\nfor it")
        return readings.Readings(*np.zeros((4, 1)))

    zero = report.Reference("made", lambda row: readings.Readings(*np.zeros((4, 1))))
    monkeypatch.setattr(report, "from_fockjax", run)
    monkeypatch.setattr(report, "choose_reference", lambda source: zero)
    code, text = validate(only=["rotation", "kerr"])
    assert code == 1 and "FAILED  rotation: raised MemoryError: no room for it" in text
    assert "ok      kerr" in text and "1 of 2 lines failed" in text


def test_without_strawberry_fields_the_golden_file_is_used(monkeypatch):
    def load():
        raise ImportError("not here")

    monkeypatch.setattr(oracle, "load", load)
    assert report.choose_reference("auto").name == "golden file (not here)"
    with pytest.raises(ImportError, match="not here"):
        report.choose_reference("sf")
    with pytest.raises(ValueError, match="`source` must be 'auto', 'sf' or 'golden', got 'SF'"):
        report.choose_reference("SF")


def test_x64_is_left_as_it_was():
    before = jax.config.jax_enable_x64
    validate(only=["rotation"], source="golden")
    assert jax.config.jax_enable_x64 == before


# a trained circuit


@pytest.fixture(scope="module")
def trained():
    """A circuit with weights, its row, and fockjax's readings of it in both precisions."""
    circuit = fj.Circuit(modes=2)
    circuit.displace(fj.Input(0), mode=0).displace(fj.Input(1), 0.4, mode=1)
    circuit.cvqnn_layers(1)
    weights = circuit.init(jax.random.key(0))
    row = cases.model_row(circuit, weights, 6, 1.0)
    return row, [readings.from_fockjax(row, dtype) for dtype in report.DTYPES]


def trained_passes(row, ours, source: str) -> bool:
    reference = report.model_reference(report.choose_reference(source))
    return report.Line("model", report.deviations(row, reference, ours)).passed


@pytest.mark.slow
@sources
def test_trained_circuit_agrees(trained, source):
    assert trained_passes(*trained, source)


@pytest.mark.slow
@sources
def test_trained_circuit_that_runs_other_gates_than_it_lists_fails(trained, source, monkeypatch):
    row, ours = trained
    honest = row.circuit.evaluated

    def evaluated(weights, x):
        *listed, (name, parameters, modes) = honest(weights, x)
        return [*listed, (name, {p: value + 1e-6 for p, value in parameters.items()}, modes)]

    monkeypatch.setattr(row.circuit, "evaluated", evaluated)
    assert not trained_passes(row, ours, source)


def test_model_row_is_read_from_the_model(monkeypatch):
    circuit = fj.Circuit(modes=2).displace(fj.Input(0), mode=0).squeeze(fj.Weight("r"), mode=1)
    layer = fj.nn.QuantumLayer(circuit, cutoff=(4, 6), rngs=nnx.Rngs(0))
    predictor = SimpleNamespace(model=SimpleNamespace(quantum=layer))
    predictor.config = SimpleNamespace(alpha_max=0.7)
    monkeypatch.setattr("fockjax.inference.load_model", lambda path, warn: predictor)
    row = report._trained_row(Path("somewhere"), Console())
    assert row.cutoff == 6
    weights, inputs = row.unpack(row.points[0])
    np.testing.assert_array_equal(weights["r"], layer.weights["r"][...])
    assert row.points.shape == (cases.MODEL_INPUTS, 2) and np.abs(row.points[:, 1]).max() <= 0.7


@pytest.mark.slow
@pytest.mark.loose_promotion
def test_model_folder_is_validated(tmp_path):
    from fockjax.training import TrainConfig, train

    config = TrainConfig(epochs=1, cutoff=5, layers=1, out=tmp_path / "model", quiet=True)
    train(config, console=Console(file=io.StringIO()))
    code, text = validate(model=tmp_path / "model", only=["rotation"], source="auto")
    assert code == 0, text
    assert "trained model, 2 modes, cutoff 5" in text
