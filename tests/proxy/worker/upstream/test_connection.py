"""The upstream side of the default engine: when a connection is kept, lent again, retried, waited
for, given up.
"""

import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest

from proxy.worker.upstream import pool
from proxy.worker.upstream.connection import MAX_INTERIM, UpstreamConnection
from storage.record import Outcome
from tests.fuzz.world import World
from tests.proxy.conftest import Start
from tests.proxy.worker.test_downstream import GET, error, outcome
from tests.proxy.worker.test_relay import POST
from tests.support.plane import Plane, eventually
from tests.support.script import OK, Script, read_body
from tests.support.upstream import read_head

PUT = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
POST_EMPTY = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"


def idle(plane: Plane) -> int:
    own = plane.engine.pools[0]
    return plane.run(lambda: len(own._idle))


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"surplus",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nbody",
        b"HTTP/1.1 304 Not Modified\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nsurplus",
    ],
)
def test_a_connection_that_cannot_be_trusted_is_not_kept(start: Start, answer: bytes) -> None:
    """Surplus bytes, `close` or HTTP/1.0 end the connection; the surplus never becomes anybody's
    response.
    """
    script = Script(answer)
    plane = start(script)
    with plane.connect() as client:
        for _ in range(3):
            client.send(GET)
            assert client.answer().body in (b"", b"ok")

    assert script.connections == 3
    assert [outcome(e) for e in plane.exchanges(3)] == [Outcome.OK] * 3


def test_late_surplus_closes_an_idle_connection(start: Start) -> None:
    """Bytes that nobody asked for, while idle, close the connection."""

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(OK)
        time.sleep(0.05)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        connection.recv(1)

    plane = start(upstream)
    with plane.connect() as client:
        client.send(GET)
        assert client.answer().body == b"ok"
        eventually(lambda: plane.counters().connections_upstream == 0)
        client.send(GET)
        assert client.answer().body == b"ok"

    plane.exchanges(2)


def test_an_http10_upstream_may_keep_alive(start: Start) -> None:
    """HTTP/1.0 with `Connection: keep-alive` and a length is kept."""
    script = Script(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")
    plane = start(script).trust_upstreams()
    for _ in range(2):
        assert plane.call(GET) == b"ok"
    assert script.connections == 1
    plane.exchanges(2)


def _dies_on_reuse(raw: list[bytes], closing: bytes = b"") -> Callable[[socket.socket, int], None]:
    """Answer the first request of each connection; break off at the second, without having read it
    or after it.
    """

    def upstream(connection: socket.socket, number: int) -> None:
        raw.append(read_head(connection))
        connection.sendall(OK)
        if number == 0:
            raw.append(read_head(connection))
            connection.sendall(closing)
            return

        while head := read_head(connection):
            raw.append(head)
            connection.sendall(OK)

    return upstream


@pytest.mark.parametrize("request_bytes", [GET, PUT])
def test_a_stale_connection_is_retried_once_for_idempotent_requests(
    start: Start, request_bytes: bytes
) -> None:
    """A reused connection that closes without an answer costs the client nothing, and is counted."""
    raw: list[bytes] = []
    plane = start(_dies_on_reuse(raw)).trust_upstreams()
    with plane.connect() as client:
        for _ in range(2):
            client.send(request_bytes)
            assert client.answer().status == 200

    assert len(raw) == 3
    assert [e.status for e in plane.exchanges(2)] == [200, 200]
    assert plane.counters().upstream_retries == 1


@pytest.mark.parametrize("request_bytes", [POST, POST_EMPTY, b"PUT" + POST[4:]])
def test_what_may_have_been_done_is_never_sent_twice(
    start: Start, request_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A POST, and anything with a body, is answered 502 when its reused connection dies."""
    monkeypatch.setattr(pool, "POST_IDLE_NS", 60_000_000_000)
    raw: list[bytes] = []

    plane = start(_dies_on_reuse(raw)).trust_upstreams()
    with plane.connect() as client:
        client.send(GET)
        assert client.answer().status == 200
        client.send(request_bytes)
        assert client.answer().status == 502

    assert len(raw) == 2
    assert [error(e) for e in plane.exchanges(2)] == ["", "upstream_reset"]
    assert plane.counters().upstream_retries == 0


@pytest.mark.parametrize("closing", [b"HTTP/1.1 2", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_a_connection_that_began_to_answer_is_not_stale(start: Start, closing: bytes) -> None:
    """A retry needs an upstream that sent nothing at all, not even an interim answer."""
    raw: list[bytes] = []
    plane = start(_dies_on_reuse(raw, closing)).trust_upstreams()
    with plane.connect() as client:
        client.send(GET)
        client.answer()
        client.send(GET)
        assert client.answer().status == 502

    assert len(raw) == 2
    plane.exchanges(2)


def test_a_fresh_connection_that_dies_is_not_retried(start: Start) -> None:
    """One retry, and only of a reused connection."""
    heads: list[bytes] = []
    plane = start(lambda connection, number: heads.append(read_head(connection)))
    with plane.connect() as client:
        client.send(GET)
        assert client.answer().status == 502
    assert len(heads) == 1
    plane.exchange()


def test_idle_connections_expire(start: Start) -> None:
    """An idle upstream connection is closed after its time, checked once a second, and not lent
    when it is over.
    """
    script = Script()
    plane = start(script, upstream_keep_alive_s=0.1)
    plane.call(GET)
    time.sleep(0.12)
    plane.call(GET)
    assert script.connections == 2
    eventually(lambda: plane.counters().connections_upstream == 0)
    plane.exchanges(2)


def test_an_announced_timeout_prolongs_the_time(start: Start) -> None:
    """`Keep-Alive: timeout` is believed, less a second."""
    script = Script(b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=60\r\nContent-Length: 2\r\n\r\nok")
    plane = start(script, upstream_keep_alive_s=0.1).trust_upstreams()
    plane.call(GET)
    time.sleep(0.12)
    plane.call(GET)
    assert script.connections == 1
    plane.exchanges(2)


def test_an_announced_timeout_shortens_the_time(start: Start) -> None:
    """An upstream that ends its connections soon says so: a request must not meet that end."""
    script = Script(b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok")
    plane = start(script, upstream_keep_alive_s=60).trust_upstreams()
    plane.call(GET)
    plane.call(GET)
    before = script.connections
    time.sleep(0.55)
    plane.call(GET)
    assert script.connections == before + 1
    plane.exchanges(3)


def test_a_body_is_not_sent_on_an_old_connection(start: Start) -> None:
    """PUT is idempotent, but a body cannot be sent once more: it goes where it is sure to arrive."""
    both_ask = threading.Barrier(2)
    numbers: list[int] = []

    def upstream(connection: socket.socket, number: int) -> None:
        while head := read_head(connection):
            read_body(connection, head)
            if head.startswith(b"GET"):
                both_ask.wait(60)  # it serves two at once: idle connections hold nobody
            numbers.append(number)
            connection.sendall(OK)

    plane = start(upstream, upstream_keep_alive_s=60).trust_upstreams()
    with plane.connect() as one, plane.connect() as other:
        for client in (one, other):
            client.send(GET)
        assert [client.answer().status for client in (one, other)] == [200, 200]

    time.sleep(1.05)
    for length in (0, 2):
        plane.call(
            b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length + bytes(length)
        )
        time.sleep(1.05)

    assert numbers[2] in (0, 1)
    assert numbers[3] == 2
    plane.exchanges(4)


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
    usual = pool.limits

    with plane.connect() as first, plane.connect() as second, plane.connect() as third:
        first.send(GET)
        eventually(lambda: plane.counters().connections_upstream)
        pool.limits = msgspec.structs.replace(usual, timeout_connect_s=0.3)
        second.send(GET)
        answer = second.answer()
        assert (answer.status, answer.field("X-Sidelog-Error"), answer.field("Retry-After")) == (
            503,
            "overloaded",
            "1",
        )
        pool.limits = usual
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


def test_a_name_that_cannot_exist_is_502(start: Start) -> None:
    """A host name that no resolver takes fails its requests, not the worker."""
    plane = start(f"http://{'.'.join([60 * 'a'] * 5)}:80")
    with plane.connect() as client:
        for _ in range(2):
            client.send(GET)
            assert client.answer().field("X-Sidelog-Error") == "upstream_unresolved"
    plane.exchanges(2)


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
