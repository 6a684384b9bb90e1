"""Messages of gRPC streams as events of the ring: which calls have them, in which order, and what
the limits drop.
"""

import struct
from collections.abc import Sequence
from typing import Any

import pytest

from proxy.ring.exchange import NOTE_GRPC_MESSAGES, CapturedExchange
from proxy.ring.http2_notes import read_messages_note
from proxy.ring.message import IN, KIND_GRPC, OUT, CapturedMessage
from proxy.settings.model import CaptureSettings
from tests.proxy.conftest import Start
from tests.proxy.worker.records import dropped, entries
from tests.proxy.worker.upstream.http2_calls import CALL, GRPC, STATUS, speaking
from tests.support.http2_upstream import Connection, Http2Upstream, Request
from tests.support.plane import Plane, eventually

TRACED = (*CALL, ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))


def framed(*messages: bytes, flags: int = 0) -> bytes:
    return b"".join(struct.pack(">BI", flags, len(message)) + message for message in messages)


def answering(*pieces: bytes) -> Http2Upstream:
    """Answer with these pieces of a body once the request is complete, as windows allow."""
    left = list(pieces)

    def answer(connection: Connection, request: Request) -> None:
        if request.is_ended:
            connection.respond(request, fields=GRPC, is_end=False)
            go_on(connection, request)

    def go_on(connection: Connection, request: Request) -> None:
        if not request.is_answered or request.is_done:
            return
        while left and connection.h2.local_flow_control_window(request.id) >= len(left[0]):
            connection.h2.send_data(request.id, left.pop(0))
            connection.flush()
        if not left:
            request.is_done = True
            connection.h2.send_headers(request.id, list(STATUS), end_stream=True)
            connection.flush()

    return Http2Upstream(answer, on_window=go_on)


def call(plane: Plane, *asked: bytes) -> tuple[CapturedExchange, list[CapturedMessage]]:
    """Make a call that sends these messages; return what is recorded of it."""
    with speaking(plane) as client:
        assert client.ask(TRACED, framed(*asked)).is_ended
    ([exchange], messages) = entries(plane, 1)
    return exchange, messages


def said(messages: Sequence[CapturedMessage]) -> list[tuple[int, int, bytes]]:
    return [(each.direction, each.size, each.data) for each in messages]


@pytest.mark.parametrize("answer", [b"", framed(b"abc")])
def test_a_unary_call_has_no_messages_of_their_own(start: Start, answer: bytes) -> None:
    """Its bodies have them."""
    exchange, messages = call(start(answering(answer)), b"ask")
    assert (messages, exchange.request_window) == ([], framed(b"ask"))


PIECES = [
    (framed(b"one", b"two", b""),),
    (framed(b"one"), framed(b"two"), framed(b"")),
    tuple(bytes((byte,)) for byte in framed(b"one", b"two", b"")),
    (framed(b"one")[:7], framed(b"one")[7:] + framed(b"two")[:3], framed(b"two")[3:] + framed(b"")),
]


@pytest.mark.parametrize("pieces", PIECES)
def test_each_message_of_a_stream_is_an_event(start: Start, pieces: tuple[bytes, ...]) -> None:
    """The first ones too, which came before it was known to be a stream; with what ties them to
    their call.
    """
    exchange, messages = call(start(answering(*pieces)), b"ask")
    assert said(messages) == [(IN, 3, b"ask"), (OUT, 3, b"one"), (OUT, 3, b"two"), (OUT, 0, b"")]
    assert {(each.kind, each.exchange_id, each.traceparent[:2]) for each in messages} == {
        (KIND_GRPC, exchange.id, b"00")
    }
    assert {each.session for each in messages} == {b"/s.Service/Do\napplication/grpc\n"}
    assert messages[0].at_ns == exchange.started_at_ns
    assert dropped(exchange) == 0
    counted = read_messages_note(exchange.notes[NOTE_GRPC_MESSAGES])
    assert counted is not None
    assert (
        counted.request_messages,
        counted.response_messages,
        counted.response_largest_bytes,
    ) == (1, 3, 3)


def test_a_stream_of_a_client_is_one(start: Start) -> None:
    """Its messages come first, its answer last."""
    _, messages = call(start(answering(framed(b"sum"))), b"1", b"22")
    assert said(messages) == [(IN, 1, b"1"), (IN, 2, b"22"), (OUT, 3, b"sum")]


@pytest.mark.parametrize("size", [4096, 4097, 65531, 65536, 65537, 200_000])
@pytest.mark.parametrize("cut", [0, 3])
def test_a_large_message_is_cut_and_leads_to_the_next(start: Start, size: int, cut: int) -> None:
    """Whether the window of the body holds it or not, and wherever the next one begins."""
    first = framed(b"x" * size)
    second = framed(b"next")
    begun = first + second[:cut]
    pieces = [begun[at : at + 16384] for at in range(0, len(begun), 16384)]
    exchange, messages = call(start(answering(*pieces, second[cut:], framed(b"last"))), b"ask")

    whole = [
        (IN, 3, b"ask"),
        (OUT, size, b"x" * min(size, 4096)),
        (OUT, 4, b"next"),
        (OUT, 4, b"last"),
    ]
    if said(messages) != whole:  # the beginning of the second came by itself, and is kept nowhere
        assert cut
        assert 5 + size + cut > 65536
        del whole[2 if 5 + size <= 65536 else 1 : 3]

    assert said(messages) == whole
    assert len(messages) + dropped(exchange) == 4


def _capture(**settings: Any) -> dict[str, Any]:
    return {"capture": CaptureSettings(**settings)}


@pytest.mark.parametrize(
    "settings",
    [
        _capture(message_bytes=0),
        _capture(level="headers"),
        _capture(request_body_bytes=0, response_body_bytes=0),
    ],
)
def test_a_stream_whose_bodies_are_not_kept_has_no_events(
    start: Start, settings: dict[str, Any]
) -> None:
    """Nor has one where messages are switched off."""
    exchange, messages = call(start(answering(framed(b"one", b"two")), **settings), b"ask")
    assert (messages, dropped(exchange)) == ([], 0)


def test_a_stream_records_so_many_messages_a_second(start: Start) -> None:
    """Others pass; they are counted on its record, by a metric, and the next one says that they are
    missing.
    """
    plane = start(answering(framed(*[b"x"] * 200)))
    exchange, messages = call(plane, b"ask")
    assert said(messages) == [(IN, 3, b"ask"), *[(OUT, 1, b"x")] * 99]
    assert dropped(exchange) == plane.counters().dropped_grpc_messages == 101
    assert plane.counters().dropped_messages == 0


def test_messages_above_their_share_of_the_ring_are_dropped(start: Start) -> None:
    """And counted in the same way."""
    pieces = [framed(*[b"x" * 4000] * 4)] * 20
    plane = start(answering(*pieces), ring_bytes=1 << 20, capture=CaptureSettings(max_wait_ms=0))
    exchange, messages = call(plane, b"ask")
    assert 10 < len(messages) < 40
    assert len(messages) + dropped(exchange) == 81
    assert plane.counters().dropped_grpc_messages == dropped(exchange)


def test_what_is_no_message_is_not_recorded(start: Start) -> None:
    """Its prefix has a flag that does not exist."""
    exchange, messages = call(start(answering(framed(b"one", flags=2), framed(b"two"))), b"ask")
    assert said(messages) == [(IN, 3, b"ask"), (OUT, 3, b"two")]
    assert dropped(exchange) == 1


@pytest.mark.parametrize(("asked", "answer"), [(b"", b"first"), (b"first", b"")])
def test_a_call_that_goes_on_shows_its_first_message(
    start: Start, asked: bytes, answer: bytes
) -> None:
    """Once it is shown as in flight: a service that sends its state and then waits, a client that
    waits for more.
    """

    def begin(connection: Connection, request: Request) -> None:
        if answer and not request.is_answered:
            connection.respond(request, framed(answer), GRPC, is_end=False)

    plane = start(Http2Upstream(begin))
    with speaking(plane) as client:
        client.begin(TRACED, framed(asked) if asked else None, is_end=not asked)
        eventually(lambda: plane.reader.pushed == 1)
        _, [message] = entries(plane, 0)
        assert said([message]) == [(OUT if answer else IN, 5, b"first")]

    assert entries(plane, 1)[1] == []


def test_a_unary_call_that_takes_long_is_no_stream(start: Start) -> None:
    """Its request is complete, and nothing was answered."""
    plane = start(Http2Upstream(lambda connection, request: None))
    with speaking(plane) as client:
        client.begin(TRACED, framed(b"ask"))
        eventually(plane.in_flight)
        [connection] = plane.run(lambda: list(plane.engine.connections))
        plane.run(lambda: connection.check(0))

    assert entries(plane, 1)[1] == []
