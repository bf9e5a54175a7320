"""`fockjax serve` beside Mosec with the same model: latency and saturation.

    python benchmarks/serving.py [--circuit cvqnn] [--seconds 20] [--rounds 3] [--no-mosec]

The model has the reference circuit (4 modes, cutoff 6, 2 layers, 6 beamsplitters), or with
--circuit cvqnn the circuit that `fockjax train` makes of that size (24 beamsplitters). Requests
have 1 row or 128, as JSON or as bytes. First all are checked to be answered as the model answers in
this process.

Saturation is the rate that a fixed number of connections reach which send again as soon as they are
answered. The processor time of the server for each request, all its processes together, is measured
with it; a busy machine disturbs this figure least. Then requests arrive as a Poisson process at
half of that rate, in turns at either server, sent by a process of its own (`_load.py`).

Mosec runs as one worker process for each kind of request (`_mosec.py`), in an environment of its
own, which this script makes.
"""

import argparse
import contextlib
import json
import os
import platform
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from _http import Answer, ask, request
from _load import Load, Outcome, in_own_process
from _served_model import inputs, make_model, use_reference_circuit
from _servers import Server, fockjax_server, mosec_server, running
from _v2 import infer, outputs
from peers.environments import interpreter

from fockjax.inference import load_model

DIFFERENT = 20  # requests of a kind
BAR = 10.0  # milliseconds, p99 of 128 rows as bytes
MOSEC = "0.9.8"


@dataclass(frozen=True)
class Kind:
    """A kind of request, and how many at a time saturate a server."""

    rows: int
    binary: bool
    connections: int

    def __str__(self):
        return f"{self.rows:3} {'bytes' if self.binary else 'JSON'}"


KINDS = [Kind(1, False, 64), Kind(1, True, 64), Kind(128, False, 8), Kind(128, True, 8)]


@dataclass
class Served:
    """A server, how it is asked, how its answers are read, and what it did."""

    name: str
    server: Server
    ask: Callable[[np.ndarray, bool], bytes]
    read: Callable[[Answer], np.ndarray]  # predictions


def of_fockjax(folder: Path, server: Server) -> Served:
    def ask(rows: np.ndarray, binary: bool) -> bytes:
        return infer(folder.name, rows, binary)

    return Served("fockjax", server, ask, lambda answer: outputs(answer)["prediction"])


def of_mosec(server: Server) -> Served:
    def ask(rows: np.ndarray, binary: bool) -> bytes:
        path = "/one" if len(rows) == 1 else "/many"
        if binary:
            return request("POST", path, struct.pack("<I", len(rows)) + rows.tobytes())
        return request("POST", path, json.dumps({"rows": rows.tolist()}).encode())

    def read(answer: Answer) -> np.ndarray:
        assert answer.status == 200, answer
        if answer.body.startswith(b"{"):
            return np.array(json.loads(answer.body)["rows"])[:, 0]
        return np.frombuffer(answer.body, "<f4").reshape(-1, 2)[:, 0]

    return Served("Mosec", server, ask, read)


@contextlib.contextmanager
def started(model: Path, folder: Path, circuit: str, with_mosec: bool) -> Iterator[list[Served]]:
    """The servers, ready; their logs, and what is compiled, are in `folder`."""
    compiled = folder / "compiled"
    with contextlib.ExitStack() as stack:
        options = ("--compiled", str(compiled))
        program = ["-m", "fockjax.cli"]
        if circuit == "reference":
            program = [str(Path(__file__).with_name("_serve.py"))]
        ours = fockjax_server(model, folder / "fockjax.log", *options, program=program)
        stack.enter_context(running(ours)).wait_for()
        served = [of_fockjax(model, ours)]
        if with_mosec:
            theirs = mosec_server(model, folder / "mosec.log", mosec(), compiled, circuit)
            served.append(of_mosec(stack.enter_context(running(theirs))))
            for rows in (1, 128):
                theirs.wait_for(served[-1].ask(inputs(rows), True))
        yield served


def mosec() -> Path:
    """Its environment."""
    name = f"mosec-{sys.version_info.major}.{sys.version_info.minor}"
    return interpreter(name, (f"mosec=={MOSEC}",)).parents[1]


def check(kind: Kind, served: list[Served], model: Path) -> dict[str, tuple[bytes, ...]]:
    """The requests for each server, seen to be answered rightly."""
    predictor = load_model(model)
    batches = [inputs(kind.rows, seed) for seed in range(DIFFERENT)]
    expected = predictor(np.concatenate(batches)).prediction.reshape(DIFFERENT, -1)
    found = {}
    for each in served:
        found[each.name] = tuple(each.ask(rows, kind.binary) for rows in batches)
        for whole, right in zip(found[each.name], expected, strict=True):
            answer = each.read(ask(each.server.port, whole))
            np.testing.assert_allclose(answer, right, rtol=1e-4, atol=1e-4)
    return found


@dataclass
class Measured:
    """What a server did with a kind of request.

    Attributes:
        most: requests a second, saturated.
        cpu: the server's processor time then, milliseconds a request.
        rounds: what came of the rounds at half of that rate.
    """

    most: float
    cpu: float
    rounds: list[Outcome] = field(default_factory=list)

    def percentile(self, which: float) -> float:
        """Of the latencies of all rounds, milliseconds."""
        return 1e3 * float(np.percentile(sum((o.latencies for o in self.rounds), []), which))


def saturate(each: Served, load: Load) -> Measured:
    before = each.server.cpu()
    outcome = in_own_process(load)
    count = outcome.rate * (load.seconds + load.warm_up)
    return Measured(outcome.rate, 1e3 * (each.server.cpu() - before) / count)


def measure(
    kind: Kind, served: list[Served], model: Path, seconds: float, rounds: int
) -> dict[str, Measured]:
    """Of each server, by name."""
    requests = check(kind, served, model)
    loads = {
        each.name: Load(each.server.port, requests[each.name], seconds, kind.connections)
        for each in served
    }
    found = {each.name: saturate(each, loads[each.name]) for each in served}
    for seed in range(rounds):
        for name, one in found.items():
            at_half = replace(loads[name], rate=one.most / 2, connections=256, seed=seed)
            one.rounds.append(in_own_process(at_half))
    return found


HEADER = (
    "request    server   saturated: req/s  rows/s CPU/req  at req/s    p50     p99 (of the rounds) "
    "        p99.9  refused lost  load: CPU late p99"
)


def line(kind: Kind, name: str, found: Measured) -> str:
    each = [1e3 * np.percentile(outcome.latencies, 99) for outcome in found.rounds]
    late = 1e3 * np.percentile(sum((outcome.lags for outcome in found.rounds), []), 99)
    refused = sum(sum(o.statuses.values()) - o.statuses[200] for o in found.rounds)
    lost = sum(outcome.lost for outcome in found.rounds)
    cpu = max(outcome.cpu for outcome in found.rounds)
    return (
        f"{kind!s:10} {name:8} {found.most:16,.0f} {found.most * kind.rows:7,.0f} "
        f"{found.cpu:5.2f} ms {found.most / 2:9,.0f} {found.percentile(50):6.2f} "
        f"{found.percentile(99):7.2f} ({min(each):.2f} to {max(each):.2f}) "
        f"{found.percentile(99.9):8.2f} ms {refused:8} {lost:4} {cpu:10.0%} {late:5.2f} ms"
    )


def main(circuit: str, seconds: float, rounds: int, with_mosec: bool, folder: Path) -> None:
    if circuit == "reference":
        use_reference_circuit()
    model = make_model(folder / "served")
    print(
        f"{circuit} circuit; {os.cpu_count()} cores, {platform.machine()}; JAX {version('jax')}, "
        f"Python {platform.python_version()}" + (f", Mosec {MOSEC}" if with_mosec else "")
    )
    with started(model, folder, circuit, with_mosec) as served:
        print(HEADER)
        for kind in KINDS:
            found = measure(kind, served, model, seconds, rounds)
            for name, one in found.items():
                print(line(kind, name, one), flush=True)
    verdict = "met" if found["fockjax"].percentile(99) <= BAR else "NOT met"
    print(f"Bar: p99 of {KINDS[-1]} at half of saturation at most {BAR:g} ms: {verdict}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--circuit", choices=["reference", "cvqnn"], default="reference")
    parser.add_argument("--no-mosec", dest="mosec", action="store_false")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        main(given.circuit, given.seconds, given.rounds, given.mosec, Path(folder))
