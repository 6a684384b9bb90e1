"""Streams of HTTP/2 that wait, stall, are reset, flood or are cut off, beside neighbours that are
served.
"""

import socket
import threading
from collections.abc import Callable

import pytest
from h2.settings import SettingCodes

from proxy.http2.errors import ErrorCode
from proxy.process.tls import is_fit_for_http2
from proxy.ring.exchange import NOTE_MESSAGE
from proxy.worker.http2_downstream import Http2Downstream
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.http2.wire import HELLO, head
from tests.proxy.worker.records import error, outcome
from tests.proxy.worker.rows import (
    Row,
    ask,
    freed,
    goes,
    hear,
    leave,
    played,
    recorded,
    see,
    until_asked,
)
from tests.proxy.worker.services import answers, by_connection, gone, heard, serves, waits
from tests.proxy.worker.upstream.http2_calls import (
    allow_streams,
    connections,
    speaking,
    with_path,
)
from tests.support.http2_client import GET, POST, Http2Client
from tests.support.plane import PATIENCE_S, Plane, eventually
from tests.support.script import OK, Script
from tests.support.upstream import read_head


def holding(
    is_asked: threading.Event, may_end: threading.Event
) -> Callable[[socket.socket, int], None]:
    """Return an upstream that answers when it may, or not at all where its client leaves first."""

    def upstream(connection: socket.socket, number: int) -> None:
        while read_head(connection):
            is_asked.set()
            may_end.wait(PATIENCE_S)
            connection.sendall(OK)

    return upstream


def held_streams(plane: Plane) -> int:
    """Count the streams of clients that the codec or the connection still has."""
    return sum(len(each._codec.streams.open) + len(each._waiting) for each in connections(plane))


ROWS = [
    Row(
        "a hundred run side by side",
        [
            *(*[ask()] * 100, *[until_asked] * 100, *[goes] * 100),
            *(*[hear(body=b"ok")] * 100, *[recorded(200)] * 100),
        ],
        [heard, waits, answers()],
        ("h2-h1",),
        settings={"upstream_max_connections": 200},
    ),
    Row(
        "the beginning of a connection may come byte by byte",
        [*(bytes((octet,)) for octet in HELLO), see(b"\4\0\0\0\0\0")],
        over=("h1",),
    ),
    Row(
        "a stream of which nothing is taken is reset, and its connection lives",
        [
            *(ask(), recorded(200, "client_closed", "client_stalled")),
            *(hear(is_whole=False, reset=ErrorCode.CANCEL), ask(), see(b"ok"), recorded(200)),
        ],
        by_connection((heard, answers(body=bytes(900_000)), gone), (serves(answers()),)),
        ("h2-h1",),
        "P17",
        {"timeout_write_stall_s": 1.5},
        is_slow=True,
    ),
    *(
        Row(
            f"a reset while nothing is taken of {size} bytes frees the place",
            [
                *(ask(), see(bytes(65_535)), leave("reset"), recorded(200, "client_closed")),
                freed(held_streams),
            ],
            [heard, answers(body=bytes(size)), gone],
            ("h2-h1",),
            is_slow=True,
        )
        for size in (70_000, 900_000)
    ),
]


test_http2_ends = played(ROWS)


def test_a_stream_that_is_not_taken_holds_up_itself_alone(start: Start) -> None:
    """Its upstream is read no further, others are served, and it ends when it is taken (F13)."""
    sent = 0

    def upstream(connection: socket.socket, number: int) -> None:
        nonlocal sent
        head = read_head(connection)
        if b"GET /large " not in head:
            connection.sendall(OK)
            return

        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 12000000\r\n\r\n")
        for _ in range(120):
            connection.sendall(bytes(100_000))
            sent += 100_000

    plane = start(upstream)
    with speaking(plane, takes_all=False) as client:
        client.h2.increment_flow_control_window(1 << 24)
        large = client.begin(with_path("/large"))
        while len(client.streams[large].body) < 65535:
            assert client.read()
        for _ in range(3):
            assert client.ask().body == b"ok"
        [connection] = connections(plane)
        state = plane.run(lambda: connection._codec.streams.open[large])
        assert state.queued_bytes <= 1 << 19
        assert sent < 12_000_000
        client.h2.increment_flow_control_window((1 << 31) - 1 - 65535, large)
        client.h2.increment_flow_control_window(1 << 29)
        client.flush()
        assert len(client.answer(large).body) == 12_000_000

    assert {outcome(exchange) for exchange in plane.exchanges(4)} == {Outcome.OK}


def test_a_client_that_takes_nothing_holds_up_streams_that_had_no_upstream_yet(
    start: Start,
) -> None:
    """Windows of any size grant no more memory than one of HTTP/1.1 has (F13)."""
    has_sent_all: list[bool] = []

    def upstream(connection: socket.socket, number: int) -> None:
        if b"GET /large " not in read_head(connection):
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
            )
            return

        connection.settimeout(2)
        try:
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: 12000000\r\n\r\n" + bytes(12_000_000)
            )
        except TimeoutError:
            has_sent_all.append(False)
        else:
            has_sent_all.append(True)

    plane = start(upstream)
    with speaking(plane) as client:
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: (1 << 31) - 1})
        client.h2.increment_flow_control_window(1 << 30)
        assert client.ask().body == b"ok"
        client.h2.send_headers(3, list(with_path("/large")), end_stream=True)
        large = client.h2.data_to_send()
        [connection] = connections(plane)

        def stall() -> None:
            connection.data_received(large)
            connection._transport.write(bytes(20_000_000))  # as another stream would

        plane.run(stall)
        eventually(lambda: len(has_sent_all) == 1)

    assert has_sent_all == [False]


def test_a_body_waits_for_its_upstream(start: Start) -> None:
    """No more than its window is here while that takes nothing, and all arrives once it does."""
    may_read = threading.Event()
    received = 0

    def upstream(connection: socket.socket, number: int) -> None:
        nonlocal received
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        read_head(connection)
        may_read.wait(PATIENCE_S)
        while received < 9_000_000:
            received += len(connection.recv(1 << 20))
        connection.sendall(OK)

    plane = start(upstream)
    with speaking(plane) as client:
        stream_id = client.begin((*POST, ("content-length", "9000000")), is_end=False)
        left = 9_000_000
        while left:
            room = min(left, client.h2.local_flow_control_window(stream_id), 16384)
            if room:
                left -= room
                client.h2.send_data(stream_id, bytes(room), end_stream=not left)
                client.flush()
                continue

            client.socket.settimeout(PATIENCE_S if may_read.is_set() else 0.5)
            try:
                assert client.read()
            except TimeoutError:
                may_read.set()

        assert may_read.is_set()
        assert client.answer(stream_id).body == b"ok"

    assert plane.exchange().request_bytes == 9_000_000


def test_streams_count_as_connections_do(start: Start) -> None:
    """Of all connections together there are no more than `max_connections`."""
    is_asked = threading.Event()
    may_end = threading.Event()

    plane = start(holding(is_asked, may_end), max_connections=3)
    with speaking(plane) as one, speaking(plane) as other:
        asked = [one.begin() for _ in range(2)] + [one.begin()]
        eventually(lambda: len(plane.engine.in_flight) == 3)
        refused = other.ask()
        assert (refused.status, refused.fields["x-sidelog-error"]) == (503, "stream_refused")
        may_end.set()
        assert [one.answer(stream_id).status for stream_id in asked] == [200] * 3
        assert other.ask().status == 200

    assert sorted(error(exchange) for exchange in plane.exchanges(5)) == [
        "",
        "",
        "",
        "",
        "stream_refused",
    ]


def test_only_some_ciphers_are_good_enough() -> None:
    """TLS 1.2 with authenticated encryption and ephemeral keys, and all of TLS 1.3 (F16)."""
    assert is_fit_for_http2("TLSv1.3", "TLS_AES_128_GCM_SHA256")
    assert is_fit_for_http2("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256")
    assert is_fit_for_http2("TLSv1.2", "ECDHE-ECDSA-CHACHA20-POLY1305")
    assert not is_fit_for_http2("TLSv1.2", "ECDHE-RSA-AES128-SHA256")
    assert not is_fit_for_http2("TLSv1.2", "AES128-GCM-SHA256")


FLOODS = {
    "pings": (b"\0\0\x08\6\0\0\0\0\0" + bytes(8)) * 4000,
    "settings": b"\0\0\0\4\0\0\0\0\0" * 4000,
    "empty data": None,
    "resets": None,
}


def _flood(client: Http2Client, kind: str) -> bytes:
    head = client.h2.encoder.encode(list(GET))
    heads = len(head).to_bytes(3, "big")
    if kind == "resets":
        return b"".join(
            heads
            + b"\1\5"
            + at.to_bytes(4, "big")
            + head
            + b"\0\0\4\3\0"
            + at.to_bytes(4, "big")
            + b"\0\0\0\x08"
            for at in range(1, 8001, 2)
        )
    if kind == "empty data":
        return heads + b"\1\4\0\0\0\1" + head + b"\0\0\0\0\0\0\0\0\1" * 4000

    raw = FLOODS[kind]
    assert raw is not None
    return raw


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_ends_its_connection_and_harms_no_other(start: Start, kind: str) -> None:
    """It is said, counted and recorded once (F11)."""
    plane = start(Script())
    with speaking(plane) as neighbour, speaking(plane) as client:
        assert neighbour.ask().body == b"ok"
        raw = _flood(client, kind)

        def send() -> None:
            try:
                client.socket.sendall(raw)
            except OSError:
                pass  # it is cut off

        sender = threading.Thread(target=send)
        sender.start()
        while client.goaway is None and client.read():
            pass
        sender.join()
        assert client.goaway is not None
        assert client.goaway[0] == ErrorCode.ENHANCE_YOUR_CALM
        assert neighbour.ask().body == b"ok"

    eventually(lambda: not plane.engine.connections)
    found = plane.exchanges(plane.unread)
    [flood] = [exchange for exchange in found if error(exchange) == "http2_flood"]
    assert b"too many " in flood.notes[NOTE_MESSAGE]
    assert plane.counters().http2_ends == {"enhance_your_calm": 1}


def test_refused_heads_are_a_flood_too(start: Start) -> None:
    """Their answers are complete exchanges, which pay for nothing (F11)."""
    plane = start(Script())
    with speaking(plane) as client:
        head = client.h2.encoder.encode(list(GET)) + b"\0\4host\7another"
        heads = len(head).to_bytes(3, "big")
        answers = b""
        stream_id = 1

        while b"too many " not in answers:
            client.socket.sendall(heads + b"\1\5" + stream_id.to_bytes(4, "big") + head)
            answers = b""
            stream_id = stream_id + 2
            while b"is not Host" not in answers and b"too many " not in answers:
                answers += client.socket.recv(65536)

        assert stream_id < 2000

    eventually(lambda: not plane.engine.connections)
    assert plane.counters().http2_ends == {"enhance_your_calm": 1}


def test_streams_beyond_a_clients_places_are_refused_and_counted(start: Start) -> None:
    """They are none of its faults, so there is no record of them."""
    plane = start(Script())
    allow_streams(plane, 1)
    with speaking(plane) as client:
        client.h2.remote_settings.max_concurrent_streams = 10
        held = client.begin(POST, is_end=False)
        assert client.answer(client.begin()).reset == ErrorCode.REFUSED_STREAM
        assert plane.counters().http2_resets == {("server", "refused_stream"): 1}
        client.h2.end_stream(held)
        client.flush()
        assert client.answer(held).status == 200

    assert plane.exchange().status == 200


def test_a_client_that_is_gone_begins_nothing_more(start: Start) -> None:
    """What is in hand of its requests reaches no upstream, where its end would never come."""
    may_end = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        may_end.wait(PATIENCE_S)

    plane = start(upstream, max_connections=1000)
    allow_streams(plane, 1000)
    with speaking(plane) as client:
        eventually(lambda: connections(plane))
        heads = b"".join(head(number) for number in range(1, 1601, 2))

        def send_and_leave() -> None:
            [connection] = [
                each for each in plane.engine.connections if isinstance(each, Http2Downstream)
            ]
            connection.data_received(heads)
            connection._transport.abort()

        plane.run(send_and_leave)
        client.hear_out()

    eventually(lambda: not plane.engine.connections and not plane.engine.in_flight)
    may_end.set()
    assert plane.unread < 800
