"""Dephasing: a random phase."""

import numpy as np

from fockjax._given import in_range
from fockjax._numerics import real_dtype
from fockjax._spec import Spec, check_ranges
from fockjax.superoperators import RandomRotation


def dephasing(sigma, *, cutoff: int, dtype=None) -> RandomRotation:
    """Dephasing: a rotation by a random angle, normally distributed around 0.

    It multiplies ``<m| rho |n>`` by ``exp(-sigma^2 (m - n)^2 / 2)``. MrMustard's `PhaseNoise`.

    Args:
        sigma: standard deviation of the angle in radians, a real scalar >= 0; NaN comes out if it
            is traced and is not.
        cutoff: photon numbers below it are kept; none are lost.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        A `Channel` on one mode.

    Raises:
        ValueError: if ``sigma`` is known and negative.

    Example:
        >>> import fockjax as fj
        >>> plus = fj.mixed.density_matrix([[0.5, 0.5], [0.5, 0.5]], cutoff=2)
        >>> fj.channels.dephasing(1.0, cutoff=2).apply(plus, (0,), (1,)).real.round(3)
        Array([[0.5  , 0.303],
               [0.303, 0.5  ]], dtype=float32)

    Reference:
        L. Lami and M. M. Wilde, Nat. Photonics 17, 525 (2023).
    """
    return RandomRotation(in_range(sigma, "sigma", 0, np.inf, real_dtype(dtype)), cutoff)


SPEC = Spec(
    "dephasing", ("sigma",), 1, dephasing, check=check_ranges(sigma=(0, np.inf)), truncates=False
)
