"""What every peer's script does: run a workload alone, or turn by turn for `run.py`.

    PYTHON with_<peer>.py reference [--cutoff 6] [--batch 128] [--double]

Alone it prints what the first calls and later ones took. With `--serve` it reads a JSON request a
line, `{"operation": "forward", "light": 1.0, "calls": 10}`, and answers with a line; what
the peer's libraries print goes to stderr.
"""

import argparse
import ctypes
import json
import os
import platform
import re
import statistics
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from circuits import WORKLOADS, Data, Workload


class Peer(Protocol):
    """What a peer's script hands to `main`. Arguments are arrays of its framework; a call returns
    when its results are there.
    """

    packages: tuple[str, ...]
    """Whose versions count."""
    samples: int | None
    """How many samples of the batch a call runs; None: all."""
    operations: tuple[str, ...]
    """ "forward", and "gradient" where there is one."""

    def __init__(self, workload: Workload): ...

    def array(self, values: np.ndarray) -> Any:
        """An array of the framework."""

    def forward(self, weights: dict[str, Any], inputs: Any) -> Any:
        """Readouts, (batch, 2 modes)."""

    def gradient(self, weights: dict[str, Any], inputs: Any, targets: Any) -> tuple[Any, dict]:
        """The loss and its gradient, with the names of the weights."""


class Bench:
    """A peer on a workload: calls timed and weighed."""

    def __init__(self, peer: type[Peer], workload: Workload):
        self.peer, self.workload = peer(workload), workload
        self.samples = min(self.peer.samples or workload.batch, workload.batch)

    def measure(self, operation: str, light: float = 1.0, calls: int = 1) -> dict[str, Any]:
        """Median seconds of a call, the memory that the first took (MiB; less where the peer keeps
        memory in reserve), what the last returned.
        """
        arguments = self._arguments(operation, light)
        call = getattr(self.peer, operation)
        seconds, memory = [], None
        base = _settled()
        for k in range(calls):
            start = time.perf_counter()
            result = call(*arguments)
            seconds.append(time.perf_counter() - start)
            if k == 0 and base is not None:
                memory = max(0.0, _memory("VmHWM") - base)
        return {
            "seconds": statistics.median(seconds),
            "memory": memory,
            "result": _listed(result),
        }

    def _arguments(self, operation: str, light: float):
        weights, inputs, targets = self.workload.data(light)
        samples = slice(self.samples)
        data = Data(
            {name: self.peer.array(values) for name, values in weights.items()},
            self.peer.array(inputs[samples]),
            self.peer.array(targets[samples]),
        )
        return data if operation == "gradient" else data[:2]


def _settled() -> float | None:
    """The memory held now, to which the peak is brought down; None where it cannot (not Linux)."""
    time.sleep(0.01)  # what the last call took is given back by another thread
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        return _memory("VmRSS")
    except (OSError, AttributeError):
        return None


def _memory(field: str) -> float:
    return int(re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def _listed(result: Any) -> Any:
    if isinstance(result, tuple):
        value, gradient = result
        return [float(value), {name: np.asarray(g).tolist() for name, g in gradient.items()}]
    return np.asarray(result).tolist()


def main(peer: type[Peer]) -> None:
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__.splitlines()[0])
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--cutoff", type=int, help="in place of the workload's own")
    parser.add_argument("--batch", type=int, help="in place of the workload's own")
    parser.add_argument("--double", action="store_true", help="complex128, of JAX peers")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    changes = {name: getattr(options, name) for name in ("cutoff", "batch", "double")}
    workload = replace(WORKLOADS[options.workload], **{k: v for k, v in changes.items() if v})
    bench = Bench(peer, workload)
    (serve if options.serve else alone)(bench)


def serve(bench: Bench) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    peer = bench.peer
    hello = {
        "versions": {"Python": platform.python_version()} | {p: version(p) for p in peer.packages},
        "samples": bench.samples,
        "operations": peer.operations,
    }
    print(json.dumps(hello), file=answers)
    for line in sys.stdin:
        print(json.dumps(bench.measure(**json.loads(line))), file=answers)


def alone(bench: Bench) -> None:
    print(f"{bench.workload.title}, cutoff {bench.workload.cutoff}, {bench.samples} samples")
    for operation in bench.peer.operations:
        first = bench.measure(operation)["seconds"]
        later = [bench.measure(operation, calls=5) for _ in range(3)]
        milliseconds = 1e3 * statistics.median(turn["seconds"] for turn in later)
        memory = max(turn["memory"] or 0.0 for turn in later)
        print(f"{operation}: first {first:.2f} s, then {milliseconds:.2f} ms, {memory:.1f} MiB")
