"""Gaussian transformations without displacement, as interferometer, squeezers, interferometer."""

from functools import partial

import jax
import jax.numpy as jnp

from fockjax._given import cutoffs_of
from fockjax._numerics import pick, real_dtype
from fockjax._spec import Spec, check_shapes
from fockjax.gates.interferometer import build_each, interferometer, mesh_shapes
from fockjax.gates.squeezing import squeezing
from fockjax.operators import Operator, Padded, product


def gaussian_transform(
    theta,
    phi,
    rotation,
    r,
    *,
    cutoff: int | tuple[int, ...],
    dtype=None,
    exact: bool = False,
) -> Operator:
    """The Gaussian transformation of n modes ``W(U1) S(r) W(U2)``: an `interferometer`, a squeezer
    on each mode, an interferometer.

    Every symplectic matrix can be written so (`decompositions.bloch_messiah`). The global phase,
    which a symplectic matrix leaves open, is that of Strawberry Fields: the vacuum amplitude
    ``<0|G|0> = prod_m sech(r_m)^(1/2)`` is positive.

    Args:
        theta: angles of the first (U2) and second (U1) rectangular mesh in radians, shape
            (2, n (n - 1) / 2).
        phi: their phases in radians, same shape.
        rotation: their rotations in radians, shape (2, n).
        r: squeezing parameters, shape (n,); |r| <= 3 is tested.
        cutoff: photon numbers below it are kept; one for all modes or one for each.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.
        exact: False: as Strawberry Fields, cut after each beamsplitter and squeezer. True: the
            elements of the infinite operator, cut once; in between, each mode holds as many photons
            as all cutoffs together (memory and time to match).

    Returns:
        An `Operator` on n modes.

    Raises:
        ValueError: if the shapes of the parameters do not fit each other.

    Example:
        >>> import fockjax as fj
        >>> values = [[0.3], [0.4]], [[0.0], [0.1]], [[0.1, 0.2], [0.0, 0.0]], [0.5, -0.5]
        >>> circuit = fj.Circuit(2).add("gaussian_transform", *values, modes=(0, 1))
        >>> print(circuit({}, cutoff=4).ket()[0, 0].round(3) + 0)  # sech 0.5
        (0.887+0j)

    Reference:
        C. Weedbrook et al., Gaussian quantum information, Rev. Mod. Phys. 84, 621 (2012), sec. II.
    """
    real = real_dtype(dtype)
    theta, phi, rotation, r = (jnp.asarray(value, real) for value in (theta, phi, rotation, r))
    cutoffs = cutoffs_of(cutoff, r.size)
    modes = len(cutoffs)
    check_shapes({"theta": theta, "phi": phi, "rotation": rotation, "r": r}, _shapes(modes))
    # The interferometers conserve photons. So states of more photons than all cutoffs together,
    # before or after the squeezers, neither come from states below the cutoffs nor lead there.
    box = (sum(cutoffs) - modes + 1,) * modes if exact else cutoffs
    both = jax.vmap(partial(interferometer, cutoff=box, dtype=dtype))(theta, phi, rotation)
    first, second = (pick(both, k) for k in range(2))
    squeezers = build_each(partial(squeezing, dtype=dtype), box, r)
    everywhere = tuple(range(modes))
    whole = product(
        (first, everywhere),
        *((squeezer, (mode,)) for mode, squeezer in enumerate(squeezers)),
        (second, everywhere),
        cutoffs=box,
    )
    return whole if box == cutoffs else Padded(whole, cutoffs)


def _shapes(modes: int) -> dict[str, tuple[int, ...]]:
    one = mesh_shapes(modes, "rectangular")
    return {**{name: (2, *shape) for name, shape in one.items()}, "r": (modes,)}


def _check(parameters, modes, options):
    check_shapes(parameters, _shapes(len(modes)))


SPEC = Spec(
    "gaussian_transform",
    ("theta", "phi", "rotation", "r"),
    None,
    gaussian_transform,
    arrays=("theta", "phi", "rotation", "r"),
    options={"exact": False},
    check=_check,
)
