"""The photon statistics of Gaussian states, from their moments."""

from typing import Any, NamedTuple

import numpy as np


class OneMode(NamedTuple):
    """The moments of one mode for each sample: ``<a>``, ``<delta a^dagger delta a>`` and
    ``<delta a delta a>``.
    """

    mean: np.ndarray
    photons: np.ndarray
    pairs: np.ndarray


class Group(NamedTuple):
    """The moments of k modes that have been coupled.

    Attributes:
        mean: the means of ``xi``, shape ``(samples, 2k)``.
        C: normally ordered, shape ``(samples, 2k, 2k)``.
        exact: whether their state is Gaussian.
    """

    mean: np.ndarray
    C: np.ndarray
    exact: bool

    @property
    def photons(self) -> np.ndarray:
        """The mean of their total photon number."""
        return np.real(np.trace(self.C, axis1=1, axis2=2) + np.sum(abs(self.mean) ** 2, 1)) / 2


def tails(one: OneMode, cutoffs: tuple[int, ...]) -> np.ndarray:
    """The probability of ``cutoff`` photons or more in Gaussian states of one mode.

    Returns an array of shape ``(samples, len(cutoffs))``, accurate to 1e-12.

    Along the axes of its noise ellipse, with means q and normally ordered variances v of the two
    quadratures of ``a = q_1 + i q_2``, the photon numbers have the generating function

        sum_n P(n) z^n = prod_i (1 + 2 v_i (1 - z))^(-1/2) exp(-(1 - z) q_i^2 / (1 + 2 v_i (1 - z)))

    whose coefficients are its Fourier components on a circle. The circle is a little smaller than
    the unit circle, so that photon numbers beyond the range of the transform alias to less than
    1e-12 of themselves.

    Reference:
        R. J. Glauber, Phys. Rev. 131, 2766 (1963); the coefficients: J. Abate and W. Whitt, Oper.
        Res. Lett. 12, 245 (1992).

    Example:
        >>> import numpy as np
        >>> from fockjax.runtime.cutoffs.statistics import OneMode, tails
        >>> thermal = OneMode(np.zeros(1), np.ones(1), np.zeros(1))  # 1/2, 1/4, 1/8, ..
        >>> tails(thermal, (1, 2, 10)).round(6)
        array([[0.5     , 0.25    , 0.000977]])
    """
    spread = abs(one.pairs)
    along: Any = one.mean * np.exp(-0.5j * np.angle(one.pairs))
    squares = np.stack([along.real, along.imag], 1) ** 2
    return _tails(squares, np.stack([one.photons + spread, one.photons - spread], 1), cutoffs)


def total_tails(group: Group, cutoffs: tuple[int, ...]) -> np.ndarray:
    """As `tails`, for the total photon number of several modes: the generating function has a
    factor for each axis of their common noise ellipsoid.

    Example:
        >>> import numpy as np
        >>> from fockjax.runtime.cutoffs.statistics import Group, total_tails
        >>> both = Group(np.zeros((1, 4)), np.eye(4)[None], True)  # thermal, of 1 photon each
        >>> total_tails(both, (1, 2)).round(6)  # 1 - 1/4, 1 - 1/4 - 2/8
        array([[0.75, 0.5 ]])
    """
    widths, axes = np.linalg.eigh(group.C)
    along = np.einsum("sia,si->sa", axes.conj(), group.mean)
    return _tails(abs(along) ** 2 / 2, widths, cutoffs)


def _tails(squares: np.ndarray, widths: np.ndarray, cutoffs: tuple[int, ...]) -> np.ndarray:
    """The `tails` from ``q_i^2`` and ``2 v_i`` on each axis, both of shape ``(samples, axes)``."""
    size = max(cutoffs)
    points = 1 << (4 * size - 1).bit_length()
    radius = 10 ** (-12 / points)
    z = radius * np.exp(2j * np.pi * np.arange(points // 2 + 1) / points)
    log = 0
    for q, v in zip(squares.T, widths.T, strict=True):
        width = 1 + v[:, None] * (1 - z)
        log = log - np.log(width) / 2 - (1 - z) * q[:, None] / width
    coefficients = np.fft.irfft(np.exp(log).conj(), points)[:, :size]
    photons = coefficients * radius ** -np.arange(size)
    below = np.cumsum(photons, axis=1)[:, np.array(cutoffs) - 1]
    return np.clip(1 - below, 0, 1)
