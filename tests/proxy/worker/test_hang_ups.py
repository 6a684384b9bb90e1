"""Clients that leave in the middle: what is on record of them, and when it ended (P15)."""

import socket
import threading

import pytest

from proxy.ring.exchange import FLAG_REQUEST_COMPLETE
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.test_downstream import GET, LOOPS, outcome
from tests.support.plane import Loop, eventually
from tests.support.script import Script
from tests.support.upstream import read_head


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("half", [b"G", b"GET /x HTTP/1.1\r\nHost: a\r\n"])
def test_half_a_request_is_recorded(start: Start, half: bytes, loop: Loop) -> None:
    """However little of it came, and whichever request of its connection it was."""
    plane = start(Script(), loop=loop)
    with plane.connect() as client:
        client.send(GET)
        client.answer()
        client.send(half)
        eventually(lambda: plane.run(lambda: [c._reader.buffer for c in plane.plane.engine.connections]) == [half])  # type: ignore[attr-defined]
    _, exchange = plane.exchanges(2)
    assert (exchange.status, outcome(exchange), exchange.request_head) == (499, Outcome.CLIENT_CLOSED, half)
    assert not exchange.flags & FLAG_REQUEST_COMPLETE


def test_a_connection_without_a_request_leaves_none(start: Start) -> None:
    """Checks of a load balancer connect and leave; so do clients between two requests."""
    plane = start(Script())
    plane.connect().socket.close()
    with plane.connect() as client:
        client.send(GET)
        client.answer()
    plane.exchange()
    eventually(lambda: plane.counters().connections_downstream == 0)
    assert plane.unread == 0


def test_a_request_that_was_refused_is_recorded_once(start: Start) -> None:
    """Its client leaves after the answer, with more in the buffer."""
    plane = start(Script(), timeout_headers_s=0.2)
    with plane.connect() as client:
        client.send(b"GET /x HT")
        assert client.answer().status == 408
    plane.exchange()
    eventually(lambda: plane.counters().connections_downstream == 0)
    assert plane.unread == 0


@pytest.mark.parametrize("loop", LOOPS)
def test_the_end_is_the_moment_at_which_the_client_left(start: Start, loop: Loop) -> None:
    """A client that ended its side has a while for its answer; when none comes, that while is not its own."""
    is_asked, may_end = threading.Event(), threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        is_asked.set()
        may_end.wait(60)

    plane = start(upstream, loop=loop)
    with plane.connect() as client:
        client.send(GET)
        assert is_asked.wait(60)
        client.finish_sending()
        found = eventually(lambda: plane.run(lambda: _left(plane.plane.engine.connections)))  # type: ignore[attr-defined]
        exchange = plane.exchange()
    may_end.set()
    assert (exchange.status, outcome(exchange)) == (499, Outcome.CLIENT_CLOSED)
    assert exchange.ended_ns == found


def _left(connections: set[object]) -> int:
    """How long the exchange ran when its client ended its side, ns."""
    for connection in connections:
        if connection._eof_ns and connection._relay._upstream is not None:  # type: ignore[attr-defined]
            return int(connection._eof_ns - connection._relay.exchange.started_ns)  # type: ignore[attr-defined]
    return 0
