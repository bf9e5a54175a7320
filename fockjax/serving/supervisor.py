"""Messages to systemd, if it wants them (sd_notify(3)): that the service is ready or alive."""

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Send "READY=1", "WATCHDOG=1" or "STOPPING=1" to whoever supervises this process."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # in the abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.setblocking(False)
        with contextlib.suppress(BlockingIOError):  # the supervisor is not reading just now
            end.sendto(state.encode(), address)
