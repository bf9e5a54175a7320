"""The runner: memory, batches, the second start, devices, status of rows, groups of modes.

python benchmarks/runner.py memory               # predicted and measured; a process for each line
python benchmarks/runner.py batch [--rounds 5]   # sizes of batches, in turns
python benchmarks/runner.py flat [--rows 1000000]   # memory over many rows
python benchmarks/runner.py start                # twice, with an empty and a full cache on disk
python benchmarks/runner.py scope                # what a run in a `with` leaves on the device
python benchmarks/runner.py status [--rounds 7]  # what it costs to know the status of each row
python benchmarks/runner.py groups [--rounds 7]  # modes in groups beside the dense state of all
python benchmarks/runner.py devices [--rows 100000] [--rounds 7]   # one and two devices, in turns
"""

import time

BEGAN = time.perf_counter()

import argparse  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402

import jax  # noqa: E402
import numpy as np  # noqa: E402
import psutil  # noqa: E402
from _circuits import REFERENCE, encoded  # noqa: E402
from _timing import alternate, compile_fresh, ratio  # noqa: E402
from rich.progress import track  # noqa: E402

import fockjax as fj  # noqa: E402
from fockjax.runtime import Runner, TooLarge, checked, keep_compiled  # noqa: E402
from fockjax.runtime.guard import with_status  # noqa: E402
from fockjax.runtime.memory import show_size  # noqa: E402

IMPORTED = time.perf_counter() - BEGAN

# modes, cutoff, lossy (density matrices), memory, largest batch
CASES = [
    (2, 8, True, "1.5GB", 4096),
    (4, 8, False, "16GB", 4096),
    (4, 8, False, "1.05GB", 8192),
    (3, 16, False, "2GB", 4096),
    (1, 60, False, "3GB", 65536),
]
SIZES = [(3, 128), (4, 64), (5, 16), (6, 4), (8, 1), (10, 1)]  # of groups: cutoff, rows


def layered(modes: int, lossy: bool) -> fj.Circuit:
    circuit = encoded(modes).cvqnn_layers(1)
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


def memory(quick: bool) -> None:
    print("modes cutoff lossy   memory  batch  predicted  measured  ratio  peak of the process")
    for case in track(CASES[: 1 if quick else None], transient=True):
        batch, predicted, before, peak = json.loads(_again("case", json.dumps(case)))
        modes, cutoff, lossy, limit, _ = case
        measured = peak - before
        print(
            f"{modes:5} {cutoff:6} {lossy!s:5} {limit:>8} {batch:6} {predicted / 1e6:7.0f} MB "
            f"{measured / 1e6:6.0f} MB {predicted / measured:6.2f} {peak / 1e6:10.0f} MB",
            flush=True,
        )


def batch(rounds: int, quick: bool) -> None:
    """Microseconds a row, of the reference circuit and of one whose rows are larger."""
    print("circuit            batch   needs      us a row: median  range")
    cases = [
        ("reference", REFERENCE, 6, 64 if quick else 8192),
        ("4 modes, cutoff 10", layered(4, False), 10, 256),
    ]
    for name, circuit, cutoff, rows in cases[: 1 if quick else None]:
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
    runner = runner_of(REFERENCE, 6, memory="8GB")
    chunk = inputs(20_000, REFERENCE.modes)
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
    runner = runner_of(REFERENCE, 6)
    runner(inputs(1024, REFERENCE.modes))
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


def scope() -> None:
    """Bytes of the arrays that are alive, and programs, before, in and after a run."""

    def alive() -> int:
        gc.collect()
        return sum(array.nbytes for array in jax.live_arrays())

    def function(weights, x):
        return checked(REFERENCE(weights, x, cutoff=6), fj.nn.quadratures)

    weights = jax.device_get(REFERENCE.init(jax.random.key(0)))
    before = alive()
    with Runner(function, weights) as runner:
        results = runner(inputs(5000, REFERENCE.modes))
        during, programs = alive(), len(runner.executables)
    print("                   before   in the run   after")
    print(f"bytes of arrays  {before:8,} {during:12,} {alive():7,}")
    print(f"programs         {0:8,} {programs:12,} {len(runner.executables):7,}")
    assert isinstance(results.values, np.ndarray)


def status(rounds: int) -> None:
    """A batch without status of its rows, with the flag of each, and with its leakage as well."""
    weights = REFERENCE.init(jax.random.key(0))

    def bare(weights, x):
        return fj.nn.quadratures(REFERENCE(weights, x, cutoff=6))

    def flagged(weights, x):
        return with_status(bare(weights, x))

    def told(weights, x):
        return with_status(checked(REFERENCE(weights, x, cutoff=6), fj.nn.quadratures))

    print(f"rows  {'':22}  {'ms a batch (range)':22}  to the first: time   FLOPs   bytes  memory")
    for rows in (128, 1024):
        args = weights, jax.numpy.asarray(inputs(rows, REFERENCE.modes))
        programs = [
            compile_fresh(jax.vmap(each, in_axes=(None, 0)), *args)
            for each in (bare, flagged, told)
        ]
        values, (_, finite), ((values_again, leakage), _) = (each.run(*args) for each in programs)
        np.testing.assert_allclose(values, values_again, atol=1e-6)
        assert finite.all() and leakage.shape == (rows,)
        times = alternate([each.run for each in programs], args, rounds)
        names = ("neither", "finite or not", "and leakage")
        counts = [each.run.cost_analysis() for each in programs]
        for name, time_of, program, count in zip(names, times, programs, counts, strict=True):
            shares = [ratio(time_of, times[0])]
            shares += [count[what] / counts[0][what] for what in ("flops", "bytes accessed")]
            shares.append(program.bytes / programs[0].bytes)
            cells = "".join(f"{share:8.4f}" for share in shares)
            print(f"{rows:4}  {name:22}  {time_of!s:22}{'':10}{cells}", flush=True)


def block_on(circuit: fj.Circuit, modes: range, name: str) -> fj.Circuit:
    """A layer that entangles some modes of a circuit; its weights are named after them."""
    theta, r = (fj.Weight(f"{kind}{name}", (len(modes),)) for kind in ("theta", "r"))
    for k, mode in enumerate(modes):
        circuit.displace(fj.Input(mode), mode=mode).squeeze(r[k], 0.3, mode=mode)
    for k, mode in enumerate(modes[:-1]):
        circuit.beamsplitter(theta[k], 0.2, modes=(mode, mode + 1))
    return circuit


def groups(rounds: int, quick: bool) -> None:
    """Eight modes in two groups, and as one dense state, by the same runner within 8 GB. The groups
    are timed alone as well: their first calls after a large state take many times as long.
    """
    grouped = fj.grouped(
        lambda modes: block_on(fj.Circuit(modes), range(modes), ""), modes=8, group_size=4
    )
    dense = fj.Circuit(8).beamsplitter(0.0, modes=(3, 4))  # nothing, but it joins the groups
    for group in range(2):
        block_on(dense, range(4 * group, 4 * group + 4), str(group))
    weights = grouped.init(jax.random.key(0))
    flat = {f"{name}{k}": leaf[k] for name, leaf in weights["groups"].items() for k in range(2)}

    print("cutoff          amplitudes  a row      rows at a time            ms a row (range)")
    for cutoff, rows in SIZES[: 1 if quick else None]:
        found = []
        for name, circuit, own in (("groups", grouped, weights), ("dense", dense, flat)):

            def function(weights, x, circuit=circuit, cutoff=cutoff):
                return checked(circuit(weights, x, cutoff=cutoff), fj.nn.quadratures)

            size = 2 * cutoff**4 if name == "groups" else cutoff**8
            try:
                runner = Runner(function, own, memory="8GB", largest_batch=rows)
                plan = runner.plan(inputs(1, 8))
                found.append((name, size, plan, runner))
            except TooLarge as error:
                print(f"{cutoff:6} {name:6} {size:13,}  {str(error).split(', but')[0]}: refused")
        x = inputs(rows, 8)
        results = [runner(x) for *_, runner in found]
        for other in results[1:]:
            np.testing.assert_allclose(results[0].values, other.values, atol=2e-6)
        calls = [lambda x, runner=runner: runner(x).values for *_, runner in found]
        lines = [("alone", found[0], *alternate(calls[:1], (x,), rounds))]
        if len(found) > 1:
            in_turns = alternate(calls, (x,), rounds)
            lines += [("in turns", *pair) for pair in zip(found, in_turns, strict=True)]
        for how, (name, size, plan, _), times in lines:
            low, high = min(times.wall) / rows, max(times.wall) / rows
            print(
                f"{cutoff:6} {name:6} {size:13,}  {show_size(plan.bytes / plan.batch):9}  "
                f"{plan.batch:14}  {how:8}  {times.median / rows:.3g} ({low:.3g} to {high:.3g})",
                flush=True,
            )


def devices(rows: int, rounds: int) -> None:
    """The same CPU as one device and as two, in turns in one process."""
    print("devices   batch  rows/s (range)              us of CPU a row, median")
    arguments = "two_devices", "--rows", str(rows), "--rounds", str(rounds)
    print(_again(*arguments, JAX_NUM_CPU_DEVICES="2"), end="")


def two_devices(rows: int, rounds: int) -> None:
    x = inputs(rows, REFERENCE.modes)
    runners = [runner_of(REFERENCE, 6, devices=jax.devices()[:count]) for count in (1, 2)]
    results = [runner(x).values for runner in runners]  # which also compiles
    np.testing.assert_allclose(*results, atol=1e-6)
    times = alternate([lambda x, own=own: own(x).values for own in runners], (x,), rounds)
    for count, runner, own in zip((1, 2), runners, times, strict=True):
        speeds = [1e3 * rows / ms for ms in (own.median, max(own.wall), min(own.wall))]
        print(
            f"{count:7}{runner.plan(x).batch:8}  {speeds[0]:,.0f} ({speeds[1]:,.0f} to "
            f"{speeds[2]:,.0f}){1e3 * own.median_cpu / rows:14.1f}"
        )


def _again(*arguments: str, **environment: str) -> str:
    command = [sys.executable, __file__, *arguments]
    given = {**os.environ, **environment}
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=given).stdout


PARTS = {
    each.__name__: each for each in (memory, batch, flat, start, scope, status, groups, devices)
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=[*PARTS, "case", "one_start", "two_devices"])
    parser.add_argument("argument", nargs="?", help="for the processes that it starts")
    parser.add_argument("--rows", type=int, help="1,000,000, or 100,000 for devices")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="memory, batch, groups: the least")
    given = parser.parse_args()
    if given.part == "case":
        one_case(*json.loads(given.argument))
    elif given.part == "one_start":
        one_start(given.argument)
    elif given.part == "flat":
        flat(given.rows or 1_000_000)
    elif given.part == "devices":
        devices(given.rows or 100_000, given.rounds)
    elif given.part == "two_devices":
        two_devices(given.rows, given.rounds)
    elif given.part == "memory":
        memory(given.quick)
    elif given.part == "status":
        status(given.rounds)
    elif given.part in ("batch", "groups"):
        PARTS[given.part](given.rounds, given.quick)
    else:
        PARTS[given.part]()
