"""Beamsplitters whose angles depend on the input, beside making all their elements.

    python benchmarks/by_data.py [--rounds 5] [--quick]

One side is fockjax as it is. The other multiplies the elements of each beamsplitter out from its
eigenvectors, as fockjax does above cutoff 20 where the angles are weights. The circuit has two
layers of squeezers and a chain of such beamsplitters; it reads <x>, <p> of every mode. Times are
the least milliseconds of CPU time of alternating rounds. The answers are checked to agree.
"""

import argparse
import importlib
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from _circuits import encoded, inputs, quadratures, squared_error
from _timing import alternate, compile_fresh

import fockjax as fj

KERNEL = importlib.import_module("fockjax.gates.beamsplitter")
SETTINGS = [(2, 6, 128), (2, 10, 128), (2, 20, 128), (2, 32, 32), (2, 50, 16), (4, 6, 128)]


def circuit(modes: int) -> fj.Circuit:
    made = encoded(modes)
    for layer in range(2):
        for mode in range(modes):
            made.squeeze(fj.Weight(f"r{layer}{mode}"), mode=mode)
        for mode in range(modes - 1):
            theta = fj.Input(mode) * fj.Weight(f"theta{layer}{mode}")
            made.beamsplitter(theta, fj.Weight(f"phi{layer}{mode}"), modes=(mode, mode + 1))
    return made


def multiplied_out():
    """Within it, elements are made for each sample, without a table."""
    never = mock.patch.object(KERNEL.Spectral, "suited", lambda gate, others: _built(gate))
    return mock.patch.object(KERNEL, "TABLE", 0), never


def _built(gate):
    return KERNEL.core(gate.theta, gate.sizes, np.result_type(gate.theta.dtype, np.complex64))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="the first setting only")
    options = parser.parse_args()
    print(
        "| modes, cutoff, batch | | multiplied out ms | MB | fockjax ms | MB | gain |\n"
        + 7 * "|-"
        + "|"
    )
    for modes, cutoff, batch in SETTINGS[: 1 if options.quick else None]:
        made = circuit(modes)
        weights = dict.fromkeys(made.init(jax.random.key(0)), jnp.float32(0.3))
        x = inputs(made, batch)
        forward = quadratures(made, cutoff)
        gradient = jax.value_and_grad(squared_error(forward))
        for part, function in (("forward", forward), ("v+g", gradient)):
            table, applied = multiplied_out()
            with table, applied:
                sides = [compile_fresh(function, weights, x)]
            sides.append(compile_fresh(function, weights, x))
            theirs, ours = (jax.tree.leaves(side.run(weights, x)) for side in sides)
            for a, b in zip(theirs, ours, strict=True):
                np.testing.assert_allclose(a, b, atol=2e-6 * max(1, jnp.abs(a).max()))
            times = alternate([side.run for side in sides], (weights, x), options.rounds)
            least = [min(time.cpu) for time in times]
            cells = [
                f"{ms:.2f} | {s.temp_bytes / 1e6:.1f}" for ms, s in zip(least, sides, strict=True)
            ]
            gain = f"{least[0] / least[1]:.1f}"
            print(
                f"| {modes}, {cutoff}, {batch} | {part} | {' | '.join(cells)} | {gain} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
