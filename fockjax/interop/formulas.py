"""Parameters from SymPy expressions, which Strawberry Fields has, and SymPy expressions from
parameters.

SymPy is imported inside functions only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax.parameters import (
    ARITHMETIC,
    Expression,
    Function,
    Outcome,
    Parameter,
    Values,
    evaluate,
    stack,
)

# Functions of `jax.numpy` and their names in SymPy.
FUNCTIONS = {
    "abs": "Abs",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "cos": "cos",
    "cosh": "cosh",
    "exp": "exp",
    "log": "log",
    "sign": "sign",
    "sin": "sin",
    "sinh": "sinh",
    "sqrt": "sqrt",
    "tan": "tan",
    "tanh": "tanh",
}


@dataclass(frozen=True, eq=False)
class Formula(Parameter):
    """A SymPy expression of weights and inputs.

    Attributes:
        expression: the expression.
        symbols: the symbols in it.
        operands: the parameter that each symbol stands for.
    """

    expression: Any
    symbols: tuple[Any, ...]
    operands: tuple[Parameter, ...]

    def evaluate(self, values):
        function = _compiled(self.expression, self.symbols)
        return function(*(evaluate(operand, values) for operand in self.operands))

    def leaves(self):
        for operand in self.operands:
            yield from operand.leaves()

    def __str__(self):
        import sympy

        names = [sympy.Symbol(str(operand)) for operand in self.operands]
        return str(self.expression.xreplace(dict(zip(self.symbols, names, strict=True))))


@cache
def _compiled(expression, symbols):
    """An expression as a JAX function; not an attribute of `Formula`, as it does not pickle."""
    import sympy

    return sympy.lambdify(symbols, expression, "jax")


def as_sympy(value: Any, values: Values) -> Any:
    """A parameter as a number or SymPy expression, or an array of these.

    Args:
        value: a parameter of a step.
        values: what weights, inputs and outcomes stand for: numbers or symbols; for an outcome a
            list of them, one for each layer.

    Raises:
        ValueError: for a function of symbols that SymPy does not have, or an outcome that is None.
    """

    def operands():
        return [as_sympy(operand, values) for operand in value.operands]

    if isinstance(value, Outcome):
        value = _measured(value, values.outcomes[value.name])
    elif isinstance(value, Expression):
        value = ARITHMETIC[value.symbol](*operands())
    elif isinstance(value, Formula):
        value = value.expression.subs(dict(zip(value.symbols, operands(), strict=True)))
    elif isinstance(value, Function):
        value = _applied(value, operands())
    else:
        value = evaluate(value, values)
    return _plain(value)


def _plain(value: Any) -> Any:
    """A number of NumPy, JAX or SymPy as a Python number; anything else as it is."""
    if isinstance(value, np.ndarray | jax.Array):
        value = np.asarray(value)
        return value if value.ndim else _plain(value.item())
    if getattr(value, "free_symbols", None) or isinstance(value, complex):
        return value
    return float(value)


def _measured(outcome: Outcome, layers: Sequence[Any]) -> Any:
    """The measured parameter that stands for an outcome, taken from one for each layer so far."""
    import sympy

    value = layers[-1 if outcome.layer is None else outcome.layer]
    if value is None:
        raise ValueError(
            f"Outcome {outcome.name!r} is used after its mode was measured again, and Strawberry "
            "Fields remembers the last outcome of a mode only."
        )
    return (
        getattr(sympy, {"real": "re", "imag": "im"}[outcome.part])(value) if outcome.part else value
    )


def _applied(function: Function, operands: list[Any]) -> Any:
    """A function of numbers and SymPy expressions."""
    import sympy

    if function.function is stack:
        return np.array(operands)
    if all(np.asarray(operand).dtype != object for operand in operands):
        return function.function(*operands)
    known = {getattr(jnp, ours): getattr(sympy, theirs) for ours, theirs in FUNCTIONS.items()}
    try:
        return known.get(function.function, function.function)(*operands)
    except Exception as error:  # whatever a function of the user's does with symbols
        raise ValueError(
            f"SymPy has no expression for {function}; give `weights` and `x` to write its value."
        ) from error
