"""What the peers on JAX have in common: one sample is batched, differentiated and compiled."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from circuits import Workload


class JaxPeer:
    """See `worker.Peer`.

    Args:
        workload: it says in which precision.
        one: from the weights and one sample to its readouts.
    """

    samples = None
    operations = ("forward", "gradient")
    array = staticmethod(jnp.asarray)

    def __init__(self, workload: Workload, one: Callable):
        jax.config.update("jax_enable_x64", workload.double)

        def forward(weights, inputs):
            return jax.vmap(one, in_axes=(None, 0))(weights, inputs)

        def loss(weights, inputs, targets):
            return jnp.mean(jnp.sum((forward(weights, inputs) - targets) ** 2, -1))

        self._forward, self._gradient = jax.jit(forward), jax.jit(jax.value_and_grad(loss))

    def forward(self, weights, inputs):
        return jax.block_until_ready(self._forward(weights, inputs))

    def gradient(self, weights, inputs, targets):
        return jax.block_until_ready(self._gradient(weights, inputs, targets))
