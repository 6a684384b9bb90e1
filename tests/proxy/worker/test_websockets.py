"""WebSockets: how they open, how their end is judged, and what is on record of them (P7, P14).

Over HTTP/2 they are streams (RFC 8441) whose service reads an upgrade of HTTP/1.1.
"""

import socket
import threading
from typing import Final

from proxy.settings.model import CaptureSettings
from tests.proxy.conftest import Start
from tests.proxy.worker.clients import MASKED_CLOSE, OPEN, UPGRADE, Http2Caller
from tests.proxy.worker.records import entries
from tests.proxy.worker.rows import (
    TO_HTTP1,
    WIRE,
    Row,
    Stage,
    arrived,
    ask,
    begin,
    counted,
    end,
    ended,
    forwarded,
    freed,
    hear,
    leave,
    open_websocket,
    played,
    recorded,
    said,
    see,
    stops,
    until_gone,
    uploads,
)
from tests.proxy.worker.services import (
    answers,
    gone,
    heard,
    leaves,
    reads,
    switches,
    takes_little,
    waits,
)
from tests.proxy.worker.upstream.http2_calls import open_streams, speaking
from tests.support.plane import PATIENCE_S
from tests.support.script import OK
from tests.support.upstream import read_head, switching

HELLO: Final = b"\x81\x05hello"
CLOSE: Final = b"\x88\x02\x03\xe8"
MASKED_HELLO: Final = b"\x81\x85\0\0\0\0hello"
SWITCH: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%b\r\n"
)
NO_FAILURE: Final = counted("upstream_errors", {})


def is_not_upgraded(stage: Stage) -> None:
    """Find nothing of HTTP/1.1 in the head that opened a stream, and the id of its record."""
    assert isinstance(stage.caller, Http2Caller)
    fields = stage.caller.stream.fields
    assert not {"upgrade", "connection", "sec-websocket-accept"} & fields.keys()
    stage.ids.add(fields["x-sidelog-id"])


def is_in_order(stage: Stage) -> None:
    """Find that the service ended the stream, and that its connection lives."""
    assert isinstance(stage.caller, Http2Caller)
    assert stage.caller.stream.is_ended
    assert (stage.caller.client.goaway, stage.caller.client.is_closed) == (None, False)


ROWS = [
    *(
        Row(
            "one is an upgrade for its service, and its messages are on record",
            [
                *(open_websocket, *opened, MASKED_HELLO, see(HELLO), MASKED_CLOSE, see(CLOSE)),
                *(ended, *closed),
                recorded(101, "ok", close_code=1000, request_head_has=line + b"\r\nHost: a\r\n"),
                said(b"hello", b"hello", b"\x03\xe8", b"\x03\xe8"),
                forwarded(
                    b"GET /chat HTTP/1.1\r\nHost: a\r\n",
                    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
                    key,
                ),
            ],
            [heard, switches(), reads(11), HELLO, reads(8), CLOSE],
            over,
            "P7",
        )
        for over, opened, closed, line, key in (
            (WIRE, (), (), b"GET /chat HTTP/1.1", b"\r\nSec-WebSocket-Key: "),
            (
                ("h2-h1",),
                (is_not_upgraded,),
                (is_in_order, freed(open_streams)),
                b"GET /chat HTTP/2",
                b"\r\nsec-websocket-key: ",
            ),
        )
    ),
    *(
        Row(
            f"a service that leaves by {way} without a close frame has failed",
            [
                *(open_websocket, see(HELLO), MASKED_HELLO, ended),
                recorded(101, "truncated", "upstream_reset", message=reason),
                *(said(b"hello", b"hello"), counted("upstream_errors", {("0", "reset"): 1})),
            ],
            [heard, switches(HELLO), reads(11), leaves(way)],
            TO_HTTP1,
            "P14",
        )
        for way, reason in {
            "close": b"the upstream closed the connection without a close frame",
            "reset": b"the connection to the upstream failed: ",
        }.items()
    ),
    *(
        Row(
            f"a service that leaves by {way} behind a close frame has said all",
            [
                *(open_websocket, see(CLOSE), MASKED_CLOSE, ended),
                *(recorded(101, "ok", close_code=1000), NO_FAILURE),
            ],
            [heard, switches(HELLO + CLOSE), reads(8), leaves(way)],
            TO_HTTP1,
        )
        for way in ("close", "reset")
    ),
    *(
        Row(
            f"a client that leaves by {way} without a close frame is no failure of its service",
            [
                *(open_websocket, see(HELLO), leave(way), until_gone),
                *(recorded(101, "client_closed"), NO_FAILURE),
            ],
            [heard, switches(HELLO), gone],
            ("h1", "h2-h1") if way == "end" else TO_HTTP1,
            "P15",
        )
        for way in ("close", "reset", "end")
    ),
    Row(
        "the end of a stream is that of its client's side, behind all that was sent",
        [
            open_websocket,
            MASKED_HELLO,
            end(),
            until_gone,
            *(ended, is_in_order),
            arrived(MASKED_HELLO),
            recorded(101, "client_closed"),
        ],
        [heard, switches(), gone],
        ("h2-h1",),
    ),
    Row(
        "a service may say what it has to say when its client has ended the connection",
        [open_websocket, leave("end"), recorded(101, "ok", close_code=1000), stops],
        [heard, switches(), gone, CLOSE],
        ("h2-h1",),
        patches={"proxy.worker.http2_downstream.HALF_CLOSE_NS": 60_000_000_000},
    ),
    *(
        Row(
            f"messages behind {name} are missed",
            [
                *(open_websocket, MASKED_HELLO + odd + MASKED_HELLO * 50, leave("end")),
                recorded(101, "client_closed", unreadable=b"\x01", dropped=1),
                *(said(b"hello"), counted("dropped_messages", 1)),
            ],
            [heard, switches(), gone],
            ("h1", "h2-h1"),
        )
        for name, odd in {
            "a reserved opcode": b"\x83\x80mask",
            "a bit that nobody agreed on": b"\xa1\x80mask",
            "a ping that is too long": b"\x89\xfe\0\x7emask" + bytes(126),
        }.items()
    ),
    Row(
        "where no messages are wanted none are missing",
        [
            *(open_websocket, b"\x81\x80mask" * 5000 + MASKED_CLOSE, leave()),
            recorded(101, "ok", close_code=1000, dropped=0),
            *(said(), counted("dropped_messages", 0)),
        ],
        [heard, switches(), gone],
        ("h1",),
        settings={"capture": CaptureSettings(message_bytes=0)},
    ),
    Row(
        "a service may be silent for days, and not refuse what it is sent",
        [
            *(open_websocket, b"\x82\x7f" + (40_000_000).to_bytes(8, "big"), uploads(40_000_000)),
            recorded(
                101,
                "truncated",
                "upstream_timeout",
                reason=b"the upstream stopped reading the request (0.4 s, timeout_write_stall_s)",
            ),
        ],
        [takes_little, heard, switches(), waits],
        ("h1",),
        "P17",
        {"timeout_write_stall_s": 0.4},
    ),
    Row(
        "each direction is read as long as it can be",
        [
            *(open_websocket, see(b"no"), MASKED_HELLO + b"\x83\x80mask", leave("end")),
            *(recorded(101, "client_closed", unreadable=b"\x03"), said(b"hello")),
        ],
        [heard, switches(b"\x83\0\x81\x02no"), gone],
        ("h1", "h2-h1"),
    ),
    Row(
        "a service may refuse",
        [ask(fields=UPGRADE), hear(403, b"no"), recorded(403)],
        [heard, answers(403, b"no")],
        WIRE,
    ),
    Row(
        "a service may refuse a client of HTTP/2",
        [begin(OPEN, is_end=False), hear(403, b"no"), recorded(403)],
        [heard, answers(403, b"no"), gone],
        ("h2-h1",),
    ),
    *(
        Row(
            f"a service that answers {name} opens nothing for a client of HTTP/2",
            [
                begin(OPEN, is_end=False),
                hear(502, error="upstream_bad_response"),
                recorded(502, "upstream_error", "upstream_bad_response", message=reason),
            ],
            [heard, answer],
            ("h2-h1",),
        )
        for name, answer, reason in (
            ("200", OK, b"in place of 101"),
            ("no key", SWITCH % b"", b"Sec-WebSocket-Accept"),
            (
                "another key",
                SWITCH % b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
                b"Sec-WebSocket-Accept",
            ),
            ("two keys", SWITCH % (b"Sec-WebSocket-Accept: \r\n" * 2), b"Sec-WebSocket-Accept"),
        )
    ),
    *(
        Row(
            f"what is no WebSocket, as {name}, is refused",
            [
                begin(fields, is_end=False),
                hear(status, error=code),
                recorded(status, "rejected", code),
            ],
            over=("h2-h1",),
            settings={"route": {"path": "/chat"}},
        )
        for name, fields, status, code in (
            (
                "another protocol",
                (OPEN[0], (":protocol", "connect-udp"), *OPEN[2:]),
                501,
                "method_unknown",
            ),
            ("a length", (*OPEN, ("content-length", "5")), 400, "bad_request"),
            ("another host", (*OPEN, ("host", "b")), 400, "bad_request"),
            ("a path without a route", (*OPEN[:4], (":path", "/other")), 404, "no_route"),
        )
    ),
]


test_websockets = played(ROWS)


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
                client.h2.send_data(chat, frame)
                client.flush()
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
        client.h2.end_stream(chat)
        client.flush()
        assert client.answer(chat).is_ended

    entries(plane, 2)
    assert received == sent
