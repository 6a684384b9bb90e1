"""Clients that leave in the middle: what is on record of them, and when it ended (P15)."""

import socket
import threading
from collections.abc import Callable
from typing import Any, Final

import pytest
from h2.settings import SettingCodes

from proxy.http2.errors import ErrorCode
from proxy.network.pacing import BY_CLIENT
from proxy.worker.downstream import Downstream
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.clients import OPEN
from tests.proxy.worker.records import outcome
from tests.proxy.worker.rows import Row, Stage, ask, goes, hear, played, recorded, see_head
from tests.proxy.worker.services import heard, waits
from tests.proxy.worker.upstream.http2_calls import CALL, GRPC, HTTP2, MESSAGE, STATUS, speaking
from tests.support.client import GET
from tests.support.http2_client import GET as HTTP2_GET
from tests.support.http2_client import Fields
from tests.support.http2_upstream import Http2Upstream
from tests.support.long import LOOPS
from tests.support.plane import Loop, eventually
from tests.support.script import Script
from tests.support.upstream import read_head, switching


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


def are_probed(stage: Stage) -> None:
    """Find that the kernel probes both peers after a minute of silence."""
    assert stage.plane.run(lambda: _probes(stage.plane.downstreams)) == [(1, 60), (1, 60)]


ROWS = [
    Row(
        "peers that say nothing are probed, as one that vanished would hold a stream for ever",
        [ask(), see_head, are_probed, goes, hear(), recorded(200)],
        [heard, b"HTTP/1.1 200 OK\r\n\r\n", waits],
        ("h1",),
        "P17",
    ),
]


test_hang_ups = played(ROWS)


def _probes(connections: list[Downstream]) -> list[tuple[int, int]]:
    """Return whether the kernel probes both peers, and after how many seconds of silence."""
    found = []
    for connection in connections:
        assert connection._relay.upstream is not None
        for transport in connection._transport, connection._relay.upstream.transport:
            own = transport.get_extra_info("socket")
            is_probed = own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            found.append((is_probed, own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)))

    return found


# What a client was sent, where it took nothing.

_BODY = bytes(range(250)) * 20
_CLOSE = b"\x88\x02\x03\xe8"
_LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


Upstream = Callable[[socket.socket, int], None]


def _websocket(connection: socket.socket, number: int) -> None:
    message = b"\x82\x7e\x13\x80" + bytes(4992)
    connection.sendall(switching(read_head(connection)) + message + _CLOSE)
    connection.recv(1)


RESPONSES: Final[dict[str, tuple[Upstream, Fields, dict[str, Any]]]] = {
    "length": (Script(_LENGTH + _BODY), HTTP2_GET, {}),
    "chunks": (Script(_CHUNKED + b"1388\r\n%b\r\n0\r\n\r\n" % _BODY), HTTP2_GET, {}),
    "events": (Script(_EVENTS + _BODY, close_after=1), HTTP2_GET, {}),
    "websocket": (_websocket, OPEN, {}),
    "http2": (Http2Upstream(lambda c, r: c.respond(r, _BODY)), HTTP2_GET, {"route": HTTP2}),
    "grpc": (
        Http2Upstream(
            lambda c, r: c.respond(r, MESSAGE * 625, GRPC, STATUS) if r.is_ended else None
        ),
        CALL,
        {},
    ),
}


@pytest.mark.parametrize("kind", RESPONSES)
@pytest.mark.parametrize(
    ("granted", "leaves"),
    [(0, "reset"), (0, "close"), (1500, "reset"), (1500, "close"), (5000, "")],
)
def test_a_stream_has_on_record_what_its_client_was_sent(
    start: Start, kind: str, granted: int, leaves: str
) -> None:
    """Its windows say how much that is; it is `ok` once it was sent all."""
    upstream, fields, settings = RESPONSES[kind]
    plane = start(upstream, **settings)
    with speaking(plane, takes_all=False) as client:
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        client.flush()
        stream_id = client.begin(
            fields, MESSAGE if kind == "grpc" else None, is_end=kind != "websocket"
        )
        stream = client.streams[stream_id]
        while not stream.status:
            assert client.read()
        if granted:
            client.h2.increment_flow_control_window(granted, stream_id)
            client.flush()
        while len(stream.body) < granted:
            assert client.read()
        if leaves == "reset" or (kind == "websocket" and not leaves):
            client.h2.reset_stream(stream_id, ErrorCode.CANCEL)
            client.flush()
        elif leaves:
            client.socket.close()
        exchange = plane.exchange()

    is_whole = granted == 5000
    assert outcome(exchange) == (Outcome.OK if is_whole else Outcome.CLIENT_CLOSED)
    assert exchange.response_bytes == granted
    if kind != "websocket":
        assert exchange.status == 200
        assert len(exchange.response_window) == granted


@pytest.mark.parametrize("leaves", [True, False])
def test_a_connection_has_on_record_what_its_client_was_sent(start: Start, *, leaves: bool) -> None:
    """The rest of a response waits, unsent and unrecorded, for a client whose buffers are full."""
    may_end = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(_LENGTH + _BODY[:1000])
        may_end.wait(60)
        connection.sendall(_BODY[1000:])
        connection.recv(1)

    plane = start(upstream).trust_upstreams()
    with plane.connect() as client:
        client.send(GET)
        client.head()
        [connection] = plane.downstreams
        eventually(lambda: plane.run(lambda: connection._relay.upstream))

        def take_nothing() -> None:
            connection.pause_writing()
            # Here it has room all the same, which that of a real one would not have.
            connection._relay.upstream.resume(BY_CLIENT)  # type: ignore[union-attr]

        plane.run(take_nothing)
        may_end.set()
        eventually(lambda: plane.run(lambda: connection._relay.upstream is None))
        assert plane.unread == 0
        if leaves:
            client.reset()
        else:
            plane.run(connection.resume_writing)
        exchange = plane.exchange()

    sent = 1000 if leaves else 5000
    assert (outcome(exchange), exchange.response_bytes, exchange.response_window) == (
        Outcome.CLIENT_CLOSED if leaves else Outcome.OK,
        sent,
        _BODY[:sent],
    )
