"""How a contraction is executed: every choice that depends on the backend is made here.

On CPU the inner loops of a contraction run over the last axis (the batch, after vmap). For the
small sums of a gate XLA's matrix product is slower than that, and its complex one slower still. XLA
would also compute an operand again each time that an element of it is read; optimisation barriers
keep it from doing so, before JAX 0.12 not everywhere. Large contractions, and everything on other
backends, are matrix products at HIGHEST precision: the default would run complex64 in TF32 on
recent GPUs.

The measurements that these choices follow are in benchmarks/README.md.
"""

import math
import operator
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType

from fockjax._numerics import HIGHEST
from fockjax._sharded import einsum_sharding, vary, varying

UNROLL = 16  # terms; up to this many a sum is written out
FEW = 1024  # a result of fewer elements is too small to loop over
LANES = range(16, 257)  # how many elements of the last axis an accumulator may keep apart
ACCUMULATORS = 2**16  # this many fit into the cache of a core
PASS = 32  # terms of a sum that XLA adds in one pass
PIECES = 4  # a longer sum is split into pieces of that length if there are at most this many
SHORT = 2**16  # products; up to this many a loop is no faster, and takes longer to compile


class Einsum(NamedTuple):
    """The labels of both operands and of the result, and whether only the real part is wanted."""

    xs: str
    ys: str
    out: str
    real: bool


def contract(x, y, *, xs, ys, out, real):
    """On any backend: one broadcast product, or one matrix product at HIGHEST precision."""
    if _contracted(xs, ys, out):
        return _dot(x, y, xs, ys, out, real)
    return _multiply(_aligned(x, xs, out), _aligned(y, ys, out), real)


def contract_cpu(x, y, *, xs, ys, out, real):
    """On CPU: a product, a sum written out, a sum axis by axis, a loop with accumulators or a
    matrix product.
    """
    sizes = dict(zip(xs + ys, x.shape + y.shape, strict=True))
    symbolic = not all(isinstance(size, int) for size in sizes.values())  # exported for any batch
    if symbolic or _explicit_sharding(x, y, xs, ys, out):  # what is split cannot be cut otherwise
        return contract(x, y, xs=xs, ys=ys, out=out, real=real)
    summed = _contracted(xs, ys, out)
    reads = math.prod(sizes.values())
    if not reads:  # an empty batch
        return _dot(x, y, xs, ys, out, real)
    x, y = (lax.optimization_barrier(z) if z.size < reads else z for z in (x, y))
    if not summed:
        return _multiply(_aligned(x, xs, out), _aligned(y, ys, out), real)
    einsum = Einsum(xs, ys, out, real)
    terms = math.prod(sizes[label] for label in summed)
    size = reads // terms
    if terms <= UNROLL and size >= FEW:
        return _sum(x, y, einsum, summed)
    whole = max(xs, ys, key=len)
    if len(whole) == len(sizes):
        return _stages(x, y, einsum, whole, summed, sizes)
    lanes = _lanes(xs, ys, summed, sizes)
    if SHORT < reads and 0 < size * lanes <= ACCUMULATORS:
        return _accumulate(x, y, einsum, summed, sizes, lanes)
    return _dot(x, y, xs, ys, out, real)


def _explicit_sharding(x, y, xs, ys, out):
    """How a result lies on a mesh with explicit axes. None elsewhere: the compiler decides."""
    sharding = einsum_sharding(jax.typeof(x), jax.typeof(y), xs, ys, out)
    return sharding if AxisType.Explicit in sharding.mesh.axis_types else None


def _contracted(xs: str, ys: str, out: str) -> str:
    return "".join(label for label in xs if label in ys and label not in out)


def _sum(x, y, einsum: Einsum, summed):
    """Sum over the contracted labels, written out: one broadcast product for each term."""
    xs, ys, out, real = einsum
    if not summed:
        return _multiply(_aligned(x, xs, out), _aligned(y, ys, out), real)
    label, rest = summed[0], summed[1:]
    xi, yi = xs.index(label), ys.index(label)
    left = einsum._replace(xs=xs.replace(label, ""), ys=ys.replace(label, ""))
    terms = (
        _sum(
            lax.index_in_dim(x, k, xi, keepdims=False),
            lax.index_in_dim(y, k, yi, keepdims=False),
            left,
            rest,
        )
        for k in range(x.shape[xi])
    )
    return reduce(operator.add, terms)


def _stages(x, y, einsum: Einsum, whole, summed, sizes):
    """Sum over the contracted labels one after the other, where one operand has all labels (which
    are ``whole``). None of its elements is read twice, and each stage leaves a fraction of the one
    before.
    """
    short = [label for label in whole if label in summed and sizes[label] <= UNROLL]
    long = [label for label in whole if label in summed and sizes[label] > UNROLL]
    first = "".join(short[:1])
    kept = whole.replace(first, "")
    z = _sum(x, y, einsum._replace(out=kept), first)
    for label in short[1:]:
        z = lax.optimization_barrier(z)
        axis = kept.index(label)
        kept = kept.replace(label, "")
        z = reduce(operator.add, (lax.index_in_dim(z, k, axis, False) for k in range(sizes[label])))
    if long:
        if not jnp.iscomplexobj(z):  # else XLA would make a matrix product of it
            z = lax.optimization_barrier(z)
        z = _total(z, [kept.index(label) for label in long])
        kept = "".join(label for label in kept if label not in long)
    return z.transpose([kept.index(label) for label in einsum.out])


def _total(z, axes):
    """The sum over axes, those longer than `PASS` in pieces. Of a long axis XLA would make two
    passes; of a few pieces it makes one, together with the computation of ``z``.
    """
    starts = [range(0, z.shape[axis], PASS) for axis in axes]
    if math.prod(map(len, starts)) > PIECES:
        return z.sum(axes)
    pieces = [z]
    for axis, each in zip(axes, starts, strict=True):
        stops = [*each[1:], z.shape[axis]]
        pieces = [
            lax.slice_in_dim(piece, start, stop, axis=axis)
            for piece in pieces
            for start, stop in zip(each, stops, strict=True)
        ]
    return reduce(operator.add, (piece.sum(axes) for piece in pieces))


def _lanes(xs, ys, summed, sizes) -> int:
    """How many elements of the last axis an accumulator keeps apart: 0 unless both operands end
    with the same axis and it is summed over.
    """
    label = xs[-1:]
    if label != ys[-1:] or label not in summed:
        return 0
    return max((lanes for lanes in LANES if sizes[label] % lanes == 0), default=0)


def _accumulate(x, y, einsum: Einsum, summed, sizes, lanes):
    """Sum over the contracted labels in a loop, for a small result of large operands, such as the
    gradient of a gate. The accumulators stay in the cache, and the operands are read in the order
    in which they lie in memory.
    """
    xs, ys, out, real = einsum
    last = xs[-1]
    looped = summed.replace(last, "")
    spans = [sizes[label] for label in looped] + [sizes[last] // lanes]

    def part(z, labels, at):
        starts = [at[looped.index(k)] if k in looped else 0 for k in labels[:-1]]
        shape = [1 if k in looped else sizes[k] for k in labels[:-1]]
        z = lax.dynamic_slice(z, [*starts, at[-1] * lanes], [*shape, lanes])
        z = lax.squeeze(z, [axis for axis, k in enumerate(labels) if k in looped])
        return _aligned(z, "".join(k for k in labels if k not in looped), out + last)

    def add(k, total):
        at = jnp.unravel_index(k, spans)
        return total + _multiply(part(x, xs, at), part(y, ys, at), real)

    dtype = np.promote_types(x.dtype, y.dtype)
    zero = jnp.zeros([sizes[k] for k in out] + [lanes], jnp.finfo(dtype).dtype if real else dtype)
    return lax.fori_loop(0, math.prod(spans), add, vary(zero, varying((x, y)))).sum(-1)


def _aligned(x, labels, out):
    """Transpose and expand ``x`` so that it broadcasts against an array labelled ``out``."""
    order = sorted(range(len(labels)), key=lambda k: out.index(labels[k]))
    x = x.transpose(order)
    return lax.expand_dims(x, [k for k, label in enumerate(out) if label not in labels])


def _multiply(x, y, real):
    """Broadcast product; a real factor scales both parts instead of being made complex."""
    x_complex, y_complex = jnp.iscomplexobj(x), jnp.iscomplexobj(y)
    if x_complex and y_complex:
        return x.real * y.real - x.imag * y.imag if real else x * y
    if x_complex or y_complex:
        z, s = (x, y) if x_complex else (y, x)
        return z.real * s if real else lax.complex(z.real * s, z.imag * s)
    return x * y


def _dot(x, y, xs, ys, out, real):
    """Matrix product; real times complex is one real product for each of the two parts."""
    x_complex, y_complex = jnp.iscomplexobj(x), jnp.iscomplexobj(y)
    sharding = _explicit_sharding(x, y, xs, ys, out)

    def dot(a, b):
        return jnp.einsum(f"{xs},{ys}->{out}", a, b, precision=HIGHEST, out_sharding=sharding)

    if x_complex and y_complex:
        return dot(x.real, y.real) - dot(x.imag, y.imag) if real else dot(x, y)
    if x_complex:
        return dot(x.real, y) if real else lax.complex(dot(x.real, y), dot(x.imag, y))
    if y_complex:
        return dot(x, y.real) if real else lax.complex(dot(x, y.real), dot(x, y.imag))
    return dot(x, y)
