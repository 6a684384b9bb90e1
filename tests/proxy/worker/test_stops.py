"""A stop: what runs is finished, what does not finish in time is cut off and says so (P14, P29)."""

from typing import Final

from proxy.http2.errors import ErrorCode
from tests.proxy.worker.clients import Http2Caller
from tests.proxy.worker.rows import (
    ALL,
    WIRE,
    Row,
    Stage,
    ask,
    begin,
    end,
    ended,
    goes,
    hear,
    pause,
    played,
    recorded,
    see,
    stops,
    until_asked,
    until_buffered,
)
from tests.proxy.worker.services import answers, ends, gone, heard, taken, waits
from tests.proxy.worker.upstream.http2_calls import CALL, GRPC, MESSAGE
from tests.support.client import GET

CUT_OFF: Final = b"cut off at the stop (0.2 s, drain_timeout_s)"
SHORT: Final = {"drain_timeout_s": 0.2}
LONG: Final = {"drain_timeout_s": 60}
EXPECTED: Final = "proxy.worker.server.EXPECTED_NS"
DONE: Final = ("grpc-status", "0")
UNAVAILABLE: Final = {"grpc-status": "14", "grpc-message": CUT_OFF.decode()}
CALLING: Final = (begin(CALL, is_end=False), MESSAGE)


def said_goodbye(stage: Stage) -> None:
    """Read a GOAWAY without a fault, and the end of the connection."""
    assert isinstance(stage.caller, Http2Caller)
    stage.caller.client.hear_out()
    assert stage.caller.client.goaway == (ErrorCode.NO_ERROR, "")


def warned(stage: Stage) -> None:
    """Read that no other streams are taken."""
    assert isinstance(stage.caller, Http2Caller)
    while stage.caller.client.goaway is None:
        assert stage.caller.client.read()


ROWS = [
    Row(
        "what runs is finished, as the last of its connection",
        [ask(), until_asked, stops, goes, hear(body=b"ok"), ended, recorded(200)],
        [taken, waits, answers(), gone],
        rule="P29",
        settings=LONG,
    ),
    Row(
        "a stream that runs is finished, and its client reads that no others are taken",
        [ask(), until_asked, stops, warned, goes, hear(body=b"ok"), said_goodbye, recorded(200)],
        [taken, waits, answers(), gone],
        ("h2-h1", "h2-h2"),
        "P29",
        LONG,
    ),
    Row(
        "what was sent ahead of its answer is not begun",
        [
            GET + GET,
            until_asked,
            stops,
            goes,
            hear(body=b"ok", fields={"connection": "close"}),
            ended,
            recorded(200),
        ],
        [taken, waits, answers(), gone],
        WIRE,
        "P29",
        LONG,
    ),
    Row(
        "a large body of what was sent ahead destroys nothing of the last response",
        [
            GET + b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + bytes(900_000),
            *(until_asked, stops, goes, hear(body=bytes(8_000_000)), ended, recorded(200)),
        ],
        [heard, waits, answers(body=bytes(8_000_000))],
        ("h1",),
        "P29",
        LONG,
        is_slow=True,
    ),
    Row(
        "an idle connection is closed",
        [ask(), hear(), recorded(200), stops, ended],
        over=WIRE,
        settings=LONG,
    ),
    Row(
        "an idle connection of HTTP/2 is closed in order",
        [ask(), hear(), recorded(200), said_goodbye],
        over=("h2-h1",),
        settings={"timeout_keep_alive_s": 0.2},
    ),
    *(
        Row(
            f"a first request is waited for behind {sent!r}",
            [
                sent,
                until_buffered(sent),
                stops,
                GET[len(sent) :],
                hear(fields={"connection": "close"}),
                ended,
                recorded(200),
            ],
            over=("h1",),
            rule="P29",
            settings=LONG,
            patches={EXPECTED: 60_000_000_000},
        )
        for sent in (b"", GET[:7])
    ),
    *(
        Row(
            f"a connection that never spoke is closed {name}",
            [until_buffered(b""), pause(pause_s), stops, ended],
            over=("h1",),
            settings=LONG,
            patches={EXPECTED: expected_ns},
        )
        for name, pause_s, expected_ns in (
            ("at once where it is old", 0.1, 50_000_000),
            ("in the end where it is new", 0, 300_000_000),
        )
    ),
    Row(
        "half a head that does not go on is closed in the end",
        [GET[:8], until_buffered(GET[:8]), stops, ended],
        over=("h1",),
        rule="P29",
        settings=LONG,
        patches={EXPECTED: 300_000_000},
    ),
    Row(
        "what has no response by then is cut off",
        [ask(), until_asked, stops, ended, recorded(503, "shutdown", message=CUT_OFF)],
        [heard, gone],
        settings=SHORT,
        rule="P14",
    ),
    Row(
        "a response that has begun is cut off, and looks so",
        [
            ask(),
            see(b"part"),
            stops,
            hear(body=b"part", is_whole=False),
            recorded(200, "shutdown", message=CUT_OFF),
        ],
        [heard, answers(body=b"part", is_end=False), gone],
        ALL,
        "P14",
        SHORT,
    ),
    Row(
        "a response that ends with its connection is cut off by a reset",
        [
            b"GET / HTTP/1.0\r\n\r\n",
            see(b"part"),
            stops,
            hear(is_whole=False),
            recorded(200, "shutdown"),
        ],
        [heard, answers(body=b"part", is_end=False), gone],
        ("h1",),
        "P14",
        SHORT,
    ),
    Row(
        "a call of gRPC that runs is finished",
        [
            *CALLING,
            end(),
            until_asked,
            stops,
            warned,
            goes,
            hear(body=MESSAGE, trailers=dict([DONE])),
            said_goodbye,
            recorded(200),
        ],
        [taken, waits, answers(body=MESSAGE, fields=GRPC[1:], is_end=False), ends(DONE), gone],
        ("grpc",),
        "P29",
        LONG,
    ),
    Row(
        "a call of gRPC without a response is unavailable",
        [
            *CALLING,
            until_asked,
            stops,
            hear(fields=UNAVAILABLE, body=b""),
            said_goodbye,
            recorded(200, "shutdown", message=CUT_OFF, response_head_has=b"grpc-status: 14\r\n"),
        ],
        [heard, gone],
        ("grpc",),
        settings=SHORT,
    ),
    Row(
        "a call of gRPC that is answered in part is unavailable",
        [
            *CALLING,
            see(MESSAGE),
            stops,
            hear(body=MESSAGE, trailers=UNAVAILABLE),
            said_goodbye,
            recorded(
                200, "shutdown", message=CUT_OFF, response_trailers_have=b"grpc-status: 14\r\n"
            ),
        ],
        [heard, answers(body=MESSAGE, fields=GRPC[1:], is_end=False), gone],
        ("grpc",),
        settings=SHORT,
    ),
]


test_stops = played(ROWS)
