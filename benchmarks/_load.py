"""Load on an HTTP server, made by a process of its own: at a rate, or as fast as it answers.

At a rate requests arrive as a Poisson process whatever the server does, and latency counts from
when a request was to be sent: one that had to wait for a connection, or for this process, was late
from the user's side as well (no coordinated omission).
"""

import collections
import multiprocessing
import selectors
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from _http import Answer, Connection

PATIENCE = 20.0  # seconds that the last answers may take


@dataclass(frozen=True)
class Load:
    """What to send.

    Args:
        port: of the server, on 127.0.0.1.
        requests: whole HTTP requests as bytes, sent in turns.
        seconds: how long, after `warm_up` seconds that are not counted.
        connections: most at a time.
        rate: requests a second; None: each connection sends again when it is answered.
        seed: of the times of arrival.
    """

    port: int
    requests: tuple[bytes, ...]
    seconds: float
    connections: int
    rate: float | None = None
    warm_up: float = 1.0
    seed: int = 0


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        latencies: seconds of each request that was answered with 200.
        lags: seconds from when each of these was to be sent until it was.
        statuses: how many answers had which HTTP status.
        lost: requests that were never answered.
        rate: answers with 200 a second.
        cpu: share of one core that this process took.
    """

    latencies: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    statuses: collections.Counter[int] = field(default_factory=collections.Counter)
    lost: int = 0
    rate: float = 0.0
    cpu: float = 0.0


def in_own_process(load: Load) -> Outcome:
    """Run the load in a fresh process and wait for what came of it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(run, load).result()


def run(load: Load) -> Outcome:
    """Send the load from this process."""
    return _Run(load).outcome


class _Client(Connection):
    """A connection and the request under way on it."""

    due = sent = 0.0  # when it was to be sent, and when it was


class _Run:
    def __init__(self, load: Load):
        self.load, self.outcome = load, Outcome()
        # Of the selectors only that of select() waits for less than a millisecond.
        self.busy, self.idle = selectors.SelectSelector(), []
        self.open = self.count = 0
        began = time.perf_counter()
        self.first, self.last = began + load.warm_up, began + load.warm_up + load.seconds
        cpu = time.process_time()
        self._send_all(began)
        self.outcome.cpu = (time.process_time() - cpu) / (time.perf_counter() - began)
        self.outcome.rate = len(self.outcome.latencies) / load.seconds

    def _send_all(self, began: float) -> None:
        dues = collections.deque(self._arrivals(began))
        end = self.last + PATIENCE
        while (now := time.perf_counter()) < end and (dues or self.busy.get_map()):
            while dues and dues[0] <= now and (client := self._free()):
                self._send(client, dues.popleft())
            can_send = dues and (self.idle or self.open < self.load.connections)
            until = dues[0] if can_send else end
            for key, _ in self.busy.select(max(until - time.perf_counter(), 0)):
                self._receive(key.data, dues)
        clients = [key.data for key in self.busy.get_map().values()]
        self.outcome.lost += sum(self._counts(client.due) for client in clients)
        self.outcome.lost += sum(map(self._counts, dues))
        for client in (*clients, *self.idle):
            client.close()

    def _arrivals(self, began: float) -> np.ndarray:
        if self.load.rate is None:
            return np.full(self.load.connections, began)
        length = self.last - began
        rng = np.random.default_rng(self.load.seed)
        count = rng.poisson(self.load.rate * length)  # whose times are then uniform
        return began + np.sort(rng.uniform(0, length, count))

    def _counts(self, due: float) -> bool:
        return self.first <= due < self.last

    def _free(self) -> _Client | None:
        while self.idle:
            client = self.idle.pop()
            if not client.closed:
                return client
            client.close()
            self.open -= 1
        if self.open == self.load.connections:
            return None
        self.open += 1
        return _Client(self.load.port)

    def _send(self, client: _Client, due: float) -> None:
        whole = self.load.requests[self.count % len(self.load.requests)]
        self.count += 1
        client.due, client.sent = due, time.perf_counter()
        client.send(whole)
        self.busy.register(client.socket, selectors.EVENT_READ, client)

    def _receive(self, client: _Client, dues: collections.deque[float]) -> None:
        try:
            answer = client.receive()
            if answer is None:
                return
        except ConnectionError:
            answer = None
        now = time.perf_counter()
        self.busy.unregister(client.socket)
        if answer is None:
            self.open -= 1
            client.close()
        else:
            self.idle.append(client)
        if self._counts(client.due):
            self._count(client, answer, now)
        if self.load.rate is None and now < self.last:
            dues.append(now)

    def _count(self, client: _Client, answer: Answer | None, now: float) -> None:
        if answer is None:
            self.outcome.lost += 1
            return
        self.outcome.statuses[answer.status] += 1
        if answer.status == 200:
            self.outcome.latencies.append(now - client.due)
            self.outcome.lags.append(client.sent - client.due)
