"""Detectors that tell whether there are photons."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._numerics import geometric
from fockjax._random import uniform
from fockjax._spec import DetectorSpec
from fockjax.detectors.counter import Counter, check, checked_parameters


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Threshold(Counter):
    """See `threshold`."""

    def weights(self, outcome: jax.Array) -> jax.Array:
        silent, click = self._both()
        return jnp.where(outcome == 0, silent, jnp.where(outcome == 1, click, 0))

    def _both(self) -> tuple[jax.Array, jax.Array]:
        """The probabilities of no click and of a click for each n.

        The probability of a click is the sum over which photon, or dark count, is seen first. In 1
        minus the probability of no click a small value would be lost to cancellation.
        """
        silent = geometric(
            jnp.exp(-self.dark_counts), 1 - self.efficiency, np.ones(self.cutoff - 1)
        )
        dark = -jnp.expm1(-self.dark_counts)
        first = jnp.concatenate([dark[None], self.efficiency * silent[:-1]])
        return silent, jnp.cumsum(first)

    def _respond(self, key: jax.Array, n: jax.Array) -> jax.Array:
        _, click = self._both()
        return uniform(key, click.dtype) < click[n]


def threshold(
    efficiency: Any = 1.0, dark_counts: Any = 0.0, *, cutoff: int, dtype=None
) -> Threshold:
    """A detector that tells whether there are photons: the outcome is 1 for a click, else 0.

    Args:
        efficiency: the probability that a photon makes it click, from 0 to 1.
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
        >>> detector = fj.detectors.threshold(0.5, cutoff=3)
        >>> print(detector.probability(1, np.diag([0, 0, 1 + 0j])))  # two photons
        0.75

    Reference:
        P. L. Kelley and W. H. Kleiner, Phys. Rev. 136, A316 (1964).
    """
    return Threshold(*checked_parameters(efficiency, dark_counts, dtype), cutoff)


def _check(parameters, modes, options):
    check(parameters, modes, options)
    selected = parameters.get("select")
    if isinstance(selected, int) and selected not in (0, 1):
        raise ValueError(f"Argument `select` must be 0, no click, or 1, a click, got {selected!r}.")


SPEC = DetectorSpec(
    "threshold",
    ("efficiency", "dark_counts"),
    1,
    threshold,
    defaults={"efficiency": 1.0, "dark_counts": 0.0},
    check=_check,
    outcome="integer",
)
