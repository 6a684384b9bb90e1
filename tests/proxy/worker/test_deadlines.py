"""From when a deadline counts: the first request's from accept, a later one's from its first byte (P17)."""

import time

from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.test_downstream import GET, error, outcome
from tests.support.plane import Plane, eventually
from tests.support.script import Script


def test_a_connection_that_never_speaks_is_closed_without_a_word(start: Start) -> None:
    """It gets the time of a head, not that of an idle connection; there is no record and no answer."""
    plane = start(Script(), timeout_headers_s=0.3, timeout_keep_alive_s=60)
    with plane.connect() as client:
        assert client.is_ended()
    assert plane.unread == 0


def test_the_first_head_shares_the_time_since_accept(start: Start) -> None:
    """Waiting before the first byte does not buy a second deadline."""
    plane = start(Script(), timeout_headers_s=3.0, timeout_keep_alive_s=60)
    connections = plane.plane.engine.connections  # type: ignore[attr-defined]
    with plane.connect() as client:
        accepted_ns = eventually(lambda: waiting_since_ns(plane))
        time.sleep(0.1)
        client.send(b"GET / HT")
        eventually(lambda: plane.run(lambda: [c._reader.buffer for c in connections]) == [b"GET / HT"])
        assert waiting_since_ns(plane) == accepted_ns
        assert client.answer().status == 408
    exchange = plane.exchange()
    assert (outcome(exchange), error(exchange)) == (Outcome.REJECTED, "timeout_headers")


def waiting_since_ns(plane: Plane) -> int:
    """Since when its only connection waits; 0: there is none yet."""
    return plane.run(lambda: sum(c._since_ns for c in plane.plane.engine.connections))  # type: ignore[attr-defined]


def test_a_later_head_has_its_time_from_its_first_byte(start: Start) -> None:
    """An idle connection may be idle for longer than a head may take."""
    plane = start(Script(), timeout_headers_s=2.0, timeout_keep_alive_s=60)
    with plane.connect() as client:
        for idle_s in (2.2, 0.0):
            client.send(GET[:7])
            time.sleep(0.1)
            client.send(GET[7:])
            assert client.answer().status == 200
            time.sleep(idle_s)
    plane.exchanges(2)


def test_draining_closes_connections_that_never_spoke(start: Start) -> None:
    """They are idle."""
    plane = start(Script(), drain_timeout_s=60)
    with plane.connect() as client:
        assert plane.call(GET) == b"ok"
        plane.stop()
        assert client.is_ended()
    plane.exchange()
