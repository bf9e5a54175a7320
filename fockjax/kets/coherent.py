"""Coherent states."""

from typing import Any

import jax
import jax.numpy as jnp

from fockjax._numerics import real_dtype
from fockjax._spec import Spec
from fockjax.gates.displacement import first_column
from fockjax.kets.phases import turned


def coherent(r, phi: Any = 0.0, *, cutoff: int, dtype=None) -> jax.Array:
    """The coherent state ``|alpha> = D(alpha)|0>``, ``alpha = r e^{i phi}``, shape ``(cutoff,)``.

    Its amplitudes are ``e^{-r^2/2} alpha^n / sqrt(n!)``; what lies over the cutoff is lost. Global
    phase: the vacuum amplitude is positive, as in Strawberry Fields.

    Args:
        r: modulus of the amplitude, a real scalar; |r| <= 10 is tested (complex64 underflows from
            13).
        phi: phase in radians.
        cutoff: photon numbers below it are kept.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> print(np.asarray(fj.kets.coherent(0.5, cutoff=4)).real.round(3))
        [0.882 0.441 0.156 0.045]

    Reference:
        K. E. Cahill and R. J. Glauber, Phys. Rev. 177, 1857 (1969).
    """
    return turned(first_column(jnp.asarray(r, real_dtype(dtype)), cutoff), phi)


SPEC = Spec("coherent", ("r", "phi"), 1, coherent, defaults={"phi": 0.0})
