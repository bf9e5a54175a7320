"""What compiling costs: a kernel, the workloads, a total of more and more photons.

    python benchmarks/compiling.py [W1 c=17 ..] [--processes 2]

The first line tells what one more trivial kernel takes, from a chain of additions with barriers
between them. The table then has, for value and gradient of W1, W2, W4 and of the reference circuit
on 4 modes, batch 128, with fewer than c photons in total: the seconds, and how many different
kernels XLA compiles. Kernels are counted by the object files that XLA dumps; equal kernels are
compiled once, and a small loop is one kernel. CPU only. A figure is the least of two processes, or
of as many as are given.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

ROWS = ("W1", "W2", "W4", *(f"c={c}" for c in (6, 10, 14, 20, 30, 40)))


def program(name: str):
    """A function and its arguments."""
    import jax
    from _circuits import REFERENCE, inputs, quadratures, squared_error
    from workloads import WORKLOADS

    import fockjax as fj

    if name in WORKLOADS:
        workload = WORKLOADS[name]
        function = jax.value_and_grad(workload.loss(workload.fockjax))
        return function, (workload.weights(), workload.inputs())
    total = fj.TotalPhotons(int(name.removeprefix("c=")))
    function = jax.value_and_grad(squared_error(quadratures(REFERENCE, total)))
    return function, (REFERENCE.init(jax.random.key(0)), inputs(REFERENCE, 128))


def amplitudes(name: str) -> int:
    """How many a state of the row has."""
    from workloads import WORKLOADS

    if name in WORKLOADS:
        return math.prod(WORKLOADS[name].cutoffs)
    return math.comb(int(name.removeprefix("c=")) + 3, 4)


def compiled(function, *args) -> tuple[float, float, float]:
    """Seconds to trace and lower, to compile, and of processor time to compile."""
    import jax

    begun = time.perf_counter()
    lowered = jax.jit(function).lower(*args)
    traced, cpu = time.perf_counter(), time.process_time()
    lowered.compile()
    return traced - begun, time.perf_counter() - traced, time.process_time() - cpu


def chain(length: int):
    from jax import lax

    def function(x):
        for k in range(length):
            x = lax.optimization_barrier(x + (1.5 + k))
        return x

    return function


def row(name: str) -> tuple[float, ...]:
    """What a process measures."""
    import jax
    import jax.numpy as jnp

    if name == "chain":
        compiled(chain(3), jnp.ones(50))
        few, many = (compiled(chain(n), jnp.ones(50))[1:] for n in (5, 45))
        return tuple((b - a) / 40 for a, b in zip(few, many, strict=True))
    function, args = jax.block_until_ready(program(name))
    return compiled(function, *args)


def measured(name: str, **flags: str) -> list[float]:
    """The same in a process of its own."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", **flags}
    command = [sys.executable, __file__, "--one", name]
    return json.loads(subprocess.check_output(command, env=environment, text=True))


def kernels(name: str) -> int:
    """How many different ones XLA compiles for the largest program of a row."""
    with tempfile.TemporaryDirectory() as folder:
        measured(name, XLA_FLAGS=f"--xla_dump_to={folder}")
        programs = Counter(file.name.split(".")[0] for file in Path(folder).glob("*.o"))
    return max(programs.values(), default=0)


def least(name: str, processes: int) -> list[float]:
    """The least of each figure."""
    return list(map(min, zip(*(measured(name) for _ in range(processes)), strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="ROW", help=f"{', '.join(ROWS)}; any c")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--one", help="one row in this process, its seconds as JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(row(options.one)))
        return
    print(f"JAX {version('jax')}, Python {platform.python_version()}, {platform.machine()}")
    wall, cpu = least("chain", options.processes)
    print(f"one addition more: {1e3 * wall:.1f} ms, {1e3 * cpu:.1f} of processor time\n")
    print("| | amplitudes | trace and lower s | compile s | of processor time s | kernels |")
    print("|-|-|-|-|-|-|", flush=True)
    for name in options.names or ROWS:
        times = " | ".join(f"{seconds:.2f}" for seconds in least(name, options.processes))
        print(f"| {name} | {amplitudes(name):,} | {times} | {kernels(name)} |", flush=True)


if __name__ == "__main__":
    main()
