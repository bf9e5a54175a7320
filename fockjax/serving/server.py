"""The process of `fockjax serve`: signals, sockets and threads."""

import asyncio
import contextlib
import gc
import logging
import math
import os
import signal
import socket
import ssl
import sys
import threading
import time

import jax
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from fockjax._advice import UserError
from fockjax.runtime import keep_compiled
from fockjax.serving import http
from fockjax.serving.app import HEALTH, Unrouted, error_response, make_app
from fockjax.serving.config import ServeConfig
from fockjax.serving.errors import Refused
from fockjax.serving.idle import IdleConnections
from fockjax.serving.model import Model
from fockjax.serving.service import DEVICE_THREAD, LOADING_THREAD, Service
from fockjax.serving.supervisor import notify

SWITCH = 5e-4  # seconds after which a Python thread lets another one run
NICE = 5  # added to the niceness of the threads that compute
KEEP_ALIVE = (
    75  # seconds that a connection may be idle between requests: more than balancers keep it
)
SPARE_FILES = 64  # beside connections
YOUNG = 10_000  # new objects before garbage is collected; more than the requests under way have


def serve(config: ServeConfig) -> None:
    """Serve a model until SIGTERM or SIGINT, then answer the requests under way and return.

    Raises:
        UserError: for options, a folder or an address that cannot be used.
    """
    config.check()
    # Before JAX starts: a batch runs in the thread that waits for it, not in another one.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    service = Service(config, settle=_settle)
    with _listen(config.host, config.port) as listener:
        service.load_first()
        _prepare_process(config)
        server = _Server(make_app(service), service)
        scheme = "https" if config.ssl_certfile else "http"
        host, port = listener.getsockname()[:2]
        logging.getLogger("fockjax.serving").info(
            "%s on %s://%s:%d",
            config.model_name,
            scheme,
            f"[{host}]" if ":" in host else host,
            port,
        )
        server.run(sockets=[listener])
    ours = (DEVICE_THREAD, LOADING_THREAD)
    if any(thread.name in ours for thread in threading.enumerate()):
        # A thread still compiles, or hangs. XLA cannot be told to stop, and the interpreter would
        # crash if it ended meanwhile. All requests are answered, and no file of ours is being
        # written.
        logging.shutdown()
        os._exit(0)


def _prepare_process(config: ServeConfig) -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("uvicorn.error").addFilter(http.is_ours)
    _allow_files(config.max_connections + SPARE_FILES)
    for name in ("fockjax", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.INFO)
    sys.setswitchinterval(SWITCH)
    gc.set_threshold(YOUNG)
    keep_compiled(config.compiled_folder())
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until a reload is possible


def _allow_files(wanted: int) -> None:
    """Let the process have so many files open, connections among them, if the system lets it."""
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < wanted:
            logging.getLogger("fockjax.serving").warning(
                "only %d files may be open, so fewer connections than --max-connections", soft
            )


class _Server(uvicorn.Server):
    """Uvicorn with our signals: from the first one on it is not ready, and accepts for a while."""

    def __init__(self, app: ASGIApp, service: Service):
        config = service.config
        super().__init__(
            uvicorn.Config(
                self._within_limit,
                interface="asgi3",
                http=http.protocol(service.metrics.unrouted),  # pyright: ignore[reportArgumentType]
                ssl_certfile=config.ssl_certfile,
                ssl_keyfile=config.ssl_keyfile,
                ws="none",
                access_log=False,
                log_config=None,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=int(config.deadline) + 1,
            )
        )
        self.app, self.service = app, service
        crowded = error_response(503, "too many connections", retry_after=1)
        crowded.headers["Connection"] = "close"
        self.crowded = Unrouted(service.metrics, crowded)
        self.stop_at = math.inf
        self.model: Model | None = None  # the service's model at the last tick
        self.idle = IdleConnections(service.config.deadline, KEEP_ALIVE)

    async def _within_limit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application. Unlike with uvicorn's own limit, the error is JSON, and health is told:
        more connections than it takes are no reason to restart it.
        """
        crowded = (
            len(self.server_state.connections) > self.service.config.max_connections
            and scope.get("path") not in HEALTH
        )
        await (self.crowded if crowded else self.app)(scope, receive, send)

    async def startup(self, sockets=None) -> None:
        await super().startup(sockets)
        if hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)

    def handle_exit(self, sig: int, frame) -> None:
        again = self.service.draining
        self.service.draining = True
        notify("STOPPING=1")
        self.force_exit = again and sig == signal.SIGINT
        self.stop_at = time.monotonic() + (0.0 if again else self.service.config.drain)

    async def on_tick(self, counter: int) -> bool:  # uvicorn calls it ten times a second
        service = self.service
        if service.ready and service.model is not self.model:
            self.model = service.model
            notify("READY=1")
        if counter % 10 == 0:
            self.idle.close(list(self.server_state.connections))
            if service.live:
                notify("WATCHDOG=1")
        return await super().on_tick(counter) or time.monotonic() >= self.stop_at

    def _reload(self) -> None:
        self._reloading = asyncio.ensure_future(self._try_reload())

    async def _try_reload(self) -> None:
        for read in (self.service.read_key, self._read_certificate):
            try:
                read()
            except UserError as error:
                logging.getLogger("fockjax.serving").error("the one before goes on: %s", error)
        with contextlib.suppress(Refused):  # it is in the log
            await self.service.reload()

    def _read_certificate(self) -> None:
        """Give new connections the certificate that is in its file now, if there is one.

        Loaded into the context that listens, it would replace the one before even if its key does
        not fit, and would stay beside it if their keys are of different types.
        """
        if self.config.ssl is not None:
            fresh = self.service.config.certificate()

            def renew(connection: ssl.SSLObject, *_: object) -> None:
                connection.context = fresh

            self.config.ssl.sni_callback = renew  # called without a server name, too


def _settle() -> None:
    """Prepare the process for a model that was just compiled.

    What lives as long as the model is excluded from garbage collection, since looking through it
    takes longer than many requests.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    _give_way()


def _give_way() -> None:
    """Give the event loop, which is the main thread, priority over the threads that compute.

    So requests are read and answers sent while a batch runs. Only Linux has priorities of threads.
    """
    if sys.platform == "linux":
        main = os.getpid()
        later = os.getpriority(os.PRIO_PROCESS, main) + NICE
        for thread in map(int, os.listdir("/proc/self/task")):
            if thread != main:
                with contextlib.suppress(OSError):  # it has ended
                    os.setpriority(os.PRIO_PROCESS, thread, later)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        both = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((host, port), family=family, backlog=2048, dualstack_ipv6=both)
    except (OSError, UnicodeError) as error:  # a name that cannot be one is no text for it
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"cannot listen on {host}, port {port}: {reason}") from None
