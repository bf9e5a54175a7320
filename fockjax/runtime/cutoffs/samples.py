"""Samples to plan with: those given, the extreme ones among many, or points of a range."""

from typing import Any

import numpy as np

from fockjax._given import checked_integer
from fockjax.circuit import Circuit

ROWS = 1024  # samples that a planner looks at, at most


def checked_samples(circuit: Circuit, x: Any) -> np.ndarray:
    """The samples as a float64 array of shape (rows, inputs), finite."""
    if not isinstance(circuit, Circuit):
        raise TypeError(
            f"Argument `circuit` must be a Circuit, got {type(circuit).__name__}; of "
            "fockjax.grouped plan for the circuit of one group."
        )
    wanted = circuit.num_inputs
    if np.ma.is_masked(x):
        raise ValueError("Argument `x` has masked values: fill them in, or leave their rows out.")
    samples = np.zeros((1, 0)) if x is None else np.atleast_2d(np.asarray(x))
    if samples.dtype.kind not in "fiub":
        raise TypeError(f"Argument `x` must be made of real numbers, got dtype {samples.dtype}.")
    samples = samples.astype(float)
    if samples.ndim != 2 or samples.shape[1] != wanted or not len(samples):
        raise ValueError(
            f"Argument `x` must have shape (rows, {wanted}), the inputs of the circuit, got "
            f"{'none' if x is None else np.shape(x)}."
        )
    if not np.all(np.isfinite(samples)):
        row = int(np.argmin(np.all(np.isfinite(samples), 1)))
        raise ValueError(f"Argument `x` must be finite, but row {row} is {samples[row]}.")
    return samples


def rows_to_plan_for(samples: np.ndarray) -> np.ndarray:
    """All rows; of more than `ROWS`, those with extreme values (at most half of them, those of the
    first inputs) and others at even distances.
    """
    if len(samples) <= ROWS:
        return np.arange(len(samples))
    size = np.linalg.norm(samples, axis=1)
    ends = np.stack([samples.argmin(0), samples.argmax(0)], 1).ravel()
    chosen = [size.argmax(), *ends[: ROWS // 2 - 1]]
    even = np.linspace(0, len(samples) - 1, ROWS - len(set(chosen))).astype(int)
    return np.unique(np.concatenate([np.array(chosen, int), even]))


def spread(low: Any, high: Any, rows: int = 256) -> np.ndarray:
    """Points that cover given ranges of the inputs, to plan with.

    They are the corners, if these are no more than half of ``rows``, and a Sobol sequence, which
    fills the ranges evenly.

    Args:
        low, high: the ends of the range of each input, shape ``(inputs,)``.
        rows: how many points.

    Returns:
        Shape ``(rows, inputs)``.

    Example:
        >>> import fockjax as fj
        >>> fj.runtime.spread([-1.0, 0.0], [1.0, 2.0], rows=8)[:4]
        array([[-1.,  0.],
               [-1.,  2.],
               [ 1.,  0.],
               [ 1.,  2.]])
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    if low.ndim != 1 or low.shape != high.shape or not np.all(low <= high):
        raise ValueError(
            f"Arguments `low` and `high` must be vectors of one length, low <= high, got {low} and "
            f"{high}."
        )
    checked_integer(rows, "Argument `rows`")
    from scipy.stats import qmc  # takes a second

    unit = np.zeros((0, len(low)))
    if 2 ** len(low) <= rows // 2:
        unit = np.indices((2,) * len(low)).reshape(len(low), -1).T
    more = rows - len(unit)
    points = qmc.Sobol(len(low), scramble=False).random_base2(more.bit_length())[1 : 1 + more]
    return low + (high - low) * np.concatenate([unit, points])
