"""A state to which operations are applied one by one.

Operators on one mode wait until something else needs their mode, and fuse with operators that
follow on it. Diagonals are multiplied into a gate on several modes that follows. Factors are joined
only if an operation couples them, turn into density matrices only if a channel or a mixed state
meets them, and fall apart if modes are measured or prepared anew.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp

from fockjax._limits import over_limit
from fockjax._linear import settle
from fockjax._numerics import ratio
from fockjax._random import draw_index, score_weight
from fockjax.detectors import Detector
from fockjax.factors import Factor, Mixed, Pure
from fockjax.layout import Layout, Square
from fockjax.operations import Gate, Measurement, Noise, Preparation, Step
from fockjax.operators import FOLD, Diagonal, Operator, Padded, Sectors, expand, flat_parts
from fockjax.states import State
from fockjax.superoperators import Channel


class Register:
    """A state, with operators on one mode that have not been applied yet.

    Args:
        state: what it starts with.
        memory_limit: bytes that a factor may take.
        unravel: whether to draw one pure branch wherever the state would become mixed.
    """

    def __init__(self, state: State, memory_limit: int, unravel: bool):
        self.state = state
        self.layout = state.layout
        self.memory_limit = memory_limit
        self.unravel = unravel
        self.waiting: dict[int, list[Operator]] = defaultdict(list)

    # operations

    def gate(self, step: Gate, operator: Operator) -> None:
        self._join(step)
        for part, modes in flat_parts(operator, step.modes):
            factor = self._factor(modes[0])
            others = factor.array.size // math.prod(part.cutoffs)
            part = part.suited(others if self.layout.separable else math.inf)
            if isinstance(part, Padded):
                large = part.inner.cutoffs, self.state.dtype
                size = factor.layout.view_bytes(factor.positions(modes), *large)
                when = f"and {part.inner.cutoffs} in between"
                self._check_memory(step, factor.modes, factor.layout, size, when)
            if len(modes) == 1:
                self._one_mode(part, modes[0])
            else:
                self._several_modes(part, modes)
            self._count(self.layout.truncations(part), step.spec.reflects(step.options))

    def channel(self, step: Noise, channel: Channel, key: Any) -> None:
        self._apply_waiting(step.modes)
        self._join(step)
        (factor,) = self._factors(step.modes)
        if self.unravel:
            assert isinstance(factor, Pure)
            after, weight = factor.unravel(channel, key, step.modes)
            self._weigh(weight)
        else:
            self._check_memory(step, factor.modes, Square(factor.kets))
            after = factor.apply_channel(channel, step.modes)
        self._exchange([factor], [after])
        self._count(channel.truncations, step.spec.reflects(step.options))

    def prepare(self, step: Preparation, array: jax.Array, key: Any) -> None:
        """Give modes a new state. They are traced out of the factors they were in."""
        self._drop_waiting(step.modes)
        new, key = self._prepared(step, array, key)
        for factor in self._factors(step.modes):
            trace, key = self._trace_out(step, factor, key)
            if trace is not None:  # the new state takes it over, so that losses stay
                new = new.weighted(trace)
        self._exchange([], [new])
        self._count(step.spec.truncates, step.spec.reflects(step.options))

    def _drop_waiting(self, modes: Sequence[int]) -> None:
        """Apply what waits on modes about to be traced out, but for the last operators that lose
        nothing: they are unitary, and make no difference to the trace.
        """
        for mode in modes:
            waiting = self.waiting[mode]
            while waiting and not waiting[-1].truncations:
                waiting.pop()
            self._apply_waiting((mode,))

    def _prepared(self, step: Preparation, array: jax.Array, key: Any) -> tuple[Factor, Any]:
        """The new factor, and a key for what else is drawn."""
        array = jnp.asarray(array, self.state.dtype)
        layout = self.layout.of(tuple(sorted(step.modes)))
        if not step.is_mixed:
            return Pure.of_ket(array, step.modes, layout), key
        new = Mixed.of_matrix(array, step.modes, layout)
        if not self.unravel:
            return new, key
        key, own = jax.random.split(key)
        new, weight = new.branch(own)
        self._weigh(weight)
        return new, key

    def _trace_out(
        self, step: Preparation, factor: Factor, key: Any
    ) -> tuple[jax.Array | None, Any]:
        """Trace the modes of a step out of a factor. Returns its trace where it had no other modes,
        and a key for what else is drawn.
        """
        covered = tuple(mode for mode in factor.modes if mode in step.modes)
        rest = tuple(mode for mode in factor.modes if mode not in covered)
        if rest and self.unravel:
            for mode in covered:
                key, found = jax.random.split(key)
                self._forget(mode, found)
            self._exchange(self._factors(covered), [])  # each in the vacuum now
            return None, key
        self._check_memory(step, rest, Square(self.layout.of(rest)))
        left = factor.trace_out(covered)
        if isinstance(left, Factor):
            self._exchange([factor], [left])
            return None, key
        self._exchange([factor], [])
        return left, key

    def measure(
        self, step: Measurement, detector: Detector, selected: jax.Array | None, key: Any
    ) -> tuple[jax.Array, jax.Array]:
        """Measure a mode, or select an outcome; the outcome and its probability."""
        (mode,) = step.modes
        # What another mode of the factor loses at its cutoff changes the probabilities of outcomes
        # and the state that is left. So operators that lose something must not wait.
        others = [other for other in self._factor(mode).modes if other != mode]
        lossy = [m for m in others if any(each.truncations for each in self.waiting[m])]
        self._apply_waiting((mode, *lossy))
        factor = self._factor(mode)
        rho = factor.reduced((mode,)).astype(self.state.dtype)
        if selected is not None:
            outcome = selected
        else:
            key, draw = jax.random.split(key) if self.unravel else (key, key)
            outcome = detector.sample(draw, rho)
        probability = detector.probability(outcome, rho)
        weights, bras = detector.effect(outcome)
        if self.unravel and len(weights) > 1:
            j = self._draw(detector.chances(outcome, rho), key)
            weights, bras = jnp.ones_like(weights[:1]), bras[j][None]
        elif len(weights) > 1 and others:
            self._check_memory(step, others, Square(self.layout.of(tuple(others))))
        self._project(mode, weights, bras)
        if selected is None:
            self._weigh(score_weight(probability))
        else:
            self.state = replace(
                self.state,
                selected=self.state.selection_probability * probability,
                rarest=jnp.minimum(self.state.rarest_selection, probability),
            )
        return outcome, probability

    def flush(self) -> State:
        """The state after everything that waits is applied."""
        for factor in self.state.factors:
            self._apply_waiting(factor.modes)
        factors = [replace(factor, array=settle(factor.array)) for factor in self.state.factors]
        return replace(self.state, factors=tuple(factors))

    # operators

    def _one_mode(self, operator: Operator, mode: int) -> None:
        waiting = self.waiting[mode]
        if waiting and self._fuse(operator, waiting[-1], mode):
            waiting[-1] = operator @ waiting[-1]
        else:
            waiting.append(operator)
        alone = self.layout.separable or len(self._factor(mode).modes) == 1
        # Else what is lost would depend on when the operator is applied.
        if not alone and not isinstance(operator, Diagonal):
            self._apply_waiting((mode,))

    def _fuse(self, operator: Operator, before: Operator, mode: int) -> bool:
        """Whether to compose two operators on a mode into one."""
        diagonals = isinstance(operator, Diagonal) + isinstance(before, Diagonal)
        if diagonals or len(self._factor(mode).modes) > 1:
            return diagonals == 2 or self.state.cutoffs[mode] <= FOLD
        return False  # on a single mode, applying a matrix costs D^2 and composing two costs D^3

    def _several_modes(self, operator: Operator, modes: tuple[int, ...]) -> None:
        small = isinstance(operator, Sectors) and max(operator.cutoffs) <= FOLD
        if small or isinstance(operator, Diagonal):
            for position, mode in enumerate(modes):
                last = self.waiting[mode][-1:]
                if last and isinstance(last[0], Diagonal):
                    self.waiting[mode].pop()
                    operator = operator @ expand(last[0], position, operator.cutoffs)
        self._apply_waiting(modes)
        self._apply(operator, modes)

    def _apply_waiting(self, modes: Sequence[int]) -> None:
        """Apply the operators that wait on some modes, diagonals of one factor all at once."""
        while first := {mode: self.waiting[mode][0] for mode in modes if self.waiting[mode]}:
            diagonals = {m: op for m, op in first.items() if isinstance(op, Diagonal)}
            if others := [mode for mode in first if mode not in diagonals]:
                for mode in others:
                    self._apply(self.waiting[mode].pop(0), (mode,))
                continue
            for factor in self._factors(tuple(diagonals)):
                own = {mode: op for mode, op in diagonals.items() if mode in factor.modes}
                self._exchange([factor], [factor.apply_diagonals(own)])
            for mode in diagonals:
                self.waiting[mode].pop(0)

    def _apply(self, operator: Operator, modes: tuple[int, ...]) -> None:
        factor = self._factor(modes[0])
        self._exchange([factor], [factor.apply(operator, modes)])

    # factors

    def _join(self, step: Step) -> None:
        """Join the factors of a step's modes into one. One-mode operators that wait are applied
        before, while the factors are small.
        """
        if len(self._factors(step.modes)) == 1:
            return
        for factor in self._factors(step.modes):
            if len(factor.modes) == 1:
                self._apply_waiting(factor.modes)
        together = self._factors(step.modes)
        modes = tuple(sorted(mode for factor in together for mode in factor.modes))
        layout = self.layout.of(modes)
        is_pure = all(factor.is_pure for factor in together)
        self._check_memory(step, modes, layout if is_pure else Square(layout))
        self._count((len(together) - 1) * layout.join_truncations, False)
        self._exchange(together, [reduce(lambda a, b: a.join(b), together)])

    def _project(self, mode: int, weights: jax.Array, bras: jax.Array) -> None:
        """Leave the other modes in the state that an outcome leaves, scaled to the trace before,
        and this mode in the vacuum. If the outcome is impossible, all amplitudes become zero.
        """
        factor = self._factor(mode)
        before = factor.norm_squared()
        rest = factor.project(mode, weights, bras)
        alone = self.layout.of((mode,))
        vacuum = Pure(alone.vacuum(self.state.dtype), (mode,), alone)
        if isinstance(rest, jax.Array):
            left = [vacuum.weighted(before * ratio(rest, rest))]
        else:
            left = [rest.weighted(ratio(before, rest.norm_squared())), vacuum]
        self._exchange([factor], left)

    def _forget(self, mode: int, key: Any) -> None:
        """Trace out a mode by drawing a photon number, of which nothing is recorded."""
        n = self._draw(self._factor(mode).probabilities((mode,)), key)
        bra = jax.nn.one_hot(n, self.state.cutoffs[mode], dtype=self.state.dtype)
        self._project(mode, jnp.ones(1, bra.real.dtype), bra[None])

    def _factor(self, mode: int) -> Factor:
        return next(factor for factor in self.state.factors if mode in factor.modes)

    def _factors(self, modes: Sequence[int]) -> list[Factor]:
        return [factor for factor in self.state.factors if set(factor.modes) & set(modes)]

    def _exchange(self, gone: Sequence[Factor], new: Sequence[Factor]) -> None:
        kept = [factor for factor in self.state.factors if factor not in gone]
        factors = sorted([*kept, *new], key=lambda factor: factor.modes[0])
        self.state = replace(self.state, factors=tuple(factors))

    # what the state records of its past

    def _draw(self, chances: jax.Array, key: Any) -> jax.Array:
        """An index drawn with probabilities in proportion to ``chances``."""
        j = draw_index(key, chances)
        self._weigh(score_weight(ratio(chances[j], jnp.sum(chances))))
        return j

    def _weigh(self, weight: jax.Array) -> None:
        self.state = replace(self.state, score=self.state.weight * weight)

    def _count(self, truncations: int, reflects: bool) -> None:
        self.state = replace(
            self.state,
            truncations=self.state.truncations + truncations,
            reflects=self.state.reflects or reflects,
        )

    def _check_memory(
        self,
        step: Step,
        modes: Sequence[int],
        layout: Layout | Square,
        size: int | None = None,
        when: str = "",
    ) -> None:
        check_memory(step, modes, layout, self.state.dtype, self.memory_limit, size, when)


def check_memory(
    step: Step,
    modes: Sequence[int],
    layout: Layout | Square,
    dtype,
    limit: int,
    size: int | None = None,
    when: str = "",
    boxed: bool = False,
) -> None:
    """Refuse a factor that would take more memory than the limit, before any of it is made.

    Args:
        step: the step that makes the factor.
        modes: the modes of the factor.
        layout: how it is stored.
        dtype: the dtype of its array.
        limit: the bytes it may take.
        size: the bytes it takes, by default those of the layout.
        when: at what point it takes them, for the message.
        boxed: whether it is made as a box though all photons are bound together.

    Raises:
        OverLimit: naming the step, the modes and the bytes.
    """
    size = layout.bytes(dtype) if size is None else size
    when = "while it is prepared" if boxed else when
    if size > limit:
        is_pure = isinstance(layout, Layout)
        kind = "state" if is_pure else "density matrix"
        instead = "" if is_pure else "draw pure branches instead (`unravel=True`), "
        if layout.kets.separable and not boxed:
            instead = f"bound all photons together (fj.TotalPhotons), {instead}"
        raise over_limit(
            f"{step} needs modes {list(modes)} with cutoffs {layout.kets.truncation} "
            f"{when and f'{when} '}in one {kind}",
            size,
            dtype,
            limit,
            f"Lower the cutoffs, {instead}keep the groups of modes apart (fj.grouped), or raise "
            "`memory_limit`.",
        )
