"""fockjax and its peers side by side: the same circuits, each peer in an environment of its own.

    python benchmarks/peers/run.py [--workloads reference cvqnn10 cvqnn20] [--peers piquasso ...]
                                   [--rounds 7] [--batch N]

Run it with the Python that has fockjax. It makes .venv/peers/<peer> where that is missing, starts
the script of each peer as a process, checks that the answers agree, and only then times them, turn
by turn. A peer that cannot be installed, fails or disagrees is named with the reason. Each script
runs alone as well: `.venv/peers/piquasso/bin/python benchmarks/peers/with_piquasso.py cvqnn10`.

The answers: fockjax and Strawberry Fields cut each mode, Piquasso the total photon number, so that
at the timed inputs they differ by what each loses. All are compared on the same circuit with so
little light that neither loses anything; those that cut alike at the timed inputs too. The column
"lost" is what each loses there: the largest deviation of <x> and <p> from fockjax at a higher
cutoff. "compile" is what a first call takes longer than later ones, "memory" what a call adds to
the memory of the process (Linux; what a library keeps in reserve is not seen).
"""

import argparse
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
from circuits import WORKLOADS, Workload
from environments import Unavailable, interpreter
from peers import PEERS
from session import Session
from table import Row, Timing, table

LIGHT = 0.2  # the share of light at which all must agree
TOLERANCE = 2e-5  # of readouts and gradients of order 1 in complex64
SLOW_TURNS = 3  # of what takes longer than a turn is meant to
TURN = 0.2  # seconds


def start(row: Row, name: str, batch: int) -> None:
    """The environment and the process."""
    peer, python = row.peer, Path(sys.executable)
    if peer.requirements:
        python = interpreter(peer.environment, peer.requirements)
    options = ["--batch", str(batch)]
    if name in peer.cutoffs:
        options += ["--cutoff", str(peer.cutoffs[name])]
    options += ["--double"] * peer.double
    row.session = Session(python, peer.script, [name, *options])
    hello = row.session.hello
    print(f"{peer.label}: " + ", ".join(f"{k} {v}" for k, v in hello["versions"].items()))
    if hello["samples"] != batch:
        row.scale = batch / hello["samples"]
        row.samples = f", {hello['samples']} samples, scaled"


def warm(row: Row) -> None:
    """First calls, which compile, and later ones with little light."""
    for operation in row.session.hello["operations"]:
        first = row.session.ask(operation)
        later = row.session.ask(operation, light=LIGHT)
        calls = int(np.clip(TURN / later["seconds"], 1, 20))
        row.timings[operation] = Timing(first["seconds"] - later["seconds"], calls)
        row.results[operation, 1.0] = first["result"]
        row.results[operation, LIGHT] = later["result"]


def check(row: Row, ours: Row, converged: list) -> None:
    """That the answers agree where they must, and what is lost where they need not."""
    for (operation, light), result in row.results.items():
        if row is not ours and (light == LIGHT or row.peer.cuts_modes):
            difference = deviation(result, ours.results[operation, light])
            print(f"{row.peer.label} - fockjax, {operation} at light {light}: {difference:.1e}")
            if not difference <= TOLERANCE:
                raise Unavailable(f"its {operation} is {difference:.1e} off fockjax's")
    row.lost = deviation(row.results["forward", 1.0], converged)


def deviation(result: list, expected: list) -> float:
    """The largest difference of readouts, or of loss and gradient; of the samples that both ran."""
    if isinstance(result[-1], dict):
        pairs = [(result[0], expected[0])]
        pairs += [(result[1][name], expected[1][name]) for name in expected[1]]
    else:
        pairs = [(result, expected[: len(result)])]
    return max(float(np.abs(np.subtract(a, b)).max()) for a, b in pairs)


def turn(row: Row, operation: str, number: int) -> None:
    timing = row.timings.get(operation)
    if timing and (timing.calls > 1 or number < SLOW_TURNS):
        answer = row.session.ask(operation, calls=timing.calls)
        timing.seconds.append(answer["seconds"] * row.scale)
        timing.memory = max(timing.memory, answer["memory"] or 0.0)


def converged(name: str, workload: Workload) -> list:
    """What fockjax reads at a cutoff at which next to nothing is lost."""
    options = ["--batch", str(workload.batch), "--cutoff", str(workload.converged)]
    session = Session(Path(sys.executable), PEERS["fockjax"].script, [name, *options])
    readouts = session.ask("forward")["result"]
    session.close()
    return readouts


def compare(name: str, workload: Workload, peers: Iterable[str], rounds: int) -> list[Row]:
    """A row of each peer, fockjax first."""
    chosen = [PEERS[peer] for peer in ("fockjax", *peers)]
    rows = [Row(peer) for peer in chosen if not peer.cutoffs or name in peer.cutoffs]
    ours = rows[0]
    for row in rows:
        row.attempt(start, name, workload.batch)
        row.attempt(warm)
    if not ours.failure:
        exact = converged(name, workload)
        for row in rows:
            row.attempt(check, ours, exact)
        for operation in ("forward", "gradient"):
            for number in range(rounds):
                for row in rows:
                    row.attempt(turn, operation, number)
    for row in rows:
        if row.session:
            row.session.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    others = [name for name in PEERS if name != "fockjax"]
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--peers", nargs="*", choices=others, default=others)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, help="in place of the workloads' own")
    options = parser.parse_args()
    workloads = {}
    for name in options.workloads:
        workload = WORKLOADS[name]
        workload = replace(workload, batch=options.batch or workload.batch)
        title = f"{workload.title}, cutoff {workload.cutoff}, batch {workload.batch}"
        print(f"\n{title}")
        workloads[title] = compare(name, workload, options.peers, options.rounds)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"\n{date.today()}, {os.cpu_count()} CPU cores ({platform.machine()}), load {load}; "
        f"median (least to greatest) of {options.rounds} turns, {SLOW_TURNS} of what is slow\n"
    )
    print(table(workloads))


if __name__ == "__main__":
    main()
