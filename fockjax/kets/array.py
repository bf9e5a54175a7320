"""Kets given by their amplitudes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax import _validated
from fockjax._numerics import canonical_complex, resized
from fockjax._spec import KetSpec, cutoffs_for


def ket(amplitudes: Any, *, cutoff: int | tuple[int, ...], dtype=None) -> jax.Array:
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
    array = _validated.ket(amplitudes)
    cutoffs = cutoffs_for(cutoff, array.ndim)
    if array.ndim != len(cutoffs):
        raise ValueError(
            f"Argument `amplitudes` must have one axis for each of {len(cutoffs)} modes, got shape "
            f"{array.shape}."
        )
    return fitted(array, cutoffs, dtype)


def fitted(array, cutoffs: tuple[int, ...], dtype) -> jax.Array:
    """An array as complex numbers; zeros are added up to the cutoffs, what is over them is cut."""
    array = jnp.asarray(array)
    if not jnp.issubdtype(array.dtype, jnp.complexfloating):
        array = array.astype(jnp.finfo(dtype).dtype)
    return resized(array.astype(dtype), cutoffs)


def check_parts(real, imag, modes: int, axes: int = 1) -> None:
    """Raise ValueError unless a real and an imaginary part fit each other and have ``axes`` axes
    for each mode.
    """
    if real.ndim != axes * modes or imag.shape not in ((), real.shape):
        each = {1: "one axis", 2: "two axes"}[axes]
        raise ValueError(
            f"parameters 'real' and 'imag' must agree in shape, with {each} for each of {modes} "
            f"mode(s); got shapes {real.shape} and {imag.shape}."
        )


def _build(real, imag, *, cutoff, dtype):
    check_parts(real, imag, len(cutoff))
    return ket(lax.complex(real, jnp.broadcast_to(imag, real.shape)), cutoff=cutoff, dtype=dtype)


def _check(parameters, modes, options):
    real, imag = parameters["real"], parameters["imag"]
    if not (isinstance(real, np.ndarray) and isinstance(imag, np.ndarray)):
        return  # known at the call
    check_parts(real, imag, len(modes))
    _validated.ket(real + 1j * imag, "the array of amplitudes")


SPEC = KetSpec(
    "ket",
    ("real", "imag"),
    None,
    _build,
    defaults={"imag": 0.0},
    arrays=("real", "imag"),
    check=_check,
)
