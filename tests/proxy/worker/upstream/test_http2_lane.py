"""One exchange on a stream to its upstream: bodies both ways, cancels and resets, over real
sockets.
"""

import pytest
from h2.settings import SettingCodes

from proxy.http2 import frames
from proxy.http2.errors import ErrorCode
from proxy.ring.exchange import (
    NOTE_GRPC_MESSAGES,
    NOTE_MESSAGE,
)
from proxy.ring.http2_notes import (
    BY_UPSTREAM,
    MessagesNote,
    read_messages_note,
)
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.records import error, outcome
from tests.proxy.worker.upstream.http2_calls import (
    CALL,
    GRPC,
    HTTP2,
    MESSAGE,
    STATUS,
    open_streams,
    reset_of,
    speaking,
    upstream_streams,
    with_path,
)
from tests.support.http2_client import GET, POST, Http2Client
from tests.support.http2_upstream import OK, Connection, Http2Upstream, Request
from tests.support.plane import eventually


def _echo_slowly(connection: Connection, request: Request) -> None:
    """Send a body back as far as windows allow, whenever something comes."""
    if not request.is_answered:
        connection.respond(request, is_end=False)
    while request.body and (room := connection.h2.local_flow_control_window(request.id)):
        piece = request.body[: min(room, 16384)]
        connection.h2.send_data(request.id, piece)
        request.body = request.body[len(piece) :]

    if request.is_ended and not request.body and not request.is_done:
        request.is_done = True
        connection.h2.end_stream(request.id)
    connection.flush()


def _send_all(client: Http2Client, stream: int, body: bytes) -> None:
    while body:
        room = min(client.h2.local_flow_control_window(stream), 16384)
        if not room:
            assert client.read()
            continue

        client.h2.send_data(stream, body[:room])
        client.flush()
        body = body[room:]

    client.h2.end_stream(stream)
    client.flush()


def test_both_bodies_stream_at_once(start: Start) -> None:
    """Each message comes back before the next is sent."""

    def answer(connection: Connection, request: Request) -> None:
        if request.is_ended:
            connection.h2.send_headers(request.id, list(STATUS), end_stream=True)
        elif not request.is_answered:
            connection.respond(request, fields=GRPC, is_end=False)
        else:
            connection.h2.send_data(request.id, request.body)
            request.body = b""

        connection.flush()

    plane = start(Http2Upstream(answer))
    with speaking(plane) as client:
        stream = client.begin(CALL, is_end=False)
        for count in range(1, 20):
            client.h2.send_data(stream, MESSAGE)
            client.flush()
            while len(client.streams[stream].body) < count * len(MESSAGE):
                assert client.read()

        client.h2.end_stream(stream)
        client.flush()
        assert client.answer(stream).trailers == {"grpc-status": "0"}

    exchange = plane.exchange()
    assert read_messages_note(exchange.notes[NOTE_GRPC_MESSAGES]) == MessagesNote(
        19, 3, 19, 3, is_stream=True
    )
    assert (exchange.request_bytes, exchange.response_bytes) == (19 * 8, 19 * 8)


def test_a_large_body_passes_in_both_directions(start: Start) -> None:
    """Through windows of 64 KiB at each end."""
    plane = start(
        Http2Upstream(_echo_slowly, on_window=_echo_slowly), route=HTTP2, max_body_bytes=0
    )
    body = bytes(range(256)) * 8192
    with speaking(plane) as client:
        stream = client.begin(POST, is_end=False)
        _send_all(client, stream, body)
        assert client.answer(stream).body == body

    exchange = plane.exchange()
    assert (exchange.request_bytes, exchange.response_bytes) == (len(body), len(body))


def test_an_upload_that_is_not_taken_stops_and_holds_up_no_other(start: Start) -> None:
    """The client may send no more than two windows of it, and other streams of both connections go
    on.
    """

    def answer(connection: Connection, request: Request) -> None:
        if request.is_ended:
            connection.respond(request, b"fine")

    plane = start(Http2Upstream(answer, takes_all=False), route=HTTP2)
    with speaking(plane) as client:
        stuck = [client.begin(with_path("/stuck", POST), is_end=False) for _ in range(20)]
        for stream in stuck[:1]:
            sent = 0
            while sent < 10 << 20 and (room := client.h2.local_flow_control_window(stream)):
                client.h2.send_data(stream, bytes(min(room, 16384)))
                sent += min(room, 16384)
                client.flush()
            assert sent <= 3 * 65535

        for _ in range(5):
            assert client.ask().body == b"fine"
        for stream in stuck:
            client.h2.reset_stream(stream)
        client.flush()
        eventually(lambda: upstream_streams(plane) == 0)
        assert client.ask().body == b"fine"


def test_responses_that_are_not_taken_hold_up_no_other(start: Start) -> None:
    """Forty stalled ones of 64 KiB each wait here and no more; one beside them passes, over the
    same connections.
    """

    def answer(connection: Connection, request: Request) -> None:
        if request.fields[":path"] == "/":
            connection.respond(request, b"fine")
        else:
            connection.respond(request, bytes(16384), is_end=False)
            for _ in range(3):
                connection.h2.send_data(request.id, bytes(16000))
            connection.flush()

    upstream = Http2Upstream(answer)
    plane = start(upstream, route=HTTP2)
    with speaking(plane, takes_all=False) as client:
        for _ in range(40):
            client.begin(with_path("/large"))
        with speaking(plane) as other:
            for _ in range(5):
                assert other.ask().body == b"fine"

    eventually(lambda: open_streams(plane) == 0)
    assert len(upstream.connections) == 1


@pytest.mark.parametrize(
    "code", [0, ErrorCode.CANCEL, ErrorCode.ENHANCE_YOUR_CALM, ErrorCode.INTERNAL_ERROR, 0x99]
)
def test_a_reset_of_the_upstream_passes(start: Start, code: int) -> None:
    """Before a head and behind one: clients of gRPC make a status of its code.

    Some clients take NO_ERROR for the end of a body (P14).
    """

    def answer(connection: Connection, request: Request) -> None:
        if request.fields[":path"] == "/late":
            connection.respond(request, b"part", is_end=False)
        connection.socket.sendall(frames.rst_stream(request.id, code))

    plane = start(Http2Upstream(answer), route=HTTP2)
    with speaking(plane) as client:
        assert client.ask().reset == (code or ErrorCode.INTERNAL_ERROR)
        late = client.ask(with_path("/late"))
        assert (late.body, late.reset) == (b"part", code or ErrorCode.INTERNAL_ERROR)

    first, second = plane.exchanges(2)
    assert (outcome(first), error(first)) == (Outcome.UPSTREAM_ERROR, "upstream_reset")
    assert (outcome(second), error(second)) == (Outcome.TRUNCATED, "upstream_reset")
    assert reset_of(first) == reset_of(second) == (BY_UPSTREAM, code)
    known = ErrorCode(code).name.lower() if code < 14 else "internal_error"
    assert plane.counters().http2_resets["upstream", known] == 2


def test_a_client_of_http1_reads_of_a_reset(start: Start) -> None:
    """It gets a 502, which says so."""
    plane = start(
        Http2Upstream(lambda c, r: c.socket.sendall(frames.rst_stream(r.id, 8))), route=HTTP2
    )
    with plane.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answered = client.answer()
    assert (answered.status, answered.field("x-sidelog-error")) == (502, "upstream_reset")
    assert b"CANCEL" in plane.exchange().notes[NOTE_MESSAGE]


def test_a_client_that_leaves_cancels_all_it_asked_for(start: Start) -> None:
    """Over HTTP/1.1, too."""
    upstream = Http2Upstream(lambda c, r: None)
    plane = start(upstream, route=HTTP2)
    with speaking(plane) as client, plane.connect() as other:
        for _ in range(3):
            client.begin()
        other.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: len(upstream.requests) == 4)

    eventually(lambda: all(request.reset == ErrorCode.CANCEL for request in upstream.requests))
    assert {outcome(exchange) for exchange in plane.exchanges(4)} == {Outcome.CLIENT_CLOSED}


def _with_open_end(connection: Connection, request: Request) -> None:
    """Send a response whose END_STREAM never comes; the path says how much of its content."""
    fields = OK
    if request.fields[":path"] != "/unknown":
        fields = (*OK, ("content-length", "5"))
    body = {"/part": b"abc", "/HEAD": b""}.get(request.fields[":path"], b"abcde")
    connection.respond(request, body, fields, is_end=False)


@pytest.mark.parametrize(
    ("method", "path", "wanted"),
    [
        ("GET", "/whole", Outcome.OK),
        ("HEAD", "/HEAD", Outcome.OK),
        ("GET", "/part", Outcome.CLIENT_CLOSED),
        ("GET", "/unknown", Outcome.CLIENT_CLOSED),
    ],
)
@pytest.mark.parametrize("way", ["reset", "close", "http1"])
def test_a_client_that_has_all_content_may_leave_before_the_end(
    start: Start, method: str, path: str, wanted: Outcome, way: str
) -> None:
    """Servers send END_STREAM in a frame of its own: a client that knows the length does not wait
    for it.
    """
    plane = start(Http2Upstream(_with_open_end), route=HTTP2)
    body = {"/part": b"abc", "/HEAD": b""}.get(path, b"abcde")
    if way == "http1":
        with plane.connect() as client:
            client.send(f"{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            got = b""
            while b"\r\n\r\n" not in got or body not in got.partition(b"\r\n\r\n")[2]:
                got += client.socket.recv(65536)
    else:
        with speaking(plane) as other:
            stream = other.begin(((":method", method), *with_path(path)[1:]))
            while not other.streams[stream].status or other.streams[stream].body != body:
                assert other.read()
            if way == "reset":
                other.h2.reset_stream(stream, ErrorCode.CANCEL)
                other.flush()
                eventually(lambda: plane.unread)

    assert outcome(plane.exchange()) == wanted


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_request_is_sent_once_more(start: Start, method: str) -> None:
    """Whatever its method, with its body: the upstream has not begun to work on it (RFC 9113 §8.7)."""

    def answer(connection: Connection, request: Request) -> None:
        if request.is_ended:
            if request.id == 1:
                connection.socket.sendall(frames.rst_stream(request.id, ErrorCode.REFUSED_STREAM))
            else:
                connection.respond(request, b"second " + request.body)

    upstream = Http2Upstream(answer)
    plane = start(upstream, route=HTTP2)
    with speaking(plane) as client:
        body = b"body" if method == "POST" else None
        assert client.ask(((":method", method), *GET[1:]), body).body == b"second " + (body or b"")
    assert len(upstream.requests) == 2
    assert outcome(plane.exchange()) == Outcome.OK
    assert plane.counters().upstream_retries == 1


def test_an_upload_that_was_refused_while_it_waited_goes_on(start: Start) -> None:
    """The window of the first stream holds up the second one no more."""

    def answer(connection: Connection, request: Request) -> None:
        if request.id == 1 and request.body and not request.is_done:
            request.is_done = True
            connection.h2.reset_stream(1, ErrorCode.REFUSED_STREAM)
            connection.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 65535})
            connection.flush()
        elif request.id == 3 and request.is_ended:
            connection.respond(request, b"%d" % len(request.body))

    plane = start(Http2Upstream(answer, {SettingCodes.INITIAL_WINDOW_SIZE: 1000}), route=HTTP2)
    with plane.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n" + bytes(20_000))
        eventually(lambda: plane.counters().upstream_retries)
        client.send(bytes(30_000))
        assert client.answer().body == b"50000"


def test_a_request_that_is_refused_again_is_refused(start: Start) -> None:
    """The client reads that it may send it again itself."""
    upstream = Http2Upstream(
        lambda c, r: c.socket.sendall(frames.rst_stream(r.id, ErrorCode.REFUSED_STREAM))
    )
    plane = start(upstream, route=HTTP2)
    with speaking(plane) as client:
        assert client.ask().reset == ErrorCode.REFUSED_STREAM
    assert len(upstream.requests) == 2
    assert reset_of(plane.exchange()) == (BY_UPSTREAM, ErrorCode.REFUSED_STREAM)
