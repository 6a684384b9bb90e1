"""Clients that leave in the middle: what is on record of them, and when it ended (P15)."""

import socket
import threading

import pytest

from proxy.ring.exchange import FLAG_REQUEST_COMPLETE
from proxy.worker.downstream import Downstream
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
        eventually(
            lambda: plane.run(lambda: [c._reader.buffer for c in plane.downstreams]) == [half]
        )

    _, exchange = plane.exchanges(2)
    assert (exchange.status, outcome(exchange), exchange.request_head) == (
        499,
        Outcome.CLIENT_CLOSED,
        half,
    )
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
    with plane.connect_with(b"GET /x HT") as client:
        assert client.answer().status == 408
    plane.exchange()
    eventually(lambda: plane.counters().connections_downstream == 0)
    assert plane.unread == 0


@pytest.mark.parametrize("is_tunnel", [False, True], ids=["request", "tunnel"])
@pytest.mark.parametrize("loop", LOOPS)
def test_the_end_is_the_moment_at_which_the_client_left(
    start: Start, loop: Loop, is_tunnel: bool
) -> None:
    """A client that ended its side has a while for its answer; when none comes, that while is not
    its own.
    """
    is_asked = threading.Event()
    may_end = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        if is_tunnel:
            connection.sendall(
                b"HTTP/1.1 101 Up\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
            )
        is_asked.set()
        may_end.wait(60)

    plane = start(upstream, loop=loop)
    with plane.connect() as client:
        client.send(
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
            if is_tunnel
            else GET
        )
        assert is_asked.wait(60)
        if is_tunnel:
            assert client.head().startswith(b"HTTP/1.1 101")
        [connection] = plane.run(lambda: plane.downstreams)
        assert connection._relay.exchange is not None
        began_ns = connection._relay.exchange.started_ns
        client.finish_sending()
        exchange = plane.exchange()

    may_end.set()
    assert (exchange.status, outcome(exchange)) == (
        101 if is_tunnel else 499,
        Outcome.CLIENT_CLOSED,
    )
    assert exchange.ended_ns == connection._eof_ns - began_ns > 0


@pytest.mark.parametrize("loop", LOOPS)
def test_silent_peers_are_probed(start: Start, loop: Loop) -> None:
    """Who vanishes without a word would hold a stream that says nothing for ever, on either side."""
    may_end = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        may_end.wait(60)

    plane = start(upstream, loop=loop)
    with plane.connect() as client:
        client.send(GET)
        client.head()
        assert plane.run(lambda: _probes(plane.downstreams)) == [(1, 60), (1, 60)]

    may_end.set()
    plane.exchange()


def _probes(connections: list[Downstream]) -> list[tuple[int, int]]:
    """Whether the kernel probes both peers, and after how many seconds of silence."""
    found = []
    for connection in connections:
        assert connection._relay.upstream is not None
        for transport in connection._transport, connection._relay.upstream.transport:
            own = transport.get_extra_info("socket")
            is_probed = own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            found.append((is_probed, own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)))

    return found
