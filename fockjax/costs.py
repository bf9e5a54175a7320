"""What a program costs, found before anything is compiled or allocated."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import jax
from jax.extend.core import Jaxpr

from fockjax._passes import KINDS, Pass, foresee, nbytes
from fockjax.machine import Machine


class Share(NamedTuple):
    """The sums over all passes of a kind."""

    passes: int
    flops: int
    bytes: int


@dataclass(frozen=True)
class Cost:
    """What one run of a program costs.

    Attributes:
        passes: the passes over memory that the compiler is expected to make of it.
        parameters: bytes of its first argument, the weights of a circuit.
        arguments: bytes of all its arguments.
        outputs: bytes of its results.
        temporaries: the most bytes that intermediate results take at any time.
    """

    passes: tuple[Pass, ...] = field(repr=False)
    parameters: int
    arguments: int
    outputs: int
    temporaries: int

    @property
    def flops(self) -> int:
        """Floating-point operations as XLA counts them: one for each element of an elementwise
        operation, two for each term of a matrix product, complex or real, and none for a
        transcendental function.
        """
        return sum(one.times * one.flops for one in self.passes)

    @property
    def bytes(self) -> int:
        """Bytes that the passes read and write."""
        return sum(one.times * one.bytes for one in self.passes)

    @property
    def memory(self) -> int:
        """Peak memory in bytes: arguments, results and temporaries."""
        return self.arguments + self.outputs + self.temporaries

    @property
    def shares(self) -> dict[str, Share]:
        """What the passes of each kind cost.

        The kinds are contractions (operators applied as sums of products), matrix products of real
        and of complex numbers, skews (photon-number sectors turned into blocks and back),
        elementwise operations, and others (sorting, eigenvectors, random numbers).
        """
        shares = {}
        for kind in KINDS:
            own = [one for one in self.passes if one.kind == kind]
            if own:
                columns = ((one.times, one.times * one.flops, one.times * one.bytes) for one in own)
                shares[kind] = Share(*map(sum, zip(*columns, strict=True)))
        return shares

    def seconds(self, machine: Machine) -> float:
        """How long a run takes on a machine measured by `fockjax.calibrate`."""
        return machine.call + sum(machine.seconds(one) for one in self.passes)

    def __str__(self) -> str:
        rows = [("", "passes", "FLOPs", "bytes")]
        shares = {
            **self.shares,
            "in all": Share(sum(p.times for p in self.passes), self.flops, self.bytes),
        }
        for kind, share in shares.items():
            rows.append((kind, f"{share.passes:,}", _short(share.flops), _short(share.bytes) + "B"))
        lines = [f"{a:16}{b:>8}{c:>10}{d:>11}" for a, b, c, d in rows]
        parts = (self.memory, self.arguments, self.parameters, self.outputs, self.temporaries)
        memory = "peak memory {}B: arguments {}B (parameters {}B), outputs {}B, temporaries {}B"
        return "\n".join([*lines, memory.format(*map(_short, parts))])


def _short(number: int) -> str:
    """Three digits and a prefix: 1234567 is '1.23 M'."""
    scale = min(max(len(str(number)) - 1, 0) // 3, 6)
    return f"{number / 1000**scale:.3g} {' kMGTPE'[scale].strip()}"


def cost(function: Callable, *args) -> Cost:
    """What a call of a JAX function would cost, compiled by `jax.jit`.

    The function is traced with the shapes of its arguments. Nothing is compiled or computed, so
    this works for calls that would not fit into memory, too. A loop whose length is known only when
    it runs counts as one iteration, and a `jax.lax.cond` as the branch that moves most bytes.

    Args:
        function: any function that JAX can trace, also one that is batched or differentiated.
        args: its arguments, arrays or `jax.ShapeDtypeStruct`; the first should be the parameters.

    Returns:
        The `Cost` of one call.

    Example:
        >>> import jax, fockjax as fj
        >>> circuit = fj.Circuit(2).squeeze(fj.Weight("r"), mode=0).beamsplitter()
        >>> def photons(weights):
        ...     return circuit(weights, cutoff=8).photon_number(1).mean
        >>> weights = jax.eval_shape(circuit.init, jax.random.key(0))
        >>> forward, both = fj.cost(photons, weights), fj.cost(jax.value_and_grad(photons), weights)
        >>> forward.flops < both.flops < 5 * forward.flops
        True
    """
    parameters = jax.tree.leaves(jax.eval_shape(lambda *given: given[:1], *args))
    return cost_of(jax.make_jaxpr(function)(*args).jaxpr, nbytes(parameters))


def cost_of(traced: Jaxpr, parameters: int) -> Cost:
    """The `cost` of a trace; ``parameters`` is how many bytes of its arguments are parameters."""
    passes, temporaries = foresee(traced)
    inputs = nbytes([each.aval for each in traced.invars])
    outputs = nbytes([each.aval for each in traced.outvars])
    return Cost(passes, parameters, inputs, outputs, temporaries)
