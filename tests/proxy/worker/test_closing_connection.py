"""Ends of connections whose client is still sending: what was written for it, or taken from it,
arrives.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import cast

import pytest

from proxy.network.sockets import unsent_bytes
from proxy.settings.model import CaptureSettings
from proxy.worker.deadlines import MAX_LINGER_BYTES
from proxy.worker.downstream import Downstream
from proxy.worker.upstream import connection as upstream_connection
from proxy.worker.upstream.connection import UpstreamConnection
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.clients import MASKED_CLOSE, connect
from tests.proxy.worker.records import outcome
from tests.proxy.worker.rows import Row, ask, hear, played, recorded, until
from tests.proxy.worker.services import NOBODY, SERVE
from tests.proxy.worker.test_fairness import HANDSHAKE
from tests.support.client import GET, Client
from tests.support.long import LOOPS
from tests.support.plane import PATIENCE_S, Loop, Plane, eventually
from tests.support.upstream import read_head

UNREAD = CaptureSettings(message_bytes=0)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
FRAME = b"\x82\x7f" + (60_000).to_bytes(8, "big") + bytes(60_000)
UPLOAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000000\r\n\r\n" + bytes(100_000)
CLOSE = b"\x88\x02\x03\xe8"
MASKED = b"\x82\xfe" + (1000).to_bytes(2, "big") + bytes(1004)


def holds_no_body(connection: Downstream) -> bool:
    """Whether nothing of the last request is kept."""
    return not (connection._reader.body or connection._relay.unsent)


ROWS = [
    Row(
        f"an idle connection whose last request was {name} holds no body",
        [
            *(ask("POST", body=bytes(20_000)), hear(status, error=code), until(holds_no_body)),
            recorded(status, *how),
        ],
        upstream,
        ("h1",),
    )
    for name, upstream, status, code, how in (
        ("answered", SERVE, 200, None, ()),
        ("refused", NOBODY, 502, "upstream_refused", ("upstream_error", "upstream_refused")),
    )
]


test_closing_connection = played(ROWS)


def hear_out(connection: socket.socket) -> None:
    """Read what nobody wants, to the end."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65536):
            pass


def answer_early(connection: socket.socket, number: int) -> None:
    """Answer the head of an upload, and read on."""
    read_head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1500000\r\n\r\n" + bytes(1_500_000))
    hear_out(connection)


def read_all(client: Client, meanwhile: Callable[[], None]) -> int:
    """Read slowly to the end, which must be an orderly one, and do something else between two
    reads.
    """
    size = 0
    while data := client.socket.recv(65536):
        size += len(data)
        with contextlib.suppress(OSError):
            meanwhile()
    return size


@pytest.mark.parametrize("loop", LOOPS)
def test_a_tunnel_that_its_upstream_ends(start: Start, loop: Loop) -> None:
    """All frames arrive, also while the client goes on with its own."""

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(SWITCH + FRAME * 100 + CLOSE)
        connection.shutdown(socket.SHUT_WR)
        hear_out(connection)

    plane = start(upstream, loop=loop, capture=UNREAD)
    with plane.connect(65536) as client:
        client.send(HANDSHAKE)
        assert client.head().startswith(b"HTTP/1.1 101 ")
        assert read_all(client, lambda: client.send(MASKED)) + len(client._buffer) == 100 * len(
            FRAME
        ) + len(CLOSE)

    assert outcome(plane.exchange()) == Outcome.OK


@pytest.mark.parametrize("loop", LOOPS)
def test_an_early_answer_to_who_uploads_much(start: Start, loop: Loop) -> None:
    """It arrives whole, however much the client sends meanwhile, which nobody reads any more."""

    plane = start(answer_early, loop=loop)
    with plane.connect(65536) as client:
        client.send(UPLOAD)
        assert outcome(plane.exchange()) == Outcome.OK  # our kernel has room for the response
        client.send(bytes(600_000))
        assert client.head().startswith(b"HTTP/1.1 200 ")
        assert (
            read_all(client, lambda: client.send(bytes(10_000))) + len(client._buffer) == 1_500_000
        )


@pytest.mark.parametrize("loop", LOOPS)
def test_a_refused_client_of_tls_that_never_stops(
    start_tls: Callable[..., Plane], loop: Loop
) -> None:
    """What it sends behind a refusal is not read for ever: it is cut off soon after it has its
    answer.
    """
    plane = start_tls("http://127.0.0.1:1", loop=loop)
    with connect(plane) as client:
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert client.head().startswith(b"HTTP/1.1 400 ")
        began = time.monotonic()
        with contextlib.suppress(OSError):  # a reset, a broken pipe, an end within TLS
            while True:
                client.send(bytes(65536))
        assert time.monotonic() - began < 25  # the end of a TLS connection has 30 s

    plane.exchange()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
def test_what_a_client_leaves_in_a_tunnel_arrives(
    start: Start,
    start_tls: Callable[..., Plane],
    loop: Loop,
    is_tls: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An upstream that is slow gets all that its client sent before it left."""
    # A busy one may take longer than it may.
    monkeypatch.setattr(upstream_connection, "STALLED_NS", 60_000_000_000)
    may_read = threading.Event()
    got = []

    def upstream(connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        read_head(connection)
        connection.sendall(SWITCH)
        may_read.wait(PATIENCE_S)
        size = 0
        while data := connection.recv(65536):
            size += len(data)
        got.append(size)

    plane = (start_tls if is_tls else start)(upstream, loop=loop, capture=UNREAD)
    with connect(plane) if is_tls else plane.connect() as client:
        client.send(HANDSHAKE)
        assert client.head().startswith(b"HTTP/1.1 101 ")
        plane.run(lambda: _leave_little_room(plane))
        client.send(MASKED * 40)
        eventually(
            lambda: plane.run(
                lambda: any(map(_waits_in_our_buffer, plane.engine.pools[0]._connections))
            )
        )
        client.send(MASKED_CLOSE)

        if is_tls:
            cast(ssl.SSLSocket, client.socket).unwrap().close()
        else:
            client.finish_sending()
            assert client.is_ended()

    exchange = plane.exchange()
    may_read.set()
    eventually(lambda: got)
    size = len(MASKED * 40 + MASKED_CLOSE)
    assert (got, exchange.request_bytes) == ([size], size)


def _leave_little_room(plane: Plane) -> None:
    [connection] = plane.engine.pools[0]._connections
    connection.transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_SNDBUF, 4096
    )


def _waits_in_our_buffer(connection: UpstreamConnection) -> bool:
    return connection.transport.get_write_buffer_size() > 0


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_vanishes_behind_its_last_answer_is_noticed(start: Start, loop: Loop) -> None:
    """Nothing more of it is read by then, and nothing can be sent."""

    plane = start(answer_early, loop=loop, timeout_write_stall_s=0)
    with plane.connect(65536) as client:
        client.send(UPLOAD)
        plane.exchange()
        client.send(bytes(400_000))
        eventually(
            lambda: plane.has_downstream(lambda each: each._lingered_bytes > MAX_LINGER_BYTES)
        )
        client.reset()
        eventually(lambda: not plane.counters().connections_downstream)


@pytest.mark.parametrize("loop", LOOPS)
def test_refused_clients_that_take_nothing_give_way(start: Start, loop: Loop) -> None:
    """They have their time, but no place that others want."""

    def upstream(connection: socket.socket, number: int) -> None:
        while read_head(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + bytes(20000))

    plane = start(upstream, loop=loop, max_connections=2, timeout_write_stall_s=0)
    clients = []
    for _ in range(2):
        clients.append(plane.connect(1))
        clients[-1].send(GET)
        plane.exchange()
        clients[-1].send(b"GET / HTTP/1.1\r\n\r\n")
        assert plane.exchange().status == 400

    assert plane.run(lambda: all(unsent_bytes(each._transport) for each in plane.downstreams))
    eventually(lambda: _is_served(plane))
    plane.exchange()
    for client in clients:
        client.socket.close()


def _is_served(plane: Plane) -> bool:
    with plane.connect() as client:
        client.send(GET)
        return client.answer().status == 200


@pytest.mark.parametrize("loop", LOOPS)
def test_the_last_response_over_tls_is_seen_to_end(
    start_tls: Callable[..., Plane], loop: Loop
) -> None:
    """Without an end of TLS one without a length could not be told from half of one (P14)."""
    go_on = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc")
        go_on.wait(PATIENCE_S)
        connection.sendall(b"def")

    plane = start_tls(upstream, loop=loop, drain_timeout_s=PATIENCE_S)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    plain = socket.create_connection(("127.0.0.1", plane.port), timeout=PATIENCE_S)
    with Client(context.wrap_socket(plain, suppress_ragged_eofs=False)) as client:
        client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        while b"abc" not in client._buffer:
            client._buffer += client.socket.recv(65536)
        plane.stop()
        eventually(lambda: plane.run(lambda: plane.engine.is_draining))
        go_on.set()
        assert client.rest().endswith(b"abcdef")

    plane.exchange()


@pytest.mark.parametrize("loop", LOOPS)
def test_an_upstream_that_takes_nothing_of_what_is_left_is_given_up(
    start: Start, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that has ended its side: the loop would wait for ever."""
    monkeypatch.setattr(upstream_connection, "STALLED_NS", 300_000_000)  # compiled it stays 10 s
    may_end = threading.Event()
    end = threading.Event()

    def upstream(own: socket.socket, number: int) -> None:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        read_head(own)
        own.sendall(SWITCH)
        may_end.wait(PATIENCE_S)
        own.shutdown(socket.SHUT_WR)
        end.wait(PATIENCE_S)

    plane = start(upstream, loop=loop, capture=UNREAD)
    with plane.connect() as client:
        client.send(HANDSHAKE)
        client.head()
        plane.run(lambda: _leave_little_room(plane))
        client.send(MASKED * 40)
        eventually(
            lambda: plane.run(
                lambda: any(map(_waits_in_our_buffer, plane.engine.pools[0]._connections))
            )
        )
        client.reset()

    plane.exchange()
    may_end.set()
    eventually(lambda: not plane.counters().connections_upstream)
    end.set()
