"""The truncation by total photon number: closed forms, then the box where nothing is lost."""

import copy
import dataclasses
import json
import math
from functools import cache, lru_cache
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fockjax as fj
from fockjax._limits import OverLimit
from fockjax._linear import Chart, fold, unfold
from fockjax.factors import Pure
from fockjax.gates.interferometer import mesh_unitary
from fockjax.interop import oracle
from fockjax.layout import Simplex, tables

BELOW = 4
KEPT = fj.TotalPhotons(BELOW)


def close(found, expected, atol=1e-12):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=atol, rtol=0), found, expected)


def test_states_are_ordered_by_their_total_then_mode_by_mode():
    for below, modes in ((1, 1), (4, 1), (3, 2), (4, 5)):
        found = [tuple(row) for row in fj.TotalPhotons(below).states(modes)]
        every = [n for n in np.ndindex((below,) * modes) if sum(n) < below]
        assert found == sorted(every, key=lambda n: (sum(n), n))
        assert len(found) == math.comb(modes + below - 1, modes)


def test_an_amplitude_stands_where_its_state_does(x64):
    modes = 3
    states = KEPT.states(modes)
    state = fj.Circuit(modes)({}, cutoff=KEPT, initial=np.eye(len(states))[7])
    assert float(state.probability(states[7])) == 1
    close(np.argwhere(state.ket())[0], states[7])
    patterns = jax.jit(jax.vmap(state.probability))(jnp.asarray(states))
    close(patterns, np.eye(len(states))[7])


def test_unfold_and_fold_are_each_others_transposes(x64):
    chart = Chart(np.array([4, 0, 3]), [(2, 2), (2,)])
    x = jnp.arange(1.0, 7.0).reshape(3, 2)
    square, pair = unfold(x, chart)
    close(square, np.array([[[3, 4], [0, 0]], [[0, 0], [5, 6]]]))
    close(pair, np.array([[1, 2], [0, 0]]))
    close(fold([square, pair], chart), x)

    def both(x):
        square, pair = unfold(x, chart, axis=1)
        return fold([square * 2, pair * 3], chart, axis=1)

    rows = jnp.arange(1.0, 16.0).reshape(5, 3)
    expected = rows * np.tile([3.0, 2, 2], (5, 1))
    close(both(rows), expected)
    for axis in (0, 2):
        batch = jnp.stack([rows, -rows], axis)
        close(jax.vmap(both, axis, axis)(batch), jnp.stack([expected, -expected], axis))
    close(jax.jvp(both, (-rows,), (rows,))[1], expected)
    (transposed,) = jax.linear_transpose(both, rows)(rows)  # scales each element, as its transpose
    close(transposed, expected)


def circuit(modes=3, noise=False):
    """Fock states through everything that adds no photons."""
    circuit = fj.Circuit(modes)
    for mode, n in enumerate((1, 2, 0, 0)[:modes]):
        circuit.prepare("fock", n, modes=mode)
    circuit.beamsplitter(0.4, 0.3, modes=(0, 1)).beamsplitter(fj.Input(0), 1.3, modes=(2, 1))
    circuit.rotate(fj.Input(1), mode=0).kerr(0.2, mode=1).add("cross_kerr", 0.3, modes=(0, 2))
    if noise:
        circuit.loss(0.8, mode=1).dephasing(0.4, mode=0)
    circuit.add("mach_zehnder", 0.3, 0.4, modes=(2, 0))
    return circuit.add(
        "interferometer", [0.3, -0.4, 0.7], [0.2, 0.1, 0.9], [0.1, 0.2, 0.3], modes=(2, 0, 1)
    )


def one_photon(cutoffs):
    ket = np.zeros(cutoffs)
    ket[1, 0, 0], ket[0, 0, 1] = 0.6, 0.8
    return ket


def some_operator(cutoffs):
    n, m = np.indices(cutoffs)
    return np.multiply.outer(np.exp(0.3j * n - 0.2 * m), np.sin(n + 2 * m + 1))


READOUTS = {
    "leakage": lambda s: s.leakage,
    "mean_amplitude": lambda s: s.mean_amplitude(2),
    "covariance": lambda s: s.covariance(),
    "probabilities": lambda s: s.probabilities((2, 0)),
    "probability": lambda s: s.probability((1, 0, 2)),
    "reduced": lambda s: s.reduced((1, 0)),
    "purity": lambda s: s.purity((2, 1)),
    "entropy": lambda s: s.entropy(2),
    "photons": lambda s: list(s.photon_number_product((0, 2))),
    "polynomial": lambda s: list(s.quadrature_polynomial(np.eye(6), padding=2)),
    "fidelity": lambda s: s.fidelity(fj.Circuit(3).beamsplitter(0.3)({}, cutoff=s.truncation)),
    "fidelity with a ket": lambda s: s.fidelity(one_photon(s.cutoffs)),
    "overlap": lambda s: s.hilbert_schmidt(
        fj.Circuit(3).beamsplitter(0.3)({}, cutoff=s.truncation)
    ),
    "expectation": lambda s: [
        s.expectation(fj.gates.displacement(0.4, 0.3, cutoff=s.cutoffs[2]), 2),
        s.expectation(fj.gates.beamsplitter(0.4, 0.3, cutoff=s.cutoffs[:2]), (2, 0)),
        s.expectation(some_operator(s.cutoffs[:2]), (1, 2)),
    ],
    "coherent": lambda s: s.fidelity_coherent([0.3, 0.1, 0.5], 0.4),
}


@lru_cache
def both(noise):
    """The state in the total-photon truncation and in a box that loses nothing either."""
    x = np.array([0.7, 0.2])
    call = jax.jit(circuit(noise=noise), static_argnames="cutoff")
    return tuple(call({}, x, cutoff=cutoff) for cutoff in (KEPT, BELOW))


def test_agrees_with_the_box_where_nothing_is_lost(x64):
    ours, box = both(False)
    assert str(ours).startswith("State(cutoffs=TotalPhotons(below=4), groups=((0, 1, 2),)")
    close(ours.leakage, 0.0)
    close(ours.ket(), box.ket())
    assert ours.amplitudes().shape == (20,)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [False, True])
def test_reads_as_the_box_does(x64, noise):
    ours, box = both(noise)
    close(ours.density_matrix(), box.density_matrix())
    for read in READOUTS.values():
        close(read(ours), read(box))


def test_displaced_light_through_a_mesh_stays_a_product_of_coherent_states(x64):
    """Its amplitudes are those of the infinite state, and what lies over the total is lost."""
    alpha = np.array([0.3, 0.2 - 0.1j, -0.4j])
    circuit = fj.Circuit(3)
    for mode, a in enumerate(alpha):
        circuit.displace(abs(a), np.angle(a), mode=mode)
    theta, phi, rotation = np.array([0.3, -0.4, 0.7]), np.array([0.2, 0.1, 0.9]), np.zeros(3)
    state = circuit.add("interferometer", theta, phi, rotation, modes=(0, 1, 2))({}, cutoff=KEPT)
    turned = np.asarray(mesh_unitary(theta, phi, rotation)) @ alpha
    n = KEPT.states(3)
    factorials = np.prod(np.vectorize(math.factorial)(n), axis=1)
    norm = np.exp(-np.sum(abs(alpha) ** 2) / 2)
    expected = norm * np.prod(turned**n, axis=1) / np.sqrt(factorials)
    close(state.amplitudes(), expected)
    close(state.leakage, 1 - np.sum(abs(expected) ** 2))
    assert state.truncations == 3 + 2  # displacements, and joining what they made


def test_layers_are_those_written_out(x64):
    """Where the first joins modes, what is cut before is cut on each by itself."""
    circuit, block = fj.Circuit(2), fj.Circuit(2)
    for layer in [block, *[circuit] * 3]:
        for mode in range(2):
            layer.displace(0.6, mode=mode).squeeze(0.5, mode=mode)
        layer.beamsplitter(0.7)
    cutoff = fj.TotalPhotons(4)
    layers, written = fj.Circuit(2).repeat(block, 3)({}, cutoff=cutoff), circuit({}, cutoff=cutoff)
    close(layers.amplitudes(), written.amplitudes())
    assert layers.truncations == written.truncations


def test_interferometers_are_unitary(x64):
    rng = np.random.default_rng(0)
    ket = rng.normal(size=(20, 2)) @ np.array([1, 1j])
    ket /= np.linalg.norm(ket)
    mesh = fj.Circuit(3).add(
        "interferometer", [0.3, -0.4, 0.7], [0.2, 0.1, 0.9], [0.1, 0.2, 0.3], modes=(2, 0, 1)
    )
    state = mesh({}, cutoff=KEPT, initial=ket)
    close(state.norm, 1.0)
    assert state.truncations == 1  # that of the initial ket: the mesh loses nothing
    totals = KEPT.states(3).sum(1)
    for total in range(BELOW):  # each sector by itself
        close(
            np.linalg.norm(state.amplitudes()[totals == total]),
            np.linalg.norm(ket[totals == total]),
        )


def test_any_unitary_matrix_acts_total_by_total(x64):
    """As in the box, whose elements are permanents, on some modes of an entangled state."""
    rng = np.random.default_rng(0)
    modes, photons = 4, KEPT.states(4)
    ket = rng.normal(size=(len(photons), 2)) @ np.array([0.1, 0.1j])
    circuit = fj.Circuit(modes).add("passive", rng.normal(size=(3, 3)), modes=(3, 0, 1))
    ours = circuit({}, cutoff=KEPT, initial=ket)
    in_box = np.zeros((BELOW,) * modes, complex)
    in_box[tuple(photons.T)] = ket
    close(ours.ket(), circuit({}, cutoff=BELOW, initial=in_box).ket())
    assert ours.truncations == 1  # that of the initial ket


def test_an_exact_interferometer_is_its_mesh_and_takes_no_more():
    """Where all states of a total are kept, a mesh is exact; D^(2n - 1) elements are not made."""

    def jaxpr(**options):
        angles = np.zeros(6), np.zeros(6), np.zeros(4)
        mesh = fj.Circuit(4).add("interferometer", *angles, modes=range(4), **options)
        return str(jax.make_jaxpr(lambda: mesh({}, cutoff=KEPT).amplitudes())())

    assert jaxpr(exact=True) == jaxpr()


@pytest.mark.slow
def test_measuring_leaves_what_it_leaves_in_the_box(x64):
    """Selected outcomes, and shots of the same key: the states, hence the draws, are the same."""

    def measured(kind, outcome, noise):
        return (
            circuit(noise=noise).measure(kind, modes=1, select=outcome).beamsplitter(modes=(0, 2))
        )

    x = np.array([0.7, 0.2])
    for kind, outcome in (("photons", 1), ("homodyne", 0.3), ("heterodyne", 0.2 + 0.1j)):
        ours, box = (measured(kind, outcome, False)({}, x, cutoff=c) for c in (KEPT, BELOW))
        close(ours.ket(), box.ket())
        close(ours.selection_probability, box.selection_probability)
    key = jax.random.key(0)
    for sample in ("sample_photons", "sample_homodyne", "sample_heterodyne"):
        ours, box = (getattr(s, sample)(key, (2, 0), 5) for s in both(False))
        close(ours, box)


@pytest.mark.slow
def test_mixed_states_and_branches(x64):
    x = np.array([0.7, 0.2])
    measured = circuit(noise=True).measure("photons", modes=1, select=1).beamsplitter(modes=(0, 2))
    ours, box = (measured({}, x, cutoff=c) for c in (KEPT, BELOW))
    close(ours.density_matrix(), box.density_matrix())
    again = circuit().prepare("thermal", 0.1, modes=1).beamsplitter(0.3, modes=(1, 2))
    ours, box = (again({}, x, cutoff=c) for c in (fj.TotalPhotons(12), 12))
    close(ours.reduced(1), box.reduced(1), 1e-9)
    for key in jax.random.split(jax.random.key(0), 3):
        branches = [
            circuit(noise=True)({}, x, cutoff=c, key=key, unravel=True) for c in (KEPT, BELOW)
        ]
        close(branches[0].ket(), branches[1].ket())


def derivatives(cutoff):
    """A loss of weights and data, through every kind of gate and layers under a scan."""
    circuit = fj.Circuit(3)
    for mode in range(3):
        circuit.displace(fj.Input(mode), mode=mode)
    circuit.cvqnn_layers(2)
    return circuit, lambda w, x: circuit(w, x, cutoff=cutoff).quadrature_means()


@pytest.mark.slow
def test_derivatives_and_batches(x64):
    circuit, means = derivatives(KEPT)
    weights = circuit.init(jax.random.key(0))
    xs = 0.3 * np.arange(6.0).reshape(2, 3)
    batch = jax.jit(jax.vmap(means, (None, 0)))(weights, xs)
    close(batch, jnp.stack([means(weights, x) for x in xs]))

    def loss(weights):
        return jnp.sum(jax.vmap(means, (None, 0))(weights, xs) ** 3)

    jax.test_util.check_grads(loss, (weights,), order=2, eps=1e-4, atol=1e-5, rtol=1e-5)


def test_bad_input_is_told():
    with pytest.raises(ValueError, match="`below` of TotalPhotons must be an integer >= 1, got 0"):
        fj.TotalPhotons(0)
    with pytest.raises(
        ValueError, match=r"`ket` has an amplitude for \(2, 2\) photons, outside Tot"
    ):
        fj.from_ket(np.eye(3)[2][:, None] * np.eye(3)[2], cutoff=KEPT)
    with pytest.raises(ValueError, match=r"`initial` has an amplitude for \(1, 3\) photons"):
        fj.Circuit(2)({}, cutoff=KEPT, initial=np.eye(4)[1][:, None] * np.eye(4)[3])
    with pytest.raises(ValueError, match=r"`initial` has cutoffs.*TotalPhotons\(below=4\)"):
        fj.Circuit(2)({}, cutoff=4, initial=fj.vacuum(KEPT, modes=2))
    with pytest.raises(ValueError, match="`other` must have the cutoffs of the state"):
        fj.vacuum(KEPT, modes=2).fidelity(fj.vacuum((4, 4)))
    with pytest.raises(ValueError, match="`modes` must be an integer >= 1"):
        fj.vacuum(KEPT)
    one, other = fj.vacuum(KEPT, modes=1).factors[0], fj.vacuum((4, 4)).factors[1]
    with pytest.raises(ValueError, match="cannot be parts of one state"):
        print(fj.State((one, other)))


def test_what_is_prepared_outside_is_lost():
    """As it is in a box, and also of weights."""
    ket = 0.6 * np.eye(16)[4 + 3].reshape(4, 4) + 0.8j * np.eye(16)[1].reshape(4, 4)
    constant = fj.Circuit(3).prepare("ket", ket, modes=(2, 0))
    real, imag = fj.Weight("re", (4, 4)), fj.Weight("im", (4, 4))
    weights = {"re": ket.real, "im": ket.imag}
    of_weights = fj.Circuit(3).prepare("ket", real, imag, modes=(2, 0))
    for cutoff, lost in ((KEPT, 0.36), ((4, 4, 3), 0.0), ((3, 4, 4), 0.36), (5, 0.0)):
        state = constant({}, cutoff=cutoff)
        assert abs(float(state.leakage) - lost) < 1e-6
        assert state.error_bound > 0 or not lost
        close(of_weights(weights, cutoff=cutoff).amplitudes(), state.amplitudes(), 1e-6)
    assert abs(float(constant({}, cutoff=fj.TotalPhotons(5)).leakage)) < 1e-6


MESH = fj.Circuit(3).beamsplitter(fj.Input(0), fj.Input(1), modes=(0, 1))
MESH.beamsplitter(fj.Input(2), fj.Input(3), modes=(2, 1)).rotate(fj.Input(4), mode=1)
ACTIVE = fj.Circuit(2).displace(fj.Input(0), fj.Input(1), mode=0).beamsplitter(0.3)
ACTIVE.squeeze(fj.Input(2), fj.Input(3), mode=1).displace(fj.Input(4), mode=1)


@pytest.fixture(scope="module")
def compiled():
    """A mesh from any ket, and an active circuit from the vacuum at two totals."""
    mesh = jax.jit(lambda x, ket: MESH({}, x, cutoff=KEPT, initial=ket).amplitudes())
    cut = [jax.jit(lambda x, c=c: ACTIVE({}, x, cutoff=fj.TotalPhotons(c))) for c in (4, 16)]
    return mesh, *cut


angles = st.lists(st.floats(-7, 7), min_size=5, max_size=5).map(np.array)


@given(angles, st.integers(0, 2**32 - 1))
def test_every_sector_is_mapped_unitarily(compiled, x, seed):
    kets = np.random.default_rng(seed).normal(size=(2, 20, 2)) @ np.array([1, 1j])
    kets /= np.linalg.norm(kets, axis=1, keepdims=True)
    one, other = (np.asarray(compiled[0](x.astype(np.float32), ket)) for ket in kets)
    totals = KEPT.states(3).sum(1)
    for total in range(BELOW):
        mine = totals == total
        np.testing.assert_allclose(
            np.vdot(one[mine], other[mine]), np.vdot(kets[0][mine], kets[1][mine]), atol=2e-6
        )


@given(angles)
def test_leakage_is_what_was_lost(compiled, x):
    """And the error to where next to nothing is lost is within its bound."""
    x = np.clip(x, -0.4, 0.4).astype(np.float32)
    _, small, large = compiled
    state, exact = small(x), large(x)
    assert float(exact.leakage) < 1e-5
    np.testing.assert_allclose(
        state.leakage, 1 - np.linalg.norm(state.amplitudes()) ** 2, atol=1e-6
    )
    difference = np.asarray(exact.amplitudes()).copy()
    difference[: len(state.amplitudes())] -= state.amplitudes()
    assert np.linalg.norm(difference) <= float(state.error_bound) + 2e-3


@pytest.mark.slow
def test_converges_to_strawberry_fields_as_both_grow(x64):
    """`sf.Engine("fock")` cuts each mode. What differs shrinks as both keep more."""
    sf = oracle.load()
    program = sf.Program(3)
    with program.context as q:
        sf.ops.Dgate(0.3, 0.4) | q[0]
        sf.ops.Sgate(0.2, 1.1) | q[1]
        sf.ops.BSgate(0.5, 0.7) | (q[0], q[1])
        sf.ops.BSgate(0.9, -0.3) | (q[2], q[1])
        sf.ops.Kgate(0.3) | q[1]
        sf.ops.Dgate(0.2, -1.0) | q[1]
        sf.ops.BSgate(0.4, 0.2) | (q[1], q[2])
    ours = fj.Circuit(3).displace(0.3, 0.4, mode=0).squeeze(0.2, 1.1, mode=1)
    ours.beamsplitter(0.5, 0.7, modes=(0, 1)).beamsplitter(0.9, -0.3, modes=(2, 1))
    ours.kerr(0.3, mode=1).displace(0.2, -1.0, mode=1).beamsplitter(0.4, 0.2, modes=(1, 2))
    differences = []
    for cutoff in (4, 8, 14):
        engine = sf.Engine("fock", backend_options={"cutoff_dim": cutoff})
        theirs = engine.run(program).state.ket()
        differences.append(np.linalg.norm(ours({}, cutoff=fj.TotalPhotons(cutoff)).ket() - theirs))
    assert differences[0] > 10 * differences[1] > 100 * differences[2]
    assert differences[2] < 1e-5


PIQUASSO = np.load(Path(__file__).with_name("piquasso.npz"))
GATES = {
    "D": "displacement", "S": "squeezing", "R": "rotation", "K": "kerr",
    "B": "beamsplitter", "C": "cross_kerr",
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(str(k), marks=[pytest.mark.slow] * (k > 0)) for k in range(50)]
)
def test_agrees_with_piquasso(x64, name):
    """From a vacuum of all modes together, so that all is cut alike from the first gate on."""
    modes, below, program = json.loads(str(PIQUASSO[f"{name} program"]))
    circuit = fj.Circuit(modes)
    for kind, values, on in program:
        circuit.add(GATES[kind], *values, modes=tuple(on))
    kept = fj.TotalPhotons(below)
    vacuum = jnp.eye(1, len(kept.states(modes)), dtype=complex)[0]
    call = jax.jit(
        lambda ket: circuit({}, cutoff=kept, initial=ket).amplitudes(),
        compiler_options={"xla_backend_optimization_level": 0},  # runs once
    )
    found = call(vacuum)
    expected = PIQUASSO[f"{name} state"]
    assert 1 - np.linalg.norm(expected) ** 2 > 1e-9  # something was lost, in both alike
    close(found, expected, 1e-10)


@cache
def many():
    """Twelve modes in 50 388 amplitudes, of coherent states in all."""
    circuit = fj.Circuit(12)
    for mode in range(12):
        circuit.displace(0.2, 0.3 * mode, mode=mode)
    for mode in range(11):
        circuit.beamsplitter(0.3, 0.2, modes=(mode, mode + 1))
    return circuit({}, cutoff=fj.TotalPhotons(8))


def test_readouts_of_many_modes_need_no_box():
    """8^12 numbers would be 10^11."""
    state, photons = many(), 12 * 0.04
    np.testing.assert_allclose(state.parity(), math.exp(-2 * photons), rtol=1e-5)
    growing = tuple(1.1 ** np.arange(8) for _ in range(12))
    mean = state.diagonal_expectation(growing, range(12))
    np.testing.assert_allclose(mean, math.exp(0.1 * photons), rtol=1e-5)
    assert state.photon_number_product().mean < 1e-6
    with pytest.raises(OverLimit, match="`ket` puts modes"):
        state.ket()


@pytest.mark.slow
def test_photons_of_many_modes_are_drawn_from_what_is_kept():
    state = many()
    shots = state.sample_photons(jax.random.key(0), shots=20_000)
    found = jnp.stack([state.photon_number(mode).mean for mode in range(12)])
    np.testing.assert_allclose(shots.mean(0), found, atol=4 * math.sqrt(0.08 / 20_000))
    np.testing.assert_allclose(shots.sum(1).mean(), 0.48, atol=4 * math.sqrt(0.48 / 20_000))


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("positions", [(0, 1, 2), (2, 0), (1,), (1, 2, 0)])
def test_what_is_drawn_mode_by_mode_is_as_likely_as_in_a_box(noise, positions):
    """And rare numbers are as exact."""
    own = Simplex(5, 3)
    rng = np.random.default_rng(3)
    ket = rng.normal(size=(own.size, 2)) @ [1, 1j] * 10.0 ** -(3 * tables.states(5, 3).sum(1))
    ket = jnp.asarray(ket.astype(np.complex64))
    boxed = own.boxed(ket)
    total, box = Pure(ket, (0, 1, 2), own), Pure.of_ket(boxed, (0, 1, 2))
    if noise:
        total, box = total.mixed(), box.mixed()
    for k, (ours, theirs) in enumerate(
        zip(total.sequence(positions), box.sequence(positions), strict=True)
    ):
        before = tables.states(5, k)
        np.testing.assert_allclose(ours, theirs[tuple(before.T)], rtol=1e-5)
        assert (ours > 0).sum() == (theirs > 0).sum()


@pytest.mark.parametrize("cutoff", [3, fj.TotalPhotons(3)])
def test_what_is_lost_at_the_top_has_a_hessian(cutoff):
    """Where nothing is there yet: 1 - exp(-r^2), in one photon and two and what is lost."""

    def lost(r):
        circuit = fj.Circuit(1).displace(fj.Weight("r"), 0.3, mode=0)
        state = circuit({"r": r}, cutoff=cutoff)
        return fj.runtime.lost(dataclasses.replace(state, reflects=True))

    np.testing.assert_allclose(jax.hessian(lost)(0.0), 2, rtol=1e-5)
    np.testing.assert_allclose(lost(0.1), 1 - math.exp(-0.01), rtol=1e-4)


def test_joins_over_the_limit_are_refused():
    with pytest.raises(OverLimit, match="`amplitudes` puts modes"):
        fj.vacuum(10, modes=12).amplitudes()
    warm = fj.Circuit(6)
    for mode in range(6):
        warm.prepare("thermal", 0.1, modes=mode)
    pairs, others = copy.copy(warm), copy.copy(warm)
    for mode in (0, 2, 4):
        pairs.beamsplitter(modes=(mode, mode + 1))
        others.beamsplitter(modes=(mode + 1, (mode + 2) % 6))
    one, other = (circuit({}, cutoff=7) for circuit in (pairs, others))
    with pytest.raises(OverLimit, match="`fidelity` puts modes"):
        one.fidelity(other)
    assert 0.9 < one.hilbert_schmidt(other) / one.hilbert_schmidt(one) < 1.1
    with pytest.raises(ValueError, match="are too large"):
        Chart(np.arange(2), [(2**20, 2**12)])


def test_states_of_other_numbers_of_modes_are_refused():
    """Which a bound on the total does not tell."""
    total = fj.TotalPhotons(4)
    two, three = (fj.vacuum(total, modes=modes) for modes in (2, 3))
    for one, other in ((two, three), (three, two)):
        circuit = fj.Circuit(one.modes).squeeze(0.3, mode=1)
        message = f"`initial` is a state of {other.modes} modes, but the circuit has {one.modes}"
        with pytest.raises(ValueError, match=message):
            circuit({}, cutoff=total, initial=other)
        with pytest.raises(ValueError, match=message):
            fj.inspect(circuit, {}, cutoff=total, initial=other)
        for compare in (one.fidelity, one.overlap, one.hilbert_schmidt):
            with pytest.raises(ValueError, match=f"the {one.modes} modes of the state, got"):
                compare(other)


def test_a_state_is_compared_with_stored_amplitudes():
    circuit = fj.Circuit(2).squeeze(0.4, 0.3, mode=0).displace(0.3, 0.9, mode=1)
    state = circuit.beamsplitter(0.5, 0.2)({}, cutoff=fj.TotalPhotons(5))
    other = fj.Circuit(2).displace(0.2, 0.4, mode=0)({}, cutoff=fj.TotalPhotons(5))
    for compare in (state.fidelity, state.overlap, state.hilbert_schmidt):
        expected = compare(other)
        for array in (other.amplitudes(), np.asarray(other.ket())):
            np.testing.assert_allclose(compare(array), expected, rtol=1e-5)
    with pytest.raises(ValueError, match=r"\(5, 5\), the cutoffs of the state or \(15,\), as of"):
        state.fidelity(np.ones(14))


def test_what_does_not_fit_is_named_with_advice_that_helps():
    """Under a total, pairs that overlap are joined; joint preparations are made as a box."""
    one, other = fj.Circuit(12), fj.Circuit(12)
    for mode in range(0, 12, 2):
        one.beamsplitter(modes=(mode, mode + 1))
        other.beamsplitter(modes=(mode + 1, (mode + 2) % 12))
    one, other = (circuit({}, cutoff=fj.TotalPhotons(26)) for circuit in (one, other))
    for name in ("overlap", "fidelity"):
        with pytest.raises(OverLimit, match=f"`{name}` puts modes"):
            getattr(one, name)(other)
    joint = fj.Circuit(12).prepare("gaussian", np.eye(24), np.zeros(24), modes=range(12))
    with pytest.raises(OverLimit, match="while it is prepared in one state") as caught:
        joint({}, cutoff=fj.TotalPhotons(6))
    assert "TotalPhotons" not in caught.value.advice
    with pytest.raises(OverLimit, match="in one state") as caught:
        joint({}, cutoff=6)
    assert "TotalPhotons" in caught.value.advice
