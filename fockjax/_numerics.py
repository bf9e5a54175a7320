"""Dtypes, and arithmetic that stays exact and differentiable at its edges."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

HIGHEST = lax.Precision.HIGHEST  # an accelerator may otherwise contract float32 with 10 bits


def canonical_complex(dtype=None) -> np.dtype:
    """The complex dtype to compute in: None is complex64, or complex128 where x64 is on.

    Example:
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


def is_number(value, number: float) -> bool:
    """Whether a parameter is a Python number of this value, known before tracing. What it stands
    for, such as a phase of 0 that would make a gate complex, can then be left out.
    """
    return isinstance(value, int | float) and value == number


def safe_sqrt(x):
    """The square root, with derivative 0 instead of infinity at exactly 0. It is 0 for negative
    numbers; NaN stays NaN.
    """
    zero = x <= 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, x)))


def resized(x, shape: tuple[int, ...]) -> jax.Array:
    """An array brought to a shape: axis by axis, its end is cut off or zeros are appended."""
    more = [(0, wanted - size, 0) for wanted, size in zip(shape, x.shape, strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), more)


def shifted(x, by: int, axis: int) -> jax.Array:
    """``x[n - by]`` along an axis, zero where there is none."""
    shift = [(by, -by, 0) if k == axis else (0, 0, 0) for k in range(x.ndim)]
    return lax.pad(x, jnp.zeros((), x.dtype), shift)


def powers(x, rest, k):
    """x^k for x = 1 - rest in [0, 1]. NaN stays NaN, also at k = 0.

    Near 1 it is exp(k log1p(-rest)), since the rounding of x itself would show k times. Elsewhere
    it is found by repeated squaring, which has all derivatives at x = 0.

    Args:
        x: real scalar, as exact as it can be.
        rest: 1 - x, likewise.
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


BLOCK = 16  # terms of a geometric progression whose powers stay within the range of float32


def geometric(first, ratio, factors: np.ndarray):
    """``first * ratio^k * prod(factors[:k])`` for k = 0 .. len(factors).

    These running products of ``ratio * factors`` are made without a loop, so that they are one
    kernel, and so is their gradient.

    Args:
        first: real or complex scalar.
        ratio: scalar of the same dtype.
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
    for factor in onwards.astype(ratio.dtype):  # multiplied in this order, they stay in range
        starts.append(starts[-1] * (factor * power))
    within = within[:, : len(n)].astype(ratio.dtype)
    rows = jnp.stack(starts)[:, None] * (within * raised[None])
    return rows.reshape(-1)[:size]


def ratio(a, b):
    """a / b, and 0 where b is not positive; NaN stays NaN."""
    nothing = b <= 0
    return jnp.where(nothing, 0, a / jnp.where(nothing, 1, b))


def pick(tree, index):
    """``leaf[index]`` for every array of a pytree."""
    return jax.tree.map(lambda leaf: leaf[index], tree)
