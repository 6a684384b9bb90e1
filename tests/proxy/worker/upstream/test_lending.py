"""Connections to upstreams: which are kept and lent again, for how long, and what is sent once more (P13)."""

from typing import Final

from proxy.ring.exchange import NOTE_GRPC_MESSAGES
from tests.proxy.worker.rows import (
    TO_HTTP1,
    WIRE,
    Row,
    Stage,
    Step,
    ask,
    begin,
    connected,
    counted,
    end,
    hear,
    hear_interim,
    pause,
    played,
    recorded,
    then,
    trusted,
)
from tests.proxy.worker.services import (
    answers,
    by_connection,
    gone,
    heard,
    pauses,
    serves,
    taken,
)
from tests.proxy.worker.upstream.http2_calls import CALL, GRPC, MESSAGE
from tests.support.http2_client import POST
from tests.support.plane import limit_requests
from tests.support.script import OK

SURPLUS: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
LENDS_POSTS: Final = {"proxy.worker.upstream.pool.POST_IDLE_NS": 60_000_000_000}
KEPT: Final = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=%d\r\nContent-Length: 2\r\n\r\nok"
GOT: Final = (ask(), hear(), recorded(200))
FAILED: Final = ("upstream_error", "upstream_reset")


def has_no_messages(stage: Stage) -> None:
    """Find that a record counts no messages of gRPC."""
    assert NOTE_GRPC_MESSAGES not in stage.take_record().notes


def twice(second: Step, *rest: Step) -> list[Step]:
    """Use a connection a second time, of which its upstream breaks off then."""
    return [trusted, *GOT, second, *rest]


ROWS = [
    *(
        Row(
            f"one that carried {name} is not kept",
            [trusted, *[ask(), hear(status, body), recorded(status)] * 3, connected(3)],
            [serves(raw)],
            TO_HTTP1,
            "P13",
        )
        for name, status, body, raw in (
            ("bytes behind a length", 200, b"ok", OK + SURPLUS),
            (
                "a body behind a 204",
                204,
                b"",
                b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nbody",
            ),
            ("a body behind a 304", 304, b"", b"HTTP/1.1 304 Not Modified\r\n\r\nbody"),
            (
                "a close",
                200,
                b"ok",
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
            ),
            ("HTTP/1.0", 200, b"ok", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            (
                "bytes behind chunks",
                200,
                b"ok",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nsurplus",
            ),
        )
    ),
    Row(
        "bytes that nobody asked for close an idle one",
        [
            trusted,
            *[ask(), hear(body=b"ok"), counted("connections_upstream", 0), recorded(200)] * 2,
        ],
        [taken, answers(), pauses(0.05), SURPLUS, gone],
        (*TO_HTTP1, "h1-tls"),
        "P13",
    ),
    Row(
        "one of HTTP/1.0 may be kept",
        [trusted, *GOT * 2, connected(1)],
        [serves(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")],
        TO_HTTP1,
    ),
    Row(
        "a length passes",
        [ask(), hear(body=b"four", fields={"content-length": "4"}), recorded(200)],
        [taken, answers(body=b"four", length=4), gone],
    ),
    *(
        Row(
            f"{method} is sent once more where one that was used before is stale",
            twice(
                ask(method),
                hear(),
                recorded(200, **nothing),
                counted("upstream_retries", 1),
                connected(2),
            ),
            by_connection((taken, answers(), heard), (serves(answers()),)),
            over,
            "P13",
        )
        for method in ("GET", "PUT")
        for over, nothing in (
            ((*WIRE, "h1-tls"), {"notes": {}}),
            (("h2-h1",), {"has_reason": False}),
        )
    ),
    *(
        Row(
            f"{method} of {length} bytes is never sent twice",
            twice(
                ask(method, body=bytes(length), length=length),
                hear(502, error="upstream_reset"),
                recorded(502, *FAILED),
                counted("upstream_retries", 0),
                connected(1),
            ),
            by_connection((taken, answers(), heard), (serves(answers()),)),
            (*TO_HTTP1, "h1-tls"),
            "P13",
            patches=LENDS_POSTS,
        )
        for method, length in (("POST", 4), ("POST", 0), ("PUT", 4))
    ),
    *(
        Row(
            f"one that began to answer, {begun!r}, is not stale",
            twice(
                ask(),
                *rest,
                hear(502, error="upstream_reset"),
                recorded(502, *FAILED),
                connected(1),
            ),
            by_connection((taken, answers(), heard, begun), (serves(answers()),)),
            TO_HTTP1,
            "P13",
        )
        for begun, rest in (
            (b"HTTP/1.1 2", []),
            (b"HTTP/1.1 103 Early Hints\r\n\r\n", [hear_interim(103)]),
        )
    ),
    Row(
        "a new one that dies is not replaced",
        [ask(), hear(502, error="upstream_reset"), recorded(502, *FAILED), connected(1)],
        [heard],
        TO_HTTP1,
        "P13",
    ),
    Row(
        "one is kept for its time, and closed behind it",
        [trusted, *GOT * 3, connected(1), counted("connections_upstream", 0), *GOT, connected(2)],
        settings={"upstream_keep_alive_s": 0.4},
    ),
    Row(
        "one whose time is over is not lent",
        [trusted, *GOT, pause(0.12), *GOT, connected(2)],
        over=TO_HTTP1,
        settings={"upstream_keep_alive_s": 0.1},
    ),
    Row(
        "its upstream may announce a longer time",
        [trusted, *GOT, pause(0.12), *GOT, connected(1)],
        [serves(KEPT % 60)],
        TO_HTTP1,
        settings={"upstream_keep_alive_s": 0.1},
    ),
    Row(
        "its upstream may announce a shorter time",
        [trusted, *GOT * 2, connected(1), pause(0.55), *GOT, connected(2)],
        [serves(KEPT % 1)],
        TO_HTTP1,
        settings={"upstream_keep_alive_s": 60},
    ),
    Row(
        "a body is not sent on one that was idle for a second",
        [
            *(trusted, *GOT, pause(1.05), ask("PUT", length=0), hear(), recorded(200)),
            *(connected(1), pause(1.05), ask("PUT", body=b"ab"), hear(), recorded(200)),
            connected(2),
        ],
        over=("h1",),
        rule="P13",
    ),
    Row(
        "one carries a number of requests",
        [trusted, then(lambda plane: limit_requests(plane, 2)), *GOT * 6, connected(3)],
    ),
    Row(
        "a name that cannot exist leads nowhere",
        [
            ask(),
            hear(502, error="upstream_unresolved"),
            recorded(502, "upstream_error", "upstream_unresolved"),
        ]
        * 2,
        f"http://{'.'.join(['a' * 60] * 5)}:80",
        ("h1",),
    ),
    # Protocols.
    *(
        Row(
            f"{content_type} goes by HTTP/2",
            [
                begin((*CALL[:4], ("content-type", content_type)), is_end=False),
                MESSAGE,
                end(),
                hear(body=MESSAGE),
                recorded(200),
                counted("connections_upstream_http2", 1),
                counted("connections_upstream", 1),
                counted("connections_http2", 1),
            ],
            [taken, answers(body=MESSAGE, fields=GRPC[1:]), gone],
            ("grpc",),
        )
        for content_type in ("application/grpc", "application/grpc+proto", "application/grpc;v=1")
    ),
    *(
        Row(
            f"{content_type} goes by HTTP/1.1",
            [
                begin((*POST, ("content-type", content_type)), is_end=False),
                b"x",
                end(),
                hear(),
                has_no_messages,
            ],
            over=("h2-h1",),
        )
        for content_type in ("application/grpc-web+proto", "text/application/grpc")
    ),
    Row(
        "a request of HTTP/1.1 is none of gRPC, whatever it says",
        [ask("POST", fields=(("Content-Type", "application/grpc"),)), hear(), has_no_messages],
        over=("h1",),
    ),
]


test_lending = played(ROWS)
