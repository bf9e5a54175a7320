"""States of a definite photon number, including the vacuum."""

import jax
import jax.numpy as jnp

from fockjax._given import checked_integer
from fockjax._numerics import canonical_complex
from fockjax._spec import Spec


def vacuum(*, cutoff: int, dtype=None) -> jax.Array:
    """The vacuum, shape ``(cutoff,)``.

    Args:
        cutoff: photon numbers below it are kept.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Example:
        >>> import fockjax as fj
        >>> fj.kets.vacuum(cutoff=2)
        Array([1.+0.j, 0.+0.j], dtype=complex64)
    """
    return fock(0, cutoff=cutoff, dtype=dtype)


def fock(n: int, *, cutoff: int, dtype=None) -> jax.Array:
    """The Fock state of ``n`` photons, shape ``(cutoff,)``.

    Args:
        n: the photon number, known before tracing.
        cutoff: photon numbers below it are kept.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Raises:
        ValueError: if ``n`` is not an integer from 0 to ``cutoff - 1``.

    Example:
        >>> import fockjax as fj
        >>> fj.kets.fock(1, cutoff=3)
        Array([0.+0.j, 1.+0.j, 0.+0.j], dtype=complex64)
    """
    dtype = canonical_complex(dtype)
    checked_integer(n, "Argument `n`", 0)
    if n >= cutoff:
        raise ValueError(
            f"A Fock state of {n} photons needs a cutoff of at least {n + 1}, got {cutoff}."
        )
    return jnp.zeros(cutoff, dtype).at[n].set(1)


def _check(parameters, modes, options):
    checked_integer(options["n"], "Argument `n`", 0)


SPECS = (
    Spec("vacuum", (), 1, vacuum, truncates=False),
    Spec(
        "fock",
        (),
        1,
        fock,
        options={"n": 0},
        check=_check,
        truncates=False,
        needs=lambda parameters, options: options["n"],
    ),
)
