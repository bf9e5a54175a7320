"""The same block on independent groups of modes is what separate circuits are."""

import dense
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import close
from jaxprs import equations

import fockjax as fj
from fockjax.runtime import Runner, checked


def block(modes):
    """Encodes modes + 1 inputs; entangles all its modes."""
    circuit = fj.Circuit(modes)
    for mode in range(modes):
        circuit.displace(fj.Input(mode), fj.Weight("phi", (modes,))[mode], mode=mode)
    for mode in range(modes - 1):
        circuit.beamsplitter(fj.Weight("theta", (modes,))[mode], 0.4, modes=(mode + 1, mode))
    return circuit.kerr(fj.Weight("kappa") + fj.Input(modes), mode=0)


def weights_of_groups(weights, count):
    groups = [jax.tree.map(lambda leaf, k=k: leaf[k], weights["groups"]) for k in range(count)]
    return groups + ([weights["last"]] if "last" in weights else [])


@pytest.mark.parametrize("cutoff", [pytest.param(3, marks=pytest.mark.slow), (3, 2)])
def test_groups_equal_the_dense_state(cutoff, x64):
    """Five modes in groups of 2, 2 and 1: all amplitudes, and readouts in mode order."""
    circuit = fj.grouped(block, modes=5, group_size=2)
    cutoffs = (3, 3, 3, 3, 3) if cutoff == 3 else (3, 2, 3, 2, 3)
    weights = jax.jit(circuit.init)(jax.random.key(0))
    assert len(np.unique(weights["groups"]["phi"])) == 2 * 2  # each group has its own
    x = np.random.default_rng(0).uniform(-0.6, 0.6, 3 + 3 + 2)
    assert circuit.num_inputs == 8 and circuit.modes == 5

    @jax.jit
    def run(weights, x):
        state = circuit(weights, x, cutoff=cutoff)
        assert state.groups == ((0, 1), (2, 3), (4,)) and state.cutoffs == cutoffs
        assert state.truncations == 3 + 3 + 1
        reads = fj.nn.quadratures(state), fj.nn.photon_numbers(state), state.probabilities((4, 2))
        return state.ket(), reads

    ket, (quadratures, photons, joint) = run(weights, x)

    gates, offset, taken = [], 0, 0
    for modes, w in zip((2, 2, 1), weights_of_groups(weights, 2), strict=True):
        for name, values, on in block(modes).evaluated(w, x[taken : taken + modes + 1]):
            gates.append((name, list(values.values()), tuple(mode + offset for mode in on)))
        offset, taken = offset + modes, taken + modes + 1
    expected = dense.run(gates, dense.vacuum(cutoffs))
    close(ket, expected)
    p = abs(expected) ** 2
    close(joint, p.sum((0, 1, 3)).T)
    for mode in range(5):
        marginal = p.sum(tuple(k for k in range(5) if k != mode))
        close(photons[mode], marginal @ np.arange(cutoffs[mode]))
        lower = np.moveaxis(
            np.tensordot(dense.lowering(cutoffs[mode]), expected, (1, mode)), 0, mode
        )
        a = np.vdot(expected, lower)
        close([quadratures[mode], quadratures[5 + mode]], [2 * a.real, 2 * a.imag])


@pytest.mark.slow
def test_groups_equal_separate_circuits(x64):
    circuit = fj.grouped(block, modes=5, group_size=2)
    weights = jax.jit(circuit.init)(jax.random.key(0))
    x = np.random.default_rng(0).uniform(-0.6, 0.6, 8)

    @jax.jit
    def run(weights, x):
        separate = [
            block(modes)(w, x, cutoff=3).ket()
            for modes, w, x in zip(
                (2, 2, 1), weights_of_groups(weights, 2), (x[:3], x[3:6], x[6:]), strict=True
            )
        ]
        return circuit(weights, x, cutoff=3).ket(), separate

    ket, separate = run(weights, x)
    close(ket, np.einsum("ab,cd,e->abcde", *separate), 1e-14)


@pytest.mark.slow
def test_a_circuit_of_all_modes_gives_the_same_in_single_precision():
    circuit = fj.grouped(block, modes=4, group_size=2)
    weights = circuit.init(jax.random.key(0))
    x = np.random.default_rng(0).uniform(-0.6, 0.6, 6).astype(np.float32)
    whole, offset = fj.Circuit(4), 0
    for w, part in zip(weights_of_groups(weights, 2), (x[:3], x[3:]), strict=True):
        for name, values, modes in block(2).evaluated(w, part):
            whole.add(name, *values.values(), modes=[mode + offset for mode in modes])
        offset += 2
    together = jax.jit(lambda: whole({}, cutoff=4, initial=dense.vacuum((4,) * 4)).ket())()
    apart = jax.jit(lambda w, x: circuit(w, x, cutoff=4).ket())(weights, x)
    close(apart, together, 1e-6)


@pytest.mark.parametrize(
    "modes, size, groups",
    [
        (4, 2, [(0, 1), (2, 3)]),
        (7, 3, [(0, 1, 2), (3, 4, 5), (6,)]),
        (2, 4, [(0, 1)]),
        (3, 1, [(0,), (1,), (2,)]),
        (3, 3, [(0, 1, 2)]),
    ],
)
def test_how_modes_are_grouped(modes, size, groups):
    circuit = fj.grouped(block, modes=modes, group_size=size)
    assert circuit.num_inputs == modes + len(groups)
    weights = jax.eval_shape(circuit.init, jax.random.key(0))
    count, rest = divmod(modes, size)
    assert set(weights) == ({"groups"} if count else set()) | ({"last"} if rest else set())
    if count:
        assert weights["groups"]["phi"].shape == (count, size)
    state = jax.eval_shape(
        lambda w, x: circuit(w, x, cutoff=2), weights, np.zeros(modes + len(groups), np.float32)
    )
    assert state.groups == tuple(groups) and state.modes == modes


def test_fewer_modes_than_a_group_is_one_circuit(x64):
    def build(modes):
        return fj.Circuit(modes).displace(fj.Input(0), fj.Weight("phi"), mode=modes - 1)

    circuit = fj.grouped(build, modes=2, group_size=4)
    cutoff = (3, 4, 5, 6)  # one for each mode of a whole group
    weights = {"last": {"phi": np.array(0.4)}}
    ket = jax.jit(lambda x: circuit(weights, x, cutoff=cutoff).ket())(np.array([0.3]))
    close(ket, dense.run([("displacement", (0.3, 0.4), (1,))], dense.vacuum((3, 4))))


def test_blocks_without_weights_or_inputs(x64):
    circuit = fj.grouped(
        lambda modes: fj.Circuit(modes).displace(0.4, 0.3, mode=0), modes=3, group_size=2
    )
    state = jax.jit(lambda: circuit(circuit.init(jax.random.key(0)), cutoff=3))()
    one = dense.run([("displacement", (0.4, 0.3), (0,))], dense.vacuum((3,)))
    close(state.ket(), np.einsum("a,b,c->abc", one, [1, 0, 0], one))


def test_equal_groups_run_under_one_vmap():
    def size(modes):
        circuit = fj.grouped(lambda n: fj.Circuit(n).cvqnn_layers(2), modes=modes, group_size=4)
        spec = jax.eval_shape(circuit.init, jax.random.key(0))
        return len(equations(lambda w: circuit(w, cutoff=3), spec))

    once = size(4)
    assert size(8) < 1.05 * once and size(24) < 1.1 * once


def test_gradients_and_batches_reach_every_group(x64):
    def build(modes):
        phi = fj.Weight("phi", (modes,))
        circuit = fj.Circuit(modes)
        for mode in range(modes):
            circuit.displace(fj.Input(mode), phi[mode], mode=mode)
        return circuit

    circuit = fj.grouped(build, modes=3, group_size=2)
    weights = {"groups": {"phi": np.array([[0.3, -1.0]])}, "last": {"phi": np.array([0.7])}}
    xs = np.random.default_rng(1).uniform(0.2, 0.6, (4, 3))

    @jax.jit
    def both(weights, xs):
        def means(weights, x):
            return fj.nn.quadratures(circuit(weights, x, cutoff=4))

        def total(weights):
            batch = jax.vmap(means, (None, 0))(weights, xs)
            return jnp.sum(jnp.sin(batch)), batch

        return jax.value_and_grad(total, has_aux=True)(weights)

    (value, batch), gradient = both(weights, xs)
    assert batch.shape == (4, 6)
    for leaf in jax.tree.leaves(gradient):
        assert np.all(np.abs(leaf) > 1e-4)
    for k in range(4):
        close(both(weights, xs[k : k + 1].repeat(4, 0))[0][1][0], batch[k], 1e-14)
    moved = jax.tree.map(lambda w, g: w - 1e-3 * g, weights, gradient)
    squares = sum(np.sum(np.square(g)) for g in jax.tree.leaves(gradient))
    close(both(moved, xs)[0][0] - value, -1e-3 * squares, 0.05e-3 * squares)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: fj.grouped(block, modes=0, group_size=2),
            "`modes` must be an integer >= 1, got 0",
        ),
        (lambda: fj.grouped(block, modes=2, group_size=1.5), "`group_size`.*>= 1, got 1.5"),
        (lambda: fj.grouped(lambda n: fj.Circuit(2), modes=3, group_size=2), "Circuit of 1 modes"),
        (lambda: fj.grouped(lambda n: None, modes=3, group_size=2), "Circuit of 2 modes"),
        (lambda: fj.grouped(lambda n: fj.Circuit(n, hbar=n), modes=3, group_size=2), "of one hbar"),
        (lambda: call(x=None), r"`x` must have shape \(5,\), got None"),
        (lambda: call(x=np.zeros(4)), r"`x` must have shape \(5,\), got \(4,\)"),
        (lambda: call(x=np.zeros((7, 5))), r"`x` must have shape \(5,\), got \(7, 5\)"),
        (lambda: call(weights={}), r"keys \['groups', 'last'\], got \[\]"),
        (lambda: call(weights={"phi": 1}), r"keys \['groups', 'last'\], got \['phi'\]"),
        (lambda: call(cutoff=0), "`cutoff` must be an integer >= 1.*, got 0"),
        (lambda: call(cutoff=(3, 3, 3)), r"one for each of 2 modes.*, got \(3, 3, 3\)"),
        (lambda: call(memory_limit=64), r"beamsplitter.*needs modes \[0, 1\].*72 bytes"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def call(**changed):
    circuit = fj.grouped(block, modes=3, group_size=2)
    spec = jax.eval_shape(circuit.init, jax.random.key(0))
    weights = jax.tree.map(lambda leaf: np.zeros(leaf.shape), spec)
    given = {"weights": weights, "x": np.zeros(5), "cutoff": 3} | changed
    return circuit(given.pop("weights"), given.pop("x"), **given)


def layer(circuit, modes, name=""):
    """Entangles some modes of a circuit; its weights are named after them."""
    theta = fj.Weight(f"theta{name}", (len(modes),))
    for mode in modes:
        circuit.displace(fj.Input(mode), 0.7, mode=mode).squeeze(0.2, -1.1, mode=mode)
    for k, mode in enumerate(modes[:-1]):
        circuit.beamsplitter(theta[k], 0.4, modes=(mode, mode + 1))
    return circuit


@pytest.mark.slow
def test_eight_modes_in_two_groups_run_as_their_dense_state_does():
    """By the runner: results and leakage are the same, and memory is that of a group."""
    grouped = fj.grouped(
        lambda modes: layer(fj.Circuit(modes), range(modes)), modes=8, group_size=4
    )
    dense = fj.Circuit(8).beamsplitter(0.0, modes=(3, 4))  # nothing, but it joins the groups
    for group in range(2):
        layer(dense, range(4 * group, 4 * group + 4), str(group))
    weights = grouped.init(jax.random.key(0))
    flat = {f"theta{k}": weights["groups"]["theta"][k] for k in range(2)}
    x = np.random.default_rng(0).uniform(-0.4, 0.4, (5, 8)).astype(np.float32)

    def run(circuit, weights):
        def function(weights, x):
            return checked(circuit(weights, x, cutoff=3), fj.nn.quadratures)

        runner = Runner(function, weights, largest_batch=4)
        return runner(x), runner.plan(x)

    assert len(dense(flat, x[0], cutoff=3).groups) == 1
    (found, in_groups), (expected, whole) = run(grouped, weights), run(dense, flat)
    close(found.values, expected.values, 2e-6)
    close(found.leakage, expected.leakage, 2e-6)
    assert found.leakage.min() > 1e-4 and whole.bytes > 10 * in_groups.bytes


def test_cutoffs_of_a_group_may_be_an_array():
    circuit = fj.grouped(lambda modes: fj.Circuit(modes).kerr(0.1, mode=0), modes=3, group_size=2)
    weights = circuit.init(jax.random.key(0))
    assert circuit(weights, cutoff=np.array([3, 4])).cutoffs == (3, 4, 3)
