"""What a hostile connection sends, or asks to be sent: the least bytes that cost the most work."""

from dataclasses import dataclass
from typing import Final

from proxy.http2 import frames
from proxy.http2.frames import (
    END_HEADERS,
    END_STREAM,
    HEADERS,
    frame,
    rst_stream,
    settings,
    window_update,
)
from proxy.http2.hpack.encoder import encode_field

BLOCK_BYTES: Final = 1 << 18
"""What is sent at a time, again and again."""

_CHUNKED: Final = b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n"
_HANDSHAKE: Final = (
    b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SWITCH: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
)
LARGE: Final = "/hostile/large"
LARGE_BODY: Final = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BLOCK_BYTES + bytes(
    BLOCK_BYTES
)
"""What the upstream answers there."""
DOWNLOAD: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

CHUNKS: Final = {
    "1-byte chunks": b"1\r\nx\r\n",
    "20-byte chunks": b"14\r\n" + b"y" * 20 + b"\r\n",
    "chunks with extensions": b"1;a=b\r\nx\r\n",
    "chunks of line ends": b"2\r\n\r\n\r\n",
    "chunks with long extensions": b"1;a=%b\r\nx\r\n" % (b"b" * 4000),
}
FRAMES: Final = {
    "empty frames": b"\x81\0",
    "mixed frames": b"\x81\0\x89\x01x",
    "pings": b"\x89\x01x",
}
MASKED: Final = {
    "empty frames": b"\x81\x80mask",
    "mixed frames": b"\x81\x80mask\x89\x81maskx",
    "pings": b"\x89\x81maskx",
}
HELLO: Final = frames.PREFACE + settings(())
_IDS: Final = range(1, 8000, 2)
INTERIM: Final = b"HTTP/1.1 103 Early Hints\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Kind:
    """One hostile connection."""

    name: str
    opening: bytes
    """Sent once."""
    unit: bytes = b""
    """Then sent for ever; empty: the connection only reads."""
    waits: bool = False
    """Whether the answer's head is read before."""


def flood(path: str) -> tuple[bytes, bytes]:
    """Return what the upstream answers to a path of `/hostile/down`: once, and then for ever."""
    kind, _, name = path.removeprefix("/hostile/down/").replace("%20", " ").partition("/")
    if kind == "interim":
        return INTERIM, INTERIM
    if kind == "frames":
        return (SWITCH, FRAMES[name])
    return (DOWNLOAD, CHUNKS[name])


def kinds() -> list[Kind]:
    """Return all kinds, in the order in which they are measured."""
    found = [
        Kind(f"{name} up", post_in_chunks("/hostile/up"), unit) for name, unit in CHUNKS.items()
    ]
    found += [Kind(f"{name} down", request(f"/hostile/down/chunks/{name}")) for name in CHUNKS]
    found += [
        Kind(f"{name} up", handshake("/hostile/frames"), unit, waits=True)
        for name, unit in MASKED.items()
    ]
    found += [Kind(f"{name} down", handshake(f"/hostile/down/frames/{name}")) for name in FRAMES]
    large = b"POST /hostile/up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (1 << 50)
    found.append(Kind("large upload", large, bytes(BLOCK_BYTES)))
    found.append(Kind("pipelined requests", b"", request("/healthy")))
    found.append(Kind("refused requests", b"", request("/none")))
    found.append(Kind("interim responses", request("/hostile/down/interim/103")))
    found.append(Kind("empty lines", b"", b"\r\n"))
    found.append(Kind("heads of short fields", b"GET / HTTP/1.1\r\nHost: a\r\n", b"a:\r\n"))
    return found + http2_kinds()


def http2_kinds() -> list[Kind]:
    """Return those of HTTP/2; most end their connections, and come back on others."""
    upload = HELLO + stream(1, "/hostile/up", "POST", END_HEADERS)
    downloads = b"".join(stream(at, LARGE) for at in range(1, 200, 2))
    closed = frames.PREFACE + settings([(frames.INITIAL_WINDOW_SIZE, 0)])
    bomb = b"\x40\1x\x7f\x81\x1e" + b"y" * 3968 + b"\xbe" * 8000
    return [
        Kind("h2 rapid reset", HELLO, b"".join(stream(at) + rst_stream(at, 8) for at in _IDS)),
        Kind("h2 MadeYouReset", HELLO, b"".join(stream(at) + window_update(at, 0) for at in _IDS)),
        Kind(
            "h2 CONTINUATION",
            HELLO + frame(HEADERS, 0, 1, b""),
            frame(frames.CONTINUATION, 0, 1, b""),
        ),
        Kind("h2 PING", HELLO, frame(frames.PING, 0, 0, bytes(8))),
        Kind("h2 SETTINGS", HELLO, settings([(99, 1)] * 32)),
        Kind("h2 empty DATA", upload, frame(frames.DATA, 0, 1, b"")),
        Kind("h2 1-byte DATA", upload, frame(frames.DATA, 0, 1, b"x")),
        Kind("h2 refused requests", HELLO, b"".join(stream(at, "/none") for at in _IDS)),
        Kind("h2 window games", closed + downloads, window_update(1, 1) + window_update(3, 1)),
        Kind("h2 zero windows", closed + downloads),
        Kind("h2 HPACK bomb", HELLO, frame(HEADERS, END_HEADERS, 1, bomb)),
        Kind(
            "h2 heads over the limit",
            HELLO,
            b"".join(stream(at, more=b"\x90" * 2000) for at in _IDS[:500]),
        ),
    ]


def stream(
    number: int, path: str = "/healthy", method: str = "GET", flags: int = 0, more: bytes = b""
) -> bytes:
    """Return a request of HTTP/2; without flags a whole one."""
    pseudo = (
        (b":method", method.encode()),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", b"a"),
    )
    block = b"".join(encode_field(name, value) for name, value in pseudo) + more
    return frame(HEADERS, flags or END_HEADERS | END_STREAM, number, block)


def request(path: str) -> bytes:
    """Return a GET."""
    return b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % _target(path)


def handshake(path: str) -> bytes:
    """Return the request of a WebSocket."""
    return _HANDSHAKE % _target(path)


def post_in_chunks(path: str) -> bytes:
    """Return the head of an upload without a length."""
    return b"POST %b HTTP/1.1\r\n" % _target(path) + _CHUNKED


def _target(path: str) -> bytes:
    return path.replace(" ", "%20").encode()
