"""What a circuit is compiled to: how much of it, and how large."""

import math
from functools import partial

import dense
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import equations, largest, shapes

import fockjax as fj


def loss(circuit, cutoff, **options):
    def call(weights, x=None):
        state = circuit(weights, x, cutoff=cutoff, **options)
        return fj.nn.quadratures(state).sum() + state.leakage

    return call


def zeros(circuit):
    """Weights to trace with."""
    spec = jax.eval_shape(circuit.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), spec)


# depth


@pytest.mark.parametrize("transform", [lambda f: f, jax.value_and_grad])
def test_compiled_size_does_not_grow_with_depth(transform):
    def size(depth):
        circuit = fj.Circuit(2).displace(fj.Input(0), mode=1).cvqnn_layers(depth)
        return len(equations(transform(loss(circuit, 4)), zeros(circuit), np.zeros(1, np.float32)))

    assert size(3) == size(30)


@pytest.mark.slow
def test_layers_computed_again_keep_fewer_states():
    """Their value and gradient are the same."""

    def compiled(remat):
        circuit = fj.Circuit(1).displace(fj.Input(0), mode=0).cvqnn_layers(30, remat=remat)
        batched = jax.vmap(loss(circuit, 20), (None, 0))
        gradient = jax.value_and_grad(lambda weights, x: batched(weights, x).sum())
        weights = circuit.init(jax.random.key(0))
        return jax.jit(gradient).lower(weights, np.zeros((64, 1), np.float32)).compile(), weights

    (kept, weights), (again, _) = compiled(False), compiled(True)
    x = np.linspace(-0.3, 0.3, 64, dtype=np.float32)[:, None]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5),
        kept(weights, x),
        again(weights, x),
    )
    before, after = (run.memory_analysis().temp_size_in_bytes for run in (kept, again))
    assert after < 0.6 * before


def test_derivatives_through_layers_computed_again(x64):
    """Two modes at complex128: gradient, and its derivative along a direction."""
    block = fj.Circuit(2).displace(fj.Weight("r"), 0.4, mode=0)
    block.beamsplitter(fj.Weight("theta"), 0.3)
    weights = {"r": np.array([0.2, 0.1, -0.3]), "theta": np.array([0.4, -0.2, 0.7])}

    @jax.jit
    def derivatives(weights):
        def number(weights, remat):
            circuit = fj.Circuit(2).repeat(block, 3, remat=remat)
            return circuit(weights, cutoff=(2, 3)).mean_amplitude(1).imag

        gradients = (jax.grad(partial(number, remat=remat)) for remat in (False, True))
        return [jax.jvp(gradient, (weights,), (weights,)) for gradient in gradients]

    kept, again = derivatives(weights)
    assert max(abs(leaf).max() for leaf in jax.tree.leaves(kept[1])) > 0.1
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), kept, again)


def test_the_count_sees_what_is_written_out():
    layer = fj.Circuit(1).squeeze(fj.Weight("r"), 0.3, mode=0).displace(0.1, mode=0)
    scanned = fj.Circuit(1).repeat(layer, 20)
    written = fj.Circuit(1)
    for k in range(20):
        written.squeeze(fj.Weight("r", (20,))[k], 0.3, mode=0).displace(0.1, mode=0)
    few, many = (len(equations(loss(c, 4), zeros(c))) for c in (scanned, written))
    assert many > 1.3 * few


# gates in sectors


def sector_gates(phase):
    circuit = fj.Circuit(3)
    for k, modes in enumerate([(0, 1), (2, 1), (1, 0), (0, 2)]):
        circuit.beamsplitter(fj.Weight("theta", (4,))[k], phase, modes=modes)
        circuit.rotate(fj.Weight("turn", (4,))[k], mode=modes[0]).kerr(0.1, mode=modes[1])
    return circuit


@pytest.mark.parametrize("cutoff, alike", [((22, 22, 22), 4), ((18, 22, 21), 1)])
@pytest.mark.parametrize("phase", [0.0, fj.Weight("phi")], ids=["real", "complex"])
def test_no_array_of_a_dense_two_mode_gate(cutoff, alike, phase):
    """Sizes grow as D^3 above the cutoff `beamsplitter.TABLE`, also where ``alike`` equal gates are
    built in one call.
    """
    circuit = sector_gates(phase)
    initial = dense.vacuum(cutoff).astype(np.complex64)
    forward = loss(circuit, cutoff, initial=initial)
    bound = 4 * alike * max(cutoff) ** 3
    assert bound < min(cutoff) ** 4
    assert largest(forward, zeros(circuit)) <= bound
    assert largest(jax.value_and_grad(forward), zeros(circuit)) <= bound


def test_the_bound_sees_a_dense_gate():
    assert largest(lambda t: fj.gates.beamsplitter(t, cutoff=16).to_dense(), 0.1) >= 16**4


# batches


def batched_gates(circuit, x_size):
    """Whether, under vmap over inputs, some array is a gate on one mode for each sample."""
    batch, cutoff = 11, (5, 7)
    forward = loss(circuit, cutoff)

    def total(weights, xs):
        return jax.vmap(forward, (None, 0))(weights, xs).sum()

    xs = np.zeros((batch, x_size), np.float32)
    met = shapes(jax.value_and_grad(total), zeros(circuit), xs)
    assert any(batch in shape and {5, 7} <= set(shape) for shape in met)  # the batch of kets
    return any(
        batch in shape and (list(shape).count(5) > 1 or list(shape).count(7) > 1) for shape in met
    )


def test_gates_with_shared_weights_are_built_once_for_a_batch():
    circuit = fj.Circuit(2).rotate(fj.Input(0), mode=0).cvqnn_layers(3)
    circuit.displace(fj.Weight("r"), fj.Weight("phi"), mode=0).squeeze(0.1, 0.2, mode=1)
    assert not batched_gates(circuit, 1)


def test_a_gate_that_takes_an_input_is_built_for_each_sample():
    circuit = fj.Circuit(2).displace(fj.Input(0), mode=0).beamsplitter(0.3)
    assert batched_gates(circuit, 1)


# fewer operations


def recurrences(circuit, *args):
    return sum(e.primitive.name == "scan" for e in equations(loss(circuit, 6), *args))


def test_gates_of_a_kind_are_built_in_one_call():
    circuit = fj.Circuit(3)
    for mode in range(3):
        circuit.displace(fj.Weight("r", (3,))[mode], 0.2, mode=mode).displace(0.1, 0.4, mode=mode)
    assert recurrences(circuit, zeros(circuit)) == 1
    circuit.displace(0.3, mode=0)  # without a phase it is real, so built apart
    assert recurrences(circuit, zeros(circuit)) == 2
    circuit.displace(fj.Input(0), 0.2, mode=0)  # by input, so that the others stay unbatched
    assert recurrences(circuit, zeros(circuit), np.zeros(1, np.float32)) == 3


def applications(circuit, cutoff):
    """How many operators are applied to the joint ket."""
    initial = dense.vacuum(cutoff).astype(np.complex64)

    def ket(weights):
        return circuit(weights, cutoff=cutoff, initial=initial).ket()

    return sum(
        e.primitive.name == "fock_contract" and e.outvars[0].aval.shape == cutoff
        for e in equations(ket, zeros(circuit))
    )


def test_diagonals_fold_into_what_follows():
    cutoff = (3, 4, 5)
    circuit = fj.Circuit(3).rotate(0.1, mode=0).kerr(0.2, mode=0).rotate(0.3, mode=1)
    assert applications(circuit, cutoff) == 1  # at the end, as one
    circuit.beamsplitter(0.4, modes=(1, 0))
    assert applications(circuit, cutoff) == 1  # all of it in the gate
    for _ in range(2):
        circuit.squeeze(0.2, 0.1, mode=1).displace(0.2, 0.3, mode=1).kerr(0.1, mode=1)
        assert applications(circuit, cutoff) == 2  # the gates on mode 1 as one matrix
    circuit.kerr(0.1, mode=0).rotate(0.2, mode=2)
    assert applications(circuit, cutoff) == 3  # and these two as one diagonal


def test_a_second_call_is_not_traced_again():
    traced = []

    class Counted(fj.Weight):
        def evaluate(self, values):
            traced.append(self.name)
            return super().evaluate(values)

    circuit = fj.Circuit(1).displace(Counted("r"), mode=0)
    for r in (0.1, 0.2, jnp.float32(0.3)):
        circuit({"r": r}, cutoff=4)
    assert len(traced) == 1
    circuit({"r": 0.1}, cutoff=5)
    circuit.kerr(0.1, mode=0)({"r": 0.1}, cutoff=5)  # grown since, so another circuit
    assert len(traced) == 3


def test_a_gate_that_all_layers_share_is_made_once_and_not_stacked():
    """In reverse mode too; under a scan as long as the layers are many."""
    block = fj.Circuit(2).beamsplitter(fj.Weight("theta"), fj.Weight("phi"))
    block.squeeze(fj.Weight("r"), mode=0).kerr(fj.Weight("theta"), mode=1)
    circuit = fj.Circuit(2).repeat(block, 50, shared=("theta", "phi"))
    stacked = {
        shape
        for shape in shapes(jax.grad(loss(circuit, (5, 7))), zeros(circuit))
        if 50 in shape or 49 in shape
    }
    gate = fj.gates.beamsplitter(0.1, 0.1, cutoff=(5, 7))
    elements = max(leaf.size for leaf in jax.tree.leaves(gate))
    # each layer's squeezer, and its state after each gate, which reverse mode keeps
    assert max(map(math.prod, stacked)) < 50 * elements


def test_operators_of_repeated_layers_are_made_outside_the_scan():
    """Inside, the small kernels of each layer would run one after the other."""
    circuit = fj.Circuit(1).repeat(fj.Circuit(1).squeeze(fj.Weight("r"), 0.2, mode=0), 7)
    scans = [e for e in equations(loss(circuit, 6), zeros(circuit)) if e.primitive.name == "scan"]
    assert sorted(e.params["length"] for e in scans) == [5, 7]  # the kernel's, over rows; layers
    layers = next(e for e in scans if e.params["length"] == 7)
    assert not any(e.primitive.name == "scan" for e in layers.params["jaxpr"].jaxpr.eqns)
