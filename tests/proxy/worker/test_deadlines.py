"""From when a deadline counts: the first request's from accept, a later one's from its first byte
(P17).
"""

import time

import pytest

from proxy.worker import server
from proxy.worker.deadlines import is_trickle
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.test_downstream import GET, error, outcome
from tests.support.cases import each_of
from tests.support.plane import Plane, eventually
from tests.support.script import Script


@each_of(
    ("body_bytes", "age_s", "is_slow"),
    [(0, 2.9, False), (0, 3.0, True), (1499, 3.0, True), (1500, 3.0, False), (40_000, 100.0, True)],
)
def test_what_a_trickle_is(body_bytes: int, age_s: float, *, is_slow: bool) -> None:
    """Less than 500 bytes/s, on average, once it had three seconds."""
    assert is_trickle(body_bytes, int(age_s * 1e9)) == is_slow


def test_a_connection_that_never_speaks_is_closed_without_a_word(start: Start) -> None:
    """It gets the time of a head, not that of an idle connection; there is no record and no answer."""
    plane = start(Script(), timeout_headers_s=0.3, timeout_keep_alive_s=60)
    with plane.connect() as client:
        assert client.is_ended()
    assert plane.unread == 0


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


def test_draining_closes_connections_that_never_spoke(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a while they have been idle."""
    monkeypatch.setattr(server, "EXPECTED_NS", 50_000_000)
    plane = start(Script(), drain_timeout_s=60)
    with plane.connect() as client:
        assert plane.call(GET) == b"ok"
        time.sleep(0.1)
        plane.stop()
        assert client.is_ended()

    plane.exchange()


@pytest.mark.parametrize("sent", [b"", GET[:7]])
def test_a_stop_waits_for_a_first_request(
    start: Start, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """It may be on its way where the connection is new, or half of its head is here: it is
    answered, as the last.
    """
    monkeypatch.setattr(server, "EXPECTED_NS", 60_000_000_000)
    plane = start(Script(), drain_timeout_s=60)
    with plane.connect() as client:
        client.send(sent)
        eventually(lambda: waiting_since_ns(plane))
        eventually(lambda: not sent or has_buffered(plane, sent))
        plane.stop()
        eventually(lambda: plane.run(lambda: plane.engine.is_draining))
        client.send(GET[len(sent) :])
        answer = client.answer()
        assert (answer.status, answer.field("connection")) == (200, "close")
        assert client.is_ended()

    assert outcome(plane.exchange()) == Outcome.OK


def test_a_stop_waits_for_nothing_where_nothing_comes(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New connections that say nothing are closed in the end, without a word."""
    monkeypatch.setattr(server, "EXPECTED_NS", 300_000_000)
    plane = start(Script(), drain_timeout_s=60)
    with plane.connect() as client:
        eventually(lambda: waiting_since_ns(plane))
        plane.stop()
        assert client.is_ended()

    assert plane.unread == 0


def has_buffered(plane: Plane, sent: bytes) -> bool:
    """Whether its only connection has read so much of a head."""
    return plane.run(lambda: [c._reader.buffer for c in plane.downstreams]) == [sent]
