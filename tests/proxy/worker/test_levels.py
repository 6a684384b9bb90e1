"""What is kept of an exchange at each level of capture (`[capture] level`), of a route or of all."""

import socket
import threading

import pytest

from proxy.worker.recorder import NO_SLOT
from tests.proxy.conftest import Start
from tests.proxy.worker.test_downstream import GET
from tests.proxy.worker.test_relay import POST
from tests.support.plane import eventually
from tests.support.script import OK, Script
from tests.support.upstream import read_head


@pytest.mark.parametrize(("level", "kept"), [("body", b"ok"), ("headers", b""), ("meta", b"")])
def test_the_capture_level_decides_what_is_copied(start: Start, level: str, kept: bytes) -> None:
    """Sizes are counted at every level, bytes kept only where bodies are."""
    plane = start(Script(), route={"capture": level})
    assert plane.call(POST, "POST") == b"ok"
    exchange = plane.exchange()
    assert (exchange.response_window, exchange.response_bytes, exchange.request_bytes) == (
        kept,
        2,
        4,
    )


def test_a_route_that_records_nothing_is_counted_only(start: Start) -> None:
    """At level `none` no record is pushed and nothing shows in flight, but metrics are right."""
    may_answer = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        may_answer.wait(60)
        connection.sendall(OK)

    plane = start(upstream, route={"capture": "none"})
    running = plane.engine.in_flight
    with plane.connect() as client:
        client.send(GET)
        # It was to be shown.
        eventually(lambda: plane.run(lambda: [each.slot for each in running]) == [NO_SLOT])
        assert plane.in_flight() == []
        may_answer.set()
        assert client.answer().status == 200

    assert plane.counters().requests == {("0", "GET", "2xx"): 1}
    assert plane.reader.pushed == 0
