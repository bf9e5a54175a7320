"""A circuit does what its gates, written out one by one, do; and refuses what makes no sense."""

import copy
import math
import operator
import pickle
from functools import cache, partial

import dense
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import close
from jax import export

import fockjax as fj
from fockjax.snapshot import Snapshot


def does(circuit, gates, weights, x, cutoff, vacuum=True):
    """Assert that the circuit is the product of ``gates`` on a random ket, and on the vacuum in
    one factor as in several.
    """

    @jax.jit
    def call(weights, x, initial):
        joint = circuit(weights, x, cutoff=cutoff, initial=initial)
        factored = circuit(weights, x, cutoff=cutoff) if vacuum else None
        for state, lost_before in ((joint, 1), (factored, 0)):
            if state is not None:
                assert state.cutoffs == cutoff
                assert state.truncations == truncating + lost_before
        return joint.ket(), factored.ket() if vacuum else None

    truncating = sum(name not in ("rotation", "kerr") for name, *_ in gates)
    ket, empty = 0.9 * dense.random_ket(np.random.default_rng(0), cutoff), dense.vacuum(cutoff)
    after, from_vacuum = call(weights, x, ket)
    close(after, dense.run(gates, ket))
    close(call(weights, x, empty)[0], dense.run(gates, empty))
    if vacuum:
        close(from_vacuum, dense.run(gates, empty))


def assert_same_gates(actual, expected):
    for (name, values, modes), (wanted, numbers, on) in zip(actual, expected, strict=True):
        assert (name, tuple(values), modes) == (wanted, dense.PARAMETERS[wanted], on)
        close([float(value) for value in values.values()], numbers)


# random circuits: every gate of `dense.PARAMETERS`, both mode orders, unequal cutoffs, every way to
# give a parameter

RANDOM = [(2, (3, 5, 4)), (3, (4, 1, 3))]
MORE = [
    (seed, cutoffs)
    for seed in range(10, 14)
    for cutoffs in [(6,), (5, 5), (7, 2), (3, 4, 5), (5, 4, 3), (2, 3, 2, 4)]
]


@pytest.mark.parametrize("seed, cutoffs", RANDOM)
def test_a_random_circuit_is_the_product_of_its_gates(seed, cutoffs, x64):
    written = dense.random_circuit(seed, len(cutoffs), 10)
    assert_same_gates(written.circuit.evaluated(written.weights, written.x), written.gates)
    does(written.circuit, written.gates, written.weights, written.x, cutoffs, vacuum=False)


@pytest.mark.slow
@pytest.mark.parametrize("seed, cutoffs", MORE)
def test_many_random_circuits_are_the_products_of_their_gates(seed, cutoffs, x64):
    written = dense.random_circuit(seed, len(cutoffs), 20)
    assert_same_gates(written.circuit.evaluated(written.weights, written.x), written.gates)
    does(written.circuit, written.gates, written.weights, written.x, cutoffs)


def test_factors_stay_apart_until_a_gate_couples_them(x64):
    rng = np.random.default_rng(5)
    written = dense.Written(rng, 5)
    for name, values, _ in dense.random_gates(rng, 1, 4):
        written.add(name, values, (int(rng.integers(5)),))
    written.add("beamsplitter", (0.4, 0.9), (3, 0)).add("squeezing", (0.3, 1.2), (3,))
    written.add("kerr", (0.4,), (0,)).add("displacement", (0.2, -1.2), (4,))
    written.add("beamsplitter", (-0.9, 0.2), (1, 4)).add("rotation", (2.0,), (1,))
    cutoff = (3, 2, 4, 3, 2)

    @jax.jit
    def run(weights, x):
        state = written.circuit(weights, x, cutoff=cutoff)
        assert state.groups == ((0, 3), (1, 4), (2,))
        return state.ket(), state.norm

    ket, norm = run(written.weights, written.x)
    expected = dense.run(written.gates, dense.vacuum(cutoff))
    close(ket, expected)
    close(norm, np.linalg.norm(expected))


@pytest.mark.parametrize("first, second", [("displacement", "squeezing"), ("squeezing", "kerr")])
def test_gates_on_one_mode_act_in_the_order_they_were_added(first, second, x64):
    values = {"displacement": (0.5, 1.0), "squeezing": (0.4, 2.0), "kerr": (0.7,)}
    gates = [(name, values[name], (0,)) for name in (first, second)]
    kets = []
    for order in (gates, gates[::-1]):
        circuit = fj.Circuit(1)
        for name, numbers, modes in order:
            circuit.add(name, *numbers, modes=modes)
        kets.append(circuit({}, cutoff=8).ket())
        close(kets[-1], dense.run(order, dense.vacuum((8,))))
    assert np.abs(kets[0] - kets[1]).max() > 0.05


# layers


def test_repeat_is_its_block_written_out(x64):
    """A block that joins (0, 1), then (1, 2), so that the first layer runs on its own; with
    inputs, constants, shared weights and arithmetic inside, and gates before and after."""
    w, v = fj.Weight("w", (2,)), fj.Weight("v")
    block = fj.Circuit(3)
    block.displace(fj.Input(1), w[0], mode=2).beamsplitter(v, 0.3, modes=(1, 0))
    block.kerr(w[1], mode=1).squeeze(0.2, 0.4, mode=1)
    block.beamsplitter(w[0] + fj.Input(0), v, modes=(1, 2)).rotate(v * 2, mode=0)
    outer = fj.Weight("outer")
    circuit = fj.Circuit(3).squeeze(outer, 0.5, mode=0).repeat(block, 4).displace(outer, mode=1)

    rng = np.random.default_rng(6)
    weights = {
        "w": 0.5 * rng.uniform(-1, 1, (4, 2)),
        "v": rng.uniform(-1, 1, 4),
        "outer": np.array(0.3),
    }
    x = np.array([0.4, -0.25])
    gates = [("squeezing", (0.3, 0.5), (0,))]
    for (w0, w1), v0 in zip(weights["w"], weights["v"], strict=True):
        gates += [
            ("displacement", (x[1], w0), (2,)),
            ("beamsplitter", (v0, 0.3), (1, 0)),
            ("kerr", (w1,), (1,)),
            ("squeezing", (0.2, 0.4), (1,)),
            ("beamsplitter", (w0 + x[0], v0), (1, 2)),
            ("rotation", (2 * v0,), (0,)),
        ]
    gates.append(("displacement", (0.3, 0.0), (1,)))
    does(circuit, gates, weights, x, (4, 3, 5))
    assert_same_gates(circuit.evaluated(weights, x), gates)
    assert circuit.num_inputs == 2
    assert jax.tree.map(np.shape, circuit.init(jax.random.key(0))) == {
        "w": (4, 2),
        "v": (4,),
        "outer": (),
    }


def test_nested_repeats_once_repeats_and_narrow_blocks(x64):
    """3 times (kerr, 2 times (a one-mode block), 1 time (beamsplitter)) in two modes."""
    inner = fj.Circuit(1).displace(fj.Weight("r", (2,))[1], fj.Input(0), mode=0)
    once = fj.Circuit(2).beamsplitter(fj.Weight("theta"), -0.6, modes=(1, 0))
    layer = fj.Circuit(2).kerr(fj.Weight("kappa"), mode=1).repeat(inner, 2).repeat(once, 1)
    circuit = fj.Circuit(2).repeat(layer, 3)
    rng = np.random.default_rng(7)
    weights = {
        "r": 0.4 * rng.uniform(-1, 1, (3, 2, 2)),
        "theta": rng.uniform(-1, 1, (3, 1)),
        "kappa": rng.uniform(-1, 1, 3),
    }
    gates = []
    for k in range(3):
        gates.append(("kerr", (weights["kappa"][k],), (1,)))
        gates += [("displacement", (weights["r"][k, j, 1], 1.3), (0,)) for j in range(2)]
        gates.append(("beamsplitter", (weights["theta"][k, 0], -0.6), (1, 0)))
    x = np.array([1.3])
    does(circuit, gates, weights, x, (5, 4))
    assert_same_gates(circuit.evaluated(weights, x), gates)


def test_shared_weights_have_one_value_wherever_they_are_used(x64):
    """k is used before, in two blocks on other modes, one of them twice, and after; each layer has
    an r of its own. Next to the same written out, where each use of k has its own gradient.
    """
    first = fj.Circuit(2).displace(fj.Weight("r"), fj.Weight("k"), mode=1)
    first.beamsplitter(fj.Weight("k") + fj.Input(0), 0.3, modes=(1, 0))
    second = fj.Circuit(1).kerr(fj.Weight("k"), mode=0)
    circuit = fj.Circuit(3).rotate(fj.Weight("k"), mode=0)
    circuit.repeat(first, 4, modes=(2, 0), shared=("k",)).repeat(second, 3, modes=1, shared="k")
    circuit.repeat(second, modes=[2], shared="k").squeeze(fj.Weight("k"), mode=2)

    k = iter(fj.Weight("k", 14))
    written = fj.Circuit(3).rotate(next(k), mode=0)
    for r in fj.Weight("r", 4):
        written.displace(r, next(k), mode=0).beamsplitter(next(k) + fj.Input(0), 0.3, modes=(0, 2))
    for _ in range(3):
        written.kerr(next(k), mode=1)
    written.kerr(next(k), mode=2).squeeze(next(k), mode=2)
    assert next(k, None) is None

    x, r, start = np.array([0.2]), np.array([0.3, -0.4, 0.5, 0.1]), np.full((4, 3, 5), 0.1 + 0.05j)
    weights = {"k": np.array(0.3), "r": r}
    assert jax.tree.map(np.shape, circuit.init(jax.random.key(0))) == {"k": (), "r": (4,)}

    @partial(jax.jit, static_argnums=0)
    def ket(circuit, weights):
        return circuit(weights, x, cutoff=(4, 3, 5), initial=start).ket()

    def mean(circuit):
        return lambda weights: jnp.sum(abs(ket(circuit, weights)) ** 2 * np.arange(5.0)[None, None])

    apart = {"k": np.full(14, 0.3), "r": r}
    close(ket(circuit, weights), ket(written, apart))
    slopes, expected = jax.grad(mean(circuit))(weights), jax.grad(mean(written))(apart)
    close(slopes["k"], expected["k"].sum())
    close(slopes["r"], expected["r"])
    names = [(name, modes) for name, _, modes in circuit.evaluated(weights, x)]
    assert names == [(name, modes) for name, _, modes in written.evaluated(apart, x)]


def test_shared_in_one_of_two_nested_blocks(x64):
    inner = fj.Circuit(1).displace(fj.Weight("a"), fj.Weight("b"), mode=0)
    block = fj.Circuit(2).repeat(inner, 2, modes=1, shared="a")
    circuit = fj.Circuit(2).repeat(block, 3, modes=(1, 0), shared="b")
    assert jax.tree.map(np.shape, circuit.init(jax.random.key(0))) == {"a": (3,), "b": (2,)}
    a, b = [0.1, 0.2, 0.3], [0.4, 0.5]
    weights = {"a": np.array(a), "b": np.array(b)}
    gates = [("displacement", (each, phi), (0,)) for each in a for phi in b]
    does(circuit, gates, weights, None, (5, 2))
    assert_same_gates(circuit.evaluated(weights), gates)
    assert str(circuit).splitlines()[1:3] == [
        "  repeat 3 times, sharing b:",
        "    repeat 2 times, sharing a:",
    ]


@pytest.mark.slow
def test_whatever_reads_a_circuit_knows_shared_weights(x64):
    block = fj.Circuit(1).squeeze(fj.Weight("r"), fj.Weight("phi"), mode=0)
    block.displace(fj.Input(0), 0.3, mode=0)
    circuit = fj.Circuit(2).repeat(block, 3, modes=1, shared="r").beamsplitter(0.4, fj.Weight("r"))
    weights, x = {"r": np.array(0.1), "phi": np.array([0.2, 0.4, 0.6])}, np.array([0.2])
    state = circuit(weights, x, cutoff=12)
    close(fj.inspect(circuit, weights, x, cutoff=12).state.ket(), state.ket())
    total = circuit(weights, x, cutoff=fj.TotalPhotons(12))
    close(total.photon_number(0).mean, state.photon_number(0).mean, 1e-4)
    groups = fj.grouped(lambda _: circuit, modes=4, group_size=2)
    assert jax.tree.map(np.shape, groups.init(jax.random.key(0))) == {
        "groups": {"r": (2,), "phi": (2, 3)}
    }
    twice = jax.tree.map(lambda w: np.stack([w, w]), weights)
    close(
        groups({"groups": twice}, np.tile(x, 2), cutoff=12).photon_number(2).mean,
        state.photon_number(0).mean,
        1e-7,  # which each of the two groups loses
    )
    plan = fj.runtime.plan_cutoffs(circuit, weights, x, tolerance=1e-3)
    assert circuit(weights, x, cutoff=plan.truncation).leakage <= 1e-3
    assert "x 3" in circuit.draw()


def test_repeat_of_a_block_without_weights(x64):
    block = fj.Circuit(1).displace(fj.Input(0), 0.7, mode=0).kerr(0.3, mode=0)
    circuit = fj.Circuit(1).repeat(block, 3).repeat(fj.Circuit(1), 2)
    gates = [("displacement", (0.4, 0.7), (0,)), ("kerr", (0.3,), (0,))] * 3
    does(circuit, gates, {}, np.array([0.4]), (6,))


@pytest.mark.parametrize(
    "modes, cutoff",
    [(1, (5,)), pytest.param(2, (4, 3), marks=pytest.mark.slow), (3, None)],
)
def test_layers_of_killoran_et_al(modes, cutoff, x64):
    """Interferometer, squeezers, interferometer, displacements, Kerr gates (their Fig. 1)."""
    depth = 3
    circuit = fj.Circuit(modes).cvqnn_layers(depth, name="net")
    pairs = {1: [], 2: [(0, 1)], 3: [(0, 1), (1, 2), (0, 1)]}[modes]
    weights = circuit.init(jax.random.key(1))
    shapes = {"rotation": max(modes - 1, 1)} | (
        {"theta": len(pairs), "phi": len(pairs)} if pairs else {}
    )
    expected = {f"net.interferometer{k}.{part}": n for k in (1, 2) for part, n in shapes.items()}
    expected |= {
        f"net.{part}": modes for part in ("squeezing", "displacement.r", "displacement.phi", "kerr")
    }
    assert {name: value.shape for name, value in weights.items()} == {
        name: (depth, n) for name, n in expected.items()
    }

    def values(name, k):
        return np.asarray(weights[f"net.{name}"][k])

    gates = []
    for k in range(depth):
        for number in (1, 2):
            if pairs:
                angles = [values(f"interferometer{number}.{part}", k) for part in ("theta", "phi")]
                gates += [
                    ("beamsplitter", (t, p), on) for t, p, on in zip(*angles, pairs, strict=True)
                ]
            turns = values(f"interferometer{number}.rotation", k)
            gates += [("rotation", (turn,), (mode,)) for mode, turn in enumerate(turns)]
            if number == 1:
                gates += [("squeezing", (r, 0), (m,)) for m, r in enumerate(values("squeezing", k))]
        both = zip(values("displacement.r", k), values("displacement.phi", k), strict=True)
        gates += [("displacement", values_, (mode,)) for mode, values_ in enumerate(both)]
        gates += [("kerr", (kappa,), (mode,)) for mode, kappa in enumerate(values("kerr", k))]
    assert_same_gates(circuit.evaluated(weights), gates)
    if cutoff:
        does(circuit, gates, weights, None, cutoff, vacuum=False)


# weights and inputs


def test_init(x64):
    constant = jax.nn.initializers.constant
    circuit = fj.Circuit(2)
    circuit.displace(fj.Weight("a"), fj.Weight("b", (3, 2), constant(0.5))[2, 1], mode=0)
    circuit.rotate(fj.Weight("a"), mode=1)
    circuit.repeat(fj.Circuit(1).kerr(fj.Weight("wide", (400,))[0], mode=0), 5)
    init = jax.jit(circuit.init)
    weights = init(jax.random.key(3))
    assert {name: value.shape for name, value in weights.items()} == {
        "a": (),
        "b": (3, 2),
        "wide": (5, 400),
    }
    assert all(value.dtype == np.float64 for value in weights.values())
    assert np.all(weights["b"] == 0.5)
    for layer in weights["wide"]:
        assert abs(layer.std() - 0.1) < 0.02 and abs(layer.mean()) < 0.02
    assert abs(np.corrcoef(weights["wide"])[~np.eye(5, dtype=bool)]).max() < 0.2
    again, other = init(jax.random.key(3)), init(jax.random.key(4))
    assert all(np.array_equal(again[name], weights[name]) for name in weights)
    assert not np.array_equal(other["wide"], weights["wide"])
    assert circuit.init(jax.random.key(3), np.float32)["a"].dtype == np.float32
    assert fj.Circuit(1).init(jax.random.key(0)) == {}


@pytest.mark.slow
def test_a_fan_in_initialiser_sees_one_layer():
    fan = jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal")
    block = fj.Circuit(1).kerr(fj.Weight("w", (400, 3), fan)[0, 0], mode=0)
    weights = fj.Circuit(1).repeat(block, 2).init(jax.random.key(0))
    assert abs(weights["w"].std() - 400**-0.5) < 0.2 * 400**-0.5


@pytest.mark.slow
def test_spread_of_the_initial_layers():
    circuit = fj.Circuit(2).cvqnn_layers(200, active_std=0.02, passive_std=0.7)
    for name, values in circuit.init(jax.random.key(0)).items():
        active = name.split(".", 1)[1] in ("squeezing", "displacement.r", "kerr")
        assert abs(values.std() / (0.02 if active else 0.7) - 1) < 0.2, name


def test_dtype_of_weights_without_x64():
    circuit = fj.Circuit(1).kerr(fj.Weight("w"), mode=0)
    assert circuit.init(jax.random.key(0))["w"].dtype == np.float32
    with pytest.raises(ValueError, match="float64.*jax_enable_x64.*float32"):
        circuit.init(jax.random.key(0), np.float64)
    for dtype in (np.complex64, np.int32, jnp.bfloat16):
        with pytest.raises(ValueError, match=f"float32 or float64, got.*{np.dtype(dtype)}"):
            circuit.init(jax.random.key(0), dtype)


def test_one_name_is_one_weight(x64):
    w = fj.Weight("w")
    circuit = fj.Circuit(2).displace(w, mode=0).displace(fj.Weight("w") * 2, w, mode=1)
    assert circuit.init(jax.random.key(0)).keys() == {"w"}
    expected = [("displacement", (0.4, 0.0), (0,)), ("displacement", (0.8, 0.4), (1,))]
    assert_same_gates(circuit.evaluated({"w": 0.4}), expected)


def test_numbers_of_any_kind_and_dtype(x64):
    """Integers, lists and single precision where x64 is on, under strict promotion."""
    w = fj.Weight("w", 2)
    circuit = fj.Circuit(1).displace(w[0] * fj.Input(0), np.float32(0.5), mode=0)
    circuit.kerr(fj.Input(1) + w[1] - np.int64(1), mode=0)
    expected = dense.run(
        [("displacement", (0.5, 0.5), (0,)), ("kerr", (1.25,), (0,))], [1, 0, 0, 0]
    )
    for x in ([1, 2], np.array([1, 2]), np.array([1.0, 2.0], np.float32)):
        for kind in (np.float32, np.float64):
            state = circuit({"w": np.array([0.5, 0.25], kind)}, x, cutoff=np.int64(4))
            close(state.ket(), expected)
    single = circuit({"w": [0.5, 0.25]}, x, cutoff=(4,), dtype=np.complex64).ket()
    assert single.dtype == np.complex64
    close(single, expected, 1e-6)


def test_complex64_circuits(x64):
    gates = [("displacement", (0.4, 0.5), (0,)), ("beamsplitter", (0.3, 0.7), (1, 0))]
    circuit = fj.Circuit(2).displace(0.4, fj.Weight("phi"), mode=0)
    circuit.beamsplitter(fj.Input(0), 0.7, modes=(1, 0))
    weights, x = {"phi": np.array(0.5)}, np.array([0.3])
    ket = circuit(weights, x, cutoff=(5, 6), dtype=np.complex64).ket()
    assert ket.dtype == np.complex64
    close(ket, dense.run(gates, dense.vacuum((5, 6))), 1e-6)


# transformations


def test_batched_equals_looped(x64):
    circuit = fj.Circuit(2).displace(fj.Input(0), 0.4, mode=0).displace(0.3, 0.2, mode=1)
    circuit.beamsplitter(fj.Weight("theta"), fj.Input(0)).kerr(fj.Weight("kappa"), mode=0)
    xs = np.random.default_rng(0).uniform(-0.5, 0.5, (3, 1))
    many = jax.jit(jax.vmap(circuit.init))(jax.random.split(jax.random.key(1), 3))
    each = [jax.tree.map(lambda leaf, k=k: leaf[k], many) for k in range(3)]

    def ket(weights, x):
        return circuit(weights, x, cutoff=(4, 3)).ket()

    one = jax.jit(ket)
    same, pairs = jax.jit(jax.vmap(ket, (None, 0))), jax.jit(jax.vmap(ket))
    close(same(each[0], xs), [one(each[0], x) for x in xs], 1e-14)
    close(pairs(many, xs), [one(w, x) for w, x in zip(each, xs, strict=True)], 1e-14)


def test_it_is_exported_for_any_batch():
    block = fj.Circuit(2).squeeze(fj.Weight("r"), mode=1).beamsplitter(fj.Input(1), 0.2)
    circuit = fj.Circuit(2).displace(fj.Input(0), mode=0).repeat(block, 3).loss(0.8, mode=1)
    weights = circuit.init(jax.random.key(0))

    @jax.jit
    def read(xs):
        return jax.vmap(lambda x: circuit(weights, x, cutoff=4).quadrature_means())(xs)

    (batch,) = export.symbolic_shape("batch")
    exported = export.export(read)(jax.ShapeDtypeStruct((batch, 2), np.float32))
    for size in (1, 3, 20):
        xs = jnp.asarray(np.random.default_rng(size).uniform(-0.5, 0.5, (size, 2)), np.float32)
        close(exported.call(xs), read(xs), 1e-6)


def test_eager_equals_jit(x64):
    circuit = fj.Circuit(2).displace(fj.Input(0), 0.4, mode=0).beamsplitter(fj.Weight("t"), 0.3)

    def read(t, x):
        return circuit({"t": t}, x, cutoff=4).quadrature(1, 0.3).mean

    t, x = np.array(0.7), np.array([0.6])
    close(jax.jit(read)(t, x), read(t, x), 1e-14)


@cache
def network():
    """A scanned circuit with inputs, and the derivatives of all that can be read from it.

    Returns:
        the tree of weights and input; and a function of a flat vector of these, of a direction and
        of the weight that the error bound gets: (value, gradient), (change of each along it).
    """
    circuit = fj.Circuit(2).squeeze(fj.Input(0), 0.4, mode=0)
    block = fj.Circuit(2).beamsplitter(fj.Weight("theta"), fj.Input(1), modes=(1, 0))
    block.squeeze(fj.Weight("a", (3,))[0], fj.Weight("a", (3,))[1], mode=1)
    circuit.repeat(block.kerr(fj.Weight("a", (3,))[2], mode=0), 2)
    initial, target = dense.vacuum((3, 4)), np.full((3, 4), 0.2 + 0.1j)

    def value(point, bound):
        weights, x = point
        state = circuit(weights, x, cutoff=(3, 4), initial=initial)
        numbers = [*state.quadrature(1, 0.3), *state.photon_number(0), state.leakage, state.norm]
        numbers += [state.fidelity(target), bound * state.error_bound]
        more = state.probabilities().reshape(-1), state.reduced(1).imag.reshape(-1)
        everything = jnp.concatenate([jnp.stack(numbers), *more])
        return jnp.sum(jnp.sin(3 * everything + 0.2))

    flat, back = jax.flatten_util.ravel_pytree(
        (circuit.init(jax.random.key(2)), np.array([0.3, -0.4]))
    )

    @jax.jit
    def derivatives(flat, direction, bound):
        both = jax.value_and_grad(lambda flat: value(back(flat), bound))
        return jax.jvp(both, (flat,), (direction,))

    return flat, derivatives


def test_derivatives_match_finite_differences(x64):
    """Forward, reverse and second ones by all weights and inputs, along a direction."""
    flat, derivatives = network()
    direction = np.random.default_rng(1).uniform(-1, 1, flat.shape)
    (_, gradient), (forward, change) = derivatives(flat, direction, 1.0)
    step = 1e-3
    around = [derivatives(flat + k * step * direction, direction, 1.0)[0] for k in (-2, -1, 1, 2)]
    difference = np.array([1, -8, 8, -1]) / (12 * step)
    close(gradient @ direction, forward, 1e-11)
    close(forward, np.array([value for value, _ in around]) @ difference, 1e-8)
    close(change, difference @ np.array([gradient for _, gradient in around]), 1e-7)


def test_derivatives_are_finite_and_right_where_all_is_zero(x64):
    """All weights and inputs 0: no phase is defined, nothing leaks, every square root is at 0."""
    flat, derivatives = network()
    zero, rng, step = np.zeros_like(flat), np.random.default_rng(3), 1e-4
    for _ in range(3):
        direction = rng.uniform(-1, 1, flat.shape)
        (_, gradient), (forward, change) = derivatives(zero, direction, 0.0)
        # around it the bound is the root of rounding, so it is left out of the difference; at zero
        # it is zero and does not grow to first order
        (above, _), _ = derivatives(zero + step * direction, direction, 0.0)
        (below, _), _ = derivatives(zero - step * direction, direction, 0.0)
        assert abs(forward) > 0.1 and np.isfinite(change).all()
        close(gradient @ direction, forward)
        close((above - below) / (2 * step), forward, 1e-6)
        (_, with_bound), (also, second) = derivatives(zero, direction, 1.0)
        close(with_bound, gradient)
        close(also, forward)
        assert np.isfinite(second).all()


# errors


def one_input():
    return fj.Circuit(2).displace(fj.Input(0), fj.Weight("phi"), mode=0)


def one_mode():
    return fj.Circuit(1).squeeze(fj.Weight("r"), mode=0)


@pytest.mark.parametrize(
    "build, error, message",
    [
        (lambda: fj.Circuit(0), ValueError, "`modes` must be an integer >= 1, got 0"),
        (lambda: fj.Circuit(1.5), ValueError, "`modes` must be an integer >= 1, got 1.5"),
        (
            lambda: fj.Circuit(2).add("cubic", 0.1, modes=0),
            ValueError,
            "'cubic'.*beamsplitter.*kerr",
        ),
        (
            lambda: one_input().displace(0.1, mode=2),
            ValueError,
            r"Gate 1 \(displacement\).*0 to 1, got \(2,\)",
        ),
        (lambda: one_input().kerr(0.1, mode=-1), ValueError, r"Gate 1 \(kerr\).*got \(-1,\)"),
        (
            lambda: one_input().kerr(0.1, mode=None),
            ValueError,
            r"\(kerr\).*integers .*, got \(None,\)",
        ),
        (lambda: one_input().kerr(0.1, mode=True), ValueError, r"\(kerr\).*got \(True,\)"),
        (
            lambda: one_input().kerr(0.1, mode=0.0),
            ValueError,
            r"\(kerr\).*integers .*, got \(0.0,\)",
        ),
        (lambda: one_input().kerr(0.1, mode="0"), ValueError, r"\(kerr\).*got \('0',\)"),
        (
            lambda: fj.Circuit(2).beamsplitter(0.1, modes=(1, 1)),
            ValueError,
            r"Gate 0 \(beamsplitter\).*must not repeat a mode, got \(1, 1\)",
        ),
        (
            lambda: fj.Circuit(3).beamsplitter(0.1, modes=(0, 1, 2)),
            ValueError,
            r"beamsplitter\) acts on 2 mode\(s\), got modes \(0, 1, 2\)",
        ),
        (
            lambda: fj.Circuit(3).prepare("fock", [1, 1], modes=(0, 1)),
            ValueError,
            r"1 mode.*\(0, 1\); add it once for each",
        ),
        (
            lambda: fj.Circuit(3).interferometer(np.eye(2)),
            ValueError,
            r"\(3, 3\) for modes \(0, 1, 2",
        ),
        (
            lambda: fj.Circuit(1).rotate(lambda m: -m, mode=0),
            TypeError,
            r"'phi' must be .*fj\.apply\(function, parameter",
        ),
        (lambda: fj.Circuit(2).add("displacement", modes=0), ValueError, "needs a value for r"),
        (lambda: fj.Circuit(2).add("kerr", 1, 2, modes=0), ValueError, r"\('kappa',\), got 2"),
        (
            lambda: fj.Circuit(2).add("displacement", 0.1, psi=1, modes=0),
            ValueError,
            r"'psi' is unknown.*\('r', 'phi'\)",
        ),
        (lambda: fj.Circuit(2).add("kerr", 1, kappa=1, modes=0), ValueError, "'kappa'.*twice"),
        (
            lambda: fj.Circuit(2).displace(math.nan, mode=0),
            ValueError,
            "'r' must be finite, got nan",
        ),
        (lambda: fj.Circuit(2).displace(0, math.inf, mode=0), ValueError, "'phi'.*finite, got inf"),
        (lambda: fj.Circuit(2).displace(True, mode=0), TypeError, "'r' must be a real.*got True"),
        (lambda: fj.Circuit(2).displace(None, mode=0), TypeError, "'r' must be a real.*got None"),
        (lambda: fj.Circuit(2).displace("x", mode=0), TypeError, "'r' must be a real.*got 'x'"),
        (
            lambda: fj.Circuit(2).displace(0.1 + 0.2j, mode=0),
            ValueError,
            "'r' must be one real.*complex128.*modulus and phase apart",
        ),
        (
            lambda: fj.Circuit(2).displace(np.ones(3), mode=0),
            ValueError,
            r"'r' must be one real number.*shape \(3,\).*jax.vmap",
        ),
        (
            lambda: fj.Circuit(2).displace(fj.Weight("w", (3,)), mode=0),
            ValueError,
            r"'w' has shape \(3,\).*index it, as w\[0\]",
        ),
        (
            lambda: one_input().kerr(fj.Weight("phi", (2,))[0], mode=0),
            ValueError,
            r"Gate 1 \(kerr\).*'phi' has shape \(2,\) here and \(\) before",
        ),
        (
            lambda: jax.jit(lambda r: fj.Circuit(1).displace(r, mode=0)({}, cutoff=3))(0.1),
            TypeError,
            "'r' is traced by JAX.*fj.Weight or fj.Input",
        ),
        (
            lambda: fj.Circuit(1).repeat(fj.Circuit(2), 2),
            ValueError,
            "(?s)repeat.*at most 1 modes, got Circuit of 2 modes",
        ),
        (lambda: fj.Circuit(1).repeat("x", 2), ValueError, "must be a Circuit.*got 'x'"),
        (lambda: fj.Circuit(1).repeat(fj.Circuit(1), 0), ValueError, "`times`.*>= 1, got 0"),
        (lambda: fj.Circuit(1).cvqnn_layers(2.0), ValueError, "`times`.*>= 1, got 2.0"),
        (
            lambda: one_input().repeat(one_input(), 2),
            ValueError,
            r"Operation 1 \(repeat\): the circuit already has a weight 'phi'.*name it in `shared`",
        ),
        (
            lambda: fj.Circuit(1).repeat(one_mode(), 2, shared="rho"),
            ValueError,
            "`shared` must name weights of the block, got 'rho'; it has r",
        ),
        (
            lambda: fj.Circuit(1).repeat(one_mode(), 2, shared=fj.Weight("r")),  # pyright: ignore[reportArgumentType]
            ValueError,
            "`shared` must name weights of the block, got Weight",
        ),
        (
            lambda: fj.Circuit(1).repeat(one_mode(), 3).repeat(one_mode(), 2, shared="r"),
            ValueError,
            r"'r' has shape \(\) here and \(3,\) before, as each.*repeat with `shared='r'`",
        ),
        (
            lambda: fj.Circuit(1).repeat(one_mode(), 3).kerr(fj.Weight("r"), mode=0),
            ValueError,
            r"'r' has shape \(\) here and \(3,\) before, as each.*repeat with `shared='r'`",
        ),
        (
            lambda: fj.Circuit(1).repeat(one_mode(), 3)({"r": 0.1}, cutoff=3),
            ValueError,
            r"real of shape \(3,\), got.*of shape \(\)\. \(For one value.*`shared='r'`",
        ),
        (
            lambda: fj.Circuit(3).repeat(fj.Circuit(2), modes=(0, 3)),
            ValueError,
            r"Operation 0 \(repeat\): modes must be integers from 0 to 2, got \(0, 3\)",
        ),
        (
            lambda: fj.Circuit(3).repeat(fj.Circuit(2), modes=(1, 1)),
            ValueError,
            "modes must not repeat a mode",
        ),
        (
            lambda: fj.Circuit(3).repeat(fj.Circuit(2), modes=1),
            ValueError,
            r"\(repeat\) acts on 2 mode\(s\), got modes \(1,\)",
        ),
    ],
)
def test_what_cannot_be_built(build, error, message):
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize(
    "add, instead",
    [
        (lambda c, w: c.interferometer(w), r"`U`.*got w; .*mesh\(theta.*passive\(generator\)"),
        (lambda c, w: c.interferometer([[w[0, 0], 0], [0, 1]]), r"`U`.*got w\[0, 0\]; .*passive"),
        (lambda c, w: c.gaussian_transform(w), r"`S`.*add\('gaussian_transform', theta, phi, rot"),
        (lambda c, w: c.unitary(w), r"`matrix`.*add\('unitary', real, imag, modes=..\)"),
        (lambda c, w: c.kraus(w, modes=0), r"`operators`.*add\('kraus', real, imag, modes=..\)"),
    ],
)
def test_a_weight_for_a_constant_matrix_is_told_what_takes_it(add, instead):
    with pytest.raises(TypeError, match=instead):
        add(fj.Circuit(2), fj.Weight("w", (2, 2)))


def test_gates_on_any_number_of_modes_act_on_all_by_default():
    U = np.fft.fft(np.eye(3), norm="ortho")
    S = np.diag([0.5, 0.8, 1.0, 2.0, 1.25, 1.0])
    built = [
        fj.Circuit(3)
        .interferometer(U, **modes)
        .mesh([0.1] * 3, [0.2] * 3, [0.3] * 3, **modes)
        .passive(fj.Weight("A", (3, 3)), **modes)
        .gaussian_transform(S, **modes)
        .unitary(np.eye(8), **modes)
        for modes in ({}, {"modes": (0, 1, 2)})
    ]
    assert str(built[0]) == str(built[1])


def test_a_refused_gate_leaves_no_trace():
    circuit = one_input()
    before = repr(circuit)
    block = fj.Circuit(2).displace(fj.Weight("a"), fj.Weight("phi"), mode=0)
    other = fj.Circuit(2).displace(fj.Weight("a"), fj.Weight("phi", 2)[0], mode=0)
    for attempt, message in (
        (
            lambda: circuit.displace(fj.Weight("b"), fj.Weight("b", (2,))[0], mode=0),
            "'b' has shape",
        ),
        (lambda: circuit.displace(fj.Weight("b"), math.nan, mode=0), "'phi' must be finite"),
        (lambda: circuit.repeat(block, 2), "already has a weight 'phi'"),
        (lambda: circuit.repeat(other, 2, shared="phi"), "'phi' has shape"),
    ):
        with pytest.raises(ValueError, match=message):
            attempt()
        assert repr(circuit) == before and set(circuit.init(jax.random.key(0))) == {"phi"}


W, X = {"phi": np.float32(0.1)}, np.ones(1, np.float32)


@pytest.mark.parametrize(
    "weights, x, options, error, message",
    [
        (W, None, {}, ValueError, r"`x` is missing.*shape \(1,\)"),
        (W, np.ones(2), {}, ValueError, r"`x` must be real of shape \(1,\).*got.*\(2,\)"),
        (W, np.ones((5, 1)), {}, ValueError, r"\(1,\), one sample.*\(5, 1\); batch with jax.vmap"),
        (W, np.ones(1) * 1j, {}, ValueError, "`x` must be real.*complex64"),
        ({}, X, {}, ValueError, r"missing \['phi'\], unknown \[\]; `circuit.init\(key\)`"),
        (W | {"psi": 1.0}, X, {}, ValueError, r"missing \[\], unknown \['psi'\]"),
        (None, X, {}, TypeError, "`weights` must be a dictionary.*NoneType"),
        ({"phi": np.ones(2)}, X, {}, ValueError, r"'phi' must be real of shape \(\), got.*\(2,\)"),
        ({"phi": 1j}, X, {}, ValueError, "'phi' must be real.*complex64"),
        (W, X, {"cutoff": 0}, ValueError, "`cutoff` must be an integer >= 1.*, got 0"),
        (W, X, {"cutoff": (3, -1)}, ValueError, r"`cutoff`.*>= 1.*, got \(3, -1\)"),
        (W, X, {"cutoff": (3, 4, 5)}, ValueError, r"each of 2 modes.*, got \(3, 4, 5\)"),
        (W, X, {"cutoff": (3,)}, ValueError, r"each of 2 modes.*, got \(3,\)"),
        (W, X, {"cutoff": 3.0}, TypeError, "`cutoff` must be an integer.*got 3.0"),
        (W, X, {"cutoff": (3, 4.0)}, TypeError, r"`cutoff` must be an integer.*got \(3, 4.0\)"),
        (W, X, {"cutoff": True}, TypeError, "`cutoff` must be an integer.*got True"),
        (W, X, {"cutoff": None}, TypeError, "`cutoff` must be an integer.*got None"),
        (W, X, {"dtype": np.float32}, ValueError, "`dtype` must be complex64 or complex128"),
        (W, X, {"dtype": np.complex128}, ValueError, "complex128.*jax_enable_x64"),
        (
            W,
            X,
            {"initial": np.ones((3, 2))},
            ValueError,
            r"`initial`.*\(3, 3\).*got shape \(3, 2\)",
        ),
    ],
)
def test_what_cannot_be_called(weights, x, options, error, message):
    with pytest.raises(error, match=message):
        one_input()(weights, x, **{"cutoff": 3} | options)


def test_an_input_is_not_taken_where_there_is_none():
    with pytest.raises(ValueError, match=r"`x` must be real of shape \(0,\).*got.*\(1,\)"):
        fj.Circuit(1).kerr(0.1, mode=0)({}, X, cutoff=3)


def test_a_traced_cutoff_is_refused():
    with pytest.raises(TypeError, match="`cutoff` must be an integer.*known before tracing"):
        jax.jit(lambda cutoff: fj.Circuit(1)({}, cutoff=cutoff).ket())(3)


def test_memory_limit():
    """Named at trace time, before anything is allocated: the whole state would take 6e17 bytes."""
    circuit = fj.Circuit(4).beamsplitter(fj.Weight("t"), modes=(0, 1)).kerr(0.1, mode=2)
    circuit.beamsplitter(0.2, fj.Weight("p"), modes=(3, 1))

    def call(t):
        return circuit({"t": t, "p": 0.1}, cutoff=(50, 60, 7, 80), memory_limit=200_000).leakage

    message = (
        r"beamsplitter\(theta=0.2, phi=p\) on modes 3, 1 needs modes \[0, 1, 3\] with cutoffs "
        r"\(50, 60, 80\).*1,920,000 bytes.*complex64.*limit of 200,000 bytes.*fj.grouped"
    )
    with pytest.raises(ValueError, match=message):
        jax.jit(call)(0.1)
    limit = 50 * 60 * 80 * 8
    state = jax.eval_shape(
        lambda: circuit({"t": 0.1, "p": 0.1}, cutoff=(50, 60, 7, 80), memory_limit=limit)
    )
    assert state.groups == ((0, 1, 3), (2,))
    huge = fj.Circuit(8)
    for mode in range(7):
        huge.beamsplitter(0.1, modes=(mode, mode + 1))
    with pytest.raises(ValueError, match="over the limit of 8,589,934,592 bytes"):
        jax.eval_shape(lambda: huge({}, cutoff=20))


def test_memory_limit_inside_repeated_layers():
    circuit = fj.Circuit(3).cvqnn_layers(3)
    weights = jax.eval_shape(circuit.init, jax.random.key(0))
    with pytest.raises(ValueError, match=r"beamsplitter.*on modes 1, 2 needs modes \[0, 1, 2\]"):
        jax.eval_shape(lambda w: circuit(w, cutoff=30, memory_limit=8 * 30**2), weights)


# equal circuits


def built(phi=0.3, name="r", option=False, index=0, function=abs, times=2, matrix=None):
    circuit = fj.Circuit(2).squeeze(fj.Weight("r"), phi, mode=0)
    circuit.beamsplitter(fj.Weight("w", (2,))[index], fj.Input(0) - 0.1)
    circuit.rotate(fj.apply(function, fj.Weight(name)), mode=1).unitary(
        np.eye(6) if matrix is None else matrix, modes=0
    )
    circuit.controlled_x(0.2, exact=option).measure_photons(select=1, modes=1)
    block = fj.Circuit(2).kerr(fj.Weight("k"), mode=0)
    return circuit.repeat(block, times).measure_homodyne(mode=0, name=name)


OTHERS = [
    {"phi": 0.31},
    {"phi": -0.3},
    {"name": "s"},
    {"option": True},
    {"index": 1},
    {"function": operator.neg},
    {"times": 3},
    {"matrix": -np.eye(6)},
]


def test_circuits_that_do_the_same_are_compiled_once():
    first, second = built(), built(phi=np.float64(0.3), matrix=np.eye(6).tolist())
    assert first.operations == second.operations
    assert hash(first.operations) == hash(second.operations)
    weights = first.init(jax.random.key(0), np.float32)
    before = fj.circuit._run._cache_size()
    states = [
        circuit(weights, [0.2], cutoff=(6, 3), dtype=np.complex64, key=jax.random.key(1))
        for circuit in (first, second, pickle.loads(pickle.dumps(first)))
    ]
    assert fj.circuit._run._cache_size() == before + 1
    assert all(np.array_equal(state.ket(), states[0].ket()) for state in states)


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: next(iter(other)))
def test_circuits_that_differ_are_told_apart(other):
    assert built(**other).operations != built().operations


def test_zeros_of_either_sign_are_told_apart():
    assert built(phi=0.0).operations != built(phi=-0.0).operations


# text


def test_a_circuit_prints_as_text():
    w = fj.Weight("w", (2,))
    circuit = fj.Circuit(2).displace(-fj.Input(1), w[1] * 2.5, mode=1).beamsplitter(modes=(1, 0))
    inner = fj.Circuit(1).kerr(fj.Weight("kappa"), mode=0)
    circuit.repeat(fj.Circuit(2).rotate(1 / fj.Weight("v"), mode=0).repeat(inner, 2), 3)
    assert repr(circuit) == str(circuit)
    assert str(circuit).splitlines() == [
        "Circuit of 2 modes, 2 inputs, 3 weights",
        "  displacement(r=-x[1], phi=(w[1] * 2.5)) on mode 1",
        "  beamsplitter(theta=0.785398, phi=0) on modes 1, 0",
        "  repeat 3 times:",
        "    rotation(phi=(1 / v)) on mode 0",
        "    repeat 2 times:",
        "      kerr(kappa=kappa) on mode 0",
    ]
    assert str(fj.Circuit(1)) == "Circuit of 1 mode, 0 inputs, 0 weights"


def test_a_batch_may_be_empty():
    """Its values are none, and its mean has the gradient zero."""
    block = fj.Circuit(2).squeeze(fj.Weight("r"), mode=0).two_mode_squeeze(0.2).beamsplitter(0.3)
    circuit = fj.Circuit(2).displace(fj.Input(0), mode=0).repeat(block, 3)

    @partial(jax.jit, static_argnums=2)
    def total(r, x, cutoff):
        def sample(x):
            return circuit({"r": r}, x, cutoff=cutoff).photon_number(0).mean

        return jnp.sum(jax.vmap(sample)(x))

    for cutoff in (4, fj.TotalPhotons(4)):
        value, slopes = jax.value_and_grad(total, (0, 1))(jnp.ones(3), jnp.ones((0, 1)), cutoff)
        assert value == 0 and not slopes[0].any() and slopes[1].shape == (0, 1)


# What users tried


@pytest.mark.parametrize(
    "add",
    [
        lambda c, p: c.rotate(p, mode=0),
        lambda c, p: c.displace(0.1, p, mode=0),
        lambda c, p: c.loss(p, mode=0),
        lambda c, p: c.prepare("thermal", p, modes=0),
        lambda c, p: c.measure_homodyne(p, mode=0),
    ],
)
def test_an_array_or_a_complex_number_for_a_number_is_refused_by_name(add):
    """Lengths equal to the cutoff would otherwise be multiplied into the amplitudes."""
    weights, key = {"w": 0.1 * jnp.arange(4.0)}, jax.random.key(0)
    array = add(fj.Circuit(1), fj.apply(jnp.square, fj.Weight("w", (4,))))
    with pytest.raises(ValueError, match=r"parameter `\w+` must be a number.* has shape \(4,\)"):
        array(weights, cutoff=4, key=key)
    complex_ = add(
        fj.Circuit(1), fj.apply(lambda w: jax.lax.complex(w, w), fj.Weight("w", (4,))[1])
    )
    with pytest.raises(TypeError, match=r"parameter `\w+` must be real, but .* is complex"):
        complex_(weights, cutoff=4, key=key)


def test_a_copy_and_its_original_go_their_own_ways():
    base = fj.Circuit(2).squeeze(0.3, mode=0)
    other = copy.copy(base)
    other.rotate(fj.Weight("a"), mode=0).repeat(fj.Circuit(2).kerr(fj.Weight("k"), mode=1), 2)
    assert len(base.operations) == 1 and base({}, cutoff=3).modes == 2
    assert set(other.init(jax.random.key(0))) == {"a", "k"}
    base.rotate(fj.Weight("b"), mode=1)
    assert set(other.init(jax.random.key(0))) == {"a", "k"}


def test_many_selections_that_are_each_possible():
    circuit = fj.Circuit(4)
    for mode in range(4):
        circuit.displace(0.02, mode=mode)
    circuit.measure_photons(modes=range(4), select=[1] * 4)
    found = circuit({}, cutoff=2, dtype="complex64").selection_probability
    assert found < 1e-12
    np.testing.assert_allclose(found, (0.02**2 / (1 + 0.02**2)) ** 4, rtol=1e-3)


@pytest.mark.parametrize("times", [2, 3, 5])
@pytest.mark.parametrize("parting", ["measure", "prepare"])
def test_a_repeated_block_may_part_modes_that_came_in_joined(times, parting):
    block = fj.Circuit(2).kerr(0.1, mode=0)
    if parting == "measure":
        block.measure_photons(modes=1, select=0).displace(0.3, mode=1)
    else:
        block.prepare("coherent", 0.2, modes=1)
    start = fj.Circuit(2).squeeze(0.4, mode=0).beamsplitter()({}, cutoff=4)
    repeated = fj.Circuit(2).repeat(block, times)({}, cutoff=4, initial=start)
    written = start
    for _ in range(times):
        written = block({}, cutoff=4, initial=written)
    close(repeated.density_matrix(), written.density_matrix(), 1e-6)
    close(repeated.selection_probability, written.selection_probability, 1e-6)


def test_what_is_built_on_a_snapshot_has_a_hash_of_its_own():
    one = Snapshot(fj.Circuit(1).squeeze(0.3, mode=0))
    assert hash(one) == hash(Snapshot(copy.copy(one)))
    built = Snapshot(copy.copy(one).kerr(0.1, mode=0))
    fresh = Snapshot(fj.Circuit(1).squeeze(0.3, mode=0).kerr(0.1, mode=0))
    assert built == fresh != one
    assert hash(built) == hash(fresh)
