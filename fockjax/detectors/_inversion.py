"""Drawing from a density on an interval by inverting its cumulative distribution."""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.polynomial import chebyshev

from fockjax._linear import contract
from fockjax._random import uniform

ORDER = 16  # how many values of the density there are in each cell


class Cells(NamedTuple):
    """The interval ``[-count * width, count * width]`` cut into cells. In each cell a density is
    approximated by a polynomial, given by its values at the ``ORDER`` Chebyshev points.

    Attributes:
        count: the number of cells.
        width: half the width of a cell.
    """

    count: int
    width: float

    def nodes(self) -> np.ndarray:
        """The points where values are needed, in order, float64, shape (count * ORDER,)."""
        centres = 2.0 * np.arange(self.count) + 1 - self.count
        return (self.width * (centres[:, None] + chebyshev.chebpts1(ORDER))).reshape(-1)

    def draw(self, key: jax.Array, density: jax.Array) -> jax.Array:
        """A point drawn from a density, which is given by its values at the nodes in any unit."""
        which, where = jax.random.split(key)
        share = uniform(where, density.dtype) / 2
        return self.quantile(share, jax.random.bernoulli(which), density)

    def quantile(self, share: jax.Array, right: jax.Array, density: jax.Array) -> jax.Array:
        """The point with a given share of the whole integral on its left, or on its right.

        Shares are counted from either side up to the median, so that both tails are resolved. The
        result is NaN where the density is zero everywhere.
        """
        dtype = density.dtype
        values, masses = self._masses(density)
        upto = jnp.stack([jnp.cumsum(masses), jnp.cumsum(masses[::-1])])
        total = upto[0, -1]
        wanted = share * total
        cells = [jnp.searchsorted(from_side, wanted) for from_side in upto]
        cell = jnp.minimum(jnp.where(right, cells[1], cells[0]), self.count - 1)
        before = jnp.concatenate([jnp.zeros_like(upto[:, :1]), upto[:, :-1]], -1)
        rest = wanted - before[right.astype(jnp.int32), cell]
        values = values[jnp.where(right, self.count - 1 - cell, cell)]
        coefficients = _antiderivative(jnp.where(right, values[::-1], values))

        def halve(_, between):
            low, high = between
            middle = (low + high) / 2
            is_below = _integral(coefficients, middle) < rest
            return jnp.where(is_below, middle, low), jnp.where(is_below, high, middle)

        ends = jnp.full_like(rest, -1), jnp.full_like(rest, 1)
        low, high = lax.fori_loop(0, np.finfo(dtype).nmant + 1, halve, ends)
        centre = self.width * (2 * cell + 1 - self.count).astype(dtype)
        q = centre + self.width * (low + high) / 2
        return jnp.where(right, -q, q) * (total / total)  # NaN if the total is 0

    def _masses(self, density: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The values in each cell, and the integral over it in units of half its width."""
        values = density.reshape(self.count, ORDER)
        # All Chebyshev polynomials are 1 at 1.
        weights = jnp.asarray(_integrals().sum(0), density.dtype)
        return values, jnp.maximum(contract(values, weights, "cp,p->c"), 0)


def _antiderivative(values: jax.Array) -> jax.Array:
    """Chebyshev coefficients of the integral from the start of a cell, from the values in it."""
    return contract(jnp.asarray(_integrals(), values.dtype), values, "kp,p->k")


def _integral(coefficients: jax.Array, t: jax.Array) -> jax.Array:
    """``sum_k coefficients[k] T_k(t)`` by Clenshaw's recurrence."""
    here, above = jnp.zeros_like(t), jnp.zeros_like(t)
    for k in reversed(range(1, ORDER + 1)):
        here, above = 2 * t * here - above + coefficients[k], here
    return t * here - above + coefficients[0]


@lru_cache
def _integrals() -> np.ndarray:
    """The matrix that takes values at the Chebyshev points to the coefficients of the integral from
    -1, float64.
    """
    points = chebyshev.chebpts1(ORDER)
    values = np.linalg.inv(chebyshev.chebvander(points, ORDER - 1))
    return chebyshev.chebint(values, lbnd=-1)
