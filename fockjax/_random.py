"""Drawing: random numbers that resolve what is rare, and the derivatives of what was drawn."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._numerics import ratio


def uniform(key: jax.Array, dtype) -> jax.Array:
    """A number strictly between 0 and 1, whose digits are all random even near 0, down to 2^-65.

    `jax.random.uniform` has steps of 2^-23 in single precision: nothing rarer would ever be drawn.
    """
    high, low = jax.random.bits(key, (2,), "uint32").astype(dtype)
    one_less = 1 - np.finfo(dtype).epsneg
    return jnp.minimum((high + (low + 0.5) * 2.0**-32) * 2.0**-32, one_less)


def tails(probabilities: jax.Array) -> jax.Array:
    """``sum_{m >= n} probabilities[.., m]`` for each n, as `draw_photon_number` takes them.

    They are summed from the end, so that high photon numbers, which are usually the rare ones, keep
    their relative accuracy.
    """
    return jnp.cumsum(jnp.maximum(probabilities, 0)[..., ::-1], -1)[..., ::-1]


def draw_photon_number(key: jax.Array, tails: jax.Array) -> jax.Array:
    """A photon number drawn from probabilities that are given by their `tails`, shape (cutoff,).

    The probabilities may have any sum; the result is -1 where the sum is not a positive number.
    """
    drawn = jnp.sum(uniform(key, tails.dtype) * tails[0] < tails[1:], dtype=jnp.int32)
    return jnp.where(tails[0] > 0, drawn, -1)


def draw_poisson(key: jax.Array, mean: jax.Array) -> jax.Array:
    """A number drawn from the Poisson distribution, int32, with keys of any generator.

    `jax.random.poisson` takes those of threefry only.
    """
    if jax.random.key_impl(key) != "threefry2x32":
        key = jax.random.wrap_key_data(jax.random.bits(key, (2,), "uint32"), impl="threefry2x32")
    return jax.random.poisson(key, mean, dtype=jnp.int32)


def draw_index(key: jax.Array, chances: jax.Array) -> jax.Array:
    """An index, drawn with probabilities in proportion to ``chances``, which may have any sum."""
    return jax.random.categorical(key, jnp.log(lax.stop_gradient(chances)))


def score_weight(probability: jax.Array) -> jax.Array:
    """The number 1, with the derivative of log(probability), the probability of what was drawn.

    The mean of ``score_weight(p) * f`` over many draws has the derivative of the mean of f: this is
    the score function estimator.
    """
    drawn = lax.stop_gradient(probability)
    return 1 + ratio(probability - drawn, drawn)
