"""Limits of a route in place of the general ones: bodies and deadlines; each overrides, each can be
lifted.
"""

import socket
import time

import msgspec
import pytest

from proxy.settings.load import load
from proxy.settings.model import LimitSettings, RouteSettings, SettingsError, redacted
from proxy.settings.route_model import RouteLimitSettings
from proxy.worker.routes import limits_of
from tests.proxy.conftest import Start
from tests.support.script import Script

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


def test_what_a_route_leaves_out_is_general() -> None:
    """Zero is a limit of its own: none."""
    general = LimitSettings(timeout_first_byte_s=7, max_body_bytes=9)
    route = RouteSettings(id="a", upstream="http://a", limits=RouteLimitSettings(max_body_bytes=0))
    assert limits_of(route, general) == msgspec.structs.replace(general, max_body_bytes=0)
    assert set(RouteLimitSettings.__struct_fields__) <= set(LimitSettings.__struct_fields__)


@pytest.mark.parametrize(
    ("target", "own", "status"),
    [
        (b"/v1/chat/completions", None, 200),
        (b"/items", None, 504),
        (b"/v1/chat/completions", 0.1, 504),
    ],
)
def test_models_may_think(start: Start, target: bytes, own: float | None, status: int) -> None:
    """An LLM call has a longer time to begin its answer, unless its route says how long."""

    def slow(connection: socket.socket, number: int) -> None:
        connection.recv(65536)
        if status == 504:
            connection.recv(1)  # until the proxy gives up
            return
        time.sleep(1.2)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    limits = RouteLimitSettings(timeout_first_byte_s=own)
    plane = start(slow, route={"limits": limits}, timeout_first_byte_s=0.2)
    with plane.connect() as client:
        client.send(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" % target)
        assert client.answer().status == status


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 9\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n9\r\n"]
)
@pytest.mark.parametrize(
    ("general", "own", "status"), [(0, 5, 413), (5, 0, 200), (5, 20, 200), (5, None, 413)]
)
def test_a_body_is_measured_by_its_route(
    start: Start, framing: bytes, general: int, own: int | None, status: int
) -> None:
    """Announced or found while it is read."""
    plane = start(
        Script(), route={"limits": RouteLimitSettings(max_body_bytes=own)}, max_body_bytes=general
    )
    with plane.connect() as client:
        client.send(
            POST + framing + b"123456789" + (b"\r\n0\r\n\r\n" if b"chunked" in framing else b"")
        )
        assert client.answer().status == status


def test_a_deadline_is_that_of_the_route(start: Start) -> None:
    """The general ones would last for minutes."""

    def silent(connection: socket.socket, number: int) -> None:
        while connection.recv(65536):
            pass

    plane = start(silent, route={"limits": RouteLimitSettings(timeout_first_byte_s=0.1)})
    with plane.connect() as client:
        client.send(POST + b"Content-Length: 0\r\n\r\n")
        answer = client.answer()
        assert answer.field("X-Sidelog-Error") == "upstream_timeout"
        assert b"0.1 s" in answer.body


def test_a_route_without_a_deadline_waits(start: Start) -> None:
    """Where the general one would have ended it."""

    def slow(connection: socket.socket, number: int) -> None:
        connection.recv(65536)
        time.sleep(0.8)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    plane = start(
        slow, route={"limits": RouteLimitSettings(timeout_first_byte_s=0)}, timeout_first_byte_s=0.1
    )
    assert plane.call(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") == b"ok"


def test_a_route_has_its_table() -> None:
    """Bounds are checked like those of the general limits, and what is shown holds what was given."""
    given = '[{"id": "a", "upstream": "http://a", "limits": {"max_body_bytes": %s}}]'
    settings = load({}, {"SIDELOG_ROUTES": given % 7}, None)
    assert redacted(settings)["routes"][0]["limits"] == {"max_body_bytes": 7}

    for wrong in ("-1", '"x"', '1, "timeout_headers_s": 3'):
        with pytest.raises(
            SettingsError, match=r"routes\[0\]\.limits\.(max_body_bytes|timeout_headers_s)"
        ):
            load({}, {"SIDELOG_ROUTES": given % wrong}, None)
