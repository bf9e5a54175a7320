"""A server on a real socket in a thread of this process, whose model can be held back or broken."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import uvicorn
from _http import Answer, Connection, ask, request

from fockjax.serving import http
from fockjax.serving.app import make_app
from fockjax.serving.config import ServeConfig
from fockjax.serving.service import Service


class Served:
    """The server, and what happens to its device.

    Attributes:
        before: called on the device's thread with the rows of each batch, before they run.
        after: what becomes of their results.
        ran: the rows of each batch that ran.
    """

    def __init__(self, service: Service, port: int):
        self.service, self.port = service, port
        self.before: Callable[[np.ndarray], object] = lambda values: None
        self.after: Callable[[dict], dict] = lambda answer: answer
        self.ran: list[np.ndarray] = []
        self._started: list[Connection] = []

    def watch(self, model) -> None:
        """Run the batches of a model under the eyes of the test."""
        run = model.run

        def watched(values):
            self.before(values)
            answer = run(values)
            self.ran.append(values)
            return self.after(answer)

        model.run = watched

    def get(self, path: str) -> Answer:
        return ask(self.port, request("GET", path))

    def post(self, path: str, body: bytes, **headers: str) -> Answer:
        return ask(self.port, request("POST", path, body, headers))

    def start(self, whole: bytes) -> Connection:
        """Send a request without waiting for its answer."""
        connection = Connection(self.port)
        self._started.append(connection)
        connection.send(whole)
        return connection

    def hang_up(self) -> None:
        """Close what was started."""
        while self._started:
            self._started.pop().close()

    def waiting(self, rows: int) -> None:
        """Wait until so many rows are in the queue."""
        wait_until(lambda: self.service.batcher.rows == rows)

    @contextlib.contextmanager
    def held(self, request_: bytes) -> Iterator[Connection]:
        """The device is busy with this request until the block ends."""
        reached, released = threading.Event(), threading.Event()

        def hold(values):
            reached.set()
            assert released.wait(30)

        self.before = hold
        connection = self.start(request_)
        try:
            assert reached.wait(30)
            self.before = lambda values: None
            yield connection
        finally:
            released.set()


@contextlib.contextmanager
def serving(folder: Path, *, hang: float = 30.0, idle: float = 30.0, **options) -> Iterator[Served]:
    """A server that is ready."""
    config = ServeConfig(folder, name="model", **options)
    service = Service(config, hang=hang, idle=idle)
    listener = socket.create_server(("127.0.0.1", 0))
    served = Served(service, listener.getsockname()[1])
    service.load_first()
    assert service._first is not None
    served.watch(service._first)
    app = make_app(service)
    read_by = http.protocol(service.metrics.unrouted)
    server = uvicorn.Server(uvicorn.Config(app, http=read_by, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_until(lambda: service.ready)
        served.ran.clear()  # the probe
        yield served
    finally:
        served.hang_up()
        server.should_exit = True
        thread.join(30)
        listener.close()
        assert not thread.is_alive()


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Poll until it holds."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("waited in vain")
