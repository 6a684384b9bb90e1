"""Floods end with a GOAWAY that says why, in bounded work and memory; busy clients are never taken
for one.
"""

import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from proxy.http2 import frames
from proxy.http2.budget import MAX_BALANCE, Budget
from proxy.http2.connection import Connection
from proxy.http2.errors import ErrorCode
from proxy.http2.events import ConnectionEnded, DataReceived, Event, RequestReceived, StreamReset
from proxy.http2.frames import (
    DATA,
    END_HEADERS,
    HEADERS,
    PING,
    frame,
    rst_stream,
    settings,
    window_update,
)
from tests.proxy.http2.wire import (
    GET,
    NOW_NS,
    POST,
    block,
    client,
    data,
    head,
    request,
    sent,
    server,
)
from tests.support.cases import each_of

STEP_NS = 1_000_000
"""Between two reads of a connection."""
MANY = 1 << 17
"""More frames than any flood may get through."""


def numbered(make: Callable[[int], bytes]) -> Iterator[bytes]:
    return (make(1 + 2 * at) for at in range(MANY))


def begun(*behind: bytes) -> Callable[[], Iterator[bytes]]:
    """Return a flood on a stream that was begun."""
    return lambda: (
        part
        for parts in ([head(1, POST, END_HEADERS)], behind * (MANY // len(behind)))
        for part in parts
    )


def repeated(raw: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter([raw] * MANY)


_LONG = b"\x40\1x\x7f\x81\x1e" + bytes(b"y" * 3968)
"""An entry of 4,001 bytes for the table."""
_BOMB = frame(HEADERS, END_HEADERS | frames.END_STREAM, 1, block(GET) + _LONG + b"\xbe" * 8000)
_REFERENCES = block([*GET, *((b"accept-encoding", b"gzip, deflate") for _ in range(700))])

FLOODS: dict[str, tuple[str, Callable[[], Iterator[bytes]]]] = {
    "PING (CVE-2019-9512)": ("too many PING frames", repeated(frame(PING, 0, 0, bytes(8)))),
    "SETTINGS (CVE-2019-9515)": ("too many SETTINGS frames", repeated(settings([(99, 1)] * 32))),
    "long SETTINGS": ("SETTINGS of more than 32 entries", repeated(settings([(99, 1)] * 2000))),
    "rapid reset (CVE-2023-44487)": (
        "too many RST_STREAM frames",
        lambda: numbered(lambda at: head(at) + rst_stream(at, 8)),
    ),
    "MadeYouReset (CVE-2025-8671)": (
        "too many frames that reset their streams",
        lambda: numbered(lambda at: head(at, POST, END_HEADERS) + window_update(at, 0)),
    ),
    "malformed heads (CVE-2019-9514)": (
        "too many refused streams",
        lambda: numbered(lambda at: head(at, GET[1:])),
    ),
    "empty DATA (CVE-2019-9518)": ("too many empty DATA frames", begun(data(1, b""))),
    "PRIORITY (CVE-2019-9513)": (
        "too many PRIORITY frames",
        repeated(frame(frames.PRIORITY, 0, 1, bytes(5))),
    ),
    "windows": ("too many WINDOW_UPDATE frames", begun(window_update(1, 1), window_update(0, 1))),
    "resets of one stream": ("too many RST_STREAM frames", begun(rst_stream(1, 8))),
    "GOAWAY": ("too many GOAWAY frames", repeated(frames.goaway(0, 0))),
    "unknown frames": ("too many frames of unknown types", repeated(frame(0x42, 0, 0, b""))),
    "stray DATA": (
        "too many DATA frames on closed streams",
        lambda: iter([head(1), data(1, b"x"), *([data(1, b"x")] * MANY)]),
    ),
    "stray HEADERS": (
        "too many HEADERS frames on closed streams",
        lambda: iter([head(1), data(1, b"x"), *([head(1)] * MANY)]),
    ),
    "long heads": (
        "too many heads over the limit",
        lambda: numbered(
            lambda at: frame(HEADERS, END_HEADERS | frames.END_STREAM, at, _REFERENCES)
        ),
    ),
    "HPACK bomb": ("a header list far over the limit", lambda: iter([_BOMB])),
    "CONTINUATION (CVE-2024-27316)": (
        "a header block over the limit",
        lambda: iter(
            [frame(HEADERS, 0, 1, block(GET)), *([frame(frames.CONTINUATION, 0, 1, b"")] * MANY)]
        ),
    ),
}
"""The reason of each, and what is sent."""


def flood(
    connection: Connection, parts: Iterator[bytes], *, release: bool = True
) -> tuple[int, list[Event]]:
    """Send a flood in reads of some KiB, and take what comes; return how many parts went in."""
    events: list[Event] = []
    count = 0
    now_ns = NOW_NS

    for part in parts:
        count += 1
        now_ns += STEP_NS // 100
        for event in connection.receive(part, now_ns):
            if isinstance(event, StreamReset) and release:
                connection.release(event.stream_id)
            if isinstance(event, RequestReceived) and event.head.refusal:
                connection.send_response(event.stream_id, 431, b"", is_end=True)
            if not isinstance(event, DataReceived):
                events.append(event)

        connection.output.take()
        if connection.is_ended:
            break

    return count, events


@each_of("kind", FLOODS)
def test_a_flood_ends_with_a_reason(kind: str) -> None:
    """After some thousand frames at most, and the places of streams that were reset are given back
    at once.
    """
    connection = server()
    reason, parts = FLOODS[kind]
    count, events = flood(connection, parts())
    ended = events[-1]
    assert isinstance(ended, ConnectionEnded)
    assert (ended.code, ended.reason) == (ErrorCode.ENHANCE_YOUR_CALM, reason)
    assert count <= 2 * MAX_BALANCE


@each_of("kind", FLOODS)
def test_a_flood_takes_no_memory(kind: str) -> None:
    """A connection keeps less than half a MiB of it, whatever it is; sidelog's consumer gives
    places back.
    """
    connection = server()
    parts = list(zip(range(3000), FLOODS[kind][1](), strict=False))
    tracemalloc.start()

    try:
        flood(connection, (part for _, part in parts))
        assert tracemalloc.get_traced_memory()[0] < 1 << 19
    finally:
        tracemalloc.stop()


def test_who_resets_streams_faster_than_they_are_cancelled_gets_no_more_places() -> None:
    """A hundred requests reach an upstream, however many were sent (F10)."""
    connection = server()
    _, events = flood(connection, FLOODS["rapid reset (CVE-2023-44487)"][1](), release=False)
    assert sum(isinstance(event, RequestReceived) for event in events) == 100


@pytest.mark.parametrize("kind", [PING, frames.SETTINGS, 0x42])
def test_an_upstream_that_floods_is_cut_off(kind: int) -> None:
    """The same budget at a client's end."""
    connection = client()
    _, events = flood(connection, repeated(frame(kind, 0, 0, bytes(8) if kind == PING else b""))())
    assert isinstance(events[-1], ConnectionEnded)
    assert events[-1].code == ErrorCode.ENHANCE_YOUR_CALM


def test_a_body_cannot_be_had_in_crumbs() -> None:
    """A client that widens its window byte by byte gets a frame in ten milliseconds, not one for
    each (2019-9511).
    """
    connection = server(frames.PREFACE + settings([(4, 0)]))
    connection.receive(head(1), NOW_NS)
    connection.send_response(1, 200, b"")
    connection.send_data(1, bytes(100000), NOW_NS)
    sent(connection)
    crumbs = 0
    now_ns = NOW_NS

    for _ in range(1000):
        now_ns += 50_000
        connection.receive(window_update(1, 1), now_ns)
        connection.check(now_ns)
        crumbs += sum(kind == DATA for kind, _, _, _ in sent(connection))

    assert 1 <= crumbs <= 5


# Busy, not hostile.


def messages(connection: Connection, count: int, size: int, each: bytes) -> None:
    """Let a stream send so many messages, and its client answer each with some frames."""
    connection.receive(head(1, POST, END_HEADERS), NOW_NS)
    connection.send_response(1, 200, b"")
    for at in range(count):
        now_ns = NOW_NS + at * 50_000
        assert connection.send_data(1, bytes(size), now_ns)
        connection.receive(each, now_ns)
        connection.output.take()
        assert not connection.is_ended


PINGED = frame(PING, 0, 0, bytes(8))


def grpc_stream(connection: Connection) -> None:
    """Small messages, for each of which gRPC's core sends two updates, a PING and an answer to
    none.
    """
    updates = window_update(1, 5) + window_update(0, 5)
    messages(connection, 20000, 5, updates + PINGED + frame(PING, 1, 0, bytes(8)))


def careful_download(connection: Connection) -> None:
    """A client that grants each KiB that it has read."""
    messages(connection, 2000, 16384, (window_update(1, 1024) + window_update(0, 1024)) * 16)


def uploads(connection: Connection) -> None:
    """Messages of some bytes, each followed by a PING that measures the line."""
    connection.receive(head(1, POST, END_HEADERS), NOW_NS)
    for at in range(20000):
        connection.receive(data(1, b"12345") + PINGED, NOW_NS + at * 50_000)
        connection.credit(1, 5)
        connection.output.take()


def many_requests(connection: Connection) -> None:
    """Requests of a client that sends PRIORITY and an update for each."""
    for stream in range(1, 40001, 2):
        connection.receive(
            frame(frames.PRIORITY, 0, stream, bytes(5)) + head(stream) + window_update(0, 1), NOW_NS
        )
        connection.send_response(stream, 304, b"", is_end=True)
        connection.output.take()


def cancelled_calls(connection: Connection) -> None:
    """Ninety calls a second that their deadlines end, for five minutes, while nothing is ever
    answered.
    """
    for at in range(27000):
        stream = 1 + 2 * at
        connection.receive(head(stream) + rst_stream(stream, 8), NOW_NS + at * 10**9 // 90)
        connection.release(stream)
        connection.output.take()


def left_page(connection: Connection) -> None:
    """A browser that leaves a page with all its requests, again and again."""
    for visit in range(20):
        now_ns = NOW_NS + visit * 10**9
        for at in range(100):
            connection.receive(head(1 + 2 * (100 * visit + at)), now_ns)
        for at in range(100):
            stream = 1 + 2 * (100 * visit + at)
            connection.receive(rst_stream(stream, 8), now_ns)
            connection.release(stream)

        connection.output.take()


def idle_pings(connection: Connection) -> None:
    """A connection that is kept open by a PING a second, for hours."""
    for at in range(20000):
        connection.receive(PINGED, NOW_NS + at * 10**9)
        connection.output.take()


def eager_start(connection: Connection) -> None:
    """A thousand streams at once, of a client that has not read our settings; each is asked for
    anew later.
    """
    for at in range(1000):
        connection.receive(head(1 + 2 * at), NOW_NS)
        connection.output.take()


def empty_ends(connection: Connection) -> None:
    """Requests whose bodies end with an empty frame."""
    for stream in range(1, 20001, 2):
        connection.receive(
            head(stream, POST, END_HEADERS) + data(stream, b"") + data(stream, b"", is_end=True),
            NOW_NS,
        )
        connection.send_response(stream, 200, b"", is_end=True)
        connection.output.take()


@each_of(
    "busy",
    [
        *(
            grpc_stream,
            careful_download,
            uploads,
            many_requests,
            cancelled_calls,
            left_page,
            idle_pings,
            eager_start,
        ),
        empty_ends,
    ],
)
def test_a_busy_client_is_not_a_flood(busy: Callable[[Connection], None]) -> None:
    """Its frames go with what it gets done, or come slowly."""
    connection = server(
        frames.PREFACE + settings([(4, 0x7FFF0000)]) + window_update(0, 0x7FFF0000 - 65535)
    )
    busy(connection)
    assert not connection.is_ended


def test_an_upstream_that_informs_often_is_served() -> None:
    """Each answer that is completed pays for its informational ones."""
    connection = client()
    for _ in range(2000):
        stream = connection.send_request(request(), b"a", is_end=True)
        connection.receive(head(stream, [(b":status", b"103")], 4) * 5, NOW_NS)
        connection.receive(head(stream, [(b":status", b"200")]), NOW_NS)
        connection.output.take()

    assert not connection.is_ended


def test_a_budget_is_refilled_to_its_limit() -> None:
    """By time, exchanges and bytes; nothing is saved above it."""
    budget = Budget(0)
    assert budget.spend(MAX_BALANCE)
    assert not budget.spend(1)
    budget.pass_time(10**9)
    assert budget.spend(199)
    assert not budget.spend(1)
    budget.refill_for_data(0)
    assert not budget.spend(0 + 1)
    budget.refill_for_data(512)
    assert budget.spend(3)

    for _ in range(1000):
        budget.refill_for_exchange()
        budget.refill_for_data(1 << 20)
        budget.pass_time(10**15)

    assert budget.spend(MAX_BALANCE)
    assert not budget.spend(1)
