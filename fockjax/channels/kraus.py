"""A channel given by its Kraus operators."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from fockjax import _validated, checks
from fockjax._eager import is_known
from fockjax._given import cutoffs_of
from fockjax._numerics import canonical_complex
from fockjax._parts import PARTS, constant, of_parts, on_modes, squares
from fockjax._spec import Spec
from fockjax.superoperators import Kraus


def kraus(
    operators: Any, *, cutoff: int | tuple[int, ...], truncated: bool = False, dtype=None
) -> Kraus:
    """Any channel on chosen modes, ``rho -> sum_j K_j rho K_j^dagger``.

    Operators with ``sum_j K_j^dagger K_j = 1`` on the cut space may reflect at the cutoff what an
    infinite channel would lose there. So after this channel the leakage of a state is a lower
    bound.

    Args:
        operators: the K_j, a complex array of shape ``(J, *cutoffs, *cutoffs)`` with output photon
            numbers before input, or ``(J, size, size)`` with the photon numbers of all modes in one
            index, that of the last mode running fastest. In a circuit, ``circuit.add("kraus", real,
            imag, modes=..)`` takes the real and the imaginary part instead, which may be weights.
        cutoff: photon numbers below it are kept; one for each mode (an integer: one mode).
        truncated: the elements are cut from operators on more photon numbers: ``sum_j K_j^dagger
            K_j`` may be below 1, and what is missing counts as lost.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        A `Channel` on as many modes as there are cutoffs.

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
    cutoffs = cutoffs_of(cutoff, None)
    if is_known(operators):
        _refuse(np.asarray(operators), len(cutoffs), truncated)
    elements = jnp.asarray(operators).astype(canonical_complex(dtype))
    return Kraus(on_modes(elements, cutoffs, "Argument `operators`", lead=1))


def _refuse(operators: np.ndarray, modes: int, truncated: bool) -> None:
    """Check what is known of constants: that the shapes fit, and the sum of K_j^dagger K_j."""
    K = squares(operators, modes, "the Kraus operators", lead=1)
    if truncated:
        largest = np.linalg.norm(K.reshape(-1, K.shape[2]), 2) ** 2
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
    operators = constant(parameters)
    if operators is not None:
        _refuse(operators, len(modes), options["truncated"])


SPEC = Spec(
    "kraus",
    PARTS,
    None,
    of_parts(kraus),
    defaults={"imag": 0.0},
    arrays=PARTS,
    options={"truncated": False},
    check=_check,
    reflects=lambda options: not options["truncated"],
)
