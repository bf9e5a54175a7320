"""The reference circuit through fockjax's public call, beside `naive.py` and Strawberry Fields.

    python benchmarks/reference.py [--rounds 11] [--no-sf]

Checks that all agree, then times them alternately in one process; compilation apart.
"""

import argparse
import platform
import time
from importlib.metadata import version
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import naive
import numpy as np
from _circuits import REFERENCE, quadratures, squared_error
from _timing import alternate, compile_fresh, ratio

SF_SAMPLES = 4  # what the NumPy engine of Strawberry Fields runs; its time is scaled to the batch


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
    names = ["naive", "fockjax"]
    sides = [
        [
            compile_fresh(f, weights, x)
            for f in (forward, jax.value_and_grad(squared_error(forward)))
        ]
        for forward in (naive.forward, quadratures(REFERENCE, naive.CUTOFF))
    ]

    expected, ours = (forward.run(weights, x) for forward, _ in sides)
    expected_gradient, our_gradient = (gradient.run(weights, x)[1] for _, gradient in sides)
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
    times = [
        alternate([part.run for part in parts], (weights, x), options.rounds)
        for parts in zip(*sides, strict=True)
    ]
    for name, parts, *cells in zip(names, sides, *times, strict=True):
        compile_times = " / ".join(f"{part.seconds:.1f}" for part in parts)
        print(row(name, *map(str, cells), compile_times))
    print(row("naive / fockjax", *(f"{ratio(*both):.2f}" for both in times), ""))

    if options.no_sf or not find_spec("strawberryfields"):
        return
    label, seconds, readouts = strawberry_fields(weights, x)
    sf_error = np.abs(readouts - np.asarray(ours)[: len(readouts)]).max()
    assert sf_error <= 5e-6, sf_error
    print(row(label, f"{1e3 * seconds:.0f}", "-", "-"))
    print(f"\nfockjax - SF: {sf_error:.1e}")


if __name__ == "__main__":
    main()
