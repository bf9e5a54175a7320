"""Squeezed states of one mode, displaced or not."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fockjax._numerics import real_dtype
from fockjax._spec import Spec
from fockjax.gates.squeezing import first_column, sech
from fockjax.kets.phases import turned
from fockjax.kets.recurrence import amplitudes


def squeezed(r, phi: Any = 0.0, *, cutoff: int, dtype=None) -> jax.Array:
    """Squeezed vacuum ``S(z)|0>``, ``z = r e^{i phi}``, shape ``(cutoff,)``.

    Its amplitudes are ``sqrt(sech r) (-e^{i phi} tanh r)^n sqrt((2n)!) / (2^n n!)`` at 2n photons;
    what lies above the cutoff is lost. Global phase: the vacuum amplitude is positive, as in
    Strawberry Fields.

    Args:
        r: modulus of the squeezing parameter, a real scalar; |r| <= 3 is tested.
        phi: phase in radians.
        cutoff: photon numbers below it are kept.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> print(np.asarray(fj.kets.squeezed(0.5, cutoff=5)).real.round(3))
        [ 0.942  0.    -0.308  0.     0.123]

    Reference:
        C. C. Gerry and P. L. Knight, Introductory Quantum Optics (2005), chapter 7.
    """
    pairs = turned(first_column(jnp.asarray(r, real_dtype(dtype)), cutoff), phi)
    odd_at_the_end = cutoff - (2 * len(pairs) - 1)
    return lax.pad(pairs, jnp.zeros((), pairs.dtype), [(0, odd_at_the_end, 1)])


def displaced_squeezed(
    r_d, phi_d: Any = 0.0, r_s: Any = 0.0, phi_s: Any = 0.0, *, cutoff: int, dtype=None
) -> jax.Array:
    """The displaced squeezed state ``D(alpha) S(z)|0>``, ``alpha = r_d e^{i phi_d}``,
    ``z = r_s e^{i phi_s}``, shape ``(cutoff,)``.

    Its amplitudes are those of the infinite state, not of two gates that are each cut; what lies
    over the cutoff is lost. Global phase: that of ``D(alpha) S(z)|0>`` with both operators as in
    `fockjax.gates`, so that ``<0|psi> = sqrt(sech r_s) exp(-(|alpha|^2 + alpha^*2 e^{i phi_s} tanh
    r_s)/2)``, as in Strawberry Fields.

    Args:
        r_d: modulus of the displacement, a real scalar; |r_d| <= 10 is tested.
        phi_d: its phase in radians.
        r_s: modulus of the squeezing parameter, a real scalar; |r_s| <= 2 is tested.
        phi_s: its phase in radians.
        cutoff: photon numbers below it are kept.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> print(np.asarray(fj.kets.displaced_squeezed(0.5, r_s=0.3, cutoff=4)).real.round(3))
        [ 0.832  0.537  0.074 -0.1  ]

    Reference:
        The amplitudes are Hermite polynomials: H. P. Yuen, Phys. Rev. A 13, 2226 (1976);
        recurrence: `fockjax.kets.recurrence`.
    """
    real = real_dtype(dtype)
    r_d, phi_d, r_s, phi_s = (jnp.asarray(value, real) for value in (r_d, phi_d, r_s, phi_s))
    # Turned by -phi_s / 2 the squeezing is real, and the displacement x + i y along its axes.
    half = phi_s / 2
    x, y = r_d * jnp.cos(phi_d - half), r_d * jnp.sin(phi_d - half)
    t, s = jnp.tanh(r_s), sech(r_s)[0]
    up, down = jnp.exp(r_s) * s, jnp.exp(-r_s) * s  # 1 + t and 1 - t
    linear = lax.complex(x * up, y * down)
    log_vacuum = lax.complex(-(x * x * up + y * y * down) / 2, x * y * t)
    quadratic = lax.complex(-t, jnp.zeros_like(t))
    ket = amplitudes(quadratic[None, None], linear[None], log_vacuum, (cutoff,))
    return turned(jnp.sqrt(s).astype(ket.dtype) * ket, half)


SPECS = (
    Spec("squeezed", ("r", "phi"), 1, squeezed, defaults={"phi": 0.0}),
    Spec(
        "displaced_squeezed",
        ("r_d", "phi_d", "r_s", "phi_s"),
        1,
        displaced_squeezed,
        defaults={"phi_d": 0.0, "r_s": 0.0, "phi_s": 0.0},
    ),
)
