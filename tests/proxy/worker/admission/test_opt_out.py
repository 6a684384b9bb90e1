"""A request that asks to be recorded less gets it, in both engines, and is otherwise served as any
other.
"""

import threading
from collections.abc import Callable
from typing import Any, Literal

import pytest

from proxy.ring.capture_windows import Windows
from proxy.ring.exchange import FLAG_BODIES_OFF, FLAG_HEADS_OFF, FLAG_TLS
from proxy.settings.model import CaptureSettings
from proxy.worker.admission.opt_out import OptOut, make_opt_out
from proxy.worker.routes import RouteTable, compile_routes
from proxy.worker.server import DataPlane
from tests.fuzz.world import World
from tests.proxy.conftest import Start
from tests.proxy.http1.test_websocket_frames import frame
from tests.support.cases import each_of
from tests.support.plane import EngineName, eventually, settings_for
from tests.support.script import Script
from tests.support.upstream import read_head

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer"
NO_HEADS = FLAG_BODIES_OFF | FLAG_HEADS_OFF
WIRE_FLAGS: dict[bytes, int] = {
    b"meta": NO_HEADS,
    b"headers": FLAG_BODIES_OFF,
    b"body": 0,
    b"all": 0,
    b"": 0,
}
ALLOWED = CaptureSettings(opt_out_header="X-Record")
ENGINES = ("protocol", "reference")


def table(**route: Any) -> RouteTable:
    """One route."""
    return compile_routes(settings_for("http://up", route=route))


@each_of(
    ("fields", "level"),
    [
        (b"X-Record: none\r\n", "none"),
        (b"x-reCORD:\t META \r\n", "meta"),
        (b"X-Record: headers\r\nX-Record: none\r\n", "none"),
        (b"X-Record: body, headers\r\n", "headers"),
        (b"X-Record: body\r\n", None),
        (b"X-Record: no\r\n", None),
        (b"X-Record:\r\n", None),
        (b"X-Record-Not: none\r\nNX-Record: none\r\nA: X-Record: none\r\n", None),
        (b"Connection: x-record\r\nX-Record: none\r\n", "none"),
        (b"", None),
    ],
)
def test_the_least_of_what_is_asked_for_counts(fields: bytes, level: str | None) -> None:
    """Names in any case, lists, repetitions; what is unknown, or more than all there is, asks for
    nothing.
    """
    block = b"HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n"
    assert OptOut("X-Record").level_of(block) == level


@pytest.mark.parametrize("own", ["none", "meta", "headers", "body"])
def test_a_lower_level_never_captures_more_than_its_route(own: str) -> None:
    """Flags only grow, windows only shrink, and what is not recorded stays so."""
    (route,) = table(capture=own).routes
    levels: tuple[Literal["none", "meta", "usage", "headers"], ...] = (
        "none",
        "meta",
        "usage",
        "headers",
    )
    for level in levels:
        lowered = route.at_level(level)
        assert route.at_level(level) is lowered
        assert lowered.flags & route.flags == route.flags
        assert lowered.is_recorded <= route.is_recorded
        assert lowered.windows.plain == Windows(0, 0, 0, 0)
        assert (lowered.request_window_bytes, lowered.response_window_bytes) == (0, 0)
        assert lowered.windows.call.request_bytes <= route.windows.call.request_bytes
        reads_calls = level in ("usage", "headers") and own in ("headers", "body")
        assert bool(lowered.windows.call.request_bytes) == reads_calls
        assert (lowered.index, lowered.address) == (route.index, route.address)


def test_without_the_setting_nothing_looks_for_it(start: Start) -> None:
    """No head has a level, whatever its fields are."""
    assert make_opt_out("") is None
    plane = start(Script(OK)).plane
    assert isinstance(plane, DataPlane)
    assert plane.engine.opt_out is None
    assert (
        plane.engine.heads.read(b"HTTP/1.1\r\nHost: a\r\nX-Record: none\r\n\r\n")[0].opt_out is None
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("level", WIRE_FLAGS)
def test_a_request_is_recorded_at_the_level_it_asks_for(
    start: Start, engine: EngineName, level: bytes
) -> None:
    """Bodies of both sides stay out of the ring, true sizes do not; the header is forwarded as it
    came.
    """
    script = Script(OK, OK)
    plane = start(script, engine=engine, capture=ALLOWED)
    raw = (
        b"POST /x HTTP/1.1\r\nHost: a\r\nx-Record: " + level + b"\r\nContent-Length: 4\r\n\r\nbody"
    )
    assert plane.call(raw) == b"answer"
    exchange = plane.exchange()
    assert exchange.flags & NO_HEADS == WIRE_FLAGS[level]
    kept = (b"body", b"answer") if not WIRE_FLAGS[level] else (b"", b"")
    assert (exchange.request_window, exchange.response_window) == kept
    assert (exchange.request_bytes, exchange.response_bytes) == (4, 6)
    assert b"x-record: " + level + b"\r\n" in script.requests[0].lower()
    assert sum(plane.counters().requests.values()) == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_none_leaves_no_record_and_is_counted(start: Start, engine: EngineName) -> None:
    """Also when it is refused for its route, and when the next on the connection is recorded again."""
    plane = start(Script(OK, OK, OK), engine=engine, capture=ALLOWED, route={"path": "/in/"})
    with plane.connect() as client:
        for target, field in (
            (b"/in/1", b"none"),
            (b"/out", b"none"),
            (b"/in/2", b"all"),
            (b"/out/2", b"all"),
        ):
            client.send(
                b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nX-Record: " + field + b"\r\n\r\n"
            )
            client.answer()

    found = plane.exchanges(2)
    assert [exchange.request_head.split()[1] for exchange in found] == [b"/in/2", b"/out/2"]
    assert plane.unread == 0
    assert sum(plane.counters().requests.values()) == 4


@pytest.mark.parametrize(
    "field", [b"X-Record: headers\r\n", b"X-Record: meta\r\n", b"X-Record: none\r\n", b""]
)
@pytest.mark.parametrize("own", ["body", "headers"])
def test_messages_are_bodies(start: Start, field: bytes, own: str) -> None:
    """A WebSocket below `body`, whoever wants it so, has a record of its session and none of a
    message.
    """

    def upstream(connection: Any, number: int) -> None:
        read_head(connection)
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        connection.sendall(frame(1, b"said") + frame(8, b"\x03\xe8"))

    plane = start(upstream, capture=ALLOWED, route={"capture": own})
    with plane.connect() as client:
        client.send(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n" + field + b"\r\n"
        )
        assert client.head().startswith(b"HTTP/1.1 101 ")
        assert b"said" in client.rest()

    has_messages = own == "body" and not field
    expected = 0 if b"none" in field else 3 if has_messages else 1
    entries = _entries(lambda: plane.reader.read(10, 1 << 20), expected)
    assert len(entries) == expected
    assert any(b"said" in sections for sections in entries) == has_messages


def _entries(read: Callable[[], list[Any]], count: int) -> list[bytes]:
    """What is in the ring once there is so much."""
    found: list[bytes] = []

    def has_all() -> bool:
        found.extend(bytes(entry[2]) for entry in read())
        return len(found) >= count

    eventually(has_all)
    return found


def test_an_exchange_in_flight_shows_no_more(start: Start) -> None:
    """The table of running exchanges keeps to the level, too."""
    go_on = threading.Event()

    def upstream(connection: Any, number: int) -> None:
        read_head(connection)
        go_on.wait(60)
        connection.sendall(OK)

    plane = start(upstream, capture=ALLOWED)
    with plane.connect() as quiet, plane.connect() as client:
        quiet.send(b"GET /none HTTP/1.1\r\nHost: a\r\nX-Record: none\r\n\r\n")
        client.send(b"GET /meta HTTP/1.1\r\nHost: a\r\nX-Record: meta\r\nX-Own: secret\r\n\r\n")
        heads = eventually(plane.in_flight)
        go_on.set()
        assert (quiet.answer().status, client.answer().status) == (200, 200)

    assert heads == [b"GET /meta HTTP/1.1\r\n\r\n"]
    plane.exchange()


NOWHERE = b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
MALFORMED = b"GET / HTTP/1.1\r\nHost: a\r\nno field\r\n\r\n"
OUTSIDE = [
    ("protocol", NOWHERE),
    ("reference", NOWHERE),
    ("protocol", MALFORMED),
    ("protocol", NOWHERE[:20]),
]


@pytest.mark.parametrize(("engine", "sent"), OUTSIDE)
@pytest.mark.parametrize("level", ["none", "meta", "headers", "body"])
def test_what_reaches_no_route_is_recorded_at_the_general_level(
    start: Start, engine: EngineName, sent: bytes, level: Any
) -> None:
    """A path that is none of ours, a head that cannot be read, half a head: no route says how much
    is kept of it.
    """
    capture = CaptureSettings(level=level)
    plane = start(
        Script(OK), engine=engine, capture=capture, route={"path": "/in/", "capture": "body"}
    )
    with plane.connect() as client:
        client.send(sent)
        if sent.endswith(b"\r\n\r\n"):
            assert client.answer().status in (400, 404)

    if level == "none":
        eventually(lambda: sum(plane.counters().requests.values()) == 1)
        assert plane.unread == 0
    else:
        assert plane.exchange().flags & NO_HEADS == WIRE_FLAGS[level.encode()]


def test_such_a_record_says_how_its_client_came() -> None:
    """Over TLS, too."""
    world = World(is_tls=True)
    world.client().deliver(MALFORMED)
    world.pump()
    (record,) = world.records()
    assert record.flags & FLAG_TLS
