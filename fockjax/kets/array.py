"""Kets given by their amplitudes."""

from typing import Any

import jax
import jax.numpy as jnp

from fockjax import _validated
from fockjax._given import cutoffs_of, is_integer
from fockjax._numerics import canonical_complex, resized
from fockjax._parts import PARTS, check_axes, constant, of_parts
from fockjax._spec import Spec


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
    return fitted(_validated.ket(amplitudes), cutoff, dtype, "Argument `amplitudes`")


def fitted(array, cutoff, dtype, what: str, each: int = 1) -> jax.Array:
    """An array that has ``each`` axes for each mode as complex numbers; zeros are added up to the
    cutoffs, what is over them is cut.
    """
    dtype = canonical_complex(dtype)
    cutoffs = cutoffs_of(cutoff, array.ndim // each if is_integer(cutoff) else None)
    check_axes(array, len(cutoffs), what, each)
    array = jnp.asarray(array)
    if not jnp.issubdtype(array.dtype, jnp.complexfloating):
        array = array.astype(jnp.finfo(dtype).dtype)
    return resized(array.astype(dtype), cutoffs * each)


def _check(parameters, modes, options):
    array = constant(parameters)
    if array is not None:  # else known at the call
        check_axes(array, len(modes), "the array of amplitudes")
        _validated.ket(array, "the array of amplitudes")


SPEC = Spec("ket", PARTS, None, of_parts(ket), defaults={"imag": 0.0}, arrays=PARTS, check=_check)
