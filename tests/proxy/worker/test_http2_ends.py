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
from proxy.ring.exchange import (
    NOTE_MESSAGE,
)
from proxy.worker import http2_downstream
from proxy.worker.http2_downstream import Http2Downstream
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.http2.wire import head
from tests.proxy.worker.records import error, outcome
from tests.proxy.worker.upstream.http2_calls import (
    allow_streams,
    connections,
    speaking,
    with_path,
)
from tests.support.http2_client import GET, POST, Http2Client
from tests.support.plane import PATIENCE_S, eventually
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


def test_an_upload_whose_client_ends_its_side_is_over_at_once(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not sent by then never comes; a request that is complete gets its response, for a
    while (P15).
    """
    monkeypatch.setattr(http2_downstream, "HALF_CLOSE_NS", 3_600_000_000_000)
    asked = threading.Semaphore(0)
    gone = threading.Semaphore(0)
    may_end = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        if b"POST " not in read_head(connection):
            may_end.wait(PATIENCE_S)
            connection.sendall(OK)
            return
        asked.release()
        while connection.recv(1 << 16):
            pass
        gone.release()

    plane = start(upstream)
    with speaking(plane) as client:
        client.begin()
        client.begin(POST, b"half", is_end=False)
        client.begin((*POST, ("content-length", "9000000")), bytes(10_000), is_end=False)
        eventually(lambda: len(plane.engine.in_flight) == 3)
        # Of an upload that ends before its upstream is reached, the upstream hears nothing.
        for _ in range(2):
            assert asked.acquire(timeout=PATIENCE_S)
        client.socket.shutdown(socket.SHUT_WR)
        found = plane.exchanges(2)
        for _ in range(2):
            assert gone.acquire(timeout=PATIENCE_S)
        may_end.set()
        received = b""
        while not received.endswith(b"ok"):
            received += client.socket.recv(65536)

    assert {(outcome(each), each.status, each.request_bytes) for each in found} == {
        (Outcome.CLIENT_CLOSED, 499, 4), (Outcome.CLIENT_CLOSED, 499, 10_000),
    }  # fmt: skip
    assert outcome(plane.exchange()) == Outcome.OK


def test_the_end_of_a_side_is_read_behind_what_came_before_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload whose last bytes are in hand is complete, however late they are read."""
    monkeypatch.setattr(http2_downstream, "HALF_CLOSE_NS", 3_600_000_000_000)
    may_answer = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        head = read_head(connection)
        received = 0
        while received < 300_000:
            received += len(connection.recv(1 << 16))
        assert b"300000" in head
        may_answer.wait(PATIENCE_S)
        connection.sendall(OK)

    plane = start(upstream)
    with speaking(plane) as client:
        stream_id = client.begin((*POST, ("content-length", "300000")), is_end=False)
        left = 300_000
        while left:
            size = min(left, client.h2.local_flow_control_window(stream_id), 16_384)
            if not size:
                assert client.read()
                continue

            left -= size
            client.h2.send_data(stream_id, bytes(size), end_stream=not left)
            if left:
                client.flush()

        client.flush()
        client.socket.shutdown(socket.SHUT_WR)
        may_answer.set()
        received = b""
        while not received.endswith(b"ok"):
            received += client.socket.recv(65536)

    assert (outcome(exchange := plane.exchange()), exchange.request_bytes) == (Outcome.OK, 300_000)


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


def test_a_stream_that_nothing_is_taken_of_is_reset(start: Start) -> None:
    """After the time that a client of HTTP/1.1 has, too; the connection lives (P17)."""
    plane = start(Script(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + bytes(900_000), OK))
    with speaking(plane, takes_all=False) as client:
        large = client.begin()
        while len(client.streams[large].body) < 65535:
            assert client.read()
        [connection] = connections(plane)
        eventually(lambda: connection._waiting)

        def age() -> bool:
            connection._waiting = {
                at: (0, queued) for at, (_, queued) in connection._waiting.items()
            }
            return not connection._waiting

        # The last small piece may still be sent, which begins the time anew.
        eventually(lambda: plane.run(age))
        assert client.answer(large).reset == ErrorCode.CANCEL
        client.h2.increment_flow_control_window(65535)
        client.flush()
        assert client.ask().body == b"ok"

    assert sorted(error(exchange) for exchange in plane.exchanges(2)) == ["", "client_stalled"]


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


def test_streams_run_side_by_side(start: Start) -> None:
    """A hundred at once, more are refused for the moment and may be sent again."""
    is_asked = threading.Event()
    may_end = threading.Event()

    plane = start(holding(is_asked, may_end), upstream_max_connections=200)
    with speaking(plane) as client:
        while client.h2.remote_settings.max_concurrent_streams != 100:
            assert client.read()
        asked = [client.begin() for _ in range(100)]
        eventually(lambda: len(plane.engine.in_flight) == 100)
        raw = client.h2.encoder.encode(list(GET))
        client.socket.sendall(
            len(raw).to_bytes(3, "big") + b"\1\5" + (201).to_bytes(4, "big") + raw
        )
        may_end.set()
        assert {client.answer(stream_id).body for stream_id in asked} == {b"ok"}

    assert len(plane.exchanges(100)) == 100


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


def test_the_beginning_may_come_byte_by_byte(start: Start) -> None:
    """Whatever the splits, it is one preface."""
    plane = start(Script())
    with socket.create_connection(("127.0.0.1", plane.port), PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0":
            connection.sendall(bytes((byte,)))
        assert connection.recv(9)[3] == 4  # SETTINGS


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


@pytest.mark.parametrize("size", [70_000, 900_000])
def test_a_reset_while_nothing_is_taken_frees_the_place(start: Start, size: int) -> None:
    """Of a response that has come as a whole, too (F10)."""
    plane = start(Script(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)))
    with speaking(plane, takes_all=False) as client:
        client.h2.increment_flow_control_window(1 << 24)
        large = client.begin()
        while len(client.streams[large].body) < 65535:
            assert client.read()
        [connection] = connections(plane)
        eventually(lambda: connection._waiting)
        client.h2.reset_stream(large, ErrorCode.CANCEL)
        client.flush()
        eventually(lambda: not (connection._waiting or connection._codec.streams.open))

    plane.exchange()


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
