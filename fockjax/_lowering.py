"""How a contraction is executed: every choice that depends on the backend stands here.

On CPU a contraction over a small index is a sum of fused multiply-adds whose inner loop runs over
the last axis (the batch, after vmap): XLA's matrix product is slower there, and its complex one
slower still. Optimisation barriers keep XLA from evaluating the producer of an operand once per
term. Large contractions, and everything on other backends, are matrix products at HIGHEST
precision: the default would run complex64 in TF32 on recent GPUs.
"""

import operator
from functools import reduce

import jax.numpy as jnp
from jax import lax

from fockjax._numerics import HIGHEST

# Chosen by judgement, not tuned: the most terms of an unrolled sum, and the fewest elements of its
# result, for which it is preferred to a matrix product.
UNROLL = 16
UNROLL_RESULT = 1024
OUT = True
LANES = (16, 256)
ACCUMULATORS = 2**16


def contract(x, y, *, xs, ys, out, real):
    """Any backend: one broadcast product, or one matrix product at HIGHEST precision."""
    if _contracted(xs, ys, out):
        return _dot(x, y, xs, ys, out, real)
    return _multiply(_aligned(x, xs, out), _aligned(y, ys, out), real)


def contract_cpu(x, y, *, xs, ys, out, real):
    sizes = dict(zip(xs + ys, x.shape + y.shape, strict=True))
    summed = _contracted(xs, ys, out)
    # What made an operand would be computed anew each time that one of its elements is read.
    size = _product(sizes[label] for label in out)
    reads = _product(sizes.values())
    x, y = (lax.optimization_barrier(z) if z.size < reads else z for z in (x, y))
    if not summed:
        return _multiply(_aligned(x, xs, out), _aligned(y, ys, out), real)
    terms = _product(sizes[label] for label in summed)
    if terms > UNROLL or (summed and size < UNROLL_RESULT):
        lanes = _lanes(xs, ys, summed, sizes)
        first = _first(x, y, xs, ys, summed)
        if terms > 1 and size * terms <= max(x.size, y.size) and sizes[first] <= UNROLL:
            z = _stages(x, y, xs, ys, out, real, first, summed, sizes)
        elif lanes and size * lanes <= ACCUMULATORS:
            z = _accumulate(x, y, xs, ys, out, real, summed, sizes, lanes)
        else:
            z = _dot(x, y, xs, ys, out, real)
    else:
        z = _multiply_add(x, y, xs, ys, out, real, summed, sizes)
    return lax.optimization_barrier(z) if OUT else z


def _contracted(xs, ys, out) -> str:
    return "".join(label for label in xs if label in ys and label not in out)


def _product(sizes) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total


def _multiply_add(x, y, xs, ys, out, real, summed, sizes):
    """Sum over the contracted labels, one broadcast product a term."""
    if not summed:
        return _multiply(_aligned(x, xs, out), _aligned(y, ys, out), real)
    label, rest = summed[0], summed[1:]
    xi, yi = xs.index(label), ys.index(label)
    terms = []
    for k in range(sizes[label]):
        terms.append(
            _multiply_add(
                lax.index_in_dim(x, k, xi, keepdims=False),
                lax.index_in_dim(y, k, yi, keepdims=False),
                xs.replace(label, ""),
                ys.replace(label, ""),
                out,
                real,
                rest,
                sizes,
            )
        )
    return reduce(operator.add, terms)


def _first(x, y, xs, ys, summed) -> str:
    """Of the contracted labels, the outermost of the larger operand."""
    order = xs if x.size >= y.size else ys
    return min(summed, key=order.index)


def _stages(x, y, xs, ys, out, real, first, summed, sizes):
    """Sum over the contracted labels one after the other.

    Where no product of different elements is formed: the first stage leaves the operands' size
    divided by that of one label, and each of the rest little of what is left.
    """
    rest = summed.replace(first, "")
    order = xs if x.size >= y.size else ys
    kept = "".join(k for k in order if k in out or k in rest)
    kept += "".join(k for k in out if k not in kept)
    z = _multiply_add(x, y, xs, ys, kept, real, first, sizes)
    for label in sorted(rest, key=kept.index):
        z = lax.optimization_barrier(z)
        axis = kept.index(label)
        kept = kept.replace(label, "")
        if sizes[label] > UNROLL:
            z = z.sum(axis)
        else:
            z = reduce(operator.add, (lax.index_in_dim(z, k, axis, False) for k in range(sizes[label])))
    return z.transpose([kept.index(k) for k in out])


def _lanes(xs, ys, summed, sizes) -> int:
    """How many elements of the last axis, if both operands end with it and it is summed, an
    accumulator keeps apart: 0 for none.
    """
    label = xs[-1:]
    if label != ys[-1:] or label not in summed:
        return 0
    size = sizes[label]
    return max((n for n in range(LANES[0], LANES[1] + 1) if size % n == 0), default=0)


def _accumulate(x, y, xs, ys, out, real, summed, sizes, lanes):
    """Sum over the contracted labels, in a loop that keeps the innermost of them apart.

    A small result of large operands, the gradient of a gate: the accumulators stay in the cache,
    and the operands are read once, as they lie.
    """
    label = xs[-1]
    rest = [k for k in summed if k != label]
    spans = [sizes[k] for k in rest] + [sizes[label] // lanes]
    kept = out + label

    def part(z, labels, at):
        starts = [at[rest.index(k)] if k in rest else 0 for k in labels[:-1]] + [at[-1] * lanes]
        shape = [1 if k in rest else sizes[k] for k in labels[:-1]] + [lanes]
        z = lax.dynamic_slice(z, starts, shape)
        z = lax.squeeze(z, [i for i, k in enumerate(labels) if k in rest])
        labels = "".join(k for k in labels if k not in rest)
        return _aligned(z, labels, kept)

    def step(k, total):
        at = jnp.unravel_index(k, spans)
        return total + _multiply(part(x, xs, at), part(y, ys, at), real)

    shape = [sizes[k] for k in out] + [lanes]
    dtype = jnp.result_type(x, y)
    zero = jnp.zeros(shape, jnp.finfo(dtype).dtype if real else dtype)
    return lax.fori_loop(0, _product(spans), step, zero).sum(-1)


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
    """Matrix product; real x complex as one real product each for the two parts."""
    x_complex, y_complex = jnp.iscomplexobj(x), jnp.iscomplexobj(y)

    def dot(a, b):
        return jnp.einsum(f"{xs},{ys}->{out}", a, b, precision=HIGHEST)

    if x_complex and y_complex:
        return dot(x.real, y.real) - dot(x.imag, y.imag) if real else dot(x, y)
    if x_complex:
        return dot(x.real, y) if real else lax.complex(dot(x.real, y), dot(x.imag, y))
    if y_complex:
        return dot(x, y.real) if real else lax.complex(dot(x, y.real), dot(x, y.imag))
    return dot(x, y)
