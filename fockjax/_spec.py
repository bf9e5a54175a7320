"""What a circuit needs to know of the operations it is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from numbers import Real
from typing import Any, ParamSpec, TypeVar

from fockjax._numerics import check_range, is_integer

P = ParamSpec("P")
R = TypeVar("R")


def public(kernel: Callable[P, R], modes: int | None = 1) -> Callable[P, R]:
    """A kernel as users call it, with its argument ``cutoff`` checked. (A circuit calls the kernel
    itself, as it has checked its cutoffs before.)

    Args:
        kernel: the function that builds an operation.
        modes: how many modes it acts on; None: any number.
    """

    @wraps(kernel)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if "cutoff" in kwargs:
            kwargs["cutoff"] = _checked_cutoff(kwargs["cutoff"], modes)
        return kernel(*args, **kwargs)

    return checked


def _checked_cutoff(cutoff: Any, modes: int | None) -> int | tuple[int, ...]:
    """The cutoff with its entries as Python integers."""
    several = isinstance(cutoff, tuple | list)
    sizes = tuple(cutoff) if several else (cutoff,)
    fits = not several or (len(sizes) > 0 if modes is None else 1 < modes == len(sizes))
    if not fits or not all(map(is_integer, sizes)):
        wanted = {1: "", None: ", or one for each mode"}.get(modes, f", or {modes} of them")
        raise ValueError(f"Argument `cutoff` must be an integer >= 1{wanted}, got {cutoff!r}.")
    return tuple(map(int, sizes)) if several else int(cutoff)


def cutoffs_for(cutoff: int | tuple[int, ...], modes: int = 1) -> tuple[int, ...]:
    """The cutoff of each mode: an integer stands for all ``modes``, a tuple has one for each."""
    return (cutoff,) * modes if isinstance(cutoff, int) else tuple(cutoff)


@dataclass(frozen=True, eq=False)
class Spec:
    """An operation as the circuit, the planner and the cross-validation see it.

    Attributes:
        name: its name in `Circuit.add` or `Circuit.prepare`.
        parameters: the names of its real parameters, in order.
        modes: how many modes it acts on; None: any number.
        build: makes it for one sample: ``build(*parameters, cutoff=..., dtype=..., **options)``,
            where ``cutoff`` is an integer if ``modes`` is 1 and a tuple otherwise.
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
class GateSpec(Spec):
    """A gate: ``build`` makes an `Operator`."""


@dataclass(frozen=True, eq=False)
class ChannelSpec(Spec):
    """A channel: ``build`` makes a `Channel`."""


@dataclass(frozen=True, eq=False)
class PreparationSpec(Spec):
    """A preparation of a state."""


@dataclass(frozen=True, eq=False)
class KetSpec(PreparationSpec):
    """A preparation of a pure state: ``build`` makes the ket of its modes."""


@dataclass(frozen=True, eq=False)
class MixedSpec(PreparationSpec):
    """A preparation of a mixed state: ``build`` makes the density matrix of its modes, with all row
    axes before the column axes.
    """


@dataclass(frozen=True, eq=False)
class DetectorSpec(Spec):
    """A measurement of one mode: ``build`` makes a `Detector`.

    Attributes:
        outcome: what an outcome is, "integer", "real" or "complex".
        truncates: no: the mode is left in the vacuum.
    """

    outcome: str = "real"
    truncates: bool = False


def check_shapes(parameters: Mapping[str, Any], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ValueError unless the parameters named have the shapes expected."""
    for name, shape in expected.items():
        if parameters[name].shape != shape:
            raise ValueError(
                f"Parameter `{name}` must have shape {shape} on these modes, got "
                f"{parameters[name].shape}."
            )


def check_ranges(**ranges: tuple[float, float]) -> Callable[..., None]:
    """A `Spec.check`: those of the named parameters that are constants must lie in their ranges."""

    def check(parameters, modes, options):
        for name, (low, high) in ranges.items():
            if isinstance(parameters[name], Real):
                check_range(name, parameters[name], low, high)

    return check
