"""HTTP as uvicorn reads it, within limits and without log lines that strangers can cause."""

import logging
from collections.abc import Callable
from typing import Any

import orjson

MOST_HEADER = 2**16  # bytes of the header of a request, and of what follows a chunk of its body
MOST_AHEAD = 64  # requests that a client may send before it has the answer to the one before them
UNREADABLE = ("Invalid HTTP request received.", "Unsupported upgrade request.")
ADVICE = "No supported WebSocket library"


def protocol(refused: Callable[[int], object]) -> Callable | str:
    """What uvicorn takes as `http`: its protocol on httptools, which refuses endless headers and
    answers in JSON; its own where there is no httptools (on Windows), which has a limit.

    Args:
        refused: called with the status of each request that is refused before it is one.
    """
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        return "h11"

    class Limited(HttpToolsProtocol):
        """Of one connection.

        It counts the bytes that arrive since the last header, chunk or part of a body. So they are
        of one header, or one line between chunks, or trailers, and the parser may be keeping them.
        """

        _header = 0
        _answering: Any = None  # the last request that was begun, with its response

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():  # TLS still delivers what has come
                return
            self._header += len(data)
            super().data_received(data)
            if self._header > MOST_HEADER and not self.transport.is_closing():
                self._refuse(431, f"a header of more than {MOST_HEADER} bytes")

        def on_headers_complete(self) -> None:
            self._header = 0
            super().on_headers_complete()
            self.headers = []  # trailers are no headers of the request
            if len(self.pipeline) > MOST_AHEAD:
                raise OverflowError  # which ends the parsing, and becomes a 400

        def on_body(self, body: bytes) -> None:
            self._header = 0
            super().on_body(body)

        def on_chunk_header(self) -> None:
            self._header = 0

        def on_chunk_complete(self) -> None:
            self._header = 0

        def _start_asgi_task(self, cycle: Any, app: Any) -> None:
            self._answering = cycle
            super()._start_asgi_task(cycle, app)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self._answering is not None:  # uvicorn tells the last request that has come
                self._answering.disconnected = True
                self._answering.message_event.set()

        def send_400_response(self, msg: str) -> None:
            ahead = len(self.pipeline) > MOST_AHEAD
            many = f"more than {MOST_AHEAD} requests are sent ahead of their answers"
            self._refuse(400, many if ahead else "this is not HTTP")

        def _refuse(self, status: int, reason: str) -> None:
            refused(status)
            body = orjson.dumps({"error": reason}, option=orjson.OPT_APPEND_NEWLINE)
            head = (
                f"HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
            self.transport.close()

    return Limited


def is_ours(record: logging.LogRecord) -> bool:
    """A filter for a log: whether its line is of the server, and not of what anyone can send, as
    garbage or an upgrade to WebSockets.
    """
    text = record.getMessage()
    return text not in UNREADABLE and not text.startswith(ADVICE)
