"""The passes over memory that XLA will make of a trace, predicted without compiling it.

XLA runs a program as passes, each of which reads arrays, computes, and writes arrays. Matrix
products, reductions, loops and the like are passes. Elementwise operations fuse into the pass that
reads their results, so that only the ends of a chain are in memory. What a contraction becomes is
not guessed but traced from `_lowering`, which decides it; a skew is a gather. An array that is
written stays in memory until the last pass that reads it, which gives the peak. What reverse mode
keeps is in the trace like everything else.

FLOPs are counted as XLA counts them: one for each element of an elementwise operation, two for each
term of a matrix product, whether complex or real, and none for transcendental functions.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
from jax.extend.core import Jaxpr, JaxprEqn, Literal
from jax.interpreters import partial_eval

from fockjax import _lowering

# How XLA reads a trace
# -------------------------------------------------------------------------------------------------

# Before JAX 0.12, XLA for CPU takes optimisation barriers away before it fuses.
BARRIERS_HOLD = jax.__version_info__ >= (0, 12)

BARRIERS = {"fock_settle", "optimization_barrier"}

# Gives the same array another shape.
RENAMING = BARRIERS | {
    "copy",
    "fock_merge",
    "fock_split",
    "name",
    "reshape",
    "squeeze",
}
# Computes nothing, and is done again by each pass that reads its result.
MOVING = {
    "broadcast_in_dim", "concatenate", "dynamic_slice", "imag", "iota", "pad", "random_unwrap",
    "random_wrap", "real", "rev", "slice", "split", "stack", "transpose", "unstack",
}  # fmt: skip
# Computes nothing, but is done only once if several passes read its result.
GATHERING = {"fock_fold", "fock_skew", "fock_unfold", "gather"}
# Reads only as many elements of its operand as it returns.
PICKING = {"dynamic_slice", "fock_unfold", "gather", "slice"}
TRANSCENDENTAL = {
    "atan2", "cbrt", "cos", "erf", "exp", "exp2", "expm1", "log", "log1p", "logistic", "pow",
    "rsqrt", "sin", "sqrt", "tan", "tanh",
}  # fmt: skip
# Fuses with what computes its operand; its result is written to memory.
REDUCING = {
    "argmax", "argmin", "reduce_and", "reduce_max", "reduce_min", "reduce_or", "reduce_prod",
    "reduce_sum",
}  # fmt: skip
# Fuses with nothing: operands and results are all written to memory.
ALONE = {
    "cholesky", "cond", "cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum", "dot_general",
    "dynamic_update_slice", "eigh", "geqrf", "householder_product", "lu", "random_bits",
    "random_fold_in", "random_seed", "random_split", "scan", "scatter", "scatter-add", "sort",
    "svd", "threefry2x32", "triangular_solve", "while",
}  # fmt: skip

# The kinds of passes. A pass that does several things counts as the first of these that it does.
KINDS = ("contractions", "complex products", "products", "skews", "elementwise", "other")


class Pass(NamedTuple):
    """One pass over memory: its kind, and the FLOPs and bytes of one run.

    Attributes:
        times: how often it runs.
        starts: how often it is started, which is less than ``times`` inside the loop of a
            contraction, as that is compiled as a whole.
    """

    kind: str
    flops: int
    bytes: int
    times: int = 1
    starts: int = 1


class Program(NamedTuple):
    """The passes of a trace, and the most bytes that intermediate arrays take at one time, besides
    arguments and results.
    """

    passes: tuple[Pass, ...]
    temporaries: int


def foresee(jaxpr: Jaxpr) -> Program:
    """The passes of a trace."""
    used, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars), instantiate=True)
    return _program(used)


def nbytes(avals: Sequence[Any]) -> int:
    """The bytes that arrays of these shapes and types take."""
    return sum(aval.size * aval.dtype.itemsize for aval in avals)


def _avals(atoms: Sequence[Any]) -> list[Any]:
    return [atom.aval for atom in atoms]


# Reading
# -------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Array:
    """A value of the trace, whatever shape it is given on the way."""

    bytes: int
    maker: "_Node | None" = None  # None: an argument or a constant
    readers: list["_Node"] = field(default_factory=list)
    written: bool = False


@dataclass(eq=False)
class _Node:
    """An operation of the trace, unless it only gives its operand another shape."""

    equation: JaxprEqn
    contraction: JaxprEqn | None  # the contraction that it is a part of
    operands: list[_Array]
    results: list[_Array] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.equation.primitive.name

    @property
    def kind(self) -> str:
        if self.name == "dot_general":
            (made,) = _avals(self.equation.outvars)
            return "complex products" if made.dtype.kind == "c" else "products"
        if self.name in ("fock_fold", "fock_skew", "fock_unfold"):
            return "skews"
        if self.name in ALONE:
            return "other"
        return "contractions" if self.contraction else "elementwise"


def _read(
    jaxpr: Jaxpr,
    arguments: list[_Array],
    nodes: list[_Node],
    contraction: JaxprEqn | None = None,
) -> list[_Array]:
    """Append the operations of a trace to ``nodes``, with calls and contractions written out.
    Returns the results of the trace.
    """
    arrays = dict(zip(jaxpr.invars, arguments, strict=True))
    arrays |= {variable: _Array(nbytes(_avals([variable]))) for variable in jaxpr.constvars}

    def find(atom) -> _Array:
        return _Array(0) if isinstance(atom, Literal) else arrays[atom]

    for equation in jaxpr.eqns:
        operands = [find(atom) for atom in equation.invars]
        if (inner := _called(equation)) is not None:
            whole = equation if equation.primitive.name == "fock_contract" else contraction
            results = _read(inner, operands, nodes, whole)
        elif _is_renaming(equation):
            results = operands
            if equation.primitive.name in BARRIERS and BARRIERS_HOLD:
                for operand in operands:
                    operand.written = True
        else:
            node = _Node(equation, contraction, operands)
            alone = node.name in ALONE | REDUCING
            node.results = results = [
                _Array(nbytes(_avals([variable])), node, written=alone)
                for variable in equation.outvars
            ]
            for operand in operands:
                operand.readers.append(node)
                operand.written |= node.name in ALONE
            nodes.append(node)
        arrays |= dict(zip(equation.outvars, results, strict=True))
    return [find(atom) for atom in jaxpr.outvars]


def _called(equation: JaxprEqn) -> Jaxpr | None:
    """The trace of what an operation calls, or of a contraction; None for other operations."""
    name, params = equation.primitive.name, equation.params
    if name == "fock_contract":
        return _contraction(*_avals(equation.invars), **params)
    inner = None if name in LOOPS else params.get("jaxpr", params.get("call_jaxpr"))
    return getattr(inner, "jaxpr", inner)


@lru_cache(maxsize=1024)
def _contraction(x, y, **params) -> Jaxpr:
    lower = _lowering.contract_cpu if jax.default_backend() == "cpu" else _lowering.contract
    return jax.make_jaxpr(partial(lower, **params))(x, y).jaxpr


def _is_renaming(equation: JaxprEqn) -> bool:
    if equation.primitive.name in ("broadcast_in_dim", "convert_element_type"):
        before, after = _avals([equation.invars[0], equation.outvars[0]])
        return before.ndim > 0 and (before.size, before.dtype) == (after.size, after.dtype)
    return equation.primitive.name in RENAMING


def _flops(node: _Node) -> int:
    size = sum(made.size for made in _avals(node.equation.outvars))
    operands = _avals(node.equation.invars)
    if node.name in MOVING | GATHERING | TRANSCENDENTAL:
        return 0
    if node.name in REDUCING:
        return max(0, operands[0].size - size)
    if node.name == "dot_general":
        (summed, _), _ = node.equation.params["dimension_numbers"]
        return 2 * size * math.prod(operands[0].shape[axis] for axis in summed)
    return size


# Fusing
# -------------------------------------------------------------------------------------------------


def _program(jaxpr: Jaxpr) -> Program:
    nodes: list[_Node] = []
    arguments = [_Array(nbytes(_avals([variable]))) for variable in jaxpr.invars]
    outputs = {array for array in _read(jaxpr, arguments, nodes) if array.maker}
    for node in nodes:
        for array in node.results:
            several = len(array.readers) > 1 and node.name not in MOVING
            array.written |= several or array in outputs

    passes: list[Pass] = []
    steps: list[_Step] = []
    for node in nodes:
        written = [array for array in node.results if array.written]
        if not written:
            continue
        members, reads = _fused(node)
        if node.name in LOOPS:
            inner = LOOPS[node.name](node.equation)
            own = [one._replace(starts=1) for one in inner.passes] if node.contraction else None
            passes += own or inner.passes
            steps.append(_Step(node, written, list(reads), inner.temporaries))
            continue
        kind = min((member.kind for member in members), key=KINDS.index)
        moved = sum(array.bytes for array in written) + sum(reads.values())
        passes.append(Pass(kind, sum(map(_flops, members)), moved))
        steps.append(_Step(node, written, list(reads), 0))
    return Program(tuple(passes), _peak(steps, outputs))


def _fused(root: _Node) -> tuple[list[_Node], dict[_Array, int]]:
    """The operations of the pass that ends with ``root``, and the arrays that the pass reads, with
    the bytes it reads of each.
    """
    members, reads, ahead = {root: None}, {}, [root]
    while ahead:
        node = ahead.pop()
        for array in node.operands:
            if array.maker is None or array.written:
                made = sum(result.bytes for result in node.results)
                more = min(array.bytes, made) if node.name in PICKING else array.bytes
                reads[array] = min(array.bytes, reads.get(array, 0) + more)
            elif array.maker not in members:
                members[array.maker] = None
                ahead.append(array.maker)
    return list(members), reads


# Memory
# -------------------------------------------------------------------------------------------------


class _Step(NamedTuple):
    """What a pass needs in memory: the arrays it writes and reads, and the bytes it takes itself
    while it runs.
    """

    node: _Node
    written: list[_Array]
    reads: list[_Array]
    own: int


def _peak(steps: list[_Step], outputs: set[_Array]) -> int:
    """The most bytes that written arrays take at one time, outputs not counted."""
    last = {array: index for index, step in enumerate(steps) for array in step.reads}
    # XLA splits all operands of a contraction into their parts before it multiplies the first.
    ends = {step.node.contraction: index for index, step in enumerate(steps)}
    for step in steps:
        if step.node.contraction:
            end = ends[step.node.contraction]
            last |= {array: max(last.get(array, 0), end) for array in step.written}
    standing = peak = 0
    for index, step in enumerate(steps):
        standing += sum(array.bytes for array in step.written if array not in outputs)
        peak = max(peak, standing + step.own)
        over = [array for array in step.reads if array.maker and last[array] == index]
        over += [array for array in step.written if array not in last]
        standing -= sum(array.bytes for array in over if array not in outputs)
    return peak


# Loops
# -------------------------------------------------------------------------------------------------


def _scan(equation: JaxprEqn) -> Program:
    body, length = equation.params["jaxpr"].jaxpr, equation.params["length"]
    inner = _program(body)
    passes = tuple(_again(one, length) for one in inner.passes)
    # The results of an iteration are in memory beside what the iteration began with.
    return Program(passes, inner.temporaries + nbytes(_avals(body.outvars)))


def _again(one: Pass, length: int) -> Pass:
    return one._replace(times=length * one.times, starts=length * one.starts)


def _while(equation: JaxprEqn) -> Program:
    """One iteration, as the number of iterations is not known."""
    return _program(equation.params["body_jaxpr"].jaxpr)


def _cond(equation: JaxprEqn) -> Program:
    """The branch that moves the most bytes."""
    branches = [_program(branch.jaxpr) for branch in equation.params["branches"]]
    return max(branches, key=lambda branch: sum(one.times * one.bytes for one in branch.passes))


LOOPS: dict[str, Callable[[JaxprEqn], Program]] = {"cond": _cond, "scan": _scan, "while": _while}
