"""Any circuit of gates as a competent user writes it in plain JAX. FROZEN, as `naive.py` is.

Dense gates are applied by einsum, gradients are plain autodiff, and more than a few layers run
under a scan. The gates come from one of two places:

* the formulas of `naive.py` (`textbook.py`), each gate made where it is applied, and gates that
  samples share made once for the batch: this is the naive side of the workloads;
* fockjax's kernels, all gates of a kind and of all layers in one vectorised call: both sides then
  build alike, and differ only in what they do with the gates.
"""

import math
from string import ascii_letters

import jax
import jax.numpy as jnp
import numpy as np
import textbook

import fockjax as fj
from fockjax import planning
from fockjax.operations import Repeat
from fockjax.operators import (
    Diagonal,
    Generated,
    Matrix,
    Padded,
    Parity,
    Product,
    Sectors,
    Turned,
    flat_parts,
)
from fockjax.parameters import Values, evaluate

HIGHEST = jax.lax.Precision.HIGHEST
SCAN = 8  # more layers than this run under a scan, as one would have it for compile time


def amplitudes(
    circuit: fj.Circuit, weights, x, cutoffs: tuple[int, ...], by_textbook: bool
) -> jax.Array:
    """The ket of one sample, shape ``cutoffs``."""
    build = _textbook if by_textbook else _kernels
    ket = jnp.zeros(cutoffs, jnp.complex64).at[(0,) * len(cutoffs)].set(1.0)
    values = Values(weights, x)
    gates = iter(build(circuit.operations, cutoffs, values))
    for operation in circuit.operations:
        if isinstance(operation, Repeat):
            ket = _layers(operation, ket, values, by_textbook)
        else:
            ket = _apply(next(gates), ket, operation.modes)
    return ket


def _layers(repeat: Repeat, ket, values, by_textbook):
    layers = {name: values.weights[name] for name in repeat.weights}

    def build(weights):
        build = _textbook if by_textbook else _kernels
        return build(repeat.operations, ket.shape, values.update(weights=weights))

    def layer(ket, made):
        for gate, step in zip(build(made) if by_textbook else made, repeat.operations, strict=True):
            ket = _apply(gate, ket, step.modes)
        return ket, None

    if not by_textbook:
        layers = jax.vmap(build)(layers)
    if repeat.times > SCAN:
        return jax.lax.scan(layer, ket, layers)[0]
    for k in range(repeat.times):
        ket, _ = layer(ket, planning.pick(layers, k))
    return ket


def _textbook(operations, cutoffs, values):
    gates = []
    for step in operations:
        if isinstance(step, Repeat):
            continue
        given = [jnp.float32(evaluate(value, values)) for value in step.parameters.values()]
        elements = getattr(textbook, step.spec.name)(*given, cutoffs[step.modes[0]])
        diagonal = step.spec.name in ("rotation", "kerr")
        gates.append(Diagonal(elements) if diagonal else Matrix(elements))
    return gates


def _kernels(operations, cutoffs, values):
    state = fj.vacuum(cutoffs, jnp.complex64)
    return [_dense(gate) for gate in planning.build(operations, state, values, 2**40)]


def _dense(gate):
    match gate:
        case Product():
            return Product(tuple(map(_dense, gate.factors)), gate.placements, gate.sizes)
        case Parity() | Generated():
            return gate.matrix
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
    for factor, acts_on in flat_parts(gate, modes):
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
