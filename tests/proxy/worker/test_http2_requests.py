"""Clients of HTTP/2: what of theirs is refused or reset, and how their calls of gRPC are answered."""

import time
from typing import Final

from proxy.http2 import frames
from proxy.http2.errors import ErrorCode
from tests.proxy.worker.clients import Http2Caller
from tests.proxy.worker.rows import (
    Row,
    Stage,
    Step,
    arrived,
    ask,
    begin,
    counted,
    end,
    forwarded,
    hear,
    pause,
    played,
    recorded,
    see,
    until_asked,
    until_gone,
)
from tests.proxy.worker.services import NOBODY, answers, ends, gone, heard, pauses, spoken_to, taken
from tests.proxy.worker.upstream.http2_calls import CALL, GRPC, MESSAGE, with_path
from tests.support.http2_client import GET, POST, Fields

IN: Final = with_path("/in")
CALLING: Final = (begin(CALL, is_end=False), MESSAGE, end())
FAULT: Final = ("rejected", "http2_protocol_error")
OLD: Final = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
REFUSED: dict[str, tuple[Fields, int, str]] = {
    "CONNECT": (((":method", "CONNECT"), (":authority", "a:1")), 405, "method_not_allowed"),
    "another Host": ((*IN, ("host", "b")), 400, "bad_request"),
    "a method in lower case": (((":method", "get"), *IN[1:]), 501, "method_unknown"),
    "a long path": (with_path("/" + "x" * 9000), 414, "uri_too_long"),
    "a longer path": (with_path("/" + "x" * 40000), 414, "uri_too_long"),
    "a path without a route": (with_path("/other"), 404, "no_route"),
    "a long body": ((*with_path("/in", POST), ("content-length", "99")), 413, "body_too_large"),
    "an authority with a user": ((*IN[:2], (":authority", "u@a"), IN[3]), 400, "bad_request"),
    "many fields": ((*IN, *((f"x-{n}", "y") for n in range(200))), 431, "header_too_large"),
    "a long field": ((*IN, ("x-long", "y" * 40000)), 431, "header_too_large"),
    "a longer field": ((*IN, ("x-long", "y" * 100_000)), 431, "header_too_large"),
    "many cookies": (
        (*IN, ("x-many", "y" * 600), *[("cookie", "a=b")] * 1200),
        431,
        "header_too_large",
    ),
}


def raw(caller: object, data: bytes) -> None:
    assert isinstance(caller, Http2Caller)
    caller.client.socket.sendall(data)


def last_data(body: bytes) -> Step:
    """Send a frame that ends the stream, whatever was said of its length."""

    def send(stage: Stage) -> None:
        assert isinstance(stage.caller, Http2Caller)
        raw(stage.caller, frames.frame(frames.DATA, frames.END_STREAM, stage.caller.sending, body))

    return send


def hung_up(stage: Stage) -> None:
    """Read to the end of the connection."""
    assert isinstance(stage.caller, Http2Caller)
    stage.caller.client.hear_out()


def expires(stage: Stage) -> None:
    """Let the deadline of the only call, which is its own and 5 s, have passed."""

    def expire() -> None:
        [connection] = stage.plane.engine.connections
        [relay] = connection._relays.values()  # type: ignore[attr-defined]
        assert relay.expires_ns - time.monotonic_ns() > 30_000_000_000
        relay.expires_ns = 1

    stage.plane.run(expire)


def is_no_whole_body(stage: Stage) -> None:
    """Find that less than the six bytes that were announced went upstream."""
    assert len(b"".join(stage.signals.bodies)) < 6


def unavailable(code: str, status: str, how: str = "rejected") -> tuple[Step, Step]:
    """Read how gRPC refuses, and compare the record."""
    fields = {"content-type": "application/grpc", "grpc-status": status}
    return hear(200, b"", error=code, fields=fields, trailers={}), recorded(
        200, how, code, is_own=True, response_head_has=f"grpc-status: {status}\r\n".encode()
    )


def explained(stage: Stage) -> None:
    """Find the reason in the words of gRPC."""
    assert isinstance(stage.caller, Http2Caller)
    message = stage.caller.stream.fields["grpc-message"]
    assert message.startswith("cannot connect to the upstream")


ROWS = [
    *(
        Row(
            f"{name} is refused with a response, and the connection lives",
            [
                begin(fields, is_end=name != "a long body"),
                hear(status, error=code),
                recorded(status, "rejected", code, is_http2=True),
                begin(IN),
                hear(body=b"ok"),
                recorded(200),
                arrived(b""),
            ],
            over=("h2-h1",),
            settings={"route": {"path": "/in"}, "max_body_bytes": 5},
        )
        for name, (fields, status, code) in REFUSED.items()
    ),
    Row(
        "a malformed head resets its stream, and is on record",
        [
            begin((*GET, ("connection", "close"))),
            hear(0, is_whole=False, reset=ErrorCode.PROTOCOL_ERROR),
            ask(),
            hear(),
            counted("http2_resets", {("server", "protocol_error"): 1}),
            recorded(None, *FAULT, has_reason=True, request_head_has=b"connection: close"),
            recorded(200),
        ],
        over=("h2-h1",),
    ),
    *(
        Row(
            f"a body that is {name} than it said never becomes a message",
            [
                begin((*POST, ("content-length", "6")), is_end=False),
                until_asked,
                last_data(sent),
                hear(0, is_whole=False, reset=ErrorCode.PROTOCOL_ERROR),
                until_gone,
                is_no_whole_body,
                recorded(None, *FAULT, has_reason=True, is_request_whole=False),
            ],
            [heard, gone],
            ("h2-h1", "h2-h2"),
        )
        for name, sent in (("shorter", b"abc"), ("longer", b"abcdefghi"))
    ),
    Row(
        "a header block has the time of a head",
        [
            ask(),
            hear(),
            recorded(200),
            lambda stage: raw(stage.caller, frames.frame(frames.HEADERS, 0, 3, b"\x82")),
            hung_up,
            recorded(
                None, *FAULT, message=b"timed out within a header block (0.3 s, timeout_headers_s)"
            ),
        ],
        over=("h2-h1",),
        settings={"timeout_headers_s": 0.3},
    ),
    # gRPC.
    Row(
        "a call that no upstream takes is unavailable",
        [*CALLING, *unavailable("upstream_refused", "14", "upstream_error"), explained],
        NOBODY,
        ("grpc",),
    ),
    *(
        Row(
            f"a call with {name} is refused",
            [begin((*CALL, *fields)), *unavailable(code, status)],
            over=("grpc",),
            settings={"max_header_bytes": 1500},
        )
        for name, fields, status, code in (
            ("another Host", (("host", "other"),), "13", "bad_request"),
            (
                "many fields",
                tuple((f"x-{number}", "y") for number in range(40)),
                "2",
                "header_too_large",
            ),
        )
    ),
    Row(
        "a call without a route is one of a method that is not there",
        [*CALLING, *unavailable("no_route", "12")],
        over=("grpc",),
        settings={"route": {"path": "/other"}},
    ),
    Row(
        "a call needs an upstream of HTTP/2",
        [*CALLING, *unavailable("grpc_needs_http2", "14", "upstream_error")],
        [spoken_to, OLD],
        ("h2-h1",),
    ),
    Row(
        "nothing of a call reaches an upstream that is one of HTTP/1.1",
        [
            *CALLING,
            *unavailable("grpc_needs_http2", "14", "upstream_error"),
            ask(path="/next"),
            hear(),
            recorded(200),
            forwarded(b"GET /next "),
        ],
        over=("h2-h1",),
        settings={"route": {"upstream_protocol": "http1"}},
    ),
    Row(
        "an upstream of a route of HTTP/2 has to speak it",
        [
            ask(),
            hear(502, error="upstream_bad_response"),
            recorded(
                502, "upstream_error", "upstream_bad_response", message=b"does not speak HTTP/2"
            ),
        ],
        [spoken_to, OLD],
        ("h2-h1",),
        settings={"route": {"upstream_protocol": "http2"}},
    ),
    Row(
        "an upstream of HTTP/2 that says nothing has the time of connecting",
        [
            ask(),
            hear(504, error="upstream_timeout"),
            recorded(504, "upstream_timeout", "upstream_timeout"),
        ],
        [gone],
        ("h2-h1",),
        settings={"route": {"upstream_protocol": "http2"}, "timeout_connect_s": 0.2},
    ),
    Row(
        "a call may be silent on either side",
        [
            begin(CALL, is_end=False),
            MESSAGE,
            until_asked,
            pause(0.7),
            end(),
            hear(body=MESSAGE, trailers={"grpc-status": "0"}),
            recorded(200),
        ],
        [
            taken,
            answers(body=MESSAGE, fields=GRPC[1:], is_end=False),
            pauses(0.5),
            ends(("grpc-status", "0")),
        ],
        ("grpc",),
        settings={
            f"timeout_{name}_s": 0.1 for name in ("first_byte", "body_idle", "upstream_idle")
        },
    ),
    Row(
        "a response of trailers alone stays one",
        [
            *(*CALLING, hear(body=b"", fields={"grpc-status": "5"}, trailers={})),
            recorded(200, response_head_has=b"grpc-status: 5\r\n"),
        ],
        [taken, answers(body=b"", fields=(*GRPC[1:], ("grpc-status", "5")))],
        ("grpc",),
    ),
    *(
        Row(
            f"a call that nobody waits for any more is ended {name}",
            [
                begin((*CALL, ("grpc-timeout", "30S")), is_end=False),
                MESSAGE,
                end(),
                until_asked,
                *seeing,
                expires,
                heard_of_it,
                until_gone,
                recorded(200, how, "upstream_timeout", message=b"grpc-timeout"),
            ],
            [taken, *answered, gone],
            ("grpc",),
        )
        for name, seeing, answered, heard_of_it, how in (
            (
                "before its answer",
                [],
                [],
                hear(error="upstream_timeout", fields={"grpc-status": "4"}),
                "upstream_timeout",
            ),
            (
                "within its answer",
                [see(MESSAGE)],
                [answers(body=MESSAGE, fields=GRPC[1:], is_end=False)],
                hear(is_whole=False, reset=ErrorCode.INTERNAL_ERROR),
                "truncated",
            ),
        )
    ),
]


test_http2_requests = played(ROWS)
