"""Homodyne detection: one quadrature."""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._given import checked_hbar
from fockjax._linear import contract
from fockjax._numerics import real_dtype
from fockjax._phases import phase_factor
from fockjax._spec import DetectorSpec
from fockjax.detectors._detector import Detector
from fockjax.detectors._inversion import Cells
from fockjax.hermite import hermite_functions, hermite_table


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Homodyne(Detector):
    """See `homodyne`.

    Attributes:
        angle: the angle of the quadrature in radians, a real scalar.
        cutoff: the cutoff of the mode.
        hbar: the convention for the size of a quadrature.
    """

    angle: jax.Array
    cutoff: int = field(metadata={"static": True})
    hbar: float = field(default=2.0, metadata={"static": True})

    def effect(self, outcome: Any) -> tuple[jax.Array, jax.Array]:
        dtype = self.angle.dtype
        q = jnp.asarray(outcome, dtype) / math.sqrt(self.hbar)
        waves = hermite_functions(q[None], self.cutoff) * self.hbar**-0.25
        turns = phase_factor(self.angle, -np.arange(self.cutoff))
        return jnp.ones(1, dtype), contract(turns, waves, "n,nx->xn")

    def sample(self, key: jax.Array, rho: jax.Array) -> jax.Array:
        density = self._density(lax.stop_gradient(rho))
        return math.sqrt(self.hbar) * _cells(self.cutoff).draw(key, density)

    def _density(self, rho: jax.Array) -> jax.Array:
        """The density of ``x / sqrt(hbar)`` at the nodes of the cells."""
        n = np.arange(self.cutoff)
        turns = phase_factor(lax.stop_gradient(self.angle), n - n[:, None])
        turned = contract(turns, rho, "mn,mn->mn", real=True)
        products, waves = (jnp.asarray(t, turned.dtype) for t in _tables(self.cutoff))
        return contract(contract(products, turned, "kmn,mn->k"), waves, "k,kx->x")


def _cells(cutoff: int) -> Cells:
    """Cells for a product of two Hermite functions.

    The phase of each changes by at most sqrt(2 n + 1) radians per unit, up to the turning point at
    sqrt(2 n + 1); more than 7 beyond it the probability is below 1e-20. The width has few digits,
    so that the centres of all cells are exact in single precision.
    """
    fastest = math.sqrt(2 * cutoff + 1)
    exponent = math.floor(math.log2(1.2 / fastest)) - 4
    width = math.ldexp(math.floor(math.ldexp(1.2 / fastest, -exponent)), exponent)
    return Cells(math.ceil((fastest + 7) / width), width)


@lru_cache(maxsize=32)
def _tables(cutoff: int) -> tuple[np.ndarray, np.ndarray]:
    """``T`` in ``h_m(q) h_n(q) = sum_k T[k, m, n] h_k(sqrt(2) q)``, and ``h_k(sqrt(2) q)`` at the
    nodes, float64.

    So a density takes 2 cutoff numbers for each point instead of cutoff^2, and the functions
    ``h_k(sqrt(2) q)`` are as small in the tails as the products. T is an integral by the
    trapezoidal rule, which converges exponentially once its steps resolve the product of the three
    functions.
    """
    orders = 2 * cutoff - 1
    reach = math.sqrt(2 * cutoff + 1) + 7
    q, step = np.linspace(-reach, reach, math.ceil(2 * reach * (2 * reach) / math.pi), retstep=True)
    waves, doubled = hermite_table(q, cutoff), hermite_table(math.sqrt(2) * q, orders)
    products = np.empty((orders, cutoff, cutoff))
    for m in range(cutoff):
        products[:, m] = (math.sqrt(2) * step * waves[m] * doubled) @ waves.T
    k, m, n = np.ogrid[:orders, :cutoff, :cutoff]
    products[(k > m + n) | ((k + m + n) % 2 == 1)] = 0  # these vanish up to rounding
    return products, hermite_table(math.sqrt(2) * _cells(cutoff).nodes(), orders)


def homodyne(angle: Any = 0.0, *, cutoff: int, hbar: float = 2.0, dtype=None) -> Homodyne:
    """A homodyne detector: the outcome is the quadrature ``x cos(angle) + p sin(angle)``, a real
    number in the units of hbar.

    `Detector.probability` is its density. Outcomes are drawn by inverting the cumulative
    distribution of a piecewise polynomial. It is off by at most 1e-6 in single precision and 1e-11
    in double precision, tails included.

    Args:
        angle: the angle in radians.
        cutoff: the cutoff of the mode.
        hbar: the convention for the size of a quadrature.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        A `Detector` of one mode.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> vacuum = np.diag([1 + 0j, 0])
        >>> print(fj.detectors.homodyne(cutoff=2).probability(0.0, vacuum).round(4))
        0.3989

    Reference:
        U. Leonhardt, Measuring the Quantum State of Light, Cambridge University Press (1997).
    """
    return Homodyne(jnp.asarray(angle, real_dtype(dtype)), cutoff, checked_hbar(hbar))


SPEC = DetectorSpec(
    "homodyne",
    ("angle",),
    1,
    homodyne,
    defaults={"angle": 0.0},
    options={"hbar": 2.0},
    outcome="real",
)
