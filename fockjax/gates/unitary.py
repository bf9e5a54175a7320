"""A gate given by its matrix."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._numerics import real_dtype
from fockjax._spec import GateSpec, cutoffs_for
from fockjax._validated import UNITARY_TOLERANCE
from fockjax.operators import Matrix, Operator


def unitary(real, imag, *, cutoff: int | tuple[int, ...], dtype=None) -> Operator:
    """Any matrix on chosen modes, ``real + i imag``: a unitary of the cut space, or the cut of one.

    A matrix that is unitary on the cut space may reflect at the cutoff what an infinite operator
    would lose there. So after this gate the leakage of a state is a lower bound.

    Args:
        real: real parts of the elements, shape ``(*cutoffs, *cutoffs)`` with output photon numbers
            first, or ``(size, size)`` with the photon numbers of all modes in one index, that of
            the last mode running fastest.
        imag: imaginary parts, the same shape.
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
        >>> print(fj.gates.unitary(swap, 0 * swap, cutoff=3).to_dense().real[:, 0])
        [0. 1. 0.]
    """
    cutoffs = cutoffs_for(cutoff)
    size = int(np.prod(cutoffs))
    elements = lax.complex(*(jnp.asarray(part, real_dtype(dtype)) for part in (real, imag)))
    shapes = sorted({(*cutoffs, *cutoffs), (size, size)}, reverse=True)  # one, for one mode
    if elements.shape not in shapes:
        raise ValueError(
            f"A matrix of shape {elements.shape} does not act on modes with cutoffs {cutoffs}: "
            f"its shape must be {' or '.join(map(str, shapes))}."
        )
    return Matrix(elements.reshape(cutoffs * 2))


def _check(parameters, modes, options):
    """Check what is known of constants: that the shapes fit and no singular value exceeds 1."""
    real, imag = parameters["real"], parameters["imag"]
    if not (isinstance(real, np.ndarray) and isinstance(imag, np.ndarray)):
        return
    half = real.ndim // 2
    if (
        real.shape != imag.shape
        or half not in (1, len(modes))
        or real.shape != real.shape[:half] * 2
    ):
        raise ValueError(
            f"the matrix must have shape (size, size) or {2 * len(modes)} axes, output photon "
            f"numbers first, got shape {real.shape}"
            + (f" and {imag.shape}." if real.shape != imag.shape else ".")
        )
    size = int(np.prod(real.shape[:half]))
    largest = np.linalg.norm((real + 1j * imag).reshape(size, size), 2)
    if largest > 1 + UNITARY_TOLERANCE:
        raise ValueError(
            "the matrix must be unitary, or a unitary cut to fewer photon numbers, but it has a "
            f"singular value {largest:.6g} > 1."
        )


SPEC = GateSpec(
    "unitary",
    ("real", "imag"),
    None,
    unitary,
    arrays=("real", "imag"),
    check=_check,
    reflects=lambda options: True,
)
