"""Matrices and states that users give, refused where they are known not to be what they should."""

import math

import jax
import numpy as np

from fockjax._eager import is_known
from fockjax._given import checked_hbar
from fockjax.checks import (
    physical_defect,
    purity_defect,
    square,
    symplectic_defect,
    unitary_defect,
)

UNITARY_TOLERANCE = 1e-6  # Strawberry Fields' own; single precision passes
SYMPLECTIC_TOLERANCE = 1e-8  # The Walrus's own
COVARIANCE_TOLERANCE = 1e-6  # in units of the matrix's size; single precision passes


def finite_square(matrix, name: str, instead: str = "") -> np.ndarray:
    """A finite square matrix that is known before tracing, as float64 or complex128.

    Args:
        matrix: the matrix.
        name: of the argument, for the errors.
        instead: what to do where it is traced.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    if not is_known(matrix):
        raise TypeError(
            f"Argument `{name}` is traced by JAX, but must be known before tracing.{instead}"
        )
    matrix = np.asarray(matrix)
    if matrix.dtype.kind not in "fiuc":
        raise TypeError(f"Argument `{name}` must be made of numbers, got dtype {matrix.dtype}.")
    matrix = square(matrix.astype(complex if matrix.dtype.kind == "c" else float), name)
    if not np.all(np.isfinite(matrix)):
        raise ValueError(f"Argument `{name}` must be finite.")
    return matrix


def unitary(U) -> np.ndarray:
    """A unitary matrix known before tracing, complex128.

    Raises:
        TypeError, ValueError: if it is not, with its defect.
    """
    instead = " For a trainable interferometer use `circuit.mesh` or `circuit.passive`."
    U = finite_square(U, "U", instead).astype(complex)
    defect = unitary_defect(U)
    if defect > UNITARY_TOLERANCE:
        raise ValueError(
            f"Argument `U` must be unitary, but |U^dagger U - 1| = {defect:.1e} is over the "
            f"tolerance {UNITARY_TOLERANCE:.0e}."
        )
    return U


def _of_quadratures(matrix, name: str) -> np.ndarray:
    """A finite real matrix of shape (2n, 2n) known before tracing."""
    matrix = square(finite_square(matrix, name), name, even=True)
    if np.iscomplexobj(matrix):
        raise TypeError(f"Argument `{name}` must be real, got dtype {matrix.dtype}.")
    return matrix


def symplectic(S) -> np.ndarray:
    """A symplectic matrix known before tracing, float64.

    Raises:
        TypeError, ValueError: if it is not, with its defect.
    """
    S = _of_quadratures(S, "S")
    defect = symplectic_defect(S)
    if defect > SYMPLECTIC_TOLERANCE:
        raise ValueError(
            f"Argument `S` must be symplectic, but |S^T Omega S - Omega| = {defect:.1e} is over "
            f"the tolerance {SYMPLECTIC_TOLERANCE:.0e}; it takes double precision and the order "
            "(x1, .., xn, p1, .., pn)."
        )
    return S


def covariance(cov, hbar: float = 2.0) -> np.ndarray:
    """The covariance matrix of a state, pure or mixed, known before tracing, float64.

    Raises:
        TypeError, ValueError: if it is not: what is wrong, and by how much.
    """
    cov = _of_quadratures(cov, "cov")
    V, size = _in_vacuum_units(cov, hbar)
    skew = abs(V - V.T).max()
    if skew > COVARIANCE_TOLERANCE * size:
        raise ValueError(
            "Argument `cov` must be symmetric, but an element differs from its mirror image by "
            f"{skew * hbar / 2:.2g}."
        )
    lack = physical_defect(V)
    if lack > COVARIANCE_TOLERANCE * size:
        raise ValueError(
            f"Argument `cov` breaks the uncertainty relation: with hbar = {hbar:g}, cov + i "
            f"(hbar/2) Omega has the eigenvalue {-lack * hbar / 2:.2g}, and must have none below "
            "0. The vacuum is (hbar/2) times the identity; the order is (x1, .., xn, p1, .., pn)."
        )
    return cov


def pure_covariance(cov, hbar: float = 2.0) -> np.ndarray:
    """The covariance matrix of a pure state, known before tracing, float64.

    Raises:
        TypeError, ValueError: if it is not: what is wrong, and by how much.
    """
    cov = covariance(cov, hbar)
    V, size = _in_vacuum_units(cov, hbar)
    if purity_defect(V) > COVARIANCE_TOLERANCE * size**2:
        raise ValueError(
            "Argument `cov` is that of a mixed state, of purity "
            f"{1 / np.sqrt(np.linalg.det(V)):.6g}, which no ket describes."
        )
    return cov


def _in_vacuum_units(cov: np.ndarray, hbar: float) -> tuple[np.ndarray, float]:
    """The matrix in units of the vacuum's variance, and its size, by which tolerances grow."""
    V = cov * (2 / checked_hbar(hbar))
    return V, max(1.0, float(np.linalg.norm(V)))


def density_matrix(rho, name: str = "Argument `rho`"):
    """A density matrix as an array ``(*cutoffs, *cutoffs)``. If its values are known, they are
    checked to be those of a state.

    The tolerance is 1e-6, or 1e-4 in single precision: so large can the error of a long simulation
    be.

    Raises:
        ValueError: naming ``name``, if its shape is not that; where the values are known, if they
            are not finite, not Hermitian, have an eigenvalue below 0, or a trace of 0 or above 1.

    Example:
        >>> import numpy as np
        >>> density_matrix(np.diag([1.2, -0.2]))
        Traceback (most recent call last):
        ...
        ValueError: Argument `rho` has the eigenvalue -0.2, below 0: that is no state.
    """
    array = _numbers(rho, name)
    half = array.ndim // 2
    if array.ndim % 2 or array.shape[:half] != array.shape[half:]:
        raise ValueError(
            f"{name} must have a row axis for each mode, then a column axis for each, of the same "
            f"lengths; got shape {array.shape}."
        )
    if not is_known(array):
        return array
    size, tolerance = math.prod(array.shape[:half]), state_tolerance(array.dtype)
    matrix = _wide(array).reshape(size, size)
    if not np.all(np.isfinite(matrix)):
        raise ValueError(f"{name} must be finite.")
    skew = abs(matrix - matrix.conj().T).max()
    if skew > tolerance:
        raise ValueError(
            f"{name} must be Hermitian, but an element differs from the conjugate of its mirror "
            f"image by {skew:.2g}. The row axes of all modes come first, then the column axes; "
            "Strawberry Fields alternates them."
        )
    lowest = np.linalg.eigvalsh(matrix)[0]
    if lowest < -tolerance:
        raise ValueError(f"{name} has the eigenvalue {lowest:.4g}, below 0: that is no state.")
    trace = np.trace(matrix).real
    if trace <= 0:
        raise ValueError(f"{name} is zero: that is no state.")
    if trace > 1 + tolerance:
        raise ValueError(
            f"{name} has trace {trace:.7g}, above 1: that is no state. Divide it by its trace."
        )
    return array


def ket(amplitudes, name: str = "Argument `amplitudes`"):
    """Amplitudes as an array with an axis for each mode. If their values are known, they are
    checked to be those of a state.

    The norm may exceed one by 1e-6, or 1e-4 in single precision: so large can the error of a long
    simulation be.

    Raises:
        ValueError: naming ``name``, if they are empty or no numbers; where the values are known, if
            they are not finite, all zero, or of norm above one.

    Example:
        >>> import numpy as np
        >>> ket(np.zeros(3))
        Traceback (most recent call last):
        ...
        ValueError: Argument `amplitudes` is zero: that is no state.
    """
    array = _numbers(amplitudes, name)
    if not is_known(array):
        return array
    norm = np.linalg.norm(_wide(array).ravel())
    if not np.isfinite(norm):
        raise ValueError(f"{name} must be finite.")
    if norm == 0:
        raise ValueError(f"{name} is zero: that is no state.")
    if norm > 1 + state_tolerance(array.dtype):
        raise ValueError(
            f"{name} has norm {norm:.7g}, above 1: that is no state. Divide it by its norm."
        )
    return array


def _numbers(values, name: str):
    """An array of numbers, not a scalar and not empty."""
    array = values if isinstance(values, jax.Array) else np.asarray(values)
    if array.ndim == 0:
        raise ValueError(f"{name} must have one axis for each mode, got a scalar.")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got an array of shape {array.shape}.")
    if array.dtype.kind not in "fiuc":
        raise ValueError(f"{name} must be made of numbers, got dtype {array.dtype}.")
    return array


def _wide(array) -> np.ndarray:
    return np.asarray(array).astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def state_tolerance(dtype) -> float:
    """How far above 1 a norm may be: so large can the error of a long simulation be."""
    return 1e-4 if dtype in (np.float32, np.complex64) else 1e-6
