"""Clients that leave: what their upstream sees of it, and what is on record (P15)."""

import contextlib
import socket
from typing import Final

import pytest

from proxy.ring.http2_notes import BY_CLIENT
from tests.proxy.conftest import Start
from tests.proxy.worker.clients import Asked, calling
from tests.proxy.worker.rows import (
    ALL,
    WIRE,
    Row,
    Stage,
    ask,
    counted,
    ended,
    freed,
    goes,
    hear,
    leave,
    played,
    recorded,
    see,
    stops,
    until,
    until_asked,
    until_buffered,
    until_gone,
    until_read,
)
from tests.proxy.worker.services import (
    NOBODY,
    Service,
    answers,
    gone,
    heard,
    reads,
    serves,
    taken,
    waits,
)
from tests.proxy.worker.upstream.http2_calls import open_streams, upstream_streams
from tests.support.client import GET
from tests.support.plane import eventually

LATE: Final = {
    "proxy.worker.downstream.HALF_CLOSE_NS": 60_000_000_000,
    "proxy.worker.http2_downstream.HALF_CLOSE_NS": 60_000_000_000,
}
"""A client that ended its side is waited for, however busy the machine is."""
LEFT: Final = recorded(499, "client_closed", is_request_whole=False, request_bytes=4)
WAYS: Final = ("close", "reset")


def holds_the_first(service: Service) -> None:
    """Answer none but the neighbour of a request."""
    if service.path == "/next":
        service.answer(200, b"ok", (), None, is_end=True)
    service.await_end()


def takes_nothing(stage: Stage) -> None:
    """Have the only client take nothing of what it is sent."""
    stage.plane.run(stage.plane.downstreams[0].pause_writing)


def takes_again(stage: Stage) -> None:
    """Have it take everything again."""
    stage.plane.run(stage.plane.downstreams[0].resume_writing)


ROWS = [
    *(
        Row(
            f"one that waits and leaves by {way} is 499, and its upstream is given up",
            [
                *(ask(), until_asked, leave(way), until_gone),
                *(recorded(499, "client_closed"), counted("requests", {("0", "GET", "4xx"): 1})),
            ],
            [heard, gone],
            ALL,
            "P15",
        )
        for way in WAYS
    ),
    *(
        Row(
            f"one that leaves by {way} within a response keeps the status that it saw",
            [
                *(ask(), see(b"half"), leave(way)),
                recorded(200, "client_closed", response=b"half", **nothing),
            ],
            [heard, answers(body=b"half", length=100), gone],
            over,
            "P15",
        )
        for way in WAYS
        for over, nothing in ((WIRE, {"notes": {}}), (ALL[len(WIRE) :], {"has_reason": False}))
    ),
    *(
        Row(
            f"one that leaves by {way} within {name} leaves no whole request upstream",
            [
                ask("POST", body=b"half", length=length, is_end=False),
                until_read,
                leave(way),
                until_gone,
                LEFT,
            ],
            [heard, reads(4 if length else 9), gone],
            ("h1", "h2-h1") if way == "end" else ("h1", "tls", "h2-h1"),
            "P15",
            patches=LATE if way == "end" else {},
        )
        for way in (*WAYS, "end")
        for name, length in {"a body": 100, "chunks": None}.items()
    ),
    Row(
        "one that leaves within a body cancels the stream to its upstream",
        [
            *(ask("POST", body=b"half", is_end=False), until_read, leave("reset"), until_gone),
            *(freed(upstream_streams), LEFT),
        ],
        [heard, reads(4), gone],
        ("h1-h2", "h2-h2"),
    ),
    Row(
        "one that resets a stream is on record with its code, and its neighbours go on",
        [
            ask(),
            until_asked,
            leave("reset"),
            counted("http2_resets", {("client", "cancel"): 1}),
            recorded(499, "client_closed", reset=(BY_CLIENT, 8)),
            *(until_gone, ask(path="/next"), hear(body=b"ok"), recorded(200)),
        ],
        [heard, holds_the_first],
        ("h2-h1", "h2-h2"),
    ),
    Row(
        "one that leaves ends all that it asked for",
        [
            *[ask(), until_asked] * 5,
            *(leave(), *[recorded(499, "client_closed"), until_gone] * 5, freed(open_streams)),
        ],
        [heard, gone],
        ("h2-h1", "h2-h2"),
    ),
    Row(
        "one that ends its side has a second for its answer",
        [ask(), until_asked, leave("end"), until_gone, recorded(499, "client_closed")],
        [heard, gone],
        ("h1", "h2-h1", "h1-h2", "h2-h2"),
    ),
    Row(
        "requests that wait until their client reads are answered, although it ended its side",
        [
            *(ask(), hear(), recorded(200), takes_nothing, GET + GET),
            *(until(lambda each: each._reader.buffer), leave("end")),
            *(until(lambda each: each.eof_ns), takes_again),
            *(hear(), hear(), ended, recorded(200), recorded(200)),
        ],
        over=("h1",),
        patches=LATE,
    ),
    Row(
        "one that ends its side has sent all that came before, and gets its response",
        [
            *(ask("POST", body=bytes(300_000)), leave("end"), goes, hear(body=b"ok")),
            *(recorded(200, request_bytes=300_000), stops),
        ],
        [taken, waits, answers(), gone],
        ("h1", "h2-h1", "h1-h2", "h2-h2"),
        "P15",
        patches=LATE,
    ),
    Row(
        "one that ends its side gets all that it asked for",
        [
            ask(path="/1"),
            *(
                ask(path="/2"),
                b"GET /cut HT",
                until_asked,
                leave("end"),
                until(lambda each: each.eof_ns),
            ),
            *(goes, goes, hear(), hear(), ended, recorded(200), recorded(200)),
            recorded(499, "client_closed", request_head=b"GET /cut HT"),
        ],
        [serves(waits, answers())],
        ("h1",),
        "P15",
        patches=LATE,
    ),
    Row(
        "one that ends its side gets the many answers that need no upstream",
        [
            *(
                ask(path="/v1/"),
                GET * 50,
                until_asked,
                leave("end"),
                until(lambda each: each.eof_ns),
                goes,
            ),
            *(hear(), *[hear(404, error="no_route")] * 50, ended),
            *(recorded(200), *[recorded(404, "rejected", "no_route")] * 50),
        ],
        [serves(waits, answers())],
        ("h1",),
        settings={"route": {"path": "/v1/"}},
        patches=LATE,
    ),
    *(
        Row(
            f"half a request, {half!r}, is recorded",
            [
                *(ask(), hear(), half, until_buffered(half), leave(), recorded(200)),
                recorded(499, "client_closed", request_head=half, is_request_whole=False),
            ],
            over=WIRE,
            rule="P15",
        )
        for half in (b"G", b"GET /x HTTP/1.1\r\nHost: a\r\n")
    ),
    Row(
        "one that asks for nothing, or for nothing more, leaves no record",
        [leave(), counted("connections_downstream", 0)],
    ),
    Row(
        "one that was refused with more in the buffer is recorded once",
        [
            *(b"GET /x HT", hear(408, error="timeout_headers"), leave()),
            *(counted("connections_downstream", 0), recorded(408, "rejected", "timeout_headers")),
        ],
        over=WIRE,
        settings={"timeout_headers_s": 0.5},
    ),
    Row(
        "one that leaves while its body is waited for was answered before",
        [
            *(
                ask("POST", body=b"part", length=100),
                until(lambda each: each._relay.is_answered),
            ),
            *(leave(), recorded(502, "upstream_error", "upstream_refused", request=b"part")),
        ],
        NOBODY,
        WIRE,
        "P24",
        patches={"proxy.worker.deadlines.LATE_BODY_NS": 60_000_000_000},
    ),
    Row(
        "one that vanishes while it is not read is noticed within a second",
        [
            *(
                ask(),
                GET * 20_000,
                until(lambda each: each._paused == 1),
            ),
            *(leave("reset"), recorded(499, "client_closed")),
        ],
        [heard, gone],
        ("h1",),
        "P20",
    ),
]


test_leaving = played(ROWS)


@pytest.mark.parametrize("is_http2", [False, True])
def test_one_that_leaves_while_its_upstream_is_reached_leaves_nothing(
    start: Start, *, is_http2: bool
) -> None:
    """Opening an upstream connection ends with the client that wanted it."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        plane = start(f"http://127.0.0.1:{full.getsockname()[1]}")
        with calling(plane, "http2" if is_http2 else "http1") as caller:
            caller.ask(Asked())
            eventually(lambda: plane.counters().requests_in_flight)

        assert plane.exchange().status == 499
