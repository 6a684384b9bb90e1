"""What one connection may do before the loop looks at the others (P23), told by how far it gets in each turn."""

import asyncio
import socket
import threading
from collections.abc import Callable
from itertools import pairwise

import pytest

from proxy.worker.server import ProtocolPlane
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.test_downstream import GET, LOOPS, outcome
from tests.support.plane import Loop, Plane, eventually
from tests.support.script import OK, read_body
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
        self._plane, self._probe = plane, probe
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
    assert isinstance(plane.plane, ProtocolPlane)
    engine = plane.plane.engine

    def seen() -> int:
        windows = [getattr(exchange, f"{side}_body") for exchange in engine.in_flight]
        return sum(window.size for window in windows if window is not None)

    return seen


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
@pytest.mark.parametrize("kind", SMALL)
def test_an_upload_in_small_chunks_goes_in_steps(start: Start, kind: str, loop: Loop) -> None:
    """Each turn reads a part of what one read of the loop brought; in the end all of it has passed and is on record."""
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
    """The same for what an upstream sends, also when it is gone long before its response has passed."""
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
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        assert client.answer().body == b"ok"
    assert turns.stop() <= READ_BYTES
    assert plane.exchange().request_bytes == size


@pytest.mark.parametrize("loop", LOOPS)
def test_refused_requests_are_answered_in_steps(start: Start, loop: Loop) -> None:
    """Requests that need no upstream, sent ahead by the thousand, are answered a few at a time, each once."""
    count = 1000
    plane = start(sink, loop=loop, route={"path": "/only"})
    turns = Turns(plane, lambda: plane.reader.pushed)
    with plane.connect() as client:
        client.socket.settimeout(PATIENCE_S)
        sending = threading.Thread(target=client.send, args=(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * count,))
        sending.start()
        assert {client.answer().status for _ in range(count)} == {404}
        sending.join()
    assert turns.stop() <= 16
    assert len(plane.exchanges(count)) == count


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
        before = -1

        def stands_still() -> bool:
            nonlocal before
            before, last = plane.run(seen), before
            return 0 < before == last

        eventually(stands_still, PATIENCE_S)
        assert before < 24_000 * 1024
        assert len(client.answer().body) == 24_000 * 1024
    assert plane.exchange().response_bytes == 24_000 * 1024
