"""Interferometers as meshes of beamsplitters."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._given import cutoffs_of
from fockjax._numerics import pick, real_dtype
from fockjax._spec import Spec, check_shapes
from fockjax.decompositions import pairs
from fockjax.gates.beamsplitter import beamsplitter
from fockjax.gates.passive import sectors
from fockjax.gates.phases import rotation as rotation_gate
from fockjax.operators import Operator, product


def interferometer(
    theta,
    phi,
    rotation,
    *,
    cutoff: int | tuple[int, ...],
    dtype=None,
    mesh: str = "rectangular",
    exact: bool = False,
) -> Operator:
    """An interferometer of n modes: ``BS(theta_k, phi_k)`` on the pairs of a mesh, in order, then
    ``R(rotation_m)`` on each mode.

    The pairs are `decompositions.pairs`; `decompositions.rectangular` and
    `decompositions.triangular` find the angles for a unitary matrix. The vacuum goes to itself with
    no phase.

    Args:
        theta: angles in radians, shape (n (n - 1) / 2,).
        phi: phases in radians, same shape.
        rotation: phases in radians, shape (n,).
        cutoff: photon numbers below it are kept; one for all modes or one for each.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.
        mesh: "rectangular" or "triangular".
        exact: False: as Strawberry Fields, cut after each beamsplitter. This loses states that
            exceed a cutoff in between, though they would come back. True: the elements of the
            infinite operator, cut once, as `passive` has them. They agree if there are fewer
            photons in total than every cutoff; so always under `TotalPhotons`, where the mesh is
            run in both cases.

    Returns:
        An `Operator` on n modes. Memory for about n^2 D^3 / 2 numbers at equal cutoffs D; exact,
        D^(2n - 1).

    Raises:
        ValueError: if the shapes of the angles do not fit each other, or for another ``mesh``.

    Example:
        >>> import fockjax as fj
        >>> circuit = fj.Circuit(2).displace(1.0, mode=0)
        >>> _ = circuit.add("interferometer", [0.3], [0.0], [0.0, 0.0], modes=(0, 1))
        >>> print(circuit({}, cutoff=8).photon_number(1).mean.round(3))  # sin(0.3)^2
        0.087

    Reference:
        W. R. Clements et al., Optica 3, 1460 (2016); M. Reck et al., Phys. Rev. Lett. 73, 58
        (1994).
    """
    real = real_dtype(dtype)
    theta, phi, rotation = (jnp.asarray(angles, real) for angles in (theta, phi, rotation))
    cutoffs = cutoffs_of(cutoff, rotation.size)
    modes = len(cutoffs)
    check_shapes({"theta": theta, "phi": phi, "rotation": rotation}, mesh_shapes(modes, mesh))
    if exact and modes > 1:
        return sectors(mesh_unitary(theta, phi, rotation, mesh=mesh), cutoffs)
    on = pairs(modes, mesh)
    mixers = build_each(
        partial(beamsplitter, dtype=dtype), [(cutoffs[j], cutoffs[k]) for j, k in on], theta, phi
    )
    turns = build_each(partial(rotation_gate, dtype=dtype), cutoffs, rotation)
    return product(
        *zip(mixers, on, strict=True),
        *((turn, (mode,)) for mode, turn in enumerate(turns)),
        cutoffs=cutoffs,
    )


def _of_total(theta, phi, rotation, *, exact: bool, **options) -> Operator:
    """Under `TotalPhotons` the mesh is exact by itself, so ``exact`` is ignored."""
    return interferometer(theta, phi, rotation, **options)


def mesh_unitary(theta, phi, rotation, *, mesh: str = "rectangular") -> jax.Array:
    """The unitary matrix of a mesh, ``a_k^dagger -> sum_j U_jk a_j^dagger``; complex of theta's
    precision.
    """
    turns = lax.complex(jnp.cos(rotation), jnp.sin(rotation))
    c = lax.complex(jnp.cos(theta), jnp.zeros_like(theta))
    r = lax.complex(jnp.sin(theta) * jnp.cos(phi), jnp.sin(theta) * jnp.sin(phi))
    rows = list(jnp.eye(len(rotation), dtype=turns.dtype))
    for k, (i, j) in enumerate(pairs(len(rotation), mesh)):
        rows[i], rows[j] = c[k] * rows[i] - r[k].conj() * rows[j], r[k] * rows[i] + c[k] * rows[j]
    return turns[:, None] * jnp.stack(rows)


def build_each(build, cutoffs, *values) -> list[Operator]:
    """``build(*values_k, cutoff=cutoffs[k])`` for each k; all k of the same cutoff are built in one
    vectorised call.
    """
    made = {}
    for cutoff in dict.fromkeys(cutoffs):
        of = [k for k, other in enumerate(cutoffs) if other == cutoff]
        stacked = jax.vmap(partial(build, cutoff=cutoff))(*(x[np.array(of)] for x in values))
        for place, k in enumerate(of):
            made[k] = pick(stacked, place)
    return [made[k] for k in range(len(cutoffs))]


def mesh_shapes(modes: int, mesh: str) -> dict[str, tuple[int, ...]]:
    """The shapes of the parameters of a mesh."""
    count = len(pairs(modes, mesh))
    return {"theta": (count,), "phi": (count,), "rotation": (modes,)}


def _check(parameters, modes, options):
    check_shapes(parameters, mesh_shapes(len(modes), options["mesh"]))


SPEC = Spec(
    "interferometer",
    ("theta", "phi", "rotation"),
    None,
    interferometer,
    arrays=("theta", "phi", "rotation"),
    options={"mesh": "rectangular", "exact": False},
    check=_check,
    of_total=_of_total,
)
