"""Connections of HTTP/2 clients: requests on several streams, in order, nearly so, or with what
must not come.
"""

from random import Random
from typing import Final, NamedTuple

from hpack import Encoder

from proxy.http2 import frames
from proxy.http2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PING,
    frame,
)
from tests.fuzz.request_grammar import make_cuts, mutate
from tests.proxy.http2.cases import CASES
from tests.proxy.http2.wire import HELLO

Field = tuple[bytes, bytes]
METHODS: Final = (b"GET", b"POST", b"PUT", b"DELETE", b"QUERY")
PATHS: Final = (b"/", b"/a?b=c", b"//x", b"/%00", b"/pkg.Svc/Get")
FIELDS: Final[tuple[Field, ...]] = (
    (b"accept", b"*/*"), (b"cookie", b"a=b"), (b"cookie", b"c=d"), (b"te", b"trailers"), (b"x", b""), (b"host", b"a"),
    (b"authorization", b"Bearer x"), (b"x-long", b"v" * 900), (b"user-agent", b"x/1 (y)"), (b"trailer", b"x"),
)  # fmt: skip
BAD_FIELDS: Final[tuple[Field, ...]] = (
    (b"X", b"y"), (b"x", b"y\r\nz: 1"), (b"x\r\ny", b"z"), (b"x", b"y\0"), (b"connection", b"close"), (b"te", b"gzip"),
    (b"transfer-encoding", b"chunked"), (b"upgrade", b"h2c"), (b"host", b"b"), (b"host", b""), (b"x", b"\x01"),
    (b"content-length", b"7"),
    (b":path", b"/b"), (b":authority", b"b"), (b":x", b"y"), (b"x", b" y"), (b"x y", b"z"), (b"content-length", b"+1"),
    (b"content_length", b"5"), (b"transfer_encoding", b"chunked"), (b"x", b"\x7f"), (b"content-length", b"0x1"),
)  # fmt: skip
BAD_PSEUDO: Final[tuple[Field, ...]] = (
    (b":path", b"/ HTTP/1.1\r\nx: y"), (b":path", b"http://b/"), (b":path", b"*"), (b":path", b""),
    (b":method", b"G T"),
    (b":method", b"CONNECT"), (b":scheme", b"ftp"), (b":authority", b"u@a"), (b":authority", b"a\r\nb: c"),
    (b":method", b"GET / HTTP/1.1\r\n\r\nGET"), (b":path", b"/#f"), (b":authority", b"a, b"),
)  # fmt: skip


class Http2Case(NamedTuple):
    """One input."""

    data: bytes
    cuts: list[int]
    is_clean: bool
    streams: int
    """Requests in it."""


def make_http2_case(random: Random) -> Http2Case:
    """Make a connection; half of them are in order, most others have one flaw."""
    is_clean = random.random() < 0.5
    encoder = Encoder()
    streams = random.randint(1, 4)
    flawed = -1 if is_clean else random.randrange(streams)
    pending = [
        _request(random, encoder, 1 + 2 * at, is_flawed=at == flawed) for at in range(streams)
    ]
    parts = [HELLO]

    for at in range(streams):  # heads in the order of their ids and of the table, bodies in any
        parts.append(pending[at].pop(0))
        while random.random() < 0.5 and any(pending[: at + 1]):
            parts.append(random.choice([queue for queue in pending[: at + 1] if queue]).pop(0))
        parts.append(random.choice(_NEUTRAL))

    while any(pending):
        parts.append(random.choice([queue for queue in pending if queue]).pop(0))
    if not is_clean and random.random() < 0.3:
        parts.insert(random.randint(1, len(parts)), random.choice(CASES).raw)
    data = b"".join(parts)
    if not is_clean and random.random() < 0.3:
        data = mutate(random, data)
    return Http2Case(data, make_cuts(random, len(data)), is_clean, streams)


_NEUTRAL: Final = (
    b"", b"", b"", frame(PING, 0, 0, bytes(8)), frame(frames.PRIORITY, 0, 9, bytes(5)), frames.settings([(8, 0)]),
    frames.window_update(0, 1000), frame(0x42, 0xFF, 0, b"x"), frame(PING, 1, 0, bytes(8)),
)  # fmt: skip


def _request(random: Random, encoder: Encoder, stream: int, *, is_flawed: bool) -> list[bytes]:
    """Return the frames of a request; trailers are written by an encoder of their own, which keeps
    no table.
    """
    pseudo = [
        (b":method", random.choice(METHODS)),
        (b":scheme", b"http"),
        (b":path", random.choice(PATHS)),
    ]
    pseudo.append((b":authority", b"a"))
    fields = random.sample(FIELDS, random.randint(0, 4))
    body = random.randbytes(random.choice((0, 0, 1, 5, 300)))
    if random.random() < 0.5 and body:
        fields.append((b"content-length", b"%d" % len(body)))
    trailers = [(b"x", b"y")] if random.random() < 0.2 else []
    if is_flawed:
        _spoil(random, pseudo, fields, trailers)
        body = random.choice((body, body + b"x", body[:-1]))
    pieces = [body[at : at + 100] for at in range(0, len(body), 100)]
    flags = 0 if pieces or trailers else END_STREAM
    found = [_head(random, stream, encoder.encode([*pseudo, *fields]), flags)]

    for at, piece in enumerate(pieces):
        flags = 0 if trailers or at < len(pieces) - 1 else END_STREAM
        padded = random.random() < 0.2
        found.append(
            frame(
                DATA,
                flags | (PADDED if padded else 0),
                stream,
                b"\3%b\0\0\0" % piece if padded else piece,
            )
        )

    if trailers:
        block = b"".join(b"\0%c%b%c%b" % (len(n), n, len(v), v) for n, v in trailers)
        found.append(_head(random, stream, block, END_STREAM))
    if is_flawed and random.random() < 0.2:
        found.insert(
            random.randint(1, len(found)),
            random.choice((frames.rst_stream(stream, 8), frames.window_update(stream, 0))),
        )

    return found


def _spoil(random: Random, pseudo: list[Field], fields: list[Field], trailers: list[Field]) -> None:
    where = random.random()
    if where < 0.4:
        fields.insert(random.randint(0, len(fields)), random.choice(BAD_FIELDS))
    elif where < 0.7:
        name, value = random.choice(BAD_PSEUDO)
        pseudo[:] = [(name, value) if field[0] == name else field for field in pseudo]
    elif where < 0.8:
        trailers.append(random.choice(BAD_FIELDS[:8]))


def _head(random: Random, stream: int, block: bytes, flags: int) -> bytes:
    """Return a block in one frame, with padding or priority, or in several."""
    way = random.random()
    if way < 0.2:
        cut = random.randint(0, len(block))
        return frame(HEADERS, flags, stream, block[:cut]) + frame(
            CONTINUATION, END_HEADERS, stream, block[cut:]
        )
    if way < 0.3:
        return frame(HEADERS, flags | END_HEADERS | PADDED, stream, b"\2%b\0\0" % block)
    if way < 0.4:
        return frame(HEADERS, flags | END_HEADERS | HAS_PRIORITY, stream, bytes(5) + block)

    return frame(HEADERS, flags | END_HEADERS, stream, block)
