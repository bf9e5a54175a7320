"""Displacement D(alpha) = exp(alpha a^dagger - alpha* a)."""

from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from fockjax._bands import Band, Slope
from fockjax._given import checked_hbar
from fockjax._numerics import geometric, real_dtype
from fockjax._spec import Spec
from fockjax.gates import _recurrence
from fockjax.gates._cores import real_matrix, turned
from fockjax.operators import Operator


def real_core(r, cutoff):
    """D(r) for real r (of either sign), a real (cutoff, cutoff) array of r's dtype.

    D(r e^{i phi})[m, n] = e^{i phi (m - n)} D(r)[m, n]. It is right for |r| < 13 in float32 (37 in
    float64); beyond, e^{-r^2/2} underflows. For the Laguerre form see Cahill & Glauber, Phys. Rev.
    177, 1857 (1969), eq. (B.4), for the recurrence `_recurrence`.
    """
    r = jnp.asarray(r)
    return _recurrence.matrix(first_column(r, cutoff), _squared(r), _weight, cutoff, step=1)


def _slope(r):
    """dD/dr = (a^dagger - r) D - D a, from D = e^{-r^2/2} e^{r a^dagger} e^{-r a}."""
    one = jnp.ones_like(r)
    return Slope((Band(1, _up, one), Band(0, np.ones, -r)), (Band(-1, _down, -one),))


def _up(cutoff):
    return np.sqrt(np.arange(cutoff))


def _down(cutoff):
    return np.sqrt(np.arange(1, cutoff + 1))


def first_column(r, cutoff):
    """<k| D(r) |0> = e^{-r^2/2} r^k / sqrt(k!), k below the cutoff: a coherent state."""
    coarse, rest = _squared(r)
    vacuum = jnp.exp(-coarse / 2) * jnp.exp(-rest / 2)
    return geometric(vacuum, r, np.sqrt(1 / np.arange(1, cutoff)))


def _squared(r):
    """r^2 as a coarse part, exact in r's dtype, and the rest."""
    coarse = jnp.round(64 * r) / 64  # its square is exact, and so is r - coarse
    return coarse * coarse, (r - coarse) * (r + coarse)


def _weight(n, k):
    return 1


_core = partial(real_matrix, real_core, _slope)


def displacement(r, phi: Any = 0.0, *, cutoff: int, dtype=None) -> Operator:
    """Displacement ``D(alpha) = exp(alpha a^dagger - alpha^* a)`` with ``alpha = r e^{i phi}``.

    Its elements are those of the infinite operator, cut to the photon numbers below the cutoff.

    Args:
        r: modulus of the amplitude, a real scalar; |r| <= 10 is tested (complex64 underflows from
            13).
        phi: phase in radians.
        cutoff: photon numbers below it are kept.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        An `Operator` on one mode; real if ``phi`` is the number 0.

    Example:
        >>> import fockjax as fj
        >>> print(fj.gates.displacement(0.5, cutoff=4).to_dense().round(3)[:, 0])
        [0.882 0.441 0.156 0.045]

    Reference:
        K. E. Cahill and R. J. Glauber, Phys. Rev. 177, 1857 (1969), eq. (B.4).
    """
    return turned(_core(jnp.asarray(r, real_dtype(dtype)), cutoff), phi, 0, dtype)


def x_displacement(x, *, cutoff: int, hbar: float = 2.0, dtype=None) -> Operator:
    """Position displacement ``X(x) = exp(-i x p_hat / hbar) = D(x / sqrt(2 hbar))``: adds x to the
    position.

    Args:
        x: by how much, in the units of a quadrature; a real scalar.
        cutoff: photon numbers below it are kept.
        hbar: the convention for the size of a quadrature.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        An `Operator` on one mode, real.

    Example:
        >>> import fockjax as fj
        >>> print(fj.gates.x_displacement(1.0, cutoff=4).to_dense().round(3)[:, 0])
        [0.882 0.441 0.156 0.045]

    Reference:
        M. Gu et al., Phys. Rev. A 79, 062318 (2009).
    """
    return _core(_amplitude(x, hbar, dtype), cutoff)


def p_displacement(p, *, cutoff: int, hbar: float = 2.0, dtype=None) -> Operator:
    """Momentum displacement ``Z(p) = exp(i p x_hat / hbar) = D(i p / sqrt(2 hbar))``: adds p to the
    momentum.

    Args:
        p: by how much, in the units of a quadrature; a real scalar.
        cutoff: photon numbers below it are kept.
        hbar: the convention for the size of a quadrature.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        An `Operator` on one mode.

    Example:
        >>> import fockjax as fj
        >>> print(fj.gates.p_displacement(1.0, cutoff=4).to_dense().round(3)[:, 0] + 0)
        [ 0.882+0.j     0.   +0.441j -0.156+0.j     0.   -0.045j]

    Reference:
        M. Gu et al., Phys. Rev. A 79, 062318 (2009).
    """
    core = _core(_amplitude(p, hbar, dtype), cutoff)
    return turned(core, 0.0, 0, dtype, steps=64)  # a quarter turn


def _amplitude(quadrature, hbar, dtype):
    return jnp.asarray(quadrature, real_dtype(dtype)) / (2 * checked_hbar(hbar)) ** 0.5


SPECS = (
    Spec("displacement", ("r", "phi"), 1, displacement, defaults={"phi": 0.0}),
    Spec("x_displacement", ("x",), 1, x_displacement, options={"hbar": 2.0}),
    Spec("p_displacement", ("p",), 1, p_displacement, options={"hbar": 2.0}),
)
