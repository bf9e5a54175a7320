"""The same block of gates on independent groups of modes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from fockjax._given import check_key, checked_integer
from fockjax._limits import MEMORY_LIMIT
from fockjax._numerics import pick
from fockjax.arguments import Cutoff
from fockjax.circuit import Circuit, Weights
from fockjax.snapshot import Snapshot
from fockjax.states import State, pasts_of


class Grouped:
    """A block of gates on groups of modes that no gate connects; made by `grouped`.

    Called like a `Circuit`. Memory grows with the size of a group, not with the number of modes.
    Equal if they do the same.
    """

    def __init__(self, build: Callable[[int], Circuit], modes: int, group_size: int):
        self.modes = checked_integer(modes, "Argument `modes`")
        group_size = checked_integer(group_size, "Argument `group_size`")
        self._count, rest = divmod(self.modes, group_size)
        self._block = self._built(build, group_size) if self._count else None
        self._last = self._built(build, rest) if rest else None
        if self._block and self._last and self._block.hbar != self._last.hbar:
            raise ValueError(
                "Argument `build` must return circuits of one hbar, got "
                f"{self._block.hbar} and {self._last.hbar}."
            )

    @staticmethod
    def _built(build, modes: int) -> Snapshot:
        block = build(modes)
        if not isinstance(block, Circuit) or block.modes != modes:
            raise ValueError(
                f"Argument `build` must return a Circuit of {modes} modes when called with {modes}."
            )
        return Snapshot(block)  # the caller may go on building

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Grouped) and self._same == other._same

    def __hash__(self) -> int:
        return hash(self._same)

    @property
    def _same(self):
        return self._count, self._block, self._last

    @property
    def num_inputs(self) -> int:
        """The inputs of all groups together."""
        block = self._block.num_inputs * self._count if self._block else 0
        return block + (self._last.num_inputs if self._last else 0)

    def init(self, key: jax.Array, dtype=None) -> dict[str, Weights]:
        """Random initial weights: those of the equal groups under "groups", with a leading axis;
        those of a smaller last group under "last".
        """
        check_key(key)
        first, last = jax.random.split(key)
        weights = {}
        if self._block:
            block = self._block
            weights["groups"] = jax.vmap(lambda k: block.init(k, dtype))(
                jax.random.split(first, self._count)
            )
        if self._last:
            weights["last"] = self._last.init(last, dtype)
        return weights

    def __call__(
        self,
        weights: Mapping[str, Mapping[str, ArrayLike]],
        x: ArrayLike | None = None,
        *,
        cutoff: Cutoff,
        dtype=None,
        key: jax.Array | None = None,
        unravel: bool = False,
        memory_limit: int = MEMORY_LIMIT,
    ) -> State:
        """Run all groups on one sample, the equal ones under one `jax.vmap`.

        Args:
            weights: as `init` returns them.
            x: the input vector, shape ``(num_inputs,)``: the inputs of the first group, then of the
                second and so on.
            cutoff: one for all modes, one for each mode of a group, or `fockjax.TotalPhotons` of
                a group.
            dtype, unravel: as in `Circuit.__call__`.
            key: a JAX random key, which is split over the groups.
            memory_limit: bytes that the state of one group may take.

        Returns:
            The `State` of all modes; readouts taken mode by mode are in mode order. The outcomes of
            group k, if it measures, have ``[k]`` behind their names.
        """
        expected = {name for name, part in (("groups", self._block), ("last", self._last)) if part}
        if set(weights) != expected:
            raise ValueError(
                f"Argument `weights` must have the keys {sorted(expected)}, got {sorted(weights)}."
            )
        inputs = jnp.zeros(0) if x is None else jnp.asarray(x)
        if inputs.shape != (self.num_inputs,):
            raise ValueError(
                f"Argument `x` must have shape {(self.num_inputs,)}, got "
                f"{None if x is None else inputs.shape}."
            )
        if key is not None:
            check_key(key)
        options = {"dtype": dtype, "unravel": unravel, "memory_limit": memory_limit}
        count = self._count + (self._last is not None)
        keys = None if key is None else jax.random.split(key, count)
        states: list[State] = []
        taken = 0
        if block := self._block:
            taken = block.num_inputs * self._count
            xs = inputs[:taken].reshape(self._count, -1) if taken else None
            batch = jax.vmap(
                lambda w, x, key: block(w, x, cutoff=cutoff, key=key, **options),
                in_axes=(0, None if xs is None else 0, None if keys is None else 0),
                axis_size=self._count,
            )(weights["groups"], xs, pick(keys, slice(self._count)))
            states += [pick(batch, k) for k in range(self._count)]
        if last := self._last:
            x_last = inputs[taken:] if last.num_inputs else None
            if isinstance(cutoff, Sequence | np.ndarray):
                cutoff = tuple(cutoff)[: last.modes]
            own = pick(keys, -1)
            states.append(last(weights["last"], x_last, cutoff=cutoff, key=own, **options))
        return side_by_side(states)


def side_by_side(states: Sequence[State]) -> State:
    """Independent states as one state, their modes numbered consecutively."""
    factors, offset = [], 0
    for state in states:
        for factor in state.factors:
            factors.append(replace(factor, modes=tuple(mode + offset for mode in factor.modes)))
        offset += state.modes
    return State(
        tuple(factors),
        {
            f"{name}[{k}]": outcome
            for k, state in enumerate(states)
            for name, outcome in state.outcomes.items()
        },
        **pasts_of(states),
        truncations=sum(state.truncations for state in states),
        reflects=any(state.reflects for state in states),
        hbar=states[0].hbar,
    )


def grouped(build: Callable[[int], Circuit], *, modes: int, group_size: int) -> Grouped:
    """A block of gates on groups of modes. Inputs are split over the groups; the last group may be
    smaller.

    Args:
        build: returns the circuit of a group when called with its number of modes.
        modes: the number of modes in all.
        group_size: modes of a group.

    Returns:
        A `Grouped`, called like a `Circuit`.

    Example:
        >>> import jax, jax.numpy as jnp, fockjax as fj
        >>> def block(modes):
        ...     circuit = fj.Circuit(modes)
        ...     for mode in range(modes):
        ...         circuit.displace(fj.Input(mode), mode=mode)
        ...     return circuit.cvqnn_layers(1)
        >>> circuit = fj.grouped(block, modes=5, group_size=2)
        >>> weights = circuit.init(jax.random.key(0))
        >>> state = circuit(weights, 0.1 * jnp.arange(5.0), cutoff=5)
        >>> state.groups
        ((0, 1), (2, 3), (4,))
        >>> fj.nn.quadratures(state).shape
        (10,)
    """
    return Grouped(build, modes, group_size)
