"""Checks of what goes into a run, and the status of each row that comes out."""

import warnings
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._advice import first_few
from fockjax.leakage import Checked


def with_status(result: Any) -> tuple[Checked, jax.Array]:
    """The result of one sample as `Checked`, and whether all of it is finite.

    The leakage is None if the function does not return one. This is traced.
    """
    result = result if isinstance(result, Checked) else Checked(result, None)
    result = jax.tree.map(jnp.asarray, result)
    finite = jnp.array(True)
    for leaf in jax.tree.leaves(result):
        finite &= jnp.all(jnp.isfinite(leaf))
    return result, finite


def refuse_rows(leaves: list[np.ndarray], first: int = 0) -> None:
    """Raise ValueError if rows are not finite, with their numbers, counted from ``first``."""
    bad = np.zeros(len(leaves[0]), bool)
    for leaf in leaves:
        if np.issubdtype(leaf.dtype, np.inexact):
            bad |= ~np.isfinite(leaf).all(tuple(range(1, leaf.ndim)))
    if bad.any():
        rows = listed(first + np.flatnonzero(bad))
        raise ValueError(
            f"Argument `x` must be finite in {leaves[0].dtype}, but {rows} (from 0) are not: leave "
            "them out."
        )


def listed(rows: np.ndarray) -> str:
    """Row numbers for a message: how many, and the first few.

    >>> listed(np.arange(12))
    '12 rows (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 2 more)'
    """
    return f"{len(rows)} {'row' if len(rows) == 1 else 'rows'} ({first_few(rows)})"


def bounded(
    params: Mapping[str, Any], bounds: Mapping[str, tuple[float, float]], *, clip: bool = False
) -> dict[str, Any]:
    """Check that parameters are finite and within bounds, and return them.

    Args:
        params: arrays by name, as `Circuit.init` gives.
        bounds: lowest and highest value by name. Parameters that are not named need only be finite.
        clip: move values outside to the nearest bound, with a warning, instead of refusing them.

    Raises:
        ValueError: for a parameter that is not finite, for one outside its bounds unless ``clip``,
            or for bounds that are none or of a parameter that does not exist.

    Example:
        >>> bounded({"r": 0.3}, {"r": (-1, 1)})
        {'r': 0.3}
        >>> bounded({"r": 1.3}, {"r": (-1, 1)})
        Traceback (most recent call last):
        ValueError: Parameter `r` must be within [-1, 1], but is 1.3; `clip=True` brings it there.
    """
    if unknown := bounds.keys() - params.keys():
        raise ValueError(
            f"Argument `bounds` names {sorted(unknown)}, but the parameters are {sorted(params)}."
        )
    result = dict(params)
    for name, (low, high) in bounds.items():
        if not low <= high:
            raise ValueError(
                f"Argument `bounds`: those of {name!r} must be the lowest and then the highest "
                f"value, got ({low}, {high})."
            )
    for name, value in params.items():
        values = np.asarray(value)
        if values.dtype.kind not in "fiu":
            raise TypeError(
                f"Argument `params` must be a dictionary of real arrays, but {name!r} is a "
                f"{type(value).__name__}."
            )
        if not np.isfinite(values).all():
            raise ValueError(f"Parameter `{name}` is not finite: {values}.")
        low, high = bounds.get(name, (-np.inf, np.inf))
        if ((values < low) | (values > high)).any():
            worst = values.ravel()[np.argmax(np.maximum(low - values, values - high))]
            if not clip:
                raise ValueError(
                    f"Parameter `{name}` must be within [{low}, {high}], but is {worst:g}; "
                    "`clip=True` brings it there."
                )
            warnings.warn(
                f"parameter {name} is clipped to [{low}, {high}]: it was {worst:g}",
                RuntimeWarning,
                stacklevel=2,
            )
            result[name] = jnp.clip(value, low, high)
    return result
