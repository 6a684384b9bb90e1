"""Connections of HTTP/2 to an upstream: how they end, and what becomes of the streams on them."""

import socket
import threading

import pytest

from proxy.http2 import frames
from proxy.http2.errors import ErrorCode
from proxy.http2.frames import MAX_STREAM_ID
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.http2.wire import block
from tests.proxy.worker.records import error, outcome
from tests.proxy.worker.upstream.http2_calls import (
    HTTP2,
    speaking,
    with_path,
)
from tests.support.http2_client import POST
from tests.support.http2_upstream import Connection, Http2Upstream, Request
from tests.support.plane import Plane, eventually


def test_a_goaway_retires_a_connection(start: Start) -> None:
    """What it leaves out is sent once more over another one; what it leaves runs to its end."""

    def answer(connection: Connection, request: Request) -> None:
        if connection.number == 1:
            connection.respond(request, b"again")
        elif request.id == 3:
            connection.socket.sendall(frames.goaway(1, ErrorCode.NO_ERROR))

    upstream = Http2Upstream(answer)
    plane = start(upstream, route=HTTP2)
    with speaking(plane) as client:
        first = client.begin()
        eventually(lambda: upstream.requests)
        assert client.ask().body == b"again"
        assert client.ask().body == b"again"
        [kept, *_] = upstream.requests
        upstream.connections[0].respond(kept, b"kept")
        assert client.answer(first).body == b"kept"
        eventually(lambda: plane.counters().connections_upstream == 1)

    assert len(upstream.connections) == 2


def test_a_goaway_without_a_last_stream_announces_the_end(start: Start) -> None:
    """As servers send it first: nothing is sent again, and the next request opens a connection."""
    upstream = Http2Upstream()
    plane = start(upstream, route=HTTP2)
    with speaking(plane) as client:
        client.ask()
        upstream.connections[0].socket.sendall(frames.goaway(MAX_STREAM_ID, ErrorCode.NO_ERROR))
        eventually(lambda: not plane.counters().connections_upstream)
        assert client.ask().status == 200

    assert len(upstream.connections) == 2
    assert plane.counters().upstream_retries == 0


def test_a_lost_connection_fails_what_ran_on_it(start: Start) -> None:
    """Before a head 502, behind one the response is cut off; the next request opens a connection."""
    parts = threading.Event()

    def answer(connection: Connection, request: Request) -> None:
        if request.fields[":path"] == "/part":
            connection.respond(request, b"part", is_end=False)
            parts.set()
        elif request.fields[":path"] == "/fine":
            connection.respond(request, b"fine")

    upstream = Http2Upstream(answer)
    plane = start(upstream, route=HTTP2)
    with speaking(plane) as client:
        waiting = client.begin(POST, b"x")
        begun = client.begin(with_path("/part"))
        assert parts.wait(60)
        eventually(lambda: len(upstream.requests) == 2)
        upstream.connections[0].socket.shutdown(socket.SHUT_RDWR)
        assert client.answer(waiting).status == 502
        assert client.answer(begun).reset == ErrorCode.INTERNAL_ERROR
        assert client.ask(with_path("/fine")).body == b"fine"

    assert {error(exchange) for exchange in plane.exchanges(2)} == {"upstream_reset"}


STALLS = {
    "within a head": frames.frame(frames.HEADERS, 0, 1, block([(b":status", b"200")])),
    "within a frame": frames.frame(frames.HEADERS, frames.END_HEADERS, 1, bytes(99))[:40],
    "before anything": b"",
    "after a sign of life": frames.frame(frames.PING, 0, 0, bytes(8)),
}


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("gives_up", ["sidelog", "client"])
def test_a_connection_that_stalls_is_lent_no_more(start: Start, stall: str, gives_up: str) -> None:
    """What was waited for in vain on it is over; the next request takes another connection."""

    def answer(connection: Connection, request: Request) -> None:
        if connection.number:
            connection.respond(request, b"ok")
        elif not request.is_answered:
            request.is_answered = True
            connection.flush()  # nothing of it may follow within the frame
            with connection.lock:
                connection.socket.sendall(STALLS[stall])

    upstream = Http2Upstream(answer)
    limit_s = 1.0 if gives_up == "sidelog" else 60.0
    plane = start(upstream, route=HTTP2, timeout_first_byte_s=limit_s)
    with speaking(plane) as client:
        stream = client.begin()
        if gives_up == "sidelog":
            assert client.answer(stream).status == 504
        elif not stall.startswith("within"):
            return  # its upstream may be thinking
        else:
            eventually(lambda: plane.run(lambda: _is_within_frame(plane)))
            client.h2.reset_stream(stream, ErrorCode.CANCEL)
            client.flush()
            eventually(lambda: plane.counters().connections_upstream == 0)
        answered = client.ask()
        assert (answered.status, answered.body) == (200, b"ok")

    assert len(upstream.connections) == 2
    assert outcome(plane.exchanges(2)[1]) == Outcome.OK


def _is_within_frame(plane: Plane) -> bool:
    connections = plane.engine.http2_pools[0]._connections
    return any(each.codec.reader.is_within_frame for each in connections)
