"""What `Circuit.cost` foresees, beside what XLA says and what the clock says.

    python benchmarks/cost.py [--rounds 5]

FLOPs, bytes and memory are printed as ratios to XLA's own figures. Time is the ratio to the least
time measured, after one `fj.calibrate()`.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import naive
from reference import CIRCUIT, alternate

import fockjax as fj

NETWORK = fj.Circuit(2).displace(fj.Input(0), mode=0).displace(fj.Input(1), mode=1).cvqnn_layers(3)
NOISY = fj.Circuit(2).displace(fj.Input(0), mode=0).squeeze(fj.Weight("r"), mode=1)
NOISY.beamsplitter(fj.Weight("theta")).loss(0.9, mode=0).kerr(0.1, mode=1)

ROWS = {
    "reference circuit, batch 1": (CIRCUIT, naive.CUTOFF, 1),
    "reference circuit, batch 128": (CIRCUIT, naive.CUTOFF, 128),
    "reference circuit, batch 1024": (CIRCUIT, naive.CUTOFF, 1024),
    "its cutoff 10, batch 16": (CIRCUIT, 10, 16),
    "CV network, cutoff 10, batch 32": (NETWORK, 10, 32),
    "CV network, cutoff 20, batch 32": (NETWORK, 20, 32),
    "with loss, cutoff 8, batch 32": (NOISY, 8, 32),
}


def program(circuit, cutoff, gradient):
    def read(weights, x):
        return jax.vmap(lambda x: fj.nn.quadratures(circuit(weights, x, cutoff=cutoff)))(x)

    if not gradient:
        return read
    return jax.value_and_grad(lambda weights, x: jnp.mean(jnp.sum(read(weights, x), -1)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    start = time.perf_counter()
    machine = fj.calibrate()
    print(f"{machine}\nmeasured in {time.perf_counter() - start:.1f} s\n")
    row = "{:34}{:>9}{:>9}{:>8}{:>8}{:>8}{:>14}{:>13}{:>8}".format
    heads = ("", "", "counted s", "FLOPs", "bytes", "memory", "foreseen ms", "measured ms", "time")
    print(row(*heads))
    for name, (circuit, cutoff, batch) in ROWS.items():
        weights = circuit.init(jax.random.key(0))
        x = 0.3 * jax.random.normal(jax.random.key(1), (batch, circuit.num_inputs))
        for gradient in (False, True):
            function = program(circuit, cutoff, gradient)
            start = time.perf_counter()
            cost = fj.cost(function, weights, x)
            counted = time.perf_counter() - start
            compiled = jax.jit(function).lower(weights, x).compile()
            said, memory = compiled.cost_analysis(), compiled.memory_analysis()
            standing = memory.argument_size_in_bytes + memory.output_size_in_bytes
            ratios = (
                sum(one.flops for one in cost.passes) / said["flops"],  # XLA: of a loop, one turn
                sum(one.bytes for one in cost.passes) / said["bytes accessed"],
                cost.memory / (standing + memory.temp_size_in_bytes),
            )
            (times,) = alternate([compiled], (weights, x), rounds)
            foreseen, measured = 1e3 * cost.seconds(machine), min(times)
            print(
                row(
                    name,
                    "gradient" if gradient else "forward",
                    f"{counted:.2f}",
                    *(f"{ratio:.2f}" for ratio in ratios),
                    f"{foreseen:.2f}",
                    f"{measured:.2f}",
                    f"{foreseen / measured:.2f}",
                )
            )


if __name__ == "__main__":
    main()
