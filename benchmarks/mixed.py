"""Loss by density matrices and by trajectories: time, memory and standard error.

    python benchmarks/mixed.py [--rounds 5] [--batch 32] [--samples 1024] [--no-sf] [--quick]

The reference circuit (`naive.py`) with loss after each layer, on 2, 3 and 4 modes. Measured are one
density matrix, a batch of them by `jax.vmap`, trajectories with `fockjax.monte_carlo`, the value
and gradient of one density matrix and of trajectories, and Strawberry Fields' Fock engine, which
runs one sample at a time. All give <x> of mode 0. Before they are timed, in turns, values must
agree with each other, and gradients with a central difference of the value. Compilation is not
counted. Memory is what XLA reserves for the intermediate results of the compiled program.
"""

import argparse
import platform
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
from _timing import alternate, compile_fresh

import fockjax as fj

LAYERS = 2
SIZES = ((2, 8), (3, 6), (4, 4))  # modes, cutoff
MEMORY = 4 * 2**30  # a batch of density matrices over this is left out
FEW = 2  # samples whose values are compared
KEYS = 16  # runs of trajectories whose gradients are averaged, to be compared


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


def slope(function: Callable, weights: dict, direction: dict) -> float:
    """The derivative of a function of weights along a direction, by a central difference."""
    with jax.enable_x64(True):
        step = 1e-4
        ends = [
            function({k: np.float64(w) + sign * step * direction[k] for k, w in weights.items()})
            for sign in (1, -1)
        ]
    return float(ends[0] - ends[1]) / (2 * step)


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
    matrices, trajectories = f"matrices, batch {options.batch}", f"trajectories, {options.samples}"
    programs = {
        "density matrix": (exact, one),
        "its value and gradient": (jax.value_and_grad(exact), one),
        matrices: (batched, many),
        trajectories: (estimate, (*one, key)),
        "their value and gradient": (jax.value_and_grad(mean), (*one, key)),
    }
    if options.batch * 8 * cutoff ** (2 * modes) > MEMORY:
        del programs[matrices]
    compiled = {name: compile_fresh(f, *args) for name, (f, args) in programs.items()}
    results = {name: each.run(*programs[name][1]) for name, each in compiled.items()}

    # All of them agree, and the gradients with differences of the values.
    truth, found = results["density matrix"], results[trajectories]
    value, gradient = results["its value and gradient"]
    tell = f"{modes} modes, cutoff {cutoff}"
    np.testing.assert_allclose(value, truth, atol=1e-5, err_msg=tell)
    if matrices in results:
        each = [exact(weights, x) for x in inputs[:FEW]]
        np.testing.assert_allclose(results[matrices][:FEW], each, atol=1e-5, err_msg=tell)
    assert abs(found.mean - truth) < 5 * found.standard_error, (tell, found, truth)
    rng = np.random.default_rng(0)
    direction = {name: rng.normal(size=np.shape(w)) for name, w in weights.items()}

    def along(gradient) -> float:
        return sum(float(np.sum(gradient[name] * direction[name])) for name in direction)

    expected = slope(lambda w: exact(w, np.float64(inputs[0])), weights, direction)
    np.testing.assert_allclose(along(gradient), expected, rtol=1e-3, atol=1e-4, err_msg=tell)
    run = compiled["their value and gradient"].run
    drawn = [along(run(*one, key)[1]) for key in jax.random.split(key, KEYS)]
    error = np.std(drawn, ddof=1) / np.sqrt(KEYS)
    assert abs(np.mean(drawn) - expected) < 5 * error, (tell, drawn, expected)

    calls = {name: partial(each.run, *programs[name][1]) for name, each in compiled.items()}
    if sf is not None:
        values = [sf_run(sf, circuit, weights, x, cutoff) for x in inputs[:FEW]]
        each = [exact(weights, x) for x in inputs[:FEW]]
        np.testing.assert_allclose(values, each, atol=1e-5, err_msg=tell)
        calls["Strawberry Fields, one sample"] = lambda: sf_run(sf, circuit, *one, cutoff)
    times = dict(zip(calls, alternate(list(calls.values()), (), options.rounds), strict=True))

    print(f"\n{tell}: <x> = {truth:.4f}")
    print(f"{'':36}{'ms':>26}{'MB':>9}{'compile s':>11}{'error':>9}")
    for name, taken in times.items():
        cells = f"{name:36}{taken.text(1):>26}"
        if name in compiled:
            error = f"{found.standard_error:.4f}" if name == trajectories else "-"
            cells += f"{compiled[name].temp_bytes / 1e6:9.1f}{compiled[name].seconds:11.1f}"
            cells += f"{error:>9}"
        print(cells, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--no-sf", action="store_true", help="leave Strawberry Fields out")
    parser.add_argument("--quick", action="store_true", help="two modes only")
    options = parser.parse_args()
    sf = None
    if not options.no_sf and find_spec("strawberryfields"):
        from fockjax.interop import oracle

        sf = oracle.load()
    print(
        f"Python {platform.python_version()}, jax {version('jax')}, {jax.devices()[0]}, complex64; "
        f"median (least to greatest) of {options.rounds} rounds"
    )
    for modes, cutoff in SIZES[: 1 if options.quick else None]:
        measure(modes, cutoff, options, sf)


if __name__ == "__main__":
    main()
