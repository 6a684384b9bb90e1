"""What one connection may do before the loop looks at the others (P23), told by how far it gets in
each turn.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest

from proxy.network.accept import MAX_PER_TURN
from proxy.network.pacing import TURN_STEPS
from proxy.worker import tunnel
from proxy.worker.tunnel import MAX_MESSAGES_PER_S
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.clients import MASKED_CLOSE
from tests.proxy.worker.records import dropped, entries, number_of, outcome
from tests.support.client import GET, Client
from tests.support.long import LOOPS
from tests.support.plane import Loop, Plane, eventually
from tests.support.script import OK, Script, read_body
from tests.support.upstream import read_head

PATIENCE_S = 60.0
UPLOAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
DOWNLOAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
READ_BYTES = 1 << 18
"""As much as a loop reads at once."""


class Turns:
    """Samples a number once in each turn of a plane's loop."""

    def __init__(self, plane: Plane, probe: Callable[[], int]) -> None:
        """Sample until `stop`."""
        self._plane = plane
        self._probe = probe
        self._is_on = True
        self.seen: list[int] = []
        plane.run(self._turn)

    def _turn(self) -> None:
        value = self._probe()
        if not self.seen or self.seen[-1] != value:
            self.seen.append(value)
        if self._is_on:
            asyncio.get_running_loop().call_soon(self._turn)

    def stop(self) -> int:
        """End it; return the largest step between two turns."""
        self._plane.run(self._end)
        return max(after - before for before, after in pairwise(self.seen))

    def _end(self) -> None:
        self._is_on = False


def in_flight(plane: Plane, side: str) -> Callable[[], int]:
    """Bytes of body that the exchanges under way have seen."""
    engine = plane.engine

    def seen() -> int:
        windows = [getattr(exchange, f"{side}_body") for exchange in engine.in_flight]
        return sum(window.size for window in windows if window is not None)

    return seen


def close_all(clients: list[Client]) -> None:
    for client in clients:
        client.socket.close()


def sink(connection: socket.socket, number: int) -> None:
    """An upstream that reads requests to their end and answers."""
    while head := read_head(connection):
        read_body(connection, head)
        connection.sendall(OK)


SMALL = {
    "one byte": (b"1\r\nx\r\n", 1),
    "twenty bytes": (b"14\r\n" + b"y" * 20 + b"\r\n", 20),
    "with extensions": (b"1;a=b\r\nx\r\n", 1),
    "line ends": (b"2\r\n\r\n\r\n", 2),
}


@pytest.mark.parametrize("loop", LOOPS)
def test_newcomers_begin_some_in_each_turn(start: Start, loop: Loop) -> None:
    """One a turn, and whoever comes waits for seconds behind a crowd; all at once, and those who
    are served wait.
    """
    plane = start(Script(), loop=loop)
    connections = plane.engine.connections
    turns = Turns(plane, lambda: len(connections))
    # The kernel takes them while the loop is held.
    crowd = plane.run(lambda: [plane.connect() for _ in range(300)])
    eventually(lambda: len(connections) == 300)
    assert 8 <= turns.stop() <= 2 * MAX_PER_TURN
    close_all(crowd)


@pytest.mark.parametrize("loop", LOOPS)
def test_those_who_leave_at_once_are_closed_some_in_each_turn(start: Start, loop: Loop) -> None:
    """A client that ends with all its connections holds up nobody; half a request among them is on
    record.
    """
    plane = start(Script(), loop=loop)
    connections = plane.engine.connections
    crowd = [plane.connect() for _ in range(300)]
    crowd[150].send(GET[:10])
    eventually(
        lambda: sum(bool(c._reader.buffer) for c in plane.run(lambda: plane.downstreams)) == 1
    )
    eventually(lambda: len(connections) == 300)
    turns = Turns(plane, lambda: -len(connections))
    plane.run(partial(close_all, crowd))
    eventually(lambda: not connections)
    assert turns.stop() <= 2 * TURN_STEPS
    assert plane.exchange().request_head == GET[:10]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", SMALL)
def test_an_upload_in_small_chunks_goes_in_steps(start: Start, kind: str, loop: Loop) -> None:
    """Each turn reads a part of what one read of the loop brought; in the end all of it has passed
    and is on record.
    """
    chunk, size = SMALL[kind]
    count = 400_000 // len(chunk)
    plane = start(sink, loop=loop)
    turns = Turns(plane, in_flight(plane, "request"))

    with plane.connect() as client:
        client.socket.settimeout(PATIENCE_S)
        client.send(UPLOAD + chunk * count + LAST)
        assert client.answer().body == b"ok"
        client.send(GET)
        assert client.answer().body == b"ok"

    assert turns.stop() <= READ_BYTES // len(chunk) * size // 2
    first, _ = plane.exchanges(2)
    assert (first.request_bytes, outcome(first)) == (count * size, Outcome.OK)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", SMALL)
def test_a_response_in_small_chunks_goes_in_steps(start: Start, kind: str, loop: Loop) -> None:
    """The same for what an upstream sends, also when it is gone long before its response has
    passed.
    """
    chunk, size = SMALL[kind]
    count = 400_000 // len(chunk)

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(DOWNLOAD + chunk * count + LAST)

    plane = start(upstream, loop=loop)
    turns = Turns(plane, in_flight(plane, "response"))
    with plane.connect() as client:
        client.socket.settimeout(PATIENCE_S)
        client.send(GET)
        answer = client.answer()
        assert (len(answer.body), answer.is_complete) == (count * size, True)

    assert turns.stop() <= READ_BYTES // len(chunk) * size // 2
    assert outcome(plane.exchange()) is Outcome.OK


def test_a_cut_response_in_hand_is_read_before_its_end_is_told(start: Start) -> None:
    """What came before an upstream left passes first, then the client sees that it is cut."""

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(DOWNLOAD + SMALL["line ends"][0] * 30_000)

    plane = start(upstream)
    with plane.connect() as client:
        client.socket.settimeout(PATIENCE_S)
        client.send(GET)
        assert not client.answer().is_complete

    exchange = plane.exchange()
    assert (exchange.response_bytes, outcome(exchange)) == (60_000, Outcome.TRUNCATED)


def test_a_large_upload_is_one_read_a_turn(start: Start) -> None:
    """A socket that has megabytes to give is read once, then the others are."""
    size = 8 << 20
    plane = start(sink)
    turns = Turns(plane, in_flight(plane, "request"))

    with plane.connect() as client:
        client.socket.settimeout(PATIENCE_S)
        client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
        )
        assert client.answer().body == b"ok"

    assert turns.stop() <= READ_BYTES
    assert plane.exchange().request_bytes == size


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("padding", [0, 6000])
def test_refused_requests_are_answered_in_steps(start: Start, padding: int, loop: Loop) -> None:
    """Requests that need no upstream, sent ahead by the thousand, are answered a few at a time,
    each once.
    """
    count = 1000
    request = b"GET / HTTP/1.1\r\nHost: a\r\nx:%b\r\n\r\n" % (b"y" * padding)
    plane = start(sink, loop=loop, route={"path": "/only"})
    turns = Turns(plane, lambda: plane.reader.pushed)

    with plane.connect() as client:
        client.socket.settimeout(PATIENCE_S)
        sending = threading.Thread(target=client.send, args=(request * count,))
        sending.start()
        assert {client.answer().status for _ in range(count)} == {404}
        sending.join()

    assert turns.stop() <= 100
    assert len(plane.exchanges(count)) == count


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
CLOSE = b"\x88\x02\x03\xe8"
EMPTY, MASKED_EMPTY, MASKED_MIXED = b"\x81\0", b"\x81\x80mask", b"\x81\x80mask\x89\x81maskx"


def silent_tunnel(connection: socket.socket, number: int) -> None:
    """An upstream that accepts a WebSocket and reads it to its end; other requests are answered."""
    while b"Upgrade" not in read_head(connection):
        connection.sendall(OK)
    connection.sendall(SWITCH)
    while connection.recv(1 << 18):
        pass


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("frames", "each"), [(MASKED_EMPTY, 1), (MASKED_MIXED, 2)], ids=["empty", "mixed"]
)
def test_tiny_frames_of_a_client_go_in_steps(
    start: Start, frames: bytes, each: int, loop: Loop
) -> None:
    """Each turn reads some; the rate is recorded, the others are counted on the session, its end is
    right.
    """
    count = 100_000
    begin_s = time.monotonic()

    plane = start(silent_tunnel, loop=loop)
    with plane.connect() as client:
        client.socket.settimeout(PATIENCE_S)
        client.send(HANDSHAKE)
        assert b" 101 " in client.head()
        client.send(frames * count + MASKED_CLOSE)

    (session,), messages = entries(plane, 1)
    assert (session.close_code, outcome(session)) == (1000, Outcome.OK)
    assert session.request_bytes == len(frames) * count + len(MASKED_CLOSE)
    assert number_of(messages) + dropped(session) == each * count + 1
    assert len(messages) <= MAX_MESSAGES_PER_S * (time.monotonic() - begin_s + 2)
    assert not messages[0].follows_gap
    assert any(message.follows_gap for message in messages) == (dropped(session) > 0)
    assert plane.counters().dropped_messages == dropped(session)

    if frames == MASKED_EMPTY:
        assert dropped(session) == 0  # rows of them are a record each
    else:
        assert len(messages) >= 1000


def test_tiny_frames_of_an_upstream_go_in_steps(start: Start) -> None:
    """The same in the other direction; all of it reaches the client, and the session is whole on
    record.
    """
    count = 200_000

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(SWITCH + EMPTY * count + CLOSE)

    plane = start(upstream)
    with plane.connect() as client:
        client.socket.settimeout(PATIENCE_S)
        client.send(HANDSHAKE)
        assert b" 101 " in client.head()
        assert client.rest() == EMPTY * count + CLOSE

    (session,), messages = entries(plane, 1)
    assert (session.close_code, outcome(session)) == (1000, Outcome.OK)
    assert number_of(messages) + dropped(session) == count + 1


def test_masses_of_messages_leave_exchanges_their_room(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nobody reads the ring, a flood of messages fills its part; every exchange beside it is
    recorded.
    """
    monkeypatch.setattr(tunnel, "MAX_MESSAGES_PER_S", 100_000)
    plane = start(silent_tunnel, ring_bytes=1 << 20)
    with plane.connect() as flood, plane.connect() as other:
        flood.socket.settimeout(PATIENCE_S)
        other.socket.settimeout(PATIENCE_S)
        flood.send(HANDSHAKE)
        assert b" 101 " in flood.head()

        for _ in range(150):
            flood.send(MASKED_MIXED * 1000)
            other.send(GET)
            assert other.answer().body == b"ok"

        flood.send(MASKED_CLOSE)
        flood.finish_sending()
        flood.rest()

    exchanges, messages = entries(plane, 151)
    assert plane.reader.refused == 0
    session = exchanges[-1]
    assert (session.status, outcome(session)) == (101, Outcome.OK)
    assert number_of(messages) + dropped(session) == 300_001
    assert 0 < len(messages) < 3000


def test_a_client_that_takes_nothing_stops_a_response_in_steps(start: Start) -> None:
    """Steps go on only while the client takes what they give."""
    chunk = b"400\r\n" + b"z" * 1024 + b"\r\n"

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.settimeout(PATIENCE_S)
        connection.sendall(DOWNLOAD + chunk * 24_000 + LAST)

    plane = start(upstream)
    seen = in_flight(plane, "response")
    with plane.connect() as client:
        client.socket.settimeout(PATIENCE_S)
        client.send(GET)
        eventually(lambda: plane.has_downstream(lambda each: each._relay.is_paused))
        before = -1

        def stands_still() -> bool:
            nonlocal before
            before, last = plane.run(seen), before
            return 0 < before == last

        eventually(stands_still, PATIENCE_S)
        assert before < 24_000 * 1024
        assert len(client.answer().body) == 24_000 * 1024

    assert plane.exchange().response_bytes == 24_000 * 1024
