"""From when a deadline counts: the first request's from accept, a later one's from its first byte
(P17).
"""

import time

from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.records import error, outcome
from tests.support.client import GET
from tests.support.plane import Plane, eventually
from tests.support.script import Script


def test_the_first_head_shares_the_time_since_accept(start: Start) -> None:
    """Waiting before the first byte does not buy a second deadline."""
    plane = start(Script(), timeout_headers_s=60.0, timeout_keep_alive_s=600)
    with plane.connect() as client:
        accepted_ns = eventually(lambda: waiting_since_ns(plane))
        time.sleep(0.1)
        client.send(b"GET / HT")
        eventually(lambda: has_buffered(plane, b"GET / HT"))
        assert waiting_since_ns(plane) == accepted_ns
        plane.age(60)
        assert client.answer().status == 408

    exchange = plane.exchange()
    assert (outcome(exchange), error(exchange)) == (Outcome.REJECTED, "timeout_headers")


def test_a_slow_head_is_refused(start: Start) -> None:
    """The time for a head runs from its first byte; dribbling does not extend it."""
    plane = start(Script(), timeout_headers_s=60.0)
    with plane.connect() as client:
        client.send(b"GET / HTTP/1.1\r\n")
        eventually(lambda: has_buffered(plane, b"GET / HTTP/1.1\r\n"))
        began_ns = waiting_since_ns(plane)
        for _ in range(8):
            time.sleep(0.1)
            client.send(b"A: b\r\n")
        eventually(lambda: has_buffered(plane, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 8))
        assert waiting_since_ns(plane) == began_ns
        plane.age(60)
        answer = client.answer()
        assert (answer.status, answer.field("X-Sidelog-Error")) == (408, "timeout_headers")
        assert client.is_ended()

    exchange = plane.exchange()
    assert error(exchange) == "timeout_headers"
    assert exchange.request_head.startswith(b"GET / HTTP/1.1\r\nA: b")


def waiting_since_ns(plane: Plane) -> int:
    """Since when its only connection waits; 0: there is none yet."""
    return plane.run(lambda: sum(c._since_ns for c in plane.downstreams))


def test_a_later_head_has_its_time_from_its_first_byte(start: Start) -> None:
    """An idle connection may be idle for longer than a head may take."""
    plane = start(Script(), timeout_headers_s=60.0, timeout_keep_alive_s=600)
    with plane.connect() as client:
        for _ in range(2):
            client.send(GET[:7])
            eventually(lambda: has_buffered(plane, GET[:7]))
            assert time.monotonic_ns() - waiting_since_ns(plane) < 60_000_000_000
            client.send(GET[7:])
            assert client.answer().status == 200
            plane.age(60)

    plane.exchanges(2)


def has_buffered(plane: Plane, sent: bytes) -> bool:
    """Whether its only connection has read so much of a head."""
    return plane.run(lambda: [c._reader.buffer for c in plane.downstreams]) == [sent]
