"""Planning: from a circuit's operations to a few operators on factors.

Planning happens when a call is traced and never changes a result beyond rounding:

* All gates of a kind are built in one vectorised call. Those that depend on the input are built
  apart from those that do not, so that ``vmap`` over inputs leaves shared gates unbatched. Those
  that depend on an outcome are built when it has been measured.
* Operators fuse, and factors join, turn mixed and fall apart, as `Register` says.
* Equal layers run under `jax.lax.scan`, with what they share as its constants. The factors that a
  scan carries must be of the same kind before and after a layer, so layers run unrolled until they
  are.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from functools import reduce
from itertools import compress
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._limits import MEMORY_LIMIT, over_limit
from fockjax._numerics import pick
from fockjax._sharded import vary, varying
from fockjax.factors import Factor, Mixed
from fockjax.layout import Box, Square
from fockjax.operations import Gate, Measurement, Noise, Operations, Preparation, Repeat, Step, flat
from fockjax.parameters import Input, Outcome, Values, Weight, evaluate, leaves
from fockjax.register import Register, check_memory
from fockjax.states import State

Outcomes = dict[str, jax.Array]
RunLayer = Callable[[State, Any], State]


def run(
    operations: Operations,
    state: State,
    values: Values,
    memory_limit: int = MEMORY_LIMIT,
    *,
    key: jax.Array | None = None,
    unravel: bool = False,
    built: list[Any] | None = None,
) -> State:
    """Apply operations to a state.

    Args:
        operations: what to apply, in order.
        state: what they are applied to.
        values: what their parameters stand for.
        memory_limit: bytes that a factor may take.
        key: a JAX random key for what is drawn at random.
        unravel: whether to draw one pure branch wherever the state would become mixed.
        built: the result of `build` for these operations, if it is known already.

    Returns:
        The state after them; its ``outcomes`` are those of these operations.
    """
    if built is None:
        built = build(operations, state, values, memory_limit)
    remaining = iter(built)
    state = begin(operations, state, key, unravel)
    register = Register(state, memory_limit, unravel)
    outcomes: Outcomes = {}
    for position, operation in enumerate(operations):
        own = _key_at(key, position)
        if isinstance(operation, Repeat):
            after = _run_layers(operation, register.flush(), values, memory_limit, own, unravel)
            register.state, found = after, after.outcomes
        else:
            made = next(remaining)
            if made is None:
                made = _build_one(operation, state, values, memory_limit)
            found, _ = _step(register, operation, made, values, own)
        outcomes |= found
        values = values.update(outcomes=as_parameters(found, state.dtype))
    return replace(register.flush(), outcomes=outcomes)


def begin(operations: Operations, state: State, key: jax.Array | None, unravel: bool) -> State:
    """The state that `run` begins with: where it unravels, a pure branch of the one given."""
    if unravel and key is not None and not state.is_pure:
        return _branch(state, jax.random.fold_in(key, len(operations)))
    return state


def _branch(state: State, key: jax.Array) -> State:
    """A pure branch of a state: from each density matrix among its factors a ket is drawn."""
    factors, score = [], state.weight
    for factor, own in zip(state.factors, jax.random.split(key, len(state.factors)), strict=True):
        if isinstance(factor, Mixed):
            factor, weight = factor.branch(own)
            score = score * weight
        factors.append(factor)
    return replace(state, factors=tuple(factors), score=score)


def run_step(
    step: Step,
    state: State,
    values: Values,
    memory_limit: int,
    key: jax.Array | None,
    unravel: bool,
) -> tuple[State, jax.Array | None]:
    """Apply a single step; the state after it, and the probability of what the step measured.
    ``key`` is the key that `keys` gives the step.
    """
    register = Register(state, memory_limit, unravel)
    made = _build_one(step, state, values, memory_limit)
    outcomes, probability = _step(register, step, made, values, key)
    return replace(register.flush(), outcomes=outcomes), probability


def keys(operations: Operations, key: jax.Array | None) -> Iterator[jax.Array | None]:
    """The keys that `run` gives to the steps, layers written out."""
    for position, operation in enumerate(operations):
        own = _key_at(key, position)
        if isinstance(operation, Repeat):
            for layer in _layer_keys(own, operation):
                yield from keys(operation.operations, layer)
        else:
            yield own


def _key_at(key: jax.Array | None, position: int) -> jax.Array | None:
    return None if key is None else jax.random.fold_in(key, position)


def _layer_keys(key: jax.Array | None, repeat: Repeat) -> jax.Array | list[None]:
    return [None] * repeat.times if key is None else jax.random.split(key, repeat.times)


def _step(
    register: Register, step: Step, made: Any, values: Values, key: jax.Array | None
) -> tuple[Outcomes, jax.Array | None]:
    """Apply a step; the outcome it measured, by its name, and the probability of the outcome."""
    match step:
        case Gate():
            register.gate(step, made)
        case Noise():
            register.channel(step, made, key)
        case Preparation():
            register.prepare(step, made, key)
        case Measurement():
            selected = _selected(step, values, register.state.dtype) if step.selects else None
            outcome, probability = register.measure(step, made, selected, key)
            return {step.label: outcome}, probability
    return {}, None


def _selected(step: Measurement, values: Values, dtype: np.dtype) -> jax.Array:
    """The outcome that a step selects, in the dtype of its outcomes."""
    kind = step.spec.outcome
    value = _value(step, "select", values, real=kind != "complex")
    if kind == "integer":  # -1 is no count, and has the probability 0
        return jnp.where(value == jnp.round(value), value, -1).astype(np.int32)
    return value.astype(dtype if kind == "complex" else jnp.finfo(dtype).dtype)


def as_parameters(outcomes: Outcomes, dtype: np.dtype) -> Outcomes:
    """The outcomes as parameters see them: integers become real numbers."""
    real = jnp.finfo(dtype).dtype
    return {
        name: found.astype(real) if jnp.issubdtype(found.dtype, jnp.integer) else found
        for name, found in outcomes.items()
    }


def is_random(operations: Operations, unravel: bool) -> bool:
    """Whether a key is needed."""
    return unravel or any(
        isinstance(step, Measurement) and not step.selects for step in flat(operations)
    )


# Building
# -------------------------------------------------------------------------------------------------


def build(operations: Operations, state: State, values: Values, memory_limit: int) -> list[Any]:
    """What the registry makes of each step outside repeated layers, all steps of a kind in one
    vectorised call; None for a step that waits for an outcome.
    """
    made = [operation for operation in operations if isinstance(operation, Step)]
    cutoffs, dtype = state.cutoffs, state.dtype
    kinds = defaultdict(list)
    for index, step in enumerate(made):
        if step.fed_forward:
            continue
        if isinstance(step, Preparation):
            box = Box(tuple(cutoffs[mode] for mode in step.modes))
            own = Square(box) if step.is_mixed else box
            boxed = not state.layout.separable
            check_memory(step, step.modes, own, dtype, memory_limit, boxed=boxed)
        fixed = _fixed(step)
        by_input = any(isinstance(leaf, Input) for leaf in leaves(step.parameters.values()))
        sizes = tuple(cutoffs[mode] for mode in step.modes)
        make, options = _maker(step, state), tuple(step.options.items())
        kind = step.spec, sizes, fixed, by_input, make, _shapes(step, values), options
        kinds[kind].append(index)

    results: dict[int, Any] = {}
    for (_, sizes, fixed, _, make, *_), members in kinds.items():
        steps = [made[index] for index in members]
        built = _build_kind(steps, make, sizes, fixed, dtype, values, memory_limit)
        results |= dict(zip(members, built, strict=True))
    return [results.get(index) for index in range(len(made))]


def _build_one(step: Step, state: State, values: Values, memory_limit: int) -> Any:
    """What the registry makes of a single step, such as one that waited for an outcome."""
    sizes = tuple(state.cutoffs[mode] for mode in step.modes)
    make, fixed = _maker(step, state), _fixed(step)
    return _build_kind([step], make, sizes, fixed, state.dtype, values, memory_limit)[0]


def _build_kind(
    steps: list[Step],
    make: Callable[..., Any],
    sizes: tuple[int, ...],
    fixed: tuple[float | None, ...],
    dtype: np.dtype,
    values: Values,
    memory_limit: int,
) -> list[Any]:
    """What the registry makes of steps that differ only in the values of their parameters."""
    spec, options = steps[0].spec, steps[0].options
    real = jnp.finfo(dtype).dtype
    columns = [
        jnp.stack([_value(step, name, values).astype(real) for step in steps])
        for name, constant in zip(spec.parameters, fixed, strict=True)
        if constant is None
    ]

    def one(*given):
        given = iter(given)
        parameters = [next(given) if constant is None else constant for constant in fixed]
        cutoff = sizes[0] if spec.modes == 1 else sizes
        return make(*parameters, cutoff=cutoff, dtype=dtype, **options)

    if spec.modes is None:  # elements may outgrow the state they act on
        shapes = jax.tree.leaves(jax.eval_shape(one, *pick(columns, 0)))
        size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in shapes)
        if size > memory_limit:
            raise over_limit(
                f"{steps[0]} at cutoffs {sizes} has elements",
                size,
                dtype,
                memory_limit,
                "Lower the cutoffs, take a mesh that is not exact for an interferometer, or raise "
                "`memory_limit`.",
            )
    # Without the barriers XLA would fuse the building of a gate into every loop that uses it.
    if len(steps) == 1 or not columns:
        return [jax.lax.optimization_barrier(one(*pick(columns, 0)))] * len(steps)
    stacked = jax.lax.optimization_barrier(jax.vmap(one)(*columns))
    return [pick(stacked, k) for k in range(len(steps))]


def _value(step: Step, name: str, values: Values, real: bool = True) -> jax.Array:
    """What a parameter of a step stands for, which a function of the user may have returned; it
    must be ``real`` unless told otherwise.
    """
    value = jnp.asarray(evaluate(step.parameters[name], values))
    if value.shape and name not in step.spec.arrays:
        raise ValueError(
            f"{step}: parameter `{name}` must be a number, but {step.parameters[name]} has shape "
            f"{value.shape}: give one element of it."
        )
    if real and jnp.iscomplexobj(value):
        raise TypeError(
            f"{step}: parameter `{name}` must be real, but {step.parameters[name]} is complex: "
            "give modulus and phase, or real and imaginary part, apart."
        )
    return value


def _maker(step: Step, state: State) -> Callable[..., Any]:
    """The function that makes a step's operator: see `Spec.of_sample` and `Spec.of_total`."""
    if step.spec.of_total and not state.layout.separable:
        return step.spec.of_total
    if step.spec.of_sample:
        name, make = step.spec.of_sample
        if any(isinstance(leaf, Input | Outcome) for leaf in leaves([step.parameters[name]])):
            return make
    return step.spec.build


def _shapes(step: Step, values: Values) -> tuple[tuple[int, ...], ...]:
    """The shapes of a step's array parameters, which must agree for steps built together."""
    return tuple(jnp.shape(evaluate(step.parameters[name], values)) for name in step.spec.arrays)


def _fixed(step: Step) -> tuple[float | None, ...]:
    """The parameters that are passed on as Python numbers, None for the others. Such numbers mean
    more than their value: a phase that is the number 0 is left out of a gate, and a detector with
    efficiency 1 and no dark counts leaves pure states pure.
    """
    values = [step.parameters[name] for name in step.spec.parameters]
    every = isinstance(step, Measurement)
    return tuple(v if isinstance(v, float) and (every or v == 0) else None for v in values)


# Layers
# -------------------------------------------------------------------------------------------------


def _run_layers(
    repeat: Repeat,
    state: State,
    values: Values,
    memory_limit: int,
    key: jax.Array | None,
    unravel: bool,
) -> State:
    """Equal layers: some unrolled, until the factors stay of the same kind, then a scan."""
    stacked = {name: values.weights[name] for name in repeat.weights}
    steps = [operation for operation in repeat.operations if isinstance(operation, Step)]
    differs = [_has_weight(step, stacked) for step in steps]
    differing = tuple(compress(steps, differs))
    equal = tuple(compress(steps, (not each for each in differs)))
    # All layers are built at once: inside the scan the small kernels would run one after the other.
    # What is equal in all of them is built once, and is a constant of the scan.
    common = build(equal, state, values, memory_limit)
    built = jax.vmap(
        lambda layer: build(differing, state, values.update(weights=layer), memory_limit),
        axis_size=repeat.times,
    )(stacked)
    layers = (stacked, built, None if key is None else _layer_keys(key, repeat))

    def run_layer(state: State, layer) -> State:
        weights, made, own = layer
        made, shared = iter(made), iter(common)
        return run(
            repeat.operations,
            state,
            values.update(weights=weights),
            memory_limit,
            key=own,
            unravel=unravel,
            built=[next(made if differ else shared) for differ in differs],
        )

    if repeat.remat:
        run_layer = jax.checkpoint(run_layer, prevent_cse=False)
    found: list[Outcomes] = []
    for done in range(repeat.times):
        layer, left = pick(layers, done), repeat.times - done
        if steady := _steady(run_layer, state, layer, left):
            state = _scanned(run_layer, *steady, pick(layers, slice(done, None)), left)
            found.append(state.outcomes)
            break
        state = run_layer(state, layer)
        found.append(pick(state.outcomes, None))
    return replace(state, outcomes=_in_order(found))


def _has_weight(step: Step, names: Container[str]) -> bool:
    """Whether a parameter depends on one of the weights named."""
    found = leaves(step.parameters.values())
    return any(isinstance(leaf, Weight) and leaf.name in names for leaf in found)


def _steady(run_layer: RunLayer, state: State, layer: Any, left: int) -> tuple[State, State] | None:
    """A state whose factors a layer leaves of the same kind, so that a scan can carry them, and the
    state after that layer (shapes only). None if there is no such state, or one layer ``left``.
    """
    if left == 1:
        return None
    after = jax.eval_shape(run_layer, state, layer)
    if _kinds(after.factors) == _kinds(state.factors):
        return _as_carried(state, after), after
    # Not for two layers: each is then compiled for the one time that it runs.
    if left > 2 and (joined := _joined(state, after)):
        after = jax.eval_shape(run_layer, joined, layer)
        if _kinds(after.factors) == _kinds(joined.factors):
            return _as_carried(joined, after), after
    return None


def _as_carried(state: State, after: State) -> State:
    """A state with an array for each record of its past of which the state ``after`` a layer has
    one, as the carry of a scan must.
    """
    return replace(
        state,
        selected=None if after.selected is None else state.selection_probability,
        rarest=None if after.rarest is None else state.rarest_selection,
        score=None if after.score is None else state.weight,
    )


def _scanned(run_layer: RunLayer, state: State, after: State, layers: Any, left: int) -> State:
    """The state after all layers ``left``, by a scan. ``after`` is the state after one of them,
    which tells how often a layer cuts.
    """
    axes = varying((state, after))

    def body(carry, layer):
        after = run_layer(replace(state, **carry), layer)
        return vary(_carried(after), axes), after.outcomes

    carry = vary(_carried(state), axes)
    carry, outcomes = jax.lax.scan(body, carry, layers, length=left)
    return replace(
        state,
        **carry,
        outcomes=outcomes,
        truncations=state.truncations + left * (after.truncations - state.truncations),
        reflects=after.reflects,
    )


def _carried(state: State) -> dict[str, Any]:
    """The parts of a state that are arrays, without outcomes."""
    names = "factors", "selected", "rarest", "score"
    return {name: getattr(state, name) for name in names}


def _joined(state: State, after: State) -> State | None:
    """A state with its factors joined as they are after a layer. None unless this alone makes its
    factors of the same kind, no factor has more than two modes, and joining loses nothing. (None
    also if the layer parts modes that came in joined.)

    A first layer that joins pairs on the way would save at most one gate on two modes, and would be
    compiled apart from the others. With more modes the factors grow step by step within the layer,
    which saves nearly all of its cost, so then it runs unrolled.
    """
    if not state.layout.separable:
        return None
    factors = []
    for factor in after.factors:
        parts = [part for part in state.factors if set(part.modes) <= set(factor.modes)]
        covered = {mode for part in parts for mode in part.modes}
        if len(factor.modes) > 2 or covered != set(factor.modes):
            return None
        if any(type(part) is not type(factor) for part in parts):
            return None
        factors.append(reduce(lambda a, b: a.join(b), parts))
    if _kinds(tuple(factors)) != _kinds(after.factors):
        return None
    return replace(state, factors=tuple(factors))


def _kinds(factors: tuple[Factor, ...]):
    """Which modes share a factor, and the kind and the layout of each factor."""
    return jax.tree.structure(factors)


def _in_order(found: list[Outcomes]) -> Outcomes:
    """The outcomes of layers, which stand along a leading axis, concatenated."""
    return jax.tree.map(lambda *layers: jnp.concatenate(layers), *found)
