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

from _http import Answer, ask, request

ROOT = Path(__file__).resolve().parents[1]
START = 180.0  # seconds


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

    def wait_for(self, path: str, body: bytes | None = None, seconds: float = START) -> float:
        """Seconds until `path` answers 200.

        Raises:
            RuntimeError: if the process ends before, or it takes longer; with the end of its log.
        """
        began = time.perf_counter()
        while time.perf_counter() - began < seconds and self.process.poll() is None:
            with contextlib.suppress(OSError):
                method = "GET" if body is None else "POST"
                if ask(self.port, request(method, path, body or b""), 5).status == 200:
                    return time.perf_counter() - began
            time.sleep(0.05)
        end = self.log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{path} of {self.process.args} is not there. Its log ends:\n{end}")

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


def fockjax_server(model: Path, log: Path, *options: str, port: int | None = None) -> Server:
    """`fockjax serve`, not yet ready."""
    port = port or free_port()
    command = [sys.executable, "-m", "fockjax.cli", "serve", str(model), "--port", str(port)]
    return Server([*command, *options], port, log, PYTHONPATH=str(ROOT))


def mosec_server(model: Path, log: Path, home: Path) -> Server:
    """`_mosec.py`, not yet ready; Mosec is in the environment `home`, all else in this one."""
    port = free_port()
    command = [str(home / "bin" / "python"), str(ROOT / "benchmarks" / "_mosec.py")]
    options = ["--port", str(port), "--address", "127.0.0.1", "--timeout", "60000"]
    path = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    quiet = ["--log-level", "warning"]
    return Server([*command, *options, *quiet], port, log, PYTHONPATH=path, MODEL=str(model))
