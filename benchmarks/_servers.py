"""Servers in processes of their own, for benchmarks and for the tests of faults."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
from _http import Answer, ask, request

ROOT = Path(__file__).resolve().parents[1]
READY = request("GET", "/v2/health/ready")
START = 600.0  # seconds, on a busy machine


class Server:
    """A process that answers HTTP on a port of 127.0.0.1."""

    def __init__(self, command: Sequence[str], port: int, log: Path, **environment: str):
        self.port, self.log = port, log
        with open(log, "ab") as file:
            self.process = subprocess.Popen(
                command, stdout=file, stderr=file, env={**os.environ, **environment}
            )

    def get(self, path: str, timeout: float = 10.0) -> Answer:
        return ask(self.port, request("GET", path), timeout)

    def post(self, path: str, body: bytes, timeout: float = 30.0) -> Answer:
        return ask(self.port, request("POST", path, body), timeout)

    def wait_for(self, whole: bytes = READY, seconds: float = START) -> None:
        """Wait until a request, whether it is ready unless given, is answered with 200.

        Raises:
            RuntimeError: if the process ends before, or it takes longer; with the end of its log.
        """
        end = time.perf_counter() + seconds
        while time.perf_counter() < end and self.process.poll() is None:
            with contextlib.suppress(OSError):
                if ask(self.port, whole, 5).status == 200:
                    return
            time.sleep(0.05)
        with open(self.log, "rb") as file:
            file.seek(max(self.log.stat().st_size - 2000, 0))
            last = file.read(2000).decode(errors="replace")
        raise RuntimeError(f"{self.process.args} does not answer. Its log ends:\n{last}")

    def cpu(self) -> float:
        """Seconds that it and its children have computed."""
        first = psutil.Process(self.process.pid)
        times = [process.cpu_times() for process in (first, *first.children(recursive=True))]
        return sum(each.user + each.system for each in times)

    def stop(self, by: signal.Signals = signal.SIGTERM, seconds: float = 60.0) -> int:
        """Send a signal, and wait for the exit code."""
        self.process.send_signal(by)
        return self.process.wait(seconds)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """Stop the server at the end, whatever happened."""
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.terminate()
            try:
                server.process.wait(20)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()


def fockjax_server(
    model: Path,
    log: Path,
    *options: str,
    port: int | None = None,
    prefix: Sequence[str] = (),
    program: Sequence[str] = ("-m", "fockjax.cli"),
) -> Server:
    """`fockjax serve`, not yet ready; `prefix` is a command that starts it."""
    port = port or free_port()
    command = [sys.executable, *program, "serve", str(model), "--port", str(port)]
    return Server([*prefix, *command, *options], port, log, PYTHONPATH=str(ROOT))


def mosec_server(model: Path, log: Path, home: Path, compiled: Path, circuit: str) -> Server:
    """`_mosec.py`, not yet ready.

    Mosec is in the environment `home`, all else in this one; what another process has compiled is
    taken from the folder `compiled`.
    """
    port = free_port()
    command = [str(home / "bin" / "python"), str(ROOT / "benchmarks" / "_mosec.py")]
    options = ["--port", str(port), "--address", "127.0.0.1", "--timeout", "60000"]
    quiet = ["--log-level", "warning"]
    environment = {
        "MODEL": str(model),
        "CIRCUIT": circuit,
        "PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")]),
        "JAX_COMPILATION_CACHE_DIR": str(compiled),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return Server([*command, *options, *quiet], port, log, **environment)
