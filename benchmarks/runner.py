"""The runner: memory predicted and measured, sizes of batches, memory over many rows, second start.

python benchmarks/runner.py memory               # each line in a process of its own
python benchmarks/runner.py batch [--rounds 5]   # in turns
python benchmarks/runner.py flat [--rows 1000000]
python benchmarks/runner.py start                # twice, with an empty and a full cache on disk
"""

import time

BEGAN = time.perf_counter()

import argparse  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402

import jax  # noqa: E402
import numpy as np  # noqa: E402
import psutil  # noqa: E402
from reference import CIRCUIT  # noqa: E402
from rich.progress import track  # noqa: E402

import fockjax as fj  # noqa: E402
from fockjax.runtime import Runner, checked, keep_compiled  # noqa: E402

IMPORTED = time.perf_counter() - BEGAN

# modes, cutoff, lossy (density matrices), memory, largest batch
CASES = [
    (4, 8, False, "16GB", 4096),
    (4, 8, False, "1.05GB", 8192),
    (3, 16, False, "2GB", 4096),
    (2, 8, True, "1.5GB", 4096),
    (1, 60, False, "3GB", 65536),
]


def layered(modes: int, lossy: bool) -> fj.Circuit:
    circuit = fj.Circuit(modes)
    for mode in range(modes):
        circuit.displace(fj.Input(mode), mode=mode)
    circuit.cvqnn_layers(1)
    for mode in range(modes if lossy else 0):
        circuit.loss(0.9, mode=mode)
    return circuit


def runner_of(circuit: fj.Circuit, cutoff: int, **options) -> Runner:
    def function(weights, x):
        return checked(circuit(weights, x, cutoff=cutoff), fj.nn.quadratures)

    return Runner(function, circuit.init(jax.random.key(0)), about=circuit, **options)


def inputs(rows: int, modes: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.3, 0.3, (rows, modes)).astype(np.float32)


def one_case(modes: int, cutoff: int, lossy: bool, memory: str, largest: int) -> None:
    runner = runner_of(layered(modes, lossy), cutoff, memory=memory, largest_batch=largest)
    plan = runner.plan(inputs(1, modes))
    gc.collect()
    results = runner(inputs(plan.batch + 1, modes))
    assert results.finite.all() and runner.record is not None
    used = runner.record.memory
    print(json.dumps([plan.batch, plan.bytes, used["before"], used["peak"]]))


def memory() -> None:
    print("modes cutoff lossy   memory  batch  predicted  measured  ratio  peak of the process")
    for case in track(CASES, transient=True):
        batch, predicted, before, peak = json.loads(_again("case", json.dumps(case)))
        modes, cutoff, lossy, limit, _ = case
        measured = peak - before
        print(
            f"{modes:5} {cutoff:6} {lossy!s:5} {limit:>8} {batch:6} {predicted / 1e6:7.0f} MB "
            f"{measured / 1e6:6.0f} MB {predicted / measured:6.2f} {peak / 1e6:10.0f} MB",
            flush=True,
        )


def batch(rounds: int) -> None:
    """Microseconds a row, of the reference circuit and of one whose rows are larger."""
    print("circuit            batch   needs      us a row: median  range")
    for name, circuit, cutoff, rows in (
        ("reference", CIRCUIT, 6, 8192),
        ("4 modes, cutoff 10", layered(4, False), 10, 256),
    ):
        x = inputs(rows, circuit.modes)
        sizes = [None, *(size for size in (16, 64, 256, 1024) if size <= rows)]
        runners = [runner_of(circuit, cutoff, largest_batch=size) for size in sizes]
        expected = runners[0](x).values
        for runner in runners:
            np.testing.assert_allclose(runner(x).values, expected, atol=1e-5)
        times = [[] for _ in runners]
        for _ in range(rounds):
            for runner, own in zip(runners, times, strict=True):
                runner(x)
                own.append(1e6 * runner.record.seconds["total"] / rows)
        for runner, own in zip(runners, times, strict=True):
            plan = runner.plan(x)
            default = "  (by default)" if runner is runners[0] else ""
            print(
                f"{name:18} {plan.batch:5} {plan.bytes / 1e6:6.1f} MB {np.median(own):12.1f}"
                f"  {min(own):.1f} - {max(own):.1f}{default}",
                flush=True,
            )


def flat(rows: int) -> None:
    runner = runner_of(CIRCUIT, 6, memory="8GB")
    chunk = inputs(20_000, CIRCUIT.modes)
    runner(chunk[:2048])
    print("rows done      rows/s  in use  arrays alive")
    done, began, process = 0, time.perf_counter(), psutil.Process()
    for results in runner.stream(track([chunk] * (rows // len(chunk)), transient=True)):
        done += len(results.ok)
        if done % (10 * len(chunk)) == 0 or done == len(chunk):
            speed, used = done / (time.perf_counter() - began), process.memory_info().rss / 1e6
            print(f"{done:9,} {speed:11,.0f} {used:4.0f} MB {len(jax.live_arrays()):6}")


def one_start(folder: str) -> None:
    keep_compiled(folder)
    runner = runner_of(CIRCUIT, 6)
    runner(inputs(1024, CIRCUIT.modes))
    assert runner.record is not None
    print(json.dumps([IMPORTED, *(runner.record.seconds[part] for part in ("trace", "compile"))]))


def start() -> None:
    print("seconds to:            import  trace  compile or load  in all")
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cache on disk empty", "cache on disk full"):
            imported, trace, load = json.loads(_again("one_start", folder))
            seconds.append(load)
            print(f"{name:21}{imported:8.2f}{trace:7.2f}{load:17.2f}{imported + trace + load:8.2f}")
    print(f"the second start loads in 1/{seconds[0] / seconds[1]:.0f} of the time to compile")


def _again(*arguments: str) -> str:
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["memory", "batch", "flat", "start", "case", "one_start"])
    parser.add_argument("argument", nargs="?", help="for the processes that it starts")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    if given.part == "case":
        one_case(*json.loads(given.argument))
    elif given.part == "one_start":
        one_start(given.argument)
    elif given.part == "flat":
        flat(given.rows)
    elif given.part == "batch":
        batch(given.rounds)
    else:
        {"memory": memory, "start": start}[given.part]()
