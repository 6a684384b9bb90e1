"""What tests of the codec share: a server with its hello taken, frames and heads by hand, what came
out read back.
"""

from collections.abc import Sequence
from typing import Final

from hpack import Decoder

from proxy.http2 import frames
from proxy.http2.budget import Limits
from proxy.http2.connection import Connection
from proxy.http2.events import ConnectionEnded, Event, RequestReceived, StreamReset
from proxy.http2.frames import END_HEADERS, END_STREAM, HEADERS, PREFACE, frame
from proxy.http2.hpack.encoder import LineEncoder, encode_field
from proxy.http2.request_fields import RequestFields

Fields = Sequence[tuple[bytes, bytes]]
NOW_NS: Final = 10**9
GET: Final[Fields] = (
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":path", b"/"),
    (b":authority", b"a"),
)
POST: Final[Fields] = ((b":method", b"POST"), *GET[1:])
HELLO: Final = PREFACE + frames.settings(())


def block(fields: Fields) -> bytes:
    return b"".join(encode_field(name, value) for name, value in fields)


def head(stream_id: int = 1, fields: Fields = GET, flags: int = END_HEADERS | END_STREAM) -> bytes:
    """Return a head in one HEADERS frame."""
    return frame(HEADERS, flags, stream_id, block(fields))


def data(stream_id: int, body: bytes, *, is_end: bool = False) -> bytes:
    return frame(frames.DATA, END_STREAM if is_end else 0, stream_id, body)


def limits(**changes: int) -> Limits:
    return Limits(**{"max_header_bytes": 32768, **changes})


def server(hello: bytes = HELLO, **changes: int) -> Connection:
    """Return a server whose client has sent its hello; what it sends itself is taken."""
    connection = Connection(limits(**changes), LineEncoder(), NOW_NS, is_server=True)
    connection.receive(hello, NOW_NS)
    connection.output.take()
    return connection


def client(settings: Sequence[tuple[int, int]] = (), **changes: int) -> Connection:
    """Return a client whose server has sent its settings; what it sends itself is taken."""
    connection = Connection(limits(**changes), LineEncoder(), NOW_NS, is_server=False)
    connection.receive(frames.settings(settings), NOW_NS)
    connection.output.take()
    return connection


def request(method: bytes = b"GET", lines: bytes = b"") -> RequestFields:
    return RequestFields(method, b"/", b"http", b"Host: a\r\n" + lines, -1, None)


def receive(connection: Connection, raw: bytes, now_ns: int = NOW_NS) -> list[Event]:
    """Feed bytes until all that can be read is read; what is to be sent meanwhile stays."""
    events = connection.receive(raw, now_ns)
    while connection.has_more:
        before = connection.reader.in_hand
        events += connection.receive(b"", now_ns)
        if connection.reader.in_hand == before:
            break

    return events


def read_frames(raw: bytes) -> list[tuple[int, int, int, bytes]]:
    """Cut frames: kind, flags, stream and payload of each."""
    found = []
    raw = raw.removeprefix(PREFACE)
    while raw:
        size = int.from_bytes(raw[:3], "big")
        found.append((raw[3], raw[4], int.from_bytes(raw[5:9], "big"), raw[9 : 9 + size]))
        assert len(raw) >= 9 + size
        raw = raw[9 + size :]

    return found


def sent(connection: Connection) -> list[tuple[int, int, int, bytes]]:
    return read_frames(connection.output.take())


def sent_fields(payload: bytes, decoder: Decoder | None = None) -> list[tuple[bytes, bytes]]:
    return [
        (bytes(name), bytes(value))
        for name, value in (decoder or Decoder()).decode(payload, raw=True)
    ]


def verdict(connection: Connection, events: Sequence[Event]) -> str:
    """Say how it judged: `connection CODE`, `stream CODE`, or nothing; what it sent has to say the
    same.
    """
    out = sent(connection)
    for event in events:
        if isinstance(event, ConnectionEnded):
            assert out[-1][0] == frames.GOAWAY
            assert int.from_bytes(out[-1][3][4:8], "big") == event.code
            return f"connection {event.code}"

    resets = [
        int.from_bytes(payload, "big") for kind, _, _, payload in out if kind == frames.RST_STREAM
    ]
    told = [event.code for event in events if isinstance(event, StreamReset) and event.reason]
    assert set(told) <= set(resets)
    return f"stream {resets[-1]}" if resets else ""


def opened(events: Sequence[Event]) -> list[int]:
    return [event.stream_id for event in events if isinstance(event, RequestReceived)]
