"""Writes `tests/piquasso.npz`: random circuits and what Piquasso makes of the vacuum, with its
`PureFockSimulator`, which keeps the states with fewer photons in total than its cutoff.

Run by a Python that has piquasso (8.0.2 was used) but need not have fockjax:

    python benchmarks/peers/make_golden.py
"""

import json
from pathlib import Path

import numpy as np
import piquasso as pq

GATES = {
    "D": (pq.Displacement, 1),
    "S": (pq.Squeezing, 1),
    "R": (pq.Phaseshifter, 1),
    "K": (pq.Kerr, 1),
    "B": (pq.Beamsplitter, 2),
    "C": (pq.CrossKerr, 2),
}
CUTOFFS = {2: 10, 3: 10, 4: 10, 5: 8, 6: 7}  # the largest of so many modes
CIRCUITS = 50


def program(random: np.random.Generator, modes: int) -> list:
    gates = []
    for kind in random.permutation(list("DSRKBC" * 2 + "DSB" * (modes - 2))):
        angle = float(random.uniform(-np.pi, np.pi))
        values = {
            "D": [float(random.uniform(0.1, 0.5)), angle],
            "S": [float(random.uniform(0.05, 0.3)), angle],
            "B": [float(random.uniform(0.2, 1.4)), angle],
        }.get(kind, [angle])
        on = random.choice(modes, GATES[kind][1], replace=False)
        gates.append([str(kind), values, [int(mode) for mode in on]])
    return gates


def run(modes: int, below: int, gates: list) -> np.ndarray:
    """The amplitudes by total photon number, then mode by mode."""
    with pq.Program() as whole:
        pq.Q() | pq.Vacuum()
        for kind, values, on in gates:
            pq.Q(*on) | GATES[kind][0](*values)
    config = pq.Config(cutoff=below, dtype=np.float64)
    state = pq.PureFockSimulator(d=modes, config=config).execute(whole).state
    basis = [tuple(map(int, n)) for n in state.fock_probabilities_map]
    order = sorted(range(len(basis)), key=lambda k: (sum(basis[k]), basis[k]))
    return np.asarray(state.state_vector, complex)[order]


def main() -> None:
    random = np.random.default_rng(8)
    arrays = {}
    for index in range(CIRCUITS):
        modes = 3 if index == 0 else 2 + index % 5
        below = 6 if index == 0 else int(random.integers(3, CUTOFFS[modes] + 1))
        gates = program(random, modes)
        arrays[f"{index} program"] = np.array(json.dumps([modes, below, gates]))
        arrays[f"{index} state"] = run(modes, below, gates)
    path = Path(__file__).parents[2] / "tests" / "piquasso.npz"
    np.savez_compressed(path, **arrays)
    print(f"{path}: {CIRCUITS} circuits, {path.stat().st_size:,} bytes, piquasso {pq.__version__}")


if __name__ == "__main__":
    main()
