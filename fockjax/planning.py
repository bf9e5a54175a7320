"""From a circuit's operations to a few operators on factors.

Planning happens when a call is traced and never changes a result beyond rounding:

* all gates of a kind are built in one vectorised call (those that depend on the input apart from
  those that do not, so that ``vmap`` over inputs leaves shared gates unbatched);
* one-mode operators wait until a two-mode gate or the end needs them, and fuse with what follows on
  their mode; diagonals fold into the two-mode gate, or into one diagonal for the whole factor at
  the end;
* equal layers run under `jax.lax.scan`. The grouping of modes a scan carries must not change, so
  layers run unrolled until it stops changing.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._spec import GateSpec, KetSpec, Spec
from fockjax.factors import Factor, Pure
from fockjax.gates import REGISTRY as GATES
from fockjax.kets import REGISTRY as KETS
from fockjax.layout import Box
from fockjax.operators import Diagonal, Matrix, Operator, Padded, Sectors, expand, join, steps
from fockjax.parameters import Input, Parameter, evaluate, shown
from fockjax.states import State

MEMORY_LIMIT = 8 * 2**30


@dataclass(frozen=True, eq=False)
class Step:
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
    def spec(self) -> Spec:
        """Its entry in the registry."""
        raise NotImplementedError

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
    """One gate of a circuit."""

    @property
    def spec(self) -> GateSpec:
        return GATES[self.name]


@dataclass(frozen=True, eq=False)
class Preparation(Step):
    """One preparation: its modes are given a ket of their own, whatever they held before."""

    @property
    def spec(self) -> KetSpec:
        return KETS[self.name]

    def __str__(self):
        return f"prepare {super().__str__()}"


@dataclass(frozen=True, eq=False)
class Repeat:
    """Equal layers: the operations of one, whose weights have a leading axis of size ``times``."""

    operations: tuple["Step | Repeat", ...]
    weights: tuple[str, ...]
    times: int


def written_out(operations, weights, x, evaluate=evaluate) -> Iterator[Step]:
    """All steps in order, layers written out, with the values of their parameters."""
    for operation in operations:
        if isinstance(operation, Repeat):
            for k in range(operation.times):
                layer = {name: weights[name][k] for name in operation.weights}
                yield from written_out(operation.operations, weights | layer, x, evaluate)
        else:
            values = {
                name: evaluate(value, weights, x) for name, value in operation.parameters.items()
            }
            yield replace(operation, parameters=values)


def run(operations, state: State, weights, x, memory_limit: int, built=None) -> State:
    """Apply operations to a state; ``built`` are the operators and kets of its steps where they are
    there already.
    """
    if built is None:
        built = build(operations, state, weights, x, memory_limit)
    remaining = iter(built)
    register = _Register(state, memory_limit)
    for operation in operations:
        if isinstance(operation, Gate):
            register.gate(operation, next(remaining))
        elif isinstance(operation, Preparation):
            register.prepare(operation, next(remaining))
        else:
            register.flush()
            register.state = _run_layers(operation, register.state, weights, x, memory_limit)
    register.flush()
    return register.state


def build(operations, state: State, weights, x, memory_limit: int) -> list[Any]:
    """The operators of all gates and the kets of all preparations outside repeated layers, each
    kind in one vectorised call."""
    made = [operation for operation in operations if isinstance(operation, Step)]
    cutoffs, dtype = state.cutoffs, state.factors[0].dtype
    real = jnp.finfo(dtype).dtype
    kinds = defaultdict(list)
    for index, step in enumerate(made):
        if isinstance(step, Preparation):
            _check_memory(step, step.modes, cutoffs, dtype, memory_limit)
        # A phase that is literally zero is left out of the gate, so it belongs to the kind.
        zero = tuple(_is_zero(value) for value in step.parameters.values())
        by_input = any(
            isinstance(leaf, Input)
            for value in step.parameters.values()
            if isinstance(value, Parameter)
            for leaf in value.leaves()
        )
        sizes = tuple(cutoffs[mode] for mode in step.modes)
        options = tuple(step.options.items())
        kinds[step.spec, sizes, zero, by_input, _shapes(step, weights, x), options].append(index)

    results: dict[int, Any] = {}
    for (spec, sizes, zero, _, _, options), members in kinds.items():
        columns = [
            jnp.stack(
                [
                    jnp.asarray(evaluate(made[index].parameters[parameter], weights, x)).astype(
                        real
                    )
                    for index in members
                ]
            )
            for parameter, left_out in zip(spec.parameters, zero, strict=True)
            if not left_out
        ]

        def one(*values, spec=spec, sizes=sizes, zero=zero, options=options):
            values = iter(values)
            parameters = [0.0 if left_out else next(values) for left_out in zero]
            cutoff = sizes[0] if spec.modes == 1 else sizes
            return spec.build(*parameters, cutoff=cutoff, dtype=dtype, **dict(options))

        if spec.modes is None:  # elements may outgrow the state they act on
            shapes = jax.tree.leaves(jax.eval_shape(one, *pick(columns, 0)))
            size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in shapes)
            if size > memory_limit:
                raise ValueError(
                    f"{made[members[0]]} at cutoffs {sizes} has elements of {size:,} bytes, over "
                    f"the limit of {memory_limit:,} bytes. Lower the cutoffs, take a mesh that is "
                    "not exact for an interferometer, or raise `memory_limit`."
                )
        if len(members) == 1 or not columns:
            built = [jax.lax.optimization_barrier(one(*pick(columns, 0)))] * len(members)
        else:
            # Made once: XLA would fuse the making of a gate into every loop that uses it.
            stacked = jax.lax.optimization_barrier(jax.vmap(one)(*columns))
            built = [pick(stacked, k) for k in range(len(members))]
        for index, operator in zip(members, built, strict=True):
            results[index] = operator
    return [results[index] for index in range(len(made))]


def _shapes(step: Step, weights, x) -> tuple[tuple[int, ...], ...]:
    """The shapes of a step's array parameters, which must agree for steps built together."""
    return tuple(
        jnp.shape(evaluate(step.parameters[name], weights, x)) for name in step.spec.arrays
    )


def _check_memory(step: Step, modes, cutoffs, dtype, limit: int, when: str = "") -> None:
    """Refuse to hold the modes in one state over the limit, before any of it is made."""
    sizes = tuple(cutoffs[mode] for mode in modes)
    size = Box(sizes).bytes(dtype)
    if size > limit:
        raise ValueError(
            f"{step} joins modes {list(modes)} with cutoffs {sizes} {when and f'{when} '}into one "
            f"state of {size:,} bytes a sample ({np.dtype(dtype).name}), over the limit of "
            f"{limit:,} bytes. Lower the cutoffs, keep the groups of modes apart (fj.grouped), or "
            "raise `memory_limit`."
        )


def pick(tree, index):
    """``leaf[index]`` for every array of a pytree."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def _is_zero(value) -> bool:
    return isinstance(value, float) and value == 0.0


class _Register:
    """A state under construction, with one-mode operators that have not been applied yet."""

    def __init__(self, state: State, memory_limit: int):
        self.state = state
        self.memory_limit = memory_limit
        self.pending: dict[int, Operator] = {}

    def gate(self, gate: Gate, operator: Operator) -> None:
        if len(gate.modes) > 1:
            self._join(gate)
        for step, modes in steps(operator, gate.modes):
            if isinstance(step, Padded):
                modes_of = self._factor(modes[0]).modes
                large = dict(enumerate(self.state.cutoffs))
                large |= dict(zip(modes, step.inner.cutoffs, strict=True))
                _check_memory(
                    gate, modes_of, large, self.state.dtype, self.memory_limit, "in between"
                )
            if len(modes) == 1:
                self._one_mode(step, modes[0])
            else:
                self._several_modes(step, modes)
        self.state = replace(
            self.state,
            truncations=self.state.truncations + operator.truncations,
            reflects=self.state.reflects or gate.spec.reflects(gate.options),
        )

    def prepare(self, step: Preparation, ket: jax.Array) -> None:
        """Give modes a new ket in place of the factors they make up."""
        for mode in step.modes:
            waiting = self.pending.pop(mode, None)
            if waiting is not None and waiting.truncations:  # what it loses, it has lost before
                self._apply(waiting, (mode,))
        gone = [f for f in self.state.factors if set(f.modes) & set(step.modes)]
        shared = sorted({mode for f in gone for mode in f.modes} - set(step.modes))
        if shared:
            raise ValueError(
                f"{step}: these modes are held in one ket with modes {shared}, coupled by gates, a "
                "preparation or `initial`, so that preparing them anew would leave the others in a "
                "mixed state, which a ket cannot hold. Prepare before what couples them, or "
                "prepare all of these modes together."
            )
        # What the old factors had lost stays lost: a trace over them is the square of their norm.
        lost = reduce(jnp.multiply, [f.norm_squared() for f in gone])
        factor = Pure.of_ket(jnp.asarray(ket, gone[0].dtype), step.modes).weighted(lost)
        self._replace([f for f in self.state.factors if f not in gone], factor)
        self.state = replace(
            self.state,
            truncations=self.state.truncations + step.spec.truncates,
            reflects=self.state.reflects or step.spec.reflects(step.options),
        )

    def flush(self) -> None:
        """Apply everything that waits; the diagonals of a factor as one."""
        for factor in self.state.factors:
            waiting = [mode for mode in factor.modes if mode in self.pending]
            diagonals: dict[int, Diagonal] = {}
            for mode in waiting:
                operator = self.pending.pop(mode)
                if isinstance(operator, Diagonal):
                    diagonals[mode] = operator
                else:
                    self._apply(operator, (mode,))
            if diagonals:
                self._apply(reduce(join, diagonals.values()), tuple(diagonals))

    def _one_mode(self, operator: Operator, mode: int) -> None:
        waiting = self.pending.pop(mode, None)
        if waiting is None:
            self.pending[mode] = operator
        elif (
            len(self._factor(mode).modes) == 1
            and isinstance(operator, Matrix)
            and isinstance(waiting, Matrix)
        ):
            # On a mode alone, applying a matrix costs D^2, composing two costs D^3.
            self._apply(waiting, (mode,))
            self.pending[mode] = operator
        else:
            self.pending[mode] = operator @ waiting

    def _several_modes(self, operator: Operator, modes: tuple[int, ...]) -> None:
        for position, mode in enumerate(modes):
            waiting = self.pending.pop(mode, None)
            if isinstance(waiting, Diagonal) and isinstance(operator, Diagonal | Sectors):
                operator = operator @ expand(waiting, position, operator.cutoffs)
            elif waiting is not None:
                self._apply(waiting, (mode,))
        self._apply(operator, modes)

    def _join(self, gate: Gate) -> None:
        """Merge the factors of a gate's modes, each with its one-mode operators applied while it is
        small.
        """
        together = [f for f in self.state.factors if set(f.modes) & set(gate.modes)]
        if len(together) == 1:
            return
        for factor in together:
            if len(factor.modes) == 1 and factor.modes[0] in self.pending:
                self._apply(self.pending.pop(factor.modes[0]), factor.modes)
        together = [f for f in self.state.factors if set(f.modes) & set(gate.modes)]
        modes = sorted(mode for factor in together for mode in factor.modes)
        dtype = together[0].dtype
        _check_memory(gate, modes, self.state.cutoffs, dtype, self.memory_limit)
        others = [f for f in self.state.factors if f not in together]
        self._replace(others, reduce(Factor.join, together))

    def _apply(self, operator: Operator, modes: tuple[int, ...]) -> None:
        factor = self._factor(modes[0])
        self._replace(
            [f for f in self.state.factors if f is not factor], factor.apply(operator, modes)
        )

    def _replace(self, others: list[Factor], factor: Factor) -> None:
        factors = sorted([*others, factor], key=lambda f: f.modes[0])
        self.state = replace(self.state, factors=tuple(factors))

    def _factor(self, mode: int) -> Factor:
        return next(factor for factor in self.state.factors if mode in factor.modes)


def _run_layers(repeat: Repeat, state: State, weights, x, memory_limit: int) -> State:
    stacked = {name: weights[name] for name in repeat.weights}
    # Built for all layers at once: inside the scan the small kernels would run one after the other.
    built = jax.vmap(
        lambda layer: build(repeat.operations, state, weights | layer, x, memory_limit),
        axis_size=repeat.times,
    )(stacked)
    layers = (stacked, built)

    def run_layer(state: State, layer) -> State:
        values, operators = layer
        return run(repeat.operations, state, weights | values, x, memory_limit, operators)

    done = 0
    while done < repeat.times and (
        _grouping(repeat.operations, state.groups) != state.groups or repeat.times - done == 1
    ):
        state = run_layer(state, pick(layers, done))
        done += 1
    if done == repeat.times:
        return state

    left = repeat.times - done
    reached = []

    def body(factors, layer):
        after = run_layer(replace(state, factors=factors), layer)
        reached.append((after.truncations, after.reflects))
        return after.factors, None

    factors, _ = jax.lax.scan(body, state.factors, pick(layers, slice(done, None)), length=left)
    truncations, reflects = reached[0]
    truncations = state.truncations + left * (truncations - state.truncations)
    return replace(state, factors=factors, truncations=truncations, reflects=reflects)


def _grouping(operations, groups) -> tuple[tuple[int, ...], ...]:
    """Which modes share a factor after the operations."""
    groups = [set(group) for group in groups]
    for operation in operations:
        if isinstance(operation, Repeat):
            groups = [set(group) for group in _grouping(operation.operations, map(tuple, groups))]
        elif isinstance(operation, Preparation):  # of one factor each, or refused when it runs
            on = set(operation.modes)
            groups = [group for group in groups if not group <= on] + [on]
        elif len(operation.modes) > 1:
            joined = [group for group in groups if group & set(operation.modes)]
            groups = [group for group in groups if group not in joined] + [set().union(*joined)]
    return tuple(sorted(tuple(sorted(group)) for group in groups))
