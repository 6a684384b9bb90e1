"""Lanes of upstreams of HTTP/2: which exchange gets which, over real sockets."""

import pytest

from proxy.ring.exchange import (
    NOTE_GRPC_MESSAGES,
    NOTES_RESPONSE_TRAILERS,
)
from proxy.ring.http2_notes import (
    NOT_RESET,
    MessagesNote,
    StreamNote,
    read_messages_note,
)
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.records import outcome, stream_note
from tests.proxy.worker.upstream.http2_calls import (
    CALL,
    GRPC,
    HTTP2,
    MAX_STREAMS,
    MESSAGE,
    STATUS,
    speaking,
)
from tests.support.http2_upstream import Connection, Http2Upstream, Request
from tests.support.long import LOOPS
from tests.support.plane import Loop, eventually, limit_requests


@pytest.mark.parametrize("loop", LOOPS)
def test_a_call_of_grpc_goes_by_http2_and_is_recorded(start: Start, loop: Loop) -> None:
    """Without any setting; trailers, their record, the counts of messages and the stream are those
    of the call.
    """

    def answer(connection: Connection, request: Request) -> None:
        if request.is_ended:
            connection.respond(request, request.body * 2, GRPC, (*STATUS, ("x-bin", "AP8B")))

    upstream = Http2Upstream(answer)
    plane = start(upstream, loop=loop)
    with speaking(plane) as client:
        answered = client.ask(CALL, MESSAGE)
    assert (answered.status, answered.body, answered.reset) == (200, MESSAGE * 2, None)
    assert answered.trailers == {"grpc-status": "0", "x-bin": "AP8B"}
    [request] = upstream.requests
    assert [request.fields[name] for name in (":method", ":path", ":scheme", "te")] == [
        *("POST", "/s.Service/Do", "http", "trailers")
    ]
    assert request.fields[":authority"] == "a"
    assert "host" not in request.fields
    assert "transfer-encoding" not in request.fields
    exchange = plane.exchange()
    assert exchange.response_head.startswith(b"HTTP/2 200\r\ncontent-type: application/grpc\r\n")
    assert exchange.notes[NOTES_RESPONSE_TRAILERS[0]] == b"grpc-status: 0\r\nx-bin: AP8B\r\n"
    assert (exchange.request_window, exchange.response_window) == (MESSAGE, MESSAGE * 2)
    assert read_messages_note(exchange.notes[NOTE_GRPC_MESSAGES]) == MessagesNote(
        1, 3, 2, 3, is_stream=True
    )
    assert stream_note(exchange) == StreamNote(1, 1, -1, NOT_RESET)
    assert outcome(exchange) == Outcome.OK


def test_exchanges_at_once_share_a_connection(start: Start) -> None:
    """As many as the upstream takes; all that come while it is opened wait for it."""
    held: list[tuple[Connection, Request]] = []

    def answer(connection: Connection, request: Request) -> None:
        if request.is_ended:
            held.append((connection, request))
            if len(held) == 50:
                for each in held:
                    each[0].respond(each[1], b"x")

    upstream = Http2Upstream(answer)
    plane = start(upstream, route=HTTP2)
    with speaking(plane) as client:
        streams = [client.begin() for _ in range(50)]
        assert {client.answer(stream).body for stream in streams} == {b"x"}
    assert len(upstream.connections) == 1


def test_exchanges_beyond_the_streams_of_a_connection_open_another_or_wait(start: Start) -> None:
    """Two streams each on two connections at most: five requests, the last waits for the first to
    end.
    """
    held: list[tuple[Connection, Request]] = []
    upstream = Http2Upstream(
        lambda c, r: held.append((c, r)) if r.is_ended else None, {MAX_STREAMS: 2}
    )

    plane = start(upstream, route=HTTP2, upstream_max_connections=2)
    with speaking(plane) as client:
        streams = [client.begin() for _ in range(5)]
        eventually(lambda: len(held) == 4)
        assert len(upstream.connections) == 2
        eventually(lambda: plane.run(lambda: plane.engine.http2_pools[0].is_awaited))
        held[0][0].respond(held[0][1], b"first")
        eventually(lambda: len(held) == 5)
        for connection, request in held[1:]:
            connection.respond(request, b"later")
        assert sorted(client.answer(stream).body for stream in streams) == [
            b"first",
            *[b"later"] * 4,
        ]


def test_an_upstream_that_takes_no_streams_yet_is_waited_for(start: Start) -> None:
    """By all requests on one connection: none sends a stream over the limit, or opens another."""
    upstream = Http2Upstream(settings={MAX_STREAMS: 0})
    plane = start(upstream, route=HTTP2)
    with speaking(plane) as client:
        streams = [client.begin() for _ in range(3)]
        eventually(lambda: plane.run(lambda: len(plane.engine.http2_pools[0]._waiting) == 2))
        assert not upstream.requests
        [connection] = eventually(lambda: upstream.connections)
        _allow(connection, 9)
        assert {client.answer(stream).status for stream in streams} == {200}

    assert len(upstream.connections) == 1


def test_an_upstream_that_takes_more_streams_than_before_gets_what_waits(start: Start) -> None:
    """At once, not when one of its streams ends."""
    held: list[tuple[Connection, Request]] = []
    upstream = Http2Upstream(lambda c, r: held.append((c, r)), {MAX_STREAMS: 1})

    plane = start(upstream, route=HTTP2, upstream_max_connections=1)
    with speaking(plane) as client:
        streams = [client.begin() for _ in range(3)]
        eventually(lambda: plane.run(lambda: len(plane.engine.http2_pools[0]._waiting) == 2))
        eventually(lambda: held)
        _allow(held[0][0], 3)
        eventually(lambda: len(held) == 3)
        for connection, request in held:
            connection.respond(request)
        assert {client.answer(stream).status for stream in streams} == {200}


def _allow(connection: Connection, streams: int) -> None:
    with connection.lock:
        connection.h2.update_settings({MAX_STREAMS: streams})
        connection.flush()


def test_waiting_for_a_lane_ends_with_its_time(start: Start) -> None:
    """Where all streams of all connections are taken it is overload, as it is over HTTP/1.1."""
    upstream = Http2Upstream(lambda c, r: None, {MAX_STREAMS: 1})
    plane = start(upstream, route=HTTP2, upstream_max_connections=1, timeout_connect_s=0.3)
    with speaking(plane) as client:
        first = client.begin()
        eventually(lambda: len(upstream.requests) == 1)
        refused = client.ask()
        assert (refused.status, refused.fields["x-sidelog-error"]) == (503, "overloaded")
        client.h2.reset_stream(first)
        client.flush()


def test_requests_that_run_at_once_count_as_they_begin(start: Start) -> None:
    """A connection carries no more than its number, however many are waiting for answers."""

    def answer(connection: Connection, request: Request) -> None:
        if len(connection.requests) == (10, 10, 5)[connection.number]:
            for each in connection.requests.values():
                connection.respond(each, b"ok")

    upstream = Http2Upstream(answer)
    plane = start(upstream, route=HTTP2)
    limit_requests(plane, 10)
    with speaking(plane) as client:
        streams = [client.begin() for _ in range(25)]
        assert [client.answer(stream).status for stream in streams] == [200] * 25
    assert [len(connection.requests) for connection in upstream.connections] == [10, 10, 5]
    eventually(lambda: plane.counters().connections_upstream == 1)
