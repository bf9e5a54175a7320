"""The compiled programs of a runner: one for each function, kind of rows and size of batch."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend.core import jaxpr_as_fun
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from fockjax.costs import Cost, cost_of
from fockjax.runtime import guard
from fockjax.runtime.executables import Executables
from fockjax.runtime.gateway import Device, Gateway
from fockjax.runtime.rows import Signature

Function = Callable[[Any, Any], Any]


class Trace(NamedTuple):
    """A traced function of a batch, the shapes of its results and the bytes of its parameters."""

    jaxpr: Any
    result: Any
    weights: int

    @property
    def cost(self) -> Cost:
        """Its predicted cost; docs/cost.md tells how accurate that is."""
        return cost_of(self.jaxpr.jaxpr, self.weights)


class Programs:
    """Makes programs that run a function of one sample on a batch, split over devices.

    A program takes the leaves of the parameters, and the leaves of the batch. It returns what
    `guard.with_status` does of each row.

    Args:
        functions: of the parameters and one sample; the methods take the number of one, its
            ``level``.
        params: the parameters, of which only shapes and types count.
        devices: what the batches are split over.
        executables: where compiled programs are kept.
        gateway: compiles them.

    Attributes:
        whole, split: how the parameters, and the rows of a batch, are laid out over the devices.
    """

    def __init__(
        self,
        functions: Sequence[Function],
        params: Any,
        devices: Sequence[Device],
        executables: Executables,
        gateway: Gateway,
    ):
        self.functions, self.devices = functions, devices
        self.executables, self.gateway = executables, gateway
        self._params = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), params)
        self._names: dict[Any, str] = {}  # of what is compiled, in `executables`
        mesh = jax.make_mesh((len(devices),), ("rows",), (AxisType.Auto,), devices=devices)
        self.whole = NamedSharding(mesh, PartitionSpec())
        self.split = NamedSharding(mesh, PartitionSpec("rows"))

    def through(self, gateway: Gateway) -> "Programs":
        """The same programs, compiled by another gateway."""
        other = copy.copy(self)
        other.gateway = gateway
        return other

    def has(self, level: int, signature: Signature, size: int) -> bool:
        """Whether the program for batches of this size is compiled."""
        return self._names.get((level, signature, size)) in self.executables

    def get(
        self, level: int, signature: Signature, size: int, traced: Trace | None = None
    ) -> jax.stages.Compiled:
        """The compiled program for batches of this size, on all devices together."""
        key = level, signature, size
        program = self.executables.find(self._names.get(key))
        if program is None:
            traced = traced or self.trace(level, signature, size // len(self.devices))
            with self.gateway.clock("trace"):
                lowered = self.lower(traced, signature, size)
            name, program = self.executables.compile(lowered, self.devices, self.gateway)
            self._names[key] = name
        return program

    def trace(self, level: int, signature: Signature, rows: int) -> Trace:
        """Trace what one device runs for this many rows."""
        with self.gateway.clock("trace"):
            jaxpr, result = jax.make_jaxpr(self._batched(level, signature), return_shape=True)(
                self._params, *signature.structs(rows)
            )
        leaves = jax.tree.leaves(self._params)
        return Trace(jaxpr, result, sum(leaf.size * leaf.dtype.itemsize for leaf in leaves))

    def results(self, level: int, signature: Signature, rows: int) -> Any:
        """The shapes and types of the results of this many rows."""
        return jax.eval_shape(
            self._batched(level, signature), self._params, *signature.structs(rows)
        )

    def lower(self, traced: Trace, signature: Signature, size: int) -> jax.stages.Lowered:
        """Lower the trace for one device to a program that splits a batch over all of them."""
        samples = signature.structs(size // len(self.devices))
        jaxpr, result, _ = traced

        def run(params, *leaves):
            return jax.tree.unflatten(
                jax.tree.structure(result), jaxpr_as_fun(jaxpr)(*params, *leaves)
            )

        # Each device runs the program of one device, so the compiler need not partition anything.
        parallel = jax.shard_map(
            run,
            mesh=self.split.mesh,
            in_specs=(self.whole.spec, *[self.split.spec] * len(samples)),
            out_specs=self.split.spec,
            check_vma=False,
        )
        # Donate an input if a result of the same shape and type can take its place.
        free = [(out.shape, out.dtype) for out in jax.tree.leaves(result)]
        donated = []
        for index, sample in enumerate(samples):
            if (sample.shape, sample.dtype) in free:
                free.remove((sample.shape, sample.dtype))
                donated.append(1 + index)
        program = jax.jit(
            parallel,
            donate_argnums=tuple(donated),
            in_shardings=(self.whole, *[self.split] * len(samples)),
            out_shardings=self.split,
        )
        return program.lower(jax.tree.leaves(self._params), *signature.structs(size))

    def _batched(self, level: int, signature: Signature) -> Callable:
        """The function of the parameters and the leaves of a batch; adds the status of each row."""
        function = self.functions[level]

        def one(params, *leaves):
            return guard.with_status(function(params, signature.tree.unflatten(leaves)))

        return jax.vmap(one, in_axes=(None, *[0] * len(signature.shapes)))
