"""Phases with exact range reduction: ``n phi`` is never rounded as a whole."""

import math
from fractions import Fraction
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def phase_factor(phi, n, steps: int | jax.Array = 0):
    """e^{i n phi} for integers n known at trace time, as exact as one cosine and one sine.

    In floating point n * phi loses log2(n phi) bits before the cosine is taken. For the n^2 of a
    Kerr gate in float32 these are all that matter. So phi is split into j steps of 2 pi / 2^16 and
    a rest below half a step. n j is taken mod 2^16 in integers, which is exact, so that only an
    angle within a quarter turn and n * rest are rounded. The derivative is written by hand, since
    rounding to j has none.

    Args:
        phi: real scalar of any value. (The reduction is exact within [-2 pi, 2 pi]; beyond, it is
            as if phi had been rounded once more.)
        n: NumPy integers of any shape, |n| < 2^24.
        steps: an integer: steps * 2 pi / 256 is added to phi without rounding.

    Returns:
        Complex array of n's shape, of phi's precision.
    """
    # Adding 0 makes a NumPy array under vmap under jit a traced one, which a custom_jvp of JAX 0.10
    # does not.
    return _factor(jnp.asarray(phi) + 0, np.asarray(n), jnp.asarray(steps, jnp.int32))


def cos_sin(phi, n, steps: int | jax.Array = 0):
    """(cos(n phi), sin(n phi)): the real and the imaginary part of `phase_factor`."""
    factor = phase_factor(phi, n, steps)
    return factor.real, factor.imag


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _factor(phi, n, steps):
    return _reduced(phi, (n % _TURN).astype(np.uint32), n.astype(phi.dtype), steps)


@jax.jit  # not for speed: so that the operations are traced only once for each shape
def _reduced(phi, modulus, n, steps):
    """`phase_factor`, from n mod 2^16 as integers (``modulus``) and n in phi's dtype."""
    dtype = phi.dtype
    j = jnp.round(phi * dtype.type(_TURN / (2 * np.pi)))
    rest = phi
    for piece in _unit(dtype):
        rest = rest - j * piece
    j = (j - _TURN * jnp.floor(j / _TURN)).astype(jnp.uint32)  # in [0, 2^16): fits any j
    j = j + steps.astype(jnp.uint32) * np.uint32(_TURN // 256)
    turns = modulus * j  # mod 2^32, hence right mod 2^16
    turns = turns + np.uint32(_TURN // 8)  # so that the remainder below is centred
    quarter = (turns >> (_TURN_BITS - 2)) & 3
    turns = (turns & (_TURN // 4 - 1)).astype(jnp.int32) - _TURN // 8
    angle = turns.astype(dtype) * dtype.type(2 * np.pi / _TURN) + n * rest
    c, s = jnp.cos(angle), jnp.sin(angle)
    swap = (quarter & 1) == 1
    cosine, sine = jnp.where(swap, s, c), jnp.where(swap, c, s)
    cosine = jnp.where((quarter == 1) | (quarter == 2), -cosine, cosine)
    sine = jnp.where(quarter >= 2, -sine, sine)
    return lax.complex(cosine, sine)


@_factor.defjvp
def _factor_jvp(n, primals, tangents):
    (phi, steps), (dphi, _) = primals, tangents
    # Without the barrier XLA would compute the factor three times: for its real part, for its
    # imaginary part and for the whole.
    factor = lax.optimization_barrier(_factor(phi, n, steps))
    slope = n.astype(phi.dtype) * dphi
    return factor, lax.complex(-factor.imag * slope, factor.real * slope)


def wave(phi, frequencies):
    """(cos(f phi), sin(f phi)) of a real scalar phi and real frequencies f known at trace time.

    It is like `phase_factor` for f that are not integers. Measured in turns, f phi is a sum of
    products of short pieces. Each product is exact, and its whole turns are dropped before it is
    added.

    Args:
        phi: real scalar; f phi up to about 2^22 (beyond, float32 loses digits).
        frequencies: NumPy float64.

    Returns:
        Two arrays of the shape of the frequencies, of phi's precision.
    """
    phi = jnp.asarray(phi)
    left = np.asarray(frequencies, np.float64) / (2 * np.pi)
    bits = (np.finfo(phi.dtype).nmant + 1) // 2
    pieces = []
    for _ in range(2):
        mantissa, exponent = np.frexp(left)
        pieces.append(np.ldexp(np.round(np.ldexp(mantissa, bits)), exponent - bits))
        left = left - pieces[-1]
    return _wave(
        phi, np.asarray(frequencies, phi.dtype), np.stack([*pieces, left]).astype(phi.dtype)
    )


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _wave(phi, frequencies, pieces):
    info = np.finfo(phi.dtype)
    bits = (info.nmant + 1) // 2
    high = lax.reduce_precision(phi, info.iexp, bits - 1)
    turns = jnp.zeros(frequencies.shape, phi.dtype)
    for part in (high, phi - high):
        for piece in pieces:
            turns = _fraction(turns + _fraction(part * piece))
    angle = turns * phi.dtype.type(2 * np.pi)
    return jnp.cos(angle), jnp.sin(angle)


def _fraction(x):
    return x - jnp.round(x)


@_wave.defjvp
def _wave_jvp(frequencies, pieces, primals, tangents):
    (phi,), (dphi,) = primals, tangents
    c, s = _wave(phi, frequencies, pieces)
    slope = frequencies * dphi
    return (c, s), (-s * slope, c * slope)


_TURN_BITS = 16
_TURN = 1 << _TURN_BITS
_TWO_PI = Fraction("6.283185307179586476925286766559005768394338798750")


@lru_cache
def _unit(dtype):
    """2 pi / 2^16 as a sum of constants. For |j| <= 2^16, j times each but the last is exact."""
    digits = np.finfo(dtype).nmant + 1
    bits = digits - _TURN_BITS - 1
    left = _TWO_PI / _TURN
    pieces = []
    for _ in range(3 if digits == 24 else 1):
        scale = 2 ** (bits - math.frexp(left)[1])
        pieces.append(Fraction(math.floor(left * scale), scale))
        left -= pieces[-1]
    return [dtype.type(float(piece)) for piece in [*pieces, left]]
