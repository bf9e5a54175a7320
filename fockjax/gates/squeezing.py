"""Squeezing S(z) = exp((z* a^2 - z a^dagger^2) / 2)."""

from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from fockjax._bands import Band, Slope
from fockjax._numerics import geometric, is_number, real_dtype
from fockjax._spec import Spec
from fockjax.gates import _recurrence
from fockjax.gates._cores import real_matrix, turned
from fockjax.operators import Matrix, Operator, Parity


def real_core(r, cutoff):
    """S(r) for real r (of either sign), a real (cutoff, cutoff) array of r's dtype.

    S(r e^{i phi})[m, n] = e^{i phi (m - n)/2} S(r)[m, n], which is zero for odd m - n. Along a
    diagonal S(r)[m, n] is a Gegenbauer polynomial in sech r; for the recurrence see `_recurrence`.
    """
    r = jnp.asarray(r)
    _, delta = sech(r)
    return _recurrence.matrix(first_column(r, cutoff), delta, _weight, cutoff, step=2)


def _slope(r):
    """dS/dr = -((1 - s^2/2) a^dagger^2 + t (n + 1/2)) S + S a^2 s^2/2 with s = sech r, t = tanh r,
    from S = e^{-t a^dagger^2/2} s^{n + 1/2} e^{t a^2/2}.
    """
    half = sech(r)[0] ** 2 / 2
    left = Band(2, _up_twice, half - 1), Band(0, _half_counts, -jnp.tanh(r))
    return Slope(left, (Band(-2, _down_twice, half),))


def _up_twice(cutoff):
    n = np.arange(cutoff)
    return np.sqrt(n * np.maximum(n - 1, 0))


def _half_counts(cutoff):
    return np.arange(cutoff) + 0.5


def _down_twice(cutoff):
    n = np.arange(cutoff)
    return np.sqrt((n + 1) * (n + 2))


def first_column(r, cutoff):
    """<2 i| S(r) |0> for 2 i below the cutoff: the amplitudes of squeezed vacuum that do not
    vanish.
    """
    i = np.arange(1, (cutoff + 1) // 2)
    return geometric(jnp.sqrt(sech(r)[0]), -jnp.tanh(r), np.sqrt((2 * i - 1) / (2 * i)))


def _weight(n, k):
    return 2 * n + 1 + k


_STEP, _TOP = 1 / 16, 256  # the table reaches to |r| = 16; beyond, sech r is 0 to 7 digits


def sech(r):
    """sech r, and 1 - sech r as a coarse part, exact in r's dtype, and the rest.

    From r = r1 + rest, r1 in a table: sech r = sech r1 / (1 + e) with
    e = cosh rest - 1 + tanh r1 sinh rest, of which only the small e is rounded.
    """
    j = jnp.clip(jnp.round(r / _STEP), -_TOP, _TOP)
    rest = r - j * _STEP
    coarse, tail, sech1, tanh1 = jnp.asarray(_table(r.dtype))[:, j.astype(jnp.int32) + _TOP]
    e = 2 * _sinh(rest / 2) ** 2 + tanh1 * _sinh(rest)
    return sech1 / (1 + e), (coarse, tail + sech1 * (e / (1 + e)))


def _sinh(x):
    """sinh x for |x| <= 1/32 by its series. XLA's own uses exponentials, in several kernels."""
    square = x * x
    total = 1.0
    for k in (4, 3, 2, 1):
        total = 1 + square * total / (2 * k * (2 * k + 1))
    return x * total


@lru_cache
def _table(dtype):
    """1 - sech r1 in two parts, sech r1, tanh r1."""
    rows = []
    with localcontext(prec=50):
        for j in range(-_TOP, _TOP + 1):
            u = (Decimal(j) * Decimal(_STEP)).exp()
            sech, tanh = 2 / (u + 1 / u), (u - 1 / u) / (u + 1 / u)
            coarse = dtype.type(1 - sech)
            rows.append((coarse, 1 - sech - Decimal(float(coarse)), sech, tanh))
    return np.array(rows, dtype).T


def squeezing(r, phi: Any = 0.0, *, cutoff: int, dtype=None) -> Operator:
    """Squeezing ``S(z) = exp((z^* a^2 - z a^dagger^2) / 2)`` with ``z = r e^{i phi}``.

    Its elements are those of the infinite operator, cut to the photon numbers below the cutoff.

    Args:
        r: modulus of the squeezing parameter, a real scalar; |r| <= 3 is tested.
        phi: phase in radians.
        cutoff: photon numbers below it are kept.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        An `Operator` on one mode; real if ``phi`` is the number 0.

    Example:
        >>> import fockjax as fj
        >>> print(fj.gates.squeezing(0.5, cutoff=4).to_dense().round(3)[:, 0])
        [ 0.942  0.    -0.308  0.   ]

    Reference:
        The elements are Gegenbauer polynomials in sech r; recurrence: NIST DLMF 18.9 (see
        docs/kernels.md).
    """
    gate = real_matrix(real_core, _slope, jnp.asarray(r, real_dtype(dtype)), cutoff)
    # S(z) turns with half the phase of z: e^{i phi n / 2} S(r) e^{-i phi n / 2}
    half = phi if is_number(phi, 0) else jnp.asarray(phi, real_dtype(dtype)) / 2
    gate = turned(gate, half, 0, dtype)
    return Parity.of(gate.elements) if type(gate) is Matrix and cutoff % 2 == 0 else gate


SPEC = Spec("squeezing", ("r", "phi"), 1, squeezing, defaults={"phi": 0.0})
