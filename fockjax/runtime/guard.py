"""Checks of what goes into a run, and the status of each row that comes out."""

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
    bad, dtypes = np.zeros(len(leaves[0]), bool), set()
    for leaf in leaves:
        if np.issubdtype(leaf.dtype, np.inexact):
            own = ~np.isfinite(leaf).all(tuple(range(1, leaf.ndim)))
            dtypes |= {str(leaf.dtype)} if own.any() else set()
            bad |= own
    if bad.any():
        rows = listed(first + np.flatnonzero(bad))
        kinds = " and ".join(sorted(dtypes))
        raise ValueError(
            f"Argument `x` must be finite in {kinds}, but {rows} (from 0) are not: leave them out."
        )


def listed(rows: np.ndarray) -> str:
    """Row numbers for a message: how many, and the first few.

    >>> listed(np.arange(12))
    '12 rows (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 2 more)'
    """
    return f"{len(rows)} {'row' if len(rows) == 1 else 'rows'} ({first_few(rows)})"
