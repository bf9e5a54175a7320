"""Gates diagonal in photon number: rotation exp(i phi n) and Kerr exp(i kappa n^2)."""

import jax.numpy as jnp
import numpy as np

from fockjax._linear import contract
from fockjax._numerics import phase_factor, real_dtype
from fockjax._spec import GateSpec
from fockjax.operators import Diagonal, Matrix, Sectors


def rotation_diagonal(phi, cutoff):
    """e^{i phi n} for n = 0..cutoff-1, complex of phi's precision."""
    return phase_factor(phi, np.arange(cutoff))


def kerr_diagonal(kappa, cutoff):
    """e^{i kappa n^2} for n = 0..cutoff-1, complex of kappa's precision."""
    return phase_factor(kappa, np.arange(cutoff) ** 2)


def rotation(phi, *, cutoff: int, dtype=None) -> Diagonal:
    """Rotation ``R(phi) = exp(i phi n)``.

    Args:
        phi: angle in radians, a real scalar.
        cutoff: photon numbers below it are kept.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> print(fj.gates.rotation(np.pi / 2, cutoff=4).values.round(3) + 0)
        [ 1.+0.j  0.+1.j -1.+0.j  0.-1.j]
    """
    return Diagonal(rotation_diagonal(jnp.asarray(phi, real_dtype(dtype)), cutoff))


def kerr(kappa, *, cutoff: int, dtype=None) -> Diagonal:
    """Kerr gate ``K(kappa) = exp(i kappa n^2)``.

    Args:
        kappa: strength in radians, a real scalar.
        cutoff: photon numbers below it are kept.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> print(fj.gates.kerr(np.pi / 4, cutoff=3).values.round(3))
        [ 1.   +0.j     0.707+0.707j -1.   +0.j   ]
    """
    return Diagonal(kerr_diagonal(jnp.asarray(kappa, real_dtype(dtype)), cutoff))


def is_zero(phi) -> bool:
    """Whether a phase is the number 0 itself, known before tracing: the gate is then real."""
    return isinstance(phi, int | float) and phi == 0


def turned(core: Matrix | Sectors, phi, mode: int, dtype=None) -> Matrix | Sectors:
    """``e^{i phi n} core e^{-i phi n}`` with n the photon number of ``mode``: a gate with a phase.

    One factor ``e^{i phi (m - n)}`` for each element, not two: in their product the derivatives in
    phi cancel, which in single precision costs the Hessian four digits at cutoff 200.
    """
    if is_zero(phi):
        return core
    phi = jnp.asarray(phi, real_dtype(dtype))
    if isinstance(core, Matrix):
        n = np.arange(core.cutoffs[0])
        turns = phase_factor(phi, n[:, None] - n)
        return Matrix(contract(turns, core.elements, "mn,mn->mn"))
    # In a block the columns count the photons of one mode; those of the other go the other way.
    c = np.arange(core.blocks.shape[-1])
    away = -core.charge if mode == core.row else 1
    turns = phase_factor(phi, away * (c[:, None] - c))
    return Sectors(contract(turns, core.blocks, "ac,rac->rac"), core.sizes, core.charge)


SPECS = (
    GateSpec("rotation", ("phi",), 1, rotation),
    GateSpec("kerr", ("kappa",), 1, kerr),
)
