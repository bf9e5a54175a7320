"""Checks of what is given to functions: numbers, cutoffs, modes, keys. Each raises a TypeError or a
ValueError that names the argument, what was given and what it must be.
"""

import math
import operator
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._eager import is_known

# Numbers
# -------------------------------------------------------------------------------------------------


def is_integer(value, least: int = 1) -> bool:
    """Whether a value is an integer >= ``least`` known before tracing; a boolean is not."""
    integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return integer and bool(value >= least)


def checked_integer(value, what: str, least: int = 1) -> int:
    """The value as a Python integer.

    Raises:
        ValueError: naming it as ``what``, if it is not an integer >= ``least``.
    """
    if not is_integer(value, least):
        raise ValueError(f"{what} must be an integer >= {least}, got {value!r}.")
    return int(value)


def checked_hbar(hbar) -> float:
    """hbar as a float. It is a convention, so it must be known before tracing.

    Raises:
        ValueError, TypeError: if it is not a positive finite number.
    """
    if isinstance(hbar, bool) or not isinstance(hbar, int | float | np.number):
        raise TypeError(f"Argument `hbar` must be a positive number, got {hbar!r}.")
    if not 0 < hbar < math.inf:
        raise ValueError(f"Argument `hbar` must be positive and finite, got {hbar!r}.")
    return float(hbar)


def check_number(name: str, value: Any) -> None:
    """Raise ValueError unless an argument, which may be traced, is one real number."""
    if isinstance(value, int | float):  # quickly, as most are
        return
    if isinstance(value, list | tuple) or np.ndim(value) or np.iscomplexobj(value):
        got = jnp.asarray(value)
        advice = (
            "of several, batch with jax.vmap"
            if got.ndim
            else "give modulus and phase, or real and imaginary part, apart"
        )
        raise ValueError(
            f"Argument `{name}` must be one real number, got {got.dtype.name}{list(got.shape)}; "
            f"{advice}."
        )


def check_real(name: str, values: Any) -> None:
    """Raise TypeError if an array, or a list of what may be traced, has a complex number in it."""
    if any(map(np.iscomplexobj, jax.tree.leaves(values))):
        raise TypeError(
            f"Argument `{name}` must be real, but is complex: give modulus and phase, or real and "
            "imaginary part, apart."
        )


def as_real(name: str, value, dtype) -> jax.Array:
    """An argument as a real array; TypeError if it is complex, ValueError if it is ragged."""
    try:
        # JAX refuses NumPy's masked arrays, which Matplotlib gives.
        array = jnp.asarray(np.asarray(value) if isinstance(value, np.ndarray) else value)
    except (TypeError, ValueError) as error:
        if isinstance(value, list | tuple):
            raise ValueError(
                f"Argument `{name}` must be an array of real numbers, got {value!r}."
            ) from error
        raise
    if jnp.iscomplexobj(array):
        raise TypeError(
            f"Argument `{name}` must be real, got dtype {array.dtype}: give modulus and phase "
            "apart, or the real part."
        )
    return array.astype(dtype)


def check_range(name: str, value, low: float, high: float) -> None:
    """Raise ValueError unless a number known before tracing is finite and lies in [low, high]."""
    if not (low <= value <= high and abs(value) < math.inf):
        wanted = f"lie in [{low:g}, {high:g}]" if high < math.inf else f"be finite and >= {low:g}"
        raise ValueError(f"Argument `{name}` must {wanted}, got {value}.")


def in_range(value, name: str, low: float, high: float, dtype) -> jax.Array:
    """A parameter as a real scalar that must be finite and lie in [low, high].

    Nothing can be raised for a traced value, so one out of range becomes NaN.

    Raises:
        ValueError: if the value is known and out of range.
    """
    if is_known(value):
        check_range(name, value, low, high)
    value = jnp.asarray(value, dtype)
    return jnp.where((value >= low) & (value <= high) & jnp.isfinite(value), value, jnp.nan)


def check_options(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise TypeError unless options are of the kind of their defaults, where these are booleans or
    real numbers. (A string would count as true, and an integer is checked by what takes it.)
    """
    for name, value in given.items():
        default, boolean = defaults[name], isinstance(value, bool | np.bool_)
        if isinstance(default, bool) and not boolean:
            raise TypeError(f"Option `{name}` must be True or False, got {value!r}.")
        if isinstance(default, float) and (boolean or not isinstance(value, Real)):
            raise TypeError(f"Option `{name}` must be a real number, got {value!r}.")


# Modes and cutoffs
# -------------------------------------------------------------------------------------------------


def one_or_several(values: Any) -> tuple[Any, ...]:
    """A tuple from one value or from several."""
    try:
        return tuple(values)
    except TypeError:
        return (values,)


def mode_of(mode: Any, count: int) -> int:
    """One of ``count`` modes, as a Python integer.

    Raises:
        ValueError: if there is no such mode.
    """
    if not is_integer(mode, 0) or mode >= count:
        raise ValueError(f"Argument `mode` must be an integer from 0 to {count - 1}, got {mode!r}.")
    return int(mode)


def modes_of(
    modes: int | Iterable[int], count: int, what: str = "Argument `modes`", least: int = 0
) -> tuple[int, ...]:
    """One mode or several of ``count``, as a tuple of Python integers.

    Raises:
        ValueError: naming them as ``what``, if there is no such mode, one is repeated, or fewer
            than ``least`` are named.
    """
    listed = one_or_several(modes)
    if not all(is_integer(mode, 0) and mode < count for mode in listed):
        raise ValueError(f"{what} must be integers from 0 to {count - 1}, got {modes!r}.")
    if len(listed) < least:
        raise ValueError(f"{what} must name at least one mode, got {modes!r}.")
    if len(set(listed)) != len(listed):
        raise ValueError(f"{what} must not repeat a mode, got {modes!r}.")
    return tuple(map(int, listed))


def cutoffs_of(
    cutoff: Any, modes: int | None, name: str = "cutoff", instead: str = ""
) -> tuple[int, ...]:
    """A cutoff for each mode from the argument called ``name``: an integer stands for all modes.

    Args:
        cutoff: an integer, or one for each mode.
        modes: the number of modes; None: as many as there are cutoffs.
        name: of the argument.
        instead: what may be given instead, for the errors.

    Raises:
        TypeError: if it is not made of integers that are known before tracing.
        ValueError: if one is below 1, or there is not one for each mode.
    """
    each = {1: "", None: ", or one for each mode"}.get(modes, f", or one for each of {modes} modes")
    wanted = f"Argument `{name}` must be an integer >= 1{each}{instead}"
    try:
        listed = tuple(cutoff)
    except TypeError:
        listed = (cutoff,) * (modes or 1)
    try:
        listed = tuple(map(_index, listed))
    except TypeError:
        raise TypeError(f"{wanted}, known before tracing, got {cutoff!r}.") from None
    if not listed or modes not in (None, len(listed)) or min(listed) < 1:
        raise ValueError(f"{wanted}, got {cutoff!r}.")
    return listed


def _index(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)


# Keys
# -------------------------------------------------------------------------------------------------


def check_key(key) -> None:
    """Raise ValueError unless ``key`` is a single JAX random key."""
    array = isinstance(key, jax.Array | np.ndarray)  # NumPy's, from a checkpoint for example
    typed = array and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    raw = array and key.dtype == np.uint32 and key.ndim == 1
    if not raw and not (typed and not key.ndim):
        got = f"an array of shape {key.shape}" if array else repr(key)
        raise ValueError(
            f"Argument `key` must be one JAX random key, as jax.random.key(0), got {got}; of "
            "several, batch with jax.vmap."
        )
