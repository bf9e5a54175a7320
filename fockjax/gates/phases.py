"""Gates that are diagonal in the photon number."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._given import cutoffs_of
from fockjax._numerics import canonical_complex, real_dtype, resized
from fockjax._phases import phase_factor
from fockjax._spec import Spec
from fockjax.operators import Diagonal


def rotation_diagonal(phi, cutoff):
    """e^{i phi n} for n = 0..cutoff-1, complex of phi's precision."""
    return phase_factor(phi, np.arange(cutoff))


def rotation(phi, *, cutoff: int, dtype=None) -> Diagonal:
    """Rotation ``R(phi) = exp(i phi n)``.

    Args:
        phi: angle in radians, a real scalar.
        cutoff: photon numbers below it are kept.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        A `Diagonal` on one mode.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> print(fj.gates.rotation(np.pi / 2, cutoff=4).values.round(3) + 0)
        [ 1.+0.j  0.+1.j -1.+0.j  0.-1.j]

    Reference:
        C. Weedbrook et al., Gaussian quantum information, Rev. Mod. Phys. 84, 621 (2012), sec. II.
    """
    return Diagonal(rotation_diagonal(jnp.asarray(phi, real_dtype(dtype)), cutoff))


def kerr(kappa, *, cutoff: int, dtype=None) -> Diagonal:
    """Kerr gate ``K(kappa) = exp(i kappa n^2)``.

    Args:
        kappa: strength in radians, a real scalar.
        cutoff: photon numbers below it are kept.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        A `Diagonal` on one mode.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> print(fj.gates.kerr(np.pi / 4, cutoff=3).values.round(3))
        [ 1.   +0.j     0.707+0.707j -1.   +0.j   ]

    Reference:
        B. Yurke and D. Stoler, Phys. Rev. Lett. 57, 13 (1986).
    """
    return Diagonal(phase_factor(jnp.asarray(kappa, real_dtype(dtype)), np.arange(cutoff) ** 2))


def fourier(*, cutoff: int, dtype=None) -> Diagonal:
    """Fourier gate ``F = R(pi/2) = i^n``: takes x to -p and p to x.

    It is the rotation, as Strawberry Fields has it, without the phase e^{i pi/4} of the symplectic
    quarter turn.

    Args:
        cutoff: photon numbers below it are kept.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        A `Diagonal` on one mode.

    Example:
        >>> import fockjax as fj
        >>> print(fj.gates.fourier(cutoff=4).values)
        [ 1.+0.j  0.+1.j -1.+0.j  0.-1.j]

    Reference:
        C. Weedbrook et al., Gaussian quantum information, Rev. Mod. Phys. 84, 621 (2012), sec. II.
    """
    return Diagonal(jnp.asarray(powers_of_i(np.arange(cutoff)), canonical_complex(dtype)))


def powers_of_i(k: np.ndarray) -> np.ndarray:
    """i^k for integers k, exactly."""
    return np.array([1, 1j, -1, -1j])[k % 4]


def snap(phases, *, cutoff: int, dtype=None) -> Diagonal:
    """SNAP gate, a phase of its own for each photon number: ``sum_n e^{i phases[n]} |n><n|``.

    Args:
        phases: angles in radians, a real array of one axis, at most as long as the cutoff; photon
            numbers beyond its end are left alone.
        cutoff: photon numbers below it are kept.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        A `Diagonal` on one mode.

    Raises:
        ValueError: if ``phases`` has not one axis or is longer than the cutoff.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> print(fj.gates.snap(np.array([0, np.pi]), cutoff=3).values.round(3) + 0)
        [ 1.+0.j -1.+0.j  1.+0.j]

    Reference:
        R. W. Heeres et al., Phys. Rev. Lett. 115, 137002 (2015).
    """
    phases = jnp.asarray(phases, real_dtype(dtype))
    _check_snap({"phases": phases})
    if len(phases) > cutoff:
        raise ValueError(
            f"Argument `phases` of a SNAP gate has {len(phases)} phases, one for each photon "
            f"number from 0; a cutoff of {cutoff} keeps {cutoff}. Raise the cutoff or shorten it."
        )
    phases = resized(phases, (cutoff,))
    return Diagonal(lax.complex(jnp.cos(phases), jnp.sin(phases)))


def _check_snap(parameters, modes=None, options=None):
    shape = parameters["phases"].shape
    if len(shape) != 1:
        raise ValueError(
            "`phases` of a SNAP gate must be an array of one axis, a phase for each photon "
            f"number, got shape {shape}."
        )


def cross_kerr(kappa, *, cutoff: int | tuple[int, int], dtype=None) -> Diagonal:
    """Cross-Kerr gate ``CK(kappa) = exp(i kappa n1 n2)``.

    Args:
        kappa: strength in radians, a real scalar.
        cutoff: photon numbers below it are kept; one for both modes or one for each.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        A `Diagonal` on two modes.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> print(fj.gates.cross_kerr(np.pi, cutoff=3).values.real.round(3))
        [[ 1.  1.  1.]
         [ 1. -1.  1.]
         [ 1.  1.  1.]]

    Reference:
        N. Imoto, H. A. Haus and Y. Yamamoto, Phys. Rev. A 32, 2287 (1985).
    """
    products = np.multiply.outer(*(np.arange(size) for size in cutoffs_of(cutoff, 2)))
    return Diagonal(phase_factor(jnp.asarray(kappa, real_dtype(dtype)), products))


SPECS = (
    Spec("rotation", ("phi",), 1, rotation, truncates=False),
    Spec("kerr", ("kappa",), 1, kerr, truncates=False),
    Spec("fourier", (), 1, fourier, truncates=False),
    Spec(
        "snap",
        ("phases",),
        1,
        snap,
        arrays=("phases",),
        check=_check_snap,
        truncates=False,
        needs=lambda parameters, options: parameters["phases"].shape[0] - 1,
    ),
    Spec("cross_kerr", ("kappa",), 2, cross_kerr, truncates=False),
)
