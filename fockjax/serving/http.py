"""HTTP as uvicorn reads it, within limits and without log lines that strangers can cause."""

import logging
from collections.abc import Callable

import orjson

MOST_HEADER = 2**16  # bytes of a request before its body
UNREADABLE = ("Invalid HTTP request received.", "Unsupported upgrade request.")
ADVICE = "No supported WebSocket library"


def protocol(refused: Callable[[int], object]) -> Callable | str:
    """What uvicorn takes as `http`: its protocol on httptools, which refuses headers of any length
    and answers in JSON; its own where there is no httptools (on Windows), which has a limit.

    Args:
        refused: called with the status of each request that is refused before it is one.
    """
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        return "h11"

    class Limited(HttpToolsProtocol):
        """Of one connection."""

        _header: int | None = None  # bytes of the header that is coming; None if none is

        def data_received(self, data: bytes) -> None:
            if self._header is not None:
                self._header += len(data)
                if self._header > MOST_HEADER:
                    self._refuse(431, f"a header of more than {MOST_HEADER} bytes")
                    return
            super().data_received(data)

        def on_message_begin(self) -> None:
            self._header = 0
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._header = None
            super().on_headers_complete()

        def send_400_response(self, msg: str) -> None:
            self._refuse(400, "this is not HTTP")

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
