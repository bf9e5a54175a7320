"""JAX primitives for everything that touches a state, closed under differentiation and batching.

``contract(x, y, "ac,icj->iaj")`` is a two-operand einsum in which every label stands in at least
two of the three index lists. Its transposes are again contractions with the lists exchanged, so
jvp, transposition and their compositions never leave the family, at any order: reverse mode is as
fast as a hand-written rule, and forward mode, Hessians and vmap all work. ``skew`` is the
permutation that turns photon-number sectors into matrix blocks; its transpose is the opposite skew.
``split`` makes two axes of one and ``merge`` undoes it. Reshaping would do the same, but under
``vmap`` it would move the batch. ``settle`` is the identity, for an array that is to be computed
once. ``unfold`` spreads an axis over arrays, each element to a place of its own and zeros between,
and ``fold``, its transpose, takes the elements from there.

``vmap`` adds one label. The batch enters wherever it stands and leaves as the last axis, where the
CPU's inner loops are contiguous for every mode, and consecutive operations find it there: a circuit
of one sample becomes a batch-innermost program without moving the batch between gates.

How a contraction is executed (fused multiply-adds, broadcasting or a matrix product) is decided in
`_lowering`, by backend; nothing here depends on it.
"""

import hashlib
import math
import string
from collections.abc import Sequence
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from fockjax import _lowering
from fockjax._sharded import einsum_sharding, vary, varying


def contract(x, y, spec: str, *, real: bool = False) -> jax.Array:
    """The two-operand einsum ``spec``. Each label must occur in at least two of the three lists.

    With ``real=True`` it is the real part of the result, at half the work (as the cotangent of a
    real operand).
    """
    x, y = inexact(x), inexact(y)
    x, y = vary((x, y), varying((x, y)))
    xs, ys, out = _parse(spec)
    return contract_p.bind(x, y, xs=xs, ys=ys, out=out, real=bool(real))


def apply_matrix(elements: jax.Array, ket: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """Sum ``elements``, of shape (new axes, old axes), over some axes of a ket."""
    labels = string.ascii_letters[: ket.ndim]
    new = string.ascii_letters[ket.ndim : ket.ndim + len(axes)]
    old = "".join(labels[axis] for axis in axes)
    out = "".join(new[axes.index(k)] if k in axes else label for k, label in enumerate(labels))
    return contract(elements, ket, f"{new}{old},{labels}->{out}")


def inexact(x) -> jax.Array:
    """An array of real or complex numbers; integers, as users write a ket by hand, become real."""
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(jnp.result_type(float))


def skew(x, *, column: int, row: int, sign: int) -> jax.Array:
    """``y[.., c, .., r, ..] = x[.., c, .., (r - sign*c) mod D, ..]``, D the length of axis ``row``.

    For two modes with photon numbers ``n1 = c`` and ``n2``, ``sign=+1`` makes ``r = (n1 + n2) mod
    D`` an axis of its own: an operator that conserves ``n1 + n2`` is block diagonal in it.
    ``sign=-1`` undoes it.
    """
    return skew_p.bind(jnp.asarray(x), column=column, row=row, sign=sign)


def split(x, *, axis: int, parts: int) -> jax.Array:
    """``y[.., a, s, ..] = x[.., parts * a + s, ..]``: an axis as two, the second of length
    ``parts``, which must divide the length of the axis.
    """
    return split_p.bind(jnp.asarray(x), axis=axis, parts=parts)


def merge(x, *, axis: int) -> jax.Array:
    """``axis`` and the axis after it as one: undoes `split`."""
    return merge_p.bind(jnp.asarray(x), axis=axis)


def settle(x) -> jax.Array:
    """``x``, computed once, with its batch as the last axis, for several operations to read."""
    return settle_p.bind(jnp.asarray(x))


class Chart:
    """The places of the elements of an axis in one or more arrays.

    Args:
        places: for each element its position in the arrays, when these are flattened and put one
            after the other; no two elements have the same.
        shapes: the shapes of the arrays.
    """

    def __init__(self, places: np.ndarray, shapes: Sequence[tuple[int, ...]]):
        if (size := sum(map(math.prod, shapes))) > 2**31:
            raise ValueError(f"Arrays of {size:,} elements are too large: 2^31 can be addressed.")
        self.places = np.asarray(places, np.int32)
        self.shapes = tuple(shapes)

    @cached_property
    def sources(self) -> list[np.ndarray]:
        """The arrays, holding in each place the index of the element there, or -1 for none."""
        bounds = np.cumsum([math.prod(shape) for shape in self.shapes])
        flat = np.full(bounds[-1], -1, np.int32)
        flat[self.places] = np.arange(len(self.places))
        parts = zip(np.split(flat, bounds[:-1]), self.shapes, strict=True)
        return [part.reshape(shape) for part, shape in parts]

    @cached_property
    def _content(self):
        return self.shapes, hashlib.sha256(self.places.tobytes()).digest()

    def __eq__(self, other) -> bool:
        return isinstance(other, Chart) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)

    def __repr__(self) -> str:
        return f"Chart({len(self.places)} -> {self.shapes})"


def unfold(x, chart: Chart, *, axis: int = 0) -> list[jax.Array]:
    """The arrays of a chart, filled from an axis and zero elsewhere. The axes of each stand in the
    place of that axis.
    """
    return unfold_p.bind(jnp.asarray(x), chart=chart, axis=axis)


def fold(arrays, chart: Chart, *, axis: int = 0) -> jax.Array:
    """The axis that a chart spreads over arrays, from these arrays: undoes `unfold`, and is its
    transpose.
    """
    arrays = [jnp.asarray(array) for array in arrays]
    return fold_p.bind(*vary(arrays, varying(arrays)), chart=chart, axis=axis)


def _outside_jit(compiled):
    """The eager implementation of a primitive: compiled, even where the user has disabled jit."""

    def run(*args, **params):
        with jax.disable_jit(False):
            return compiled(*args, **params)

    return run


def _with_axes(operand: ShapedArray, start: int, stop: int, sizes) -> ShapedArray:
    """The type of an operand, with axes of these sizes in the place of those from start to stop.

    Results take their types from operands, since these also tell over which axes of a mesh an array
    varies, and JAX sums gradients over devices by it.
    """
    shape, spec = operand.shape, operand.sharding.spec
    return operand.update(
        shape=(*shape[:start], *sizes, *shape[stop:]),
        weak_type=False,
        sharding=operand.sharding.update(spec=(*spec[:start], *[None] * len(sizes), *spec[stop:])),
    )


def _parse(spec: str) -> tuple[str, str, str]:
    operands, out = spec.replace(" ", "").split("->")
    xs, ys = operands.split(",")
    return xs, ys, out


# contract
# -------------------------------------------------------------------------------------------------

contract_p = Primitive("fock_contract")


def _contract_abstract(x, y, *, xs, ys, out, real):
    sizes = {}
    for labels, operand in ((xs, x), (ys, y)):
        if len(labels) != operand.ndim or len(set(labels)) != len(labels):
            raise ValueError(
                f"contract: labels {labels!r} do not fit an operand of shape {operand.shape}"
            )
        for label, size in zip(labels, operand.shape, strict=True):
            if sizes.setdefault(label, size) != size:
                raise ValueError(
                    f"contract: sizes of label {label!r} differ in {xs},{ys}->{out}: {x.shape} "
                    f"and {y.shape}"
                )
    for label in set(xs + ys + out):
        if (label in xs) + (label in ys) + (label in out) < 2:
            raise ValueError(
                f"contract: label {label!r} occurs in one list only of {xs},{ys}->{out}"
            )
    dtype = np.promote_types(x.dtype, y.dtype)
    if real:
        dtype = jnp.finfo(dtype).dtype
    return x.update(
        shape=tuple(sizes[label] for label in out),
        dtype=dtype,
        weak_type=False,
        sharding=einsum_sharding(x, y, xs, ys, out),
    )


def _contract_batch(args, dims, *, xs, ys, out, real):
    new = next(label for label in string.ascii_letters if label not in xs + ys + out)
    (x, y), (xd, yd) = args, dims
    xs = xs if xd is None else xs[:xd] + new + xs[xd:]
    ys = ys if yd is None else ys[:yd] + new + ys[yd:]
    return contract_p.bind(x, y, xs=xs, ys=ys, out=out + new, real=real), len(out)


def _transpose_left(ct, x, y, *, xs, ys, out, real):
    return _of_type(contract_p.bind(ct, y, xs=out, ys=ys, out=xs, real=_is_real(x.aval)), x)


def _transpose_right(ct, x, y, *, xs, ys, out, real):
    return _of_type(contract_p.bind(x, ct, xs=xs, ys=out, out=ys, real=_is_real(y.aval)), y)


def _of_type(ct, operand):
    """The cotangent in the dtype of its operand: it comes out real, though the operand is complex,
    where ``real=True`` asked for the real part of a product with a real operand.
    """
    return ct.astype(operand.aval.dtype)


def _is_real(aval) -> bool:
    return not jnp.issubdtype(aval.dtype, jnp.complexfloating)


@partial(jax.jit, static_argnames=("xs", "ys", "out", "real"))
def _contract_eager(x, y, *, xs, ys, out, real):
    return contract_p.bind(x, y, xs=xs, ys=ys, out=out, real=real)


contract_p.def_impl(_outside_jit(_contract_eager))
contract_p.def_abstract_eval(_contract_abstract)
ad.defbilinear(contract_p, _transpose_left, _transpose_right)
batching.primitive_batchers[contract_p] = _contract_batch
mlir.register_lowering(contract_p, mlir.lower_fun(_lowering.contract, multiple_results=False))
mlir.register_lowering(
    contract_p, mlir.lower_fun(_lowering.contract_cpu, multiple_results=False), platform="cpu"
)

# skew
# -------------------------------------------------------------------------------------------------

skew_p = Primitive("fock_skew")


def _skew_abstract(x, *, column, row, sign):
    return x.strip_weak_type()


def _skew_batch(args, dims, *, column, row, sign):
    (x,), (d,) = args, dims
    out = skew_p.bind(jnp.moveaxis(x, d, -1), column=column, row=row, sign=sign)
    return out, x.ndim - 1


def _skew_lower(x, *, column, row, sign):
    first, last = min(column, row), max(column, row)
    # A permutation of the elements along the axes from the first to the last of the two.
    span = x.shape[first], math.prod(x.shape[first + 1 : last]), x.shape[last]
    a, between, b = (axis.astype(np.int32) for axis in np.ogrid[tuple(map(slice, span))])
    if column == first:
        b = (b - sign * a) % span[2]
    else:
        a = (a - sign * b) % span[0]
    order = (a * span[1] + between) * span[2] + b
    flat = x.reshape(*x.shape[:first], order.size, *x.shape[last + 1 :])
    taken = jnp.take(flat, order.reshape(-1), axis=first, unique_indices=True, mode="clip")
    return taken.reshape(x.shape)


@partial(jax.jit, static_argnames=("column", "row", "sign"))
def _skew_eager(x, *, column, row, sign):
    return skew_p.bind(x, column=column, row=row, sign=sign)


skew_p.def_impl(_outside_jit(_skew_eager))
skew_p.def_abstract_eval(_skew_abstract)
ad.deflinear2(
    skew_p,
    lambda ct, x, *, column, row, sign: [skew_p.bind(ct, column=column, row=row, sign=-sign)],
)
batching.primitive_batchers[skew_p] = _skew_batch
mlir.register_lowering(skew_p, mlir.lower_fun(_skew_lower, multiple_results=False))

# settle
# -------------------------------------------------------------------------------------------------

settle_p = Primitive("fock_settle")


def _settle_batch(args, dims):
    (x,), (d,) = args, dims
    return settle_p.bind(jnp.moveaxis(x, d, -1)), x.ndim - 1


settle_p.def_impl(lambda x: x)
settle_p.def_abstract_eval(lambda x: x.strip_weak_type())
ad.deflinear2(settle_p, lambda ct, x: [settle_p.bind(ct)])
batching.primitive_batchers[settle_p] = _settle_batch
mlir.register_lowering(settle_p, mlir.lower_fun(lax.optimization_barrier, multiple_results=False))

# split and merge
# -------------------------------------------------------------------------------------------------

split_p, merge_p = Primitive("fock_split"), Primitive("fock_merge")


def _split_abstract(x, *, axis, parts):
    return _with_axes(x, axis, axis + 1, (x.shape[axis] // parts, parts))


def _merge_abstract(x, *, axis):
    return _with_axes(x, axis, axis + 2, (x.shape[axis] * x.shape[axis + 1],))


def _split_batch(args, dims, *, axis, parts):
    (x,), (d,) = args, dims
    if d <= axis:
        return split_p.bind(x, axis=axis + 1, parts=parts), d
    return split_p.bind(x, axis=axis, parts=parts), d + 1


def _merge_batch(args, dims, *, axis):
    (x,), (d,) = args, dims
    if d == axis + 1:  # between the two
        x, d = jnp.moveaxis(x, d, -1), x.ndim - 1
    if d <= axis:
        return merge_p.bind(x, axis=axis + 1), d
    return merge_p.bind(x, axis=axis), d - 1


def _split_lower(x, *, axis, parts):
    return x.reshape(_split_abstract(jax.typeof(x), axis=axis, parts=parts).shape)


def _merge_lower(x, *, axis):
    return x.reshape(_merge_abstract(jax.typeof(x), axis=axis).shape)


split_p.def_impl(_outside_jit(jax.jit(_split_lower, static_argnames=("axis", "parts"))))
split_p.def_abstract_eval(_split_abstract)
ad.deflinear2(split_p, lambda ct, x, *, axis, parts: [merge_p.bind(ct, axis=axis)])
batching.primitive_batchers[split_p] = _split_batch
mlir.register_lowering(split_p, mlir.lower_fun(_split_lower, multiple_results=False))

merge_p.def_impl(_outside_jit(jax.jit(_merge_lower, static_argnames=("axis",))))
merge_p.def_abstract_eval(_merge_abstract)
ad.deflinear2(
    merge_p,
    lambda ct, x, *, axis: [split_p.bind(ct, axis=axis, parts=x.aval.shape[axis + 1])],
)
batching.primitive_batchers[merge_p] = _merge_batch
mlir.register_lowering(merge_p, mlir.lower_fun(_merge_lower, multiple_results=False))

# unfold and fold
# -------------------------------------------------------------------------------------------------

unfold_p, fold_p = Primitive("fock_unfold"), Primitive("fock_fold")
unfold_p.multiple_results = True


def _unfold_abstract(x, *, chart, axis):
    return [_with_axes(x, axis, axis + 1, shape) for shape in chart.shapes]


def _fold_abstract(*arrays, chart, axis):
    return _with_axes(arrays[0], axis, axis + len(chart.shapes[0]), (len(chart.places),))


def _unfold_batch(args, dims, *, chart, axis):
    (x,), (d,) = args, dims
    made = unfold_p.bind(jnp.moveaxis(x, d, -1), chart=chart, axis=axis)
    return made, [part.ndim - 1 for part in made]


def _fold_batch(args, dims, *, chart, axis):
    size = next(x.shape[d] for x, d in zip(args, dims, strict=True) if d is not None)
    args = [
        jnp.broadcast_to(x[..., None], (*x.shape, size)) if d is None else jnp.moveaxis(x, d, -1)
        for x, d in zip(args, dims, strict=True)
    ]
    made = fold_p.bind(*args, chart=chart, axis=axis)
    return made, made.ndim - 1


def _unfold_lower(x, *, chart, axis):
    size = x.shape[axis]
    if any(np.any(source < 0) for source in chart.sources):  # a zero to take where nothing stands
        more = [(0, int(k == axis), 0) for k in range(x.ndim)]
        x = lax.pad(x, jnp.zeros((), x.dtype), more)
    places = [np.where(source < 0, size, source) for source in chart.sources]
    return [jnp.take(x, place, axis=axis, mode="clip") for place in places]


def _fold_lower(*arrays, chart, axis):
    flat = [
        x.reshape(*x.shape[:axis], math.prod(shape), *x.shape[axis + len(shape) :])
        for x, shape in zip(arrays, chart.shapes, strict=True)
    ]
    whole = flat[0] if len(flat) == 1 else jnp.concatenate(flat, axis)
    return jnp.take(whole, chart.places, axis=axis, unique_indices=True, mode="clip")


def _unfold_transpose(cts, x, *, chart, axis):
    cts = [ad.instantiate_zeros(ct) for ct in cts]
    return [fold_p.bind(*cts, chart=chart, axis=axis)]


def _fold_transpose(ct, *arrays, chart, axis):
    return unfold_p.bind(ct, chart=chart, axis=axis)


unfold_p.def_impl(_outside_jit(jax.jit(_unfold_lower, static_argnames=("chart", "axis"))))
unfold_p.def_abstract_eval(_unfold_abstract)
ad.deflinear2(unfold_p, _unfold_transpose)
batching.primitive_batchers[unfold_p] = _unfold_batch
mlir.register_lowering(unfold_p, mlir.lower_fun(_unfold_lower, multiple_results=True))

fold_p.def_impl(_outside_jit(jax.jit(_fold_lower, static_argnames=("chart", "axis"))))
fold_p.def_abstract_eval(_fold_abstract)
ad.deflinear2(fold_p, _fold_transpose)
batching.primitive_batchers[fold_p] = _fold_batch
mlir.register_lowering(fold_p, mlir.lower_fun(_fold_lower, multiple_results=False))
