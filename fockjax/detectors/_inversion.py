"""Drawing from a density on an interval by inverting its cumulative distribution."""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.polynomial import chebyshev

from fockjax._linear import contract
from fockjax.detectors._draws import uniform

ORDER = 16  # values of the density in each cell


class Cumulative(NamedTuple):
    """The integral of a density, from the left in row 0, from the right in row 1.

    Attributes:
        below: real (2, cells): the integral over all cells before each.
        inside: real (2, cells, ORDER + 1): Chebyshev coefficients of that from the start of each
            cell to a point inside.
        total: over the whole interval; all are in units of half a cell's width.
    """

    below: jax.Array
    inside: jax.Array
    total: jax.Array


class Cells(NamedTuple):
    """The interval ``[-count * width, count * width]`` cut into cells, in each of which a density is
    seen as a polynomial: its values at the ``ORDER`` Chebyshev points.

    Attributes:
        count: how many.
        width: half the width of one.
    """

    count: int
    width: float

    def nodes(self) -> np.ndarray:
        """Where values are needed, float64, shape (count * ORDER,), in order."""
        centres = 2.0 * np.arange(self.count) + 1 - self.count
        return (self.width * (centres[:, None] + chebyshev.chebpts1(ORDER))).reshape(-1)

    def cumulative(self, density: jax.Array) -> Cumulative:
        """From the values at the nodes."""
        values = jnp.stack([density, density[::-1]]).reshape(2, self.count, ORDER)
        inside = contract(values, jnp.asarray(_integrate(), density.dtype), "scp,kp->sck")
        upto = jnp.cumsum(jnp.maximum(jnp.sum(inside, -1), 0), -1)  # at 1 all polynomials are 1
        below = jnp.concatenate([jnp.zeros_like(upto[:, :1]), upto[:, :-1]], -1)
        return Cumulative(below, inside, upto[0, -1])

    def at(self, cumulative: Cumulative, q: jax.Array) -> jax.Array:
        """The share of the whole that lies below a point."""
        cell = jnp.floor((q / self.width + self.count) / 2)
        cell = jnp.clip(cell, 0, self.count - 1)  # of nan nan
        inside = jnp.clip((q - self.width * (2 * cell + 1 - self.count)) / self.width, -1, 1)
        cell = cell.astype(jnp.int32)
        integral = _chebyshev(cumulative.inside[0, cell], inside) + cumulative.below[0, cell]
        return integral / cumulative.total

    def draw(self, key: jax.Array, density: jax.Array) -> jax.Array:
        """A point drawn from a density, given by its values at the nodes, in any unit.

        From one side or the other, by chance, up to the median, so that both tails are resolved.
        """
        dtype = density.dtype
        which, where = jax.random.split(key)
        side = jax.random.bernoulli(which).astype(jnp.int32)
        cumulative = self.cumulative(density)
        wanted = uniform(where, dtype) / 2 * cumulative.total
        cell = jnp.stack([jnp.searchsorted(below, wanted) for below in cumulative.below])[side] - 1
        cell = jnp.clip(cell, 0, self.count - 1)
        rest = wanted - cumulative.below[side, cell]
        polynomial = cumulative.inside[side, cell]

        def halve(_, between):
            low, high = between
            middle = (low + high) / 2
            is_below = _chebyshev(polynomial, middle) < rest
            return jnp.where(is_below, middle, low), jnp.where(is_below, high, middle)

        ends = jnp.full_like(rest, -1), jnp.full_like(rest, 1)
        low, high = lax.fori_loop(0, np.finfo(dtype).nmant + 1, halve, ends)
        q = self.width * (2 * cell + 1 - self.count).astype(dtype) + self.width * (low + high) / 2
        known = cumulative.total / cumulative.total  # nan where there is nothing to draw from
        return jnp.where(side == 0, q, -q) * known


def _chebyshev(coefficients: jax.Array, t: jax.Array) -> jax.Array:
    """``sum_k coefficients[k] T_k(t)`` by Clenshaw's recurrence."""
    here, above = jnp.zeros_like(t), jnp.zeros_like(t)
    for k in reversed(range(1, ORDER + 1)):
        here, above = 2 * t * here - above + coefficients[k], here
    return t * here - above + coefficients[0]


@lru_cache
def _integrate() -> np.ndarray:
    """From values at the Chebyshev points to the coefficients of the integral from -1, float64."""
    points = chebyshev.chebpts1(ORDER)
    values = np.linalg.inv(chebyshev.chebvander(points, ORDER - 1))
    return chebyshev.chebint(values, lbnd=-1)
