"""Preparing states inside circuits: what the planner makes of it, against NumPy."""

import dense
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import close

import fockjax as fj
from fockjax.interop import oracle

needs_oracle = pytest.mark.skipif(not oracle.is_installed(), reason="needs Strawberry Fields")


def placed(parts, cutoffs):
    """The joint ket of kets on modes: pairs (ket, modes), their axes in the order of the modes."""
    joint, order = np.ones(()), []
    for ket, modes in parts:
        joint, order = np.multiply.outer(joint, ket), [*order, *modes]
    joint = joint.transpose(np.argsort(order))
    assert joint.shape == cutoffs
    return joint


CUTOFFS = (3, 5, 4, 2)


def test_joint_kets_in_any_order_of_modes(x64):
    three, one = dense.random_ket(1, (4, 2, 3)), dense.random_ket(2, (5,))
    circuit = fj.Circuit(4)
    circuit.prepare("ket", three, modes=(2, 3, 0)).prepare("ket", one, modes=1)
    state = jax.jit(lambda: circuit({}, cutoff=CUTOFFS))()
    assert state.groups == ((0, 2, 3), (1,)) and state.truncations == 2
    expected = placed([(three, (2, 3, 0)), (one, (1,))], CUTOFFS)
    close(state.ket(), expected)

    gates = [
        ("squeezing", (0.3, 0.4), (2,)),
        ("beamsplitter", (0.6, 0.8), (1, 0)),
        ("kerr", (0.3,), (3,)),
        ("displacement", (0.2, 1.0), (3,)),
    ]
    for name, values, modes in gates:
        circuit.add(name, *values, modes=modes)
    after = jax.jit(lambda: circuit({}, cutoff=CUTOFFS).ket())()
    close(after, dense.run(gates, expected))


def test_gates_before_a_preparation_are_forgotten_but_not_what_they_lost(x64):
    """Whether they have been applied by then or still wait to be fused, and on the mode alone."""
    prepared = dense.random_ket(3, (3,))
    for first in ([], [("squeezing", (0.7, 0.2), (0,))]):
        before = [*first, ("displacement", (0.9, 0.3), (0,)), ("rotation", (0.4,), (0,))]
        elsewhere = [("displacement", (0.5, 0.1), (1,))]
        circuit = fj.Circuit(2)
        for name, values, modes in before + elsewhere:
            circuit.add(name, *values, modes=modes)
        circuit.prepare("ket", prepared, modes=0).kerr(0.2, mode=0)
        state = jax.jit(lambda circuit=circuit: circuit({}, cutoff=(3, 4)))()
        lost = np.linalg.norm(dense.run(before, dense.vacuum((3, 1))))
        assert lost < 0.99
        parts = [(lost * prepared, (0,)), (dense.vacuum((4,)), (1,))]
        expected = dense.run([*elsewhere, ("kerr", (0.2,), (0,))], placed(parts, (3, 4)))
        close(state.ket(), expected)
        close(state.norm, np.linalg.norm(expected))
        assert state.truncations == len(first) + 3


def test_a_diagonal_that_waits_is_dropped(x64):
    circuit = fj.Circuit(1).kerr(fj.Input(0), mode=0).prepare("vacuum", modes=0)
    state = jax.jit(lambda x: circuit({}, x, cutoff=3))(np.ones(1))
    np.testing.assert_array_equal(state.ket(), [1, 0, 0])
    assert state.truncations == 0


def test_all_modes_of_a_factor_may_be_prepared_anew(x64):
    """Together, or as two factors of one mode each."""
    pair = dense.random_ket(4, (2, 3))
    circuit = fj.Circuit(3).displace(0.4, mode=0).beamsplitter(0.3, 0.2, modes=(0, 2))
    circuit.prepare("ket", pair, modes=(2, 0))
    state = jax.jit(lambda: circuit({}, cutoff=(3, 2, 2)))()
    assert state.groups == ((0, 2), (1,))
    lost = np.linalg.norm(
        dense.run(
            [("displacement", (0.4, 0.0), (0,)), ("beamsplitter", (0.3, 0.2), (0, 2))],
            dense.vacuum((3, 2, 2)),
        )
    )
    close(state.ket(), lost * placed([(pair, (2, 0)), ([1, 0], (1,))], (3, 2, 2)))
    # a preparation of several modes also takes the place of factors that were apart
    joined = fj.Circuit(2).prepare("two_mode_squeezed", 0.3, 0.2, modes=(1, 0))
    state = jax.jit(lambda: joined({}, cutoff=(3, 4)))()
    assert state.groups == ((0, 1),)
    close(state.ket(), fj.kets.two_mode_squeezed(0.3, 0.2, cutoff=(3, 4)))


ENTANGLED = {
    "gate": (lambda c: c.beamsplitter(modes=(0, 2)), {}),
    "preparation": (lambda c: c.prepare("two_mode_squeezed", 0.1, modes=(0, 2)), {}),
    "initial": (lambda c: c, {"initial": dense.vacuum((2, 2, 2))}),
    "layers": (lambda c: c.repeat(fj.Circuit(3).beamsplitter(modes=(2, 0)), 3), {}),
}


@pytest.mark.parametrize("how", ENTANGLED)
def test_one_of_several_entangled_modes_is_traced_out(how):
    entangle, options = ENTANGLED[how]
    circuit = entangle(fj.Circuit(3).displace(0.3, 0.2, mode=2).displace(0.2, mode=0))
    before = circuit({}, cutoff=2, **options)
    after = circuit.prepare("fock", n=1, modes=0)({}, cutoff=2, **options)
    assert not after.is_pure
    left = [tuple(sorted({*group} - {0})) for group in before.groups if group != (0,)]
    assert after.groups == ((0,), *sorted(left))
    close(after.reduced((1, 2)), before.reduced((1, 2)), 1e-6)
    close(after.probabilities(0), [0, after.trace], 1e-6)


def test_preparing_again_and_again_keeps_the_kind_of_a_layer():
    inside = fj.Circuit(2).squeeze(0.3, 0.1, mode=0).beamsplitter(0.4, 0.2)
    inside.prepare("coherent", 0.3, 0.5, modes=1)
    repeated = fj.Circuit(2).repeat(inside, 4)
    written = fj.Circuit(2)
    for _ in range(4):
        written.squeeze(0.3, 0.1, mode=0).beamsplitter(0.4, 0.2)
        written.prepare("coherent", 0.3, 0.5, modes=1)
    looped, plain = (circuit({}, cutoff=(4, 3)) for circuit in (repeated, written))
    assert looped.groups == plain.groups == ((0,), (1,))
    assert looped.truncations == plain.truncations
    close(looped.density_matrix(), plain.density_matrix(), 1e-6)


# Layers ------------------------------------------------------------------------------------------


def joint_layer(r, a):
    """All modes prepared in one ket, whatever the layer before has entangled."""
    block = fj.Circuit(3).displace(0.3, 0.2, mode=0)
    block.prepare("ket", dense.random_ket(7, (2, 3, 2)), modes=(1, 0, 2)).squeeze(r, 0.1, mode=2)
    return block.beamsplitter(0.4, a, modes=(1, 2)).kerr(0.2, mode=0).displace(r, mode=1)


def parted_layer(r, a):
    """Two modes that stay in a factor of their own, and one beside them."""
    block = fj.Circuit(3).displace(r, a, mode=1).prepare("two_mode_squeezed", r, a, modes=(2, 0))
    block.rotate(0.3, mode=1).prepare("coherent", r, 0.2, modes=1)
    return block.beamsplitter(0.4, a, modes=(2, 0)).squeeze(0.3, 0.1, mode=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "layer, groups, truncations",
    [(joint_layer, ((0, 1, 2),), 5), (parted_layer, ((0, 2), (1,)), 5)],
)
def test_preparations_in_repeated_layers(x64, layer, groups, truncations):
    """Under scan, as written out one after the other; losses add up, truncations are counted."""
    times, cutoffs = 4, (4, 2, 3)
    repeated = fj.Circuit(3).repeat(layer(fj.Weight("r"), fj.Weight("a")), times)
    written = fj.Circuit(3)
    r, a = np.linspace(0.3, 0.7, times), np.linspace(-1, 2, times)
    for values in zip(r, a, strict=True):
        for step in layer(*values).operations:
            add = written.prepare if step.spec is fj.kets.REGISTRY.get(step.name) else written.add
            add(step.name, **step.parameters, modes=step.modes)

    def run(r):
        state = repeated({"r": r, "a": a}, cutoff=cutoffs)
        return state.norm, state

    one_by_one, slope, scanned, low, high = jax.jit(
        lambda r: (
            written({}, cutoff=cutoffs),
            *jax.grad(run, has_aux=True)(r),
            run(r - 1e-5)[0],
            run(r + 1e-5)[0],
        )
    )(r)
    close(scanned.ket(), one_by_one.ket())
    assert scanned.truncations == one_by_one.truncations == truncations * times
    assert scanned.groups == one_by_one.groups == groups
    assert 0.05 < scanned.leakage < 0.99
    close(np.sum(slope), (high - low) / 2e-5, 1e-8)
    assert "scan" in str(jax.make_jaxpr(run)(r))


def test_layers_that_only_prepare(x64):
    """The kets of the last layer stay; with no weights in it, a layer still runs."""
    block = fj.Circuit(2).prepare("coherent", fj.Weight("r"), 0.3, modes=1)
    block.prepare("fock", n=2, modes=0)
    state = fj.Circuit(2).repeat(block, 4)({"r": np.array([0.1, 0.2, 0.3, 0.4])}, cutoff=(3, 9))
    close(state.ket()[2], fj.kets.coherent(0.4, 0.3, cutoff=9), 1e-8)
    assert state.groups == ((0,), (1,)) and state.truncations == 4
    fixed = fj.Circuit(1).repeat(fj.Circuit(1).prepare("fock", n=1, modes=0), 3)
    np.testing.assert_array_equal(fixed({}, cutoff=2).ket(), [0, 1])


# Parameters --------------------------------------------------------------------------------------


def test_kets_of_weights_and_inputs(x64):
    """Amplitudes may be weights, taken as they are; kets of inputs batch, those of weights do
    not."""
    circuit = fj.Circuit(2)
    circuit.prepare("ket", fj.Weight("re", (2, 3)), fj.Weight("im", (2, 3)), modes=(1, 0))
    ket = dense.random_ket(5, (2, 3))
    weights = {"re": ket.real, "im": ket.imag}

    def photons(weights):
        return circuit(weights, cutoff=(3, 4)).photon_number(0).mean

    def slow(ket):
        return np.sum(abs(ket) ** 2 * np.arange(3))

    value, slope = jax.jit(jax.value_and_grad(photons))(weights)
    close(value, slow(ket))
    close(slope["im"], 2 * ket.imag * np.arange(3))

    by_input = fj.Circuit(2).prepare("coherent", fj.Input(0), fj.Input(1), modes=0)
    by_input.prepare("cat", fj.Weight("a"), 0.2, fj.Input(0), modes=1).beamsplitter(0.3, 0.4)
    x = np.array([[0.1, 0.2], [0.5, -1.0], [0.0, 0.0]])
    run = jax.jit(lambda x: by_input({"a": 0.7}, x, cutoff=(4, 5)).ket())
    close(jax.jit(jax.vmap(run))(x), np.stack([run(row) for row in x]))
    first = placed(
        [
            (fj.kets.coherent(0.5, -1.0, cutoff=4), (0,)),
            (fj.kets.cat(0.7, 0.2, 0.5, cutoff=5), (1,)),
        ],
        (4, 5),
    )
    close(run(x[1]), dense.run([("beamsplitter", (0.3, 0.4), (0, 1))], first))


def test_options_may_be_given_in_order_after_the_parameters():
    circuit = fj.Circuit(1).prepare("fock", 2, modes=0).add("cubic_phase", 0.1, 5, modes=0)
    assert [step.options for step in circuit.operations] == [{"n": 2}, {"padding": 5, "hbar": 2.0}]
    with pytest.raises(ValueError, match=r"takes parameters \('n',\), got 2 values"):
        circuit.prepare("fock", 1, 2, modes=0)
    with pytest.raises(ValueError, match="'n' is unknown or given twice"):
        circuit.prepare("fock", 1, n=2, modes=0)


def test_a_complex_array_is_two_parameters():
    ket = np.array([0.6, 0.8j])
    circuit = fj.Circuit(1).prepare("ket", ket, modes=0)
    assert "prepare ket(real=array(2), imag=array(2)) on mode 0" in repr(circuit)
    close(circuit({}, cutoff=3).ket(), [0.6, 0.8j, 0], 1e-7)
    for given in ([0.6, 0.8j], jnp.asarray(ket)):
        close(fj.Circuit(1).prepare("ket", given, modes=0)({}, cutoff=2).ket(), ket, 1e-7)
    close(fj.Circuit(1).prepare("ket", [0.6, -0.8], modes=0)({}, cutoff=2).ket(), [0.6, -0.8], 1e-7)
    with pytest.raises(TypeError, match="traced by JAX"):
        jax.jit(lambda ket: fj.Circuit(1).prepare("ket", ket, modes=0)({}, cutoff=2))(ket)


def test_gaussian_states_take_the_hbar_of_their_circuit(x64):
    cov, mean = np.diag([0.3, 0.25 / 0.3]), np.array([0.4, 0.1])
    circuit = fj.Circuit(1, hbar=1).prepare("gaussian", cov, mean, modes=0)
    state = jax.jit(lambda: circuit({}, cutoff=30))()
    close(state.quadrature(0), (0.4, 0.3), 1e-8)
    with pytest.raises(ValueError, match="Operation 0 .prepare gaussian.*uncertainty"):
        fj.Circuit(1).prepare("gaussian", cov, mean, modes=0)
    with pytest.raises(ValueError, match="'hbar' is unknown"):
        fj.Circuit(1).prepare("gaussian", cov, mean, hbar=1.0, modes=0)


def test_a_state_normalised_after_the_cut_has_no_error_bound():
    """As Strawberry Fields normalises GKP states; with exact=True the loss shows."""
    shown = fj.Circuit(1).prepare("gkp", exact=True, modes=0)({}, cutoff=5)
    hidden = fj.Circuit(1).prepare("gkp", modes=0)({}, cutoff=5)
    assert shown.leakage > 0.1 and not shown.reflects and np.isfinite(shown.error_bound)
    close(hidden.leakage, 0, 1e-6)
    assert hidden.reflects and np.isinf(hidden.error_bound)


def test_memory_is_checked_before_a_ket_is_made():
    circuit = fj.Circuit(8).prepare("gaussian", np.eye(16), modes=range(8))
    with pytest.raises(ValueError, match="prepare gaussian.*needs modes.*over the limit"):
        circuit({}, cutoff=50)


@needs_oracle
@pytest.mark.slow
def test_strawberry_fields_keeps_the_same_losses(x64):
    """Its register turns mixed where a mode is prepared: compared by probabilities."""
    ket = dense.random_ket(6, (5, 5))
    circuit = fj.Circuit(2).displace(1.2, 0.3, mode=0).prepare("coherent", 0.8, 0.2, modes=0)
    circuit.prepare("squeezed", 0.4, -0.3, modes=1).beamsplitter(0.5, 0.7)
    part_by_part = circuit({}, cutoff=5)
    at_once = circuit.prepare("ket", ket, modes=(1, 0)).beamsplitter(0.2, -0.4)({}, cutoff=5)

    def strawberry_fields(more):
        sf = oracle.load()
        program = sf.Program(2)
        with program.context as q:
            _ = sf.ops.Dgate(1.2, 0.3) | q[0]
            _ = sf.ops.Coherent(0.8, 0.2) | q[0]
            _ = sf.ops.Squeezed(0.4, -0.3) | q[1]
            _ = sf.ops.BSgate(0.5, 0.7) | (q[0], q[1])
            if more:
                _ = sf.ops.Ket(ket) | (q[1], q[0])
                _ = sf.ops.BSgate(0.2, -0.4) | (q[0], q[1])
        state = sf.Engine("fock", backend_options={"cutoff_dim": 5}).run(program).state
        return state.is_pure, state.all_fock_probs().reshape(5, 5)

    pure, probabilities = strawberry_fields(more=False)
    assert not pure
    close(part_by_part.probabilities(), probabilities)
    # where it prepares all modes at once, it forgets what was lost before
    pure, probabilities = strawberry_fields(more=True)
    assert pure and part_by_part.leakage > 0.01
    close(at_once.probabilities() / part_by_part.norm**2, probabilities)
