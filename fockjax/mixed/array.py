"""States given by their density matrices."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from fockjax._numerics import canonical_complex
from fockjax._spec import MixedSpec


def density_matrix(elements: jax.Array, *, cutoff: int | tuple[int, ...], dtype=None) -> jax.Array:
    """A state of one or more modes from its elements ``<m1, m2, ..| rho |n1, n2, ..>``, shape
    ``(*cutoffs, *cutoffs)``.

    Photon numbers that the array does not reach have elements zero; what lies over the cutoff is
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
    array = checked(elements, "Argument `elements`")
    half = array.ndim // 2
    cutoffs = (cutoff,) * half if isinstance(cutoff, int | np.integer) else tuple(cutoff)
    if half != len(cutoffs):
        raise ValueError(
            f"Argument `elements` must have two axes for each of {len(cutoffs)} modes, got shape "
            f"{array.shape}."
        )
    array = jnp.asarray(array)
    if not jnp.issubdtype(array.dtype, jnp.complexfloating):
        array = array.astype(jnp.finfo(dtype).dtype)
    fit = [(0, size - length, 0) for size, length in zip(cutoffs * 2, array.shape, strict=True)]
    return lax.pad(array.astype(dtype), jnp.zeros((), dtype), fit)


def checked(elements, name: str):
    """The elements as an array; where their values are known, those of a possible state.

    Trace, eigenvalues and symmetry may be off by 1e-6, or 1e-4 in single precision, which a long
    simulation in that precision reaches.

    Raises:
        ValueError: naming ``name``, if they are not a square, not finite, not Hermitian, have a
            negative eigenvalue, or a trace of zero or above one.
    """
    array = elements if isinstance(elements, jax.Array) else np.asarray(elements)
    half = array.ndim // 2
    if not half or array.shape[:half] != array.shape[half:] or not array.size:
        raise ValueError(
            f"{name} must have an axis for the row index of each mode, then one of the same length "
            f"for the column index of each, got shape {array.shape}."
        )
    if array.dtype.kind not in "fiuc":
        raise ValueError(f"{name} must be made of numbers, got dtype {array.dtype}.")
    if isinstance(array, Tracer):
        return array
    size = int(np.prod(array.shape[:half]))
    rho = np.asarray(array).astype(complex).reshape(size, size)
    tolerance = 1e-4 if array.dtype in (np.float32, np.complex64) else 1e-6
    if not np.all(np.isfinite(rho)):
        raise ValueError(f"{name} must be finite.")
    skew = abs(rho - rho.conj().T).max()
    if skew > tolerance:
        raise ValueError(
            f"{name} must be Hermitian, but an element differs from the conjugate of its mirror "
            f"image by {skew:.2g}."
        )
    trace = np.trace(rho).real
    if trace > 1 + tolerance:
        raise ValueError(
            f"{name} has trace {trace:.7g}, above 1: that is no state. Divide it by its trace."
        )
    lowest = np.linalg.eigvalsh(rho)[0]
    if lowest < -tolerance:
        raise ValueError(f"{name} has the eigenvalue {lowest:.2g}, below 0: that is no state.")
    if not rho.any():
        raise ValueError(f"{name} is zero: that is no state.")
    return array


def _build(real, imag, *, cutoff, dtype):
    _check_shapes(real, imag, len(cutoff) if isinstance(cutoff, tuple) else 1)
    return density_matrix(
        lax.complex(real, jnp.broadcast_to(imag, real.shape)), cutoff=cutoff, dtype=dtype
    )


def _check_shapes(real, imag, modes: int) -> None:
    if real.ndim != 2 * modes or imag.shape not in ((), real.shape):
        raise ValueError(
            f"parameters 'real' and 'imag' must agree in shape, with two axes for each of {modes} "
            f"mode(s); got shapes {real.shape} and {imag.shape}."
        )


def _check(parameters, modes, options):
    real, imag = parameters["real"], parameters["imag"]
    if not (isinstance(real, np.ndarray) and isinstance(imag, np.ndarray)):
        return  # known at the call
    _check_shapes(real, imag, len(modes))
    checked(real + 1j * imag, "the density matrix")


SPEC = MixedSpec(
    "density_matrix",
    ("real", "imag"),
    None,
    _build,
    defaults={"imag": 0.0},
    arrays=("real", "imag"),
    check=_check,
)
