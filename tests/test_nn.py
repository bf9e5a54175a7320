"""A circuit as a Flax layer: its parameters, its shapes, and that it trains as any other."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import fockjax as fj

pytestmark = pytest.mark.loose_promotion


def circuit(modes=2, layers=1):
    built = fj.Circuit(modes)
    for mode in range(modes):
        built.displace(fj.Input(mode), 0.4, mode=mode)
    return built.cvqnn_layers(layers, name="net")


def small():
    """One mode, one gate: quick to compile."""
    return fj.Circuit(1).displace(fj.Input(0), fj.Weight("phi"), mode=0)


def layer(built=None, **options):
    return fj.nn.QuantumLayer(built or small(), **{"cutoff": 8, "rngs": nnx.Rngs(0)} | options)


def close(actual, expected, tolerance=1e-6):
    np.testing.assert_allclose(actual, expected, atol=tolerance, rtol=0)


def parameters(module):
    return jax.tree.leaves(nnx.state(module, nnx.Param))


# parameters


def test_weights_are_params_named_as_in_the_circuit():
    module = layer(circuit(layers=3))
    names = {path[-1]: value for path, value in nnx.to_flat_state(nnx.state(module))}
    expected = circuit(layers=3).init(jax.random.key(0))
    assert names.keys() == expected.keys()
    for name, value in names.items():
        assert isinstance(value, nnx.Param)
        assert value.shape == expected[name].shape and value.dtype == np.float32
    assert not jax.tree.leaves(nnx.state(module, nnx.Not(nnx.Param)))


def test_initial_weights_come_from_rngs():
    values = [parameters(layer(rngs=nnx.Rngs(seed))) for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]
    only_params = layer(rngs=nnx.Rngs(params=0))
    assert parameters(only_params) == values[0]


def test_dtypes(x64):
    x = np.array([0.5])
    for param_dtype in (np.float32, np.float64):
        for dtype, real in ((None, np.float64), (np.complex64, np.float32)):
            module = layer(dtype=dtype, param_dtype=param_dtype)
            assert all(leaf.dtype == param_dtype for leaf in parameters(module))
            assert jax.eval_shape(module, x).dtype == real
    assert layer().state(x).ket().dtype == np.complex128


def test_dtypes_without_x64():
    for dtype in (np.float64, jnp.bfloat16):
        with pytest.raises(ValueError, match="float32"):
            layer(param_dtype=dtype)
    with pytest.raises(ValueError, match="complex128.*jax_enable_x64"):
        layer(dtype=np.complex128)(np.array([0.5]))


# shapes and readouts


def test_leading_axes_stay():
    module = nnx.jit(layer())
    xs = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 3, 1)).astype(np.float32)
    out = module(xs)
    assert out.shape == (2, 3, 2)
    close(out[1, 2], module(xs[1, 2]))
    close(out[1], module(xs[1]))
    assert module(xs[:0]).shape == (0, 3, 2)
    phi = layer().weights["phi"][...]
    close(out[..., 0], 2 * xs[..., 0] * np.cos(phi), 1e-5)
    close(out[..., 1], 2 * xs[..., 0] * np.sin(phi), 1e-5)


def test_a_layer_without_inputs_and_lists_of_numbers():
    built = fj.Circuit(1).displace(fj.Weight("r"), mode=0)
    module = layer(built, readout=fj.nn.photon_numbers)
    close(module(np.zeros((3, 0))), np.full((3, 1), module.weights["r"][...] ** 2))
    assert layer()([0.5]).shape == (2,)


def test_readouts():
    built = fj.Circuit(2).displace(fj.Input(0), 0.3, mode=0).displace(fj.Input(1), -1.1, mode=1)
    x = np.array([0.5, 0.8], np.float32)
    alpha = x * np.exp(1j * np.array([0.3, -1.1]))

    def both(state):
        return fj.nn.quadratures(state), fj.nn.positions(state), fj.nn.photon_numbers(state)

    module = layer(built, cutoff=(14, 16), readout=fj.nn.with_leakage(both))
    (quadratures, positions, photons), leakage = nnx.jit(module)(x)
    close(quadratures, 2 * np.concatenate([alpha.real, alpha.imag]), 1e-5)
    close(positions, 2 * alpha.real, 1e-5)
    close(photons, x**2, 1e-5)
    close(leakage, 0)


def test_a_penalty_sees_what_comes_back_at_the_cutoff():
    built = fj.Circuit(1).displace(fj.Input(0), mode=0).cubic_phase(0.3, mode=0)
    module = layer(built, cutoff=8, readout=fj.nn.with_leakage(fj.nn.positions))
    x = np.array([1.2], np.float32)
    state = module.state(x)
    (_, leakage), told = module(x), fj.runtime.checked(state, fj.nn.positions).leakage
    close(leakage, told)
    assert leakage > 0.1 > 100 * state.leakage


def test_a_readout_may_be_any_function_to_a_pytree():
    def readout(state):
        return {"joint": state.probabilities(), "all": [state, state.photon_number(0)]}

    batch = nnx.jit(layer(cutoff=3, readout=readout))(np.full((2, 5, 1), 0.3, np.float32))
    assert batch["joint"].shape == (2, 5, 3)
    state, moments = batch["all"]
    assert isinstance(state, fj.State) and isinstance(moments, fj.Moments)
    assert moments.mean.shape == (2, 5)
    close(jax.vmap(jax.vmap(lambda s: s.probabilities()))(state), batch["joint"])


def test_state_is_that_of_the_circuit():
    module = layer(cutoff=np.int64(6))
    x = np.array([0.4], np.float32)
    weights = {"phi": module.weights["phi"][...]}
    close(module.state(x).ket(), small()(weights, x, cutoff=6).ket())


@pytest.mark.parametrize("shape", [(), (2,), (3, 2)])
def test_input_of_a_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"`x` must have shape \(..., 1\), got"):
        layer()(np.zeros(shape))


def test_bad_cutoff():
    with pytest.raises(ValueError, match="`cutoff` must be an integer >= 1.*, got 0"):
        layer(cutoff=0)(np.zeros(1))


def test_a_cutoff_may_be_an_array():
    assert layer(cutoff=np.array([4])).state(np.zeros(1)).cutoffs == (4,)


# as any Flax module


def test_split_merge_copy_and_pickle():
    module = layer()
    x = np.array([0.4], np.float32)
    expected = module(x)
    graph, state = nnx.split(module)
    copies = [
        nnx.merge(graph, state),
        nnx.clone(module),
        copy.deepcopy(module),
        pickle.loads(pickle.dumps(layer(readout=fj.nn.with_leakage(fj.nn.quadratures)))),
    ]
    copies[-1].readout = fj.nn.quadratures
    for other in copies:
        assert other is not module
        close(other(x), expected)
    copies[1].weights["phi"][...] += 1.0
    assert np.abs(copies[1](x) - expected).max() > 0.1
    close(module(x), expected)


def test_functional_use_under_plain_jax():
    """Split once, then jit, grad and vmap pure functions of the parameters."""
    graph, params = nnx.split(layer())
    xs = np.random.default_rng(0).uniform(0.2, 0.8, (4, 1)).astype(np.float32)

    @jax.jit
    def gradient(params, xs):
        return jax.grad(lambda p: jnp.sum(nnx.merge(graph, p)(xs)[:, 0]))(params)

    (phi,) = jax.tree.leaves(params)
    (slope,) = jax.tree.leaves(gradient(params, xs))
    close(slope, -2 * xs.sum() * np.sin(phi), 1e-4)


class Hybrid(nnx.Module):
    """Classical layers before and after the circuit."""

    def __init__(self, quantum, rngs):
        modes = quantum.circuit.modes
        self.encoder = nnx.Linear(3, modes, rngs=rngs)
        self.quantum = quantum
        self.head = nnx.Linear(2 * modes, 1, rngs=rngs)

    def __call__(self, x):
        features, leakage = self.quantum(jnp.tanh(self.encoder(x)))
        return self.head(features)[..., 0], leakage


def one_mode():
    return circuit(modes=1)


def grouped():
    return fj.grouped(circuit, modes=2, group_size=1)


# A hybrid model trains in the README, too.
@pytest.mark.slow
@pytest.mark.parametrize("build", [one_mode, circuit, grouped])
def test_a_hybrid_model_trains_with_optax(build):
    quantum = layer(build(), cutoff=5, readout=fj.nn.with_leakage(fj.nn.quadratures))
    model = Hybrid(quantum, nnx.Rngs(1))
    optimizer = nnx.Optimizer(model, optax.adam(2e-2), wrt=nnx.Param)
    rng = np.random.default_rng(0)
    xs = rng.uniform(-1, 1, (32, 3)).astype(np.float32)
    ys = np.sin(2 * xs[:, 0] - xs[:, 1])

    @nnx.jit
    def step(model, optimizer, xs, ys):
        def loss(model):
            predictions, leakage = model(xs)
            return jnp.mean((predictions - ys) ** 2) + 0.1 * jnp.mean(leakage)

        value, gradient = nnx.value_and_grad(loss)(model)
        optimizer.update(model, gradient)
        return value

    before = [np.array(leaf) for leaf in parameters(model.quantum)]
    losses = [step(model, optimizer, xs, ys) for _ in range(60)]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.6 * losses[0]
    moved = [np.abs(a - b).max() for a, b in zip(before, parameters(model.quantum), strict=True)]
    assert all(change > 1e-3 for change in moved)


def test_in_a_sequential_model_in_tree_mode():
    """Flax's mode without shared references (NNX_GRAPH_MODE=false); the rest is in the other."""
    xs = np.ones((5, 3), np.float32)
    with nnx.set_graph_mode(False):
        model = nnx.Sequential(nnx.Linear(3, 1, rngs=nnx.Rngs(0)), jnp.tanh, layer())

        @nnx.jit
        def gradient(model, xs):
            return nnx.value_and_grad(lambda model: jnp.sum(model(xs)))(model)

        value, slopes = gradient(model, xs)
        close(value, jnp.sum(model(xs)), 1e-5)
    assert len(jax.tree.leaves(slopes)) == 3
    assert all(np.abs(leaf).max() > 1e-4 for leaf in jax.tree.leaves(slopes))


def test_grouped_circuits_as_layers():
    module = layer(fj.grouped(lambda n: small(), modes=3, group_size=1), cutoff=10)
    assert {value.shape for value in parameters(module)} == {(3,)}
    x = np.array([0.2, 0.4, 0.6], np.float32)
    phi = module.weights["groups"]["phi"][...]
    expected = 2 * np.concatenate([x * np.cos(phi), x * np.sin(phi)])
    close(nnx.jit(module)(x), expected, 1e-5)
    with pytest.raises(ValueError, match=r"shape \(..., 3\), got \(2,\)"):
        module(np.zeros(2))


def test_two_layers_that_share_a_circuit_have_weights_of_their_own():
    built = small()
    one, two = layer(built, rngs=nnx.Rngs(0)), layer(built, rngs=nnx.Rngs(1))
    assert parameters(one) != parameters(two)
    one.weights["phi"][...] = jnp.float32(0.0)
    assert parameters(two) != [0.0]


def test_a_layer_keeps_the_circuit_it_was_made_of():
    circuit = fj.Circuit(1).displace(fj.Input(0), mode=0)
    alone = fj.nn.QuantumLayer(circuit, 8, rngs=nnx.Rngs(0))
    groups = fj.grouped(lambda modes: circuit, modes=1, group_size=1)
    grouped = fj.nn.QuantumLayer(groups, 8, rngs=nnx.Rngs(0))
    before = alone(jnp.array([0.3]))
    circuit.squeeze(0.7, mode=0).squeeze(fj.Weight("r"), mode=0)  # meant for another layer
    for made in (alone, grouped):
        np.testing.assert_allclose(made(jnp.array([0.3])), before, atol=1e-6)


def test_layers_that_do_the_same_have_equal_graphs():
    traces = []

    def block(modes):
        return small()

    @nnx.jit
    def run(module, x):
        traces.append(x)
        return module(x)

    groups, again, more = (fj.grouped(block, modes=modes, group_size=1) for modes in (2, 2, 3))
    for one, other in ((small(), small()), (groups, again)):
        one, other = layer(one, cutoff=3), layer(other, cutoff=3, rngs=nnx.Rngs(1))
        x = jnp.ones((2, one.circuit.num_inputs))
        traces.clear()
        assert (run(one, x) != run(other, x)).any() and len(traces) == 1
        mean = jax.tree.map(lambda a, b: (a + b) / 2, one, other)
        close(parameters(mean)[0], (parameters(one)[0] + parameters(other)[0]) / 2)
        for copied in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
            assert nnx.graphdef(copied) == nnx.graphdef(one)
            assert hash(nnx.graphdef(copied)) == hash(nnx.graphdef(one))
    readouts = [fj.nn.with_leakage(fj.nn.quadratures) for _ in range(2)]
    one, other = (nnx.graphdef(layer(small(), cutoff=3, readout=readout)) for readout in readouts)
    assert one == other != nnx.graphdef(layer(small(), cutoff=3, readout=fj.nn.quadratures))
    different = [small(), small().kerr(0.1, mode=0), groups, more]
    assert len({nnx.graphdef(layer(each, cutoff=3)) for each in different}) == 4


def test_the_circuit_of_a_layer_stays_as_it_is():
    held = layer().circuit
    before = hash(held)
    with pytest.raises(TypeError, match=r"Gate 1 \(squeezing\): .*copy.copy"):
        held.squeeze(0.1, mode=0)
    with pytest.raises(TypeError, match="copy.copy"):
        held.repeat(fj.Circuit(1).kerr(0.1, mode=0), 2)
    longer = copy.copy(held).squeeze(0.1, mode=0)
    assert type(longer) is fj.Circuit and len(longer.operations) == 2
    assert hash(held) == before and len(held.operations) == 1
    assert copy.copy(held) != held == layer().circuit


def test_it_prints():
    text = repr(layer())
    assert "QuantumLayer" in text and "displacement(r=x[0], phi=phi)" in text
    table = nnx.tabulate(layer(), jnp.zeros((3, 1)))
    assert "QuantumLayer" in table and "phi" in table


@pytest.mark.parametrize(
    ("given", "message"),
    [({"readout": "x"}, "`readout` must be a function"), ({"rngs": 0}, "`rngs` must be flax.nnx")],
)
def test_what_cannot_be_called_is_refused_when_the_layer_is_made(given, message):
    with pytest.raises(TypeError, match=message):
        fj.nn.QuantumLayer(fj.Circuit(1), 4, **{"rngs": nnx.Rngs(0)} | given)


def test_a_layer_draws_pure_branches_and_keeps_to_its_memory():
    circuit = fj.Circuit(1).displace(fj.Input(0), mode=0).loss(0.6, mode=0)
    rngs = nnx.Rngs(0)
    mean = fj.nn.QuantumLayer(circuit, 8, fj.nn.photon_numbers, rngs=rngs)
    layer = fj.nn.QuantumLayer(circuit, 8, fj.nn.photon_numbers, rngs=rngs, unravel=True)
    key = jax.random.key(0)
    assert not mean.state([0.7]).is_pure and layer.state([0.7], key).is_pure
    runs = layer(jnp.full((4000, 1), 0.7), key)
    close(runs.mean(), mean(jnp.array([0.7]))[0], 0.02)
    with pytest.raises(ValueError, match="`key` is missing"):
        layer(jnp.array([0.7]))
    small = fj.nn.QuantumLayer(circuit, 8, rngs=rngs, memory_limit=100)
    with pytest.raises(ValueError, match="over the limit of 100 bytes.*unravel=True"):
        small(jnp.array([0.7]))
