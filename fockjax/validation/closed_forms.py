"""Closed forms in NumPy, from which references are computed."""

import math

import numpy as np
from scipy.special import eval_genlaguerre


def factorials(count: int) -> np.ndarray:
    """0!, 1!, .., the factorials of the numbers below ``count``."""
    return np.array([math.factorial(n) for n in range(count)], float)


def hermite_functions(x: np.ndarray, count: int) -> np.ndarray:
    """The Hermite functions of orders below ``count``, shape (count, points)."""
    rows = [np.zeros_like(x, float), math.pi**-0.25 * np.exp(-(x**2) / 2)]
    for n in range(count - 1):
        rows.append((math.sqrt(2) * x * rows[-1] - math.sqrt(n) * rows[-2]) / math.sqrt(n + 1))
    return np.array(rows[1:])


def coherent(alpha: complex, cutoff: int) -> np.ndarray:
    """A truncated coherent state."""
    powers = alpha ** np.arange(cutoff) / np.sqrt(factorials(cutoff))
    return np.exp(-(abs(alpha) ** 2) / 2) * powers


def displacement_polynomials(alpha: np.ndarray, cutoff: int) -> np.ndarray:
    """``<m| D(alpha) |n> exp(|alpha|^2 / 2)`` by Laguerre polynomials, shape (*alpha.shape, cutoff,
    cutoff).
    """
    m, n = np.indices((cutoff, cutoff))
    low, difference = np.minimum(m, n), abs(m - n)
    alpha = np.asarray(alpha)[..., None, None]
    root = np.sqrt(factorials(cutoff)[low] / factorials(cutoff)[np.maximum(m, n)])
    powers = np.where(m >= n, alpha, -alpha.conj()) ** difference
    return root * powers * eval_genlaguerre(low, difference, abs(alpha) ** 2)


def displacement(alpha: complex, cutoff: int) -> np.ndarray:
    """The elements of a displacement."""
    return np.exp(-(abs(alpha) ** 2) / 2) * displacement_polynomials(np.asarray(alpha), cutoff)
