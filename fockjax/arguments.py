"""Checks of what users give to a circuit and its methods.

All raise a TypeError or ValueError that names the argument and tells what was given.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._eager import is_known
from fockjax._given import (
    check_options,
    checked_integer,
    cutoffs_of,
    modes_of,
    one_or_several,
)
from fockjax._numerics import real_dtype
from fockjax._parts import PARTS
from fockjax._spec import Spec
from fockjax.layout import Box, Layout, Simplex, TotalPhotons
from fockjax.parameters import Parameter, PerLayer, Weight, as_array_parameter, as_parameter

# An operation
# -------------------------------------------------------------------------------------------------


def entry(name: str, registry: Mapping[str, Any], what: str) -> Any:
    """The entry of a registry."""
    if name not in registry:
        raise ValueError(f"Unknown {what} {name!r}; there are {', '.join(sorted(registry))}.")
    return registry[name]


def selected(kind: str, outcome: Any, where: str) -> Any:
    """An outcome to select, checked."""
    where = f"{where}: `select`"
    if isinstance(outcome, np.ndarray | jax.Array) and is_known(outcome):
        outcome = np.asarray(outcome)[()]  # a number, if it is one
    if isinstance(outcome, Sequence | np.ndarray) and not isinstance(outcome, str):
        raise ValueError(f"{where} must be one outcome of the one mode measured, got {outcome!r}.")
    if kind == "integer" and not isinstance(outcome, Parameter):
        return checked_integer(outcome, where, 0)
    if kind == "complex" and isinstance(outcome, int | float | complex | np.number):
        if not np.isfinite(outcome):
            raise ValueError(f"{where} must be finite, got {outcome!r}.")
        return complex(outcome)
    return as_parameter(outcome, where)


def step_parts(
    spec: Spec, where: str, values, modes, named, *, circuit_modes: int, hbar: float, more=None
) -> tuple[dict[str, Any], tuple[int, ...], dict[str, Any]]:
    """Parameters, modes and options of an operation from what it is called with.

    Args:
        spec: the registry's entry for the operation.
        where: how messages refer to it.
        values: its parameters, then its options, in order.
        modes: the modes it acts on.
        named: parameters and options by name.
        circuit_modes: how many modes the circuit has.
        hbar: the convention of the circuit.
        more: parameters that are checked already and not in the spec.
    """
    modes = modes_for(spec.modes, where, modes, circuit_modes)
    known = (*spec.parameters, *(option for option in spec.options if option != "hbar"))
    # Parameters are real; a complex array stands for its two parts.
    if spec.parameters == PARTS and len(values) == 1 and np.iscomplexobj(values[0]):
        values = (np.real(values[0]), np.imag(values[0]))
    if len(values) > len(known):
        raise ValueError(f"{where} takes parameters {known}, got {len(values)} values.")
    given = dict(zip(known, values, strict=False))
    for name in named:
        if name not in known or name in given:
            raise ValueError(
                f"{where}: parameter {name!r} is unknown or given twice; it takes {known}."
            )
    given = {**spec.defaults, **given, **named}
    missing = [name for name in spec.parameters if name not in given]
    if missing:
        raise ValueError(f"{where} needs a value for {', '.join(missing)}.")
    parameters = {}
    for name in spec.parameters:
        checked = as_array_parameter if name in spec.arrays else as_parameter
        parameters[name] = checked(given[name], f"{where}: parameter {name!r}")
    parameters |= more or {}
    options = {name: given.get(name, default) for name, default in spec.options.items()}
    if "hbar" in options:
        options["hbar"] = hbar
    try:
        check_options(spec.options, options)
        if spec.check:
            spec.check(parameters, modes, options)
    except TypeError as error:
        raise TypeError(f"{where}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return parameters, modes, options


def modes_for(count: int | None, where: str, modes, circuit_modes: int) -> tuple[int, ...]:
    """The modes of an operation on ``count`` modes (None: any number), checked."""
    listed = one_or_several(modes)
    if count and len(listed) != count:
        hint = "; add it once for each of them" if count == 1 else ""
        raise ValueError(f"{where} acts on {count} mode(s), got modes {listed}{hint}.")
    return modes_of(listed, circuit_modes, f"{where}: modes", 1)


# A call
# -------------------------------------------------------------------------------------------------


Cutoff = int | Sequence[int] | TotalPhotons
"""A truncation: a cutoff for all modes, one for each, or a bound on the total."""


def layout_of(modes: int, cutoff: Cutoff) -> Layout:
    """The layout of a ket of all modes."""
    if isinstance(cutoff, TotalPhotons):
        return Simplex(cutoff.below, modes)
    return Box(cutoffs_of(cutoff, modes, instead=" or fj.TotalPhotons"))


def weights_of(expected: Mapping[str, Weight], weights, dtype) -> dict[str, jax.Array]:
    """The weights of a call, checked: an array for each weight, by its name."""
    if not isinstance(weights, Mapping):
        raise TypeError(
            "Argument `weights` must be a dictionary from names to arrays, as "
            f"`circuit.init(key)` returns it, got {type(weights).__name__}."
        )
    missing = sorted(expected.keys() - weights.keys())
    unknown = sorted(weights.keys() - expected.keys())
    if missing or unknown:
        raise ValueError(
            f"Argument `weights`: missing {missing}, unknown {unknown}; `circuit.init(key)` "
            "shows what is expected."
        )
    checked = {}
    for name, weight in expected.items():
        value = jnp.asarray(weights[name])
        if value.shape != weight.shape or jnp.issubdtype(value.dtype, jnp.complexfloating):
            hint = ""
            if isinstance(weight, PerLayer) and weight.is_for_one(value.shape):
                hint = f" (For one value in all layers, repeat the block with `shared={name!r}`.)"
            raise ValueError(
                f"Weight {name!r} must be real of shape {weight.shape}, got {value.dtype} of "
                f"shape {value.shape}.{hint}"
            )
        checked[name] = value.astype(dtype)
    return checked


def input_of(length: int, x, dtype) -> jax.Array | None:
    """The input vector of a call, checked; None if the circuit has no inputs."""
    wanted = (length,)
    if x is None:
        if length:
            raise ValueError(
                f"Argument `x` is missing: the circuit takes an input of shape {wanted}."
            )
        return None
    x = jnp.asarray(x)
    if x.shape != wanted or jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise ValueError(
            f"Argument `x` must be real of shape {wanted}, one sample, got {x.dtype} of "
            f"shape {x.shape}; batch with jax.vmap."
        )
    return x.astype(dtype)


def weight_dtype(dtype) -> np.dtype:
    """The real dtype of weights, checked; by default float32, or float64 where x64 is on."""
    dtype = real_dtype() if dtype is None else jnp.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"Weights must be float32 or float64, got `dtype` {dtype}.")
    if dtype == np.float64 != real_dtype():
        raise ValueError(
            "Weights of float64 need 64-bit types, which are off: call "
            'jax.config.update("jax_enable_x64", True) first, or ask for float32.'
        )
    return dtype
