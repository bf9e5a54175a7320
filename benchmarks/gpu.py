"""One table of what fockjax does on this machine's accelerator, or on its CPU.

    python benchmarks/gpu.py [--quick] [--workloads W1 W2 ..] [--no-golden] [-o FILE]

It writes to benchmarks/results/<date>-<device>.md unless told otherwise, line by line as it runs:

* whether complex64 is right, against Strawberry Fields' stored answers, whatever precision of
  matrix products the user has set (a recent GPU multiplies in TF32 if it may, with 10 bits);
* W1 to W4 by batch: a forward pass and a training step (value, gradient, Adam), the kernels that
  each launches, and the share of the machine's bandwidth and arithmetic that it reaches;
* device memory against two predictions: that of `fj.cost`, before anything is compiled, and that of
  the compiler; the most that the process has used is told at each point that raises it;
* a million samples of W1, in the batches that are fastest.

The ceilings are measured in the same run. Bytes and operations are as `fj.cost` counts them, every
turn of a loop, so a share above 1 means that some of what it counts as memory is cache. Points that
need more memory or time than there is are left out, and the table says so. W4 has no inputs: its
batch is a number of circuits that learn apart, each with its own weights.
"""

import argparse
import contextlib
import datetime
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _hlo import kernels
from _timing import GIB, LeftOut, Limits, compile_fresh, time_calls, time_within
from workloads import W1, W2, W3, W4, Workload

import fockjax as fj
from fockjax._files import atomic_writer
from fockjax.validation import golden
from fockjax.validation.cases import ReadoutRow, Row
from fockjax.validation.readings import from_fockjax
from fockjax.validation.report import choose_reference, plan

BATCHES = [2**k for k in (0, 5, 7, 10, 12, 14, 16)]
WORKLOADS = {w.name: w for w in (W1, W2, W3, W4)}
MILLION = 10**6
TOLERANCE = 2e-5  # that of `fockjax validate`


class Report:
    """Markdown, printed and written line by line."""

    def __init__(self, path: Path):
        self.path, self.lines = path, []

    def add(self, *lines: str) -> None:
        self.lines += lines
        print("\n".join(lines), flush=True)
        with atomic_writer(self.path, "w") as file:
            file.write("\n".join(self.lines) + "\n")

    def row(self, *cells: object) -> None:
        self.add("| " + " | ".join(map(str, cells)) + " |")

    def table(self, *headers: str) -> None:
        self.add("", "| " + " | ".join(headers) + " |", "|-" * len(headers) + "|")


# The machine
# -------------------------------------------------------------------------------------------------


def machine() -> str:
    """Device, driver, versions and the date."""
    device = jax.devices()[0]
    driver = "none"
    if shutil.which("nvidia-smi") and device.platform == "gpu":
        query = ["nvidia-smi", "--query-gpu=driver_version,memory.total", "--format=csv,noheader"]
        driver = subprocess.run(query, capture_output=True, text=True).stdout.strip()
    backend = " ".join(device.client.platform_version.split())
    return (
        f"{date()}: {device.device_kind} ({device.platform}: {backend}), driver {driver}; jax "
        f"{version('jax')}, jaxlib {version('jaxlib')}, Python {platform.python_version()}"
    )


def date() -> str:
    return datetime.date.today().isoformat()


@dataclass(frozen=True)
class Ceilings:
    """Bytes and real operations a second."""

    bandwidth: float
    arithmetic: float


def ceilings(report: Report, quick: bool) -> Ceilings:
    """The rate of a copy that cannot stay in cache, and of a large float32 matrix product."""
    on_cpu = jax.default_backend() == "cpu"
    words = 2**25 if on_cpu else 2**27
    size = 1024 if on_cpu and quick else 2048 if on_cpu else 8192
    array, square = jnp.ones(words), jnp.ones((size, size))
    copy = jax.jit(lambda x: x + 1, donate_argnums=0)  # in place: no fresh pages

    def copied() -> jax.Array:
        nonlocal array
        array = copy(array)
        return array

    product = jax.jit(lambda x: jnp.dot(x, x, precision=jax.lax.Precision.HIGHEST))
    found = Ceilings(
        8 * words / time_calls(copied, (), 5), 2 * size**3 / time_calls(product, (square,), 5)
    )
    nothing = time_calls(jax.jit(lambda x: x + 1), (jnp.zeros(()),), 5)
    report.add(
        "",
        f"Ceilings: {found.bandwidth / 1e9:.0f} GB/s ({8 * words / 1e6:.0f} MB read and written), "
        f"{found.arithmetic / 1e12:.2f} TFLOP/s (float32 matrices of {size}, HIGHEST); a call that "
        f"does nothing takes {1e6 * nothing:.0f} us.",
    )
    return found


# Correctness
# -------------------------------------------------------------------------------------------------

PRECISIONS = (None, "default", "bfloat16")  # None: what the user has set is left alone


def correctness(report: Report, quick: bool) -> None:
    """Largest deviations of complex64 from Strawberry Fields' answers: amplitudes, observables,
    gradients, each relative to the largest number of its kind where that is above 1.
    """
    only = ["displacement", "beamsplitter", "passive"] if quick else None
    checks = plan(choose_reference("golden"), only, None)
    checks = [check for check in checks if check.rows and not check.rows[0].shots]
    report.add("", "## complex64 against Strawberry Fields' stored answers")
    report.table("jax.default_matmul_precision", "lines", "largest deviation", "in", "")
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # most of the time is compiling
        for precision in PRECISIONS:
            found = [
                (pool.submit(deviation, row, precision), check.label)
                for check in checks
                for row in check.rows
            ]
            worst, where = max((future.result(), label) for future, label in found)
            verdict = "ok" if worst <= TOLERANCE else f"FAILED (<= {TOLERANCE:g})"
            given = precision or f"as it is ({jax.config.jax_default_matmul_precision})"
            report.row(given, len(checks), f"{worst:.1e}", where, verdict)


def deviation(row: Row | ReadoutRow, precision: str | None) -> float:
    given = (
        contextlib.nullcontext() if precision is None else jax.default_matmul_precision(precision)
    )
    with given:  # of this thread only
        ours = from_fockjax(row, np.dtype(np.complex64))
    triples = zip(ours, golden.fingerprints(ours), golden.lookup(row), strict=True)
    found = [
        np.abs(mine - theirs).max() / max(1.0, np.abs(values).max())
        for values, mine, theirs in triples
        if values.size
    ]
    return float(np.nan_to_num(np.max(found), nan=np.inf))


# Workloads
# -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Program:
    """A workload at a batch: the function, and arguments for it."""

    forward: Callable
    step: Callable
    args: tuple


def program(workload: Workload, batch: int) -> Program:
    weights, forward = workload.weights(), workload.fockjax
    x = workload.inputs(batch)
    if not workload.circuit.num_inputs:
        weights = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (batch, *leaf.shape)), weights)
        x = x[:1]
        forward = jax.vmap(workload.fockjax, in_axes=(0, None))
    optimizer = optax.adam(1e-3)
    loss = workload.loss(forward)

    def step(weights, x, state):
        value, gradient = jax.value_and_grad(loss)(weights, x)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(weights, updates), state, value

    return Program(forward, step, (weights, x, optimizer.init(weights)))


def measure(
    report: Report, workload: Workload, batches: list[int], limits: Limits, ceilings: Ceilings
) -> dict[int, float]:
    """Report a workload; the seconds of a forward pass by batch."""
    found: dict[int, float] = {}
    report.add("", f"## {workload.name}: {workload.what}")
    report.table(
        *("batch", "", "compile s", "ms", "samples/s", "kernels", "of bandwidth", "of arithmetic"),
        *("MB foreseen", "MB by the compiler", "MB in use at most"),
    )
    for batch in batches:
        made = program(workload, batch)
        part = "forward"
        try:
            found[batch], *cells = point(batch, made.forward, made.args[:2], limits, ceilings)
            report.row(f"{batch:,}", part, *cells)
            part = "training step"
            _, *cells = point(batch, made.step, made.args, limits, ceilings)
            report.row(f"{batch:,}", part, *cells)
        except LeftOut as reason:
            report.row(f"{batch:,}", f"{part}, and what is larger, left out: {reason}", *[""] * 9)
            break
    return found


def point(batch: int, function: Callable, args: tuple, limits: Limits, ceilings: Ceilings):
    """Seconds a call, and the cells of the table."""
    before = memory_in_use()
    compiled = compile_fresh(function, *args)
    seconds = time_within(limits, compiled, args, 5)
    after = memory_in_use()
    cost = fj.cost(function, *args)
    return (
        seconds,
        f"{compiled.seconds:.1f}",
        f"{1e3 * seconds:.3g}",
        f"{batch / seconds:,.0f}",
        kernels(compiled.run.as_text()),
        f"{cost.bytes / seconds / ceilings.bandwidth:.2f}",
        f"{cost.flops / seconds / ceilings.arithmetic:.3f}",
        f"{cost.memory / 1e6:.1f}",
        f"{compiled.bytes / 1e6:.1f}",
        f"{after / 1e6:.1f}" if after > before else "-",
    )


def memory_in_use() -> int:
    """The most bytes that the device has held so far; 0 where it does not tell, as a CPU."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)


def million(report: Report, seconds: dict[int, float], samples: int) -> None:
    """All of a million samples' inputs and readouts on the device, one call."""
    batch = min(seconds, key=lambda b: seconds[b] / b)
    count = -(-samples // batch)
    x = W1.inputs(count * batch).reshape(count, batch, -1)

    def run(weights, x):
        return jax.lax.map(lambda x: W1.fockjax(weights, x), x)

    compiled = compile_fresh(run, W1.weights(), x)
    taken = time_calls(compiled.run, (W1.weights(), x), 3)
    report.add(
        "",
        f"{count * batch:,} samples of W1 forward, in batches of {batch:,}: {taken:.3g} s "
        f"(compiled in {compiled.seconds:.1f} s).",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small batches, few gates: minutes")
    parser.add_argument("--workloads", nargs="*", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--no-golden", action="store_true", help="leave correctness out")
    parser.add_argument("--seconds", type=float, default=5, help="longest call (default: 5)")
    parser.add_argument("--gib", type=float, help="most memory; by default 90%% of the device's")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    device = jax.devices()[0]
    name = re.sub(r"\W+", "-", device.device_kind.lower()).strip("-")
    path = options.output or Path(__file__).parent / "results" / f"{date()}-{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    holds = (device.memory_stats() or {}).get("bytes_limit", 4 * GIB / 0.9)
    limits = Limits(options.seconds, GIB * options.gib if options.gib else 0.9 * holds)
    batches = [batch for batch in BATCHES if batch <= 128 or not options.quick]
    report = Report(path)
    report.add(f"# {device.device_kind}", "", machine())
    if device.platform != "gpu":
        report.add("", "Not measured on a GPU.")
    measured = ceilings(report, options.quick)
    if not options.no_golden:
        correctness(report, options.quick)
    seconds = {
        name: measure(report, WORKLOADS[name], batches, limits, measured)
        for name in options.workloads
    }
    if seconds.get("W1"):
        million(report, seconds["W1"], MILLION // 100 if options.quick else MILLION)


if __name__ == "__main__":
    main()
