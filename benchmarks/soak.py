"""`fockjax serve` under 200,000 good, bad, late and vanishing requests, all mixed.

    python benchmarks/soak.py [--requests 200000] [--clients 8]

Every answer is compared with what the model says in this process. An answer is "wrong" if it is not
the model's, or has a status other than the request deserves; a request is "lost" if it gets no
answer. Both counts must be zero. Memory must be flat: its median over the last third of the time is
at most 2% above that over the second third. Then the server is killed and started again. As it
keeps what was compiled, it must be ready on its port within 15 s; on a busy machine the processor
time printed beside is the better guide.
"""

import argparse
import collections
import json
import signal
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
from _http import Answer, Connection, request
from _served_model import inputs, make_model
from _servers import Server, fockjax_server, running
from _v2 import infer, outputs

from fockjax.inference import load_model

ROWS = inputs(2000)
MOST = 300  # rows of a request
SHARES = {"good": 0.7, "bad": 0.15, "late": 0.05, "vanishing": 0.1}
FLAT = 1.02
BAR = 15.0  # seconds, ready again after SIGKILL
BAD = [
    b"",
    b"\xff",
    b"[" * 5000,
    b'{"rows": [[1, 2, 3]]}',
    b'{"rows": [[1, 2, 3, NaN]]}',
    b'{"rows": [[1, 2, 3, 1e400]]}',
    b'{"rows": [[1, 2, 3, "x"]]}',
]


class Client:
    """A user of the server, with a connection of its own."""

    def __init__(self, server: Server, expected: np.ndarray, seed: int):
        self.server, self.expected = server, expected
        self.rng = np.random.default_rng(seed)
        self.connection: Connection | None = None
        self.counts: collections.Counter[str] = collections.Counter()

    def run(self, count: int) -> collections.Counter[str]:
        """Send so many requests, one after the other."""
        for kind in self.rng.choice(list(SHARES), count, p=list(SHARES.values())):
            try:
                right = getattr(self, kind)()
            except OSError as error:  # reset, closed, or nothing within the timeout
                self.counts[f"lost: {kind}, {type(error).__name__}"] += 1
                self._hang_up()
            else:
                self.counts[kind if right else f"wrong: {kind}"] += 1
        self._hang_up()
        return self.counts

    def good(self) -> bool:
        whole, expected = self._request()
        return self._is_right(self._ask(whole), expected)

    def bad(self) -> bool:
        body = BAD[self.rng.integers(len(BAD))]
        answer = self._ask(request("POST", "/predict", body))
        return answer.status == 400 and bool(json.loads(answer.body)["error"])

    def late(self) -> bool:
        """Wants an answer within 0.1 to 10 ms."""
        start = self.rng.integers(len(ROWS) - MOST)
        timeout = int(10 ** self.rng.uniform(2, 4))
        value = {"rows": ROWS[start : start + 5].tolist(), "parameters": {"timeout": timeout}}
        answer = self._ask(request("POST", "/predict", json.dumps(value).encode()))
        if answer.status != 200:
            return answer.status == 504
        found = [row["prediction"] for row in json.loads(answer.body)["predictions"]]
        return np.allclose(found, self.expected[start : start + 5], rtol=1e-4, atol=1e-4)

    def vanishing(self) -> bool:
        """Leaves amid its request, or before the answer."""
        whole, _ = self._request()
        connection = self._connected()
        connection.send(whole[: self.rng.integers(1, 2 * len(whole))])
        self._hang_up()
        return True

    def _request(self) -> tuple[bytes, np.ndarray]:
        count = int(MOST ** self.rng.uniform())
        start = self.rng.integers(len(ROWS) - MOST)
        part = slice(start, start + count)
        return infer("model", ROWS[part], bool(self.rng.integers(2))), self.expected[part]

    def _is_right(self, answer: Answer, expected: np.ndarray) -> bool:
        if answer.status != 200:
            return False
        return np.allclose(outputs(answer)["prediction"], expected, rtol=1e-4, atol=1e-4)

    def _ask(self, whole: bytes) -> Answer:
        connection = self._connected()
        connection.send(whole)
        return connection.answer()

    def _connected(self) -> Connection:
        if self.connection is None or self.connection.closed:
            self._hang_up()
            self.connection = Connection(self.server.port)
        return self.connection

    def _hang_up(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def watch(server: Server, over: threading.Event) -> list[int]:
    """The server's resident bytes, ten times a second until it is over."""
    process, found = psutil.Process(server.process.pid), []
    while not over.wait(0.1):
        found.append(process.memory_info().rss)
    return found


def compiled(server: Server) -> float:
    """How many programs the server has compiled."""
    lines = server.get("/metrics").body.decode().splitlines()
    return float(
        next(line for line in lines if line.startswith("fockjax_compiles_total")).split()[1]
    )


def main(count: int, clients: int, folder: Path) -> bool:
    """Whether all went well."""
    model = make_model(folder / "model", modes=2, cutoff=6, layers=1)
    expected = load_model(model)(ROWS).prediction
    options = ("--compiled", str(folder / "compiled"))
    with running(fockjax_server(model, folder / "log", *options)) as server:
        server.wait_for()
        before, began, over = compiled(server), time.perf_counter(), threading.Event()
        with ThreadPoolExecutor(clients + 1) as pool:
            memory = pool.submit(watch, server, over)
            parts = [count // clients + (k < count % clients) for k in range(clients)]
            users = [Client(server, expected, seed) for seed in range(clients)]
            try:
                done = list(pool.map(Client.run, users, parts))
            finally:
                over.set()
        seconds = time.perf_counter() - began
        compilations = compiled(server) - before
        server.stop(signal.SIGKILL)
    began = time.perf_counter()
    with running(fockjax_server(model, folder / "log", *options, port=server.port)) as server:
        server.wait_for()
        again, cpu = time.perf_counter() - began, server.cpu()
        ended = server.stop()
    counts = sum(done, collections.Counter())
    thirds = np.array_split(memory.result(), 3)
    medians = [statistics.median(third.tolist()) for third in thirds]
    print(f"{counts.total():,} requests of {clients} clients in {seconds:.0f} s")
    for name, number in sorted(counts.items()):
        print(f"  {name:30} {number:9,}")
    print("memory, median of each third:", *(f"{each / 1e6:.1f} MB" for each in medians))
    print(f"compilations: {compilations:.0f}; exit code after SIGTERM: {ended}")
    verdict = "met" if again <= BAR else "NOT met"
    print(f"ready again after SIGKILL: {again:.1f} s, of which {cpu:.1f} s of processor time")
    print(f"Bar: ready again within {BAR:g} s: {verdict}")
    well = set(counts) == set(SHARES) and counts.total() == count and not compilations + ended
    return well and medians[2] < FLAT * medians[1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--clients", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        good = main(given.requests, given.clients, Path(temporary))
    print("all well" if good else "NOT all well")
    sys.exit(not good)
