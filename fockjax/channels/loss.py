"""Loss, amplification, which is its adjoint, and the channels that are composed of the two.

Loss of transmissivity T has the Kraus operators

    K_j |n> = sqrt(C(n, j) T^(n - j) (1 - T)^j) |n - j>

and amplification of gain G has those of loss of transmissivity 1/G, transposed and divided by
sqrt(G). Every Gaussian channel that commutes with rotations is amplification after loss (R.
Garcia-Patron et al., Phys. Rev. Lett. 108, 110505 (2012)). Loss raises no photon number, so nothing
is cut between the two, and the elements are those of the infinite channel.
"""

from functools import lru_cache
from math import comb
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._given import checked_hbar, in_range
from fockjax._numerics import is_number, powers, real_dtype, safe_sqrt
from fockjax._spec import Spec, check_ranges
from fockjax.operators import Sectors
from fockjax.superoperators import Channel, Composition, Jumps


def loss(T, *, cutoff: int, dtype=None) -> Channel:
    """Loss: a beamsplitter with energy transmissivity ``T`` whose other input is the vacuum and
    whose other output is ignored.

    A coherent state ``alpha`` goes to ``sqrt(T) alpha``; of n photons each stays with probability
    T. Strawberry Fields' `LossChannel`. Nothing is lost at the cutoff.

    Elements go as integer and half-integer powers of T. At exactly T = 0 sqrt(T) is given the
    derivative 0 instead of infinity; all else has its derivatives, also at T = 0 and 1.

    Args:
        T: energy transmissivity, a real scalar in [0, 1]; NaN comes out if it is traced and is not.
        cutoff: photon numbers below it are kept.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        A `Channel` on one mode.

    Raises:
        ValueError: if ``T`` is known and not in [0, 1].

    Example:
        >>> import fockjax as fj
        >>> two = fj.mixed.density_matrix([[0, 0, 0], [0, 0, 0], [0, 0, 1]], cutoff=3)
        >>> fj.channels.loss(0.5, cutoff=3).apply(two, (0,), (1,)).diagonal().real.round(3)
        Array([0.25, 0.5 , 0.25], dtype=float32)

    Reference:
        I. L. Chuang, D. W. Leung and Y. Yamamoto, Phys. Rev. A 56, 1114 (1997).
    """
    T = in_range(T, "T", 0, 1, real_dtype(dtype))
    return _loss(T, 1 - T, cutoff)


def amplifier(gain, nbar: Any = 0.0, *, cutoff: int, dtype=None) -> Channel:
    """Amplification: two-mode squeezing with an idler mode that holds ``nbar`` thermal photons and
    is then ignored.

    A mean amplitude ``alpha`` goes to ``sqrt(gain) alpha``; V, the variance of x or p in units of
    the vacuum's, goes to ``gain V + (gain - 1)(2 nbar + 1)``. MrMustard's `Amplifier`.

    Args:
        gain: energy gain, a real scalar >= 1; NaN comes out if it is traced and is not.
        nbar: mean photon number of the idler, >= 0, likewise.
        cutoff: photon numbers below it are kept; what is amplified beyond is lost.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        A `Channel` on one mode.

    Raises:
        ValueError: if ``gain`` or ``nbar`` is known and out of range.

    Example:
        >>> import fockjax as fj
        >>> vacuum = fj.mixed.thermal(0.0, cutoff=3)
        >>> fj.channels.amplifier(2.0, cutoff=3).apply(vacuum, (0,), (1,)).diagonal().real.round(4)
        Array([0.5  , 0.25 , 0.125], dtype=float32)

    Reference:
        C. M. Caves, Phys. Rev. D 26, 1817 (1982).
    """
    real = real_dtype(dtype)
    gain = in_range(gain, "gain", 1, np.inf, real)
    if is_number(nbar, 0):
        return _amplifier(gain - 1, cutoff)
    nbar = in_range(nbar, "nbar", 0, np.inf, real)
    added = (gain - 1) * nbar
    total = gain + added
    return Composition(
        (_loss(gain / total, added / total, cutoff), _amplifier(gain - 1 + added, cutoff))
    )


def thermal_loss(T, nbar, *, cutoff: int, dtype=None) -> Channel:
    """Loss into a warm environment: a beamsplitter with energy transmissivity ``T`` whose other
    input holds ``nbar`` thermal photons and whose other output is ignored.

    A mean amplitude ``alpha`` goes to ``sqrt(T) alpha``; V, the variance of x or p in units of the
    vacuum's, goes to ``T V + (1 - T)(2 nbar + 1)``. Strawberry Fields' `ThermalLossChannel`. At
    exactly T = 0 derivatives are those of `loss`.

    Args:
        T: energy transmissivity, a real scalar in [0, 1]; NaN comes out if it is traced and is not.
        nbar: mean photon number of the environment, >= 0, likewise.
        cutoff: photon numbers below it are kept; what the environment lifts beyond is lost.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        A `Channel` on one mode.

    Raises:
        ValueError: if ``T`` or ``nbar`` is known and out of range.

    Example:
        >>> import fockjax as fj
        >>> channel = fj.channels.thermal_loss(0.0, 1.0, cutoff=3)
        >>> vacuum = fj.mixed.thermal(0.0, cutoff=3)
        >>> channel.apply(vacuum, (0,), (1,)).diagonal().real.round(4)
        Array([0.5  , 0.25 , 0.125], dtype=float32)

    Reference:
        As loss and then amplification: R. García-Patrón et al., Phys. Rev. Lett. 108, 110505
        (2012).
    """
    real = real_dtype(dtype)
    if is_number(nbar, 0):
        return loss(T, cutoff=cutoff, dtype=dtype)
    T, nbar = in_range(T, "T", 0, 1, real), in_range(nbar, "nbar", 0, np.inf, real)
    added = (1 - T) * nbar
    gain = 1 + added
    lost = (1 - T) * (1 + nbar) / gain
    return Composition((_loss(T / gain, lost, cutoff), _amplifier(added, cutoff)))


def additive_noise(variance, *, cutoff: int, hbar: float = 2.0, dtype=None) -> Channel:
    """Gaussian noise: a displacement by a random amount, x and p apart, each of a variance.

    It adds ``variance`` to the variances of x and of p and leaves means as they are: what thermal
    loss becomes as T goes to 1 at a given ``(1 - T) nbar``.

    Args:
        variance: a real scalar >= 0 in the units of ``hbar``, where the vacuum's is ``hbar / 2``;
            NaN comes out if it is traced and is not.
        cutoff: photon numbers below it are kept; what the noise lifts beyond is lost.
        hbar: the convention for the size of a quadrature.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        A `Channel` on one mode.

    Raises:
        ValueError: if ``variance`` is known and negative.

    Example:
        >>> import fockjax as fj
        >>> channel = fj.channels.additive_noise(2.0, cutoff=3)
        >>> vacuum = fj.mixed.thermal(0.0, cutoff=3)
        >>> channel.apply(vacuum, (0,), (1,)).diagonal().real.round(4)
        Array([0.5  , 0.25 , 0.125], dtype=float32)

    Reference:
        As loss and then amplification: R. García-Patrón et al., Phys. Rev. Lett. 108, 110505
        (2012).
    """
    added = in_range(variance, "variance", 0, np.inf, real_dtype(dtype)) / checked_hbar(hbar)
    gain = 1 + added
    return Composition((_loss(1 / gain, added / gain, cutoff), _amplifier(added, cutoff)))


def _loss(kept, lost, cutoff) -> Jumps:
    """Loss of transmissivity ``kept``. Both this and ``lost`` = 1 - ``kept`` are given, each as
    exact as it can be.
    """
    blocks = _elements(kept, lost, cutoff, cutoff)
    probabilities = _elements(kept, lost, cutoff, 1)[0]
    return Jumps(Sectors(blocks, (cutoff, cutoff), charge=-1), probabilities, losing=False)


def _amplifier(added, cutoff) -> Jumps:
    """Amplification of gain 1 + ``added``."""
    kept = 1 / (1 + added)
    lost = added * kept
    blocks = _elements(kept, lost, cutoff, cutoff) * kept
    probabilities = _elements(kept, lost, cutoff, 1)[0] * kept
    sectors = Sectors(blocks, (cutoff, cutoff), charge=-1).adjoint()
    return Jumps(sectors, probabilities.T, losing=True)


def _elements(kept, lost, cutoff, rows) -> jax.Array:
    """The part in |a><a'| of what loss makes of |c><c'|, for c' = c + r mod D and r < ``rows``.
    With j = c - a = c' - a' >= 0 the photons that are lost, it is

        [r, a, c] = sqrt(C(c, j) C(c', j)) kept^((a + a')/2) lost^j.

    It is computed as a product of two similar halves, since in single precision the binomials would
    overflow and the powers underflow.
    """
    roots, half_powers, jumps = _tables(cutoff, rows)
    low, high = half_powers // 4, (half_powers // 2 + 1) // 2
    some, more = (
        powers(kept, lost, k)[:, :, None] * powers(lost, kept, j)[None]
        for k, j in ((low, jumps // 2), (high, (jumps + 1) // 2))
    )
    odd = jnp.where(half_powers % 2 == 1, safe_sqrt(kept), 1)[:, :, None]
    roots = jnp.asarray(roots.astype(kept.dtype))
    return (roots * some) * (roots * more) * odd


@lru_cache(maxsize=32)
def _tables(cutoff, rows):
    """(C(c, j) C(c', j))^(1/4) [r, a, c], 0 where there is no element; a + a' [r, a]; j [a, c]."""
    root = np.array([[comb(c, j) for j in range(cutoff)] for c in range(cutoff)], float) ** 0.25
    r, a, c = np.ogrid[:rows, :cutoff, :cutoff]
    jumps = np.maximum(c - a, 0)
    c_other, a_other = (r + c) % cutoff, (r + a) % cutoff
    together = (c >= a) & ((r + c < cutoff) == (r + a < cutoff))
    table = np.where(together, root[c, jumps] * root[c_other, jumps], 0)
    return table, (a + a_other)[:, :, 0], jumps[0]


SPECS = (
    Spec("loss", ("T",), 1, loss, check=check_ranges(T=(0, 1)), truncates=False),
    Spec(
        "amplifier",
        ("gain", "nbar"),
        1,
        amplifier,
        defaults={"nbar": 0.0},
        check=check_ranges(gain=(1, np.inf), nbar=(0, np.inf)),
    ),
    Spec(
        "thermal_loss",
        ("T", "nbar"),
        1,
        thermal_loss,
        check=check_ranges(T=(0, 1), nbar=(0, np.inf)),
    ),
    Spec(
        "additive_noise",
        ("variance",),
        1,
        additive_noise,
        options={"hbar": 2.0},
        check=check_ranges(variance=(0, np.inf)),
    ),
)
