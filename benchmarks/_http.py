"""Just enough of an HTTP client for a load: whole requests as bytes, one answer at a time."""

import contextlib
import select
import socket
from collections.abc import Mapping
from typing import NamedTuple


class Answer(NamedTuple):
    """What came back."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """A header's value, if it is there."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.decode().lower() == name.lower():
                return value.decode().strip()
        return None


def request(
    method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> bytes:
    """A whole request.

    >>> request("POST", "/predict", b"{}")
    b'POST /predict HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nContent-Length: 2\\r\\n\\r\\n{}'
    """
    fields = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **(headers or {})}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """A connection to 127.0.0.1 that is kept open; answers must tell their length."""

    def __init__(self, port: int, timeout: float | None = 30.0):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def send(self, whole: bytes) -> None:
        self._received = b""
        self.socket.sendall(whole)

    def receive(self) -> Answer | None:
        """Take what has come; the answer once it is complete.

        Raises:
            ConnectionError: if the other side closes before.
        """
        part = self.socket.recv(1 << 20)
        if not part:
            raise ConnectionResetError("closed before the answer was complete")
        self._received += part
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return None
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return None if len(body) < length else Answer(int(head[9:12]), head, body)

    @property
    def closed(self) -> bool:
        """Whether the other side has closed it; while nothing is under way."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def answer(self) -> Answer:
        """Wait for the answer."""
        while (answer := self.receive()) is None:
            pass
        return answer

    def close(self) -> None:
        self.socket.close()


def ask(port: int, whole: bytes, timeout: float = 30.0) -> Answer:
    """Send a request on a connection of its own and wait for the answer."""
    with contextlib.closing(Connection(port, timeout)) as connection:
        connection.send(whole)
        return connection.answer()
