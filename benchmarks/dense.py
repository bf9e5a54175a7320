"""Any circuit of gates as a competent user writes it in plain JAX: dense gates applied by einsum,
plain autodiff. What the workloads beyond the frozen `naive.py` are compared with; FROZEN likewise.

The matrix elements are those of fockjax's kernels (textbook formulas lose their digits at the
cutoffs asked for here), all gates of a kind built in one vectorised call, those that samples share
once for the batch. So both sides build alike, and differ in what they do with what is built.
"""

import math
from string import ascii_letters

import jax
import jax.numpy as jnp
import numpy as np

import fockjax as fj
from fockjax import planning
from fockjax.operations import Repeat
from fockjax.operators import Diagonal, Matrix, Padded, Product, Sectors, Turned, steps
from fockjax.parameters import Values

HIGHEST = jax.lax.Precision.HIGHEST
SCAN = 8  # more layers than this run under a scan, as one would have it for compile time


def amplitudes(circuit: fj.Circuit, weights, x, cutoffs: tuple[int, ...]) -> jax.Array:
    """The ket of one sample, shape ``cutoffs``."""
    ket = jnp.zeros(cutoffs, jnp.complex64).at[(0,) * len(cutoffs)].set(1.0)
    values = Values(weights, x)
    gates = iter(_build(circuit.operations, cutoffs, values))
    for operation in circuit.operations:
        if isinstance(operation, Repeat):
            ket = _layers(operation, ket, values)
        else:
            ket = _apply(next(gates), ket, operation.modes)
    return ket


def _layers(repeat: Repeat, ket, values):
    def layer(ket, gates):
        for gate, step in zip(gates, repeat.operations, strict=True):
            ket = _apply(gate, ket, step.modes)
        return ket, None

    def build(weights):
        return _build(repeat.operations, ket.shape, values.update(weights=weights))

    gates = jax.vmap(build)({name: values.weights[name] for name in repeat.weights})
    if repeat.times > SCAN:
        return jax.lax.scan(layer, ket, gates)[0]
    for k in range(repeat.times):
        ket, _ = layer(ket, planning.pick(gates, k))
    return ket


def _build(operations, cutoffs, values):
    state = fj.vacuum(cutoffs, jnp.complex64)
    return [_dense(gate) for gate in planning.build(operations, state, values, 2**40)]


def _dense(gate):
    match gate:
        case Product():
            return Product(tuple(map(_dense, gate.factors)), gate.placements, gate.sizes)
        case Turned():
            return _dense(gate.fused())
        case Sectors():
            return Matrix(_scattered(gate))
        case Padded():
            return Matrix(gate.to_dense())
    return gate


def _scattered(gate: Sectors):
    """All elements of a gate stored by sectors: blocks[r, a, c] is <a, m| . |c, n> with
    m = r - charge * sum(a) and n = r - charge * sum(c), modulo the cutoff of their mode.
    """
    r, *counts = np.indices(gate.blocks.shape, sparse=True)
    half = len(counts) // 2
    places = []
    for side in (counts[:half], counts[half:]):
        side = list(side)
        side.insert(gate.row, (r - gate.charge * sum(side)) % gate.sizes[gate.row])
        places += side
    flat = np.ravel_multi_index(np.broadcast_arrays(*places), gate.sizes * 2)
    dense = jnp.zeros(math.prod(gate.sizes) ** 2, gate.blocks.dtype)
    dense = dense.at[flat.ravel()].set(gate.blocks.ravel(), unique_indices=True)
    return dense.reshape(gate.sizes * 2)


def _apply(gate, ket, modes):
    axes = ascii_letters[: ket.ndim]
    for factor, acts_on in steps(gate, modes):
        old = "".join(axes[mode] for mode in acts_on)
        if isinstance(factor, Diagonal):
            ket = jnp.einsum(f"{old},{axes}->{axes}", factor.values, ket)
            continue
        new = old.upper()
        out = axes.translate(str.maketrans(old, new))
        ket = jnp.einsum(f"{new}{old},{axes}->{out}", factor.elements, ket, precision=HIGHEST)
    return ket


def quadratures(ket):
    """<x> of every mode, then <p> of every mode (hbar = 2)."""
    means = []
    for mode, cutoff in enumerate(ket.shape):
        rows = jnp.moveaxis(ket, mode, 0).reshape(cutoff, -1)
        root = np.sqrt(np.arange(1, cutoff, dtype=np.float32))[:, None]
        means.append(jnp.sum(rows[:-1].conj() * rows[1:] * root))
    a = jnp.stack(means)
    return 2 * jnp.concatenate([a.real, a.imag])


def fidelity(ket, target):
    """|<target|psi>|^2."""
    return jnp.abs(jnp.vdot(target, ket)) ** 2
