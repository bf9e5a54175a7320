"""Photon-number-resolving detection."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fockjax._numerics import is_number
from fockjax._random import draw_poisson
from fockjax._spec import DetectorSpec
from fockjax.detectors.counter import Counter, check, checked_parameters, count_of, poisson


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Photons(Counter):
    """See `photons`.

    Attributes:
        dark: whether there may be dark counts, known before tracing.
        ideal: whether the efficiency is 1 and there are no dark counts, known before tracing.
    """

    dark: bool = field(default=True, metadata={"static": True})
    ideal: bool = field(default=False, metadata={"static": True})

    def weights(self, outcome: jax.Array) -> jax.Array:
        """Photons are added one by one, each of which is counted or not."""

        def add(counted, _):
            one_more = jnp.concatenate([counted[1:], jnp.zeros_like(counted[:1])])
            after = counted + self.efficiency * (one_more - counted)
            return after, counted[0]

        # Element j is the probability of ``outcome - j`` dark counts alone. Each photon that is
        # counted moves the list by one, and only the first element is read, so that its end does
        # not matter.
        start = poisson(outcome - jnp.arange(self.cutoff, dtype=outcome.dtype), self.dark_counts)
        return lax.scan(add, start, length=self.cutoff)[1]

    def effect(self, outcome: Any) -> tuple[jax.Array, jax.Array]:
        if not self.ideal:
            return super().effect(outcome)
        dtype = self.efficiency.dtype
        is_n = count_of(outcome) == jnp.arange(self.cutoff, dtype=jnp.int32)
        return jnp.ones(1, dtype), is_n.astype(dtype)[None]

    def _respond(self, key: jax.Array, n: jax.Array) -> jax.Array:
        if self.ideal:
            return n
        seeing, dark = jax.random.split(key)
        seen = jax.random.bernoulli(seeing, self.efficiency, (self.cutoff - 1,))
        seen = jnp.sum(seen & (jnp.arange(self.cutoff - 1, dtype=n.dtype) < n), dtype=jnp.int32)
        if not self.dark:  # drawing from a Poisson distribution takes seconds to compile
            return seen
        return seen + draw_poisson(dark, self.dark_counts)


def photons(efficiency: Any = 1.0, dark_counts: Any = 0.0, *, cutoff: int, dtype=None) -> Photons:
    """A detector that counts photons: the outcome is an integer >= 0.

    Each photon is seen with probability ``efficiency``, and a Poisson-distributed number of dark
    counts is added. So an outcome may be at the cutoff or above. If both parameters have their
    default values and are not traced, the other modes of a pure state stay pure.

    Args:
        efficiency: the probability that a photon is seen, from 0 to 1.
        dark_counts: mean number of dark counts, >= 0.
        cutoff: the cutoff of the mode.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        A `Detector` of one mode.

    Raises:
        ValueError: if a parameter is known to be out of its range. A traced one gives effects of
            NaN and outcomes of -1.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> detector = fj.detectors.photons(0.5, cutoff=3)
        >>> print(detector.probability(1, np.diag([0, 0, 1 + 0j])))  # one of two photons is seen
        0.5

    Reference:
        P. L. Kelley and W. H. Kleiner, Phys. Rev. 136, A316 (1964).
    """
    perfect, silent = is_number(efficiency, 1), is_number(dark_counts, 0)
    return Photons(
        *checked_parameters(efficiency, dark_counts, dtype), cutoff, not silent, perfect and silent
    )


def _needs(parameters, options):
    """The outcome selected, if all of it must be photons: dark counts do without."""
    return parameters.get("select", 0) if parameters["dark_counts"] == 0 else 0


SPEC = DetectorSpec(
    "photons",
    ("efficiency", "dark_counts"),
    1,
    photons,
    defaults={"efficiency": 1.0, "dark_counts": 0.0},
    check=check,
    outcome="integer",
    needs=_needs,
)
