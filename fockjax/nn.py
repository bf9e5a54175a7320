"""Flax NNX: circuits as layers of a model."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike

from fockjax._given import checked_integer
from fockjax._limits import MEMORY_LIMIT
from fockjax.arguments import Cutoff
from fockjax.circuit import Circuit
from fockjax.grouped import Grouped
from fockjax.leakage import Checked, checked
from fockjax.snapshot import Snapshot
from fockjax.states import State

Readout = Callable[[State], Any]


def quadratures(state: State) -> jax.Array:
    """Readout: <x> of every mode, then <p> of every mode; shape ``(2 * modes,)``."""
    return state.quadrature_means()


def positions(state: State) -> jax.Array:
    """Readout: <x> of every mode; shape ``(modes,)``."""
    return state.quadrature_means()[: state.modes]


def photon_numbers(state: State) -> jax.Array:
    """Readout: <n> of every mode; shape ``(modes,)``."""
    return jnp.stack([state.photon_number(mode).mean for mode in range(state.modes)])


def with_leakage(readout: Readout) -> Readout:
    """A readout that returns a pair: what ``readout`` returns, and what the state has lost, as
    `fockjax.runtime.lost` does. A loss may penalise the latter, since otherwise a circuit may learn
    to rely on its cutoff.

    Args:
        readout: from the `State` of one sample to an array or a pytree of arrays.

    Returns:
        The readout of pairs. Those of equal readouts are equal.

    Example:
        >>> import jax.numpy as jnp, fockjax as fj
        >>> from flax import nnx
        >>> circuit = fj.Circuit(1).displace(fj.Input(0), mode=0)
        >>> readout = fj.nn.with_leakage(fj.nn.photon_numbers)
        >>> layer = fj.nn.QuantumLayer(circuit, cutoff=6, readout=readout, rngs=nnx.Rngs(0))
        >>> read, leakage = layer(jnp.array([[0.5], [1.5]]))
        >>> print(read.shape, leakage.round(4))
        (2, 1) [0.     0.0274]
    """
    return _WithLeakage(readout)


@dataclass(frozen=True)
class _WithLeakage:
    """Unlike a `functools.partial`, equal to another one of the same readout, and so are layers."""

    readout: Readout

    def __call__(self, state: State) -> Checked:
        return checked(state, self.readout)


class QuantumLayer(nnx.Module):
    """A circuit as a Flax NNX layer.

    The weights of the circuit are `nnx.Param`; inputs keep their leading axes as in any Flax layer.
    Train it with optax, alone or between classical layers. The layer keeps the circuit as it is now
    (``layer.circuit``, which cannot be changed; ``copy.copy`` of it can). Layers that do the same
    have equal graphs, so that models made from other seeds are not compiled anew.

    Args:
        circuit: a `fockjax.Circuit`, or what `fockjax.grouped` returns.
        cutoff: photon numbers below it are kept; one for all modes or one for each, or
            `fockjax.TotalPhotons`.
        readout: a function from the `State` of one sample to an array or pytree of arrays; by
            default `quadratures`.
        rngs: Flax random streams; "params" draws the initial weights.
        dtype: complex64 or complex128 to compute in; by default complex64, or complex128 where x64
            is on.
        param_dtype: the real dtype of the weights, float32 also where x64 is on.
        unravel: whether to draw pure branches instead of making density matrices, as in calling a
            circuit. Calls then take a key.
        memory_limit: bytes that a factor of one sample's state may take.

    Calls take inputs of shape ``(..., num_inputs)``, and for a circuit that draws at random a key,
    which is split over the samples. The readout is returned with the same leading axes.

    Example:
        >>> import jax.numpy as jnp, fockjax as fj
        >>> from flax import nnx
        >>> circuit = fj.Circuit(2).displace(fj.Input(0), mode=0).cvqnn_layers(3)
        >>> layer = fj.nn.QuantumLayer(circuit, cutoff=6, rngs=nnx.Rngs(0))
        >>> layer(jnp.zeros((10, 1))).shape
        (10, 4)
    """

    def __init__(
        self,
        circuit: Circuit | Grouped,
        cutoff: Cutoff,
        readout: Readout = quadratures,
        *,
        rngs: nnx.Rngs,
        dtype=None,
        param_dtype=jnp.float32,
        unravel: bool = False,
        memory_limit: int = MEMORY_LIMIT,
    ):
        if not isinstance(circuit, Circuit | Grouped):
            raise TypeError(f"Argument `circuit` must be a fockjax.Circuit, got {circuit!r}.")
        if not callable(readout):
            raise TypeError(f"Argument `readout` must be a function of a State, got {readout!r}.")
        if not isinstance(rngs, nnx.Rngs):
            raise TypeError(f"Argument `rngs` must be flax.nnx.Rngs, as nnx.Rngs(0), got {rngs!r}.")
        # The caller may go on building; a `Grouped` is at rest already.
        self.circuit = Snapshot(circuit) if isinstance(circuit, Circuit) else circuit
        self.cutoff = tuple(cutoff) if isinstance(cutoff, Sequence | np.ndarray) else cutoff
        self.readout = readout
        self.dtype = dtype
        self.unravel = bool(unravel)
        self.memory_limit = checked_integer(memory_limit, "Argument `memory_limit`")
        weights = circuit.init(rngs.params(), param_dtype)
        self.weights = nnx.data(jax.tree.map(nnx.Param, weights))

    def state(self, x: ArrayLike | None = None, key: jax.Array | None = None) -> State:
        """The `State` of one sample; ``x`` has shape ``(num_inputs,)``, ``key`` is for a circuit
        that draws at random.
        """
        return _state(self, x, key)

    def values(self) -> Any:
        """The weights as the circuit takes them."""
        return jax.tree.map(
            lambda weight: weight[...],
            self.weights,
            is_leaf=lambda leaf: isinstance(leaf, nnx.Param),
        )

    def __call__(self, x: ArrayLike, key: jax.Array | None = None) -> Any:
        """The readout of every sample; see the class."""
        x = jnp.asarray(x)
        wanted = self.circuit.num_inputs
        if not x.ndim or x.shape[-1] != wanted:
            raise ValueError(f"Argument `x` must have shape (..., {wanted}), got {x.shape}.")

        def one(x, key):
            return self.readout(_state(self, x, key))

        if x.ndim == 1:
            return one(x, key)
        count = math.prod(x.shape[:-1])
        keys = None if key is None else jax.random.split(key, count)
        batch = jax.vmap(one)(x.reshape(count, wanted), keys)
        return jax.tree.map(lambda leaf: leaf.reshape(*x.shape[:-1], *leaf.shape[1:]), batch)


def _state(layer: QuantumLayer, x: Any, key: jax.Array | None) -> State:
    # No method: `nnx.tabulate` shows what methods return, and cannot show a State.
    return layer.circuit(
        layer.values(),
        x,
        cutoff=layer.cutoff,
        dtype=layer.dtype,
        key=key,
        unravel=layer.unravel,
        memory_limit=layer.memory_limit,
    )
