"""Tunnels that are not read: their bytes, their pace and their ends."""

import asyncio
import contextlib
import hashlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from proxy.ring.exchange import ERROR_CODES
from proxy.worker.egress import tunnel as tunnel_module
from proxy.worker.egress.destinations import Destinations
from proxy.worker.egress.tunnel import Tunnel
from storage.record import OUTCOMES
from tests.proxy.worker.egress.test_client import LOOPS, echo, port_of, tunnel_of
from tests.support.client import Client
from tests.support.outgoing import HOST, host, outgoing
from tests.support.plane import Loop, eventually
from tests.support.upstream import scripted

BLOCK = bytes(range(256)) * 256
BLOCKS = 800
"""Of 64 KiB: 50 MB."""


@LOOPS
def test_fifty_megabytes_pass_both_ways(tmp_path: Path, loop: Loop) -> None:
    digest = hashlib.sha256(BLOCK * BLOCKS).hexdigest()
    with scripted(echo) as url, outgoing(tmp_path, loop) as port:
        with (
            port.connect_to(f"127.0.0.1:{port_of(url)}") as client,
            ThreadPoolExecutor(1) as senders,
        ):

            def send() -> None:
                for _ in range(BLOCKS):
                    client.send(BLOCK)
                client.finish_sending()

            sent = senders.submit(send)
            found = hashlib.sha256()
            while data := client.socket.recv(1 << 20):
                found.update(data)
            sent.result()
        record = port.plane.exchange()
    assert found.hexdigest() == digest
    size = len(BLOCK) * BLOCKS
    assert (record.request_bytes, record.response_bytes) == (size, size)
    assert OUTCOMES[record.outcome] == "ok"


def test_fifty_megabytes_pass_a_host_that_is_read(tmp_path: Path) -> None:
    """Up and down."""
    size = len(BLOCK) * BLOCKS
    with host(tmp_path) as authority, outgoing(tmp_path, hosts=("*",)) as port:
        with port.secured(port.connect_to(authority), HOST) as client:
            client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(BLOCKS):
                client.send(BLOCK)
            body = client.answer().body
            client.send(b"GET /bytes/%d HTTP/1.1\r\nHost: a\r\n\r\n" % size)
            down = client.answer().body
        first, second = port.plane.exchanges(2)
    assert hashlib.sha256(BLOCK * BLOCKS).hexdigest().encode() in body
    assert down == BLOCK * BLOCKS
    assert (first.request_bytes, second.response_bytes) == (size, size)


@LOOPS
def test_the_end_of_a_side_is_passed_on(tmp_path: Path, loop: Loop) -> None:
    """Each way, and the other side may go on sending."""

    def answer_behind_the_end(connection: socket.socket, number: int) -> None:
        found = b""
        while data := connection.recv(100):
            found += data
        connection.sendall(b"you said " + found)

    with scripted(answer_behind_the_end) as url, outgoing(tmp_path, loop) as port:
        with port.connect_to(f"127.0.0.1:{port_of(url)}") as client:
            client.send(b"this")
            client.finish_sending()
            assert client.rest() == b"you said this"
        record = port.plane.exchange()
    assert OUTCOMES[record.outcome] == "ok"
    assert tunnel_of(record)["ended_by"] == "client"


@LOOPS
def test_what_comes_before_both_sides_are_there_is_passed_on(
    tmp_path: Path, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that greets as it accepts, and one that closes behind that."""
    has_come = threading.Event()
    dial = Destinations.dial

    async def dial_slowly(
        destinations: Destinations, host: str, port: int
    ) -> tuple[socket.socket, bytes]:
        dialled = await dial(destinations, host, port)
        await asyncio.to_thread(has_come.wait, 60)
        return dialled

    monkeypatch.setattr(Destinations, "dial", dial_slowly)

    def greet(connection: socket.socket, number: int) -> None:
        connection.sendall(b"220 hello\r\n" * 100)
        if number:
            connection.shutdown(socket.SHUT_WR)
        has_come.set()
        connection.recv(1)

    with scripted(greet) as url, outgoing(tmp_path, loop) as port:
        with port.connect_to(f"127.0.0.1:{port_of(url)}") as client:
            client.finish_sending()
            assert client.rest() == b"220 hello\r\n" * 100
        has_come.clear()
        with port.connect_to(f"127.0.0.1:{port_of(url)}") as client:
            assert client.rest() == b"220 hello\r\n" * 100


@LOOPS
def test_a_reset_is_passed_on(tmp_path: Path, loop: Loop) -> None:
    """Each way, and recorded as what it is."""
    ended = threading.Event()

    def serve(connection: socket.socket, number: int) -> None:
        connection.recv(1)
        if number == 0:
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
            ended.set()
        else:
            Client(connection).reset()

    with scripted(serve) as url, outgoing(tmp_path, loop) as port:
        client = port.connect_to(f"127.0.0.1:{port_of(url)}")
        client.send(b"1")
        client.reset()
        assert ended.wait(30)
        record = port.plane.exchange()
        assert OUTCOMES[record.outcome] == "client_closed"

        with port.connect_to(f"127.0.0.1:{port_of(url)}") as client:
            client.send(b"1")
            with pytest.raises(ConnectionResetError):
                client.socket.recv(1)
        record = port.plane.exchange()
        assert OUTCOMES[record.outcome] == "truncated"
        assert ERROR_CODES[record.error] == "upstream_reset"


def test_a_half_open_tunnel_ends_when_nothing_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel_module, "HALF_OPEN_NS", 300_000_000)
    held = threading.Event()

    def hold(connection: socket.socket, number: int) -> None:
        held.wait(30)

    with (
        scripted(hold) as url,
        outgoing(tmp_path) as port,
    ):
        with port.connect_to(f"127.0.0.1:{port_of(url)}") as client:
            client.finish_sending()
            assert client.is_ended()
            held.set()
        assert OUTCOMES[port.plane.exchange().outcome] == "ok"


def test_peers_of_both_sides_are_probed(tmp_path: Path) -> None:
    """A tunnel may be idle for any time, unless one has vanished."""

    def probed() -> list[int]:
        [tunnel] = (each for each in port.plane.engine.connections if isinstance(each, Tunnel))
        return [
            side._transport.get_extra_info("socket").getsockopt(
                socket.SOL_SOCKET, socket.SO_KEEPALIVE
            )
            for side in (tunnel.client, tunnel.upstream)
            if side._transport is not None
        ]

    with scripted(echo) as url, outgoing(tmp_path) as port:
        with port.connect_to(f"127.0.0.1:{port_of(url)}") as client:
            client.send(b"x")
            client.socket.recv(1)
            assert port.plane.run(probed) == [1, 1]
        port.plane.exchange()


def test_who_reads_nothing_holds_up_the_sender(tmp_path: Path) -> None:
    """What a tunnel holds for it is bounded."""
    sent = 0
    is_over = threading.Event()

    def pour(connection: socket.socket, number: int) -> None:
        nonlocal sent
        connection.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while not is_over.is_set():
                sent += connection.send(BLOCK)
        is_over.wait(30)

    with scripted(pour) as url, outgoing(tmp_path) as port:
        with port.connect_to(f"127.0.0.1:{port_of(url)}"):
            eventually(lambda: sent > 1 << 17)
            before = -1
            while before != sent:
                before = sent
                is_over.wait(1)
            [held] = port.plane.run(
                lambda: [
                    each.client.unsent_bytes
                    for each in port.plane.engine.connections
                    if isinstance(each, Tunnel)
                ]
            )
            assert 0 < held < 1 << 20
        is_over.set()
        port.plane.exchange()


def test_two_hundred_at_once_are_all_answered(tmp_path: Path) -> None:
    def ask(number: int) -> bytes:
        with port.connect_to(f"127.0.0.1:{port_of(url)}") as client:
            client.send(b"%d" % number)
            return client.socket.recv(100)

    with scripted(echo) as url, outgoing(tmp_path) as port:
        with ThreadPoolExecutor(200) as clients:
            found = list(clients.map(ask, range(200)))
        port.plane.exchanges(200)
        assert port.plane.counters().egress == {"tunnel": 200}
    assert found == [b"%d" % number for number in range(200)]


def test_a_stop_records_open_tunnels(tmp_path: Path) -> None:
    with (
        scripted(echo) as url,
        outgoing(tmp_path) as port,
        port.connect_to(f"127.0.0.1:{port_of(url)}") as client,
    ):
        client.send(b"x")
        client.socket.recv(1)
        port.plane.stop()
        assert OUTCOMES[port.plane.exchange().outcome] == "shutdown"
        assert client.is_ended()
