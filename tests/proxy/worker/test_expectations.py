"""Uploads that wait for a 100 before they begin: whose time runs, and from when on."""

import socket
import threading
import time

import pytest

from proxy.worker import deadlines
from proxy.worker.engine import SWEEP_S
from tests.proxy.conftest import Start
from tests.proxy.worker.test_stalls import SECOND_NS
from tests.support.client import GET
from tests.support.plane import eventually
from tests.support.script import OK, read_body
from tests.support.upstream import read_head

EXPECTING = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"


def test_an_upload_that_may_not_begin_yet_does_not_trickle(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time begins with the 100 it waits for, however long others wait for its connection."""
    monkeypatch.setattr(deadlines, "TRICKLE_NS", 60 * SECOND_NS)
    may_begin = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        while head := read_head(connection):
            if b"Expect" in head:
                may_begin.wait(60)
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            read_body(connection, head)
            connection.sendall(OK)

    plane = start(upstream, upstream_max_connections=1)
    engine = plane.engine

    def has_waited_long() -> None:
        for connection in plane.downstreams:
            if (relay := connection._relay).upstream is not None:
                assert relay.exchange is not None
                relay.exchange.started_ns -= 100 * SECOND_NS

    with plane.connect() as patient, plane.connect() as waiting:
        patient.send(EXPECTING)
        eventually(lambda: plane.counters().connections_upstream == 1)
        waiting.send(GET)
        eventually(lambda: plane.run(lambda: engine.pools[0].is_awaited))
        plane.run(has_waited_long)
        time.sleep(3 * SWEEP_S)
        may_begin.set()
        assert patient.head().startswith(b"HTTP/1.1 100 ")
        time.sleep(3 * SWEEP_S)
        patient.send(b"ab")
        assert [client.answer().status for client in (patient, waiting)] == [200, 200]

    assert [plane.exchange().status for _ in range(2)] == [200, 200]


def test_an_upload_that_was_held_back_is_forgotten_with_its_exchange(start: Start) -> None:
    """One that ends with its last bytes in our buffer leaves nothing to the next, which its own
    body times.
    """
    is_over = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        while head := read_head(connection):
            if b"Expect" in head:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                is_over.wait(60)
                return
            connection.sendall(OK)

    def hold_back() -> None:
        for connection in plane.downstreams:
            connection._relay.is_upload_paused = True

    plane = start(upstream, timeout_body_idle_s=0.3, timeout_first_byte_s=20)
    with plane.connect() as client:
        client.send(GET)
        assert client.answer().status == 200
        plane.run(hold_back)
        client.send(EXPECTING)
        assert client.head().startswith(b"HTTP/1.1 100")
        assert client.answer().status == 408

    is_over.set()
    plane.exchanges(2)


def test_a_body_that_began_before_its_connection_is_timed(start: Start) -> None:
    """A client that goes on without its 100 while its request waits for an upstream connection."""
    may_answer = threading.Event()
    is_over = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        while head := read_head(connection):
            if b"Expect" in head:
                is_over.wait(60)
                return
            may_answer.wait(60)
            connection.sendall(OK)

    plane = start(
        upstream,
        upstream_max_connections=1,
        timeout_connect_s=60,
        timeout_body_idle_s=0.3,
        timeout_first_byte_s=20,
    )
    with plane.connect() as first, plane.connect() as second:
        first.send(GET)
        eventually(lambda: plane.counters().connections_upstream == 1)
        second.send(EXPECTING)
        time.sleep(0.1)
        second.send(b"a")
        time.sleep(0.1)
        may_answer.set()
        assert first.answer().status == 200
        assert second.answer().status == 408

    is_over.set()
    plane.exchanges(2)
