"""The reference circuit through fockjax's public call, beside `naive.py` and Strawberry Fields.

    python benchmarks/reference.py [--rounds 11] [--no-sf]

Checks that all agree, then times them alternately in one process; compilation apart.
"""

import argparse
import platform
import statistics
import time
from importlib.metadata import version
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import naive
import numpy as np

import fockjax as fj

SF_SAMPLES = 4  # what the NumPy engine of Strawberry Fields runs; its time is scaled to the batch


def reference_circuit():
    """The circuit of `naive.py`; the names of the weights are the same."""
    r, phi = (fj.Weight(f"squeeze_{p}", (naive.LAYERS, naive.MODES)) for p in ("r", "phi"))
    theta, chi = (fj.Weight(f"mix_{p}", (naive.LAYERS, naive.MODES - 1)) for p in ("theta", "phi"))
    circuit = fj.Circuit(naive.MODES)
    for mode in range(naive.MODES):
        circuit.displace(fj.Input(mode), mode=mode)
    for layer in range(naive.LAYERS):
        for mode in range(naive.MODES):
            circuit.squeeze(r[layer, mode], phi[layer, mode], mode=mode)
        for mode in range(naive.MODES - 1):
            circuit.beamsplitter(theta[layer, mode], chi[layer, mode], modes=(mode, mode + 1))
    return circuit


CIRCUIT = reference_circuit()


def fockjax_forward(weights, x):
    return jax.vmap(lambda x: fj.nn.quadratures(CIRCUIT(weights, x, cutoff=naive.CUTOFF)))(x)


def compiled(forward, weights, x, target):
    """Executables of the forward pass and of value-and-gradient, with their compile times."""

    def loss(weights, x):
        return jnp.mean(jnp.sum((forward(weights, x) - target) ** 2, -1))

    for function in (forward, jax.value_and_grad(loss)):
        start = time.perf_counter()
        executable = jax.jit(function).lower(weights, x).compile()
        yield executable, time.perf_counter() - start


def alternate(functions, args, rounds, block=10):
    """Milliseconds per call of each function, one number a round, the functions taking turns."""
    times = [[] for _ in functions]
    for _ in range(rounds):
        for function, record in zip(functions, times, strict=True):
            jax.block_until_ready(function(*args))
            start = time.perf_counter()
            for _ in range(block):
                jax.block_until_ready(function(*args))
            record.append(1e3 * (time.perf_counter() - start) / block)
    return times


def sf_program(sf, values):
    """The circuit as an SF program; a parameter is a number, or a string to name it later."""
    program = sf.Program(naive.MODES)
    gate_values = (program.params(v) if isinstance(v, str) else float(v) for v in values)
    with program.context as q:
        for mode in range(naive.MODES):
            sf.ops.Dgate(next(gate_values), 0.0) | q[mode]
        for _ in range(naive.LAYERS):
            for mode in range(naive.MODES):
                sf.ops.Sgate(next(gate_values), next(gate_values)) | q[mode]
            for mode in range(naive.MODES - 1):
                sf.ops.BSgate(next(gate_values), next(gate_values)) | (q[mode], q[mode + 1])
    return program


def sf_parameters(weights, x):
    """All parameters in the order of `sf_program`; the first four are inputs, one per sample."""
    w = {name: np.asarray(value, float) for name, value in weights.items()}
    shared = [
        np.stack([w[f"{gate}_{first}"][layer], w[f"{gate}_phi"][layer]], -1).ravel()
        for layer in range(naive.LAYERS)
        for gate, first in (("squeeze", "r"), ("mix", "theta"))
    ]
    return [*np.asarray(x).T, *np.concatenate(shared)]


def sf_readout(ket):
    rows = [np.moveaxis(ket, mode, 0).reshape(naive.CUTOFF, -1) for mode in range(naive.MODES)]
    root = np.sqrt(np.arange(1, naive.CUTOFF))
    a = np.array([np.sum(r[:-1].conj() * r[1:] * root[:, None]) for r in rows])
    return 2 * np.concatenate([a.real, a.imag])


def sf_kets_tf(sf, values):
    """All samples in one batched run of the TensorFlow engine (complex64)."""
    import tensorflow as tf

    names = [f"p{i}" for i in range(len(values))]
    batch = len(values[0])
    engine = sf.Engine("tf", backend_options={"cutoff_dim": naive.CUTOFF, "batch_size": batch})
    tensors = {n: tf.constant(v, tf.float32) for n, v in zip(names, values, strict=True)}
    return engine.run(sf_program(sf, names), args=tensors).state.ket().numpy()


def sf_kets_fock(sf, values):
    """One run of the NumPy engine (complex128) per sample."""
    engine = sf.Engine("fock", backend_options={"cutoff_dim": naive.CUTOFF})
    samples = range(len(values[0]))
    programs = [sf_program(sf, [np.ravel(v)[b % np.size(v)] for v in values]) for b in samples]
    kets = []
    for program in programs:
        kets.append(engine.run(program).state.ket())
        engine.reset()
    return np.stack(kets)


def strawberry_fields(weights, x):
    """Label, seconds for a forward pass of the batch, readouts of the samples that were run."""
    from fockjax.interop import oracle

    sf = oracle.load()
    if find_spec("tensorflow"):
        run, label, samples = sf_kets_tf, 'SF "tf", batched', len(x)
    else:
        run, label, samples = sf_kets_fock, f'SF "fock", {SF_SAMPLES} samples, scaled', SF_SAMPLES
    run(sf, sf_parameters(weights, x[:2]))  # compiles what SF compiles
    start = time.perf_counter()
    kets = run(sf, sf_parameters(weights, x[:samples]))
    seconds = (time.perf_counter() - start) * len(x) / samples
    return label, seconds, np.stack([sf_readout(ket) for ket in kets])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--no-sf", action="store_true", help="leave Strawberry Fields out")
    options = parser.parse_args()

    weights, x = naive.init(jax.random.key(0))
    target = jax.random.normal(jax.random.key(1), (naive.BATCH, 2 * naive.MODES))
    names = ["naive", "fockjax"]
    pairs = [list(compiled(f, weights, x, target)) for f in (naive.forward, fockjax_forward)]

    expected, ours = (pair[0][0](weights, x) for pair in pairs)
    expected_gradient, our_gradient = (pair[1][0](weights, x)[1] for pair in pairs)
    forward_error = float(jnp.abs(expected - ours).max())
    gradient_error = max(
        float(jnp.abs(expected_gradient[k] - our_gradient[k]).max()) for k in weights
    )
    assert forward_error <= 2e-6, forward_error
    assert gradient_error <= 1e-5, gradient_error

    print(
        f"Reference circuit: {naive.MODES} modes, cutoff {naive.CUTOFF}, {naive.LAYERS} layers, "
        f"batch {naive.BATCH}, complex64\n"
        f"Python {platform.python_version()}, jax {version('jax')}, {jax.devices()[0]}; "
        f"median (least to greatest) of {options.rounds} alternating rounds\n"
        f"fockjax - naive: forward {forward_error:.1e}, gradient {gradient_error:.1e}\n"
    )
    row = "{:32} {:>24} {:>24} {:>16}".format
    print(row("", "forward ms", "value + gradient ms", "compile s"))
    medians = []
    times = [
        alternate([pair[i][0] for pair in pairs], (weights, x), options.rounds) for i in (0, 1)
    ]
    for k, name in enumerate(names):
        cells = [
            f"{statistics.median(t[k]):.2f} ({min(t[k]):.2f} to {max(t[k]):.2f})" for t in times
        ]
        compile_times = " / ".join(f"{seconds:.1f}" for _, seconds in pairs[k])
        print(row(name, *cells, compile_times))
        medians.append([statistics.median(t[k]) for t in times])
    print(row("naive / fockjax", *(f"{a / b:.2f}" for a, b in zip(*medians, strict=True)), ""))

    if options.no_sf or not find_spec("strawberryfields"):
        return
    label, seconds, readouts = strawberry_fields(weights, x)
    sf_error = np.abs(readouts - np.asarray(ours)[: len(readouts)]).max()
    assert sf_error <= 5e-6, sf_error
    print(row(label, f"{1e3 * seconds:.0f}", "-", "-"))
    print(f"\nfockjax - SF: {sf_error:.1e}")


if __name__ == "__main__":
    main()
