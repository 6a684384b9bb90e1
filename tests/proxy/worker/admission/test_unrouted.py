"""How much is recorded of what reaches no route."""

from typing import Any

import pytest

from proxy.ring.exchange import FLAG_BODIES_OFF, FLAG_HEADS_OFF, FLAG_TLS
from proxy.settings.model import CaptureSettings
from tests.fuzz.world import World
from tests.proxy.conftest import Start
from tests.support.plane import EngineName, eventually
from tests.support.script import Script

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer"
NO_HEADS = FLAG_BODIES_OFF | FLAG_HEADS_OFF
FLAGS = {"meta": NO_HEADS, "headers": FLAG_BODIES_OFF, "body": 0}
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
        assert plane.exchange().flags & NO_HEADS == FLAGS[level]


def test_such_a_record_says_how_its_client_came() -> None:
    """Over TLS, too."""
    world = World(is_tls=True)
    world.client().deliver(MALFORMED)
    world.pump()
    (record,) = world.records()
    assert record.flags & FLAG_TLS
