"""Complex arrays that an operation is given by. Its kernel takes one array; in a circuit, whose
parameters are real, it has two, the real and the imaginary part.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

PARTS = ("real", "imag")


def of_parts(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The `Spec.build` of a kernel of one complex array."""

    def build(real, imag: Any = 0.0, **options):
        return kernel(joined(real, imag), **options)

    return build


def joined(real, imag) -> np.ndarray | jax.Array:
    """The array of both parts; an imaginary part may be one number, such as 0.

    Raises:
        ValueError: if the shapes differ.
    """
    if np.shape(imag) not in ((), np.shape(real)):
        raise ValueError(
            f"parameters 'real' and 'imag' must agree in shape, got {np.shape(real)} and "
            f"{np.shape(imag)}."
        )
    if isinstance(real, np.ndarray) and isinstance(imag, np.ndarray | float):
        return real + 1j * imag
    real = jnp.asarray(real)
    return lax.complex(real, jnp.broadcast_to(jnp.asarray(imag, real.dtype), real.shape))


def constant(parameters: Mapping[str, Any]) -> np.ndarray | None:
    """The array that the parameters of a step are the parts of; None if it has no such parameters,
    or one depends on a weight or an input.
    """
    real, imag = (parameters.get(name) for name in PARTS)
    if isinstance(real, np.ndarray) and isinstance(imag, np.ndarray):
        return np.asarray(joined(real, imag))
    return None


def check_axes(array, modes: int, what: str, each: int = 1) -> None:
    """Raise ValueError, naming the array as ``what``, unless it has ``each`` axes for each mode."""
    if array.ndim != each * modes:
        axes = {1: "one axis", 2: "two axes"}[each]
        raise ValueError(
            f"{what} must have {axes} for each of {modes} mode{'s' * (modes > 1)}, got shape "
            f"{array.shape}."
        )


def squares(array: np.ndarray, modes: int, what: str, lead: int = 0) -> np.ndarray:
    """Matrices on some modes whose cutoffs are not known yet, as ``(.., size, size)``.

    Args:
        array: each matrix with the photon numbers of all modes in one index, or with an axis for
            each mode, output photon numbers first.
        modes: on how many modes they act.
        what: they are, for the errors.
        lead: how many axes stand before those of a matrix, 0 or 1.

    Raises:
        ValueError: if the shape is not that.
    """
    half = (array.ndim - lead) // 2
    rows, columns = array.shape[lead : lead + half], array.shape[lead + half :]
    if half not in (1, modes) or rows != columns or not array.size:
        raise ValueError(
            f"{what} must have shape ({'J, ' * lead}size, size) or {lead + 2 * modes} axes, output "
            f"photon numbers before input, got shape {array.shape}."
        )
    size = math.prod(rows)
    return array.reshape(*array.shape[:lead], size, size)


def on_modes(array, cutoffs: tuple[int, ...], what: str, lead: int = 0):
    """Such matrices with an axis for each mode, ``(.., *cutoffs, *cutoffs)``.

    Raises:
        ValueError: if they do not fit the cutoffs.
    """
    size = math.prod(cutoffs)
    shapes = dict.fromkeys([(*cutoffs, *cutoffs), (size, size)])  # one, for one mode
    if array.ndim < lead or array.shape[lead:] not in shapes:
        wanted = " or ".join(f"({'J, ' * lead}{', '.join(map(str, shape))})" for shape in shapes)
        raise ValueError(
            f"{what} of shape {array.shape} cannot act on modes with cutoffs {cutoffs}: the shape "
            f"must be {wanted}."
        )
    return array.reshape(*array.shape[:lead], *cutoffs, *cutoffs)
