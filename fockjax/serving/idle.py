"""Closes connections on which nothing moves, which uvicorn does only between two requests."""

import time
from collections.abc import Callable, Iterable
from typing import Any


class IdleConnections:
    """Closes connections that complete no request header for a while, such as those of clients that
    send a header a byte at a time, and those of clients that do not read their answers.

    Args:
        first: how long the first header may take, in seconds.
        next: how long the next one may take after a response; and for how long a client may read
            nothing of what waits for it.
        clock: returns monotonic seconds.
    """

    def __init__(self, first: float, next: float, clock: Callable[[], float] = time.monotonic):
        self._first, self._next, self._clock = first, next, clock
        self._seen: dict[Any, tuple[Any, int, float]] = {}

    def close(self, connections: Iterable[Any]) -> None:
        """Look at uvicorn's connections and close idle ones. To be called from time to time."""
        now, before = self._clock(), self._seen
        self._seen = {}
        for connection in connections:
            cycle = connection.cycle  # of a request and its response; None before the first
            unsent = connection.transport.get_write_buffer_size()
            last, rest, since = before.get(connection, (cycle, unsent, now))
            if cycle is not last or unsent < rest or (unsent and not rest):
                since = now  # something moved, or began to wait
            self._seen[connection] = (cycle, unsent, since)
            if unsent:  # closing would wait for the client to read it
                if now - since >= self._next:
                    connection.transport.abort()
                continue
            most = self._first if cycle is None else self._next
            if now - since >= most and (cycle is None or cycle.response_complete):
                connection.transport.close()
