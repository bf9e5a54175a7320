"""Messages to systemd, if it wants them (sd_notify(3)): that the service is ready or alive."""

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Send "READY=1", "WATCHDOG=1" or "STOPPING=1" to whoever supervises this process.

    A message that cannot be sent is none of the service's business: it goes on.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # in the abstract namespace
        address = "\0" + address[1:]
    with (
        contextlib.suppress(OSError),  # nobody is there, or reading just now
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end,
    ):
        end.setblocking(False)
        end.sendto(state.encode(), address)
