"""Circuits on several devices: JAX knows what varies over them, and sums gradients by it."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P

import fockjax as fj
from fockjax._linear import contract

DEVICES = jax.local_device_count()  # 1; or 2, by the last test
MESH = Mesh(np.array(jax.devices()), ("rows",))
X = jnp.array([[0.1], [0.5], [-0.3], [0.8]])
WEIGHTS = {"r": jnp.float32(0.3)}


def coupled(circuit):
    circuit.displace(fj.Input(0), mode=0).squeeze(fj.Weight("r"), mode=1)
    return circuit.beamsplitter(0.4, 0.1)


CIRCUITS = {
    "gates": coupled(fj.Circuit(2)),
    "noise": coupled(fj.Circuit(2)).loss(0.8, mode=1),
    # The layers prepare a mode that the input never reached, and one that it left.
    "layers": fj.Circuit(3).repeat(
        coupled(fj.Circuit(3)).prepare("coherent", 0.2, modes=2).prepare("vacuum", modes=0), 3
    ),
    "selection": coupled(fj.Circuit(2)).measure_photons(modes=0, select=0),
}
CUTOFFS = {"box": 4, "total": fj.TotalPhotons(4)}
CASES = [
    (name, kept) for name in CIRCUITS for kept in CUTOFFS if (name, kept) != ("layers", "total")
]


def loss_of(name, kept):
    circuit = CIRCUITS[name]
    weights = circuit.init(jax.random.key(0))

    def one(weights, x):
        return circuit(weights, x, cutoff=CUTOFFS[kept]).photon_number(1).variance

    return weights, lambda weights, x: jnp.sum(jax.vmap(one, (None, 0))(weights, x))


def on_each(function, out):
    """A function of what all devices have and of rows, on the rows of each."""
    return jax.shard_map(function, mesh=MESH, in_specs=(P(), P("rows")), out_specs=out)


@pytest.mark.parametrize(("name", "kept"), CASES)
def test_gradients_are_summed_over_devices(name, kept):
    weights, loss = loss_of(name, kept)
    gradient = on_each(jax.grad(loss), P())
    assert "psum" in str(jax.make_jaxpr(gradient)(weights, X))
    if DEVICES > 1:
        for found, expected in zip(
            jax.tree.leaves(jax.jit(gradient)(weights, X)),
            jax.tree.leaves(jax.jit(jax.grad(loss))(weights, X)),
            strict=True,
        ):
            for shard in found.addressable_shards:
                np.testing.assert_allclose(shard.data, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "kept"), CASES)
def test_what_varies_is_not_taken_for_the_same_on_all_devices(name, kept):
    weights, loss = loss_of(name, kept)
    with pytest.raises(ValueError, match="replication"):
        jax.eval_shape(on_each(loss, P()), weights, X)
    jax.eval_shape(on_each(lambda weights, x: loss(weights, x)[None], P("rows")), weights, X)


def test_parameters_may_vary():
    """Also of operations that are made in a loop."""
    circuit = fj.Circuit(2).prepare("fock", 1, modes=0).prepare("fock", 1, modes=1)
    circuit.add("passive", fj.Weight("A", (2, 2)), modes=(0, 1))
    circuit.add("kraus", fj.Weight("K", (1, 3, 3)), modes=0)

    def read(angle):
        A = angle * jnp.array([[0.1, 0.4], [0.3, -0.2]])
        K = jnp.eye(3)[None] * jnp.cos(angle)
        return circuit({"A": A, "K": K}, cutoff=3).probability((1, 1))

    def both(x):
        return jax.vmap(jax.value_and_grad(read))(x[:, 0])

    each = jax.shard_map(both, mesh=MESH, in_specs=P("rows"), out_specs=P("rows"))
    for found, expected in zip(jax.jit(each)(X), jax.jit(both)(X), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_each_device_may_average_over_runs_of_its_own():
    circuit = fj.Circuit(1).displace(fj.Weight("r"), mode=0).loss(0.5, mode=0)

    def mean(weights, keys):
        def run(key):
            return circuit(weights, cutoff=4, key=key, unravel=True)

        return fj.monte_carlo(
            run, lambda state: state.photon_number(0).mean, keys[0], 6, batch_size=3
        )

    keys = jax.random.split(jax.random.key(0), DEVICES)
    alone = jax.jit(jax.value_and_grad(lambda w, k: mean(w, k).mean))
    together = on_each(lambda w, k: jax.lax.pmean(mean(w, k).mean, "rows"), P())
    found = jax.jit(jax.value_and_grad(together))(WEIGHTS, keys)
    apart = [alone(WEIGHTS, keys[k : k + 1]) for k in range(DEVICES)]
    for one, *others in zip(*map(jax.tree.leaves, (found, *apart)), strict=True):
        np.testing.assert_allclose(one, np.mean(others), rtol=1e-5)


@pytest.mark.parametrize("name", ["gates", "layers"])
def test_the_axes_of_a_mesh_may_be_explicit(name):
    weights, loss = loss_of(name, "box")
    gradient = jax.jit(jax.grad(loss))
    expected = gradient(weights, X)
    with jax.set_mesh(jax.make_mesh((DEVICES,), ("rows",), (AxisType.Explicit,))):
        found = gradient(weights, jax.device_put(X, P("rows")))
    np.testing.assert_allclose(found["r"], expected["r"], rtol=1e-4, atol=1e-5)


def test_a_sum_in_a_loop_may_vary():
    x, y = jnp.ones((16, 20, 64)), jnp.ones((8, 20, 64))
    program = jax.jit(on_each(lambda y, x: contract(x, y, "ajn,bjn->ab"), P("rows")))
    np.testing.assert_allclose(program(y, jnp.tile(x, (DEVICES, 1, 1))), 20 * 64)


SOME = ["-k", "layers-box or gates-total or loop or holds"]


@pytest.mark.skipif(DEVICES > 1, reason="it is what runs now")
@pytest.mark.parametrize(
    "those", [pytest.param(SOME, id="some"), pytest.param([], id="all", marks=pytest.mark.slow)]
)
def test_all_of_this_holds_on_two_devices(those):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, *those]
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "2", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert done.returncode == 0, done.stdout
    assert "2 skipped" in done.stdout  # this test: there were two devices indeed
