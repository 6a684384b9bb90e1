"""Lanes of upstreams of HTTP/2: which exchange gets which, over real sockets."""

from tests.proxy.conftest import Start
from tests.proxy.worker.upstream.http2_calls import (
    HTTP2,
    MAX_STREAMS,
    speaking,
)
from tests.support.http2_upstream import Connection, Http2Upstream, Request
from tests.support.plane import eventually, limit_requests


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
