"""Answers that are there before the request is: the client gets them, and the record what the client was sending.

Most clients send head and body in two writes, so a failure may be known before the second is here (P16, P24).
"""

import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Final

import pytest

from proxy.settings.model import CaptureSettings
from proxy.worker.downstream import Downstream
from storage.record import Outcome
from tests.fuzz.world import World
from tests.proxy.conftest import Start
from tests.proxy.worker.clients import Http1Caller
from tests.proxy.worker.records import outcome
from tests.proxy.worker.rows import (
    WIRE,
    Row,
    Stage,
    ask,
    cancelled,
    counted,
    ended,
    freed,
    goes,
    hear,
    leave,
    played,
    recorded,
    stops,
    unrecorded,
    until,
    until_gone,
    uploads,
)
from tests.proxy.worker.services import (
    NOBODY,
    answers,
    gone,
    heard,
    leaves,
    reads,
    repeats,
    takes_little,
    waits,
)
from tests.proxy.worker.upstream.http2_calls import open_streams
from tests.support.client import GET
from tests.support.long import LOOPS
from tests.support.plane import Loop, Plane
from tests.support.script import OK
from tests.support.upstream import read_head, scripted

CALL: Final = b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search"}}'
REFUSAL: Final = (
    b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlong"
)
CHUNKED: Final = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
FAILED: Final = (502, "upstream_reset", True, ("upstream_error", "upstream_reset"))
CUT: Final = (413, None, False, ("truncated", "upstream_reset"))
"""What a client hears, and the outcome and error on record."""
EXPECT: Final = (("Expect", "100-continue"),)
ALL_KEPT: Final = CaptureSettings()
NO_BODIES: Final = CaptureSettings(level="headers")
PATIENT: Final = {"proxy.worker.deadlines.LATE_BODY_NS": 60_000_000_000}
"""A body is waited for, however late a busy machine sends it."""
SMALL_CHUNK: Final = b"2\r\n\r\n\r\n"
"""No run of these is taken in one go."""


def dead(**expected: object) -> Callable[[Stage], object] | bytes:
    """Compare the record of a request to nobody."""
    return recorded(502, "upstream_error", "upstream_refused", **expected)


def is_not_waited_for(stage: Stage) -> None:
    """Find that no record waits for a body; the connection is still there to be looked at."""
    [connection] = stage.plane.downstreams
    assert not connection._relay.is_answered


def is_answered(connection: Downstream) -> bool:
    """Whether an answer is sent, and its record waits for the body of its request."""
    return connection._relay.is_answered


def has_no_error(stage: Stage) -> None:
    """Find that the connection was not reset."""
    assert isinstance(stage.caller, Http1Caller)
    assert stage.caller.client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


ROWS = [
    Row(
        "the body of a request to a dead upstream is recorded, and its client goes on",
        [
            ask("POST", length=len(CALL)),
            hear(502, error="upstream_refused", fields={"connection": None}),
            unrecorded,
            CALL,
            dead(request=CALL, is_request_whole=True),
        ]
        * 3,
        NOBODY,
        WIRE,
        "P24",
        patches=PATIENT,
    ),
    Row(
        "the end of a body without a length is its last chunk, and nothing behind it is read",
        [
            CHUNKED,
            hear(502, error="upstream_refused", fields={"connection": "close"}),
            b"4\r\nbody\r\n0\r\nX: y\r\n\r\n" + GET,
            dead(request=b"body", request_trailers=b"X: y\r\n"),
            ended,
        ],
        NOBODY,
        WIRE,
        "P24",
        patches=PATIENT,
    ),
    Row(
        "a long body is read as far as it is kept",
        [
            ask("POST", length=10_000_000),
            hear(502, error="upstream_refused", fields={"connection": "close"}),
            bytes(3000),
            dead(request=bytes(1000), is_request_whole=False),
        ],
        NOBODY,
        WIRE,
        "P24",
        {"capture": CaptureSettings(request_body_bytes=1000)},
        PATIENT,
    ),
    Row(
        "a body that does not come is waited for a second",
        [
            ask("POST", body=b"part", length=100),
            hear(502, error="upstream_refused"),
            dead(request=b"part", is_request_whole=False, is_ended_within_1_s=True),
            ended,
        ],
        NOBODY,
        WIRE,
        "P24",
    ),
    Row(
        "a stop waits for no body longer than its own time",
        [ask("POST", body=b"part", length=100), until(is_answered), stops, dead(request=b"part")],
        NOBODY,
        ("h1",),
        patches=PATIENT,
    ),
    *(
        Row(
            f"a body that {name} is not waited for",
            [
                ask("POST", length=200_000, fields=fields),
                hear(502, error="upstream_refused"),
                is_not_waited_for,
                dead(),
            ],
            NOBODY,
            ("h1",),
            settings={"capture": capture},
            patches={"proxy.worker.deadlines.LINGER_NS": 60_000_000_000},
        )
        for name, fields, capture in (
            ("nobody asked for", EXPECT, ALL_KEPT),
            ("nobody keeps", (), NO_BODIES),
        )
    ),
    *(
        Row(
            f"an early answer says what becomes of {size} bytes, whatever is kept, at level {capture.level}",
            [
                ask("POST", length=size),
                hear(200, fields={"connection": connection}),
                *([bytes(size), ask(), hear(200), recorded(200)] if connection is None else []),
                leave(),
                recorded(200),
            ],
            [heard, answers(), gone],
            ("h1",),
            settings={"capture": capture},
            patches=PATIENT,
        )
        for capture in (ALL_KEPT, NO_BODIES)
        for size, connection in ((60_000, None), (200_000, "close"))
    ),
    *(
        Row(
            f"the body behind an early answer that is {name} is recorded",
            [ask("POST", length=len(CALL)), hear(401, body), CALL, recorded(401, request=CALL)],
            [heard, b"HTTP/1.1 401 No\r\n" + raw, reads(len(CALL)), gone],
            WIRE,
            "P24",
            patches=PATIENT,
        )
        for name, raw, body in (
            ("in one write", b"Content-Length: 2\r\n\r\nno", b"no"),
            ("in chunks", b"Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", b"no"),
            ("empty", b"Content-Length: 0\r\n\r\n", b""),
        )
    ),
    Row(
        "the connection goes on behind a body that came",
        [ask("POST", length=4), hear(200), b"body", recorded(200, request=b"body")] * 2,
        [repeats(answers(), reads(4))],
        WIRE,
        patches=PATIENT,
    ),
    Row(
        "an early answer reaches a client that still uploads, and both connections end",
        [
            ask("POST", body=bytes(100_000), length=50_000_000),
            hear(413, b"big", fields={"connection": "close"}),
            ended,
            recorded(413, is_request_whole=False),
            counted("connections_upstream", 0),
        ],
        [heard, answers(413, b"big")],
        ("h1",),
        "P16",
    ),
    Row(
        "an early answer ends an upload over HTTP/2 on both sides",
        [
            ask("POST", body=bytes(16_384), length=90_000_000),
            hear(413, b"big"),
            cancelled,
            until_gone,
            recorded(413, is_request_whole=False),
            freed(open_streams),
        ],
        [heard, answers(413, b"big"), gone],
        ("h2-h1", "h2-h2"),
        "P16",
    ),
    Row(
        "nothing of a request that was answered early is read as another one",
        [
            ask("POST", length=1000),
            GET,
            hear(413, b"big", fields={"connection": None}),
            ended,
            recorded(413, is_request_whole=False),
        ],
        [heard, answers(413, b"big"), gone],
        WIRE,
        "P16",
    ),
    *(
        Row(
            f"an upstream that says {said!r} and resets an upload has not answered it",
            [
                *(ask("POST", length=5_000_000), uploads(5_000_000)),
                *(hear(status, error=code, is_whole=is_whole), recorded(status, *how)),
            ],
            [heard, said],
            ("h1",),
            "P16",
        )
        for said, (status, code, is_whole, how) in (
            (b"", FAILED),
            (b"HTTP/1.1 413 Content", FAILED),
            (REFUSAL[:-2], CUT),
        )
    ),
    *(
        Row(
            f"an upstream that says {said!r}, ends its side and reads no more is done",
            [
                *(ask("POST", length=50_000_000), uploads(50_000_000)),
                *(until(lambda each: each._relay.is_upload_paused), goes),
                *(hear(status, error=code, is_whole=is_whole), recorded(status, *how), goes),
            ],
            [takes_little, heard, waits, said, leaves("end"), waits],
            ("h1",),
            "P16",
        )
        for said, (status, code, is_whole, how) in (
            (b"", FAILED),
            (REFUSAL[:-2], CUT),
            (b"HTTP/1.1 413 Content Too Large\r\n\r\nlong", (413, None, True, ())),
        )
    ),
    *(
        Row(
            f"what follows a refused upload of {chunks} chunks is drained",
            [
                CHUNKED + SMALL_CHUNK * chunks,
                recorded(413, "rejected", "body_too_large"),
                SMALL_CHUNK * 1000,
                counted("connections_downstream", 0),
                has_no_error,
                hear(413, error="body_too_large"),
            ],
            [heard, gone],
            ("h1",),
            "P16",
            {"max_body_bytes": 10},
            {"proxy.worker.deadlines.LINGER_NS": 5_000_000_000},
        )
        for chunks in (10, 1000)
    ),
]


test_early_answers = played(ROWS)


def post(size: int) -> bytes:
    """The head of an upload."""
    return b"POST /call HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size


def upload(plane: Plane, size: int) -> tuple[int, bytes]:
    """Send an upload as most clients do: all of it, and the answer is read when that ends, well or
    not.
    """
    with plane.connect() as client:
        with contextlib.suppress(OSError):
            client.send(post(size))
            client.send(bytes(size))
        answer = client.answer("POST")
        return answer.status, answer.body


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("size", "host", "times"),
    [
        (200_000, "", 25),
        (5_000_000, "", 25),
        (5_000_000, "127.0.0.1", 15),
        (5_000_000, "localhost", 15),
    ],
)
def test_an_answer_before_a_reset_is_relayed(
    start: Start, certificate: tuple[str, str], size: int, host: str, times: int, loop: Loop
) -> None:
    """What the upstream sent is read before the failure to send to it counts; of one over TLS the
    loop has only ciphertext.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def refuse(connection: socket.socket, number: int) -> None:
        # Or it resets before it sends.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not host:
            read_head(connection)
            connection.sendall(REFUSAL)
            return
        with context.wrap_socket(connection.dup(), server_side=True) as secure:
            read_head(secure)
            secure.sendall(REFUSAL)

    with scripted(refuse) as url:
        if host:
            url = url.replace("http://127.0.0.1", f"https://{host}")
        plane = start(url, loop=loop, route={"upstream_ca_file": certificate[0]} if host else {})
        found = [upload(plane, size) for _ in range(times)]
        assert found == [(413, b"long")] * times
        assert {(exchange.status, outcome(exchange)) for exchange in plane.exchanges(times)} == {
            (413, Outcome.OK)
        }


def test_a_malformed_body_behind_an_answer_is_not_answered_again() -> None:
    """The record has the response that the client got."""
    world = World()
    client = world.client()
    client.deliver(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    world.pump()
    (upstream,) = world.upstreams
    upstream.deliver(OK)
    client.deliver(b"zz\r\n")
    world.pump()
    (record,) = world.records()
    assert (record.status, record.response_head, record.request_window) == (200, OK[:-2], b"abc")
    assert bytes(client.written).count(b"HTTP/1.1") == 1
