"""How a WebSocket's end is judged: which side broke it off, why, and under which code (P7, P14)."""

import socket
import struct
from collections.abc import Callable

import pytest

from proxy.ring.exchange import NOTE_MESSAGE
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.test_downstream import LOOPS, error, outcome
from tests.proxy.worker.test_fairness import entries
from tests.support.client import Client
from tests.support.plane import Loop, Plane
from tests.support.upstream import read_head, switching

UPGRADE = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
HELLO = b"\x81\x05hello"
CLOSE = b"\x88\x02\x03\xe8"


def reset(connection: socket.socket) -> None:
    """Close so that the peer is reset, as a process does that is killed with unread input."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def opened(plane: Plane) -> Client:
    """A WebSocket on which the service has said hello."""
    client = plane.connect()
    client.send(UPGRADE)
    assert b" 101 " in client.head()
    assert client._exactly(len(HELLO)) == (HELLO, True)
    return client


@pytest.mark.parametrize(
    ("leave", "said"),
    [
        (lambda connection: None, b"the upstream closed the connection without a close frame"),
        (reset, b"the connection to the upstream failed: "),
    ],
    ids=["end", "reset"],
)
@pytest.mark.parametrize("loop", LOOPS)
def test_a_service_that_leaves_without_a_close_frame(
    start: Start, loop: Loop, leave: Callable[[socket.socket], None], said: bytes
) -> None:
    """It is recorded and counted under the code that a cut response has."""

    def upstream(connection: socket.socket, number: int) -> None:
        connection.sendall(switching(read_head(connection)) + HELLO)
        connection.recv(100)
        leave(connection)

    plane = start(upstream, loop=loop)
    with opened(plane) as client:
        client.send(b"\x81\x80\0\0\0\0")
        assert client.is_ended()
        (exchange,), messages = entries(plane, 1)

    assert (exchange.status, outcome(exchange), error(exchange)) == (
        101,
        Outcome.TRUNCATED,
        "upstream_reset",
    )
    assert exchange.notes[NOTE_MESSAGE].startswith(said)
    assert messages[0].data == b"hello"
    assert plane.counters().upstream_errors == {("0", "reset"): 1}


@pytest.mark.parametrize("leave", [lambda connection: None, reset], ids=["end", "reset"])
def test_a_service_that_leaves_behind_a_close_frame(
    start: Start, leave: Callable[[socket.socket], None]
) -> None:
    """All was said: however the connection ends, nothing failed."""

    def upstream(connection: socket.socket, number: int) -> None:
        connection.sendall(switching(read_head(connection)) + HELLO)
        connection.sendall(CLOSE)
        connection.recv(100)
        leave(connection)

    plane = start(upstream)
    with opened(plane) as client:
        client.send(b"\x88\x82\0\0\0\0\x03\xe8")
        client.rest()
        (exchange,), _ = entries(plane, 1)

    assert (outcome(exchange), exchange.close_code, error(exchange)) == (Outcome.OK, 1000, "")
    assert plane.counters().upstream_errors == {}


@pytest.mark.parametrize("leave", [Client.finish_sending, Client.reset], ids=["end", "reset"])
def test_a_client_that_leaves_without_a_close_frame(
    start: Start, leave: Callable[[Client], None]
) -> None:
    """It is no failure of the service, whichever side's end is read first."""

    def upstream(connection: socket.socket, number: int) -> None:
        connection.sendall(switching(read_head(connection)) + HELLO)
        connection.recv(100)

    plane = start(upstream)
    with opened(plane) as client:
        leave(client)
        (exchange,), _ = entries(plane, 1)
    assert (outcome(exchange), error(exchange)) == (Outcome.CLIENT_CLOSED, "")
    assert plane.counters().upstream_errors == {}
