"""Clients of HTTP/2 before services of HTTP/1.1: every kind of exchange, its end and its record,
over real sockets.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from proxy.http2.errors import ErrorCode
from proxy.http2.frames import HEADERS, frame
from proxy.ring.exchange import (
    NOTE_MESSAGE,
    NOTES_REQUEST_TRAILERS,
    NOTES_RESPONSE_TRAILERS,
)
from proxy.worker.http2_downstream import Http2Downstream
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.http2.wire import head
from tests.proxy.worker.test_downstream import LOOPS, error, outcome
from tests.proxy.worker.test_fairness_tls import certificate
from tests.support.http2_client import GET, POST, Fields, Http2Client
from tests.support.plane import PATIENCE_S, Loop, Plane, eventually
from tests.support.ports import free_port
from tests.support.script import OK, Script, unchunked
from tests.support.upstream import read_head

__all__ = ["certificate"]  # a fixture


@contextmanager
def speaking(plane: Plane, *, takes_all: bool = True) -> Iterator[Http2Client]:
    connection = socket.create_connection(("127.0.0.1", plane.port), PATIENCE_S)
    with Http2Client(connection, takes_all=takes_all) as client:
        yield client


def connections(plane: Plane) -> list[Http2Downstream]:
    return plane.run(
        lambda: [each for each in plane.engine.connections if isinstance(each, Http2Downstream)]
    )


def open_streams(plane: Plane) -> int:
    shared = plane.engine.http2
    assert shared is not None
    return shared.open_streams


def allow_streams(plane: Plane, count: int) -> None:
    """Let each client have `count` streams at once."""
    shared = plane.engine.http2
    assert shared is not None
    shared.limits = replace(shared.limits, max_streams=count)


def with_path(path: str, fields: Fields = GET, *others: tuple[str, str]) -> Fields:
    return (*fields[:3], (":path", path), *others)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_request_becomes_one_of_http11_and_is_recorded_as_what_it_was(
    start: Start, loop: Loop
) -> None:
    """The upstream reads HTTP/1.1, the record says HTTP/2, and both are one exchange."""
    script = Script(
        b"HTTP/1.1 200 OK\r\nServer: s\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"
    )
    plane = start(script, loop=loop)
    with speaking(plane) as client:
        answer = client.ask(with_path("/a?b", GET, ("cookie", "a=1"), ("cookie", "b=2")))
    assert (answer.status, answer.body, answer.fields["server"]) == (200, b"ok", "s")
    assert answer.fields["x-sidelog-id"]
    assert "connection" not in answer.fields
    [request] = script.requests
    assert request.startswith(b"GET /a?b HTTP/1.1\r\nHost: a\r\ncookie: a=1; b=2\r\n")
    exchange = plane.exchange()
    assert exchange.request_head.startswith(b"GET /a?b HTTP/2\r\nHost: a\r\n")
    assert (outcome(exchange), exchange.status, exchange.response_window) == (
        Outcome.OK,
        200,
        b"ok",
    )


def test_the_beginning_may_come_byte_by_byte(start: Start) -> None:
    """Whatever the splits, it is one preface."""
    plane = start(Script())
    with socket.create_connection(("127.0.0.1", plane.port), PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0":
            connection.sendall(bytes((byte,)))
        assert connection.recv(9)[3] == 4  # SETTINGS


@pytest.mark.parametrize(
    ("method", "response", "status", "body"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 200, b""),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b""),
        (
            "GET",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            200,
            b"abc",
        ),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
        (
            "GET",
            b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000),
            200,
            bytes(300_000),
        ),
    ],
)
def test_every_framing_of_a_response_ends_its_stream(
    start: Start, method: str, response: bytes, status: int, body: bytes
) -> None:
    """With a body or without one."""
    plane = start(Script(response))
    with speaking(plane) as client:
        for _ in range(2):
            answer = client.ask(((":method", method), *GET[1:]))
            assert (answer.status, answer.body, answer.is_ended) == (status, body, True)
    assert [outcome(exchange) for exchange in plane.exchanges(2)] == [Outcome.OK] * 2


@pytest.mark.parametrize("length", [True, False])
def test_a_body_is_framed_anew(start: Start, length: bool) -> None:
    """By its length where it names one, else by chunks; the record has it."""
    script = Script()
    plane = start(script)
    fields = (*POST, ("content-length", "5")) if length else POST
    with speaking(plane) as client:
        assert client.ask(fields, b"hello").body == b"ok"
    [request] = script.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert (b"content-length: 5" in head.lower(), b"transfer-encoding" in head.lower()) == (
        length,
        not length,
    )
    assert (body if length else unchunked(body)) == b"hello"
    exchange = plane.exchange()
    assert (exchange.request_window, b"transfer-encoding" in exchange.request_head) == (
        b"hello",
        False,
    )


def test_trailers_behind_a_length_are_recorded_as_dropped(start: Start) -> None:
    """A body of HTTP/1.1 that has a length cannot have them (P4)."""
    plane = start(Script())
    with speaking(plane) as client:
        stream_id = client.begin((*POST, ("content-length", "1")), b"x", is_end=False)
        client.h2.send_headers(stream_id, [("x-check", "2")], end_stream=True)
        client.flush()
        assert client.answer(stream_id).body == b"ok"

    notes = plane.exchange().notes
    assert [notes[tag] for tag in NOTES_REQUEST_TRAILERS] == [b"x-check: 2\r\n", b"x-check"]


def test_trailers_pass_both_ways(start: Start) -> None:
    """Those of requests as trailers of chunks, those of responses at the end of the stream."""
    script = Script(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n"
    )
    plane = start(script)
    with speaking(plane) as client:
        stream_id = client.begin(POST, b"x", is_end=False)
        client.h2.send_headers(stream_id, [("x-check", "2")], end_stream=True)
        client.flush()
        answer = client.answer(stream_id)

    assert (answer.body, answer.trailers) == (b"a", {"x-sum": "1"})
    assert script.requests[0].endswith(b"0\r\nx-check: 2\r\n\r\n")
    notes = plane.exchange().notes
    assert notes[NOTES_REQUEST_TRAILERS[0]] == b"x-check: 2\r\n"
    assert notes[NOTES_RESPONSE_TRAILERS[0]] == b"X-Sum: 1\r\n"


@pytest.mark.parametrize("sent", [b"abc", b"abcdefghi"])
def test_a_body_that_is_not_as_long_as_said_never_becomes_a_message(
    start: Start, sent: bytes
) -> None:
    """Its stream is reset, its upstream's connection closed, and the record says why (F8)."""
    received: list[bytes] = []
    is_over = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        while data := connection.recv(65536):
            received.append(data)
        is_over.set()

    plane = start(upstream)
    with speaking(plane) as client:
        stream_id = client.begin((*POST, ("content-length", "6")), is_end=False)
        eventually(lambda: received)
        raw = len(sent).to_bytes(3, "big") + b"\0\1" + stream_id.to_bytes(4, "big") + sent
        client.socket.sendall(raw)
        assert client.answer(stream_id).reset == ErrorCode.PROTOCOL_ERROR
        assert is_over.wait(PATIENCE_S)

    assert len(b"".join(received).partition(b"\r\n\r\n")[2]) < 6
    exchange = plane.exchange()
    assert (outcome(exchange), error(exchange)) == (Outcome.REJECTED, "http2_protocol_error")
    assert exchange.notes[NOTE_MESSAGE]


def test_informational_responses_pass(start: Start) -> None:
    """100 to a client that waits for it, hints to all."""

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
        )
        assert connection.recv(100)
        connection.sendall(OK)

    plane = start(upstream)
    with speaking(plane) as client:
        stream_id = client.begin(
            (*POST, ("content-length", "2"), ("expect", "100-continue")), is_end=False
        )
        while client.streams[stream_id].informed != [103, 100]:
            assert client.read()
        client.h2.send_data(stream_id, b"hi", end_stream=True)
        client.flush()
        assert client.answer(stream_id).body == b"ok"

    assert plane.exchange().request_window == b"hi"


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        (((":method", "CONNECT"), (":authority", "a:1")), 405, "method_not_allowed"),
        ((*GET, ("host", "b")), 400, "bad_request"),
        (((":method", "get"), *GET[1:]), 501, "method_unknown"),
        (with_path("/" + "x" * 9000), 414, "uri_too_long"),
        (with_path("/other"), 404, "no_route"),
        ((*POST, ("content-length", "99")), 413, "body_too_large"),
        ((*GET[:2], (":authority", "u@a"), GET[3]), 400, "bad_request"),
        (tuple((f"x-{n}", "y") for n in range(200)), 431, "header_too_large"),
        (with_path("/" + "x" * 40000), 414, "uri_too_long"),
        ((("x-long", "y" * 40000),), 431, "header_too_large"),
        ((("x-long", "y" * 100_000),), 431, "header_too_large"),
        (
            (("x-many", "y" * 600), *(("cookie", "a=b") for _ in range(1200))),
            431,
            "header_too_large",
        ),
    ],
)
def test_refusals_are_responses(start: Start, fields: Fields, status: int, code: str) -> None:
    """The connection lives, and the record has the request."""
    script = Script()
    plane = start(script, route={"path": "/in"}, max_body_bytes=5)
    if fields[0][0].startswith("x-"):
        fields = (*with_path("/in"), *fields)
    fields = tuple(
        (name, "/in" if (name, value) == (":path", "/") else value) for name, value in fields
    )
    with speaking(plane) as client:
        answer = client.answer(client.begin(fields, is_end=fields[-1][0] != "content-length"))
        assert (answer.status, answer.fields.get("x-sidelog-error")) == (status, code)
        assert client.ask(with_path("/in")).body == b"ok"

    refused, passed = plane.exchanges(2)
    assert (error(refused), error(passed)) == (code, "")
    assert b" HTTP/2\r\n" in refused.request_head
    assert len(script.requests) == 1


def test_a_malformed_request_is_reset_and_recorded(start: Start) -> None:
    """What its fields were is on record, and the next stream is served (F5)."""
    plane = start(Script())
    with speaking(plane) as client:
        malformed = client.begin((*GET, ("connection", "close")))
        assert client.answer(malformed).reset == ErrorCode.PROTOCOL_ERROR
        assert client.ask().body == b"ok"

    exchange, _ = plane.exchanges(2)
    assert (outcome(exchange), error(exchange)) == (Outcome.REJECTED, "http2_protocol_error")
    assert b"connection: close" in exchange.request_head
    assert plane.counters().http2_resets == {("server", "protocol_error"): 1}


def test_an_upstream_that_is_not_there_is_a_502(start: Start) -> None:
    """As a response."""
    plane = start(f"http://127.0.0.1:{free_port()}")
    with speaking(plane) as client:
        assert client.ask().status == 502
    assert error(plane.exchange()) == "upstream_refused"


def test_a_response_that_is_cut_off_looks_so(start: Start) -> None:
    """Its stream is reset, not ended, and the connection lives (P14)."""
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    plane = start(Script(cut, close_after=1))
    with speaking(plane) as client:
        answer = client.ask()
        assert (answer.status, answer.body, answer.is_ended) == (200, b"half", False)
        assert answer.reset == ErrorCode.INTERNAL_ERROR
        assert client.ask().status == 200

    assert [outcome(exchange) for exchange in plane.exchanges(2)] == [Outcome.TRUNCATED] * 2


def test_streams_beyond_a_clients_places_are_refused_and_counted(start: Start) -> None:
    """They are none of its faults, so there is no record of them."""
    plane = start(Script())
    allow_streams(plane, 1)
    with speaking(plane) as client:
        client.h2.remote_settings.max_concurrent_streams = 10
        held = client.begin(POST, is_end=False)
        assert client.answer(client.begin()).reset == ErrorCode.REFUSED_STREAM
        assert plane.counters().http2_resets == {("server", "refused_stream"): 1}
        client.h2.end_stream(held)
        client.flush()
        assert client.answer(held).status == 200

    assert plane.exchange().status == 200


@pytest.mark.parametrize("size", [70_000, 900_000])
def test_a_reset_while_nothing_is_taken_frees_the_place(start: Start, size: int) -> None:
    """Of a response that has come as a whole, too (F10)."""
    plane = start(Script(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)))
    with speaking(plane, takes_all=False) as client:
        client.h2.increment_flow_control_window(1 << 24)
        large = client.begin()
        while len(client.streams[large].body) < 65535:
            assert client.read()
        [connection] = connections(plane)
        eventually(lambda: connection._waiting)
        client.h2.reset_stream(large, ErrorCode.CANCEL)
        client.flush()
        eventually(lambda: not (connection._waiting or connection._codec.streams.open))

    plane.exchange()


def test_a_header_block_has_the_time_of_a_head(start: Start) -> None:
    """One that does not become complete ends its connection, though others were served on it (P17)."""
    plane = start(Script(), timeout_headers_s=0.3)
    with speaking(plane) as client:
        assert client.ask().body == b"ok"
        client.socket.sendall(frame(HEADERS, 0, 3, b"\x82"))
        while client.socket.recv(65536):
            pass

    _, fault = plane.exchanges(2)
    assert (outcome(fault), error(fault)) == (Outcome.REJECTED, "http2_protocol_error")
    assert (
        fault.notes[NOTE_MESSAGE] == b"timed out within a header block (0.3 s, timeout_headers_s)"
    )


def test_a_client_that_is_gone_begins_nothing_more(start: Start) -> None:
    """What is in hand of its requests reaches no upstream, where its end would never come."""
    may_end = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        may_end.wait(PATIENCE_S)

    plane = start(upstream, max_connections=1000)
    allow_streams(plane, 1000)
    with speaking(plane) as client:
        eventually(lambda: connections(plane))
        heads = b"".join(head(number) for number in range(1, 1601, 2))

        def send_and_leave() -> None:
            [connection] = [
                each for each in plane.engine.connections if isinstance(each, Http2Downstream)
            ]
            connection.data_received(heads)
            connection._transport.abort()

        plane.run(send_and_leave)
        client.hear_out()

    eventually(lambda: not plane.engine.connections and not plane.engine.in_flight)
    may_end.set()
    assert plane.unread < 800


def test_http2_can_be_off(start: Start) -> None:
    """Its client is answered in HTTP/1.1, which says why."""
    plane = start(Script(), http2="off")
    with plane.connect() as client:
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        answer = client.answer()
    assert answer.field("X-Sidelog-Error") == "http2_unsupported"
    assert b"HTTP/2 is off on this port ([proxy] http2)" in answer.body
    assert error(plane.exchange()) == "http2_unsupported"
