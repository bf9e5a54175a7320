"""Rotations of amplitudes in phase space."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._linear import contract
from fockjax._numerics import is_number
from fockjax._phases import phase_factor


def turned(amplitudes: jax.Array, phi) -> jax.Array:
    """``e^{i phi k}`` times the amplitude at position k, complex."""
    if is_number(phi, 0):
        zero = lax.full_like(amplitudes, 0)
        return amplitudes if np.iscomplexobj(amplitudes) else lax.complex(amplitudes, zero)
    phi = jnp.asarray(phi, amplitudes.real.dtype)
    turns = phase_factor(phi, np.arange(len(amplitudes)))
    return contract(turns, amplitudes, "k,k->k")
