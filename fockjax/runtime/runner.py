"""Runs a function of one sample over many rows: in batches that fit, in order, past failures."""

import contextlib
import copy
import math
import warnings
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from fockjax._given import checked_integer
from fockjax._limits import OverLimit
from fockjax.runtime import guard, memory
from fockjax.runtime.ahead import ahead
from fockjax.runtime.batches import BatchPlan, TooLarge, compiled_bytes, make_plan
from fockjax.runtime.executables import Executables
from fockjax.runtime.gateway import Device, Gateway
from fockjax.runtime.memory import parse_size
from fockjax.runtime.programs import Function, Programs
from fockjax.runtime.recovery import Patience, Remedy, RunError, remedy
from fockjax.runtime.rows import Results, Rows, Signature
from fockjax.runtime.run_record import RunRecord, Watch, check_log, check_trace

FAR = 2  # a program whose trace needs this many times the room is not even compiled
LARGEST = 1024  # rows; larger batches take memory and save no time
FEW = 16  # rows; smaller batches leave the vector units of a CPU idle
CACHE = 4e6  # bytes, from the trace; larger batches run slower on a CPU
CHEAP = 64e6  # bytes; running a batch up to this size is faster than compiling a smaller one


class Runner:
    """Runs a pure function of one sample over many rows, within a limit of memory.

    See docs/runner.md. Only one thread at a time may use a runner; see `twin`. Several runners may
    share their `Executables`.

    Args:
        function: maps the parameters and one sample to a pytree of arrays. If it returns `checked`,
            the results have the leakage, too.
        params: a pytree of arrays.
        memory: bytes, or a text such as "8GB"; see `fockjax.runtime.memory.room`.
        largest_batch: the most rows on each device at a time. By default 1024, or on a CPU as many
            of these as its cache holds.
        devices: the JAX devices to run on; by default all local ones.
        tolerance: leakage above which a row runs again, by the functions of ``larger``.
        larger: the same function at larger and larger cutoffs.
        patience: how often to try again after a fault that may pass.
        executables: the cache of compiled programs; by default one of its own.
        about: a description of what runs, for the record; for example a circuit.
        labels: what the record calls ``function`` and each of ``larger``; by default "0", "1", ...
        log: a file to which the record of each call or stream is appended.
        trace: a folder for the traces of JAX's profiler, one for each call or stream.
        watch_memory: whether to record the memory in use, which takes up to a millisecond a call.
        gateway: makes the calls to the devices; tests give one that fails.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> from fockjax.runtime import Runner, checked
        >>> circuit = fj.Circuit(1).displace(fj.Input(0), mode=0).squeeze(fj.Weight("r"), mode=0)
        >>> def function(weights, x):
        ...     return checked(circuit(weights, x, cutoff=8), fj.nn.positions)
        >>> results = Runner(function, {"r": 0.1})(np.linspace(-0.3, 0.3, 5)[:, None])
        >>> results.values.shape, results.ok.all()
        ((5, 1), np.True_)
    """

    def __init__(
        self,
        function: Function,
        params: Any,
        *,
        memory: int | str | None = None,
        largest_batch: int | None = None,
        devices: Sequence[Device] | None = None,
        tolerance: float | None = None,
        larger: Sequence[Function] = (),
        patience: Patience | None = None,
        executables: Executables | None = None,
        about: object = "",
        labels: Sequence[str] = (),
        log: Path | str | None = None,
        trace: Path | str | None = None,
        watch_memory: bool = True,
        gateway: Gateway | None = None,
    ):
        self.functions = (function, *larger)
        _check_functions(self.functions, tolerance, labels)
        _check_options(memory, largest_batch, devices, log, trace)
        self.devices = tuple(devices or jax.local_devices())
        self.memory, self.tolerance = memory, tolerance
        self.patience = patience or Patience()
        self._shares = executables is not None
        self.executables = Executables() if executables is None else executables
        self.gateway = gateway or Gateway()
        self.about, self.log, self.trace = str(about), log, trace
        self.labels = labels or [str(level) for level in range(len(self.functions))]
        self.watch_memory = watch_memory
        self.record: RunRecord | None = None
        self._params, self._placed = _on_host(params), None
        self._given = self._largest = largest_batch
        self._tried: int | None = None  # rows of the largest batch under way
        self._too_large = len(self.functions)  # from this one on none fits, as the run has seen
        self._plans: dict[Any, BatchPlan] = {}
        self.programs = Programs(
            self.functions, self._params, self.devices, self.executables, self.gateway
        )

    # For users

    def __call__(self, x: Any) -> Results:
        """Run all rows.

        Args:
            x: samples; a pytree of real arrays with the rows as their first axis.

        Raises:
            ValueError: for rows that are not finite, or arrays with different numbers of rows.
            TooLarge: a MemoryError, if not even one row fits.
            RunError: if not all rows could be finished; it has the results of the others.
        """
        (results,) = self._run([x])
        over = np.flatnonzero(results.finite & ~results.ok)
        if over.size:
            warnings.warn(
                f"{guard.listed(over)} lose more than the tolerance {self.tolerance:g} even at the "
                "largest cutoff; their results are not ok",
                RuntimeWarning,
                stacklevel=2,
            )
        return results

    def stream(self, chunks: Iterable[Any]) -> Generator[Results, None, None]:
        """Run one chunk of rows after another, as one run.

        Two chunks are in memory at a time: while one runs, a thread takes the next from ``chunks``
        (see `ahead`). Unlike a call, this does not warn of rows that lose more than the tolerance:
        see `Results.ok` and the record.

        Raises the same errors as a call; rows are counted from the first of the stream.
        """
        with contextlib.closing(ahead(chunks)) as coming:
            yield from self._run(coming)

    @property
    def params(self) -> Any:
        """The parameters, as NumPy arrays.

        They can be set to others of the same shapes and types, without compiling anything.
        """
        return self._params

    @params.setter
    def params(self, params: Any) -> None:
        new = _on_host(params)
        before, after = (
            [
                f"{jax.tree_util.keystr(path)} {leaf.dtype}{list(leaf.shape)}"
                for path, leaf in leaves
            ]
            for leaves in map(jax.tree.leaves_with_path, (self._params, new))
        )
        if before != after:
            raise ValueError(
                f"New parameters must have the shapes and types of the old ones, {before}, got "
                f"{after}. For others make another runner."
            )
        self._params, self._placed = new, None

    def plan(self, x: Any) -> BatchPlan:
        """How many rows like those of ``x`` run at a time, and how much memory that takes."""
        return self._plan(0, Rows(x).signature)

    def warm_up(self, x: Any) -> None:
        """Compile all that calls with rows like those of ``x`` may need."""
        signature = Rows(x).signature
        for level in range(len(self.functions)):
            for size in self._batch_sizes(self._plan(level, signature)):
                self.programs.get(level, signature, size)

    def twin(self) -> "Runner":
        """Another runner of the same, for another thread, which shares the compiled programs.

        Each plans its batches as if it were alone: together they may take twice the memory.
        """
        twin = copy.copy(self)
        twin.gateway = copy.copy(self.gateway)
        twin.gateway.seconds = defaultdict(float)
        twin.programs = self.programs.through(twin.gateway)
        twin.record, twin._plans = None, dict(self._plans)
        self._shares = twin._shares = True
        return twin

    def close(self) -> None:
        """Release the parameters on the device, and the programs unless they are shared."""
        self._placed = None
        if not self._shares:
            self.executables.clear()

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    # Batches

    def _run(self, chunks: Iterable[Any]) -> Generator[Results, None, None]:
        """Run chunks one after another, and keep a record of them all."""
        record = self.record = RunRecord.begin(self.about, self.devices, self.labels)
        watch = Watch(self.devices[0] if self.watch_memory else None)
        rows: Rows | None = None
        self._too_large = len(self.functions)  # what did not fit in the run before may fit now
        if self._largest != self._given:
            self._largest = self._given
            self._plans.clear()
        try:
            with contextlib.nullcontext() if self.trace is None else jax.profiler.trace(self.trace):
                for x in chunks:
                    rows = Rows(x, first=record.rows)
                    record.rows += len(rows)
                    guard.refuse_rows(rows.leaves, rows.first)
                    self._run_rows(rows, record)
                    results = rows.results(self.tolerance)
                    assert results is not None
                    record.add(results)
                    rows = None
                    yield results
        except BaseException as error:  # also if it is interrupted, or the stream closed
            if rows and (finished := rows.results(self.tolerance)):
                record.add(finished)
            record.failed(error, rows.digest() if rows else "", rows.missing() if rows else [])
            raise
        finally:
            record.end(watch, self.gateway.seconds)
            self.gateway.seconds.clear()
            self._append_to_log(record)

    def _append_to_log(self, record: RunRecord) -> None:
        """Append a record to the log, if there is one. The run goes on if that fails."""
        if self.log is None:
            return
        try:
            record.append_to(self.log)
        except (OSError, ValueError) as error:
            warnings.warn(
                f"the record of this run could not be appended to {self.log}: {error}",
                RuntimeWarning,
                stacklevel=4,
            )

    def _run_rows(self, rows: Rows, record: RunRecord) -> None:
        """Run rows by the first function, then those over the tolerance by each larger one."""
        if not len(rows):
            rows.allocate(self.programs.results(0, rows.signature, 0))
        for level in range(len(self.functions)):
            todo = np.flatnonzero(~rows.done)
            if level and level >= self._too_large:
                rows.done[todo] = True  # they keep what they have
            elif todo.size:
                self._finish(level, rows, todo, record)
            if self.tolerance is not None:
                over = rows.over(self.tolerance)  # raises if the leakage is not known
                if level + 1 < len(self.functions):
                    rows.done &= ~over

    def _finish(self, level: int, rows: Rows, todo: np.ndarray, record: RunRecord) -> None:
        """Run the rows ``todo``; after a failure go on from the first row that is not done."""
        attempt = position = 0
        while position < len(todo):
            self._tried = None
            try:
                for numbers, arrays in self._batches(
                    level, rows, todo[position:], len(todo), record
                ):
                    rows.store(numbers, arrays, level)
                    position, attempt = position + len(numbers), 0
            except Exception as error:
                if level and isinstance(error, TooLarge | OverLimit):  # they keep what they have
                    rows.done[todo] = True
                    record.recoveries.append(f"not run at {self.labels[level]}: {error.fact}")
                    self._too_large = level
                    return
                way = remedy(error)
                if way is Remedy.SMALLER_BATCH and not self._halve(level, rows.signature):
                    way = Remedy.RETRY  # there is no smaller one, but memory may become free
                attempt += way is Remedy.RETRY
                if way is Remedy.NONE or (way is Remedy.RETRY and not self.patience.wait(attempt)):
                    if way is Remedy.NONE and not rows.done.any():
                        raise
                    missing = rows.missing()
                    raise RunError(
                        f"{guard.listed(missing)} of {len(rows)} could not be finished: {error}",
                        rows.results(self.tolerance),
                        missing,
                    ) from error
                row = rows.first + todo[position]
                record.recoveries.append(f"{way.value} from row {row}: {error}")

    def _batches(
        self, level: int, rows: Rows, todo: np.ndarray, total: int, record: RunRecord
    ) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
        """Yield row numbers and results of each batch, having launched the next one before."""
        plan = self._plan(level, rows.signature)
        launched = None
        for start in range(0, len(todo), plan.batch):
            numbers = todo[start : start + plan.batch]
            size = self._padded_size(
                level, rows.signature, plan, len(numbers), few=total < plan.batch
            )
            if launched is None:
                self._tried = size
            program = self.programs.get(level, rows.signature, size)
            before, launched = launched, (numbers, self._launch(program, rows, numbers, size))
            record.batches[str(size)] = record.batches.get(str(size), 0) + 1
            if before is not None:
                yield before[0], self.gateway.fetch(before[1])
        if launched is not None:
            yield launched[0], self.gateway.fetch(launched[1])

    def _launch(self, program, rows: Rows, numbers: np.ndarray, size: int):
        """Start a program on some rows, padded to its size; returns results yet to be fetched."""
        if self._placed is None:
            # As a list: flattening a Flax state for each batch takes longer than sending its rows.
            self._placed = self.gateway.put(jax.tree.leaves(self._params), self.programs.whole)
        # A batch is padded by repeating its last row, which is known to be a valid sample.
        padded = numbers[np.minimum(np.arange(size), len(numbers) - 1)]
        return self.gateway.execute(program, self._placed, *(leaf[padded] for leaf in rows.leaves))

    # Sizes of batches

    def _plan(self, level: int, signature: Signature) -> BatchPlan:
        key = level, signature
        if key not in self._plans:
            self._plans[key] = make_plan(
                partial(self._bytes_needed, level, signature),
                partial(memory.room, self.memory, self.devices),
                self._most_rows(level, signature),
                len(self.devices),
                partial(memory.shortfall, memory=self.memory, devices=self.devices),
            )
        return self._plans[key]

    def _most_rows(self, level: int, signature: Signature) -> int:
        """The most rows to put on each device: as told, or as many as run fast."""
        if self._largest is not None or self.devices[0].platform != "cpu":
            return self._largest or LARGEST
        few = self.programs.trace(level, signature, FEW).cost
        rows = FEW * CACHE / max(few.memory - few.parameters, 1)
        return 2 ** int(math.log2(min(max(rows, FEW), LARGEST)))

    def _bytes_needed(self, level: int, signature: Signature, rows: int) -> tuple[float, str]:
        """Bytes that each device needs for this many rows, and the source of the number.

        Compiling takes memory as well, so a program that is far from fitting is not compiled.
        """
        size, traced = rows * len(self.devices), None
        if not self.programs.has(level, signature, size):
            traced = self.programs.trace(level, signature, rows)
            if traced.cost.memory > FAR * memory.room(self.memory, self.devices):
                return traced.cost.memory, "its trace"
        need = compiled_bytes(self.programs.get(level, signature, size, traced))
        if need is not None:
            return need, "the compiler"
        traced = traced or self.programs.trace(level, signature, rows)
        return traced.cost.memory, "its trace"

    def _halve(self, level: int, signature: Signature) -> bool:
        """Make batches half as large as the one that failed from now on, or as the largest if none
        was launched; False if it had one row on each device.
        """
        plan = self._plans.get((level, signature))
        if self._tried is not None:
            batch = self._tried // len(self.devices)
        elif plan is not None:
            batch = plan.batch // plan.devices
        else:
            batch = self._most_rows(level, signature)
        if batch > 1:
            self._largest = batch // 2
            self._plans.clear()
        return batch > 1

    def _batch_sizes(self, plan: BatchPlan) -> list[int]:
        """The sizes a batch may have: powers of four, and the largest that fits."""
        largest = plan.batch // plan.devices
        powers = (4**k for k in range(largest.bit_length()))
        return [plan.devices * size for size in sorted({*filter(largest.__gt__, powers), largest})]

    def _padded_size(
        self, level: int, signature: Signature, plan: BatchPlan, rows: int, few: bool
    ) -> int:
        """The size of the batch for this many rows: the smallest that is compiled already.

        If none is, the largest. But where all rows of a call are ``few`` and running a padded batch
        would cost more than compiling, the smallest size that holds them.
        """
        sizes = [size for size in self._batch_sizes(plan) if size >= rows]
        if few and plan.bytes > CHEAP:
            return sizes[0]
        compiled = (size for size in sizes if self.programs.has(level, signature, size))
        return next(compiled, sizes[-1])


def _check_functions(
    functions: Sequence[Function], tolerance: float | None, labels: Sequence[str]
) -> None:
    for level, function in enumerate(functions):
        if not callable(function):
            raise TypeError(
                f"Argument `{'larger' if level else 'function'}` must be a function of the "
                f"parameters and one sample, got {type(function).__name__}."
            )
    if tolerance is not None and not tolerance >= 0:
        raise ValueError(f"Argument `tolerance` must be at least 0, got {tolerance!r}.")
    if len(functions) > 1 and tolerance is None:
        raise ValueError("Argument `larger` needs a `tolerance`, above which a row is run again.")
    if labels and len(labels) != len(functions):
        raise ValueError(
            f"Argument `labels` must be one for each of {len(functions)} functions, got {labels!r}."
        )
    if len(set(labels)) < len(labels):
        raise ValueError(f"Argument `labels` must differ, as rows are counted by them: {labels!r}.")


def _check_options(
    memory: int | str | None,
    largest_batch: int | None,
    devices: Sequence[Device] | None,
    log: Path | str | None,
    trace: Path | str | None,
) -> None:
    if memory is not None:
        parse_size(memory)
    if largest_batch is not None:
        checked_integer(largest_batch, "Argument `largest_batch`")
    if devices is not None and not (
        isinstance(devices, Sequence)
        and devices
        and all(isinstance(device, jax.Device) for device in devices)
    ):
        raise ValueError(
            "Argument `devices` must be JAX devices, at least one, such as jax.devices('gpu'), "
            f"got {devices!r}."
        )
    if log is not None:
        check_log(log, "Argument `log`")
    if trace is not None:
        check_trace(trace, "Argument `trace`")


def functional(module: nnx.Module) -> tuple[Function, Any]:
    """Split a Flax module into a pure function of parameters and a sample, and its parameters.

    >>> from flax import nnx
    >>> import numpy as np
    >>> runner = Runner(*functional(nnx.Linear(3, 2, rngs=nnx.Rngs(0))))
    >>> runner(np.ones((5, 3), np.float32)).values.shape
    (5, 2)
    """
    graph, params, rest = nnx.split(module, nnx.Param, ...)
    return lambda params, x: nnx.merge(graph, params, rest)(x), params


def _on_host(params: Any) -> Any:
    """Copies as NumPy arrays, so that a closed runner holds nothing on the device."""
    return jax.device_get(jax.tree.map(jnp.asarray, params))
