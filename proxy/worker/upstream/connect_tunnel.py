"""A tunnel through a proxy: CONNECT over a connected socket (RFC 9110 §9.3.6).

Strategy: the head of the answer is read octet by octet, some hundred calls for each new connection,
because what is behind it belongs to the upstream, which may speak first.
"""

import asyncio
import re
import socket
from typing import Final

MAX_HEAD_BYTES: Final = 8192
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")


async def open_tunnel(connected: socket.socket, authority: str, credentials: bytes) -> None:
    """Ask the proxy at the other end for a tunnel to `host:port`; afterwards the socket leads
    there.

    Raises:
        OSError: it refuses, or does not answer as a proxy does.
    """
    loop = asyncio.get_running_loop()
    name = authority.encode()
    if credentials:
        allowed = b"Proxy-Authorization: %b\r\n" % credentials
    else:
        allowed = b""
    await loop.sock_sendall(
        connected, b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (name, name, allowed)
    )

    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        octet = await loop.sock_recv(connected, 1)
        if not octet or len(head) >= MAX_HEAD_BYTES:
            raise OSError(
                "the proxy on the way (via) closed the connection or sent no answer of HTTP/1.1"
            )
        head += octet

    status = _STATUS.match(head)
    if status is None or status[1][:1] != b"2":
        answer = head.partition(b"\r\n")[0][:80].decode("ascii", "backslashreplace")
        raise OSError(f"the proxy on the way (via) answered {answer!r} to CONNECT")
