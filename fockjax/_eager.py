"""Functions that are called outside `jax.jit`, as in notebooks, compiled as one program.

Run operation by operation, such a call would compile and dispatch tens of small programs.
"""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from numbers import Number
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np
from jax.core import Tracer

P = ParamSpec("P")
R = TypeVar("R")


def is_known(values: Any) -> bool:
    """Whether no leaf of a pytree is traced, so that its values can be checked."""
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(values))


def _is_plain(leaf: Any) -> bool:
    """Whether a leaf is not traced and of a type that `jax.jit` accepts (`jnp.asarray` accepts
    more).
    """
    if isinstance(leaf, jax.Array):
        return not isinstance(leaf, Tracer)
    return type(leaf) is np.ndarray or isinstance(leaf, Number | np.generic)


def jit_when_eager(*static: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: compile a function where none of its arguments is traced, else call it as it is.

    The function may check shapes and static arguments, but not values, which it does not see.

    Args:
        static: the names of the arguments that are not arrays.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        names = tuple(signature(function).parameters)
        compiled: Callable[..., R] = jax.jit(function, static_argnames=static)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            fixed, arrays = [], []
            for name, value in (*zip(names, args, strict=False), *kwargs.items()):
                (fixed if name in static else arrays).append(value)
            if not all(map(_is_plain, jax.tree.leaves(arrays))):
                return function(*args, **kwargs)
            try:
                hash(tuple(fixed))
            except TypeError:  # such as a list of modes; what is invalid, the function refuses
                return function(*args, **kwargs)
            return compiled(*args, **kwargs)

        return call

    return decorate
