"""States given by their density matrices."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax import _validated
from fockjax._numerics import canonical_complex
from fockjax._spec import MixedSpec, cutoffs_for
from fockjax.kets.array import check_parts, fitted


def density_matrix(elements: Any, *, cutoff: int | tuple[int, ...], dtype=None) -> jax.Array:
    """A state of one or more modes from its elements ``<m1, m2, ..| rho |n1, n2, ..>``, shape
    ``(*cutoffs, *cutoffs)``.

    Photon numbers that the array does not reach have elements zero; what lies above the cutoff is
    lost. Nothing is renormalised: a trace below one counts as probability lost before.

    In a circuit, ``circuit.prepare("density_matrix", array, modes=...)`` takes a complex array too,
    or two real parameters, the real and the imaginary part, which may be weights. If these, or the
    array here, are traced, it is not checked that they are a state's: `fj.checks.density_defect`
    tells.

    Args:
        elements: an array with one axis for the row index of each mode, then one for the column
            index of each.
        cutoff: photon numbers below it are kept; one for all modes or one for each.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Raises:
        ValueError: if the axes are not twice the cutoffs in number; where the values are known, if
            they are not finite, Hermitian and without negative eigenvalues, or the trace is zero or
            above one.

    Example:
        >>> import fockjax as fj
        >>> fj.mixed.density_matrix([[0.5, 0.5j], [0.0 - 0.5j, 0.5]], cutoff=3)
        Array([[0.5+0.j , 0. +0.5j, 0. +0.j ],
               [0. -0.5j, 0.5+0.j , 0. +0.j ],
               [0. +0.j , 0. +0.j , 0. +0.j ]], dtype=complex64)
    """
    dtype = canonical_complex(dtype)
    array = _validated.density_matrix(elements, "Argument `elements`")
    half = array.ndim // 2
    cutoffs = cutoffs_for(cutoff, half)
    if half != len(cutoffs):
        raise ValueError(
            f"Argument `elements` must have two axes for each of {len(cutoffs)} modes, got shape "
            f"{array.shape}."
        )
    return fitted(array, cutoffs * 2, dtype)


def _build(real, imag, *, cutoff, dtype):
    check_parts(real, imag, len(cutoff), axes=2)
    elements = lax.complex(real, jnp.broadcast_to(imag, real.shape))
    return density_matrix(elements, cutoff=cutoff, dtype=dtype)


def _check(parameters, modes, options):
    real, imag = parameters["real"], parameters["imag"]
    if not (isinstance(real, np.ndarray) and isinstance(imag, np.ndarray)):
        return  # known at the call
    check_parts(real, imag, len(modes), axes=2)
    _validated.density_matrix(real + 1j * imag, "the density matrix")


SPEC = MixedSpec(
    "density_matrix",
    ("real", "imag"),
    None,
    _build,
    defaults={"imag": 0.0},
    arrays=("real", "imag"),
    check=_check,
)
