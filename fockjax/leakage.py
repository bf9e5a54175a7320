"""What a state has lost at its cutoffs, and readouts that tell it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fockjax.states import State


class Checked(NamedTuple):
    """Values together with what the state that they were read from has lost."""

    values: Any
    leakage: Any


def lost(state: State) -> jax.Array:
    """The probability that a state has lost at its cutoffs.

    This is its leakage. Where what crosses the cutoff comes back, leakage does not tell all
    (`State.reflects`): then the probability of the two top levels of each mode is added, or that of
    the two top totals of each group; at most 1 in all.

    Args:
        state: a state of one sample.

    Returns:
        A real scalar.

    Example:
        >>> import fockjax as fj
        >>> state = fj.Circuit(1).displace(1.0, mode=0)({}, cutoff=4)
        >>> print(fj.runtime.lost(state).round(3))
        0.019
    """
    lost = state.leakage
    if not state.reflects:
        return lost
    return jnp.minimum(lost + sum(factor.edge() for factor in state.factors), 1)


def checked(state: State, readout: Callable[[State], Any]) -> Checked:
    """The readout of a state together with what the state has `lost`.

    Args:
        state: a state of one sample.
        readout: from a `State` to an array or a pytree of arrays.

    Returns:
        A pair, `Checked`.

    Example:
        >>> import fockjax as fj
        >>> state = fj.Circuit(1).displace(1.0, mode=0)({}, cutoff=4)
        >>> print(fj.runtime.checked(state, fj.nn.photon_numbers).leakage.round(3))
        0.019
    """
    return Checked(readout(state), lost(state))
