"""Clients that end their side while a request of theirs is running, with more of them sent behind
it.
"""

import socket
import threading
from collections.abc import Iterator

import pytest

from proxy.worker import downstream
from storage.record import OUTCOMES, Outcome
from tests.proxy.conftest import Start
from tests.support.client import Client
from tests.support.plane import Plane, eventually
from tests.support.script import OK
from tests.support.upstream import read_head

FIRST = b"GET /v1/first HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def may_answer() -> Iterator[threading.Event]:
    """Set it, and the upstream answers."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def plane(start: Start, may_answer: threading.Event, monkeypatch: pytest.MonkeyPatch) -> Plane:
    """A plane whose only route is `/v1/`; its upstream answers one request when it may."""

    def answer(connection: socket.socket, _: int) -> None:
        read_head(connection)
        may_answer.wait()
        connection.sendall(OK)

    monkeypatch.setattr(downstream, "HALF_CLOSE_NS", 60_000_000_000)
    return start(answer, route={"path": "/v1/"})


def send_and_end(plane: Plane, client: Client, raw: bytes) -> None:
    """Send a request and what stands behind it, and end the client's side; return when the worker
    has seen that.
    """
    client.send(FIRST + raw)
    client.finish_sending()
    eventually(lambda: plane.has_downstream(lambda each: each.eof_ns))


def test_half_a_head_behind_a_running_request_is_recorded(
    plane: Plane, may_answer: threading.Event
) -> None:
    """As it is where none is running."""
    with plane.connect() as client:
        send_and_end(plane, client, b"GET /v1/second HTTP/1.1\r\nHo")
        may_answer.set()
        assert client.answer().status == 200
        assert client.is_ended()

    first, second = plane.exchanges(2)
    assert (first.status, second.status) == (200, 499)
    assert OUTCOMES[second.outcome] == Outcome.CLIENT_CLOSED
    assert second.request_head == b"GET /v1/second HTTP/1.1\r\nHo"


def test_many_requests_behind_a_running_one_are_all_answered(
    plane: Plane, may_answer: threading.Event
) -> None:
    """Those that are answered at once take more than one turn."""
    with plane.connect() as client:
        send_and_end(plane, client, b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n" * 50)
        may_answer.set()
        assert client.answer().status == 200
        assert [client.answer().status for _ in range(50)] == [404] * 50
        assert client.is_ended()

    plane.exchanges(51)
