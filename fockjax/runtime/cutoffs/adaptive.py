"""Samples run at planned cutoffs; those that lose too much run again, alone, at larger ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from fockjax.arguments import Cutoff
from fockjax.circuit import Circuit, Weights
from fockjax.runtime.cutoffs.modes import CutoffPlan
from fockjax.runtime.cutoffs.pilot import lost
from fockjax.runtime.cutoffs.samples import checked_samples, shown_rows
from fockjax.runtime.cutoffs.totals import TotalPlan, TruncationPlan
from fockjax.states import State

Evaluate = Callable[[Any, np.ndarray], tuple[Any, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Adapted:
    """The results of samples, each at the cutoffs that it needed.

    Attributes:
        values: a pytree of NumPy arrays with the samples along their first axis.
        lost: what each sample lost, shape ``(rows,)``.
        rung: the index in ``rungs`` of the cutoffs at which each sample ran, shape ``(rows,)``.
        rungs: the cutoffs, increasing.
        tolerance: what a sample may lose.
    """

    values: Any
    lost: np.ndarray
    rung: np.ndarray
    rungs: tuple[Cutoff, ...]
    tolerance: float

    @property
    def enough(self) -> np.ndarray:
        """Which samples lost no more than the tolerance."""
        return self.lost <= self.tolerance

    def __str__(self) -> str:
        lines = [
            f"{_named(cutoffs)}: {count} sample{'' if count == 1 else 's'}"
            for k, cutoffs in enumerate(self.rungs)
            if (count := int(np.sum(self.rung == k)))
        ]
        if failed := int(np.sum(~self.enough)):
            lines.append(f"{failed} lost more than {self.tolerance:.1e} even there.")
        return "\n".join(lines)


class LeakageError(RuntimeError):
    """Samples that lose more than the tolerance at the greatest cutoffs.

    Attributes:
        result: the `Adapted` of all samples; its ``enough`` marks those that can be used.
    """

    def __init__(self, result: Adapted):
        self.result = result
        rows = np.flatnonzero(~result.enough)
        worst = float(np.max(result.lost[rows]))
        super().__init__(
            f"{len(rows)} of {len(result.lost)} samples lose more than {result.tolerance:.1e} even "
            f"at {_named(result.rungs[-1])} (rows {shown_rows(rows)}; at most {worst:.1e}). Plan "
            "with a greater `maximum`, limit their displacements and squeezing, raise the "
            "tolerance, or take the results flagged (`flag=True`; here `error.result`)."
        )


def climb(evaluate: Evaluate, rows: int, rungs: Sequence[Cutoff], tolerance: float) -> Adapted:
    """Evaluate samples at the first cutoffs, then those that lose too much at the next, and so on.

    Args:
        evaluate: called with cutoffs and the numbers of samples, increasing. It returns a pytree of
            arrays with these samples along the first axis, and what each of them lost, or NaN where
            that is not known. The shapes must not depend on the cutoffs.
        rows: the number of samples.
        rungs: truncations, as `CutoffPlan.rungs`.
        tolerance: what a sample may lose.

    Returns:
        An `Adapted`, also if the last cutoffs are not enough for some samples: see its ``enough``.
    """
    left = np.arange(rows)
    values, leakage, rung = None, np.full(rows, np.nan), np.zeros(rows, int)
    for number, cutoffs in enumerate(rungs):
        found, own = evaluate(cutoffs, left)
        found = jax.tree.map(np.asarray, found)
        if values is None:
            values = jax.tree.map(lambda leaf: np.array(leaf), found)
        else:
            jax.tree.map(partial(_put, left), values, found)
        leakage[left], rung[left] = own, number
        left = left[~(leakage[left] <= tolerance)]  # NaN stays, too
        if not len(left):
            break
    return Adapted(values, leakage, rung, tuple(rungs), tolerance)


def _named(truncation: Cutoff) -> str:
    return f"cutoffs {truncation}" if isinstance(truncation, tuple) else str(truncation)


def _put(rows: np.ndarray, into: np.ndarray, found: np.ndarray) -> None:
    if into.shape[1:] != found.shape[1:]:
        raise ValueError(
            "What is read from a state must have the same shape at all cutoffs, got "
            f"{into.shape[1:]} and {found.shape[1:]}: read means, or a fixed number of levels."
        )
    into[rows] = found


def run_adaptive(
    circuit: Circuit,
    readout: Callable[[State], Any],
    weights: Weights,
    x: Any,
    plan: CutoffPlan | TotalPlan | TruncationPlan,
    *,
    batch: int = 128,
    key: jax.Array | None = None,
    flag: bool = False,
    dtype=None,
) -> Adapted:
    """Read out many samples at the cutoffs of a plan. A sample that loses more than the plan's
    tolerance runs again at the next larger cutoffs.

    Args:
        circuit: the circuit planned for.
        readout: from a `State` to a pytree of arrays, whose shapes must not depend on the cutoff.
        weights: as in calling the circuit.
        x: samples, shape ``(rows, inputs)``.
        plan: from `plan_cutoffs`, `plan_total` or `plan_truncation`.
        batch: how many samples run at a time; smaller batches are padded to a power of two, so that
            few programs are compiled.
        key: a JAX random key, for a circuit that measures. Each sample gets its own: this one, with
            the number of the sample folded in.
        flag: return samples that lose too much at the greatest cutoffs too, flagged by
            `Adapted.enough`, instead of raising.
        dtype: complex64 or complex128.

    Raises:
        LeakageError: if some samples lose too much even at the greatest cutoffs; its ``result`` has
            the results of all.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> circuit = fj.Circuit(1).displace(fj.Input(0), mode=0)
        >>> plan = fj.runtime.plan_cutoffs(circuit, {}, [[0.5]], maximum=16)
        >>> read = lambda state: state.photon_number(0).mean
        >>> result = fj.runtime.run_adaptive(circuit, read, {}, [[0.5], [0.4], [1.0]], plan)
        >>> print(result)
        cutoffs (4,): 2 samples
        cutoffs (6,): 1 sample
        >>> result.values.round(2)
        array([0.25, 0.16, 1.  ], dtype=float32)
    """
    if not isinstance(plan, CutoffPlan | TotalPlan | TruncationPlan):
        raise TypeError(
            "Argument `plan` must come from `plan_cutoffs`, `plan_total` or `plan_truncation`, got "
            f"{type(plan).__name__}."
        )
    samples = checked_samples(circuit, x)
    size = int(batch)
    if size < 1:
        raise ValueError(f"Argument `batch` must be at least 1, got {batch!r}.")

    @partial(jax.jit, static_argnames="cutoffs")
    def program(weights, x, numbers, cutoffs):
        def one(row, number):
            own = None if key is None else jax.random.fold_in(key, number)
            state = circuit(weights, row, cutoff=cutoffs, key=own, dtype=dtype)
            return readout(state), lost(state)

        return jax.vmap(one)(x, numbers)

    def evaluate(cutoffs, rows):
        parts = []
        for start in range(0, len(rows), size):
            own = rows[start : start + size]
            # Repeat rows up to the next power of two.
            padded = np.resize(own, min(size, 1 << (len(own) - 1).bit_length()))
            found = program(weights, samples[padded], padded, cutoffs)
            parts.append(
                jax.tree.map(lambda leaf, own=own: leaf[: len(own)], jax.device_get(found))
            )
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)

    result = climb(evaluate, len(samples), plan.rungs, plan.tolerance)
    if not flag and not result.enough.all():
        raise LeakageError(result)
    return result
