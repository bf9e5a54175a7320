"""Without jit, as in a notebook: what the first call of a process takes, and the next ones.

    python benchmarks/notebook.py [--cutoff 10] [--rounds 7] [--no-sf]

Two modes, squeezed, displaced and coupled. The first call compiles. Each row measures it in a
process of its own, in which the circuit is compiled already, except in the first row. Strawberry
Fields ("fock", complex128) answers the same questions; the answers are checked to agree.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
from _timing import alternate

import fockjax as fj
from fockjax.interop import oracle

AT = np.linspace(-4, 4, 81)
CIRCUIT = "the circuit, built anew, to its ket"
COHERENT = 0.3 * np.exp(0.2j)


def circuit() -> fj.Circuit:
    """Built anew by each call, as cells do."""
    circuit = fj.Circuit(2).squeeze(0.4, 0.3, mode=0).displace(fj.Weight("r"), 1.0, mode=1)
    return circuit.beamsplitter(0.7, 0.4).kerr(0.1, mode=0)


@dataclass(frozen=True)
class Call:
    """What we are asked, and Strawberry Fields where it has the same."""

    ours: Callable[[fj.State], Any]
    theirs: Callable | None = None


def shots(method: str, *arguments: Any, **options: Any) -> Call:
    return Call(
        lambda state: getattr(state, method)(jax.random.key(0), *arguments, shots=100, **options)
    )


CALLS = {
    CIRCUIT: Call(lambda state: run(state.cutoffs[0]).ket(), lambda state: state.ket()),
    "photon number": Call(
        lambda state: state.photon_number(0).mean, lambda state: state.mean_photon(0)[0]
    ),
    "mean of a quadrature": Call(
        lambda state: state.quadrature(0, 0.3).mean, lambda state: state.quad_expectation(0, 0.3)[0]
    ),
    "photon statistics": Call(
        lambda state: state.probabilities(0),
        lambda state: np.diag(state.reduced_dm(0)).real,
    ),
    "fidelity with a coherent state": Call(
        lambda state: state.fidelity_coherent([0.3, 0.3], [0.2, 0.2]),
        lambda state: state.fidelity_coherent([COHERENT, COHERENT]),
    ),
    "Wigner function, 81 x 81": Call(
        lambda state: state.wigner(0, AT, AT), lambda state: state.wigner(0, AT, AT)
    ),
    "density of x, 81 points": Call(lambda state: state.quadrature_distribution(0, AT)),
    "covariance": Call(lambda state: state.covariance()),
    "entropy": Call(lambda state: state.entropy(0)),
    "100 shots: photons": shots("sample_photons"),
    "100 shots: photons, efficiency 0.9": shots("sample_photons", efficiency=0.9),
    "100 shots: homodyne of one mode": shots("sample_homodyne", 0),
    "100 shots: heterodyne of one mode": shots("sample_heterodyne", 0),
    "a squeezer's matrix": Call(lambda state: fj.gates.squeezing(0.3, cutoff=state.cutoffs[0])),
    "a beamsplitter's matrix": Call(
        lambda state: fj.gates.beamsplitter(0.3, cutoff=state.cutoffs[0])
    ),
    "a GKP state": Call(lambda state: fj.kets.gkp(cutoff=state.cutoffs[0])),
}


def run(cutoff: int) -> fj.State:
    return circuit()({"r": 0.3}, cutoff=cutoff)


def measure(name: str, cutoff: int, rounds: int, with_sf: bool) -> dict[str, float]:
    """Seconds of the first call, of later ones, and of theirs."""
    call = CALLS[name]
    jax.block_until_ready(jax.random.key(0))  # starts JAX
    state = fj.vacuum((cutoff, cutoff)) if name == CIRCUIT else run(cutoff)
    state = jax.block_until_ready(state)
    start = time.perf_counter()
    jax.block_until_ready(call.ours(state))
    first = time.perf_counter() - start
    calls = [lambda: call.ours(state)]
    if with_sf and oracle.is_installed() and (theirs := call.theirs):
        sf, program = oracle.load(), fj.to_strawberryfields(circuit(), {"r": 0.3})

        def engine() -> Any:
            return sf.Engine("fock", backend_options={"cutoff_dim": cutoff}).run(program).state

        ready = engine()
        np.testing.assert_allclose(call.ours(state), theirs(ready), atol=2e-5)
        calls.append(lambda: theirs(engine() if name == CIRCUIT else ready))
    later = [times.median / 1e3 for times in alternate(calls, (), rounds)]
    return {"first": first} | dict(zip(("later", "theirs"), later, strict=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cutoff", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-sf", action="store_true")
    parser.add_argument("--only", choices=CALLS, help="one row, its seconds as JSON")
    options = parser.parse_args()
    if options.only:
        row = measure(options.only, options.cutoff, options.rounds, not options.no_sf)
        print(json.dumps(row))
        return
    print(f"JAX {version('jax')}, {jax.devices()[0].device_kind}, cutoff {options.cutoff}\n")
    print("| | first call s | later ms | Strawberry Fields ms |\n|-|-|-|-|", flush=True)
    for name in CALLS:
        command = [sys.executable, __file__, *sys.argv[1:], "--only", name]
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
        row = json.loads(ran.stdout.splitlines()[-1])
        theirs = f"{1e3 * row['theirs']:.2f}" if "theirs" in row else "-"
        print(f"| {name} | {row['first']:.2f} | {1e3 * row['later']:.2f} | {theirs} |", flush=True)


if __name__ == "__main__":
    main()
