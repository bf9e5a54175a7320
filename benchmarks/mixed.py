"""Loss by density matrices and by trajectories: time, memory and standard error.

    python benchmarks/mixed.py [--rounds 5] [--batch 32] [--samples 1024] [--no-sf]

The reference circuit (`naive.py`) with loss after each layer, on 2, 3 and 4 modes. Measured are one
density matrix, a batch of them by `jax.vmap`, trajectories with `fockjax.monte_carlo`, the value
and gradient of one density matrix and of trajectories, and Strawberry Fields' Fock engine, which
runs one sample at a time. All give <x> of mode 0 and must agree before they are timed. Compilation
is not counted. Memory is what XLA reserves for the intermediate results of the compiled program.
"""

import argparse
import platform
import statistics
import time
from importlib.metadata import version
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np

import fockjax as fj

LAYERS = 2
SIZES = ((2, 8), (3, 6), (4, 4))  # modes, cutoff
MEMORY = 4 * 2**30  # a batch of density matrices over this is left out
SF_SAMPLES = 2


def lossy_circuit(modes: int) -> fj.Circuit:
    """Inputs as displacements; squeezers, a chain of beamsplitters and loss in each layer."""
    r, theta = fj.Weight("r", (LAYERS, modes)), fj.Weight("theta", (LAYERS, modes - 1))
    circuit = fj.Circuit(modes)
    for mode in range(modes):
        circuit.displace(fj.Input(mode), mode=mode)
    for layer in range(LAYERS):
        for mode in range(modes):
            circuit.squeeze(r[layer, mode], 0.3, mode=mode)
        for mode in range(modes - 1):
            circuit.beamsplitter(theta[layer, mode], 0.2, modes=(mode, mode + 1))
        for mode in range(modes):
            circuit.loss(fj.Weight("T"), mode=mode)
    return circuit


def sf_run(sf, circuit: fj.Circuit, weights, x, cutoff: int) -> float:
    """<x> of mode 0 by Strawberry Fields."""
    classes = {
        "displacement": sf.ops.Dgate,
        "squeezing": sf.ops.Sgate,
        "beamsplitter": sf.ops.BSgate,
        "loss": sf.ops.LossChannel,
    }
    program = sf.Program(circuit.modes)
    with program.context as q:
        for name, parameters, modes in circuit.evaluated(weights, x):
            values = [float(value) for value in parameters.values()]
            classes[name](*values) | [q[mode] for mode in modes]
    engine = sf.Engine("fock", backend_options={"cutoff_dim": cutoff})
    return engine.run(program).state.quad_expectation(0)[0]


def compiled(function, *args):
    """The executable, the seconds compiling took and its temporary memory in MB."""
    start = time.perf_counter()
    executable = jax.jit(function).lower(*args).compile()
    seconds = time.perf_counter() - start
    analysis = executable.memory_analysis()
    return executable, seconds, analysis.temp_size_in_bytes / 1e6 if analysis else float("nan")


def measure(modes: int, cutoff: int, options, sf) -> None:
    """Prints the rows of one size."""
    circuit = lossy_circuit(modes)
    weights = circuit.init(jax.random.key(0)) | {"T": jnp.array(0.8)}
    weights["theta"] = weights["theta"] + 0.7
    inputs = 0.4 * jax.random.normal(jax.random.key(1), (options.batch, modes))
    key = jax.random.key(2)

    def readout(state):
        return state.quadrature(0).mean

    def exact(weights, x):
        return readout(circuit(weights, x, cutoff=cutoff))

    def estimate(weights, x, key):
        def run(key):
            return circuit(weights, x, cutoff=cutoff, key=key, unravel=True)

        return fj.monte_carlo(run, readout, key, options.samples)

    def mean(weights, x, key):
        return estimate(weights, x, key).mean

    batched = jax.vmap(exact, in_axes=(None, 0))
    one, many = (weights, inputs[0]), (weights, inputs)
    programs = {
        "density matrix": (exact, one),
        "  value and gradient": (jax.value_and_grad(exact), one),
        f"density matrices, batch {options.batch}": (batched, many),
        f"trajectories, {options.samples}": (estimate, (*one, key)),
        "  value and gradient ": (jax.value_and_grad(mean), (*one, key)),
    }
    if options.batch * 8 * cutoff ** (2 * modes) > MEMORY:
        del programs[f"density matrices, batch {options.batch}"]
    executables = {name: (compiled(f, *args), args) for name, (f, args) in programs.items()}

    results = {name: program(*args) for name, ((program, *_), args) in executables.items()}
    truth = results["density matrix"]
    found = results[f"trajectories, {options.samples}"]
    assert abs(found.mean - truth) < 5 * found.standard_error, (found, truth)

    times = {name: [] for name in programs}
    for _ in range(options.rounds):
        for name, ((program, *_), args) in executables.items():
            start = time.perf_counter()
            jax.block_until_ready(program(*args))
            times[name].append(1e3 * (time.perf_counter() - start))

    print(f"\n{modes} modes, cutoff {cutoff}: <x> = {truth:.4f}")
    print(f"{'':36}{'ms':>26}{'MB':>9}{'compile s':>11}{'error':>9}")
    for name, ((_, seconds, memory), _) in executables.items():
        error = f"{found.standard_error:.4f}" if "trajectories" in name else "-"
        cell = f"{statistics.median(times[name]):.1f} ({min(times[name]):.1f} to "
        cell += f"{max(times[name]):.1f})"
        print(f"{name:36}{cell:>26}{memory:9.1f}{seconds:11.1f}{error:>9}", flush=True)
    if sf is None:
        return
    sf_run(sf, circuit, weights, inputs[0], cutoff)  # compiles what SF compiles
    start = time.perf_counter()
    values = [sf_run(sf, circuit, weights, x, cutoff) for x in inputs[:SF_SAMPLES]]
    seconds = (time.perf_counter() - start) / SF_SAMPLES
    expected = [exact(weights, x) for x in inputs[:SF_SAMPLES]]
    assert np.allclose(values, expected, atol=1e-5), (values, expected)
    print(f"{f'Strawberry Fields, mean of {SF_SAMPLES} samples':36}{1e3 * seconds:>26.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--no-sf", action="store_true", help="leave Strawberry Fields out")
    options = parser.parse_args()
    sf = None
    if not options.no_sf and find_spec("strawberryfields"):
        from fockjax.interop import oracle

        sf = oracle.load()
    print(
        f"Python {platform.python_version()}, jax {version('jax')}, {jax.devices()[0]}, complex64; "
        f"median (least to greatest) of {options.rounds} rounds"
    )
    for modes, cutoff in SIZES:
        measure(modes, cutoff, options, sf)


if __name__ == "__main__":
    main()
