"""sd_notify: telling the service manager about READY, STOPPING and WATCHDOG (sd_notify(3)). stdlib only."""

import os
import socket
from typing import Final

TIMEOUT_S: Final = 0.2
"""A manager that reads nothing holds nobody up; one that lives reads within milliseconds."""


def notify(state: str) -> None:
    """Send one state to the manager named by NOTIFY_SOCKET; without one nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(TIMEOUT_S)
            out.connect(address)
            out.sendall(state.encode())
    except OSError:
        pass  # a manager that does not listen is no reason not to serve
