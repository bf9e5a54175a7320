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


def contract(x, y, *, xs, ys, out, real):
    """Any backend: one broadcast product, or one matrix product at HIGHEST precision."""
    if _contracted(xs, ys, out):
        return _dot(x, y, xs, ys, out, real)
    return _multiply(_aligned(x, xs, out), _aligned(y, ys, out), real)


def contract_cpu(x, y, *, xs, ys, out, real):
    sizes = dict(zip(xs + ys, x.shape + y.shape, strict=True))
    summed = _contracted(xs, ys, out)
    # What made a small operand would be computed anew for every element that it meets.
    size = _product(sizes[label] for label in out)
    x, y = (lax.optimization_barrier(z) if z.size < size else z for z in (x, y))
    terms = _product(sizes[label] for label in summed)
    if terms > UNROLL or (summed and size < UNROLL_RESULT):
        z = _dot(x, y, xs, ys, out, real)
    else:
        z = _multiply_add(x, y, xs, ys, out, real, summed, sizes)
    return lax.optimization_barrier(z)


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
