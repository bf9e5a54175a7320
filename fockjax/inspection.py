"""Looking into a circuit: what each of its operations does to the state."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from fockjax import planning
from fockjax.circuit import Circuit, Weights, start
from fockjax.drawing import label
from fockjax.factors import Factor
from fockjax.operations import Measurement, Step, written_out
from fockjax.parameters import Values, Weight
from fockjax.planning import MEMORY_LIMIT
from fockjax.states import State

NOTICEABLE = 1e-3  # the lost probability, or that of a top level, from which there is advice


@dataclass(frozen=True, eq=False)
class Row:
    """The state after one operation.

    Attributes:
        step: the operation with the values of its parameters; None at the start.
        norm: the norm of the state.
        leakage: the probability lost at the cutoffs so far.
        lost: what this operation added to it; at the size of the precision, rounding.
        top: for each mode the probability of its top level, ``cutoff - 1`` photons, shape
            ``(modes,)``. A state of even or odd photon numbers may have none there and still leak.
        photons: the mean photon number of each mode, shape ``(modes,)``.
        groups: the modes of each independent factor.
        finite: whether all amplitudes are finite.
    """

    step: Step | None
    norm: float
    leakage: float
    lost: float
    top: np.ndarray
    photons: np.ndarray
    groups: tuple[tuple[int, ...], ...]
    finite: bool

    @property
    def name(self) -> str:
        """The operation in few words."""
        if self.step is None:
            return "start"
        return f"{label(self.step)} on {', '.join(map(str, self.step.modes))}"


@dataclass(frozen=True, eq=False)
class Inspection:
    """What `inspect` saw. Printing it gives a table; `fockjax.plotting.inspection` a figure.

    Attributes:
        rows: the start, then the state after each operation, layers written out: ``rows[k]`` is
            after k of them.
        state: the state at the end.
    """

    rows: tuple[Row, ...]
    state: State

    @property
    def rounding(self) -> float:
        """The probability below which a loss is not told from rounding."""
        return float(10 * np.finfo(self.state.dtype).eps)

    @property
    def first_nonfinite(self) -> Row | None:
        """The first operation after which an amplitude is not finite."""
        return next((row for row in self.rows if not row.finite), None)

    @property
    def lossiest(self) -> Row | None:
        """The operation that lost most; None if there is none or a state is not finite."""
        if len(self.rows) == 1 or self.first_nonfinite:
            return None
        return max(self.rows[1:], key=lambda row: row.lost)

    @property
    def advice(self) -> tuple[str, ...]:
        """What is wrong and what to do about it, in sentences; nothing where all is well."""
        if bad := self.first_nonfinite:
            return (f"Not finite from step {self._at(bad)} on: {_why(bad)}.",)
        told = []
        worst, last = self.lossiest, self.rows[-1]
        if worst and last.leakage > NOTICEABLE and worst.lost > 0:
            told.append(
                f"Lost in all: {last.leakage:.1e}; the largest part, {worst.lost:.1e}, in step "
                f"{self._at(worst)}: raise the cutoff of mode {_fullest(worst)}."
            )
        if self.state.reflects:
            told.append(
                "What crosses the cutoff comes back in some gate, so the leakage is a lower bound: "
                "look at the top levels."
            )
        fullest = max(self.rows, key=lambda row: row.top.max())
        if self.state.reflects and fullest.top.max() > NOTICEABLE:
            mode = int(fullest.top.argmax())
            told.append(
                f"After step {self._at(fullest)}, mode {mode} holds {fullest.top[mode]:.1e} in its "
                f"top level: raise its cutoff."
            )
        return tuple(told)

    def _at(self, row: Row) -> str:
        number = self.rows.index(row)
        return f"{number}, {row.step}" if row.step else f"{number}, the start"

    def __repr__(self) -> str:
        last, bad = self.rows[-1], self.first_nonfinite
        count = len(self.rows) - 1
        head = (
            f"{count} step{'' if count == 1 else 's'} at cutoffs {self.state.cutoffs}: "
            f"norm {last.norm:.6f}, "
            f"leakage {'at least ' if self.state.reflects else ''}{self._loss(last.leakage)}"
        )
        shown = self.rows[: self.rows.index(bad) + 1] if bad else self.rows
        table = [("step", "operation", "leakage", "lost", "top level", "photons", "groups")]
        for number, row in enumerate(shown):
            mode = int(row.top.argmax())
            table.append(
                (
                    str(number),
                    row.name,
                    self._loss(row.leakage),
                    self._loss(row.lost),
                    f"{row.top[mode]:.1e} in {mode}" if row.top[mode] else "0",
                    " ".join(f"{n:.2f}" for n in row.photons),
                    " | ".join(" ".join(map(str, group)) for group in row.groups),
                )
            )
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if k in (0, 2, 3) else cell.ljust(width)
                for k, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ).rstrip()
            for cells in table
        ]
        return "\n".join([head, *lines, *self.advice])

    def _loss(self, probability: float) -> str:
        """A lost probability; 0 where it is rounding."""
        return "0" if abs(probability) < self.rounding else f"{probability:.1e}"


def _why(row: Row) -> str:
    """Why the state after a step may not be finite."""
    values = row.step.parameters.items() if row.step else ()
    wrong = [name for name, value in values if not np.all(np.isfinite(value))]
    if not wrong:
        return "its parameters are finite, but too large for this precision"
    return f"its {' and '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} not finite"


def _fullest(row: Row) -> int:
    """Of the modes of a step the one likeliest at its top level after it."""
    return max(row.step.modes, key=lambda mode: row.top[mode]) if row.step else 0


def inspect(
    circuit: Circuit,
    weights: Weights,
    x: jax.Array | None = None,
    *,
    cutoff: int | Sequence[int],
    dtype=None,
    initial: jax.Array | State | None = None,
    key: jax.Array | None = None,
    unravel: bool = False,
    memory_limit: int = MEMORY_LIMIT,
) -> Inspection:
    """Run a circuit on one sample operation by operation, and look at the state after each.

    A gate is compiled once for the modes it acts on, however often it comes, so that deep circuits
    do not take long. It looks at values: call it outside `jax.jit`, `jax.grad` and `jax.vmap`.

    Args:
        circuit, weights, x, cutoff, dtype, initial, key, unravel, memory_limit: as in calling the
            circuit; the same key finds the same outcomes.

    Returns:
        An `Inspection`: for each step norm, leakage, what the step lost, the probability of the top
        levels, mean photon numbers, factor groups and finiteness; the first step that is not
        finite, the one that lost most, and advice.

    Example:
        >>> import fockjax as fj
        >>> circuit = fj.Circuit(2).displace(1.2, mode=0).squeeze(fj.Weight("r"), mode=1)
        >>> fj.inspect(circuit.beamsplitter(), {"r": 0.1}, cutoff=(6, 10))
        3 steps at cutoffs (6, 10): norm 0.998139, leakage 3.7e-03
        step  operation    leakage     lost  top level     photons    groups
           0  start              0        0  0             0.00 0.00  0 | 1
           1  D(1.2) on 0  3.7e-03  3.7e-03  1.2e-02 in 0  1.42 0.00  0 | 1
           2  S(0.1) on 1  3.7e-03        0  1.2e-02 in 0  1.42 0.01  0 | 1
           3  BS on 0, 1   3.7e-03  5.1e-05  1.0e-04 in 0  0.71 0.71  0 1
        Lost in all: 3.7e-03; the largest part, 3.7e-03, in step 1, displacement(r=1.2, phi=0) on
        mode 0: raise the cutoff of mode 0.
    """
    if not isinstance(circuit, Circuit):
        raise TypeError(f"Argument `circuit` must be a Circuit, got {type(circuit).__name__}.")
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((weights, x, initial))):
        raise TypeError(
            "fj.inspect looks at values, which JAX is tracing here: call it outside jax.jit, "
            "jax.grad and jax.vmap."
        )
    given = circuit.checked(weights, x, cutoff, dtype, initial, key, unravel)
    state = start(given["cutoffs"], given["dtype"], circuit.hbar, given["initial"])
    seen: list[tuple[Step | None, Any, Any]] = [(None, state.groups, _look(state.factors))]
    found: dict[str, jax.Array] = {}
    values = Values(given["weights"], given["x"], found)
    steps = written_out(circuit.operations, values)
    for step, own in zip(steps, planning.keys(circuit.operations, key), strict=True):
        before = replace(state, outcomes={}, truncations=0, reflects=False)
        after = _advance(*_taken_apart(step), before, own, memory_limit, unravel)
        found |= planning.as_parameters(after.outcomes, after.dtype)
        state = replace(
            after,
            outcomes={**state.outcomes, **after.outcomes},
            truncations=state.truncations + after.truncations,
            reflects=state.reflects or after.reflects,
        )
        seen.append((step, state.groups, _look(state.factors)))
    rows = []
    for step, groups, numbers in seen:
        if step:
            values = {name: np.asarray(value) for name, value in step.parameters.items()}
            step = replace(step, parameters=values)
        norm, leakage, top, photons, finite = map(np.asarray, numbers)
        rows.append(
            Row(
                step=step,
                norm=float(norm),
                leakage=float(leakage),
                lost=float(leakage) - (rows[-1].leakage if rows else 0.0),
                top=top,
                photons=photons,
                groups=groups,
                finite=bool(finite),
            )
        )
    return Inspection(tuple(rows), state)


def _taken_apart(step: Step) -> tuple[Any, dict[str, Any]]:
    """What is static of a step, and the values of its other parameters."""
    fixed = {
        name: value
        for name, value in step.parameters.items()
        if isinstance(step, Measurement) and isinstance(value, float)
    }
    values = {name: step.parameters[name] for name in step.parameters if name not in fixed}
    label = {"label": step.label} if isinstance(step, Measurement) else {}
    kind = type(step), step.name, step.modes, *map(_frozen, (step.options, fixed, label))
    return kind, values


def _frozen(items: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(items.items())


@partial(jax.jit, static_argnames=("kind", "memory_limit", "unravel"))
def _advance(kind, values: dict[str, Any], state: State, key, memory_limit: int, unravel: bool):
    """One step. Compiled once for its kind: its parameters are arguments, and what a state counts
    of its past, which differs at each step, is left out.
    """
    make, name, modes, options, fixed, label = kind
    parameters = {name: Weight(name) for name in values} | dict(fixed)
    step = make(name, parameters, modes, dict(options), **dict(label))
    return planning.run_step(step, state, Values(values, None), memory_limit, key, unravel)


@jax.jit
def _look(factors: tuple[Factor, ...]) -> tuple[jax.Array, ...]:
    """Norm, leakage, for each mode the probability of the top level and the mean photons, and
    whether all is finite.
    """
    state = State(factors)
    modes = range(state.modes)
    top = jnp.stack([state.probabilities(mode)[-1] for mode in modes])
    photons = jnp.stack([state.photon_number(mode).mean for mode in modes])
    return state.norm, state.leakage, top, photons, state.is_finite
