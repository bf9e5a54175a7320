"""Kets given by their amplitudes."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from fockjax._numerics import canonical_complex
from fockjax._spec import KetSpec


def ket(amplitudes: jax.Array, *, cutoff: int | tuple[int, ...], dtype=None) -> jax.Array:
    """A state of one or more modes from its amplitudes <n1, n2, ..|psi>, shape ``cutoff``.

    Photon numbers that the array does not reach have amplitude zero; what lies over the cutoff is
    lost. Nothing is renormalised: a norm below one counts as probability lost before. The phase is
    that of the array.

    In a circuit, ``circuit.prepare("ket", array, modes=...)`` takes a complex array too, or two
    real parameters, the real and the imaginary part, which may be weights. If these, or the array
    here, are traced, their norm is not checked: look at `State.norm`, which then is above one.

    Args:
        amplitudes: an array with one axis for each mode.
        cutoff: photon numbers below it are kept; one for all modes or one for each.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Raises:
        ValueError: if the number of axes is not that of the cutoffs; where the values are known,
            if they are not finite, all zero, or of norm above one.

    Example:
        >>> import fockjax as fj
        >>> fj.kets.ket([0.6, 0.8j], cutoff=3)
        Array([0.6+0.j , 0. +0.8j, 0. +0.j ], dtype=complex64)
    """
    dtype = canonical_complex(dtype)
    array = checked(amplitudes, "Argument `amplitudes`")
    cutoffs = (cutoff,) * array.ndim if isinstance(cutoff, int | np.integer) else tuple(cutoff)
    if array.ndim != len(cutoffs):
        raise ValueError(
            f"Argument `amplitudes` must have one axis for each of {len(cutoffs)} modes, got shape "
            f"{array.shape}."
        )
    array = jnp.asarray(array)
    if not jnp.issubdtype(array.dtype, jnp.complexfloating):
        array = array.astype(jnp.finfo(dtype).dtype)
    fit = [(0, size - length, 0) for size, length in zip(cutoffs, array.shape, strict=True)]
    return lax.pad(array.astype(dtype), jnp.zeros((), dtype), fit)


def checked(amplitudes, name: str):
    """The amplitudes as an array; where their values are known, a possible state.

    The norm may exceed one by 1e-6, or 1e-4 in single precision, which a long simulation in that
    precision reaches.

    Raises:
        ValueError: naming ``name``, if they are empty, not finite, all zero, or of norm above one.
    """
    array = amplitudes if isinstance(amplitudes, jax.Array) else np.asarray(amplitudes)
    if array.ndim == 0:
        raise ValueError(f"{name} must have one axis for each mode, got a scalar.")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got an array of shape {array.shape}.")
    if array.dtype.kind not in "fiuc":
        raise ValueError(f"{name} must be made of numbers, got dtype {array.dtype}.")
    if isinstance(array, Tracer):
        return array
    wide = np.complex128 if array.dtype.kind == "c" else np.float64
    norm = np.linalg.norm(np.asarray(array).astype(wide).ravel())
    if not np.isfinite(norm):
        raise ValueError(f"{name} must be finite.")
    if norm == 0:
        raise ValueError(f"{name} is zero: that is no state.")
    tolerance = 1e-4 if array.dtype in (np.float32, np.complex64) else 1e-6
    if norm > 1 + tolerance:
        raise ValueError(
            f"{name} has norm {norm:.7g}, above 1: that is no state. Divide it by its norm."
        )
    return array


def _build(real, imag, *, cutoff, dtype):
    _check_shapes(real, imag, len(cutoff))
    return ket(lax.complex(real, jnp.broadcast_to(imag, real.shape)), cutoff=cutoff, dtype=dtype)


def _check_shapes(real, imag, modes: int) -> None:
    if real.ndim != modes or imag.shape not in ((), real.shape):
        raise ValueError(
            f"parameters 'real' and 'imag' must agree in shape, with one axis for each of {modes} "
            f"mode(s); got shapes {real.shape} and {imag.shape}."
        )


def _check(parameters, modes, options):
    real, imag = parameters["real"], parameters["imag"]
    if not (isinstance(real, np.ndarray) and isinstance(imag, np.ndarray)):
        return  # known at the call
    _check_shapes(real, imag, len(modes))
    checked(real + 1j * imag, "the array of amplitudes")


SPEC = KetSpec(
    "ket",
    ("real", "imag"),
    None,
    _build,
    defaults={"imag": 0.0},
    arrays=("real", "imag"),
    check=_check,
)
