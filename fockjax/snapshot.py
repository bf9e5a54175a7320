"""A circuit at rest: what layers and groups hold of the circuit they are made of."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from fockjax.circuit import Circuit
from fockjax.operations import Repeat, Step
from fockjax.parameters import Weight


class Snapshot(Circuit):
    """A circuit as it was, which no longer changes. Snapshots that do the same are equal, so that
    what is compiled for one model serves all models that are built as it is.

    ``copy.copy(snapshot)`` is a `Circuit` to build on.

    Example:
        >>> import copy, fockjax as fj
        >>> from fockjax.snapshot import Snapshot
        >>> one, two = (fj.Circuit(1).squeeze(fj.Weight("r"), mode=0) for _ in range(2))
        >>> one == two, Snapshot(one) == Snapshot(two)
        (False, True)
    """

    def __init__(self, circuit: Circuit):
        vars(self).update(vars(circuit))

    def _append(
        self, operations: Sequence[Step | Repeat], where: str, weights: Sequence[Weight] = ()
    ) -> Circuit:
        raise TypeError(
            f"{where}: this circuit is held by a layer or a group, and cannot be changed. Build on "
            "copy.copy(circuit), and make a new layer or group of that."
        )

    def __copy__(self) -> Circuit:
        circuit = Circuit(self.modes, hbar=self.hbar)
        vars(circuit).update(self.__getstate__())
        return circuit

    # The weights follow from the operations.

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Snapshot) and self._same == other._same)

    def __hash__(self) -> int:
        return self._hash

    @property
    def _same(self):
        return self.modes, self.hbar, self.operations

    @cached_property
    def _hash(self) -> int:  # `nnx.jit` asks for it at each call
        return hash(self._same)

    def __getstate__(self) -> dict[str, Any]:
        # What is built on a copy has another hash, and strings have one in another process.
        return {name: value for name, value in vars(self).items() if name != "_hash"}
