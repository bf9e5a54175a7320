"""The operations of a circuit: steps, which are entries of the registries, and repeated layers."""

import abc
import hashlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np

from fockjax._spec import DetectorSpec, Spec
from fockjax.channels import REGISTRY as CHANNELS
from fockjax.detectors import REGISTRY as DETECTORS
from fockjax.gates import REGISTRY as GATES
from fockjax.kets import REGISTRY as KETS
from fockjax.mixed import REGISTRY as MIXED
from fockjax.parameters import Outcome, Parameter, Values, Weight, evaluate, leaves, shown


@dataclass(frozen=True, eq=False)
class Operation:
    """A part of a circuit. Operations are equal if they do the same, so that a circuit that is
    built anew is not compiled anew.

    Example:
        >>> import fockjax as fj
        >>> first, second = (fj.Circuit(1).squeeze(fj.Weight("r"), mode=0) for _ in range(2))
        >>> first.operations == second.operations
        True
    """

    @cached_property
    def _same(self) -> Hashable:
        return _of_fields(self)

    def __eq__(self, other):
        return self is other or (isinstance(other, Operation) and self._same == other._same)

    def __hash__(self):
        return hash(self._same)

    def __getstate__(self):  # the fields only: what is cached need not pickle
        return {part.name: getattr(self, part.name) for part in fields(self)}


def _same(value: Any) -> Hashable:
    """A key that is equal for equal values: of arrays, every element must agree; of weights, the
    name and the shape, not the initialiser.
    """
    match value:
        case Weight():
            return Weight, value.name, value.shape
        case Parameter():
            return _of_fields(value)
        case np.ndarray() | jax.Array():
            content = hashlib.sha256(np.asarray(value).tobytes()).digest()
            return value.shape, str(value.dtype), content
        case float():
            return value.hex()  # which tells -0.0 from 0.0
        case dict():
            return tuple((name, _same(each)) for name, each in value.items())
        case tuple() | list():
            return type(value), *map(_same, value)
        case slice():  # hashable from Python 3.12 on
            return slice, value.start, value.stop, value.step
    return type(value), value


def _of_fields(value: Any) -> Hashable:
    return type(value), *(_same(getattr(value, part.name)) for part in fields(value))


@dataclass(frozen=True, eq=False)
class Step(Operation, abc.ABC):
    """One registered operation of a circuit.

    Attributes:
        name: its name in the registry.
        parameters: its parameters by name; constants are floats, or arrays.
        modes: the modes it acts on.
        options: what is not a real number, by name.
    """

    name: str
    parameters: dict[str, Any]
    modes: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    @abc.abstractmethod
    def spec(self) -> Spec:
        """Its entry in the registry."""

    @property
    def fed_forward(self) -> bool:
        """Whether a parameter depends on what was measured before."""
        return any(isinstance(leaf, Outcome) for leaf in leaves(self.parameters.values()))

    def __str__(self):
        values = [f"{name}={shown(value)}" for name, value in self.parameters.items()]
        values += [
            f"{name}={value}"
            for name, value in self.options.items()
            if value != self.spec.options[name]
        ]
        plural = "s" if len(self.modes) > 1 else ""
        return f"{self.name}({', '.join(values)}) on mode{plural} " + ", ".join(
            map(str, self.modes)
        )


@dataclass(frozen=True, eq=False)
class Gate(Step):
    """A gate."""

    @property
    def spec(self):
        return GATES[self.name]


@dataclass(frozen=True, eq=False)
class Noise(Step):
    """A channel."""

    @property
    def spec(self):
        return CHANNELS[self.name]


@dataclass(frozen=True, eq=False)
class Preparation(Step):
    """A preparation: its modes are given a state of their own, whatever they held before."""

    @property
    def spec(self) -> Spec:
        return KETS[self.name] if self.name in KETS else MIXED[self.name]

    @property
    def is_mixed(self) -> bool:
        """Whether the state is a density matrix."""
        return self.name in MIXED

    def __str__(self):
        return f"prepare {super().__str__()}"


@dataclass(frozen=True, eq=False)
class Measurement(Step):
    """A measurement of one mode, which is in the vacuum afterwards.

    Attributes:
        label: the name of the outcome.

    A post-selection has the outcome that is selected among its parameters, as "select".
    """

    label: str = ""

    @property
    def spec(self) -> DetectorSpec:
        return DETECTORS[self.name]

    @property
    def selects(self) -> bool:
        """Whether the outcome is given instead of drawn."""
        return "select" in self.parameters

    def __str__(self):
        return f"measure {super().__str__()} as {self.label}"


@dataclass(frozen=True, eq=False)
class Repeat(Operation):
    """Equal layers.

    Attributes:
        operations: the operations of one layer.
        weights: the names of the weights of which each layer has its own, along a leading axis of
            length ``times``. All other weights are shared by the layers.
        times: the number of layers.
        remat: whether a gradient computes each layer once more instead of keeping its states.
    """

    operations: tuple["Step | Repeat", ...]
    weights: tuple[str, ...]
    times: int
    remat: bool = False

    @property
    def shared(self) -> tuple[str, ...]:
        """The names of the weights that have one value for all layers."""
        found = (
            leaf for step in flat(self.operations) for leaf in leaves(step.parameters.values())
        )
        names = dict.fromkeys(leaf.name for leaf in found if isinstance(leaf, Weight))
        return tuple(name for name in names if name not in self.weights)


Operations = tuple[Step | Repeat, ...]


def flat(operations: Operations) -> Iterator[Step]:
    """All steps in order; those of repeated layers occur once."""
    for operation in operations:
        if isinstance(operation, Repeat):
            yield from flat(operation.operations)
        else:
            yield operation


def placed(operations: Operations, modes: Sequence[int]) -> Operations:
    """The same operations on other modes: ``modes[m]`` instead of m."""

    def moved(operation: Step | Repeat) -> Step | Repeat:
        if isinstance(operation, Repeat):
            return replace(operation, operations=placed(operation.operations, modes))
        return replace(operation, modes=tuple(modes[mode] for mode in operation.modes))

    return tuple(map(moved, operations))


def written_out(
    operations: Operations, values: Values, evaluate: Callable[[Any, Values], Any] = evaluate
) -> Iterator[Step]:
    """All steps in order, layers written out, with the values of their parameters.

    Steps are generated one by one, so that outcomes may be added to ``values.outcomes`` in between.
    A parameter that depends on an outcome which is not there yet stays as it is.
    """
    for operation in operations:
        if isinstance(operation, Repeat):
            for k in range(operation.times):
                layer = {name: values.weights[name][k] for name in operation.weights}
                inner = replace(values, weights={**values.weights, **layer})
                yield from written_out(operation.operations, inner, evaluate)
        else:
            yield replace(
                operation,
                parameters={
                    name: evaluate(value, values) if _is_known(value, values) else value
                    for name, value in operation.parameters.items()
                },
            )


def _is_known(value: Any, values: Values) -> bool:
    return all(
        leaf.name in values.outcomes for leaf in leaves([value]) if isinstance(leaf, Outcome)
    )
