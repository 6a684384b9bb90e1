"""What tests of upstreams of HTTP/2 share: calls of gRPC, and what is noted of a stream."""

from h2.settings import SettingCodes

from proxy.ring.exchange import (
    NOTE_STREAM,
    CapturedExchange,
)
from proxy.ring.http2_notes import (
    StreamNote,
    read_stream_note,
)
from tests.proxy.worker.test_http2_downstream import with_path
from tests.support.http2_client import POST, Fields
from tests.support.http2_upstream import OK
from tests.support.plane import Plane

HTTP2 = {"upstream_protocol": "http2"}
HTTP1 = {"upstream_protocol": "http1"}
CALL: Fields = (
    *with_path("/s.Service/Do", POST),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
)
MESSAGE = b"\0\0\0\0\3abc"
GRPC: Fields = (*OK, ("content-type", "application/grpc"))
MAX_STREAMS = SettingCodes.MAX_CONCURRENT_STREAMS
STATUS: Fields = (("grpc-status", "0"),)


def stream_note(exchange: CapturedExchange) -> StreamNote:
    note = read_stream_note(exchange.notes[NOTE_STREAM])
    assert note is not None
    return note


def reset_of(exchange: CapturedExchange) -> tuple[int, int]:
    """Return by whom the client's stream was reset, and the code."""
    note = stream_note(exchange)
    return note.reset_by, note.reset_code


def upstream_streams(plane: Plane) -> int:
    return plane.run(
        lambda: sum(
            len(each.codec.streams.open) for each in plane.engine.http2_pools[0]._connections
        )
    )
