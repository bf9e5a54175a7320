"""Closes connections on which no request arrives, which uvicorn does only after a first one."""

import time
from collections.abc import Callable, Iterable
from typing import Any


class IdleConnections:
    """Closes connections that complete no request header for a while, such as those of clients that
    send a header a byte at a time.

    Args:
        first: how long the first one may take, in seconds.
        next: how long the next one may take after a response.
        clock: returns monotonic seconds.
    """

    def __init__(self, first: float, next: float, clock: Callable[[], float] = time.monotonic):
        self._first, self._next, self._clock = first, next, clock
        self._seen: dict[Any, tuple[Any, float]] = {}

    def close(self, connections: Iterable[Any]) -> None:
        """Look at uvicorn's connections and close idle ones. To be called from time to time."""
        now, before = self._clock(), self._seen
        self._seen = {}
        for connection in connections:
            cycle = connection.cycle  # of a request and its response; None before the first
            last, since = before.get(connection, (cycle, now))
            since = since if cycle is last else now
            self._seen[connection] = (cycle, since)
            most = self._first if cycle is None else self._next
            if now - since >= most and (cycle is None or cycle.response_complete):
                connection.transport.close()
