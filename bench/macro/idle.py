"""What an idle connection keeps in memory: each of many asks once, as a browser does, and then says
nothing.
"""

import socket
from typing import Final
from urllib.parse import urlsplit

from bench.macro import ledger, measure
from bench.macro.load import LoadFailed
from bench.macro.peers import Peer
from bench.macro.scripts import TEN_HEADERS
from proxy.http2 import frames
from proxy.http2.hpack.encoder import encode_integer
from proxy.http2.hpack.static_table import INDEX_OF_NAME

FIRST: Final = 500
"""Connections before the counted ones: what the first requests need once is not theirs."""
COUNT: Final = 2000
_HTTP1: Final = "".join(
    f"{name}: {text}\r\n" for name, text in {"Host": "bench.local", **TEN_HEADERS}.items()
)


def request(*, is_http2: bool) -> bytes:
    """Return a GET with ten headers; over HTTP/2 they go into the connection's table, where they
    stay.
    """
    if not is_http2:
        return f"GET /json HTTP/1.1\r\n{_HTTP1}\r\n".encode()
    fields = {
        ":method": "GET",
        ":scheme": "http",
        ":path": "/json",
        ":authority": "bench.local",
        **TEN_HEADERS,
    }
    block = [_field(name.lower().encode(), text.encode()) for name, text in fields.items()]
    hello = frames.PREFACE + frames.settings([]) + frames.frame(frames.SETTINGS, frames.ACK, 0, b"")
    return hello + frames.header_frames(1, b"".join(block), is_end=True)


def _field(name: bytes, value: bytes) -> bytes:
    """Return a field that goes into the table; its name is an index where the static table has it."""
    at = INDEX_OF_NAME.get(name, 0)
    named = b"" if at else encode_integer(len(name), 0x7F, 0) + name
    return encode_integer(at, 0x3F, 0x40) + named + encode_integer(len(value), 0x7F, 0) + value


def opened(url: str, asked: bytes, count: int) -> list[socket.socket]:
    """Open connections one behind the other; each has its answer.

    Raises:
        LoadFailed: one has not.
    """
    found = []
    for number in range(count):
        found.append(socket.create_connection(("127.0.0.1", urlsplit(url).port or 80), timeout=10))
        found[-1].sendall(asked)

        answer = b""
        while not answer.rstrip(b"\0\1").endswith(b'"}'):
            data = found[-1].recv(65536)
            answer += data
            if not data:
                raise LoadFailed(f"idle connection {number} ended behind {answer[-200:]!r}")

    return found


def memory_around(peer: Peer, *, is_http2: bool) -> dict[str, list[int]]:
    """Return the own memory by role before and after `COUNT` connections that have become idle."""
    asked = request(is_http2=is_http2)
    connections = opened(peer.url, asked, FIRST)
    ledger.wait_settled(peer)
    before = measure.memory_by_role(measure.tree(peer.pid))
    connections += opened(peer.url, asked, COUNT)
    ledger.wait_settled(peer)
    after = measure.memory_by_role(measure.tree(peer.pid))
    for connection in connections:
        connection.close()
    return {role: [before[role], after[role]] for role in before}
