"""WebSockets on streams of HTTP/2 (RFC 8441): tunnels to services of HTTP/1.1, with records as
ever.
"""

import socket
import threading

import pytest

from proxy.http2.errors import ErrorCode
from proxy.ring.exchange import NOTE_MESSAGE
from proxy.worker import http2_downstream
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.test_downstream import error, outcome
from tests.proxy.worker.test_fairness import entries
from tests.proxy.worker.test_http2_downstream import open_streams, speaking
from tests.support.http2_client import GET, Fields, Http2Client
from tests.support.plane import PATIENCE_S, eventually
from tests.support.script import OK, Script
from tests.support.upstream import read_head, switching

OPEN: Fields = ((":method", "CONNECT"), (":protocol", "websocket"), *GET[1:3], (":path", "/chat"))
HELLO = b"\x81\x85\0\0\0\0hello"
CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"
heads: list[bytes] = []


def echo(connection: socket.socket, number: int) -> None:
    """Switch, and send what comes back as it came, but for the masks, until a close or the end."""
    heads.append(read_head(connection))
    connection.sendall(switching(heads[-1]))
    while data := connection.recv(1 << 16):
        connection.sendall(data.replace(b"\x85\0\0\0\0", b"\5").replace(b"\x82\0\0\0\0", b"\2"))
        if data.endswith(CLOSE):
            return


def send(client: Http2Client, stream_id: int, data: bytes, *, is_end: bool = False) -> None:
    client.h2.send_data(stream_id, data, end_stream=is_end)
    client.flush()


def until(client: Http2Client, stream_id: int, body: bytes) -> None:
    while client.streams[stream_id].body != body:
        assert client.read()


def test_a_websocket_runs_on_a_stream_beside_others_and_is_recorded(start: Start) -> None:
    """The service reads an upgrade of HTTP/1.1; the record is that of a WebSocket, with its
    messages.
    """
    heads.clear()
    plane = start(echo)
    with speaking(plane) as client:
        chat = client.begin(
            (*OPEN, ("sec-websocket-version", "13"), ("origin", "http://a")), is_end=False
        )
        send(client, chat, HELLO)
        until(client, chat, b"\x81\x05hello")
        stream = client.streams[chat]
        assert (stream.status, stream.fields["x-sidelog-id"] != "") == (200, True)
        assert not {"upgrade", "connection", "sec-websocket-accept"} & set(stream.fields)
        send(client, chat, CLOSE)
        until(client, chat, b"\x81\x05hello\x88\x02\x03\xe8")
        answer = client.answer(chat)
        assert (answer.is_ended, client.goaway) == (True, None)
        eventually(lambda: open_streams(plane) == 0)

    [head] = heads
    assert head.startswith(b"GET /chat HTTP/1.1\r\nHost: a\r\n")
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in head
    assert b"sec-websocket-key: " in head
    (exchange,), messages = entries(plane, 1)
    assert exchange.request_head.startswith(b"GET /chat HTTP/2\r\nHost: a\r\n")
    assert (exchange.status, exchange.close_code, outcome(exchange)) == (101, 1000, Outcome.OK)
    assert [message.data for message in messages][:2] == [b"hello", b"hello"]


def test_the_end_of_a_side_is_the_end_of_its_stream(start: Start) -> None:
    """What was sent before it arrives; without a close frame the client has left."""
    received: list[bytes] = []
    is_over = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        connection.sendall(switching(read_head(connection)))
        while data := connection.recv(1 << 16):
            received.append(data)
        is_over.set()

    plane = start(upstream)
    with speaking(plane) as client:
        chat = client.begin(OPEN, is_end=False)
        while not client.streams[chat].status:
            assert client.read()
        send(client, chat, HELLO, is_end=True)
        assert is_over.wait(PATIENCE_S)
        assert client.answer(chat).is_ended

    assert b"".join(received) == HELLO
    (exchange,), messages = entries(plane, 1)
    assert (outcome(exchange), len(messages)) == (Outcome.CLIENT_CLOSED, 1)


def test_the_end_of_the_connection_is_that_of_a_side(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service reads it at once, and says what it has to say."""
    monkeypatch.setattr(http2_downstream, "HALF_CLOSE_NS", 3_600_000_000_000)

    def upstream(connection: socket.socket, number: int) -> None:
        connection.sendall(switching(read_head(connection)))
        while connection.recv(1 << 16):
            pass
        connection.sendall(b"\x88\x02\x03\xe8")

    plane = start(upstream)
    with speaking(plane) as client:
        chat = client.begin(OPEN, is_end=False)
        while not client.streams[chat].status:
            assert client.read()
        client.socket.shutdown(socket.SHUT_WR)
        (exchange,), _ = entries(plane, 1)

    assert (outcome(exchange), exchange.close_code) == (Outcome.OK, 1000)


def test_a_reset_ends_both_sides(start: Start) -> None:
    """As a client that left."""
    is_over = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        echo(connection, number)
        is_over.set()

    plane = start(upstream)
    with speaking(plane) as client:
        chat = client.begin(OPEN, is_end=False)
        send(client, chat, HELLO)
        until(client, chat, b"\x81\x05hello")
        client.h2.reset_stream(chat, ErrorCode.CANCEL)
        client.flush()
        assert is_over.wait(PATIENCE_S)

    (exchange,), _ = entries(plane, 1)
    assert outcome(exchange) == Outcome.CLIENT_CLOSED


def test_a_service_that_takes_nothing_stops_its_client(start: Start) -> None:
    """By the window of its stream; others go on (F13)."""
    may_read = threading.Event()
    received = 0

    def upstream(connection: socket.socket, number: int) -> None:
        nonlocal received
        head = read_head(connection)
        if b"GET /chat " not in head:
            connection.sendall(OK)
            return

        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(switching(head))
        may_read.wait(PATIENCE_S)
        while data := connection.recv(1 << 16):
            received += len(data)

    plane = start(upstream)
    frame = b"\x82\xfe\x20\0\0\0\0\0" + bytes(8192)
    with speaking(plane) as client:
        chat = client.begin(OPEN, is_end=False)
        while not client.streams[chat].status:
            assert client.read()
        client.socket.settimeout(0.5)
        sent = 0
        while sent < 12_000_000:
            if client.h2.local_flow_control_window(chat) >= len(frame):
                send(client, chat, frame)
                sent += len(frame)
                continue

            try:
                client.read()
            except TimeoutError:
                break

        assert sent < 12_000_000
        client.socket.settimeout(PATIENCE_S)
        assert client.ask().body == b"ok"
        may_read.set()
        send(client, chat, b"", is_end=True)
        assert client.answer(chat).is_ended

    entries(plane, 2)
    assert received == sent


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ((OPEN[0], (":protocol", "connect-udp"), *OPEN[2:]), 501, "method_unknown"),
        ((*OPEN, ("content-length", "5")), 400, "bad_request"),
        ((*OPEN, ("host", "b")), 400, "bad_request"),
        ((*OPEN[:4], (":path", "/other")), 404, "no_route"),
    ],
)
def test_what_is_no_websocket_is_refused(
    start: Start, fields: Fields, status: int, code: str
) -> None:
    """With a response, and a record."""
    plane = start(echo, route={"path": "/chat"})
    with speaking(plane) as client:
        answer = client.answer(client.begin(fields, is_end=False))
        assert (answer.status, answer.fields.get("x-sidelog-error")) == (status, code)
    assert error(plane.exchange()) == code


@pytest.mark.parametrize(
    ("response", "status"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 502),
    ],
)
def test_a_service_that_does_not_switch_opens_nothing(
    start: Start, response: bytes, status: int
) -> None:
    """A client of HTTP/2 would take 200 for an open WebSocket."""
    plane = start(Script(response))
    with speaking(plane) as client:
        answer = client.answer(client.begin(OPEN, is_end=False))
        assert answer.status == status
    exchange = plane.exchange()
    assert exchange.status == status
    assert status == 403 or b"in place of 101" in exchange.notes[NOTE_MESSAGE]


@pytest.mark.parametrize(
    "accept",
    [
        b"",
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        b"Sec-WebSocket-Accept: \r\nSec-WebSocket-Accept: \r\n",
    ],
    ids=["none", "another", "two"],
)
def test_a_service_that_does_not_answer_the_key_opens_no_tunnel(
    start: Start, accept: bytes
) -> None:
    """The client of HTTP/2 never sees it, so the gateway judges (RFC 6455 §4.1, RFC 8441 §5.1)."""
    switch = (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%b\r\n"
        % accept
    )
    plane = start(Script(switch))
    with speaking(plane) as client:
        chat = client.begin(OPEN, is_end=False)
        answer = client.answer(chat)
        assert (answer.status, answer.fields["x-sidelog-error"]) == (502, "upstream_bad_response")

    assert b"Sec-WebSocket-Accept" in plane.exchange().notes[NOTE_MESSAGE]
