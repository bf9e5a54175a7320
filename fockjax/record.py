"""What a circuit has measured so far: its outcomes, and the modes that are still measured."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from fockjax.operations import Measurement, Repeat, Step, flat
from fockjax.parameters import Outcome, has_complex, leaves


@dataclass(frozen=True)
class OutcomeType:
    """What kind of number an outcome is, and how often it is measured.

    Attributes:
        kind: "integer", "real" or "complex".
        layers: in how many layers it is measured; None if it is not measured in layers.
    """

    kind: str
    layers: int | None = None

    @property
    def abstract(self) -> jax.ShapeDtypeStruct:
        """Its shape and dtype, as parameters see it."""
        shape = () if self.layers is None else (self.layers,)
        return jax.ShapeDtypeStruct(shape, np.complex64 if self.kind == "complex" else np.float32)


@dataclass(frozen=True)
class Record:
    """The outcomes by name, and the modes on which nothing has acted since they were measured."""

    outcomes: Mapping[str, OutcomeType] = field(default_factory=dict)
    measured: frozenset[int] = frozenset()

    def after(self, operations: Sequence[Step | Repeat], where: str) -> "Record":
        """The record after more operations.

        Raises:
            ValueError: naming ``where``, if a mode is measured twice with nothing in between, or a
                name is already taken.
        """
        outcomes, measured = dict(self.outcomes), self.measured
        for operation in operations:
            times = operation.times if isinstance(operation, Repeat) else 1
            for step in [*flat((operation,))] * min(times, 2):  # twice: layers follow each other
                again = measured.intersection(step.modes) if isinstance(step, Measurement) else ()
                if again:
                    raise ValueError(
                        f"{where}: mode {min(again)} has been measured and is in the vacuum since. "
                        "Prepare it anew, or leave one of the measurements out."
                    )
                measured = measured.difference(step.modes)
                if isinstance(step, Measurement):
                    measured = measured.union(step.modes)
            for name, found in _named(operation, where):
                if name in outcomes:
                    raise ValueError(
                        f"{where}: an outcome is called {name!r} already; give this one another "
                        "`name`."
                    )
                outcomes[name] = found
        return Record(outcomes, measured)

    def check(self, step: Step, where: str) -> None:
        """Refuse parameters with outcomes that have not been measured yet, and complex ones, except
        for a complex outcome to select.

        Raises:
            ValueError: naming ``where``.
        """
        for name, value in step.parameters.items():
            for leaf in leaves([value]):
                if isinstance(leaf, Outcome):
                    self._check_outcome(leaf, where)
            if not _selects_complex(step, name) and self._is_complex(value):
                raise ValueError(
                    f"{where}: parameter {name!r} must be real, but {value} is complex: take the "
                    ".real, .imag or abs of an outcome, or give modulus and phase apart."
                )

    def _is_complex(self, value: Any) -> bool:
        """Whether a parameter made of complex numbers or outcomes is complex itself."""
        outcomes = {
            leaf.name: self.outcomes[leaf.name].abstract
            for leaf in leaves([value])
            if isinstance(leaf, Outcome)
        }
        among = has_complex(value) or any(each.dtype.kind == "c" for each in outcomes.values())
        return among and value.abstract(outcomes).dtype.kind == "c"

    def _check_outcome(self, outcome: Outcome, where: str) -> None:
        found = self.outcomes.get(outcome.name)
        if found is None:
            known = f"there are {', '.join(self.outcomes)}" if self.outcomes else "there are none"
            raise ValueError(f"{where}: no outcome before it is called {outcome.name!r}; {known}.")
        if outcome.part and found.kind != "complex":
            raise ValueError(
                f"{where}: outcome {outcome.name!r} is {found.kind}; leave the part out."
            )
        layers = found.layers
        if (layers is None) != (outcome.layer is None):
            advice = (
                "leave the index out"
                if layers is None
                else f"it was measured in each of {layers} layers; take one, as [-1]"
            )
            raise ValueError(f"{where}: outcome {outcome.name!r}: {advice}.")
        if layers is not None and not -layers <= (outcome.layer or 0) < layers:
            raise ValueError(
                f"{where}: outcome {outcome.name!r} has {layers} layers, got [{outcome.layer}]."
            )


def _selects_complex(step: Step, parameter: str) -> bool:
    """Whether a parameter is an outcome to select that may be complex."""
    return (
        isinstance(step, Measurement) and parameter == "select" and step.spec.outcome == "complex"
    )


def _named(operation: Step | Repeat, where: str) -> Iterator[tuple[str, OutcomeType]]:
    """The outcomes of an operation with their names."""
    if isinstance(operation, Measurement):
        yield operation.label, OutcomeType(operation.spec.outcome)
    elif isinstance(operation, Repeat):
        for inner in operation.operations:
            for name, found in _named(inner, where):
                if found.layers is not None:
                    raise ValueError(
                        f"{where}: outcome {name!r} is measured in a block within a block; a "
                        "measurement can be repeated in one block only."
                    )
                yield name, OutcomeType(found.kind, operation.times)
