"""The upstream side of the default engine: when a connection is kept, lent again, retried, waited
for, given up.
"""

import socket
import threading
from functools import partial
from pathlib import Path

import msgspec
import pytest

from proxy.worker.upstream.connection import MAX_INTERIM, UpstreamConnection
from storage.record import Outcome
from tests.fuzz.world import World
from tests.proxy.conftest import Start
from tests.proxy.worker.records import error, outcome
from tests.support.client import GET
from tests.support.plane import Plane, eventually
from tests.support.script import OK, Script
from tests.support.upstream import read_head


def idle(plane: Plane) -> int:
    own = plane.engine.pools[0]
    return plane.run(lambda: len(own._idle))


def test_the_last_used_connection_is_lent_first(start: Start) -> None:
    """Concurrent requests open connections; afterwards one of them does all the work."""
    all_ask = threading.Barrier(3)

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        all_ask.wait(60)
        connection.sendall(OK)
        while read_head(connection):
            connection.sendall(OK)

    plane = start(upstream).trust_upstreams()
    clients = [plane.connect() for _ in range(3)]
    for client in clients:
        client.send(GET)
    for client in clients:
        assert client.answer().body == b"ok"
        client.socket.close()
    eventually(lambda: idle(plane) == 3)
    for _ in range(5):
        plane.call(GET)
    assert idle(plane) == 3
    plane.exchanges(8)


def test_waiting_for_a_full_pool_is_bounded(start: Start) -> None:
    """With all upstream connections busy a request waits for one, and is answered 503 after the
    connect timeout.
    """
    go_on = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        while read_head(connection):
            go_on.wait(60)
            connection.sendall(OK)

    plane = start(upstream, upstream_max_connections=1)
    [pool] = plane.engine.pools.values()
    usual = pool.route.limits

    with plane.connect() as first, plane.connect() as second, plane.connect() as third:
        first.send(GET)
        eventually(lambda: plane.counters().connections_upstream)
        pool.route.limits = msgspec.structs.replace(usual, timeout_connect_s=0.3)
        second.send(GET)
        answer = second.answer()
        assert (answer.status, answer.field("X-Sidelog-Error"), answer.field("Retry-After")) == (
            503,
            "overloaded",
            "1",
        )
        pool.route.limits = usual
        third.send(GET)
        eventually(lambda: plane.run(lambda: pool.is_awaited))
        go_on.set()
        assert first.answer().status == third.answer().status == 200

    refused, *_ = plane.exchanges(3)
    assert (outcome(refused), error(refused)) == (Outcome.UPSTREAM_ERROR, "overloaded")


def test_a_paused_connection_is_lent_as_new(start: Start) -> None:
    """A response that ended while its client was slow leaves a connection that is read from again."""
    numbers: list[int] = []

    def upstream(connection: socket.socket, number: int) -> None:
        while read_head(connection):
            numbers.append(number)
            if len(numbers) > 1:
                connection.sendall(OK)

    plane = start(upstream).trust_upstreams()

    def answer_while_paused(answer: bytes) -> None:
        """What happens when the write of a first part fills the client's buffer, with the rest read
        already.
        """
        (client,) = plane.downstreams
        upstream = client._relay.upstream
        assert isinstance(upstream, UpstreamConnection)
        client.pause_writing()
        upstream.data_received(answer)
        client.resume_writing()

    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    for answer in (OK, chunked):
        numbers.clear()
        with plane.connect() as client:
            client.send(GET)
            eventually(lambda: numbers)
            plane.run(partial(answer_while_paused, answer))
            assert client.answer().body == b"ok"
            client.send(GET)
            assert client.answer().body == b"ok"

        assert numbers == [0, 0]

    plane.exchanges(4)


def test_unix_sockets_are_upstreams_too(start: Start, tmp_path: Path) -> None:
    """An upstream behind a path is reached, and recorded as that path."""
    path = str(tmp_path / "app.sock")
    script = Script()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                script(connection, 0)

        thread = threading.Thread(target=serve)
        thread.start()
        plane = start(f"unix:{path}")
        assert plane.call(GET) == b"ok"
        exchange = plane.exchange()
        plane.stop()
        thread.join()

    assert exchange.upstream == path.encode()
    assert b"\r\nHost: a\r\n" in script.requests[0]


@pytest.mark.parametrize("unsent_bytes", [0, 5])
def test_an_answer_to_half_a_body_ends_the_connection(unsent_bytes: int) -> None:
    """Whoever answers before the body is out may leave the rest unread: it must not be read as the
    next request.
    """
    world = World()
    client = world.client()
    client.deliver(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst")
    world.pump()
    (upstream,) = world.upstreams
    client.deliver(b"other")
    assert upstream.written.endswith(b"\r\n\r\nfirstother")
    upstream.unsent_bytes = unsent_bytes
    upstream.deliver(OK)
    world.pump()
    assert client.written.endswith(b"\r\n\r\nok")
    assert upstream.is_closed is (unsent_bytes > 0)
    client.deliver(GET)
    world.pump()
    assert (client.is_closed, len(world.upstreams)) == (False, 1 + (unsent_bytes > 0))


@pytest.mark.parametrize("ends", [True, False])
def test_interim_responses_are_read_some_in_each_turn(ends: bool) -> None:
    """An upstream that sends thousands at once holds up nobody, and its response is read behind all
    of them.
    """
    interim = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    world = World()
    client = world.client()
    client.deliver(GET)
    world.pump()
    (upstream,) = world.upstreams
    upstream.deliver(interim * 1000 + OK[:9])
    assert client.written == interim * MAX_INTERIM
    if not ends:
        world.pump()
        assert client.written == interim * 1000
    upstream.deliver(OK[9:])
    if ends:
        upstream.end()
    world.pump()
    assert client.written.startswith(interim * 1000 + b"HTTP/1.1 200 OK\r\n")
    assert client.written.endswith(b"\r\n\r\nok")
    client.deliver(GET)
    world.pump()
    assert len(world.upstreams) == 1 + ends
