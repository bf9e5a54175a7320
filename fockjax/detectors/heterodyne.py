"""Heterodyne detection: both quadratures at once."""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy.special import gammaln

from fockjax._linear import contract
from fockjax._numerics import canonical_complex, geometric
from fockjax._spec import DetectorSpec
from fockjax.detectors._detector import Detector
from fockjax.detectors._inversion import Cells
from fockjax.gates.displacement import first_column


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Heterodyne(Detector):
    """See `heterodyne`.

    Attributes:
        cutoff: the cutoff of the mode.
        dtype: the complex dtype of the outcomes.
    """

    cutoff: int = field(metadata={"static": True})
    dtype: np.dtype = field(metadata={"static": True})

    def effect(self, outcome: Any) -> tuple[jax.Array, jax.Array]:
        alpha = jnp.asarray(outcome).astype(self.dtype)
        vacuum = first_column(alpha.real, 1) * first_column(alpha.imag, 1)  # e^{-|alpha|^2 / 2}
        roots = np.sqrt(1 / np.arange(1, self.cutoff))
        bra = geometric(vacuum[0].astype(self.dtype), alpha.conj(), roots)
        return jnp.full(1, 1 / math.pi, vacuum.dtype), bra[None]

    def sample(self, key: jax.Array, rho: jax.Array) -> jax.Array:
        """Draw the modulus first, whose density depends on the photon numbers only; then the phase
        given the modulus, whose density is a trigonometric polynomial.
        """
        rho = lax.stop_gradient(rho)
        radial, angular = jax.random.split(key)
        moduli, phases = _moduli(self.cutoff), _phases(self.cutoff)
        powers = jnp.asarray(_radial(self.cutoff), jnp.finfo(self.dtype).dtype)
        density = contract(jnp.diagonal(rho).real, powers, "n,nr->r")
        r = moduli.draw(radial, density) + moduli.count * moduli.width

        cos, sin = (jnp.asarray(table, r.dtype) for table in _waves(self.cutoff))
        fourier = self._fourier(rho, r)
        density = contract(fourier.real, cos, "k,kx->x") - contract(fourier.imag, sin, "k,kx->x")
        phi = phases.draw(angular, density)
        return lax.complex(r * jnp.cos(phi), r * jnp.sin(phi))

    def _fourier(self, rho: jax.Array, r: jax.Array) -> jax.Array:
        """The coefficients ``c_k``: the density of the phase at modulus r is proportional to
        ``Re sum_k c_k e^{i k phi}``.
        """
        n = np.arange(self.cutoff)
        columns = n + n[:, None]  # [k, m]: m + k
        inside, columns = columns < self.cutoff, np.minimum(columns, self.cutoff - 1)
        twice = (np.where(n > 0, 2, 1)[:, None] * inside).astype(r.dtype)
        bands = contract(rho[n, columns], twice, "km,km->km")
        # The amplitudes of a coherent state, up to a factor that keeps the largest within range.
        waves = geometric(jnp.exp(-(r**2) / 4), r, np.sqrt(1 / n[1:]))
        waves = waves / jnp.max(waves)
        return contract(contract(bands, waves, "km,m->km"), waves[columns], "km,km->k")


def _moduli(cutoff: int) -> Cells:
    """Cells for ``|alpha|`` minus half of its range. More than 6 beyond the root of the highest
    photon number the probability is below 1e-20.
    """
    count = math.ceil((math.sqrt(cutoff) + 6) / 0.9)
    return Cells(count, 0.45)


@lru_cache(maxsize=32)
def _radial(cutoff: int) -> np.ndarray:
    """``2 r^(2n + 1) e^(-r^2) / n!``, the density of ``|alpha|`` with n photons, at the nodes."""
    n = np.arange(cutoff)[:, None]
    cells = _moduli(cutoff)
    r = cells.nodes() + cells.count * cells.width
    return np.exp((2 * n + 1) * np.log(r) - r**2 - gammaln(n + 1)) * 2


def _phases(cutoff: int) -> Cells:
    """Cells for the phases from -pi to pi of a trigonometric polynomial of degree cutoff - 1."""
    count = math.ceil(math.pi * max(cutoff - 1, 1) / 2.5)
    return Cells(count, math.pi / count)


@lru_cache(maxsize=32)
def _waves(cutoff: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of k times the phases at the nodes, for each k."""
    turns = np.arange(cutoff)[:, None] * _phases(cutoff).nodes()
    return np.cos(turns), np.sin(turns)


def heterodyne(*, cutoff: int, dtype=None) -> Heterodyne:
    """A heterodyne detector: the outcome is a complex number alpha, with the effect
    ``|alpha><alpha| / pi``.

    `Detector.probability` is its density per unit of area of alpha, Husimi's Q function. In the
    quadratures it is ``(x + i p) / sqrt(2 hbar)``.

    Args:
        cutoff: of the mode.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.
            complex64 underflows from ``|alpha| = 13``.

    Returns:
        A `Detector` of one mode.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> vacuum = np.diag([1 + 0j, 0])
        >>> print(fj.detectors.heterodyne(cutoff=2).probability(1j, vacuum).round(4))  # e^-1 / pi
        0.1171

    Reference:
        H. P. Yuen and J. H. Shapiro, IEEE Trans. Inf. Theory 26, 78 (1980).
    """
    return Heterodyne(cutoff, canonical_complex(dtype))


SPEC = DetectorSpec("heterodyne", (), 1, heterodyne, outcome="complex")
