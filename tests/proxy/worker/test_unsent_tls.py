"""Bytes that a TLS layer has given to the layer below, and that are not with the peer's kernel yet."""

import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from proxy.worker import closing_connection
from proxy.worker.downstream import Downstream
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.records import outcome
from tests.support.certificate import self_signed
from tests.support.client import Client
from tests.support.long import LOOPS
from tests.support.plane import Loop, Plane, eventually
from tests.support.script import OK, Script
from tests.support.upstream import read_head, scripted

PATIENCE_S = 60.0
BODY = os.urandom(8_000_000)
STEP_BYTES = 16_384


@contextmanager
def slow_client(plane: Plane) -> Iterator[Client]:
    """A client over TLS whose kernel takes little at a time."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(PATIENCE_S)
        raw.connect(("127.0.0.1", plane.port))
        with context.wrap_socket(raw) as secure:
            yield Client(secure)


def start_large(start: Start, directory: Path, loop: Loop, **limits: Any) -> Plane:
    """A plane over TLS whose upstream's response is more than the kernels hold."""
    cert, key = self_signed(directory)
    answer = Script(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY))
    limits = {"drain_timeout_s": PATIENCE_S} | limits
    return start(answer, loop=loop, tls_cert_file=str(cert), tls_key_file=str(key), **limits)


def read_until_handed_down(plane: Plane, client: Client, read: bytearray) -> None:
    """Read a response until its last bytes have left the worker's TLS layer."""

    def is_upper_half_done() -> bool:
        [connection] = plane.engine.connections
        assert isinstance(connection, Downstream)
        return (
            connection._relay.exchange is None and not connection._transport.get_write_buffer_size()
        )

    read += client.socket.recv(STEP_BYTES)
    while not plane.run(is_upper_half_done):
        read += client.socket.recv(STEP_BYTES)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("connection", [b"keep-alive", b"close"])
def test_a_stop_waits_for_a_finished_response(
    start: Start, tmp_path: Path, loop: Loop, connection: bytes
) -> None:
    """It is recorded as whole: then its client gets the whole of it, as long as it reads."""
    plane = start_large(start, tmp_path, loop)
    with slow_client(plane) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: %b\r\n\r\n" % connection)
        read = bytearray()
        read_until_handed_down(plane, client, read)
        plane.stop()
        time.sleep(0.5)
        while piece := client.socket.recv(STEP_BYTES):
            read += piece

    assert read.partition(b"\r\n\r\n")[2] == BODY
    assert outcome(plane.exchange()) == Outcome.OK


@pytest.mark.parametrize("loop", LOOPS)
def test_the_end_of_a_response_may_take_its_time(
    start: Start, tmp_path: Path, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit for a peer's own end begins when it has everything; until then that of a stalled
    client counts.
    """
    monkeypatch.setattr(closing_connection, "CLOSE_NS", 200_000_000)
    plane = start_large(start, tmp_path, loop)
    with slow_client(plane) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        read = bytearray()
        read_until_handed_down(plane, client, read)
        time.sleep(1)
        while piece := client.socket.recv(STEP_BYTES):
            read += piece
        assert read.partition(b"\r\n\r\n")[2] == BODY
        eventually(lambda: not plane.counters().connections_downstream)


@pytest.mark.parametrize("loop", LOOPS)
def test_who_says_goodbye_and_reads_no_more_is_left(
    start: Start, tmp_path: Path, loop: Loop
) -> None:
    """Its loop waits for ever to hand over the rest; the deadline of a client that stalls does not."""
    plane = start_large(start, tmp_path, loop)
    with slow_client(plane) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        read_until_handed_down(plane, client, bytearray())
        plane.engine.pools[0].route.deadlines.write_stall_ns = 500_000_000
        assert isinstance(client.socket, ssl.SSLSocket)
        client.socket.settimeout(0.2)
        with suppress(OSError):
            client.socket.unwrap()
        eventually(lambda: not plane.counters().connections_downstream)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_peer_that_does_not_end_its_side_is_left(
    start: Start, tmp_path: Path, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is closed, though it answers no close_notify."""
    monkeypatch.setattr(closing_connection, "CLOSE_NS", 200_000_000)
    cert, key = self_signed(tmp_path)

    plane = start(Script(), loop=loop, tls_cert_file=str(cert), tls_key_file=str(key))
    with slow_client(plane) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert client.answer().body == b"ok"
        eventually(lambda: not plane.counters().connections_downstream)


@pytest.mark.parametrize("loop", LOOPS)
def test_an_upstream_that_has_not_taken_its_request_is_not_used_again(
    start: Start, tmp_path: Path, loop: Loop
) -> None:
    """It answers to half a body, and would read the other half, or the next request, as something
    else.
    """
    cert, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    is_over = threading.Event()

    def answer_early(connection: socket.socket, number: int) -> None:
        with context.wrap_socket(connection.dup(), server_side=True) as secure:
            read_head(secure)
            while not plane.run(is_upper_half_done):
                secure.recv(STEP_BYTES)
            secure.sendall(OK)
            is_over.wait(PATIENCE_S)

    with scripted(answer_early) as url:
        route = {"upstream_ca_file": str(cert)}
        plane = start(url.replace("http://127.0.0.1", "https://localhost"), loop=loop, route=route)
        pool = plane.engine.pools[0]

        def is_upper_half_done() -> bool:
            return any(
                upstream.handler is not None
                and upstream.handler.is_request_complete
                and not upstream.transport.get_write_buffer_size()
                for upstream in pool._connections
            )

        try:
            with plane.connect() as client:
                client.send(
                    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b"
                    % (len(BODY), BODY)
                )
                assert client.answer().body == b"ok"
                assert not plane.run(lambda: list(pool._idle))
        finally:
            is_over.set()
