"""How the benchmarks time: in turns, compilation apart, wall and CPU time, within limits."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax

LEAST = 0.05  # seconds that a run lasts, at the least
GIB = 2**30


@dataclass(frozen=True)
class Compiled:
    """An executable, and what compiling it took."""

    run: jax.stages.Compiled
    seconds: float

    @property
    def temp_bytes(self) -> int:
        """What it needs besides arguments and results."""
        return self.run.memory_analysis().temp_size_in_bytes

    @property
    def bytes(self) -> int:
        """All it needs."""
        memory = self.run.memory_analysis()
        return sum(
            getattr(memory, f"{part}_size_in_bytes") for part in ("argument", "output", "temp")
        )


def compile_fresh(function: Callable, *args) -> Compiled:
    """Trace, lower and compile with nothing left over from what was compiled before."""
    jax.clear_caches()
    start = time.perf_counter()
    run = jax.jit(function).lower(*args).compile()
    return Compiled(run, time.perf_counter() - start)


@dataclass(frozen=True)
class Times:
    """Milliseconds of a call, one entry for each round."""

    wall: list[float]
    cpu: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.wall)

    @property
    def median_cpu(self) -> float:
        return statistics.median(self.cpu)

    def text(self, digits: int = 2) -> str:
        """The median (least to greatest)."""
        numbers = (self.median, min(self.wall), max(self.wall))
        return "{} ({} to {})".format(*(f"{ms:.{digits}f}" for ms in numbers))

    def __str__(self):
        return self.text()


def alternate(calls: Sequence[Callable], args: tuple, rounds: int) -> list[Times]:
    """Time calls in turns, so that a busy machine slows them all; a run is as many calls as take
    `LEAST` seconds.
    """
    counts = []
    for call in calls:
        jax.block_until_ready(call(*args))
        start = time.perf_counter()
        jax.block_until_ready(call(*args))
        counts.append(1 + int(LEAST / (time.perf_counter() - start)))
    times = [Times([], []) for _ in calls]
    for _ in range(rounds):
        for call, count, record in zip(calls, counts, times, strict=True):
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(count):
                jax.block_until_ready(call(*args))
            record.wall.append(1e3 * (time.perf_counter() - wall) / count)
            record.cpu.append(1e3 * (time.process_time() - cpu) / count)
    return times


class LeftOut(Exception):
    """Why a point is not measured."""


@dataclass(frozen=True)
class Limits:
    """The longest call, and the most memory of a program."""

    seconds: float
    bytes: float


def time_within(limits: Limits, compiled: Compiled, args: tuple, rounds: int) -> float:
    """Seconds a call, the median over the rounds.

    Raises:
        LeftOut: if it needs more than the limits allow, or than there is.
    """
    if compiled.bytes > limits.bytes:
        raise LeftOut(f"needs {compiled.bytes / GIB:.1f} GiB, more than {limits.bytes / GIB:.1f}")
    try:
        first = time_calls(compiled.run, args, 1)
        if first > limits.seconds:
            raise LeftOut(f"a call takes {first:.1f} s, more than {limits.seconds:g}")
        return time_calls(compiled.run, args, rounds)
    except jax.errors.JaxRuntimeError as error:
        raise LeftOut(str(error).splitlines()[0][:80]) from error


def time_calls(call: Callable, args: tuple, rounds: int) -> float:
    """Seconds a call, the median over the rounds."""
    return alternate([call], args, rounds)[0].median / 1e3


def ratio(slow: Times, fast: Times) -> float:
    """The median over the rounds, each a pair measured together."""
    return statistics.median(a / b for a, b in zip(slow.wall, fast.wall, strict=True))
