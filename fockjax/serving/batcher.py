"""A queue that runs requests together which come one by one.

Any thread may call `Batcher.submit`, which returns a future. `Batcher.work` takes batches and runs
them, in each of the threads that use the device.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

Answer = dict[str, np.ndarray]
"""Results by name, rows along the first axis."""
Run = Callable[[np.ndarray], Answer]
"""From rows to their results."""


class Full(Exception):
    """The queue has no room; `rows` are in it."""

    def __init__(self, rows: int):
        super().__init__(f"{rows} rows are waiting")
        self.rows = rows


class Closed(Exception):
    """The queue takes nothing more."""


@dataclass(eq=False)
class _Ticket:
    """A request in the queue."""

    run: Run
    deadline: float
    pieces: int
    future: Any  # of concurrent.futures or of asyncio
    found: dict[int, Answer] = field(default_factory=dict)
    given_up: bool = False

    def add(self, place: int, answer: Answer) -> None:
        """Add the results of a piece; with the last one missing, the request is answered."""
        self.found[place] = answer
        if len(self.found) == self.pieces:
            if self.pieces > 1:
                parts = [self.found[place] for place in range(self.pieces)]
                answer = {name: np.concatenate([part[name] for part in parts]) for name in answer}
            self._resolve(lambda: self.future.set_result(answer))

    def fail(self, error: BaseException) -> None:
        self._resolve(lambda: self.future.set_exception(error))

    def _resolve(self, action: Callable[[], None]) -> None:
        # Whoever asked may have gone, or may have an answer already.
        with contextlib.suppress(InvalidStateError, asyncio.InvalidStateError):
            action()


@dataclass(eq=False)
class _Piece:
    """At most a full batch of the rows of a ticket."""

    ticket: _Ticket
    place: int  # among the pieces of the ticket
    values: np.ndarray
    due: float  # the latest time to run it, if the device is free


class Batcher:
    """A queue of rows, in order, from which batches are taken.

    A request that finds the device idle runs at once. Others run when `largest` rows wait, or
    `wait` seconds after they came, or as soon as the device is free after that. While a batch runs,
    another thread starts one beside it only if `largest` rows wait. A request of at most `largest`
    rows is never split. A larger one is, and its results come back as one. Requests for different
    functions never share a batch.

    Args:
        largest: this many waiting rows are run without waiting for more.
        wait: seconds that a request may be held back to let others join it.
        capacity: rows that may wait.
        most: the most rows to take into one batch, if that many wait; default `largest`.
        clock: returns monotonic seconds.
        dropped: called with "expired" or "vanished" for a request that is dropped before it runs.
        future: makes the futures that `submit` returns.
        deliver: called with a function that resolves the futures of a batch, to be called where
            that is allowed.
    """

    def __init__(
        self,
        largest: int = 128,
        wait: float = 1e-3,
        capacity: int = 4096,
        *,
        most: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        dropped: Callable[[str], object] = lambda reason: None,
        future: Callable[[], Any] = Future,
        deliver: Callable[[Callable[[], object]], object] = lambda function: function(),
    ):
        self.largest, self.wait, self.capacity = largest, wait, capacity
        self.most = most or largest
        self.rows = 0  # in the queue
        self._clock, self._dropped = clock, dropped
        self._future, self._deliver = future, deliver
        self._pieces: deque[_Piece] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._running: list[float] = []  # when each batch under way began

    # For any thread

    def submit(self, run: Run, values: np.ndarray, seconds: float) -> Any:
        """Put rows, at least one, into the queue.

        Args:
            run: the function that they are for.
            values: shape (rows, ...).
            seconds: rows that have not begun to run after this time are dropped.

        Returns:
            A future of the results. It fails with what `run` raises, with TimeoutError if its rows
            are dropped, or with `Closed`. If it is cancelled its rows are dropped as well.

        Raises:
            Full: if there is no room.
            Closed: after `close`, or if the thread of `work` has died.
        """
        with self._changed:
            if self._closed:
                raise Closed
            if self.rows + len(values) > self.capacity:
                self._pieces = deque(piece for piece in self._pieces if self._wanted(piece))
                self.rows = sum(len(piece.values) for piece in self._pieces)
            if self.rows + len(values) > self.capacity:
                raise Full(self.rows)
            now = self._clock()
            first = not self._pieces
            idle = first and not self._running
            starts = range(0, len(values), self.largest)
            ticket = _Ticket(run, now + seconds, len(starts), self._future())
            due = now if idle else now + self.wait
            for place, start in enumerate(starts):
                piece = values[start : start + self.largest]
                self._pieces.append(_Piece(ticket, place, piece, due))
            self.rows += len(values)
            if idle or self.rows >= self.largest:  # else a thread will look again in time
                self._changed.notify()
        return ticket.future

    def close(self) -> None:
        """Refuse new rows; those in the queue are still answered."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def busy_for(self) -> float:
        """Seconds for which the longest of the current batches has been running; 0 if none is."""
        running = list(self._running)
        return self._clock() - min(running) if running else 0.0

    # For the threads that use the device

    def work(self) -> None:
        """Run batches until the queue is closed and empty."""
        try:
            while self._wait_for_batch():
                self.step()
        finally:  # even if this thread dies of something that is no Exception
            with self._changed:
                self._closed = True
                left, self._pieces, self.rows = self._pieces, deque(), 0
                self._changed.notify_all()
            self._deliver(partial(_fail, left, Closed()))

    def step(self) -> int:
        """Run one batch now if there are rows; returns how many there were."""
        with self._changed:
            batch = self._take()
            if not batch:
                return 0
            began = self._clock()
            self._running.append(began)
            if self.rows >= self.largest:
                self._changed.notify()
        try:
            self._run(batch)
        finally:
            self._running.remove(began)
        return sum(len(piece.values) for piece in batch)

    def delay(self) -> float | None:
        """Seconds until a batch is due, not positive if one is; None if that is not known yet."""
        if self._pieces and (self._closed or self.rows >= self.largest):
            return 0.0
        if not self._pieces or self._running:
            return None
        return self._pieces[0].due - self._clock()

    def _wait_for_batch(self) -> bool:
        """Wait until a batch is due; False if there will be none."""
        with self._changed:
            while (delay := self.delay()) is None or delay > 0:
                if delay is None and self._closed:
                    return False
                self._changed.wait(delay)
            return True

    def _take(self) -> list[_Piece]:
        """Take the pieces of the next batch from the queue, without those nobody waits for."""
        batch: list[_Piece] = []
        rows = 0
        while self._pieces:
            piece = self._pieces[0]
            if self._wanted(piece):
                full = rows + len(piece.values) > self.most
                if full or (batch and piece.ticket.run != batch[0].ticket.run):
                    break
                batch.append(piece)
                rows += len(piece.values)
            self._pieces.popleft()
            self.rows -= len(piece.values)
        return batch

    def _wanted(self, piece: _Piece) -> bool:
        """Whether someone still waits for a piece. If it is too late, its request fails."""
        ticket = piece.ticket
        late, over = self._clock() >= ticket.deadline, ticket.future.done()
        if not late and not over:
            return True
        # Count a request once, however many pieces it has, and not if it failed otherwise.
        if not ticket.given_up and (ticket.future.cancelled() or not over):
            self._dropped("expired" if late else "vanished")
            ticket.given_up = True
        self._deliver(partial(ticket.fail, TimeoutError()))
        return False

    def _run(self, batch: list[_Piece]) -> None:
        try:
            values = np.concatenate([piece.values for piece in batch])
            answer = batch[0].ticket.run(values)
        except Exception as error:
            self._deliver(partial(_fail, batch, error))
        except BaseException:  # this thread dies, but those who asked must get an answer
            self._deliver(partial(_fail, batch, Closed()))
            raise
        else:
            self._deliver(partial(_share, batch, answer))


def _share(batch: Iterable[_Piece], answer: Answer) -> None:
    """Give each piece its rows of the answer."""
    start = 0
    for piece in batch:
        stop = start + len(piece.values)
        answered = {name: part[start:stop] for name, part in answer.items()}
        piece.ticket.add(piece.place, answered)
        start = stop


def _fail(batch: Iterable[_Piece], error: BaseException) -> None:
    """Let the requests of all pieces fail."""
    for piece in batch:
        piece.ticket.fail(error)
