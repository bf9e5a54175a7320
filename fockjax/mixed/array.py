"""States given by their density matrices."""

from typing import Any

import jax

from fockjax import _validated
from fockjax._parts import PARTS, check_axes, constant, of_parts
from fockjax._spec import Spec
from fockjax.kets.array import fitted


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
    array = _validated.density_matrix(elements, "Argument `elements`")
    return fitted(array, cutoff, dtype, "Argument `elements`", each=2)


def _check(parameters, modes, options):
    array = constant(parameters)
    if array is not None:  # else known at the call
        check_axes(array, len(modes), "the density matrix", each=2)
        _validated.density_matrix(array, "the density matrix")


SPEC = Spec(
    "density_matrix",
    PARTS,
    None,
    of_parts(density_matrix),
    defaults={"imag": 0.0},
    arrays=PARTS,
    check=_check,
)
