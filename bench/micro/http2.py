"""The codec of HTTP/2 in memory: ten fields of a request, and whole exchanges of a server, without
sockets.
"""

from collections.abc import Callable, Iterator
from typing import Final

from bench.micro.measure import Measure, measured
from proxy.http2 import frames
from proxy.http2.budget import Limits
from proxy.http2.connection import Connection
from proxy.http2.hpack.decoder import Decoder
from proxy.http2.hpack.encoder import LineEncoder, encode_field, encode_integer

COUNT: Final = 2000
_FIELDS: Final = (
    (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/pkg.Service/Get"), (b":authority", b"bench.local:8080"),
    (b"content-type", b"application/grpc"), (b"te", b"trailers"), (b"grpc-timeout", b"5S"), (b"accept", b"*/*"),
    (b"user-agent", b"grpc-python/1.85.0 grpc-c/53.0.0 (linux; chttp2)"), (b"grpc-accept-encoding", b"identity,gzip"),
)  # fmt: skip
_LINES: Final = (
    b"Content-Type: application/grpc\r\nServer: bench\r\nDate: Sun, 22 Nov 2026 02:30:04 GMT\r\n"
)


def _indexed(name: bytes, value: bytes) -> bytes:
    return b"\x40" + b"".join(encode_integer(len(text), 0x7F, 0) + text for text in (name, value))


def _blocks(*, varied: bool) -> list[bytes]:
    """Return a block that fills the table, then those that refer to it; varied ones have their own
    path and id.
    """
    first = b"".join(_indexed(name, value) for name, value in _FIELDS)
    again = b"".join(encode_integer(71 - at, 0x7F, 0x80) for at in range(10))
    found = [first]

    for at in range(COUNT):
        path = encode_field(b":path", b"/items/%d" % at)
        number = encode_field(b"x-id", b"%032x" % at)
        found.append(again[:2] + path + again[3:] + number if varied else again)

    return found


def _decoding(*, varied: bool) -> Callable[[], int]:
    blocks = _blocks(varied=varied)

    def run() -> int:
        decoder = Decoder(65536)
        for block in blocks:
            decoder.decode(block)
        return COUNT

    return run


def _serving(body: bytes, *, varied: bool) -> Callable[[], int]:
    """Serve a request with a small body, and answer with `body` and trailers."""
    blocks = _blocks(varied=varied)
    asked = b"\0\0\0\0\x05hello"
    window = frames.settings([(frames.INITIAL_WINDOW_SIZE, frames.MAX_WINDOW_BYTES)])
    hello = (
        frames.PREFACE
        + window
        + frames.window_update(0, frames.MAX_WINDOW_BYTES - frames.WINDOW_BYTES)
    )

    def run() -> int:
        server = Connection(Limits(max_header_bytes=32768), LineEncoder(), 1, is_server=True)
        server.receive(hello, 1)
        for at, block in enumerate(blocks):
            stream = 1 + 2 * at
            head = frames.header_frames(stream, block, is_end=False)
            server.receive(head + frames.frame(frames.DATA, frames.END_STREAM, stream, asked), 1)
            server.send_response(stream, 200, _LINES)
            server.send_data(stream, body, 1)
            server.send_trailers(stream, b"grpc-status: 0\r\n", 1)
            server.output.take()

        return COUNT

    return run


def measures() -> Iterator[Measure]:
    """Time both, with heads that repeat and with varied ones."""
    for varied in (False, True):
        what = "varied" if varied else "repeated"
        yield measured(f"decode ten fields, {what}", _decoding(varied=varied))
        yield measured(f"serve 100 bytes, {what}", _serving(bytes(100), varied=varied))
        yield measured(f"serve 16 KiB, {what}", _serving(bytes(16384), varied=varied), rounds=7)
