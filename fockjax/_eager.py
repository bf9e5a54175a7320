"""What is called outside `jax.jit`, as notebooks do, compiled as one program.

Operation by operation a first call compiles, and each call dispatches, tens of small programs.
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
    """Whether no part of them is traced: what is wrong with them can be said."""
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(values))


def _is_plain(leaf: Any) -> bool:
    """Whether it is known, and of a type that `jax.jit` takes: `jnp.asarray` takes more."""
    if isinstance(leaf, jax.Array):
        return not isinstance(leaf, Tracer)
    return type(leaf) is np.ndarray or isinstance(leaf, Number | np.generic)


def as_one(*static: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a function where nothing it is given is traced; elsewhere it stays as it is.

    It may check shapes and what is static, but not values, which it does not see.

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
            except TypeError:  # as a list of modes; or no good at all, which the function tells
                return function(*args, **kwargs)
            return compiled(*args, **kwargs)

        return call

    return decorate
