"""Peers that take no bytes, or vanish while nothing of them is read: the tick asks the kernel."""

import socket
import threading
import time

import pytest

from proxy.ring.exchange import NOTE_MESSAGE
from proxy.worker.downstream import Downstream
from proxy.worker.engine import SWEEP_S
from proxy.worker.relay import relay
from tests.proxy.conftest import Start
from tests.proxy.worker.records import error
from tests.support.client import GET, Client
from tests.support.long import LOOPS
from tests.support.plane import Loop, Plane, eventually
from tests.support.script import OK, read_body
from tests.support.upstream import read_head

SECOND_NS = 1_000_000_000


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("last", [b"", b"Connection: close\r\n"], ids=["kept alive", "closed"])
def test_a_client_that_never_takes_the_rest_is_cut_off(
    start: Start, last: bytes, loop: Loop
) -> None:
    """What it leaves may be so little that nobody waits for it: closing its connection would wait
    for ever.
    """
    # On a busy machine some seconds may pass between two requests.
    plane = start(_fill, timeout_write_stall_s=6.0, timeout_keep_alive_s=60.0, loop=loop)
    with plane.connect(4096) as client:
        _leave_some(plane, client)
        client.send(b"GET /last HTTP/1.1\r\nHost: a\r\n%b\r\n" % last)
        assert plane.exchange().status == 200
        if not last:
            plane.age(60)
        eventually(lambda: plane.counters().connections_downstream == 0)


def test_a_client_that_takes_the_rest_slowly_gets_it(start: Start) -> None:
    """Its connection closes behind all that was written, however long that takes."""
    plane = start(_fill, timeout_write_stall_s=600.0)

    def stalled() -> list[Downstream]:
        return [each for each in plane.downstreams if each._stalled_ns]

    def has_stalled_long() -> None:
        for connection in stalled():
            connection._stalled_ns -= 500 * SECOND_NS

    def has_gone_on() -> bool:
        [connection] = stalled()
        return time.monotonic_ns() - connection._stalled_ns < 400 * SECOND_NS

    with plane.connect(4096) as client:
        count = _leave_some(plane, client) + 1
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        plane.exchange()
        eventually(lambda: plane.run(stalled))
        taken = 0

        for _ in range(4):
            plane.run(has_stalled_long)
            # What is taken may be too little for the kernel to ask for more.
            while not plane.run(has_gone_on):
                taken += len(client.socket.recv(65536))
                time.sleep(0.2)

        assert taken + len(client.rest()) > count * len(_BODY)


_BODY = bytes(50_000)
_LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(_BODY) + _BODY


def _fill(connection: socket.socket, number: int) -> None:
    while head := read_head(connection):
        connection.sendall(OK if head.startswith(b"GET /last ") else _LARGE)


def _leave_some(plane: Plane, client: Client) -> int:
    """Ask until a response, or part of it, is left in our buffer, and too little to stop us; return
    how many came.
    """
    count = 0
    while not count or not plane.run(lambda: any(c.is_flushing for c in plane.engine.connections)):
        client.send(GET)
        plane.exchange()
        count += 1
    return count


def test_an_upload_that_is_held_back_is_not_late(start: Start) -> None:
    """While it waits for an upstream connection nobody reads on: its client has no time to keep."""
    go_on = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        while head := read_head(connection):
            read_body(connection, head)
            go_on.wait(60)
            connection.sendall(OK)

    plane = start(upstream, upstream_max_connections=1, timeout_body_idle_s=60.0)
    engine = plane.engine

    def has_waited_long() -> None:
        for connection in plane.downstreams:
            connection._relay.since_ns -= 100 * SECOND_NS

    with plane.connect() as first, plane.connect() as second:
        first.send(GET)
        eventually(lambda: plane.counters().connections_upstream)
        upload = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + bytes(9_000_000)
        sending = threading.Thread(target=second.send, args=(upload,))
        sending.start()
        eventually(lambda: plane.run(lambda: engine.pools[0].is_awaited))
        plane.run(has_waited_long)
        time.sleep(3 * SWEEP_S)
        assert not plane.unread
        go_on.set()
        assert [client.answer().status for client in (first, second)] == [200, 200]
        sending.join()

    assert [exchange.status for exchange in plane.exchanges(2)] == [200, 200]


def test_trickling_uploads_give_way_to_who_waits_for_their_connections(start: Start) -> None:
    """As many as there are connections would keep everybody else out; one that comes as it should
    goes on.
    """
    may_end = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        while head := read_head(connection):
            read_body(connection, head)
            connection.sendall(OK)

    def sending(client: Client) -> None:
        # Enough for a moment in which a busy machine does not come to it.
        client.send(bytes(100_000))
        while not may_end.wait(0.1):
            client.send(bytes(1000))

    plane = start(upstream, upstream_max_connections=3, timeout_connect_s=60)
    upload = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
    with plane.connect() as slow, plane.connect() as slower, plane.connect() as steady:
        for client in (slow, slower, steady):
            client.send(upload)
        thread = threading.Thread(target=sending, args=(steady,))
        thread.start()
        eventually(lambda: plane.counters().connections_upstream == 3)
        slow.send(b"x")
        began = time.monotonic()
        assert plane.call(GET) == b"ok"
        # The deadline of a body is later, and that of a connection.
        assert time.monotonic() - began < 30
        ended = [plane.exchange() for _ in range(2)]
        may_end.set()
        thread.join()
        assert plane.call(GET) == b"ok"  # nobody waits for it: the other one may take its time

    assert sorted((exchange.status, error(exchange)) for exchange in ended) == [
        (200, ""),
        (408, "timeout_body"),
    ]
    [cut] = [exchange for exchange in ended if exchange.status == 408]
    assert cut.notes[NOTE_MESSAGE] == (
        b"the request body was slower than 500 bytes/s while requests queued for this upstream"
    )


def test_clients_that_take_nothing_give_way_to_who_waits_for_their_connections(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them for each that waits; without anybody they have minutes."""
    monkeypatch.setattr(relay, "STALLED_NS", 400_000_000)
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n" + bytes(8_000_000)

    def upstream(connection: socket.socket, number: int) -> None:
        while head := read_head(connection):
            connection.sendall(large if b"/large" in head else OK)

    plane = start(upstream, upstream_max_connections=2, timeout_connect_s=60)
    clients = [plane.connect(4096) for _ in range(2)]
    for client in clients:
        client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    time.sleep(1)
    assert not plane.unread
    assert plane.call(GET) == b"ok"
    cut = plane.exchange()
    assert (cut.status, error(cut)) == (200, "client_stalled")
    assert cut.notes[NOTE_MESSAGE].startswith(
        b"the client stopped reading the response (it read nothing for 10 s"
    )
    answered = [client.answer().is_complete for client in clients]
    assert sorted(answered) == [False, True]
    for client in clients:
        client.socket.close()
    plane.exchanges(2)
