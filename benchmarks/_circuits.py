"""The circuits that most benchmarks run, inputs for them, and the loss whose gradient is timed."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fockjax as fj


def uniform(scale: float) -> Callable:
    """An initialiser of weights."""
    return lambda key, shape, dtype: jax.random.uniform(
        key, shape, dtype, minval=-scale, maxval=scale
    )


def encoded(modes: int) -> fj.Circuit:
    """A displacement by the data on each mode."""
    circuit = fj.Circuit(modes)
    for mode in range(modes):
        circuit.displace(fj.Input(mode), mode=mode)
    return circuit


def reference(modes: int, layers: int) -> fj.Circuit:
    """The circuit of `naive.py` on any number of modes; the names of the weights are the same."""
    r, phi = (
        fj.Weight(f"squeeze_{name}", (layers, modes), uniform(scale))
        for name, scale in (("r", 0.2), ("phi", math.pi))
    )
    theta, chi = (
        fj.Weight(f"mix_{name}", (layers, modes - 1), uniform(math.pi)) for name in ("theta", "phi")
    )
    circuit = encoded(modes)
    for layer in range(layers):
        for mode in range(modes):
            circuit.squeeze(r[layer, mode], phi[layer, mode], mode=mode)
        for mode in range(modes - 1):
            circuit.beamsplitter(theta[layer, mode], chi[layer, mode], modes=(mode, mode + 1))
    return circuit


REFERENCE = reference(4, 2)


def inputs(circuit: Any, batch: int) -> jax.Array:
    """Samples for a circuit, or for one in groups."""
    shape = (batch, circuit.num_inputs)
    return jax.random.uniform(jax.random.key(1), shape, minval=-0.5, maxval=0.5)


def quadratures(circuit: Any, cutoff: Any, dtype: Any = None) -> Callable:
    """<x>, <p> of every mode for each sample, as a function of weights and inputs."""

    def forward(weights, x):
        def one(x):
            return fj.nn.quadratures(circuit(weights, x, cutoff=cutoff, dtype=dtype))

        return jax.vmap(one)(x)

    return forward


def squared_error(forward: Callable) -> Callable:
    """The mean squared distance of what is read to a random aim, as a function of the same."""

    def loss(weights, x):
        found = forward(weights, x)
        aim = np.random.default_rng(0).normal(size=found.shape[1:]).astype(found.dtype)
        return jnp.mean(jnp.sum((found - aim) ** 2, -1))

    return loss
