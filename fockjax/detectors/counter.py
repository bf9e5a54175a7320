"""What the detectors of photons have in common: an efficiency and dark counts."""

import abc
import math
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln, xlogy

from fockjax._given import in_range
from fockjax._numerics import real_dtype
from fockjax._random import draw_photon_number, tails
from fockjax._spec import check_ranges
from fockjax.detectors._detector import Detector


@dataclass(frozen=True, eq=False)
class Counter(Detector):
    """A detector whose outcome depends only on the photon number n of the mode.

    Attributes:
        efficiency: the probability that a photon is seen, a real scalar.
        dark_counts: the mean number of counts without a photon, a real scalar.
        cutoff: the cutoff of the mode.
    """

    efficiency: jax.Array
    dark_counts: jax.Array
    cutoff: int = field(metadata={"static": True})

    @abc.abstractmethod
    def weights(self, outcome: jax.Array) -> jax.Array:
        """The probability of an outcome for each n below the cutoff."""

    @abc.abstractmethod
    def _respond(self, key: jax.Array, n: jax.Array) -> jax.Array: ...

    def respond(self, key: jax.Array, n: jax.Array) -> jax.Array:
        """An outcome drawn for n photons; -1 if n is -1 or a parameter is out of its range."""
        outcome = self._respond(key, n).astype(jnp.int32)
        known = jnp.isfinite(self.efficiency + self.dark_counts)
        return jnp.where(known & (n >= 0), outcome, -1)

    def sample(self, key: jax.Array, rho: jax.Array) -> jax.Array:
        drawing, responding = jax.random.split(key)
        rho = jax.lax.stop_gradient(rho)
        return self.respond(responding, draw_photon_number(drawing, tails(jnp.diagonal(rho).real)))

    def effect(self, outcome: Any) -> tuple[jax.Array, jax.Array]:
        weights = self.weights(count_of(outcome))
        poison = 0 * (self.efficiency + self.dark_counts)  # NaN if one is out of its range
        return weights + poison, jnp.eye(self.cutoff, dtype=weights.dtype)


def count_of(outcome: Any) -> jax.Array:
    """The outcome of a counter, an integer or whether it clicked, as an integer of JAX."""
    array = jnp.asarray(outcome)
    if not (jnp.issubdtype(array.dtype, jnp.integer) or array.dtype == bool):
        raise TypeError(f"Argument `outcome` must be an integer, got {outcome!r}.")
    return array.astype(jnp.int32)


check = check_ranges(efficiency=(0, 1), dark_counts=(0, math.inf))


def checked_parameters(efficiency, dark_counts, dtype) -> tuple[jax.Array, jax.Array]:
    """The parameters of a counter as real scalars; NaN where they are traced and out of range."""
    real = real_dtype(dtype)
    return (
        in_range(efficiency, "efficiency", 0, 1, real),
        in_range(dark_counts, "dark_counts", 0, math.inf, real),
    )


@jax.custom_jvp
def poisson(k: jax.Array, mean: jax.Array) -> jax.Array:
    """The probability of k events, integers that may be traced; 0 for k < 0."""
    count = jnp.maximum(k, 0).astype(mean.dtype)
    return jnp.where(k >= 0, jnp.exp(xlogy(count, mean) - mean - gammaln(count + 1)), 0)


@poisson.defjvp
def _poisson_jvp(primals, tangents):
    """Written by hand, since automatic differentiation goes through log(mean), which is not finite
    at mean = 0.
    """
    k, mean = primals
    here = poisson(k, mean)
    return here, (poisson(k - 1, mean) - here) * tangents[1]
