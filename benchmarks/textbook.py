"""The elements of `naive.py`'s gates at any cutoff, by the same formulas: closed forms as textbooks
have them, good for weak gates at moderate cutoffs. FROZEN, as `naive.py` is.
"""

import math
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

HIGHEST = jax.lax.Precision.HIGHEST


@lru_cache
def _raising_table(cutoff, step):
    """Coefficients of t^k, k = (m - n) / step, in <m| exp(t a†^step) |n>, and k (0 where none)."""
    table, power = np.zeros((cutoff, cutoff)), np.zeros((cutoff, cutoff), np.int32)
    for m in range(cutoff):
        for n in range(m, -1, -step):
            power[m, n] = k = (m - n) // step
            table[m, n] = math.sqrt(math.factorial(m) / math.factorial(n)) / math.factorial(k)
    return table.astype(np.float32), power


def _raising(t, cutoff, step):
    table, power = _raising_table(cutoff, step)
    powers = jnp.cumprod(jnp.concatenate([jnp.ones((1,), t.dtype), jnp.full(cutoff - 1, t)]))
    return table * powers[power]


@lru_cache
def _beamsplitter_table(cutoff):
    """Fourier coefficients in theta of the real beamsplitter's elements: [D, D, D, D, 4 D - 3]."""
    degree = 2 * cutoff - 2
    angles = 2 * np.pi * np.arange(2 * degree + 1) / (2 * degree + 1)
    values = np.zeros((cutoff,) * 4 + (len(angles),))
    for n in range(degree + 1):  # the sector of n photons: exp(theta G) by the eigenvectors of i G
        low, high = max(0, n - cutoff + 1), min(n, cutoff - 1) + 1
        root = np.sqrt(np.arange(1, n + 1) * np.arange(n, 0, -1))
        generator = np.diag(root, 1) - np.diag(root, -1)  # a1 a2† - a1† a2 on |n1, n - n1>
        w, v = np.linalg.eigh(1j * generator)
        turned = np.einsum("aw,wt,bw->abt", v, np.exp(-1j * np.outer(w, angles)), v.conj()).real
        k = np.arange(low, high)
        values[k[:, None], n - k[:, None], k, n - k] = turned[low:high, low:high]
    harmonics = np.arange(degree + 1)[:, None] * angles
    basis = np.concatenate([np.cos(harmonics), np.sin(harmonics[1:])])
    return (values @ np.linalg.inv(basis)).astype(np.float32)


def displacement(r, phi, cutoff):
    alpha = r * jnp.exp(1j * phi)
    upper = _raising(-alpha, cutoff, 1).conj().T
    return jnp.exp(-(r**2) / 2) * jnp.dot(_raising(alpha, cutoff, 1), upper, precision=HIGHEST)


def squeezing(r, phi, cutoff):
    t = jnp.tanh(r) * jnp.exp(1j * phi) / 2
    middle = jnp.cosh(r) ** -(np.arange(cutoff, dtype=np.float32) + 0.5)
    upper = _raising(t, cutoff, 2).conj().T
    return jnp.dot(_raising(-t, cutoff, 2) * middle, upper, precision=HIGHEST)


def beamsplitter(theta, phi, cutoff):
    harmonics = theta * np.arange(2 * cutoff - 1, dtype=np.float32)
    basis = jnp.concatenate([jnp.cos(harmonics), jnp.sin(harmonics[1:])])
    real = jnp.dot(_beamsplitter_table(cutoff), basis, precision=HIGHEST)
    phase = jnp.exp(1j * phi * np.arange(cutoff, dtype=np.float32))
    return phase[:, None, None] * real * phase.conj()


def rotation(phi, cutoff):
    return jnp.exp(1j * phi * np.arange(cutoff, dtype=np.float32))


def kerr(kappa, cutoff):
    return jnp.exp(1j * kappa * np.arange(cutoff, dtype=np.float32) ** 2)
