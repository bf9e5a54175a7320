"""A gate given by its matrix."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from fockjax._given import cutoffs_of
from fockjax._numerics import canonical_complex
from fockjax._parts import PARTS, constant, of_parts, on_modes, squares
from fockjax._spec import Spec
from fockjax._validated import UNITARY_TOLERANCE
from fockjax.operators import Matrix, Operator


def unitary(matrix: Any, *, cutoff: int | tuple[int, ...], dtype=None) -> Operator:
    """Any matrix on chosen modes: a unitary of the cut space, or the cut of one.

    A matrix that is unitary on the cut space may reflect at the cutoff what an infinite operator
    would lose there. So after this gate the leakage of a state is a lower bound.

    Args:
        matrix: a complex array of shape ``(*cutoffs, *cutoffs)`` with output photon numbers first,
            or ``(size, size)`` with the photon numbers of all modes in one index, that of the last
            mode running fastest. In a circuit, ``circuit.add("unitary", real, imag, modes=..)``
            takes the real and the imaginary part instead, which may be weights.
        cutoff: photon numbers below it are kept; one for each mode (an integer: one mode).
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        An `Operator` on as many modes as there are cutoffs. Whether it is unitary is not checked
        here: the matrix may be traced. `Circuit.unitary` checks constants.

    Raises:
        ValueError: if the shapes do not fit the cutoffs.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> swap = np.eye(3)[[1, 0, 2]]
        >>> print(fj.gates.unitary(swap, cutoff=3).to_dense().real[:, 0])
        [0. 1. 0.]
    """
    cutoffs = cutoffs_of(cutoff, None)
    matrix = jnp.asarray(matrix).astype(canonical_complex(dtype))
    return Matrix(on_modes(matrix, cutoffs, "Argument `matrix`"))


def _check(parameters, modes, options):
    """Check what is known of constants: that the shapes fit and no singular value exceeds 1."""
    matrix = constant(parameters)
    if matrix is None:
        return
    largest = np.linalg.norm(squares(matrix, len(modes), "the matrix"), 2)
    if largest > 1 + UNITARY_TOLERANCE:
        raise ValueError(
            "the matrix must be unitary, or a unitary cut to fewer photon numbers, but it has a "
            f"singular value {largest:.6g} > 1."
        )


SPEC = Spec(
    "unitary",
    PARTS,
    None,
    of_parts(unitary),
    defaults={"imag": 0.0},
    arrays=PARTS,
    check=_check,
    reflects=lambda options: True,
)
