"""What a circuit needs to know of the operations it is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from inspect import signature
from numbers import Real
from typing import Any, ParamSpec, TypeVar

from fockjax._given import (
    check_number,
    check_options,
    check_range,
    check_real,
    cutoffs_of,
    is_integer,
)

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class Spec:
    """An operation as the circuit, the planner and the cross-validation see it.

    Attributes:
        name: its name in `Circuit.add` or `Circuit.prepare`.
        parameters: the names of its real parameters, in order.
        modes: how many modes it acts on; None: any number.
        build: makes it for one sample: ``build(*parameters, cutoff=..., dtype=..., **options)``,
            where ``cutoff`` is an integer if ``modes`` is 1 and a tuple otherwise. It makes an
            `Operator` for a gate, a `Channel` for a channel, the ket of its modes for a pure state,
            and for a mixed one their density matrix, all row axes before the column axes.
        defaults: values of the parameters that may be left out.
        arrays: the parameters that are real arrays; the others are numbers.
        options: what is not a real number and known before tracing: names with defaults. An option
            called ``hbar`` has the value of the circuit.
        check: called as ``check(parameters, modes, options)`` where the operation is added to a
            circuit; raises ValueError for what can be refused then. Parameters that are not
            constants are `Parameter` objects.
        reflects: called with the options; tells whether what crosses the cutoff comes back, or is
            normalised away, instead of being lost, so that the leakage is a lower bound.
        of_sample: the name of a parameter, and the function that makes the operation instead of
            ``build`` where that parameter depends on an input or an outcome, so that it differs
            from sample to sample.
        of_total: the function that makes the operation instead of ``build`` under `TotalPhotons`.
        truncates: whether part of the state may lie above the cutoff afterwards.
        needs: called with the parameters and the options; the photons that the mode must be able to
            hold, whatever the light. An operation that says so acts on one mode.
    """

    name: str
    parameters: tuple[str, ...]
    modes: int | None
    build: Callable[..., Any]
    defaults: Mapping[str, float] = field(default_factory=dict)
    arrays: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[..., None] | None = None
    reflects: Callable[[Mapping[str, Any]], bool] = lambda options: False
    of_sample: tuple[str, Callable[..., Any]] | None = None
    of_total: Callable[..., Any] | None = None
    truncates: bool = True
    needs: Callable[[Mapping[str, Any], Mapping[str, Any]], Any] = lambda parameters, options: 0


@dataclass(frozen=True, eq=False)
class DetectorSpec(Spec):
    """A measurement of one mode: ``build`` makes a `Detector`.

    Attributes:
        outcome: what an outcome is, "integer", "real" or "complex".
        truncates: no: the mode is left in the vacuum.
    """

    outcome: str = "real"
    truncates: bool = False


def public(kernel: Callable[P, R], registry: Mapping[str, Spec]) -> Callable[P, R]:
    """A kernel as users call it, with its arguments checked. (A circuit calls ``Spec.build``, as it
    has checked them before.)

    Args:
        kernel: the function that builds an operation.
        registry: has the operation, under the name of the kernel.
    """
    spec = registry[kernel.__name__]
    order = tuple(signature(kernel).parameters)
    numbers = set(spec.parameters) - set(spec.arrays)

    @wraps(kernel)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in (*zip(order, args, strict=False), *kwargs.items()):
            if name in numbers:
                check_number(name, value)
            elif name in spec.arrays:
                check_real(name, value)
        check_options(spec.options, {name: kwargs[name] for name in spec.options if name in kwargs})
        if "cutoff" in kwargs:
            sizes = cutoffs_of(kwargs["cutoff"], spec.modes)
            one = spec.modes == 1 or is_integer(kwargs["cutoff"])
            kwargs["cutoff"] = sizes[0] if one else sizes
        return kernel(*args, **kwargs)

    return checked


def check_shapes(parameters: Mapping[str, Any], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ValueError unless the parameters named have the shapes expected."""
    for name, shape in expected.items():
        if parameters[name].shape != shape:
            raise ValueError(
                f"Argument `{name}` must have shape {shape} on these modes, got "
                f"{parameters[name].shape}."
            )


def check_ranges(**ranges: tuple[float, float]) -> Callable[..., None]:
    """A `Spec.check`: those of the named parameters that are constants must lie in their ranges."""

    def check(parameters, modes, options):
        for name, (low, high) in ranges.items():
            if isinstance(parameters[name], Real):
                check_range(name, parameters[name], low, high)

    return check
