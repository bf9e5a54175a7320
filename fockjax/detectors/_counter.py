"""What detectors of photons share: efficiency and dark counts."""

import abc
import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, xlogy

from fockjax.detectors._detector import Detector
from fockjax.detectors._draws import photon_number, tails


@dataclass(frozen=True, eq=False)
class Counter(Detector):
    """A detector whose outcome depends on the photon number n of the mode only.

    Attributes:
        efficiency: the probability that a photon is seen, real.
        dark_counts: the mean number of counts without a photon, real.
        cutoff: of the mode.
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
        """An outcome drawn for n photons; -1 if n is or a parameter is out of its range."""
        outcome = self._respond(key, n).astype(jnp.int32)
        return jnp.where(self._is_valid() & (n >= 0), outcome, -1)

    def sample(self, key: jax.Array, rho: jax.Array) -> jax.Array:
        drawing, responding = jax.random.split(key)
        rho = jax.lax.stop_gradient(rho)
        return self.respond(responding, photon_number(drawing, tails(jnp.diagonal(rho).real)))

    def effect(self, outcome: Any) -> tuple[jax.Array, jax.Array]:
        weights = self.weights(jnp.asarray(outcome))
        poison = jnp.where(self._is_valid(), 1, math.nan).astype(weights.dtype)
        return weights * poison, jnp.eye(self.cutoff, dtype=weights.dtype)

    def _is_valid(self) -> jax.Array:
        return (self.efficiency >= 0) & (self.efficiency <= 1) & (self.dark_counts >= 0)


def check(parameters, modes=(), options=None) -> None:
    """Refuse an efficiency or a rate of dark counts that is known to be out of its range."""
    for name, most in (("efficiency", 1), ("dark_counts", math.inf)):
        value = parameters[name]
        if isinstance(value, int | float | np.number) and not 0 <= value <= most:
            allowed = "a probability, from 0 to 1" if most == 1 else "a mean number >= 0"
            raise ValueError(f"Parameter `{name}` must be {allowed}, got {value!r}.")


@partial(jax.custom_jvp, nondiff_argnums=())
def poisson(k: jax.Array, mean: jax.Array) -> jax.Array:
    """The probability of k events, integers that may be traced; 0 for k < 0."""
    count = jnp.maximum(k, 0).astype(mean.dtype)
    return jnp.where(k >= 0, jnp.exp(xlogy(count, mean) - mean - gammaln(count + 1)), 0)


@poisson.defjvp
def _poisson_jvp(primals, tangents):
    """Stated, since that of the logarithm is not finite at 0."""
    k, mean = primals
    here = poisson(k, mean)
    return here, (poisson(k - 1, mean) - here) * tangents[1]
