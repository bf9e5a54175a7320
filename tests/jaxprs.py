"""Looking into what JAX traced."""

import jax
import numpy as np


def equations(function, *args):
    """All equations of a traced function, those inside jit, scan and the like too."""
    return list(_walk(jax.make_jaxpr(function)(*args).jaxpr))


def _walk(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(inner):
                yield from _walk(getattr(inner, "jaxpr", inner))


def _is_jaxpr(value):
    return hasattr(value, "eqns") or hasattr(getattr(value, "jaxpr", None), "eqns")


def shapes(function, *args):
    """The shapes of everything that a traced function computes or takes in, constants too."""
    return {
        tuple(variable.aval.shape)
        for equation in equations(function, *args)
        for variable in (*equation.invars, *equation.outvars)
        if hasattr(variable.aval, "shape")
    }


def largest(function, *args):
    """The number of elements of the largest array that a traced function meets."""
    return max(int(np.prod(shape)) for shape in shapes(function, *args))
