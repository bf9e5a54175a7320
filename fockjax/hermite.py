"""Hermite functions: the wave functions of the Fock states."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_GROWTH = 60.0  # values below e^60 stay within float32 in the next step
_FAR = 1e4  # where all Hermite functions of practical orders are zero to any precision


@partial(jax.jit, static_argnames="count")  # else the scan compiles at each call outside jit
def hermite_functions(q: jax.Array, count: int) -> jax.Array:
    """``h_n(q) = H_n(q) e^{-q^2/2} / sqrt(2^n n! sqrt(pi))`` for ``n < count``.

    They are normalised on the real line; ``h_n(x / sqrt(hbar)) / hbar^(1/4)`` is ``<x|n>``. The
    three-term recurrence in n is stable in the forward direction. Its start ``e^{-q^2/2}``
    underflows long before the functions do (in float32 at |q| = 13, where h_100 is largest), so
    the exponent is carried separately.

    Args:
        q: real array of one axis.
        count: how many functions, at least 1.

    Returns:
        Array of shape ``(count, len(q))``.

    Reference:
        NIST DLMF 18.9.1, table 18.9.1, for the normalised functions.
    """
    q = jnp.clip(q, -_FAR, _FAR)
    n = np.arange(count)
    steps = np.sqrt(2 / (n + 1)).astype(q.dtype), np.sqrt(n / (n + 1)).astype(q.dtype)

    def advance(carry, step):
        lower, here, exponent = carry
        value = here * jnp.exp(exponent)
        above = step[0] * q * here - step[1] * lower
        large = jnp.abs(above) > math.exp(_GROWTH)
        shrink = jnp.where(large, math.exp(-_GROWTH), 1).astype(q.dtype)
        exponent = exponent + jnp.where(large, _GROWTH, 0).astype(q.dtype)
        return (here * shrink, above * shrink, exponent), value

    coarse = jnp.round(64 * q) / 64  # its square is exact in float32 wherever that matters
    below = math.pi**-0.25 * jnp.exp((coarse - q) * (coarse + q) / 2)
    start = jnp.zeros_like(q), below, -(coarse**2) / 2
    _, values = lax.scan(advance, start, steps)
    return values


def hermite_table(q: np.ndarray, count: int) -> np.ndarray:
    """`hermite_functions` at points known before tracing, by NumPy in double precision."""
    h = np.zeros((count + 1, len(q)))
    h[0] = math.pi**-0.25
    exponent = -(q**2) / 2
    for n in range(count):
        h[n + 1] = np.sqrt(2 / (n + 1)) * q * h[n] - np.sqrt(n / (n + 1)) * h[n - 1]
        large = abs(h[n + 1]) > math.exp(_GROWTH)
        h[:, large] *= math.exp(-_GROWTH)
        exponent[large] += _GROWTH
    return h[:count] * np.exp(exponent)
