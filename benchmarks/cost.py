"""What `Circuit.cost` foresees, beside what XLA says and what the clock says.

    python benchmarks/cost.py [--rounds 5] [--quick]

FLOPs, bytes and memory are printed as ratios to XLA's own figures. Time is the ratio to the least
time measured, after one `fj.calibrate()`.
"""

import argparse
import time

import jax
from _circuits import REFERENCE, encoded, inputs, quadratures, squared_error
from _timing import alternate, compile_fresh

import fockjax as fj

NETWORK = encoded(2).cvqnn_layers(3)
NOISY = fj.Circuit(2).displace(fj.Input(0), mode=0).squeeze(fj.Weight("r"), mode=1)
NOISY.beamsplitter(fj.Weight("theta")).loss(0.9, mode=0).kerr(0.1, mode=1)

ROWS = {
    "reference circuit, batch 1": (REFERENCE, 6, 1),
    "reference circuit, batch 128": (REFERENCE, 6, 128),
    "reference circuit, batch 1024": (REFERENCE, 6, 1024),
    "its cutoff 10, batch 16": (REFERENCE, 10, 16),
    "CV network, cutoff 10, batch 32": (NETWORK, 10, 32),
    "CV network, cutoff 20, batch 32": (NETWORK, 20, 32),
    "with loss, cutoff 8, batch 32": (NOISY, 8, 32),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="the first row only")
    options = parser.parse_args()
    start = time.perf_counter()
    machine = fj.calibrate()
    print(f"{machine}\nmeasured in {time.perf_counter() - start:.1f} s\n")
    row = "{:34}{:>9}{:>9}{:>8}{:>8}{:>8}{:>14}{:>13}{:>8}".format
    heads = ("", "", "counted s", "FLOPs", "bytes", "memory", "foreseen ms", "measured ms", "time")
    print(row(*heads))
    for name, (circuit, cutoff, batch) in list(ROWS.items())[: 1 if options.quick else None]:
        args = circuit.init(jax.random.key(0)), inputs(circuit, batch)
        forward = quadratures(circuit, cutoff)
        gradient = jax.value_and_grad(squared_error(forward))
        for part, function in (("forward", forward), ("gradient", gradient)):
            start = time.perf_counter()
            cost = fj.cost(function, *args)
            counted = time.perf_counter() - start
            compiled = compile_fresh(function, *args)
            said = compiled.run.cost_analysis()
            ratios = (
                sum(one.flops for one in cost.passes) / said["flops"],  # XLA: of a loop, one turn
                sum(one.bytes for one in cost.passes) / said["bytes accessed"],
                cost.memory / compiled.bytes,
            )
            (times,) = alternate([compiled.run], args, options.rounds)
            foreseen, measured = 1e3 * cost.seconds(machine), min(times.wall)
            print(
                row(
                    name,
                    part,
                    f"{counted:.2f}",
                    *(f"{ratio:.2f}" for ratio in ratios),
                    f"{foreseen:.2f}",
                    f"{measured:.2f}",
                    f"{foreseen / measured:.2f}",
                )
            )


if __name__ == "__main__":
    main()
