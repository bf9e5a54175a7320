"""Parameters of operations: constants, trainable weights, components of the input, outcomes of
measurements, and arithmetic.
"""

import abc
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._eager import is_known
from fockjax._given import checked_integer, is_integer

Initializer = Callable[..., jax.Array]


@dataclass(frozen=True)
class Values:
    """The values that parameters stand for while a circuit runs.

    Attributes:
        weights: arrays by the names of the weights.
        x: the input vector.
        outcomes: what has been measured so far, by the names of the measurements.
    """

    weights: Mapping[str, Any]
    x: Any
    outcomes: Mapping[str, Any] = field(default_factory=dict)

    def update(self, *, weights: Mapping[str, Any] | None = None, outcomes=None) -> "Values":
        """The values with more weights or outcomes."""
        return Values(
            {**self.weights, **(weights or {})}, self.x, {**self.outcomes, **(outcomes or {})}
        )


class Parameter(abc.ABC):
    """A number known when the circuit runs. Supports ``+ - * / **``, signs and `abs`.

    It is real, unless it is the outcome that a heterodyne measurement selects.
    """

    def __array_ufunc__(self, ufunc, method, *operands, **options):
        """Arithmetic with numbers of NumPy; a TypeError for its functions. (JAX has no such hook.
        `__jax_array__` would also be called for arithmetic, and elsewhere JAX itself refuses it.)
        """
        if ufunc in (np.equal, np.not_equal):
            return ufunc is np.not_equal  # no number is a parameter
        if method == "__call__" and ufunc in _ARITHMETIC_OF_NUMPY and not options:
            return Expression(_ARITHMETIC_OF_NUMPY[ufunc], operands)
        raise TypeError(
            f"NumPy's {ufunc.__name__} does not take {self}, a parameter of a circuit: write "
            f"fj.apply(jnp.{ufunc.__name__}, ..) with the same operands."
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of what it stands for, found without computing it."""
        return self.abstract().shape

    def abstract(
        self, outcomes: Mapping[str, jax.ShapeDtypeStruct] | None = None
    ) -> jax.ShapeDtypeStruct:
        """The shape and dtype of what it stands for, found without computing it.

        Args:
            outcomes: those of the outcomes, by their names, if they are known.
        """
        found = list(self.leaves())
        inputs = 1 + max((leaf.index for leaf in found if isinstance(leaf, Input)), default=-1)
        weights = {
            leaf.name: jax.ShapeDtypeStruct(leaf.shape, np.float32)
            for leaf in found
            if isinstance(leaf, Weight)
        }
        if outcomes is None:
            outcomes = {leaf.name: leaf.some for leaf in found if isinstance(leaf, Outcome)}
        x = jax.ShapeDtypeStruct((inputs,), np.float32)
        with jax.numpy_dtype_promotion("standard"):  # whether it may be mixed, the call will tell
            return jax.eval_shape(lambda *of: self.evaluate(Values(*of)), weights, x, outcomes)

    @abc.abstractmethod
    def evaluate(self, values: Values) -> jax.Array:
        """The number or array it stands for."""

    @abc.abstractmethod
    def leaves(self) -> "Iterator[Weight | Input | Outcome]":
        """The weights, inputs and outcomes it is made of."""

    def __add__(self, other):
        return Expression("+", (self, other))

    def __radd__(self, other):
        return Expression("+", (other, self))

    def __sub__(self, other):
        return Expression("-", (self, other))

    def __rsub__(self, other):
        return Expression("-", (other, self))

    def __mul__(self, other):
        return Expression("*", (self, other))

    def __rmul__(self, other):
        return Expression("*", (other, self))

    def __truediv__(self, other):
        return Expression("/", (self, other))

    def __rtruediv__(self, other):
        return Expression("/", (other, self))

    def __pow__(self, other):
        return Expression("**", (self, other))

    def __rpow__(self, other):
        return Expression("**", (other, self))

    def __neg__(self):
        return Expression("-", (0.0, self))

    def __pos__(self):
        return self

    def __abs__(self):
        return apply(operator.abs, self)


@dataclass(frozen=True)
class Input(Parameter):
    """Component ``index`` of the input vector that the circuit is called with.

    Example:
        >>> import fockjax as fj
        >>> circuit = fj.Circuit(1).displace(0.5 * fj.Input(0) + fj.Input(1) ** 2, mode=0)
        >>> print(circuit({}, [0.4, 0.1], cutoff=8).mean_amplitude(0).real.round(4))
        0.21
    """

    index: int

    def __post_init__(self):
        checked_integer(self.index, "Argument `index` of Input", 0)

    def evaluate(self, values):
        return values.x[self.index]

    def leaves(self):
        yield self

    def __str__(self):
        return f"x[{self.index}]"


def normal(stddev: float) -> Initializer:
    """An initialiser drawing from a normal distribution of mean 0; unlike JAX's, it pickles."""
    return partial(_normal, stddev)


def _normal(stddev, key, shape, dtype):
    return jnp.asarray(stddev, dtype) * jax.random.normal(key, shape, dtype)


@dataclass(frozen=True)
class Weight(Parameter):
    """A trainable real number or array of them, found by name in the weights of a call.

    Most gates take numbers: index an array weight, ``w[0]``. The same name used twice is the same
    weight.

    Attributes:
        name: its key in the dictionary of weights.
        shape: its shape, a number by default.
        init: a JAX or Flax initialiser, called as ``init(key, shape, dtype)``; by default normal
            with standard deviation 0.1.

    Example:
        >>> import fockjax as fj
        >>> r = fj.Weight("r", 2)
        >>> circuit = fj.Circuit(2).squeeze(r[0], mode=0).squeeze(-r[1], mode=1)
        >>> state = circuit({"r": [0.3, 0.2]}, cutoff=12)
        >>> print(state.quadrature(0).variance.round(4), state.quadrature(1).variance.round(4))
        0.5488 1.4918
    """

    name: str
    shape: tuple[int, ...] = ()
    init: Initializer = field(default=normal(0.1), repr=False)

    def __post_init__(self):
        _check_name(self)
        shape = self.shape if isinstance(self.shape, Sequence) else (self.shape,)
        if not all(is_integer(length, 0) for length in shape):
            raise ValueError(
                f"Argument `shape` of weight {self.name!r} must be an integer or a tuple of "
                f"integers, got {self.shape!r}. Values are given in the call."
            )
        if not callable(self.init):
            raise TypeError(
                f"Argument `init` of weight {self.name!r} must be a function of a key, a shape and "
                f"a dtype, got {self.init!r}. Values are given in the call."
            )
        object.__setattr__(self, "shape", tuple(int(length) for length in shape))

    def __iter__(self) -> Iterator["Parameter"]:
        if not self.shape:
            raise TypeError(
                f"Weight {self.name!r} is a number. For several give it a shape, as "
                f"fj.Weight({self.name!r}, 2)."
            )
        return (self[index] for index in range(self.shape[0]))

    def __getitem__(self, index: Any) -> "Parameter":
        try:
            picked = np.empty(self.shape)[index]
        except IndexError as error:
            raise IndexError(
                f"Index {index!r} of weight {self.name!r} of shape {self.shape}: {error}."
            ) from None
        if picked.shape != ():
            raise ValueError(
                f"Index {index!r} of weight {self.name!r} of shape {self.shape} must pick one "
                "number."
            )
        return Element(self, index)

    def evaluate(self, values):
        return values.weights[self.name]

    def leaves(self):
        yield self

    def __str__(self):
        return self.name


@dataclass(frozen=True)
class PerLayer(Weight):
    """A weight of a repeated block: one for each layer, along a first axis."""

    def is_for_one(self, shape: tuple[int, ...]) -> bool:
        """Whether a shape is that of the weight of one layer."""
        return shape == self.shape[1:]


@dataclass(frozen=True)
class Element(Parameter):
    """One number of an array weight."""

    weight: Weight
    index: Any

    def evaluate(self, values):
        return values.weights[self.weight.name][self.index]

    def leaves(self):
        yield self.weight

    def __str__(self):
        index = self.index if isinstance(self.index, tuple) else (self.index,)
        return f"{self.weight}[{', '.join(map(str, index))}]"


@dataclass(frozen=True)
class Outcome(Parameter):
    """The outcome of a measurement earlier in the circuit: feed-forward.

    Attributes:
        name: the measurement's name, by default "m" and the mode, as in "m0".
        part: "real" or "imag" for a complex outcome (heterodyne), set by ``.real`` and ``.imag``.
        layer: which layer, for a measurement in a repeated block, set by an index: ``outcome[-1]``.
            Inside the block, an outcome without an index is that of the same layer.

    Example:
        >>> import jax, fockjax as fj
        >>> circuit = fj.Circuit(2).two_mode_squeeze(1.0).measure_homodyne(mode=0)
        >>> _ = circuit.x_displace(-fj.Outcome("m0"), mode=1)
    """

    name: str
    part: Literal["", "real", "imag"] = ""
    layer: int | None = None

    def __post_init__(self):
        _check_name(self)

    @property
    def real(self) -> "Outcome":
        """The real part of a complex outcome."""
        return replace(self, part="real")

    @property
    def imag(self) -> "Outcome":
        """The imaginary part of a complex outcome."""
        return replace(self, part="imag")

    def __getitem__(self, layer: int) -> "Outcome":
        if not isinstance(layer, int | np.integer):
            raise ValueError(
                f"The layer of outcome {self.name!r} must be an integer, got {layer!r}."
            )
        return replace(self, layer=int(layer))

    __iter__ = None  # else Python would take it for a sequence without an end

    @property
    def some(self) -> jax.ShapeDtypeStruct:
        """A type and a shape that the outcome may have, for the shape of an expression of it."""
        layers = () if self.layer is None else (max(self.layer + 1, -self.layer),)
        return jax.ShapeDtypeStruct(layers, np.complex64 if self.part else np.float32)

    def evaluate(self, values):
        value = values.outcomes[self.name]
        if self.layer is not None:
            value = value[self.layer]
        return getattr(value, self.part) if self.part else value

    def leaves(self):
        yield self

    def __str__(self):
        layer = "" if self.layer is None else f"[{self.layer}]"
        return f"{self.name}{layer}" + (f".{self.part}" if self.part else "")


def _check_name(leaf: Weight | Outcome) -> None:
    if not isinstance(leaf.name, str) or not leaf.name:
        raise ValueError(
            f"Argument `name` of {type(leaf).__name__} must be a non-empty string, got "
            f"{leaf.name!r}."
        )


def _whole(power: Any) -> Any:
    """A power as an integer if it is a whole number, so that it has all derivatives at 0."""
    return int(power) if isinstance(power, float) and power.is_integer() else power


ARITHMETIC = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": lambda base, power: base ** _whole(power),
}


_ARITHMETIC_OF_NUMPY = {
    np.add: "+",
    np.subtract: "-",
    np.multiply: "*",
    np.divide: "/",
    np.power: "**",
}


@dataclass(frozen=True)
class Expression(Parameter):
    """Arithmetic of parameters and numbers."""

    symbol: str
    operands: tuple[Any, ...]

    def __post_init__(self):
        where = f"An operand of {self.symbol!r}"
        checked = tuple(_as_operand(value, where) for value in self.operands)
        object.__setattr__(self, "operands", checked)

    def evaluate(self, values):
        return ARITHMETIC[self.symbol](*(evaluate(value, values) for value in self.operands))

    def leaves(self):
        yield from leaves(self.operands)

    def __str__(self):
        left, right = map(shown, self.operands)
        if self.symbol == "-" and self.operands[0] == 0:
            return f"-{right}"
        if self.symbol == "**" and left.startswith("-"):  # a power binds closer than a sign
            left = f"({left})"
        return f"({left} {self.symbol} {right})"


def _as_operand(value, where: str):
    """A parameter or a real number, checked by `as_parameter`, or a complex number."""
    if isinstance(value, complex | np.complexfloating) and np.isfinite(value):
        return complex(value)
    return as_parameter(value, where)


@dataclass(frozen=True)
class Function(Parameter):
    """A JAX function of parameters, made by `apply`."""

    function: Callable[..., Any]
    operands: tuple[Any, ...]
    name: str

    def evaluate(self, values):
        operands = [evaluate(value, values) for value in self.operands]
        try:
            return self.function(*operands)
        except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError) as error:
            raise TypeError(
                f"{self}: function {self.name!r} needs numbers, but in a circuit it gets arrays "
                "traced by JAX: make it of jax.numpy functions."
            ) from error

    def leaves(self):
        yield from leaves(self.operands)

    def __reduce__(self):
        # Pickle refuses functions under `jax.jit`, as most of jax.numpy are; their name will do.
        return _restored, (_Named.of(self.function) or self.function, self.operands, self.name)

    def __str__(self):
        return f"{self.name}({', '.join(map(shown, self.operands))})"


class _Named(NamedTuple):
    """A function by its module and its name there."""

    module: str
    name: str

    @staticmethod
    def of(function: Any) -> "_Named | None":
        """The name, if it leads back to the function."""
        named = _Named(*(getattr(function, part, "") for part in ("__module__", "__qualname__")))
        try:
            return named if named.load() is function else None
        except (ImportError, AttributeError, ValueError):
            return None

    def load(self) -> Any:
        return operator.attrgetter(self.name)(import_module(self.module))


def _restored(function: Any, operands: tuple[Any, ...], name: str) -> Function:
    function = function.load() if isinstance(function, _Named) else function
    return Function(function, operands, name)


def apply(function: Callable[..., Any], *operands: Any, name: str | None = None) -> Parameter:
    """A gate's parameter as a function of weights and inputs, beyond ``+ - * / **``.

    A parameter is not a number yet, so ``jnp.sin(weight)`` is an error of JAX; it is written
    ``fj.apply(jnp.sin, weight)``.

    Args:
        function: takes and returns what `jax.numpy` does; differentiable if gradients are wanted.
            It must be pure: a call of the circuit compiles it with what it holds at that time, for
            all later calls. So numbers that change, trainable ones above all, must be operands.
        operands: parameters, whole array weights among them, and numbers.
        name: what it is called where the circuit is shown; by default its own name.

    Raises:
        TypeError: if ``function`` is none, holds arrays as a Flax module does, or has no hash; when
            the circuit is called, if it is not made of JAX functions.

    Example:
        >>> import jax.numpy as jnp, fockjax as fj
        >>> circuit = fj.Circuit(1).squeeze(fj.apply(jnp.tanh, fj.Weight("r")), mode=0)
        >>> circuit
        Circuit of 1 mode, 0 inputs, 1 weight
          squeezing(r=tanh(r), phi=0) on mode 0
        >>> print(circuit({"r": 0.4}, cutoff=10).photon_number(0).mean.round(4))
        0.1513
    """
    if not callable(function):
        raise TypeError(f"Argument `function` must be callable, got {function!r}.")
    kind = type(function).__name__
    if any(isinstance(leaf, jax.Array | np.ndarray) for leaf in jax.tree.leaves(function)):
        raise TypeError(
            f"Argument `function` is a {kind}, which holds arrays: they would be fixed at the "
            "first call of the circuit. Compute with it outside and give the circuit the result as "
            "`fj.Input`, or make what it holds `fj.Weight` operands of a function."
        )
    try:
        hash(function)
    except TypeError as error:
        raise TypeError(
            f"Argument `function` must be hashable, as compiled circuits are told apart by it, "
            f"but a {kind} is not: give a function, or a frozen dataclass."
        ) from error
    name = name or str(getattr(function, "__name__", type(function).__name__))
    checked = tuple(
        as_array_parameter(value, f"Operand {k} of {name}") for k, value in enumerate(operands)
    )
    return Function(function, checked, name)


def evaluate(value, values: Values):
    """The number or array a parameter stands for; a constant stands for itself."""
    return value.evaluate(values) if isinstance(value, Parameter) else value


def leaves(values) -> Iterator[Weight | Input | Outcome]:
    """The weights, inputs and outcomes in several parameters, some of which may be constants."""
    for value in values:
        if isinstance(value, Parameter):
            yield from value.leaves()


def has_complex(value) -> bool:
    """Whether a parameter is made of complex numbers, among others."""
    return isinstance(value, complex) or any(map(has_complex, getattr(value, "operands", ())))


def shown(value) -> str:
    """A parameter as the text of a circuit shows it."""
    if isinstance(value, np.ndarray) and value.ndim:
        return f"array{value.shape}".replace(",)", ")")
    if isinstance(value, complex):
        return f"({value:g})"
    return str(value) if isinstance(value, Parameter) else f"{value:g}"


def as_array_parameter(value, where: str):
    """Check an argument of a gate that may be an array: a parameter, real numbers, or a sequence of
    both. Constants become float64 arrays.

    Raises:
        TypeError, ValueError: naming ``where`` it stands.
    """
    if isinstance(value, Parameter):
        return value
    if isinstance(value, Sequence) and any(isinstance(entry, Parameter) for entry in value):
        entries = tuple(as_parameter(entry, where) for entry in value)
        return Function(stack, entries, "stack")
    if not is_known(value):
        raise TypeError(_TRACED.format(where))
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise ValueError(
            f"{where} must be made of real numbers, fj.Weight or fj.Input, got {value!r}."
        )
    array = array.astype(float)
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{where} must be finite, got {value!r}.")
    return array


def stack(*values):
    dtype = jnp.result_type(*values)
    return jnp.stack([jnp.asarray(value, dtype) for value in values])


_TRACED = (
    "{} is traced by JAX; a circuit is data: use fj.Weight or fj.Input and pass the value at the "
    "call."
)


def as_parameter(value, where: str):
    """Check an argument of a gate that is one number: a parameter, or a real number, which becomes
    a float.

    Raises:
        TypeError, ValueError: naming ``where`` it stands.
    """
    if isinstance(value, Parameter):
        for weight in value.leaves():
            if value is weight and isinstance(weight, Weight) and weight.shape:
                raise ValueError(
                    f"{where}: weight {weight.name!r} has shape {weight.shape}, a gate takes a "
                    f"number; index it, as {weight.name}[0]."
                )
        return value
    if isinstance(value, bool | str) or value is None:
        raise TypeError(
            f"{where} must be a real number, fj.Weight, fj.Input or fj.Outcome, got {value!r}."
        )
    if callable(value):
        raise TypeError(
            f"{where} must be a real number or a parameter, got {value!r}; a function of "
            "parameters is fj.apply(function, parameter, ..)."
        )
    if not is_known(value):
        raise TypeError(_TRACED.format(where))
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "fiu":
        raise ValueError(
            f"{where} must be one real number, fj.Weight or fj.Input, got an array of shape "
            f"{array.shape} and dtype {array.dtype}; batch with jax.vmap, give modulus and phase "
            "apart."
        )
    number = float(array)
    if not np.isfinite(number):
        raise ValueError(f"{where} must be finite, got {number}.")
    return number
