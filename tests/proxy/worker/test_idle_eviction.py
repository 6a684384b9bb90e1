"""A full table: silent strangers give way to whoever comes, and nobody who is served does."""

import contextlib
import socket
import threading
from functools import partial

import pytest

from proxy.network import accept
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.records import error, outcome
from tests.support.client import GET, Client
from tests.support.long import LOOPS
from tests.support.plane import Loop, Plane, eventually
from tests.support.script import OK, Script
from tests.support.upstream import read_head

CROWD = 5


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits at all may have to give way at the next sweep."""
    monkeypatch.setattr(accept, "LEAST_WAIT_NS", (1, 1))


def noted(plane: Plane) -> int:
    """How many connections the last sweep found waiting."""
    return len(plane.engine._idle_eviction)


def has_open(plane: Plane, count: int) -> bool:
    """Whether so many client connections are open."""
    return plane.counters().connections_downstream == count


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\nHost:"])
def test_a_crowd_of_silent_strangers_keeps_nobody_out(
    start: Start, loop: Loop, beginning: bytes
) -> None:
    """Each of them that says nothing, or half a head, is closed before a newcomer is refused, in
    their order.
    """
    plane = start(Script(), loop=loop, max_connections=CROWD)
    with contextlib.ExitStack() as stack:
        crowd: list[Client] = []
        for number in range(CROWD):
            crowd.append(stack.enter_context(plane.connect()))
            crowd[-1].send(beginning)
            eventually(partial(has_open, plane, number + 1))

        eventually(lambda: noted(plane) == CROWD)
        for stranger in crowd[:2]:
            with plane.connect() as healthy:
                healthy.send(GET)
                assert healthy.answer().body == b"ok"
            if beginning:
                assert stranger.answer().status == 503
            with contextlib.suppress(ConnectionResetError):
                assert stranger.is_ended()
            eventually(partial(has_open, plane, CROWD - 1))
            crowd.append(stack.enter_context(plane.connect()))
            eventually(lambda: noted(plane) == CROWD)

    counters = plane.counters()
    assert (counters.displaced_connections, counters.refused_connections) == (2, 0)
    exchanges = plane.exchanges(2 + 5 * bool(beginning))
    refused = [exchange for exchange in exchanges if outcome(exchange) is Outcome.REJECTED]
    assert [error(exchange) for exchange in refused] == ["overloaded"] * 2 * bool(beginning)


def test_what_runs_never_gives_way(start: Start) -> None:
    """With requests under way on all connections the newcomer is turned away, unread and
    unrecorded; once they have left all is well.
    """
    may_answer = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        may_answer.wait(60)
        connection.sendall(OK)

    plane = start(upstream, max_connections=2)
    with plane.connect() as first, plane.connect() as second:
        for client in (first, second):
            client.send(GET)
        eventually(lambda: len(plane.in_flight()) == 2)
        with plane.connect() as third:
            answer = third.answer()
            assert (answer.status, answer.field("Retry-After")) == (503, "1")
            assert third.is_ended()
        may_answer.set()
        assert [client.answer().body for client in (first, second)] == [b"ok"] * 2

    eventually(partial(has_open, plane, 0))
    assert plane.call(GET) == b"ok"
    plane.exchanges(3)
    assert (plane.counters().displaced_connections, plane.counters().refused_connections) == (0, 1)
