"""Gaussian states through a circuit: their moments, in the infinite space, without a cutoff.

The moments of Gaussian states (`moves`) follow exactly and at the cost of small matrix products, so
NumPy does this here in double precision for many samples at once. Operations that are not Gaussian
leave the moments as they are; the modes whose state then differs from the Gaussian one of the
moments are kept track of.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np

from fockjax.circuit import Circuit, Weights
from fockjax.operations import Measurement, Preparation, Step, written_out
from fockjax.parameters import Parameter, Values
from fockjax.runtime.cutoffs.moves import MOVES, Move, emptied
from fockjax.runtime.cutoffs.statistics import Group, OneMode


@dataclass(frozen=True)
class Cut:
    """A point of a circuit at which a truncation acts.

    Attributes:
        number: the position of the operation, counted from 1 with layers written out.
        step: the operation.
        moments: the moments of each mode whose cutoff acts, by mode.
        exact: whether the state of these modes is Gaussian, so that the moments tell all of it.
        group: the moments of all modes coupled to these, if a bound on their total acts. It does
            not if the operation keeps the total and joins no groups.
    """

    number: int
    step: Step
    moments: dict[int, OneMode]
    exact: bool
    group: Group | None


def cuts(circuit: Circuit, weights: Weights, x: np.ndarray) -> Iterator[Cut]:
    """All points at which a truncation acts, including those inside an operation that is cut
    several times.

    Args:
        circuit: a circuit, starting in the vacuum.
        weights: as in calling it.
        x: samples, shape ``(rows, inputs)``.
    """
    state = _Moments(len(x), circuit.modes)
    for number, step in enumerate(evaluated(circuit, weights, x), 1):
        gaussian = step.name in MOVES and not step.fed_forward
        moves = MOVES[step.name](step.parameters, step.options) if gaussian else []
        if isinstance(step, Measurement):
            # The mode is left empty. The state of those coupled to it depends on what was found,
            # which the moments do not follow.
            gaussian = True
            state.untracked |= state.coupled_to(step.modes)
        if isinstance(step, Measurement | Preparation):
            moves = moves or [emptied(len(step.modes))]
            state.separate(step.modes)
        if not gaussian or state.untracked & set(step.modes):
            state.untracked |= set(step.modes)
        for move in moves:
            at = [step.modes[k] for k in move.on]
            state.move(move, at)
            joined = state.couple(at)
            if move.cuts:
                acts_on_total = joined or not move.keeps_total
                yield Cut(
                    number,
                    step,
                    {mode: state.one_mode(mode) for mode in at},
                    not state.untracked & set(at),
                    state.group(at[0]) if acts_on_total else None,
                )
        if not gaussian:
            joined, loses = state.couple(step.modes), step.spec.truncates
            if joined or loses:
                touched = {mode: state.one_mode(mode) for mode in step.modes if loses}
                yield Cut(number, step, touched, not loses, state.group(step.modes[0]))


class _Moments:
    """The moments of all modes, and what they tell.

    Attributes:
        mean, C: see `moves`, with samples as the first axis.
        untracked: the modes whose state is not the Gaussian one of the moments.
        groups: for each mode the modes coupled to it, itself among them.
    """

    def __init__(self, samples: int, modes: int):
        one = np.eye(2 * modes, dtype=complex)
        self.modes = modes
        self.mean = np.zeros((samples, 2 * modes), complex)
        self.C = np.broadcast_to(one / 2, (samples, *one.shape)).copy()
        self.untracked: set[int] = set()
        self.groups = [{mode} for mode in range(modes)]

    def move(self, move: Move, at: Sequence[int]) -> None:
        both = [*at, *(self.modes + mode for mode in at)]
        T, flip = move.T, np.conj(np.swapaxes(move.T, -1, -2))
        self.mean[:, both] = np.einsum("...ij,...j->...i", T, self.mean[:, both]) + move.shift
        self.C[:, both, :] = T @ self.C[:, both, :]
        self.C[:, :, both] = self.C[:, :, both] @ flip
        self.C[np.ix_(range(len(self.C)), both, both)] += move.noise

    def couple(self, modes: Sequence[int]) -> bool:
        """Couple modes; returns whether they were of several groups."""
        joined = self.coupled_to(modes)
        several = joined != self.groups[modes[0]]
        for mode in joined:
            self.groups[mode] = joined
        return several

    def coupled_to(self, modes: Sequence[int]) -> set[int]:
        """All modes of the groups of these modes."""
        return set().union(*(self.groups[mode] for mode in modes))

    def separate(self, modes: Sequence[int]) -> None:
        """Take each of these modes, whose state is replaced, out of its group."""
        for mode in modes:
            for each in self.groups[mode] - {mode}:
                self.groups[each] = self.groups[each] - {mode}
            self.groups[mode] = {mode}
        self.untracked -= set(modes)

    def one_mode(self, mode: int) -> OneMode:
        C = self.C[:, mode]
        return OneMode(
            self.mean[:, mode].copy(), C[:, mode].real - 0.5, C[:, self.modes + mode].copy()
        )

    def group(self, mode: int) -> Group:
        of = sorted(self.groups[mode])
        both = [*of, *(self.modes + k for k in of)]
        normal = self.C[:, both][:, :, both] - np.eye(len(both)) / 2
        return Group(self.mean[:, both], normal, not self.untracked & self.groups[mode])


def evaluated(circuit: Circuit, weights: Weights, x: np.ndarray) -> list[Step]:
    """The operations, with layers written out and the values of their parameters for each row of
    ``x``. Parameters that depend on outcomes stay `Parameter`.
    """
    steps: list[Step] = []  # filled when `values` is traced

    def values(row):
        steps[:] = written_out(circuit.operations, Values(weights, row))
        return [
            {name: v for name, v in step.parameters.items() if not isinstance(v, Parameter)}
            for step in steps
        ]

    found = jax.device_get(jax.vmap(values)(x))
    return [
        replace(step, parameters={**step.parameters, **own})
        for step, own in zip(steps, found, strict=True)
    ]
