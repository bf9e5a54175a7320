"""What a pause costs: the same work back to back, and after a few milliseconds without any.

    python benchmarks/pauses.py [--rounds 200]

This explains why a server that is half busy takes longer for a request than one that never rests.
Work that needs no memory shows the effect of clocks and of waking up. Reading an array shows what
is left of the caches. The last rows run the batch that `serving.py` asks for, 128 rows of the
reference circuit, in a process of its own, with all of XLA's threads and with one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from _served_model import inputs, make_model, use_reference_circuit

from fockjax.inference import load_model

PAUSES = (0.0, 0.5e-3, 3e-3, 30e-3)  # seconds


def medians(work: Callable, rounds: int) -> list[float]:
    """Milliseconds after each pause."""
    found = []
    for pause in PAUSES:
        times = []
        for _ in range(rounds):
            if pause:
                time.sleep(pause)
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        found.append(1e3 * float(np.median(times[rounds // 10 :])))
    return found


def arithmetic() -> Callable:
    """A few registers, and a page of code."""
    small = np.ones(512)

    def work() -> None:
        for _ in range(200):
            np.multiply(small, 1.0, out=small)

    return work


def reading(size: int) -> Callable:
    """One number of each cache line."""
    array = np.ones(size // 8)[::8]
    return lambda: array.max()


def batch(folder: Path) -> Callable:
    """What the server's device thread does for a full batch."""
    use_reference_circuit()
    predictor = load_model(make_model(folder / "model"))
    rows = predictor.scaler.features(inputs(128).astype(float))
    runner = predictor.runner(largest_batch=128, watch_memory=False)
    return lambda: predictor.read(runner(rows))


def alone(threads: int | None, rounds: int) -> list[float]:
    """The batch, in a process of its own."""
    environment = {**os.environ, **({"NPROC": str(threads)} if threads else {})}
    command = [sys.executable, __file__, "--batch", "--rounds", str(rounds)]
    return json.loads(subprocess.check_output(command, env=environment, text=True).splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--batch", action="store_true", help="the batch only, as JSON")
    options = parser.parse_args()
    if options.batch:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(medians(batch(Path(folder)), options.rounds)))
        return
    print(f"JAX {version('jax')}, {os.cpu_count()} cores; milliseconds, medians\n")
    print("| | at once | " + " | ".join(f"after {1e3 * p:g} ms" for p in PAUSES[1:]) + " |")
    print("|-" * (1 + len(PAUSES)) + "|", flush=True)
    for name, measure in {
        "arithmetic": lambda: medians(arithmetic(), options.rounds),
        "reading 256 KiB": lambda: medians(reading(2**18), options.rounds),
        "reading 1 MiB": lambda: medians(reading(2**20), options.rounds),
        "reading 4 MiB": lambda: medians(reading(2**22), options.rounds),
        "128 rows, all threads": lambda: alone(None, options.rounds),
        "128 rows, one thread": lambda: alone(1, options.rounds),
    }.items():
        print(f"| {name} | " + " | ".join(f"{t:.3g}" for t in measure()) + " |", flush=True)


if __name__ == "__main__":
    main()
