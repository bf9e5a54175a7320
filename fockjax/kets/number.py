"""States of a certain photon number."""

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._numerics import canonical_complex
from fockjax._spec import KetSpec


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
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise ValueError(f"Argument `n` must be an integer >= 0, got {n!r}.")
    if n >= cutoff:
        raise ValueError(
            f"A Fock state of {n} photons needs a cutoff of at least {n + 1}, got {cutoff}."
        )
    return jnp.zeros(cutoff, dtype).at[n].set(1)


def _build(*, n, cutoff, dtype):
    return fock(n, cutoff=cutoff, dtype=dtype)


SPECS = (KetSpec("fock", (), 1, _build, options={"n": 0}, truncates=False),)
