"""How the benchmarks here time: in turns, compilation apart, wall and CPU time side by side."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax

LEAST = 0.05  # seconds that a run lasts, at the least


@dataclass(frozen=True)
class Compiled:
    """An executable, and what compiling it took."""

    run: Callable
    seconds: float
    temp_bytes: int


def compile_fresh(function: Callable, *args) -> Compiled:
    """Trace, lower and compile with nothing left over from what was compiled before."""
    jax.clear_caches()
    start = time.perf_counter()
    run = jax.jit(function).lower(*args).compile()
    seconds = time.perf_counter() - start
    return Compiled(run, seconds, run.memory_analysis().temp_size_in_bytes)


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

    def __str__(self):
        return f"{self.median:.2f} ({min(self.wall):.2f} to {max(self.wall):.2f})"


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


def ratio(slow: Times, fast: Times) -> float:
    """The median over the rounds, each a pair measured together."""
    return statistics.median(a / b for a, b in zip(slow.wall, fast.wall, strict=True))
