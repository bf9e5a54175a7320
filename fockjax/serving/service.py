"""What is behind the routes: the queue, the threads that own the device, and the current model.

The service is

- live, while those threads are alive, no batch runs for longer than `HANG` seconds, and the device
  has not failed to answer the probe row `MOST_FAILED` times in a row;
- ready, once a model is compiled and has given the known answer to its probe row. The probe is
  repeated before another model takes over, when the device has failed, and every `IDLE` seconds,
  also under load. While its answer is wrong no request is answered.
"""

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeVar

import numpy as np

from fockjax.runtime import RunError
from fockjax.runtime.run_record import RunRecord
from fockjax.serving.batcher import Answer, Batcher, Closed, Full
from fockjax.serving.config import ServeConfig
from fockjax.serving.errors import Refused
from fockjax.serving.metrics import Metrics
from fockjax.serving.model import LARGEST, THREADS, Model

T = TypeVar("T")

HANG, IDLE = 30.0, 30.0  # seconds
AGAIN, MOST_FAILED = 1.0, 10  # seconds after a probe without answer, and how many in a row
RECORDS = 200  # that /report shows
TOGETHER = 2  # batches given to the runner at once: it computes one while it reads the other
DEVICE_THREAD, LOADING_THREAD = "fockjax-device", "fockjax-loading"

log = logging.getLogger("fockjax.serving")


class Service:
    """One model behind one device.

    Args:
        config: the options.
        hang: seconds that a batch may run before the service counts as no longer live.
        idle: seconds after which the probe is repeated.
        settle: called when a model is compiled, before it answers.
    """

    def __init__(
        self,
        config: ServeConfig,
        *,
        hang: float = HANG,
        idle: float = IDLE,
        settle: Callable[[], object] = lambda: None,
    ):
        self.config, self.hang, self.idle, self._settle = config, hang, idle, settle
        self.metrics = Metrics()
        self.records: deque[RunRecord] = deque(maxlen=RECORDS)
        self.batcher = Batcher(
            LARGEST,
            config.max_wait / 1000,
            config.queue_rows,
            most=TOGETHER * LARGEST,
            dropped=lambda reason: self.metrics.dropped.labels(reason).inc(),
            future=lambda: asyncio.get_running_loop().create_future(),
            deliver=self._deliver,
        )
        self.model: Model | None = None
        self.draining = False
        self._right = False  # whether the model gave the known answer to its probe row
        self._threads = [
            threading.Thread(target=self._work, name=DEVICE_THREAD, daemon=True)
            for _ in range(THREADS)
        ]
        self.key: str | None = None
        self.read_key()
        self._first: Model | None = None  # the model, until it is compiled
        self._doubt = asyncio.Event()  # whether something failed since the last probe
        self._failed = 0  # probes in a row
        self._probed = -math.inf  # when
        self._reloading = asyncio.Lock()
        self._tasks: list[asyncio.Task] = []
        watch = self.metrics.watch
        watch("queue_rows", "Rows that wait.", lambda: self.batcher.rows)
        watch("live", "1 while the device answers.", lambda: self.live)
        watch("ready", "1 while requests are answered.", lambda: self.ready)

    # Its life

    def read_key(self) -> None:
        """Read the API key; UserError if it cannot be used, and the one before stays."""
        self.key = self.config.api_key()

    def load(self) -> Model:
        """Read the model in the folder; it is not compiled yet."""
        return Model(
            self.config.model, self.config.model_name, self.metrics, self.records, log.warning
        )

    def load_first(self) -> None:
        """Read the model to begin with, before `start`.

        Raises:
            UserError: for a folder that cannot be used.
        """
        self._first = self.load()

    async def start(self) -> None:
        """Start to work; the service becomes ready once the model is compiled."""
        self._loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()
        self._tasks = [asyncio.create_task(self._keep())]

    async def stop(self) -> None:
        """Answer what is in the queue, then stop the threads."""
        for task in self._tasks:
            task.cancel()
        self.batcher.close()
        end = time.monotonic() + self.config.deadline
        for thread in self._threads:
            await asyncio.to_thread(thread.join, max(end - time.monotonic(), 0.0))

    @property
    def live(self) -> bool:
        alive = all(thread.is_alive() for thread in self._threads)
        return alive and self.batcher.busy_for() < self.hang and self._failed < MOST_FAILED

    @property
    def ready(self) -> bool:
        return self._right and self.live and not self.draining

    async def reload(self) -> Model:
        """Replace the model by the one that is in the folder now, if that one is right.

        Raises:
            Refused: if the new one cannot be used, with status 400, or cannot be tried, with 503.
                Then the one before goes on.
        """
        async with self._reloading:
            try:
                model = await _in_thread(self.load)
                await _in_thread(model.warm_up)
                self._settle()
                right = await self._is_right(model)
            except Exception as error:
                right, reason = False, str(error) or type(error).__name__
                status = 503 if isinstance(error, Full | Closed | RunError | TimeoutError) else 400
            else:
                reason, status = "it does not give the known answer to its probe row", 400
            self.metrics.reloads.labels(str(right).lower()).inc()
            if not right:
                log.error("reload refused, the model before goes on: %s", reason)
                message = f"the model was not taken, the one before goes on: {reason}"
                raise Refused(status, message, retry_after=5 if status == 503 else None)
            self.model, self._right = model, True
            log.info("model %s in version %s took over", model.name, model.version)
            return model

    # Its work

    async def answer(
        self,
        model: Model,
        inputs: np.ndarray,
        end: float,
        gone: Callable[[], Awaitable[object]],
    ) -> Answer:
        """The results of inputs of a model.

        Args:
            model: the model.
            inputs: inputs of the model, (rows, inputs); at most as many rows as the queue takes.
            end: the `time.monotonic` by which they are wanted.
            gone: a coroutine function that returns once the client has gone.

        Raises:
            Refused: with status 429, 503 or 504, or 499 if the client has gone.
        """
        seconds = end - time.monotonic()
        try:
            answer = self.batcher.submit(model.run, inputs, seconds)
        except Full as error:
            raise Refused(429, f"too many requests: {error}", retry_after=1) from None
        except Closed:
            raise Refused(503, "the server is going down", retry_after=5) from None
        leaves = asyncio.ensure_future(gone())
        leaves.add_done_callback(lambda _: answer.cancel())
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise Refused(504, "not answered in time") from None
        except asyncio.CancelledError:
            if not leaves.done():  # this task itself was cancelled
                raise
            raise Refused(499, "the client has gone") from None
        except Exception as error:
            reason = "its thread has died" if isinstance(error, Closed) else str(error)
            if not self._doubt.is_set():
                known = isinstance(error, Closed | RunError)
                log.error("the device failed: %s", reason, exc_info=None if known else error)
            self._doubt.set()
            raise Refused(503, f"the device failed: {reason}", retry_after=5) from error
        finally:
            leaves.cancel()

    def current(self) -> Model:
        """The current model; `Refused` while there is none."""
        if self.model is None:
            raise Refused(503, "the model is being compiled", retry_after=5)
        return self.model

    def refuse_unless_right(self) -> None:
        """Raise `Refused` unless the model last gave the known answer to its probe row."""
        if not self._right:
            raise Refused(503, "the model has not given its known answer", retry_after=5)

    def _deliver(self, function: Callable[[], object]) -> None:
        """Call a function in the thread of the event loop, if that still runs."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)

    def _work(self) -> None:
        try:
            self.batcher.work()
        except BaseException:
            log.exception("a thread that owns the device has died")

    async def _keep(self) -> None:
        """Compile the first model, then probe the current one from time to time."""
        while self.model is None:
            assert self._first is not None
            try:
                await _in_thread(self._first.warm_up)
                self._settle()
                self.model = self.model or self._first  # a reload may have been faster
            except Exception:
                log.exception("the model cannot be compiled")
                await asyncio.sleep(self.idle)
        self._first = None
        while True:
            pause = min(AGAIN, self.idle) if self._failed else self.idle
            left = self._probed + pause - time.monotonic()
            if self._doubt.is_set() or left <= 0:
                self._doubt.clear()
                await self._probe()
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._doubt.wait()

    async def _probe(self) -> None:
        """Ask the current model for its probe row; a wrong answer makes the service not ready."""
        model = self.model
        assert model is not None
        try:
            right = await self._is_right(model)
            self._failed = 0
        except Full:  # soon again, whatever it was for
            self._probed = -math.inf
            await asyncio.sleep(min(AGAIN, self.idle))
            return
        except Exception as error:
            log.error("the probe row was not answered: %r", error)
            right = False
            self._failed += 1
        if model is not self.model:
            return
        self._probed = time.monotonic()
        if right != self._right:
            level = logging.INFO if right else logging.ERROR
            log.log(level, "the answer to the probe row is %s", "right" if right else "wrong")
        self._right = right

    async def _is_right(self, model: Model) -> bool:
        answer, right = self.batcher.submit(model.run, model.probe, self.hang), False
        try:
            right = model.is_right(await asyncio.wait_for(answer, self.hang))
        finally:
            self.metrics.probes.labels(str(right).lower()).inc()
        return right


async def _in_thread(function: Callable[[], T]) -> T:
    """Like asyncio.to_thread, but the process does not wait for the thread when it ends."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, name=LOADING_THREAD, daemon=True).start()
    return await asyncio.wrap_future(future)
