"""Turns of connections over TLS (P23): what the loop holds decrypted comes later, and nothing of it
is lost.
"""

import hashlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable

import pytest

from proxy.network.pacing import HELD_BYTES
from proxy.worker.downstream import Downstream
from proxy.worker.engine import Connection
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.clients import MASKED_CLOSE, connect
from tests.proxy.worker.records import dropped, entries, number_of, outcome
from tests.proxy.worker.test_fairness import (
    HANDSHAKE,
    MASKED_EMPTY,
    PATIENCE_S,
    SMALL,
    UPLOAD,
    silent_tunnel,
    sink,
)
from tests.support.client import GET, Client
from tests.support.long import LOOPS
from tests.support.plane import Loop, Plane, eventually
from tests.support.upstream import read_head, scripted


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", ["one byte", "line ends"])
def test_an_upload_in_small_chunks(start_tls: Callable[..., Plane], kind: str, loop: Loop) -> None:
    """All of it arrives, and the connection serves the next request."""
    chunk, size = SMALL[kind]
    count = 400_000 // len(chunk)
    plane = start_tls(sink, loop=loop)
    with connect(plane) as client:
        client.send(UPLOAD + chunk * count + b"0\r\n\r\n" + GET)
        assert [client.answer().body, client.answer().body] == [b"ok", b"ok"]
    first, _ = plane.exchanges(2)
    assert (first.request_bytes, outcome(first)) == (count * size, Outcome.OK)


@pytest.mark.parametrize("loop", LOOPS)
def test_frames_and_the_end_behind_them(start_tls: Callable[..., Plane], loop: Loop) -> None:
    """A client that says as much as is held of it, and leaves at once, has said all of it (P23)."""
    count = (HELD_BYTES - 1024) // len(MASKED_EMPTY)
    plane = start_tls(silent_tunnel, loop=loop)
    with connect(plane) as client:
        client.send(HANDSHAKE)
        assert b" 101 " in client.head()
        client.send(MASKED_EMPTY * count + MASKED_CLOSE)

    (session,), messages = entries(plane, 1)
    assert (session.close_code, outcome(session)) == (1000, Outcome.OK)
    assert number_of(messages) + dropped(session) == count + 1


@pytest.mark.parametrize("loop", LOOPS)
def test_a_large_response_of_an_upstream_over_tls(
    start: Start, certificate: tuple[str, str], loop: Loop
) -> None:
    """Reads of 64 KiB and more end a turn; the body is the same, also when the upstream leaves at
    once.
    """
    body = os.urandom(600_000)  # little enough that nobody is held back
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def upstream(connection: socket.socket, number: int) -> None:
        with context.wrap_socket(connection.dup(), server_side=True) as secure:
            secure.settimeout(PATIENCE_S)
            read_head(secure)
            secure.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for at in range(0, len(body), 50_000):
                piece = body[at : at + 50_000]
                secure.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            secure.sendall(b"0\r\n\r\n")

    route = {"upstream_ca_file": certificate[0]}
    with scripted(upstream) as url:
        plane = start(url.replace("http://127.0.0.1", "https://localhost"), loop=loop, route=route)
        with plane.connect() as client:
            client.socket.settimeout(PATIENCE_S)
            client.send(GET)
            answer = client.answer()
            assert answer.is_complete
            assert hashlib.sha256(answer.body).digest() == hashlib.sha256(body).digest()

        assert outcome(plane.exchange()) is Outcome.OK


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("framing", ["length", "close"])
def test_a_slow_client_gets_all_of_an_upstream_that_left(
    start: Start, certificate: tuple[str, str], framing: str, loop: Loop
) -> None:
    """What is held back when the connection ends is read first; such an end looks like the end of
    the body.
    """
    body = os.urandom(3_000_000)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    has_left = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        with context.wrap_socket(connection.dup(), server_side=True) as secure:
            read_head(secure)
            length = b"Content-Length: %d\r\n" % len(body) if framing == "length" else b""
            secure.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n%b\r\n" % length + body)
        connection.shutdown(socket.SHUT_RDWR)
        has_left.set()

    with scripted(upstream) as url, socket.socket() as slow:
        plane = start(
            url.replace("http://127.0.0.1", "https://localhost"),
            loop=loop,
            route={"upstream_ca_file": certificate[0]},
        )
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(PATIENCE_S)
        slow.connect(("127.0.0.1", plane.port))
        client = Client(slow)
        client.send(GET)
        has_left.wait(60)
        time.sleep(0.3)
        answer = client.answer()
        assert (len(answer.body), answer.body == body) == (len(body), True)
        assert outcome(plane.exchange()) is Outcome.OK


@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_that_its_loop_has_closed_can_be_drained(
    start_tls: Callable[..., Plane], loop: Loop
) -> None:
    """The plane is told of a lost connection a turn later than its transport; meanwhile it may
    begin to drain.
    """
    plane = start_tls(sink, loop=loop)
    with connect(plane) as client:
        client.send(GET)
        assert client.answer().body == b"ok"

        def drain() -> list[Connection]:
            found = list(plane.engine.connections)
            for connection in found:
                assert isinstance(connection, Downstream)
                connection._transport.close()  # as the loop does when the client leaves
                connection.close_if_idle(1 << 62)
            return found

        [connection] = plane.run(drain)
        eventually(lambda: not plane.run(lambda: connection.is_flushing))
