"""Streams to upstreams of HTTP/2: malformed responses, resets, requests that are sent once more, bodies, calls of gRPC
(F8, F17).
"""

from collections.abc import Callable
from typing import Final

from proxy.http2 import frames
from proxy.http2.errors import ErrorCode
from proxy.ring.http2_notes import BY_UPSTREAM, BY_US, NOT_RESET, MessagesNote, StreamNote
from tests.proxy.http2.wire import block
from tests.proxy.worker.rows import (
    Row,
    Stage,
    arrived,
    ask,
    begin,
    connected,
    counted,
    end,
    goes,
    hear,
    leave,
    played,
    recorded,
    see,
    see_head,
    until_asked,
)
from tests.proxy.worker.services import (
    Script,
    Service,
    Step,
    answers,
    by_connection,
    do,
    ends,
    gone,
    heard,
    leaves,
    reads,
    stream_of,
    taken,
    waits,
)
from tests.proxy.worker.upstream.http2_calls import CALL, GRPC, MESSAGE, STATUS
from tests.support.plane import eventually

OK: Final = (":status", "200")
MALFORMED: Final[dict[str, list[tuple[str, str]]]] = {
    "no status": [("x", "y")],
    "a connection field": [OK, ("connection", "close")],
    "a name in upper case": [OK, ("X-Upper", "1")],
    "a line end in a value": [OK, ("x", "1\r\ny: 2")],
    "101": [(":status", "101")],
    "two lengths": [OK, ("content-length", "1"), ("content-length", "2")],
    "a head over the limit": [OK, *[("x", "y" * 1000)] * 130],
}
FAILED: Final = ("upstream_error", "upstream_bad_response")
BROKEN: Final[tuple[tuple[str, Callable[[int], bytes], int], ...]] = (
    # what is broken, by which frames on a stream, and the status that the stream had by then
    (
        "DATA behind the end of a stream",
        lambda at: (
            frames.header_frames(at, block([(b":status", b"200")]), is_end=True)
            + frames.frame(frames.DATA, 0, at, b"more")
        ),
        200,
    ),
    (
        "a frame on a stream that was never opened",
        lambda at: frames.frame(frames.DATA, 0, 99, b"x"),
        502,
    ),
    (
        "a push",
        lambda at: frames.frame(frames.PUSH_PROMISE, frames.END_HEADERS, at, b"\0\0\0\2"),
        502,
    ),
    ("a frame over the limit", lambda at: b"\0\x80\0\0\0\0\0\0\1", 502),
    (
        "HPACK that cannot be",
        lambda at: frames.frame(frames.HEADERS, frames.END_HEADERS, at, b"\x80"),
        502,
    ),
)
LARGE: Final = bytes(range(256)) * 8192
PIECE: Final = 65_536


def write(service: Service, raw: bytes) -> None:
    """Send bytes on the connection."""
    connection = stream_of(service).connection
    connection.flush()
    with connection.lock:
        connection.socket.sendall(raw)


def was_reset(name: str) -> Callable[[Stage], object]:
    """Wait until a reset of an upstream is counted by its name."""
    counted = ("upstream", name), 1
    return lambda stage: eventually(lambda: counted in stage.plane.counters().http2_resets.items())


def says(frames_on: Callable[[int], bytes]) -> Step:
    """Send frames, by a function that makes them for the id of the stream."""
    return lambda service: write(service, frames_on(stream_of(service).request.id))


def resets(code: int) -> Step:
    """Reset the stream, with a code that need not be known."""
    return says(lambda at: frames.rst_stream(at, code))


def heads(fields: list[tuple[str, str]]) -> Step:
    """Send a head that the implementation of others would not."""
    raw = b"\x20" + block([(name.encode(), value.encode()) for name, value in fields])
    return says(lambda at: frames.header_frames(at, raw, is_end=False))


def data(body: bytes, flags: int = 0) -> Step:
    return says(lambda at: frames.frame(frames.DATA, flags, at, body))


def begins(status: str) -> Step:
    """Send a head that ends nothing, whatever the status says of a body."""

    def respond(service: Service) -> None:
        stream = stream_of(service)
        stream.connection.respond(stream.request, fields=[(":status", status)], is_end=False)

    return respond


def is_a_call(service: Service) -> None:
    """Find the head of a call of gRPC as HTTP/2 has it."""
    fields = stream_of(service).request.fields
    named = [fields[name] for name in (":method", ":path", ":scheme", ":authority", "te")]
    assert named == ["POST", "/s.Service/Do", "http", "a", "trailers"]
    assert not {"host", "transfer-encoding"} & fields.keys()


def first(script: Script, rest: Script) -> Script:
    """Do one script on the first stream of the connection, another on those that follow."""
    return (lambda service: do(service, script if stream_of(service).request.id == 1 else rest),)


ROWS = [
    *(
        Row(
            f"a response with {name} is a 502, and its connection lives",
            [
                *(ask(), hear(502, error="upstream_bad_response")),
                recorded(502, *FAILED, has_reason=True),
                *(ask(), hear(body=b"fine"), recorded(200), connected(1)),
            ],
            first((heard, heads(fields), gone), (taken, answers(body=b"fine"), gone)),
            ("h2-h2", "h1-h2"),
            settings={"max_header_bytes": 32768},
        )
        for name, fields in MALFORMED.items()
    ),
    Row(
        "a body of another length than it said is cut off",
        [
            *(ask(), hear(is_whole=False, reset=ErrorCode.INTERNAL_ERROR)),
            recorded(
                200, "truncated", "upstream_bad_response", reset=(BY_US, ErrorCode.INTERNAL_ERROR)
            ),
        ],
        [
            heard,
            heads([OK, ("content-length", "9")]),
            data(b"four"),
            data(b"four", frames.END_STREAM),
            gone,
        ],
        ("h2-h2",),
    ),
    *(
        Row(
            f"a reset of the upstream with code {code} passes {name}",
            [
                *(
                    ask(),
                    hear(status, body, is_whole=False, reset=code or ErrorCode.INTERNAL_ERROR),
                ),
                recorded(None, outcome, "upstream_reset", reset=(BY_UPSTREAM, code)),
                was_reset(known),
            ],
            [heard, *begun, resets(code)],
            ("h2-h2",),
            "P14",
        )
        for code, known in (
            (0, "no_error"),
            (2, "internal_error"),
            (8, "cancel"),
            (11, "enhance_your_calm"),
            (0x99, "internal_error"),
        )
        for name, begun, status, body, outcome in (
            ("before a head", [], 0, b"", "upstream_error"),
            ("behind a head", [answers(body=b"part", is_end=False)], 200, b"part", "truncated"),
        )
    ),
    Row(
        "a client of HTTP/1.1 reads of a reset",
        [
            ask(),
            hear(502, error="upstream_reset"),
            recorded(502, "upstream_error", "upstream_reset", message=b"CANCEL"),
        ],
        [heard, resets(ErrorCode.CANCEL)],
        ("h1-h2",),
    ),
    *(
        Row(
            f"{method}, which its upstream has not begun, is sent once more",
            [
                ask(method, body=body),
                hear(body=b"second"),
                recorded(200),
                counted("upstream_retries", 1),
                connected(1),
                arrived(body, body),
            ],
            first(
                (taken, resets(ErrorCode.REFUSED_STREAM)), (taken, answers(body=b"second"), gone)
            ),
            ("h2-h2", "h1-h2"),
            "P13",
        )
        for method, body in (("GET", b""), ("POST", b"body"))
    ),
    Row(
        "one that is refused again is refused",
        [
            *(
                ask(),
                hear(0, is_whole=False, reset=ErrorCode.REFUSED_STREAM),
                counted("upstream_retries", 1),
            ),
            *(until_asked, until_asked),
            recorded(
                None,
                "upstream_error",
                "upstream_reset",
                reset=(BY_UPSTREAM, ErrorCode.REFUSED_STREAM),
            ),
        ],
        [heard, resets(ErrorCode.REFUSED_STREAM)],
        ("h2-h2",),
    ),
    *(
        Row(
            f"a client that leaves by {way} without the end of a stream has had {name}",
            [ask(), see(body), leave(way), recorded(200, outcome, done_ns=-1)],
            [heard, answers(body=body, fields=fields, is_end=False), gone],
            over,
            "P15",
        )
        for name, body, fields, outcome in (
            ("all content", b"abcde", (("content-length", "5"),), "ok"),
            ("a part of the content", b"abc", (("content-length", "5"),), "client_closed"),
            ("content of no known length", b"abcde", (), "client_closed"),
        )
        for way, over in (("reset", ("h2-h2",)), ("close", ("h2-h2", "h1-h2")))
    ),
    Row(
        "a client that leaves behind a response to HEAD has had all",
        [ask("HEAD"), see_head, leave("reset"), recorded(200, done_ns=-1)],
        [heard, answers(body=b"", fields=(("content-length", "5"),), is_end=False), gone],
        ("h2-h2",),
        "P15",
    ),
    # Bodies and messages.
    *(
        Row(
            f"no body follows a {status} to {method}, and {name} is none of the next response",
            [
                *(ask(method), ask(), hear(int(status), b"", method=method), goes),
                *(hear(body=b"next"), recorded(int(status)), recorded(200), connected(1)),
            ],
            first((heard, begins(status), waits, rest), (taken, answers(body=b"next"))),
            ("h1-h2",),
        )
        for method, status in (("HEAD", "200"), ("GET", "204"), ("GET", "304"))
        for name, rest in (
            ("a late end", ends()),
            ("a section of trailers", ends(("x", "1"))),
            ("a body", data(b"body", frames.END_STREAM)),
            ("a body that goes on", data(b"body")),
        )
    ),
    Row(
        "large bodies pass in both directions at once, through the windows of each end",
        [
            *(ask("POST", body=LARGE), hear(body=LARGE)),
            recorded(200, request_bytes=len(LARGE), response_bytes=len(LARGE)),
        ],
        [
            answers(body=b"", is_end=False),
            *(
                step
                for at in range(0, len(LARGE), PIECE)
                for step in (reads(PIECE), LARGE[at : at + PIECE])
            ),
            ends(),
        ],
        ("h2-h2",),
    ),
    Row(
        "a call of gRPC goes by HTTP/2, and all of it is on record",
        [
            *(begin(CALL, is_end=False), MESSAGE, end()),
            hear(body=MESSAGE * 2, trailers={"grpc-status": "0", "x-bin": "AP8B"}),
            recorded(
                200,
                request=MESSAGE,
                response=MESSAGE * 2,
                response_head=b"HTTP/2 200\r\ncontent-type: application/grpc\r\n\r\n",
                response_trailers=b"grpc-status: 0\r\nx-bin: AP8B\r\n",
                grpc_messages=MessagesNote(1, 3, 2, 3, is_stream=True),
                stream=StreamNote(1, 1, -1, NOT_RESET),
            ),
        ],
        [
            *(is_a_call, taken, answers(body=MESSAGE * 2, fields=GRPC[1:], is_end=False)),
            ends(*STATUS, ("x-bin", "AP8B")),
        ],
        ("grpc",),
    ),
    Row(
        "messages pass as they come, and those of both sides are counted",
        [
            begin(CALL, is_end=False),
            *(step for count in range(1, 20) for step in (MESSAGE, see(MESSAGE * count))),
            *(end(), hear(trailers={"grpc-status": "0"})),
            recorded(
                200,
                request_bytes=19 * len(MESSAGE),
                response_bytes=19 * len(MESSAGE),
                grpc_messages=MessagesNote(19, 3, 19, 3, is_stream=True),
            ),
        ],
        [
            answers(body=b"", fields=GRPC[1:], is_end=False),
            *[reads(len(MESSAGE)), MESSAGE] * 19,
            *(taken, ends(*STATUS)),
        ],
        ("grpc",),
    ),
    # Connections.
    Row(
        "those that run at once share a connection, also while it is opened",
        [
            *(*[ask()] * 50, *[until_asked] * 50, *[goes] * 50),
            *(*[hear(body=b"ok")] * 50, *[recorded(200)] * 50, connected(1)),
        ],
        [heard, waits, answers()],
        ("h2-h2",),
    ),
    *(
        Row(
            f"an upstream that breaks a rule of the connection by {name} loses it",
            [
                *(ask("POST", body=b"x"), until_asked, ask()),
                hear(502, error="upstream_bad_response"),
                hear(status, error="upstream_bad_response" if status == 502 else None),
                *(ask(), hear(body=b"fine")),
                recorded(status, *(FAILED if status == 502 else ())),
                *(recorded(502, *FAILED), recorded(200), connected(2)),
            ],
            by_connection(
                first((heard, gone), (heard, says(broken), gone)), (taken, answers(body=b"fine"))
            ),
            ("h2-h2",),
        )
        for name, broken, status in BROKEN
    ),
    Row(
        "a stale connection is noticed with the next request, which is sent once more",
        [
            *(ask(), hear(body=b"first"), recorded(200)),
            *(ask(), hear(body=b"again"), recorded(200), connected(2)),
        ],
        (lambda service: do(service, ANSWERS[service.number, stream_of(service).request.id]),),
        ("h2-h2", "h1-h2"),
        "P13",
    ),
]
ANSWERS: Final[dict[tuple[int, int], Script]] = {
    (0, 1): (taken, answers(body=b"first")),
    (0, 3): (taken, leaves()),
    (1, 1): (taken, answers(body=b"again"), gone),
}
"""By connection and stream."""


test_http2_streams = played(ROWS)
