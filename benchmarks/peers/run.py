"""fockjax and its peers side by side: the same circuits, each peer in an environment of its own.

    python benchmarks/peers/run.py [--workloads reference cvqnn10 cvqnn20] [--peers piquasso ...]
                                   [--rounds 7] [--batch N]

Run it with the Python that has fockjax. It makes .venv/peers/<peer> where that is missing, starts
every peer's script as a process, checks that the answers agree, and only then times them, turn by
turn. Any script runs alone as well: `.venv/peers/piquasso/bin/python with_piquasso.py cvqnn10`.

The answers: fockjax and Strawberry Fields cut each mode, Piquasso the total photon number, so that
at the timed inputs they differ by what each loses. All are compared on the same circuit with so
little light that neither loses anything; those that cut alike at the timed inputs too. The last
column is what each loses there: the largest deviation of <x> and <p> from fockjax at a higher
cutoff.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
from circuits import WORKLOADS, Workload
from environments import Unavailable, interpreter

LIGHT = 0.2  # the share of light at which all must agree
TOLERANCE = 2e-5  # of readouts and gradients of order 1 in complex64
LIMIT = 900  # seconds for one answer
STRAWBERRY_FIELDS = ("strawberryfields==0.23.0", "setuptools<81")


@dataclass(frozen=True)
class Peer:
    label: str
    script: str
    requirements: tuple[str, ...] = ()
    """If empty, it runs in the Python that runs this."""
    cuts_modes: bool = True
    """Whether it truncates as fockjax does."""


PEERS = {
    "fockjax": Peer("fockjax", "with_fockjax.py"),
    "piquasso": Peer(
        "Piquasso, JAX",
        "with_piquasso.py",
        ("piquasso==8.0.2", f"jax=={version('jax')}"),
        cuts_modes=False,
    ),
    "sf_tf": Peer(
        'Strawberry Fields "tf"',
        "with_sf_tf.py",
        (*STRAWBERRY_FIELDS, "tensorflow-cpu==2.21.0"),
    ),
    "sf_fock": Peer('Strawberry Fields "fock"', "with_sf_fock.py", STRAWBERRY_FIELDS),
}


class Session:
    """A peer's script, running; `ask` sends it one request."""

    def __init__(self, python: Path, script: str, workload: str, options: Iterable[str] = ()):
        command = [python, Path(__file__).with_name(script), workload, *options, "--serve"]
        self._stderr = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )
        self.hello = self._answer()

    def ask(self, operation: str, **request) -> dict:
        try:
            print(
                json.dumps({"operation": operation, **request}),
                file=self._process.stdin,
                flush=True,
            )
        except BrokenPipeError:
            pass  # _answer says why
        return self._answer()

    def _answer(self) -> dict:
        timer = threading.Timer(LIMIT, self._process.kill)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        if line:
            return json.loads(line)
        if timer.finished.is_set() and self._process.wait() == -9:
            raise Unavailable(f"no answer within {LIMIT} s")
        self._stderr.seek(0)
        lines = self._stderr.read().split("\n")
        raise Unavailable(
            next((line for line in reversed(lines) if line), "it ended without a word")
        )

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._stderr.close()


@dataclass
class Timing:
    first: float
    seconds: list[float] = field(default_factory=list)
    memory: float = 0.0
    calls: int = 1


@dataclass
class Row:
    """What is known of a peer on a workload."""

    peer: Peer
    session: Session | None = None
    timings: dict[str, Timing] = field(default_factory=dict)
    results: dict[tuple[str, float], list] = field(default_factory=dict)
    samples: str = ""
    scale: float = 1.0
    loss: float | None = None
    failure: str = ""

    def attempt(self, step: Callable, *arguments) -> None:
        """A step of the comparison; if it fails, the row says so and is left out of later ones."""
        if not self.failure:
            try:
                step(self, *arguments)
            except Unavailable as reason:
                self.failure = str(reason)


def start(row: Row, name: str, workload: str, batch: int) -> None:
    python = interpreter(name, row.peer.requirements) if row.peer.requirements else sys.executable
    row.session = Session(python, row.peer.script, workload, ["--batch", str(batch)])
    hello = row.session.hello
    row.scale = batch / hello["samples"]
    row.samples = "" if row.scale == 1 else f" ({hello['samples']} samples, scaled)"
    print(f"{row.peer.label}: " + ", ".join(f"{k} {v}" for k, v in hello["versions"].items()))


def warm(row: Row) -> None:
    """First calls, which compile; a later one tells how many calls a turn takes."""
    for operation in row.session.hello["operations"]:
        answer = row.session.ask(operation)
        timing = row.timings[operation] = Timing(answer["seconds"])
        row.results[operation, 1.0] = answer["result"]
        answer = row.session.ask(operation, light=LIGHT)
        timing.calls = int(np.clip(0.2 / answer["seconds"], 1, 20))
        row.results[operation, LIGHT] = answer["result"]


def check(row: Row, ours: Row, converged: list) -> None:
    """That the answers agree."""
    for (operation, light), result in row.results.items() if row is not ours else ():
        if light == LIGHT or row.peer.cuts_modes:
            difference = deviation(result, ours.results[operation, light])
            print(f"{row.peer.label} - fockjax, {operation}, light {light}: {difference:.1e}")
            if not difference <= TOLERANCE:
                raise Unavailable(f"{operation} differs from fockjax's by {difference:.1e}")
    row.loss = deviation(row.results["forward", 1.0], converged)


def deviation(result, expected) -> float:
    """The largest difference of readouts, or of loss and gradient; of the samples that both ran."""
    if isinstance(result[-1], dict):
        pairs = [(result[0], expected[0])]
        pairs += [(result[1][name], expected[1][name]) for name in expected[1]]
    else:
        pairs = [(result, expected[: len(result)])]
    return max(float(np.abs(np.subtract(a, b)).max()) for a, b in pairs)


def turn(row: Row, operation: str, number: int) -> None:
    timing = row.timings.get(operation)
    if timing is None or (timing.calls == 1 and number >= 3):  # what is slow needs few turns
        return
    answer = row.session.ask(operation, calls=timing.calls)
    timing.seconds.append(answer["seconds"] * row.scale)
    timing.memory = max(timing.memory, answer["memory"] or 0.0)


def compare(name: str, workload: Workload, peers: Iterable[str], rounds: int) -> list[Row]:
    rows = {peer: Row(PEERS[peer]) for peer in ("fockjax", *peers)}
    ours = rows["fockjax"]
    for peer, row in rows.items():
        row.attempt(start, peer, name, workload.batch)
        row.attempt(warm)
    if not ours.failure:
        options = ["--batch", str(workload.batch), "--cutoff", str(workload.converged)]
        reference = Session(Path(sys.executable), ours.peer.script, name, options)
        converged = reference.ask("forward")["result"]
        reference.close()
        for row in rows.values():
            row.attempt(check, ours, converged)
        for operation in ("forward", "gradient"):
            for number in range(rounds):
                for row in rows.values():
                    row.attempt(turn, operation, number)
    for row in rows.values():
        if row.session:
            row.session.close()
    return list(rows.values())


HEADER = (
    "workload",
    "",
    "forward ms",
    "to fockjax",
    "value + gradient ms",
    "to fockjax",
    "compile s",
    "memory MiB",
    "lost",
)


def table(rows: dict[str, list[Row]]) -> str:
    """A Markdown table; a pair of numbers is forward / value and gradient."""
    lines = [HEADER, ("-",) * len(HEADER)]
    for title, peers in rows.items():
        for row in peers:
            lines.append((title, row.peer.label + row.samples, *cells(row, peers[0])))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cells(row: Row, ours: Row) -> tuple[str, ...]:
    if row.failure or ours.failure:
        return (f"not measured: {row.failure or 'fockjax failed'}", *"-" * (len(HEADER) - 3))
    runs, compiles, memory = [], [], []
    for operation in ("forward", "gradient"):
        timing = row.timings.get(operation)
        if timing is None:
            runs += ["-", "-"]
            continue
        middle = statistics.median(timing.seconds)
        runs.append(span([1e3 * seconds for seconds in timing.seconds]))
        runs.append(digits(middle / statistics.median(ours.timings[operation].seconds)))
        compiles.append(f"{timing.first - middle / row.scale:.1f}")
        memory.append(f"{timing.memory:.1f}" if timing.memory else "-")
    return (*runs, " / ".join(compiles), " / ".join(memory), f"{row.loss:.0e}")


def span(values: list[float]) -> str:
    """Median (least to greatest)."""
    middle = statistics.median(values)
    ends = (digits(value, middle) for value in (min(values), max(values)))
    return f"{digits(middle)} ({' to '.join(ends)})"


def digits(value: float, like: float | None = None) -> str:
    """With so many decimals as give `like`, or the value itself, three digits."""
    decimals = max(0, 2 - int(np.floor(np.log10(like or value))))
    return f"{value:.{decimals}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    others = [name for name in PEERS if name != "fockjax"]
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--peers", nargs="*", choices=others, default=others)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, help="in place of the workloads' own")
    options = parser.parse_args()
    rows = {}
    for name in options.workloads:
        workload = WORKLOADS[name]
        workload = replace(workload, batch=options.batch or workload.batch)
        title = f"{workload.title}, cutoff {workload.cutoff}, batch {workload.batch}"
        print(f"\n{title}")
        rows[title] = compare(name, workload, options.peers, options.rounds)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"\n{date.today()}, {os.cpu_count()} CPU cores ({platform.machine()}), load {load}; "
        f"median (least to greatest) of {options.rounds} turns, 3 of what is slow\n"
    )
    print(table(rows))


if __name__ == "__main__":
    main()
