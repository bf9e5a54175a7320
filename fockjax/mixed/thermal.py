"""Thermal states."""

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._given import in_range
from fockjax._numerics import canonical_complex, powers, real_dtype
from fockjax._spec import Spec, check_ranges


def thermal(nbar, *, cutoff: int, dtype=None) -> jax.Array:
    """The thermal state of mean photon number ``nbar``, shape ``(cutoff, cutoff)``.

    It is diagonal, ``nbar^n / (1 + nbar)^(n + 1)``; what lies above the cutoff is lost. Strawberry
    Fields' `Thermal`.

    Args:
        nbar: mean photon number, a real scalar >= 0; NaN comes out if it is traced and is not.
        cutoff: photon numbers below it are kept.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Raises:
        ValueError: if ``nbar`` is known and negative.

    Example:
        >>> import fockjax as fj
        >>> fj.mixed.thermal(1.0, cutoff=3).diagonal().real
        Array([0.5  , 0.25 , 0.125], dtype=float32)

    Reference:
        R. J. Glauber, Phys. Rev. 131, 2766 (1963).
    """
    nbar = in_range(nbar, "nbar", 0, np.inf, real_dtype(dtype))
    vacuum = 1 / (1 + nbar)
    photons = vacuum * powers(nbar * vacuum, vacuum, np.arange(cutoff))
    return jnp.diag(photons.astype(canonical_complex(dtype)))


SPEC = Spec("thermal", ("nbar",), 1, thermal, check=check_ranges(nbar=(0, np.inf)))
