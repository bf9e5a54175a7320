"""A million shots of a state of four entangled modes: time and memory.

    python benchmarks/sampling.py [--shots 1000000] [--cutoff 10] [--rounds 3] [--no-sf]

Each kind of measurement runs in a process of its own. Two figures of memory are printed: what the
compiled program says that it needs besides state and outcomes, and the most that the process held,
with JAX, the state, compiling and the outcomes. Compilation is timed separately. Strawberry Fields
measures one shot at a time and runs the program anew for each; its few shots are scaled to the same
number. The means of the outcomes of both are compared with those of the state.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np

import fockjax as fj

MODES = 4
SF_SHOTS = 3  # what Strawberry Fields runs
# name: method, modes (None: all), and Strawberry Fields' measurement where it has one
KINDS = {
    "photons": ("sample_photons", None, "MeasureFock"),
    "photons, efficiency 0.9, dark counts 0.01": ("sample_photons", None, None),
    "threshold": ("sample_threshold", None, None),
    "homodyne of one mode": ("sample_homodyne", 0, "MeasureHomodyne"),
    "heterodyne of one mode": ("sample_heterodyne", 0, None),
    "homodyne of all modes": ("sample_homodyne", None, "MeasureHomodyne"),
    "heterodyne of all modes": ("sample_heterodyne", None, None),
}
NOISE = {"efficiency": 0.9, "dark_counts": 0.01}


def entangled() -> fj.Circuit:
    """Squeezers, displacements and a chain of beamsplitters, all with phases."""
    circuit = fj.Circuit(MODES)
    for mode in range(MODES):
        circuit.squeeze(0.4, 0.3 * mode, mode=mode).displace(0.3, 1.0 * mode, mode=mode)
    for mode in range(MODES - 1):
        circuit.beamsplitter(0.7, 0.4, modes=(mode, mode + 1))
    return circuit


def peak() -> float:
    """The greatest memory of this process so far, in MiB; Linux only. (The figure of `getrusage` is
    that of the process that started it, where that is more.)
    """
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def measure(kind: str, shots: int, cutoff: int, rounds: int) -> dict[str, float]:
    """Times in seconds and memory in MiB of one kind of measurement, and what mode 0 gave."""
    method, modes, _ = KINDS[kind]
    options = NOISE if "efficiency" in kind else {}
    state = jax.block_until_ready(jax.jit(lambda: entangled()({}, cutoff=cutoff))())
    number, square = jax.jit(
        lambda state: (state.photon_number(0).mean, state.quadrature_means()[0])
    )(state)
    trace = float(state.norm) ** 2

    def sample(state, key):
        return getattr(state, method)(key, modes, shots, **options)

    start = time.perf_counter()
    compiled = jax.jit(sample).lower(state, jax.random.key(0)).compile()
    compile_time = time.perf_counter() - start
    times = []
    for k in range(rounds):
        key = jax.random.key(k)
        start = time.perf_counter()
        outcomes = jax.block_until_ready(compiled(state, key))
        times.append(time.perf_counter() - start)
    most = peak()

    first = np.asarray(outcomes).reshape(shots, -1)[:, 0]
    if "photons" in kind:
        expected = float(number) / trace
        if options:
            expected = options["efficiency"] * expected + options["dark_counts"]
        found = first
    elif kind == "threshold":
        expected, found = 1 - float(state.probabilities(0)[0]) / trace, first
    else:  # the mean of x, for which alpha has x / sqrt(2 hbar)
        expected = float(square) / trace
        found = first if "homodyne" in kind else 2 * first.real
    error = abs(found.mean() - expected) / (found.std() / np.sqrt(shots))
    assert error < 5, f"{kind}: {error:.1f} standard errors off"
    return {
        "compile": compile_time,
        "run": statistics.median(times),
        "peak": most,
        "scratch": compiled.memory_analysis().temp_size_in_bytes / 2**20,
        "outcomes": outcomes.nbytes / 2**20,
        "mean": float(expected),
        "spread": float(found.std()),
    }


def strawberry_fields(
    kind: str, shots: int, cutoff: int, mean: float, spread: float
) -> float | None:
    """Seconds for as many shots, scaled from a few, whose mean must be likely."""
    from fockjax.interop import oracle

    _, modes, name = KINDS[kind]
    if name is None or not oracle.is_installed():
        return None
    sf = oracle.load()
    program = fj.to_strawberryfields(entangled())
    with program.context as q:
        for register in q if modes is None else [q[modes]]:
            arguments = (0.0,) if name == "MeasureHomodyne" else ()
            _ = getattr(sf.ops, name)(*arguments) | register
    np.random.seed(0)  # it draws from there
    times, outcomes = [], []
    for _ in range(SF_SHOTS + 1):  # the first compiles what it compiles
        engine = sf.Engine("fock", backend_options={"cutoff_dim": cutoff})
        start = time.perf_counter()
        result = engine.run(program)
        times.append(time.perf_counter() - start)
        outcomes.append(np.ravel(result.samples)[0])
    error = abs(np.mean(outcomes) - mean) / (spread / np.sqrt(len(outcomes)))
    assert error < 5, f"{kind}, Strawberry Fields: {error:.1f} standard errors off"
    return statistics.median(times[1:]) * shots


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shots", type=int, default=10**6)
    parser.add_argument("--cutoff", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-sf", action="store_true")
    parser.add_argument("--only", choices=KINDS, help="one kind, its figures as JSON")
    options = parser.parse_args()
    if options.only:
        figures = measure(options.only, options.shots, options.cutoff, options.rounds)
        print(json.dumps(figures))
        return
    print(
        f"{jax.devices()[0].device_kind}, jax {jax.__version__}; {options.shots:,} shots of "
        f"{MODES} entangled modes at cutoff {options.cutoff}; Strawberry Fields: {SF_SHOTS} shots, "
        "scaled"
    )
    print(f"{'':42s} compile s   run s   scratch MiB   peak MiB   outcomes MiB      SF s")
    for kind in KINDS:
        command = [sys.executable, __file__, "--only", kind, "--rounds", str(options.rounds)]
        command += ["--shots", str(options.shots), "--cutoff", str(options.cutoff)]
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
        row = json.loads(ran.stdout)
        theirs = None
        if not options.no_sf:
            given = options.shots, options.cutoff, row["mean"], row["spread"]
            theirs = strawberry_fields(kind, *given)
        print(
            f"{kind:42s} {row['compile']:9.1f} {row['run']:7.2f} {row['scratch']:13.0f} "
            f"{row['peak']:10.0f} {row['outcomes']:14.0f} "
            + (f"{theirs:9,.0f}" if theirs else f"{'-':>9s}"),
            flush=True,
        )


if __name__ == "__main__":
    main()
