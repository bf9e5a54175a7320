"""Looking into a circuit: what each of its operations does to the state."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from fockjax import planning
from fockjax._eager import is_known
from fockjax._given import checked_integer
from fockjax._limits import MEMORY_LIMIT
from fockjax.arguments import Cutoff
from fockjax.circuit import Call, Circuit, start
from fockjax.drawing import label
from fockjax.factors import Factor
from fockjax.operations import Measurement, Repeat, Step, written_out
from fockjax.parameters import Values, Weight
from fockjax.states import State, pasts_of

NOTICEABLE = 1e-3  # lost probability, or probability of a top level, above which there is advice


@dataclass(frozen=True, eq=False)
class Row:
    """The state after one operation.

    Attributes:
        step: the operation with the values of its parameters; None at the start.
        norm: the norm of the state.
        leakage: the probability lost at the cutoffs so far. Channels lose photons, not probability;
            measuring loses none.
        lost: what this operation added to the leakage. Near the precision it is rounding.
        top: for each mode the probability of its top level, ``cutoff - 1`` photons, shape
            ``(modes,)``. It may be zero though a state leaks, if only even or odd photon numbers
            occur.
        photons: the mean photon number of each mode, shape ``(modes,)``.
        groups: the modes of each independent factor.
        purities: ``trace(rho^2) / trace(rho)^2`` of each factor that is held as a density matrix,
            None for a ket.
        finite: whether all amplitudes are finite.
        outcome: what a measurement found, or what was selected; None for other operations.
        probability: the probability of that outcome, given the outcomes before and that nothing was
            lost, or its density if it is real or complex; 1 for other operations.
    """

    step: Step | None
    norm: float
    leakage: float
    lost: float
    top: np.ndarray
    photons: np.ndarray
    groups: tuple[tuple[int, ...], ...]
    purities: tuple[float | None, ...]
    finite: bool
    outcome: Any = None
    probability: float = 1.0

    @property
    def selects(self) -> bool:
        """Whether it is a post-selection."""
        return isinstance(self.step, Measurement) and self.step.selects

    @property
    def name(self) -> str:
        """The operation in few words."""
        if self.step is None:
            return "start"
        return f"{label(self.step)} on {', '.join(map(str, self.step.modes))}"


@dataclass(frozen=True, eq=False)
class Inspection:
    """What `inspect` saw. Printing it shows a table; `fockjax.plotting.inspection` draws it.

    Attributes:
        rows: the state at the start and after each operation, with layers written out:
            ``rows[k]`` is after k operations.
        state: the state at the end.
    """

    rows: tuple[Row, ...]
    state: State

    @property
    def rounding(self) -> float:
        """The probability below which a loss cannot be told from rounding."""
        return float(10 * np.finfo(self.state.dtype).eps)

    @property
    def first_nonfinite(self) -> Row | None:
        """The first operation after which an amplitude is not finite."""
        return next((row for row in self.rows if not row.finite), None)

    @property
    def lossiest(self) -> Row | None:
        """The operation that lost most; None without operations, or if a state is not finite."""
        if len(self.rows) == 1 or self.first_nonfinite:
            return None
        return max(self.rows[1:], key=lambda row: row.lost)

    @property
    def advice(self) -> tuple[str, ...]:
        """Sentences about what is wrong and what to do about it; none if all is well."""
        if bad := self.first_nonfinite:
            return (f"Not finite from step {self._at(bad)} on: {_why(bad)}.",)
        selections = [row for row in self.rows if row.selects]
        for row in selections:
            if not row.probability > self.rounding**2:
                return (
                    f"Impossible: what is selected in step {self._at(row)} has the probability "
                    f"{row.probability:.1e}, not more than rounding.",
                )
        told = []
        worst, last = self.lossiest, self.rows[-1]
        if worst and last.leakage > NOTICEABLE and worst.lost > 0:
            told.append(
                f"Lost in all: {last.leakage:.1e}; the largest part, {worst.lost:.1e}, in step "
                f"{self._at(worst)}: raise the cutoff of mode {_fullest(worst)}."
            )
        if self.state.reflects:
            told.append(
                "What crosses the cutoff comes back in some operation, so the leakage is a lower "
                "bound: look at the top levels."
            )
        fullest = max(self.rows, key=lambda row: row.top.max())
        if self.state.reflects and fullest.top.max() > NOTICEABLE:
            mode = int(fullest.top.argmax())
            told.append(
                f"After step {self._at(fullest)}, mode {mode} holds {fullest.top[mode]:.1e} in its "
                "top level: raise its cutoff."
            )
        for row in selections:
            rare = isinstance(row.outcome, np.integer) and row.probability < 0.1
            if rare and row.leakage > max(NOTICEABLE * row.probability, self.rounding):
                told.append(
                    f"Step {self._at(row)} has the probability {row.probability:.1e}, and "
                    f"{row.leakage:.1e} was lost before it, which may have belonged to it: raise "
                    "the cutoffs."
                )
        return tuple(told)

    def _at(self, row: Row) -> str:
        number = self.rows.index(row)
        return f"{number}, {row.step}" if row.step else f"{number}, the start"

    def __repr__(self) -> str:
        last, bad = self.rows[-1], self.first_nonfinite
        count = len(self.rows) - 1
        head = (
            f"{count} step{'' if count == 1 else 's'} at cutoffs {self.state.truncation}: "
            f"norm {last.norm:.6f}, "
            f"leakage {'at least ' if self.state.reflects else ''}{self._loss(last.leakage)}"
        )
        if any(row.selects for row in self.rows):
            head += f", selected with {float(self.state.selection_probability):.3g}"
        shown = self.rows[: self.rows.index(bad) + 1] if bad else self.rows
        columns = {
            "step": [str(number) for number in range(len(shown))],
            "operation": [row.name for row in shown],
            "leakage": [self._loss(row.leakage) for row in shown],
            "lost": [self._loss(row.lost) for row in shown],
            "top level": [_top(row) for row in shown],
            "photons": [" ".join(f"{n:.2f}" for n in row.photons) for row in shown],
            "groups": [
                " | ".join(" ".join(map(str, group)) for group in row.groups) for row in shown
            ],
        }
        if any(purity is not None for row in shown for purity in row.purities):
            columns["purity"] = [
                " | ".join("ket" if p is None else f"{p:.2f}" for p in row.purities)
                for row in shown
            ]
        if any(row.outcome is not None for row in shown):
            columns["found"] = [_found(row) for row in shown]
        to_the_right = ("step", "leakage", "lost")
        widths = {
            title: max(len(cell) for cell in (title, *column)) for title, column in columns.items()
        }
        lines = []
        for cells in zip(*([title, *column] for title, column in columns.items()), strict=True):
            padded = [
                cell.rjust(width) if title in to_the_right else cell.ljust(width)
                for cell, (title, width) in zip(cells, widths.items(), strict=True)
            ]
            lines.append("  ".join(padded).rstrip())
        return "\n".join([head, *lines, *self.advice])

    def _loss(self, probability: float) -> str:
        """A lost probability as text; "0" if it is rounding."""
        return "0" if abs(probability) < self.rounding else f"{probability:.1e}"


def _top(row: Row) -> str:
    mode = int(row.top.argmax())
    return f"{row.top[mode]:.1e} in {mode}" if row.top[mode] else "0"


def _found(row: Row) -> str:
    """An outcome and its probability."""
    if row.outcome is None:
        return ""
    assert isinstance(row.step, Measurement)
    kind = "p" if isinstance(row.outcome, np.integer) else "density"
    return f"{row.step.label} = {row.outcome:.3g}, {kind} = {row.probability:.3g}"


def _why(row: Row) -> str:
    """Why the state after a step may not be finite."""
    values = row.step.parameters.items() if row.step else ()
    wrong = [name for name, value in values if not np.all(np.isfinite(value))]
    if not wrong:
        return "its parameters are finite, but too large for this precision"
    return f"its {' and '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} not finite"


def _fullest(row: Row) -> int:
    """The mode of a step with the largest probability of its top level afterwards."""
    return max(row.step.modes, key=lambda mode: row.top[mode]) if row.step else 0


def inspect(
    circuit: Circuit,
    weights: Mapping[str, ArrayLike],
    x: ArrayLike | None = None,
    *,
    cutoff: Cutoff,
    dtype=None,
    initial: ArrayLike | State | None = None,
    key: jax.Array | None = None,
    unravel: bool = False,
    memory_limit: int = MEMORY_LIMIT,
) -> Inspection:
    """Run a circuit on one sample operation by operation, and look at the state after each.

    A gate is compiled once for the modes that it acts on, however often it occurs, so deep circuits
    do not take long. This looks at values: call it outside `jax.jit`, `jax.grad` and `jax.vmap`.

    Args:
        circuit, weights, x, cutoff, dtype, initial, key, unravel, memory_limit: as in calling the
            circuit. The same key gives the same outcomes and branches.

    Returns:
        An `Inspection`. For each step it has the norm, the leakage, what the step lost, the
        probabilities of the top levels, mean photon numbers, groups of factors and their purities,
        outcomes and their probabilities, and whether all is finite. It also names the first step
        that is not finite and the one that lost most, and gives advice. An impossible
        post-selection, which a call refuses, is reported in the advice.

    Raises:
        TypeError: if ``circuit`` is no `Circuit`, or JAX is tracing a value here.
        ValueError: as a call of the circuit, but for an impossible selection.

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
    if not is_known((weights, x, initial, key)):
        raise TypeError(
            "fj.inspect looks at values, which JAX is tracing here: call it outside jax.jit, "
            "jax.grad and jax.vmap."
        )
    call = circuit.checked(weights, x, cutoff, dtype, initial, key, unravel)
    memory_limit = checked_integer(memory_limit, "Argument `memory_limit`")
    seen: list[tuple] = []
    for step, state, outcome, probability in walk(circuit, call, memory_limit):
        seen.append((step, state.groups, _look(state.factors), outcome, probability))
    rows = []
    for step, groups, numbers, outcome, probability in seen:
        if step:
            values = {name: np.asarray(value) for name, value in step.parameters.items()}
            step = replace(step, parameters=values)
        norm, leakage, top, photons, purities, finite = jax.device_get(numbers)
        rows.append(
            Row(
                step=step,
                norm=float(norm),
                leakage=float(leakage),
                lost=float(leakage) - (rows[-1].leakage if rows else 0.0),
                top=top,
                photons=photons,
                groups=groups,
                purities=tuple(None if purity is None else float(purity) for purity in purities),
                finite=bool(finite),
                outcome=None if outcome is None else np.asarray(outcome)[()],
                probability=1.0 if probability is None else float(probability),
            )
        )
    return Inspection(tuple(rows), state)  # pyright: ignore[reportPossiblyUnbound]


def walk(
    circuit: Circuit, call: Call, memory_limit: int = MEMORY_LIMIT
) -> Iterator[tuple[Step | None, State, jax.Array | None, jax.Array | None]]:
    """Run a circuit operation by operation, with layers written out.

    Yields first (None, initial state, None, None), then for each operation this, the state after
    it, what it measured and the probability of that. A kind of operation is compiled once, also
    under `jax.vmap`. All states share the dictionary of outcomes, which is complete at the end.

    Args:
        circuit: the circuit.
        call: the arguments, from `Circuit.checked`.
        memory_limit: bytes that a factor may take.
    """
    state = start(call.layout, call.dtype, circuit.hbar, call.initial)
    state = planning.begin(circuit.operations, state, call.key, call.unravel)
    outcomes = dict(state.outcomes)
    state = replace(state, outcomes=outcomes)
    yield None, state, None, None
    found: dict[str, jax.Array] = {}  # the same outcomes, in the dtype of parameters
    values = Values(call.weights, call.x, found)
    keys = planning.keys(circuit.operations, call.key)
    for operation in circuit.operations:
        layers: dict[str, list[jax.Array]] = defaultdict(list)
        for step in written_out((operation,), values):
            before = State(state.factors, hbar=state.hbar)
            after, probability = _advance(
                *_taken_apart(step), before, next(keys), memory_limit, call.unravel
            )
            state = replace(
                after,
                outcomes=outcomes,
                **pasts_of([state, after]),
                truncations=state.truncations + after.truncations,
                reflects=state.reflects or after.reflects,
            )
            for name, outcome in after.outcomes.items():
                layers[name].append(outcome)
            found |= planning.as_parameters(after.outcomes, after.dtype)
            yield step, state, next(iter(after.outcomes.values()), None), probability
        repeats = isinstance(operation, Repeat)
        own = {name: jnp.stack(each) if repeats else each[0] for name, each in layers.items()}
        outcomes |= own
        found |= planning.as_parameters(own, state.dtype)


def _taken_apart(step: Step) -> tuple[Step, dict[str, Any]]:
    """A step of which weights are the parameters, and their values. What a measurement knows as
    Python numbers stays.
    """
    values = {
        name: value
        for name, value in step.parameters.items()
        if not (isinstance(step, Measurement) and isinstance(value, float))
    }
    return replace(step, parameters=step.parameters | {n: Weight(n) for n in values}), values


@partial(jax.jit, static_argnames=("step", "memory_limit", "unravel"))
def _advance(
    step: Step, values: dict[str, Any], state: State, key, memory_limit: int, unravel: bool
):
    """The state after a step, and the probability of what it measured.

    It is compiled once for all values of the step's parameters: they are arguments, and ``state``
    comes without what it counts of its past, which would differ at each step.
    """
    return planning.run_step(step, state, Values(values, None), memory_limit, key, unravel)


@jax.jit
def _look(factors: tuple[Factor, ...]) -> tuple[Any, ...]:
    """Norm, leakage, the probability of the top level and the mean photon number of each mode, the
    purity of each factor that is mixed, and whether all is finite.
    """
    state = State(factors)
    modes = range(state.modes)
    top = jnp.stack([state.probabilities(mode)[-1] for mode in modes])
    photons = jnp.stack([state.photon_number(mode).mean for mode in modes])
    purities = [
        None if factor.is_pure else state.purity(factor.modes) / state.trace**2
        for factor in factors
    ]
    return state.norm, state.leakage, top, photons, purities, state.is_finite
