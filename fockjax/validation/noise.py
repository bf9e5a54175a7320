"""Kraus operators of channels that Strawberry Fields does not have.

For a channel with an environment they are the elements, between number states of the environment
mode, of a unitary on both modes. This is the exponential of its generator, block by block on the
subspaces that the generator does not couple.
"""

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from fockjax.validation.closed_forms import displacement_polynomials

ENVIRONMENT = 20  # photon numbers of a warm environment: enough for a mean of 0.2
ROOM = 60  # photon pairs that an amplifier may make: enough for a gain of 1.6
NODES = 80  # how many nodes the quadrature over the angle of dephasing has


def thermal_loss(given: Mapping[str, Any], cutoff: int) -> np.ndarray:
    """A beamsplitter, which keeps the number of photons in both modes."""
    angle = math.acos(math.sqrt(given["T"]))
    most = cutoff + ENVIRONMENT - 1  # photons in both together
    unitary = _exponential(angle, *_exchange(most))  # [photons in both, system after, before]
    kraus = np.zeros((ENVIRONMENT, most, cutoff, cutoff))  # environment before, after
    for k, after, before in np.ndindex(ENVIRONMENT, cutoff, cutoff):
        if (left := before + k - after) >= 0:
            kraus[k, left, after, before] = unitary[before + k, after, before]
    return _warm(kraus, given["nbar"])


def amplifier(given: Mapping[str, Any], cutoff: int) -> np.ndarray:
    """A two-mode squeezer, which keeps the difference between the modes' photon numbers."""
    r = math.acosh(math.sqrt(given["gain"]))
    # [photons of the system less the idler's, those of the lesser after, before]
    unitary = _exponential(r, *_pairs(cutoff))
    kraus = np.zeros((ENVIRONMENT, cutoff + ENVIRONMENT, cutoff, cutoff))
    for k, after, before in np.ndindex(ENVIRONMENT, cutoff, cutoff):
        difference = before - k
        if (left := after - difference) >= 0:
            of = unitary[difference + ENVIRONMENT - 1]
            kraus[k, left, after, before] = of[min(after, left), min(before, k)]
    return _warm(kraus, given["nbar"])


@cache
def _exchange(most: int) -> tuple[np.ndarray, np.ndarray]:
    """A photon going from the environment to the system, or back."""
    total, n = np.ogrid[:most, : most - 1]
    return _spectrum(np.sqrt((n + 1) * np.maximum(total - n, 0)))


@cache
def _pairs(cutoff: int) -> tuple[np.ndarray, np.ndarray]:
    """A pair of photons made, or lost."""
    difference, n = np.ogrid[1 - ENVIRONMENT : cutoff, : ROOM - 1]
    return _spectrum(np.sqrt((n + 1) * (n + 1 + abs(difference))))


def _spectrum(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of ``-i (S - S^T)``, for each row of ``steps``, which holds the
    elements ``<n + 1| S |n>``.
    """
    n = np.arange(steps.shape[1])
    step = np.zeros((len(steps), len(n) + 1, len(n) + 1))
    step[:, n + 1, n] = steps
    return np.linalg.eigh(-1j * (step - step.mT))


def _exponential(t: float, values: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """``exp(t (S - S^T))``."""
    return np.real((vectors * np.exp(1j * t * values)[:, None]) @ vectors.conj().mT)


def _warm(kraus: np.ndarray, nbar: float) -> np.ndarray:
    """The environment in a thermal state."""
    k = np.arange(ENVIRONMENT)
    thermal = (nbar / (1 + nbar)) ** k / (1 + nbar)
    kraus = np.sqrt(thermal)[:, None, None, None] * kraus
    kraus = kraus.reshape(-1, *kraus.shape[2:])
    return kraus[np.any(kraus, axis=(1, 2))]


def additive_noise(given: Mapping[str, Any], cutoff: int) -> np.ndarray:
    """Displacements, normally distributed: a quadrature that is exact for products of elements."""
    spread = given["variance"] / given["hbar"]
    nodes, weights = np.polynomial.hermite.hermgauss(2 * cutoff)
    alpha = np.add.outer(nodes, 1j * nodes).ravel() * math.sqrt(spread / (1 + spread))
    weights = np.multiply.outer(weights, weights).ravel() / (math.pi * (1 + spread))
    return np.sqrt(weights)[:, None, None] * displacement_polynomials(alpha, cutoff)


def dephasing(given: Mapping[str, Any], cutoff: int) -> np.ndarray:
    """Rotations, their angle normally distributed."""
    nodes, weights = np.polynomial.hermite.hermgauss(NODES)
    angles = math.sqrt(2) * given["sigma"] * nodes
    turns = np.exp(1j * np.multiply.outer(angles, np.arange(cutoff)))
    return np.sqrt(weights / math.sqrt(math.pi))[:, None, None] * turns[..., None] * np.eye(cutoff)


def kraus(given: Mapping[str, Any], cutoff: int) -> np.ndarray:
    """The Kraus operators that are given."""
    elements = np.asarray(given["real"]) + 1j * np.asarray(given["imag"])
    size = math.isqrt(elements.size // len(elements))
    return elements.reshape(-1, size, size)


KRAUS: Mapping[str, Callable[[Mapping[str, Any], int], np.ndarray]] = {
    "additive_noise": additive_noise,
    "amplifier": amplifier,
    "dephasing": dephasing,
    "kraus": kraus,
    "thermal_loss": thermal_loss,
}
"""For each channel a function of parameters and cutoff that returns its Kraus operators, shape
(J, size, size)."""
