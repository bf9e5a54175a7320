"""Drawing: random numbers that resolve what is rare, and the derivatives of what was drawn."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._numerics import ratio


def check_key(key) -> None:
    """Refuse what is no single JAX random key."""
    array = isinstance(key, jax.Array)
    typed = array and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    raw = array and key.dtype == np.uint32 and key.ndim == 1
    if not raw and not (typed and not key.ndim):
        got = f"an array of shape {key.shape}" if array else repr(key)
        raise ValueError(
            f"Argument `key` must be one JAX random key, as jax.random.key(0), got {got}; of "
            "several, batch with jax.vmap."
        )


def uniform(key: jax.Array, dtype) -> jax.Array:
    """A number strictly between 0 and 1 with all its digits random also near 0, down to 2^-65.

    `jax.random.uniform` has steps of 2^-23 in single precision: nothing rarer would ever be drawn.
    """
    high, low = jax.random.bits(key, (2,), "uint32").astype(dtype)
    one_less = 1 - np.finfo(dtype).epsneg
    return jnp.minimum((high + (low + 0.5) * 2.0**-32) * 2.0**-32, one_less)


def tails(probabilities: jax.Array) -> jax.Array:
    """``sum_{m >= n} probabilities[.., m]``, for `photon_number`.

    Summed from the end: high photon numbers, the rare ones as a rule, keep their relative accuracy.
    """
    return jnp.cumsum(jnp.maximum(probabilities, 0)[..., ::-1], -1)[..., ::-1]


def photon_number(key: jax.Array, tails: jax.Array) -> jax.Array:
    """A number n drawn with the probabilities whose `tails` these are, shape (cutoff,).

    They may have any sum; -1 where it is not a positive number.
    """
    drawn = jnp.sum(uniform(key, tails.dtype) * tails[0] < tails[1:], dtype=jnp.int32)
    return jnp.where(tails[0] > 0, drawn, -1)


def index(key: jax.Array, chances: jax.Array) -> jax.Array:
    """An index, drawn with probabilities in proportion to ``chances``, which may have any sum."""
    return jax.random.categorical(key, jnp.log(lax.stop_gradient(chances)))


def unit(probability: jax.Array) -> jax.Array:
    """1, with the derivative of the logarithm of the probability of what was drawn.

    The mean of ``unit(p) f`` over what is drawn has the derivative of the mean of f: the score
    function estimator.
    """
    drawn = lax.stop_gradient(probability)
    return 1 + ratio(probability - drawn, drawn)
