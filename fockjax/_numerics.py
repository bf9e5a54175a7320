"""Dtypes, checks of numbers, and arithmetic that stays exact and differentiable at its edges."""

import math

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


def is_integer(value, least: int = 1) -> bool:
    """Whether it is an integer known before tracing, not below the least; booleans are none."""
    integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return integer and bool(value >= least)


def checked_integer(value, what: str, least: int = 1) -> int:
    """A Python integer from what `is_integer`.

    Raises:
        ValueError: naming ``what`` it is, if it is none.
    """
    if not is_integer(value, least):
        raise ValueError(f"{what} must be an integer >= {least}, got {value!r}.")
    return int(value)


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


def safe_sqrt(x):
    """Square root of a non-negative number with derivative 0 instead of infinity at exactly 0; of a
    negative one 0, of nan nan.
    """
    zero = x <= 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, x)))


def resized(x, shape: tuple[int, ...]) -> jax.Array:
    """An array cut to a shape, or with zeros behind, axis by axis."""
    more = [(0, wanted - size, 0) for wanted, size in zip(shape, x.shape, strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), more)


def shifted(x, by: int, axis: int) -> jax.Array:
    """``x[n - by]`` along an axis, zero where there is none."""
    shift = [(by, -by, 0) if k == axis else (0, 0, 0) for k in range(x.ndim)]
    return lax.pad(x, jnp.zeros((), x.dtype), shift)


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


BLOCK = 16  # of a geometric progression: powers within it do not leave the range of float32


def geometric(first, ratio, factors: np.ndarray):
    """``first * ratio^k * prod(factors[:k])`` for k = 0 .. len(factors): the running products of
    the ratios ``ratio * factors``, without a loop, so that it is one kernel and so is its gradient.

    Args:
        first: real or complex scalar.
        ratio: likewise, of the same dtype.
        factors: real numbers, known at trace time.
    """
    size = len(factors) + 1
    padded = np.ones(-(-size // BLOCK) * BLOCK)
    padded[1:size] = factors
    blocks = padded.reshape(-1, BLOCK)
    within = np.column_stack([np.ones(len(blocks)), blocks[:, 1:]]).cumprod(1)
    onwards = within[:-1, -1] * blocks[1:, 0]  # from the start of a block to that of the next
    n = np.arange(min(size, BLOCK))
    power, raised = ratio, jnp.ones(n.shape, ratio.dtype)
    for bit in range(BLOCK.bit_length() - 1):
        raised = jnp.where(n >> bit & 1, power * raised, raised)
        power = power * power
    starts = [first]
    for factor in onwards.astype(ratio.dtype):  # in this order, which keeps them in range
        starts.append(starts[-1] * (factor * power))
    within = within[:, : len(n)].astype(ratio.dtype)
    rows = jnp.stack(starts)[:, None] * (within * raised[None])
    return rows.reshape(-1)[:size]


def ratio(a, b):
    """a / b, and 0 where b is not positive; NaN stays NaN."""
    nothing = b <= 0
    return jnp.where(nothing, 0, a / jnp.where(nothing, 1, b))
