"""A stable recurrence for the amplitudes of pure Gaussian states, in the total photon number.

A pure Gaussian state is c exp(g . a^dagger + a^dagger . B . a^dagger / 2) |0>, with B complex
symmetric and its singular values below one. The total photon number N counts the factors a^dagger
in each term of the exponential, so the part psi_N of N photons follows from those of N - 1 and
N - 2:

    N psi_N = sum_i a_i^dagger ( g_i psi_{N-1}  +  sum_j B_ij a_j^dagger psi_{N-2} )

Its components along one mode i are the usual recurrence (F. M. Miatto and N. Quesada, Quantum 4,
366 (2020)), which loses digits where its terms cancel. The sum over i, in which each mode counts by
its photon number, does not: the norm of a^dagger B a^dagger / N from N - 2 to N photons is below
that of B, so errors die out.
"""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._linear import skew
from fockjax._numerics import shifted


@partial(jax.jit, static_argnames="cutoffs")  # else the scan compiles at each call outside jit
def amplitudes(quadratic, linear, log_vacuum, cutoffs):
    """e^{log_vacuum} exp(g . a^dagger + a^dagger . B . a^dagger / 2) |0>, shape ``cutoffs``.

    Args:
        quadratic: B, an array (n, n), of which only the symmetric part counts.
        linear: g, an array (n,).
        log_vacuum: the logarithm of the vacuum amplitude, a scalar. In float32 its real part may
            go down to -174; below, the amplitudes become zero.
        cutoffs: the n cutoffs.
    """
    modes = len(cutoffs)
    # Layer N holds the amplitudes of k_1 .. k_{n-1} and k_n = N - k_1 - ... - k_{n-1} photons.
    roots, last_roots, inverse = _tables(cutoffs, linear.dtype)

    def create(i, layer, last_root):
        """a_i^dagger on the layer of one photon less."""
        if i == modes - 1:
            return last_root * layer
        return roots[i] * shifted(layer, 1, i)

    def advance(carry, coefficients):
        layer, raised = carry  # psi_{N-1}, and a_j^dagger psi_{N-2} for each j
        last_root, over = coefficients
        paired = [sum(quadratic[i, j] * raised[j] for j in range(modes)) for i in range(modes)]
        new = sum(create(i, linear[i] * layer + paired[i], last_root) for i in range(modes))
        raised = [create(j, layer, last_root) for j in range(modes)]
        return (over * new, raised), over * new

    # Half of the vacuum's logarithm is applied before the recurrence and half after it, which
    # doubles the range of exponents.
    half = jnp.exp(log_vacuum / 2).astype(linear.dtype)
    first = jnp.zeros(cutoffs[:-1], linear.dtype).at[(0,) * (modes - 1)].set(half)
    nothing = [jnp.zeros_like(first)] * modes
    _, layers = lax.scan(advance, (first, nothing), (last_roots, inverse))
    layers = jnp.moveaxis(jnp.concatenate([first[None], layers]), 0, -1)
    for axis in range(modes - 1):  # from N to k_n
        layers = skew(layers, column=axis, row=modes - 1, sign=-1)
    return half * layers[..., : cutoffs[-1]]


@lru_cache(maxsize=64)
def _tables(cutoffs, dtype):
    """sqrt(k_i) of the first modes, and for each N >= 1 sqrt(k_n) of the last and 1 / N."""
    photons = np.indices(cutoffs[:-1])
    totals = np.arange(1, sum(cutoffs) - len(cutoffs) + 1)
    last = totals.reshape(-1, *[1] * (len(cutoffs) - 1)) - photons.sum(0)
    last = np.sqrt(np.maximum(last, 0)).astype(dtype)
    roots = dict(enumerate(np.sqrt(photons).astype(dtype)))
    return roots, last, (1 / totals).astype(dtype)
