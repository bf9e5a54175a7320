"""What a circuit needs to know of a gate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fockjax.operators import Operator


@dataclass(frozen=True)
class GateSpec:
    """A gate as the circuit, the planner and the cross-validation see it.

    Attributes:
        name: its name in `Circuit.add`.
        parameters: the names of its real parameters, in order.
        modes: how many modes it acts on.
        build: makes the operator: ``build(*parameters, cutoff=..., dtype=...)``.
        truncates: whether it can carry probability over the cutoff.
        defaults: values of the parameters that may be left out.
    """

    name: str
    parameters: tuple[str, ...]
    modes: int
    build: Callable[..., Operator]
    truncates: bool
    defaults: Mapping[str, float] = field(default_factory=dict)
