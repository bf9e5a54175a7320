"""References for detectors: the bras that a selected outcome projects on, and the distribution of
outcomes that are drawn.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fockjax.validation.closed_forms import coherent, displacement, factorials, hermite_functions

FREQUENCY = 0.9 + 0.7j
"""The wave whose mean over outcomes is compared: see `wave`."""


def bras(name: str, given: Mapping[str, Any], cutoff: int) -> np.ndarray:
    """Rows ``<b_j|`` such that an outcome leaves ``sum_j <b_j| rho |b_j>``, whose trace is the
    probability of the outcome (or its density, if outcomes are continuous).
    """
    n, outcome = np.arange(cutoff), given["select"]
    if name == "homodyne":
        x = np.array([outcome / math.sqrt(given["hbar"])])
        waves = hermite_functions(x, cutoff)[:, 0] * given["hbar"] ** -0.25
        return (np.exp(-1j * given["angle"] * n) * waves)[None]
    if name == "heterodyne":
        return coherent(complex(outcome), cutoff).conj()[None] / math.sqrt(math.pi)
    if name == "threshold":
        silent = math.exp(-given["dark_counts"]) * (1 - given["efficiency"]) ** n
        return np.diag(np.sqrt(1 - silent if outcome else silent))
    seen, dark, most = given["efficiency"], given["dark_counts"], outcome + 1
    poisson = math.exp(-dark) * dark ** np.arange(most) / factorials(most)
    chances = [
        sum(
            math.comb(m, k) * seen**k * (1 - seen) ** (m - k) * poisson[outcome - k]
            for k in range(min(m, outcome) + 1)
        )
        for m in range(cutoff)
    ]
    return np.diag(np.sqrt(chances))


def wave(outcome: Any, xp: Any) -> Any:
    """``exp(i Re(f^* outcome))`` with f the `FREQUENCY`; ``xp`` is NumPy or JAX's."""
    return xp.exp(1j * (FREQUENCY.real * xp.real(outcome) + FREQUENCY.imag * xp.imag(outcome)))


def mean_wave(name: str, given: Mapping[str, Any], cutoff: int) -> np.ndarray:
    """The observable with the same mean as the `wave` of an outcome, shape (cutoff, cutoff)."""
    n, t = np.arange(cutoff), FREQUENCY.real
    if name == "homodyne":  # the wave of a quadrature is a displacement
        turn = np.exp(1j * given["angle"])
        return displacement(1j * t * math.sqrt(given["hbar"] / 2) * turn, cutoff)
    if name == "heterodyne":  # antinormally ordered
        half = FREQUENCY / 2
        return displacement(1j * half, cutoff) * math.exp(-(abs(half) ** 2) / 2)
    seen, dark = given["efficiency"], given["dark_counts"]
    if name == "threshold":
        silent = math.exp(-dark) * (1 - seen) ** n
        return np.diag(silent + (1 - silent) * np.exp(1j * t))
    # the generating function of a binomial and of a Poisson distribution
    return np.diag((1 - seen + seen * np.exp(1j * t)) ** n * np.exp(dark * np.expm1(1j * t)))
