"""A channel given by its Kraus operators."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from fockjax import _validated, checks
from fockjax._numerics import real_dtype
from fockjax._spec import ChannelSpec, cutoffs_for
from fockjax.superoperators import Kraus


def kraus(
    real, imag: Any = 0.0, *, cutoff: int | tuple[int, ...], truncated: bool = False, dtype=None
) -> Kraus:
    """Any channel on chosen modes, ``rho -> sum_j K_j rho K_j^dagger`` with ``K = real + i imag``.

    Operators with ``sum_j K_j^dagger K_j = 1`` on the cut space may reflect at the cutoff what an
    infinite channel would lose there. So after this channel the leakage of a state is a lower
    bound.

    Args:
        real: real parts of the elements, shape ``(J, *cutoffs, *cutoffs)`` with output photon
            numbers before input, or ``(J, size, size)`` with the photon numbers of all modes in one
            index, that of the last mode running fastest.
        imag: imaginary parts, the same shape, or 0.
        cutoff: photon numbers below it are kept; one for each mode (an integer: one mode).
        truncated: the elements are cut from operators on more photon numbers: ``sum_j K_j^dagger
            K_j`` may be below 1, and what is missing counts as lost.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Raises:
        ValueError: if the shapes do not fit the cutoffs; where the values are known, if the
            operators do not sum to the identity, or to less where ``truncated``. Of traced ones
            `fj.checks.kraus_defect` tells.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> flip = np.sqrt(0.5) * np.array([np.eye(2), [[0, 1], [1, 0]]])
        >>> one = fj.mixed.density_matrix([[0, 0], [0, 1]], cutoff=2)
        >>> fj.channels.kraus(flip, cutoff=2).apply(one, (0,), (1,)).real
        Array([[0.5, 0. ],
               [0. , 0.5]], dtype=float32)
    """
    cutoffs = cutoffs_for(cutoff)
    size = int(np.prod(cutoffs))
    if not isinstance(real, Tracer) and not isinstance(imag, Tracer):
        _checked(np.asarray(real), np.asarray(imag), len(cutoffs), truncated)
    real, imag = (jnp.asarray(part, real_dtype(dtype)) for part in (real, imag))
    elements = lax.complex(real, jnp.broadcast_to(imag, real.shape))
    shapes = {(*cutoffs, *cutoffs): None, (size, size): None}  # one, for one mode
    if elements.shape[1:] not in shapes:
        wanted = " or ".join(f"(J, {', '.join(map(str, shape))})" for shape in shapes)
        raise ValueError(
            f"Kraus operators of shape {elements.shape} do not act on modes with cutoffs "
            f"{cutoffs}: their shape must be {wanted}."
        )
    return Kraus(elements.reshape(-1, *cutoffs, *cutoffs))


def _checked(real, imag, modes: int, truncated: bool) -> None:
    """Check what is known of constants: that the shapes fit, and the sum of K_j^dagger K_j."""
    half = (real.ndim - 1) // 2
    if (
        imag.shape not in ((), real.shape)
        or real.ndim not in (3, 2 * modes + 1)
        or real.shape[1 : 1 + half] != real.shape[1 + half :]
        or not real.size
    ):
        raise ValueError(
            f"the Kraus operators must have shape (J, size, size) or 1 + {2 * modes} axes, output "
            f"photon numbers before input, got shape {real.shape}"
            + (f" and {imag.shape}." if imag.shape not in ((), real.shape) else ".")
        )
    size = int(np.prod(real.shape[1 : 1 + half]))
    K = (real + 1j * imag).reshape(-1, size, size)
    if truncated:
        largest = np.linalg.norm(K.reshape(-1, size), 2) ** 2
        if largest > 1 + _validated.UNITARY_TOLERANCE:
            raise ValueError(
                "the Kraus operators must sum to the identity or less, but sum_j K_j^dagger K_j "
                f"has an eigenvalue {largest:.6g} > 1."
            )
        return
    defect = checks.kraus_defect(K)
    if defect > _validated.UNITARY_TOLERANCE:
        raise ValueError(
            "the Kraus operators must sum to the identity, but |sum_j K_j^dagger K_j - 1| = "
            f"{defect:.1e} is over the tolerance {_validated.UNITARY_TOLERANCE:.0e}; if they are "
            "cut from operators on more photon numbers, say truncated=True."
        )


def _check(parameters, modes, options):
    real, imag = parameters["real"], parameters["imag"]
    if isinstance(real, np.ndarray) and isinstance(imag, np.ndarray):
        _checked(real, imag, len(modes), options["truncated"])


SPEC = ChannelSpec(
    "kraus",
    ("real", "imag"),
    None,
    kraus,
    defaults={"imag": 0.0},
    arrays=("real", "imag"),
    options={"truncated": False},
    check=_check,
    reflects=lambda options: not options["truncated"],
)
