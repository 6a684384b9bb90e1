"""A connection at the client's end: requests to an upstream, and what is believed of its responses."""

from proxy.http2 import events, frames
from proxy.http2.connection import Connection
from proxy.http2.frames import END_HEADERS, PING, frame, rst_stream, settings
from proxy.http2.hpack.encoder import LineEncoder
from tests.proxy.http2.wire import (
    NOW_NS,
    POST,
    client,
    data,
    head,
    limits,
    read_frames,
    receive,
    request,
    sent,
    sent_fields,
    server,
    verdict,
)
from tests.support.cases import each_of

OPEN = head(1, POST, END_HEADERS)


def response(
    stream_id: int = 1, *fields: tuple[bytes, bytes], status: bytes = b"200", flags: int = 4
) -> bytes:
    return head(stream_id, [(b":status", status), *fields], flags)


def test_a_client_sends_requests_and_gets_responses() -> None:
    """Ids rise, heads, bodies and trailers come as events, informational ones before the final one."""
    connection = client()
    assert (
        connection.send_request(request(b"GET", b"X: y\r\nTE: trailers\r\n"), b"b", is_end=True)
        == 1
    )
    assert connection.send_request(request(b"POST"), b"b") == 3
    first, second = sent(connection)
    assert sent_fields(first[3]) == [
        *((b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"b"), (b":path", b"/")),
        *((b"x", b"y"), (b"te", b"trailers")),
    ]
    assert (first[1], second[1], second[2]) == (END_HEADERS | frames.END_STREAM, END_HEADERS, 3)
    came = receive(
        connection, response(status=b"100") + response() + data(1, b"x") + response(1, flags=5)[:0]
    )
    assert [type(event) for event in came] == [
        events.ResponseReceived,
        events.ResponseReceived,
        events.DataReceived,
    ]
    assert isinstance(came[1], events.ResponseReceived)
    assert came[1].head.text == b"HTTP/2 200\r\n\r\n"
    (trailers,) = receive(connection, head(1, [(b"grpc-status", b"0")]))
    assert isinstance(trailers, events.TrailersReceived)
    assert len(connection.streams.open) == 1
    connection.send_data(3, b"x", NOW_NS, is_end=True)
    receive(connection, response(3, flags=5))
    assert len(connection.streams.open) == 0


MALFORMED = {
    "no status": head(1, [(b"x", b"y")], 4),
    "a status of two digits": response(status=b"20"),
    "a status twice": response(1, (b":status", b"200")),
    "status behind a field": head(1, [(b"x", b"y"), (b":status", b"200")], 4),
    "a pseudo-field of requests": response(1, (b":path", b"/")),
    "101": response(status=b"101"),
    "a connection field": response(1, (b"connection", b"close")),
    "a coding": response(1, (b"transfer-encoding", b"chunked")),
    "te": response(1, (b"te", b"trailers")),
    "a name in capitals": response(1, (b"X", b"y")),
    "a value with a line end": response(1, (b"x", b"y\r\nz: 1")),
    "two lengths": response(1, (b"content-length", b"1"), (b"content-length", b"1")),
    "an informational end": response(status=b"100", flags=5),
    "a body before its head": data(1, b"x"),
    "a longer body": response(1, (b"content-length", b"1")) + data(1, b"xy"),
    "a shorter body": response(1, (b"content-length", b"3")) + data(1, b"xy", is_end=True),
    "no body": response(1, (b"content-length", b"3"), flags=5),
    "a second final head": response() + response(),
}


@each_of("name", MALFORMED)
def test_a_malformed_response_is_an_error_of_its_stream(name: str) -> None:
    """The others go on (F17)."""
    connection = client()
    for method in (b"GET", b"GET"):
        connection.send_request(request(method), b"a", is_end=True)
    sent(connection)
    came = receive(connection, MALFORMED[name])
    assert isinstance(came[-1], events.StreamReset)
    assert came[-1].reason
    assert verdict(connection, came) == "stream 1"
    (other,) = receive(connection, response(3, flags=5))
    assert isinstance(other, events.ResponseReceived)


def test_a_response_that_has_no_body_may_name_a_length() -> None:
    """To HEAD, and 304; a body ends it, and is not passed on."""
    connection = client()
    connection.send_request(request(b"HEAD"), b"a", is_end=True)
    connection.send_request(request(), b"a", is_end=True)
    connection.send_request(request(b"HEAD"), b"a", is_end=True)
    five = (b"content-length", b"5")
    came = receive(
        connection, response(1, five, flags=5) + response(3, five, status=b"304", flags=5)
    )
    assert [type(event) for event in came] == [events.ResponseReceived] * 2
    sent(connection)
    _, end = receive(connection, response(5, five) + data(5, b"hello") + data(5, b"more"))
    assert isinstance(end, events.DataReceived)
    assert (end.data, end.is_end) == (b"", True)
    connection.release(5)
    assert verdict(connection, receive(connection, data(5, b"more"))) == "stream 8"


def test_a_response_head_over_the_limit_is_an_error_of_its_stream() -> None:
    """With a code that says so."""
    connection = client(max_header_bytes=500)
    connection.send_request(request(), b"a", is_end=True)
    sent(connection)
    assert (
        verdict(connection, receive(connection, response(1, *[(b"x", b"y")] * 20))) == "stream 11"
    )


@each_of("raw", [data(1, b"x"), response(1, flags=5), response(3), response(2), data(3, b"x")])
def test_an_upstream_that_goes_on_behind_its_end_ends_the_connection(raw: bytes) -> None:
    """So does one that speaks of streams which nobody opened."""
    connection = client()
    connection.send_request(request(b"POST"), b"a")
    receive(connection, response(1, flags=5))
    sent(connection)
    assert verdict(connection, receive(connection, raw)).startswith("connection")


def test_streams_are_free_as_the_peer_allows() -> None:
    """A hundred while it has not said, then what it said; none once it goes away, or we do."""
    fresh = Connection(limits(), LineEncoder(), NOW_NS, is_server=False)
    assert fresh.free_streams == 100
    connection = client([(3, 2)])
    assert connection.free_streams == 2
    connection.send_request(request(), b"a", is_end=True)
    assert connection.free_streams == 1
    receive(connection, settings([(3, 0)]))
    assert connection.free_streams == 0
    receive(connection, settings([(3, 5)]))
    connection.inbound.drain(NOW_NS)
    assert (connection.free_streams, connection.is_drained, server().free_streams) == (0, False, 0)


def test_streams_that_a_goaway_leaves_out_may_be_repeated() -> None:
    """Those it names go on, and no more are opened; so may one that is refused."""
    connection = client()
    for _ in range(3):
        connection.send_request(request(), b"a", is_end=True)
    told, *left = receive(connection, rst_stream(3, 7) + frames.goaway(1, 0, "bye"))[::-1]
    assert isinstance(told, events.StreamReset)
    assert (told.stream_id, told.is_retryable) == (5, True)
    goaway, refused = left
    assert isinstance(goaway, events.GoawayReceived)
    assert (goaway.code, goaway.reason) == (0, b"bye")
    assert isinstance(refused, events.StreamReset)
    assert (refused.stream_id, refused.is_retryable) == (3, True)
    assert connection.free_streams == 0
    (answer,) = receive(connection, response(1, flags=5))
    assert isinstance(answer, events.ResponseReceived)


def test_a_failed_client_names_no_stream() -> None:
    """The last stream of the peer's is none, as it may not push."""
    connection = client()
    connection.send_request(request(), b"a", is_end=True)
    sent(connection)
    receive(connection, frame(PING, 0, 1, bytes(8)))
    ((_, _, _, payload),) = read_frames(connection.output.take())
    assert payload[:8] == bytes(4) + b"\0\0\0\1"
