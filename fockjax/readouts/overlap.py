"""Fidelity and inner products of two products of factors, as networks of their tensors."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce
from string import ascii_letters
from typing import Any

import jax
import jax.numpy as jnp

from fockjax._eager import jit_when_eager
from fockjax._linear import contract
from fockjax.factors import Factor
from fockjax.readouts.factored import joined
from fockjax.readouts.spectral import root_fidelity


@jit_when_eager()
def fidelity(mine: Sequence[Factor], theirs: Sequence[Factor]) -> jax.Array:
    """The fidelity of two states of the same modes, given by their factors."""
    return reduce(jnp.multiply, [_fidelity(*met) for met in _meetings("fidelity", mine, theirs)])


@jit_when_eager()
def overlap(mine: Sequence[Factor], theirs: Sequence[Factor]) -> jax.Array:
    """The inner product of two kets."""
    return reduce(jnp.multiply, [_overlap(*met) for met in _meetings("overlap", mine, theirs)])


@jit_when_eager()
def trace_of_product(mine: Sequence[Factor], theirs: Sequence[Factor]) -> jax.Array:
    """The trace of the product of two density matrices."""
    return reduce(
        jnp.multiply, [_trace(*met) for met in _meetings("hilbert_schmidt", mine, theirs)]
    )


def _meetings(
    what: str, mine: Sequence[Factor], theirs: Sequence[Factor]
) -> Iterator[tuple[list[Factor], list[Factor]]]:
    """The factors of two states of the same modes, in the smallest groups in which both have the
    same modes, and with axes of the same names; ``what`` is the readout, for errors.
    """
    theirs = [replace(f, array=f.array.astype(mine[0].dtype)) for f in theirs]
    parts: list[set[int]] = []
    for factor in (*mine, *theirs):
        met = [part for part in parts if part & set(factor.modes)]
        parts = [part for part in parts if part not in met] + [set(factor.modes).union(*met)]
    for part in parts:
        met = [[f for f in side if part & set(f.modes)] for side in (mine, theirs)]
        one, other = ({name for f in side for name in _names(f)} for side in met)
        if one != other:
            met = [[joined(what, side)] for side in met]
        yield met[0], met[1]


def _overlap(mine: list[Factor], theirs: list[Factor]) -> jax.Array:
    """The inner product of what meets."""
    bras = [(f.array.conj(), _names(f)) for f in mine]
    return _network(bras + [(f.array, _names(f)) for f in theirs])


def _trace(mine: list[Factor], theirs: list[Factor]) -> jax.Array:
    """The trace of the product of what meets."""
    return _network(_sides(mine, 1, -1) + _sides(theirs, -1, 1)).real


def _fidelity(mine: list[Factor], theirs: list[Factor]) -> jax.Array:
    """The fidelity of what meets."""
    pure = [all(factor.is_pure for factor in side) for side in (mine, theirs)]
    if all(pure):
        inner = _overlap(mine, theirs)
        return inner.real**2 + inner.imag**2
    if any(pure):
        return _trace(mine, theirs)
    one, other = (joined("fidelity", side) for side in (mine, theirs))
    return root_fidelity(one.isospectral(one.modes), other.isospectral(one.modes)) ** 2


def _names(factor: Factor) -> tuple[Any, ...]:
    """Names for the axes of a ket of a factor: the mode of each, or all modes for its one axis."""
    return factor.modes if factor.kets.ndim == len(factor.modes) else (factor.modes,)


def _sides(factors: list[Factor], row: int, column: int) -> list[tuple[jax.Array, tuple]]:
    """The density matrices of factors as tensors of a `_network`; a pure factor gives two.

    ``row`` and ``column`` tell in the names of the axes which side of a matrix an axis is on.
    """
    tensors = []
    for factor in factors:
        rows, columns = (tuple((n, side) for n in _names(factor)) for side in (row, column))
        if factor.is_pure:
            tensors += [(factor.array, rows), (factor.array.conj(), columns)]
        else:
            tensors.append((factor.array, rows + columns))
    return tensors


def _network(tensors: list[tuple[jax.Array, tuple]]) -> jax.Array:
    """Contract tensors whose axes are named, each name standing on two of them, to a number.

    Names are followed from tensor to tensor, so that no product of independent ones is formed.
    """
    total = jnp.ones((), tensors[0][0].dtype)
    while tensors:
        array, names = tensors.pop(0)
        while names:
            partner = next(k for k, (_, more) in enumerate(tensors) if names[0] in more)
            other, more = tensors.pop(partner)
            label = dict(zip(dict.fromkeys(names + more), ascii_letters, strict=False))
            left = tuple(sorted(set(names) ^ set(more)))
            spec = ["".join(label[name] for name in axes) for axes in (names, more, left)]
            array, names = contract(array, other, f"{spec[0]},{spec[1]}->{spec[2]}"), left
        total = total * array
    return total
