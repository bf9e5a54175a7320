"""The stable recurrence along the diagonals of displacement and squeezing matrices.

Both gates have a real core R with R[n, m] = +-R[m, n]. On each diagonal k = m - n >= 0 the elements
x_n = R[n + k, n] are normalised orthogonal polynomials of degree n (Laguerre for D: Cahill &
Glauber, Phys. Rev. 177, 1857 (1969), appendix B; Gegenbauer for S), which obey a three-term
recurrence in n (DLMF 18.9). Reinsch's device splits off the solution at the identity and leaves a
correction f_n, in which the small parameter delta stands by itself:

    f_{n+1} = (n f_n - delta w_n x_n) / sqrt((n + 1)(n + 1 + k)),      f_0 = 0
    x_{n+1} = sqrt((n + 1 + k) / (n + 1)) x_n + f_{n+1}

with delta = r^2, w_n = 1 for D and delta = 1 - sech r, w_n = 2 n + 1 + k for S. On every diagonal
the forward direction is stable. Along rows and columns, where the usual two-term recurrences run,
it is not.

An error of delta moves R by as much as an error of r does, and the slope of R at cutoff D by up to
D times as much. So delta comes in two parts, a coarse one that is exact and the rest.
"""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


# Else the scan compiles at each call outside jit.
@partial(jax.jit, static_argnames=("weight", "cutoff", "step"))
def matrix(column, delta, weight, cutoff, step):
    """The real core R, (cutoff, cutoff), from its first column.

    Args:
        column: R[0::step, 0], the elements that need not vanish.
        delta: (exact coarse part, rest), real scalars.
        weight: (n, k) -> w_n of the diagonal k, in NumPy.
        step: 1 or 2; R[n, m] = (-1)^(k / step) R[m, n], and zero where step does not divide k.
    """

    def advance(carry, coefficients):
        x, f = carry
        keep, correct, grow = coefficients
        f = keep * f - correct * (delta[0] * x + delta[1] * x)
        x = grow * x + f
        return (x, f), x

    tables = _coefficients(weight, cutoff, step, column.dtype)
    _, rest = lax.scan(advance, (column, column), tables)  # f_0 = 0, whatever stands there
    diagonals = jnp.concatenate([column[None], rest])  # [n, k / step]
    return _square(diagonals, step)


@lru_cache(maxsize=64)
def _coefficients(weight, cutoff, step, dtype):
    k = np.arange(0, cutoff, step)
    n = np.arange(cutoff - 1)[:, None]
    root = np.sqrt((n + 1.0) * (n + 1 + k))
    tables = n / root, weight(n, k) / root, np.sqrt((n + 1 + k) / (n + 1.0))
    return tuple(table.astype(dtype) for table in tables)


def _square(diagonals, step):
    """R from its diagonals [n, k / step], without a gather, whose transpose would be a slow
    scatter: rows padded to length D + 1 and read again as rows of length D move right by n.
    """
    cutoff, offsets = diagonals.shape
    right = cutoff - step * (offsets - 1)
    zero = jnp.zeros((), diagonals.dtype)
    padded = lax.pad(diagonals, zero, ((0, 0, 0), (0, right, step - 1)))  # (D, D + 1)
    upper = padded.reshape(-1)[: cutoff**2].reshape(cutoff, cutoff)
    i = np.arange(cutoff)
    sign = (1 - 2 * ((i - i[:, None]) // step % 2)).astype(diagonals.dtype)
    return jnp.where(np.tri(cutoff, dtype=bool), upper.T, sign * upper)
