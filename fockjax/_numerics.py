"""Full-precision helpers of the gate kernels: dtypes, contractions, phases."""

import math
from fractions import Fraction
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

HIGHEST = lax.Precision.HIGHEST  # an accelerator may otherwise contract float32 with 10 bits


def canonical_complex(dtype=None) -> np.dtype:
    """The complex dtype to compute in: None is complex64, or complex128 where x64 is on.

    >>> canonical_complex()
    dtype('complex64')
    """
    widest = jnp.result_type(complex)  # complex128 only where x64 is on
    if dtype is None:
        return widest
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        wanted = None
    if wanted not in (np.complex64, np.complex128):
        raise ValueError(f"Argument `dtype` must be complex64 or complex128, but is {dtype!r}.")
    if wanted == np.complex128 != widest:
        raise ValueError(
            "Argument `dtype` is complex128, but JAX computes in 32 bits here: call "
            'jax.config.update("jax_enable_x64", True) at the start of the program, '
            "or ask for complex64."
        )
    return wanted


def real_dtype(dtype=None) -> np.dtype:
    """The real dtype of `canonical_complex(dtype)`: float32 or float64."""
    return np.finfo(canonical_complex(dtype)).dtype


def checked_hbar(hbar) -> float:
    """hbar as a number: a convention, so known before tracing.

    Raises:
        ValueError, TypeError: if it is not a positive finite number.
    """
    if isinstance(hbar, bool) or not isinstance(hbar, int | float | np.number):
        raise TypeError(f"Argument `hbar` must be a positive number, got {hbar!r}.")
    if not 0 < hbar < math.inf:
        raise ValueError(f"Argument `hbar` must be positive and finite, got {hbar!r}.")
    return float(hbar)


def check_range(name: str, value, low: float, high: float) -> None:
    """Raise ValueError unless a number known before tracing lies in [low, high], the infinities
    left out.
    """
    if not (low <= value <= high and abs(value) < math.inf):
        wanted = f"lie in [{low:g}, {high:g}]" if high < math.inf else f"be finite and >= {low:g}"
        raise ValueError(f"Parameter `{name}` must {wanted}, got {value}.")


def in_range(value, name: str, low: float, high: float, dtype) -> jax.Array:
    """A real scalar that belongs in [low, high], infinities left out: a traced one outside becomes
    NaN.

    Raises:
        ValueError: if it is outside and known.
    """
    if not isinstance(value, Tracer):
        check_range(name, value, low, high)
    value = jnp.asarray(value, dtype)
    return jnp.where((value >= low) & (value <= high) & jnp.isfinite(value), value, jnp.nan)


def phase_factor(phi, n, steps: int | jax.Array = 0):
    """e^{i n phi}, n integers known at trace time, as exact as one cosine and one sine.

    In floating point n * phi loses log2(n phi) bits before the cosine is taken: at float32 all that
    matters for the n^2 of a Kerr gate.  See `cos_sin`.

    Args:
        phi: real scalar, any value (exact reduction within [-2 pi, 2 pi]; beyond, as if phi had
            been rounded once more).
        n: numpy integers of any shape, |n| < 2^24.
        steps: an integer; phi is phi + steps * 2 pi / 256, the steps without rounding.

    Returns:
        complex array of n's shape, of phi's precision.
    """
    return lax.complex(*cos_sin(phi, n, steps))


def cos_sin(phi, n, steps: int | jax.Array = 0):
    """(cos(n phi), sin(n phi)) of a real scalar phi and numpy integers n; steps: `phase_factor`.

    phi is split into j turns of 2 pi / 2^16 and a rest below half of one; n j is taken mod 2^16 in
    integers, which is exact, so that only a quarter turn and n * rest meet rounding.  The
    derivative is stated (d cos(n phi) = -n sin(n phi) dphi), as rounding to j has none.
    """
    # Adding 0 makes a NumPy array under vmap under jit a traced one, which a custom_jvp of JAX 0.10
    # does not.
    return _cos_sin(jnp.asarray(phi) + 0, np.asarray(n), jnp.asarray(steps, jnp.int32))


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _cos_sin(phi, n, steps):
    dtype = phi.dtype
    j = jnp.round(phi * dtype.type(_TURN / (2 * np.pi)))
    rest = phi
    for piece in _unit(dtype):
        rest = rest - j * piece
    j = (j - _TURN * jnp.floor(j / _TURN)).astype(jnp.uint32)  # in [0, 2^16): fits any j
    j = j + steps.astype(jnp.uint32) * np.uint32(_TURN // 256)
    turns = (n % _TURN).astype(np.uint32) * j  # mod 2^32, hence right mod 2^16
    turns = turns + np.uint32(_TURN // 8)  # so that the remainder below is centred
    quarter = (turns >> (_TURN_BITS - 2)) & 3
    turns = (turns & (_TURN // 4 - 1)).astype(jnp.int32) - _TURN // 8
    angle = turns.astype(dtype) * dtype.type(2 * np.pi / _TURN) + n.astype(dtype) * rest
    c, s = jnp.cos(angle), jnp.sin(angle)
    swap = (quarter & 1) == 1
    cosine, sine = jnp.where(swap, s, c), jnp.where(swap, c, s)
    cosine = jnp.where((quarter == 1) | (quarter == 2), -cosine, cosine)
    sine = jnp.where(quarter >= 2, -sine, sine)
    return cosine, sine


@_cos_sin.defjvp
def _cos_sin_jvp(n, primals, tangents):
    (phi, steps), (dphi, _) = primals, tangents
    c, s = _cos_sin(phi, n, steps)
    slope = n.astype(c.dtype) * dphi
    return (c, s), (-s * slope, c * slope)


def wave(phi, frequencies):
    """(cos(f phi), sin(f phi)) of a real scalar phi and real numbers f, known at trace time.

    As `cos_sin`, for f that are no integers: f phi, in turns, is a sum of products of short pieces,
    each of them exact and freed of whole turns before it is added.

    Args:
        phi: real scalar; f phi below about 2^22 (float32: beyond, digits get lost).
        frequencies: numpy float64.

    Returns:
        two arrays of the shape of the frequencies, of phi's precision.
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
    """2 pi / 2^16 as a sum of constants: j times all but the last is exact for |j| <= 2^16."""
    digits = np.finfo(dtype).nmant + 1
    bits = digits - _TURN_BITS - 1
    left = _TWO_PI / _TURN
    pieces = []
    for _ in range(3 if digits == 24 else 1):
        scale = 2 ** (bits - math.frexp(left)[1])
        pieces.append(Fraction(math.floor(left * scale), scale))
        left -= pieces[-1]
    return [dtype.type(float(piece)) for piece in [*pieces, left]]


def safe_sqrt(x):
    """Square root of a non-negative number with derivative 0 instead of infinity at exactly 0; of a
    negative one 0, of nan nan.
    """
    zero = x <= 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, x)))


def powers(x, rest, k):
    """x^k for x = 1 - rest in [0, 1], both given, each as exact as it can be; NaN stays NaN, at k =
    0 too.

    Near 1 the rounding of x itself would show k times.  Elsewhere by repeated squaring, which has
    all derivatives at 0.

    Args:
        x: real scalar.
        rest: real scalar.
        k: numpy integers >= 0 of any shape.
    """
    k = np.asarray(k)
    near = ~(rest >= 0.5)
    by_logarithm = jnp.exp(k.astype(x.dtype) * jnp.log1p(-jnp.where(near, rest, 0)))
    squared, by_squares = jnp.where(near, 0, x), jnp.ones(k.shape, x.dtype)
    for bit in range(int(k.max()).bit_length()):
        by_squares = jnp.where(k >> bit & 1, squared * by_squares, by_squares)
        squared = squared * squared
    return jnp.where(near, by_logarithm, by_squares)


def ratio(a, b):
    """a / b, and 0 where b is not positive; NaN stays NaN."""
    nothing = b <= 0
    return jnp.where(nothing, 0, a / jnp.where(nothing, 1, b))
