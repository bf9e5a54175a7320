"""How arrays lie on a mesh of devices, which JAX keeps in their types.

Inside `jax.shard_map` a type tells over which axes of the mesh an array varies, and JAX sums
gradients over the devices by it. On a mesh with explicit axes it tells over which of them each axis
of the array is split. Without a mesh none of this does anything.
"""

from typing import Any, TypeVar

import jax
from jax import lax
from jax.core import ShapedArray
from jax.sharding import NamedSharding

T = TypeVar("T")


def varying(tree: Any) -> frozenset:
    """The axes over which any array of a pytree varies. A type may stand for an array."""
    return frozenset().union(*map(_varying, jax.tree.leaves(tree)))


def vary(tree: T, axes: frozenset) -> T:
    """The pytree, with all its arrays marked as varying over these axes. What an operation takes
    together, and what a loop is given and gives back, must vary over the same.
    """

    def marked(array):
        more = axes - _varying(array)
        return lax.pcast(array, tuple(more), to="varying") if more else array

    return jax.tree.map(marked, tree)


def einsum_sharding(x: ShapedArray, y: ShapedArray, xs: str, ys: str, out: str) -> NamedSharding:
    """How the result of a two-operand einsum lies on the mesh: each axis as in the operand that has
    it.
    """
    split = {}
    for labels, operand in ((xs, x), (ys, y)):
        for label, axis in zip(labels, operand.sharding.spec, strict=True):
            split[label] = split.get(label) or axis
    meshed = y if x.sharding.mesh.empty else x  # a constant may know of no mesh
    return meshed.sharding.update(spec=[split[label] for label in out])


def _varying(array: Any) -> frozenset:
    return jax.typeof(array).manual_axis_type.varying
