"""The derivative of a matrix of one mode that is stated by bands.

For a real matrix M(r) with ``dM/dr = A M + M B``, where A and B have few bands and the equation
holds for M cut to any size. So the gradient of M applied to a ket takes only the kets before and
after, and no array of the size of M. Derivatives of this rule itself, in which M occurs again, go
through the function that builds M.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from string import ascii_letters

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._linear import apply_matrix, contract
from fockjax._numerics import shifted

Build = Callable[[jax.Array, int], jax.Array]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Band:
    """A matrix with one diagonal: takes x to ``scale * weights(cutoff)[n] * x[n - shift]``, zero
    where there is no such x.
    """

    shift: int = field(metadata={"static": True})
    weights: Callable[[int], np.ndarray] = field(metadata={"static": True})
    scale: jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Slope:
    """``dM/dr = A M + M B``: A and B as sums of bands."""

    left: tuple[Band, ...]
    right: tuple[Band, ...]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def rebuilt(build, r, values):
    """``values``, which must be ``build(r, ..)``, with the derivative of that."""
    return values


@rebuilt.defjvp
def _rebuilt_jvp(build, primals, tangents):
    (r, values), (dr, _) = primals, tangents
    moved = jax.jvp(lambda r: build(r, len(values)), (r,), (dr,))[1]
    return rebuilt(build, r, values), moved


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def apply_generated(build, axis, r, values, slope, ket):
    """Apply ``values`` to an axis; they must be ``build(r, ..)``, whose derivative is ``slope``."""
    return apply_matrix(values, ket, (axis,))


@apply_generated.defjvp
def _generated_jvp(build, axis, primals, tangents):
    r, values, slope, before = primals
    dr, _, _, dbefore = tangents
    after = apply_generated(build, axis, r, values, slope, before)
    moved = dbefore + _apply_bands(slope.right, dr, before, axis)
    moved = _apply_rebuilt(build, axis, r, values, moved)
    return after, moved + _apply_bands(slope.left, dr, after, axis)


# Checkpointed, so that a gradient keeps `values`, which a loop over layers keeps anyway, and not
# what is computed from them.
@partial(jax.checkpoint, static_argnums=(0, 1), prevent_cse=False)
def _apply_rebuilt(build, axis, r, values, ket):
    return apply_matrix(rebuilt(build, r, values), ket, (axis,))


@partial(jax.checkpoint, static_argnums=3, prevent_cse=False)  # keeps the ket, not its shifts
def _apply_bands(bands: tuple[Band, ...], scale: jax.Array, ket: jax.Array, axis: int) -> jax.Array:
    """The sum of bands, times ``scale``, applied to an axis."""
    labels = ascii_letters[: ket.ndim]
    total = jnp.zeros_like(ket)
    for band in bands:
        weights = band.weights(ket.shape[axis]).astype(band.scale.dtype)
        moved = shifted(ket, band.shift, axis)
        moved = contract(weights, moved, f"{labels[axis]},{labels}->{labels}")
        total += contract(band.scale, moved, f",{labels}->{labels}")
    return contract(scale, total, f",{labels}->{labels}")
