"""Ports for servers that a test starts, stops and starts again.

Strategy: below those that the system gives to outgoing connections and to whoever binds port 0. A
port of these may be another test's by the time its server comes back. Until that server listens
nothing tells other processes that its port is given away: so the UDP port of the same number is
held, of which no test makes use.
"""

import os
import secrets
import socket
from collections import deque
from pathlib import Path
from typing import Final

_LEAST: Final = 10_240
_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_HELD: Final = 128
"""So many of the newest ports are held, longer than any test needs to make use of its own."""
_given: Final[set[int]] = set()
_holds: Final[deque[int]] = deque()
"""Descriptors."""


def free_port() -> int:
    """Find a TCP port that nothing listens on now and that no test on this machine was given,
    another one each time.
    """
    while True:
        port = _LEAST + secrets.randbelow(_end() - _LEAST)
        if port not in _given and _hold(port) and _is_free(port):
            _given.add(port)
            return port


def _end() -> int:
    """Return the first port that the system gives away by itself."""
    given = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
    return given if given > 2 * _LEAST else 65_536


def _hold(port: int) -> bool:
    with socket.socket(type=socket.SOCK_DGRAM) as hold:
        try:
            hold.bind(("127.0.0.1", port))
        except OSError:
            return False
        _holds.append(hold.detach())

    if len(_holds) > _HELD:
        os.close(_holds.popleft())
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
