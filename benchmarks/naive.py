"""The reference circuit as a competent user writes it in plain JAX. FROZEN: the yardstick of every
benchmark here, so it is not to be tuned along with the package.

Four modes at cutoff 6, one sample `x` of four numbers: D(x_i) on each mode, then two layers of a
squeezer S(r, phi) per mode and a chain of beamsplitters BS(theta, phi) on modes (i, i+1); the
readout is <x>, <p> of each mode (hbar = 2). Conventions are Strawberry Fields'.

Dense gates applied by einsum (a beamsplitter has D^4 elements), plain autodiff, complex64, batched
by vmap; the gates the samples share are built once for the batch.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

MODES, CUTOFF, LAYERS, BATCH = 4, 6, 2, 128
HIGHEST = jax.lax.Precision.HIGHEST


def _raising_table(step):
    """Coefficients of t^k, k = (m - n) / step, in <m| exp(t a†^step) |n>."""
    table = np.zeros((CUTOFF, CUTOFF, CUTOFF), np.float32)
    for m in range(CUTOFF):
        for n in range(m, -1, -step):
            k = (m - n) // step
            table[k, m, n] = math.sqrt(math.factorial(m) / math.factorial(n)) / math.factorial(k)
    return table


def _beamsplitter_table():
    """Fourier coefficients in theta of the real beamsplitter's elements: [D, D, D, D, 4 D - 3].

    An element is a trigonometric polynomial of degree n1 + n2 <= 2 D - 2, so that its values at
    4 D - 3 angles settle it. They are the binomial expansion of
    (c a1† + s a2†)^n1 (c a2† - s a1†)^n2 |0>, in float64.
    """
    degree = 2 * CUTOFF - 2
    angles = 2 * np.pi * np.arange(2 * degree + 1) / (2 * degree + 1)
    c, s = np.cos(angles), np.sin(angles)
    values = np.zeros((CUTOFF,) * 4 + (len(angles),))
    for n1, n2 in np.ndindex(CUTOFF, CUTOFF):
        for j, k in np.ndindex(n1 + 1, n2 + 1):
            m1, m2 = n1 - j + k, n2 + j - k
            if max(m1, m2) < CUTOFF:
                weight = math.comb(n1, j) * math.comb(n2, k) * (-1) ** k
                weight *= math.sqrt(math.factorial(m1) * math.factorial(m2))
                weight /= math.sqrt(math.factorial(n1) * math.factorial(n2))
                values[m1, m2, n1, n2] += weight * c ** (n1 + n2 - j - k) * s ** (j + k)
    harmonics = np.arange(degree + 1)[:, None] * angles
    basis = np.concatenate([np.cos(harmonics), np.sin(harmonics[1:])])
    return (values @ np.linalg.inv(basis)).astype(np.float32)


ONE_STEP, TWO_STEPS, BEAMSPLITTER = _raising_table(1), _raising_table(2), _beamsplitter_table()


def _raising(table, t):
    powers = [jnp.ones_like(t)]
    for _ in range(CUTOFF - 1):
        powers.append(powers[-1] * t)
    return jnp.tensordot(jnp.stack(powers), table, 1, precision=HIGHEST)


def displacement(r, phi=0.0):
    """D(alpha) = e^{-|alpha|^2/2} e^{alpha a†} e^{-alpha* a}: lower x upper, so exact when cut."""
    alpha = r * jnp.exp(1j * phi)
    upper = _raising(ONE_STEP, -alpha).conj().T
    return jnp.exp(-(r**2) / 2) * jnp.dot(_raising(ONE_STEP, alpha), upper, precision=HIGHEST)


def squeezing(r, phi):
    """S(z) = e^{-t a†^2/2} sech(r)^{n+1/2} e^{t* a^2/2}, t = e^{i phi} tanh r."""
    t = jnp.tanh(r) * jnp.exp(1j * phi) / 2
    middle = jnp.cosh(r) ** -(np.arange(CUTOFF, dtype=np.float32) + 0.5)
    upper = _raising(TWO_STEPS, t).conj().T
    return jnp.dot(_raising(TWO_STEPS, -t) * middle, upper, precision=HIGHEST)


def beamsplitter(theta, phi):
    """BS(theta, phi) = e^{i phi n2} BS(theta, 0) e^{-i phi n2}, as [m1, m2, n1, n2]."""
    harmonics = theta * np.arange(2 * CUTOFF - 1, dtype=np.float32)
    basis = jnp.concatenate([jnp.cos(harmonics), jnp.sin(harmonics[1:])])
    real = jnp.dot(BEAMSPLITTER, basis, precision=HIGHEST)
    phase = jnp.exp(1j * phi * np.arange(CUTOFF, dtype=np.float32))
    return phase[:, None, None] * real * phase.conj()


def apply_one(gate, ket, mode):
    axes = "abcd"
    out = axes.replace(axes[mode], "z")
    return jnp.einsum(f"z{axes[mode]},{axes}->{out}", gate, ket, precision=HIGHEST)


def apply_two(gate, ket, mode):
    axes = "abcd"
    pair = axes[mode : mode + 2]
    return jnp.einsum(f"yz{pair},{axes}->{axes.replace(pair, 'yz')}", gate, ket, precision=HIGHEST)


def lowering_mean(ket, mode):
    """<a> of one mode: sum over n of sqrt(n + 1) <n|rho|n + 1>."""
    rows = jnp.moveaxis(ket, mode, 0).reshape(CUTOFF, -1)
    root = np.sqrt(np.arange(1, CUTOFF, dtype=np.float32))[:, None]
    return jnp.sum(rows[:-1].conj() * rows[1:] * root)


def init(key):
    """Weights and a batch of inputs of moderate size (leakage of a few percent)."""
    r, phi, theta, chi, x = (
        jax.random.uniform(k, shape, minval=-scale, maxval=scale)
        for k, shape, scale in zip(
            jax.random.split(key, 5),
            [(LAYERS, MODES)] * 2 + [(LAYERS, MODES - 1)] * 2 + [(BATCH, MODES)],
            [0.2, math.pi, math.pi, math.pi, 0.5],
            strict=True,
        )
    )
    return {"squeeze_r": r, "squeeze_phi": phi, "mix_theta": theta, "mix_phi": chi}, x


def gates(weights):
    """The gates that all samples share."""
    squeezers = jax.vmap(jax.vmap(squeezing))(weights["squeeze_r"], weights["squeeze_phi"])
    mixers = jax.vmap(jax.vmap(beamsplitter))(weights["mix_theta"], weights["mix_phi"])
    return squeezers, mixers


def readout(shared, x):
    """<x_1>..<x_4>, <p_1>..<p_4> of one sample."""
    squeezers, mixers = shared
    ket = jnp.zeros((CUTOFF,) * MODES, jnp.complex64).at[0, 0, 0, 0].set(1.0)
    for mode in range(MODES):
        ket = apply_one(displacement(x[mode]), ket, mode)
    for layer in range(LAYERS):
        for mode in range(MODES):
            ket = apply_one(squeezers[layer, mode], ket, mode)
        for mode in range(MODES - 1):
            ket = apply_two(mixers[layer, mode], ket, mode)
    a = jnp.stack([lowering_mean(ket, mode) for mode in range(MODES)])
    return 2 * jnp.concatenate([a.real, a.imag])


def forward(weights, x):
    """Readouts of a batch: (batch, 4) -> (batch, 8)."""
    return jax.vmap(readout, in_axes=(None, 0))(gates(weights), x)
