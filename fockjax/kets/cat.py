"""Cat states."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._linear import contract
from fockjax._numerics import real_dtype
from fockjax._spec import Spec
from fockjax.gates.displacement import first_column
from fockjax.kets.phases import turned


def cat(a, phi: Any = 0.0, p: Any = 0.0, *, cutoff: int, dtype=None) -> jax.Array:
    """The cat state ``(|alpha> + e^{i pi p} |-alpha>) / N``, ``alpha = a e^{i phi}``, shape
    ``(cutoff,)``.

    Normalised by ``N = sqrt(2 (1 + cos(pi p) e^{-2 a^2}))`` before the cut; what lies over the
    cutoff is lost. With p = 0 even, with p = 1 odd; at a = 0 the odd cat is its limit from a > 0,
    ``e^{i phi} |1>``. Global phase: that of the formula, as in Strawberry Fields.

    Args:
        a: modulus of the amplitudes, a real scalar; |a| <= 10 is tested (complex64 underflows from
            13).
        phi: their phase in radians.
        p: the relative phase in units of pi.
        cutoff: photon numbers below it are kept.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> print(np.asarray(fj.kets.cat(1.0, p=1, cutoff=4)).real.round(3))
        [0.    0.922 0.    0.377]

    Reference:
        V. V. Dodonov, I. A. Malkin and V. I. Man'ko, Physica 72, 597 (1974).
    """
    real = real_dtype(dtype)
    a, p = jnp.asarray(a, real), jnp.asarray(p, real)
    cos, sin = _half_turns(p / 2)  # cosine and sine of half the relative phase, h below
    # |alpha> + e^{2 i h} |-alpha> is 2 e^{i h} (cos h |alpha>_even - i sin h |alpha>_odd), and
    # (N/2)^2 is cos^2 (1 + e^{-2 a^2})/2 + sin^2 (1 - e^{-2 a^2})/2. The factor a^2 of the second
    # term is kept apart, so that where cos is 0 an a cancels.
    square = a * a
    odd_weight = sin * sin * _odd_weight(square)
    norm_squared = cos * cos * (1 + jnp.exp(-2 * square)) / 2 + square * odd_weight
    vanishes = norm_squared == 0  # the odd cat at a = 0
    norm = jnp.sqrt(jnp.where(vanishes, 1, norm_squared))
    even = jnp.where(vanishes, 0, cos / norm)
    limit = jnp.where(a < 0, -1, 1) * lax.rsqrt(jnp.where(vanishes, odd_weight, 1))
    odd = sin * jnp.where(vanishes, limit, a / norm)

    column = first_column(a, cutoff)
    n = np.arange(cutoff)
    lower = jnp.concatenate([jnp.zeros_like(column[:1]), column[:-1]])  # column[n] sqrt(n) / a
    of_even = (n % 2 == 0).astype(real)
    of_odd = np.where(n % 2, 1 / np.sqrt(np.maximum(n, 1)), 0).astype(real)
    ket = lax.complex(
        even * contract(of_even, column, "n,n->n"), -odd * contract(of_odd, lower, "n,n->n")
    )
    return turned(lax.complex(cos, sin) * ket, phi)


def _half_turns(x):
    """cos(pi x) and sin(pi x), the cosine exactly 0 where it should be."""
    x = x - 2 * jnp.round(x / 2)
    inner = abs(x) < 0.25
    # Each branch is smooth where it is taken.
    cos = jnp.where(inner, jnp.cos(math.pi * x), jnp.sin(math.pi * (0.5 - abs(x))))
    return cos, jnp.sin(math.pi * x)


def _odd_weight(y):
    """(1 - e^{-2 y}) / (2 y) = e^{-y} sinh(y) / y for y >= 0, also at 0 and with derivatives."""
    small = y < 1
    inner, outer = jnp.where(small, y, 0), jnp.where(small, 1, y)
    series = jnp.polyval(np.array(_SINHC, y.dtype), inner * inner)
    return jnp.where(small, jnp.exp(-inner) * series, -jnp.expm1(-2 * outer) / (2 * outer))


# Coefficients of the series of sinh(y) / y in y^2, enough terms for y < 1.
_SINHC = [1 / math.factorial(2 * k + 1) for k in range(9, -1, -1)]

SPEC = Spec("cat", ("a", "phi", "p"), 1, cat, defaults={"phi": 0.0, "p": 0.0})
