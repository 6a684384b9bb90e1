"""The rule of all timeouts (docs/operations/timeouts.md): who pauses is timed by the limit of that
pause, and by none of the other side's.

Each of four pauses, by each client and each upstream, is tried twice: its own limit is long and all
others are short, and the other way round.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from itertools import product
from typing import Any, Final, Protocol

import pytest
from h2.settings import SettingCodes

from proxy.http2 import frames
from proxy.ring.exchange import NOTE_MESSAGE
from proxy.worker import deadlines
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.clients import connect
from tests.proxy.worker.records import error, outcome
from tests.proxy.worker.upstream.http2_calls import HTTP1, HTTP2, speaking
from tests.support.http2_client import GET, POST, Http2Client
from tests.support.http2_upstream import OK as OK_FIELDS
from tests.support.http2_upstream import Connection, Http2Upstream, Request
from tests.support.plane import PATIENCE_S, Plane, eventually
from tests.support.script import Script
from tests.support.upstream import read_head

SHORT_S: Final = 1.5
PAUSE_S: Final = 3.0
LIMITS: Final = (
    "timeout_body_idle_s",
    "timeout_first_byte_s",
    "timeout_write_stall_s",
    "timeout_upstream_idle_s",
)
UPLOAD_BYTES: Final = 8_000_000
DOWNLOAD_BYTES: Final = 8_000_000
"""More than what kernels and buffers hold between two ends."""


Pause = Callable[[], object]


class Asking(Protocol):
    """A client that sends one request and reads its answer, and may pause in either."""

    def __call__(
        self, plane: Plane, upload: int, before_rest: Pause, before_reading: Pause | None
    ) -> tuple[int, int]:
        """Return the status, and how much of the body came."""


def _go_on() -> None:
    """Make no pause."""


def _ask_by_http1(
    plane: Plane,
    upload: int,
    before_rest: Pause,
    before_reading: Pause | None,
    *,
    is_tls: bool = False,
) -> tuple[int, int]:
    def send() -> None:
        with contextlib.suppress(OSError):
            client.send(bytes(upload // 2))
            before_rest()
            client.send(bytes(upload - upload // 2))

    with connect(plane) if is_tls else plane.connect(65536) as client:
        if not upload:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        else:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % upload)
        sender = threading.Thread(target=send)
        sender.start()
        try:
            if before_reading is not None:
                before_reading()
            answer = client.answer()
            return answer.status, len(answer.body)
        except (ConnectionError, ssl.SSLError):
            return 0, 0
        finally:
            sender.join()


def _ask_by_tls(
    plane: Plane, upload: int, before_rest: Pause, before_reading: Pause | None
) -> tuple[int, int]:
    return _ask_by_http1(plane, upload, before_rest, before_reading, is_tls=True)


def _ask_by_http2(
    plane: Plane, upload: int, before_rest: Pause, before_reading: Pause | None
) -> tuple[int, int]:
    with speaking(plane, takes_all=before_reading is None) as client:
        if not upload:
            stream_id = client.begin(GET)
        else:
            stream_id = client.begin((*POST, ("content-length", str(upload))), is_end=False)
            _send_body(client, stream_id, upload, before_rest)
        stream = client.streams[stream_id]
        if before_reading is not None:
            while len(stream.body) < 65535:
                client.read()
            before_reading()
            with contextlib.suppress(OSError):
                client.h2.increment_flow_control_window(1 << 30)
                client.h2.increment_flow_control_window(1 << 30, stream_id)
                client.flush()
        client.answer(stream_id)
        return stream.status, len(stream.body)


def _send_body(client: Http2Client, stream_id: int, size: int, before_rest: Pause) -> None:
    left = size
    stream = client.streams[stream_id]
    while left and not stream.status and stream.reset is None:
        room = min(left, client.h2.local_flow_control_window(stream_id), 16_384)
        if not room and not client.read():
            return
        if room:
            client.h2.send_data(stream_id, bytes(room), end_stream=left == room)
            client.flush()
            if left > size // 2 >= left - room:
                before_rest()
            left -= room


CLIENTS: Final[dict[str, Asking]] = {
    "http1": _ask_by_http1,
    "tls": _ask_by_tls,
    "http2": _ask_by_http2,
}


class _Http1:
    """Reads a body, or sends one, in two halves with a pause between them."""

    def __init__(self, upload: int, download: int, pause: Pause) -> None:
        self._upload = upload
        self._download = download
        self._pause = pause

    def __call__(self, connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        read_head(connection)
        if self._upload:
            self._read(connection, self._upload // 2)
            if not self._download:
                self._pause()
            self._read(connection, self._upload - self._upload // 2)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self._download
        connection.sendall(head + bytes(self._download // 2))
        if self._download:
            self._pause()
        connection.sendall(bytes(self._download - self._download // 2))

    def _read(self, connection: socket.socket, size: int) -> None:
        while size > 0:
            data = connection.recv(min(size, 65536))
            if not data:
                raise ConnectionError("the upload ended early")
            size -= len(data)


class _Http2:
    """The same over HTTP/2: it gives no window for a while, or sends as much as it has."""

    def __init__(self, upload: int, download: int, pause: Pause) -> None:
        self._download = download
        self._pause = pause
        self._left = download
        self._serve = Http2Upstream(
            self._answer, on_window=self._send_more, takes_all=bool(download) or pause is _go_on
        )

    def __call__(self, connection: socket.socket, number: int) -> None:
        self._serve(connection, number)

    def _answer(self, connection: Connection, request: Request) -> None:
        if not self._download:
            if not request.is_done and len(request.body) > 30_000:
                request.is_done = True
                self._pause()
                with connection.lock:
                    connection.h2.increment_flow_control_window(1 << 30)
                    connection.h2.increment_flow_control_window(1 << 30, request.id)
                    connection.flush()
            if request.is_done:
                request.body = b""  # to join megabytes takes longer than the shortest limit
            if request.is_ended:
                connection.respond(request)
            return
        if request.is_ended and not request.is_answered:
            connection.respond(
                request, fields=(*OK_FIELDS, ("content-length", str(self._download))), is_end=False
            )
            self._send_more(connection, request)

    def _send_more(self, connection: Connection, request: Request) -> None:
        if not request.is_answered or not self._download:
            return
        while self._left:
            with connection.lock:
                room = min(connection.h2.local_flow_control_window(request.id), self._left, 16_384)
                if not room:
                    return
                before = self._left
                self._left -= room
                connection.h2.send_data(request.id, bytes(room), end_stream=not self._left)
                connection.flush()
            if before > self._download // 2 >= self._left:
                self._pause()


UPSTREAMS: Final[dict[str, tuple[type[_Http1 | _Http2], dict[str, str]]]] = {
    "http1": (_Http1, HTTP1),
    "http2": (_Http2, HTTP2),
}

PAUSES: Final = {
    # pause → its own limit, and what is on record where that ends the exchange
    "client sends": ("timeout_body_idle_s", "timeout_body", (Outcome.REJECTED,)),
    "client reads": (
        "timeout_write_stall_s",
        "client_stalled",
        (Outcome.CLIENT_CLOSED,),
    ),
    "upstream reads": ("timeout_write_stall_s", "upstream_timeout", (Outcome.UPSTREAM_TIMEOUT,)),
    "upstream sends": ("timeout_upstream_idle_s", "upstream_timeout", (Outcome.TRUNCATED,)),
}


CASES: Final = tuple(product(PAUSES, CLIENTS, UPSTREAMS, (False, True)))


@pytest.mark.parametrize(("pause", "client", "upstream", "is_own_short"), CASES)
def test_a_pause_is_timed_by_its_own_limit_alone(
    start: Start,
    certificate: tuple[str, str],
    pause: str,
    client: str,
    upstream: str,
    is_own_short: bool,
) -> None:
    own, code, outcomes = PAUSES[pause]
    is_upload = pause in ("client sends", "upstream reads")
    upload = {"client sends": 60_000, "upstream reads": UPLOAD_BYTES}.get(pause, 0)
    download = 0 if is_upload else DOWNLOAD_BYTES
    make, route = UPSTREAMS[upstream]

    def pauses() -> None:
        if is_own_short:
            # Once the record is read, the plane may be gone as well.
            with contextlib.suppress(ValueError):
                eventually(lambda: plane.reader.pushed)
        else:
            time.sleep(PAUSE_S)

    limits: dict[str, Any] = {
        limit: 60.0 if (limit == own) != is_own_short else SHORT_S for limit in LIMITS
    }
    if client == "tls":
        limits |= zip(("tls_cert_file", "tls_key_file"), certificate, strict=True)
    plane = start(
        make(upload, download, pauses if pause.startswith("upstream") else _go_on),
        route=route,
        **limits,
    )
    status, received = CLIENTS[client](
        plane,
        upload,
        pauses if pause == "client sends" else _go_on,
        pauses if pause == "client reads" else None,
    )
    exchange = plane.exchange()
    if is_own_short:
        assert (error(exchange), outcome(exchange) in outcomes) == (code, True)
        assert f"({SHORT_S:g} s, {own})".encode() in exchange.notes[NOTE_MESSAGE]
    else:
        assert (status, received, outcome(exchange), error(exchange)) == (
            200,
            download,
            Outcome.OK,
            "",
        )


# Parts of a frame.

_PIECES: Final = 24


def _trickle(send: Callable[[bytes], object], raw: bytes) -> None:
    """Send bytes in pieces, which take longer than any limit in all."""
    step = -(-len(raw) // _PIECES)
    for at in range(0, len(raw), step):
        send(raw[at : at + step])
        time.sleep(2 * PAUSE_S / _PIECES)


def _data_frame(stream_id: int, body: bytes) -> bytes:
    return frames.frame(frames.DATA, frames.END_STREAM, stream_id, body)


@pytest.mark.parametrize("is_awaited", [False, True])
def test_parts_of_a_frame_are_progress(
    start: Start, monkeypatch: pytest.MonkeyPatch, *, is_awaited: bool
) -> None:
    """Of every stream behind it, too; also where others wait for their upstream connections."""
    monkeypatch.setattr(deadlines, "TRICKLE_NS", int(SHORT_S * 1e9))
    script = Script()
    plane = start(
        script, timeout_body_idle_s=SHORT_S, upstream_max_connections=2 if is_awaited else 100
    )
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(speaking(plane))
        streams = [client.begin(POST, is_end=False) for _ in range(1 if is_awaited else 2)]
        if is_awaited:
            holding = stack.enter_context(plane.connect())
            holding.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
            eventually(lambda: plane.run(lambda: len(plane.engine.in_flight)) == 2)
            holding.send(bytes(90_000))
            waiting = stack.enter_context(plane.connect())
            waiting.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        _trickle(client.socket.sendall, _data_frame(streams[0], bytes(16_000)))
        for each in streams[1:]:
            client.socket.sendall(_data_frame(each, b"rest"))
        assert [client.answer(each).status for each in streams] == [200] * len(streams)


def test_parts_of_a_head_are_none(start: Start) -> None:
    """Trailers that trickle end with the connection, when the time of a head is over (F3)."""
    plane = start(Script(), timeout_headers_s=SHORT_S)
    with speaking(plane) as client:
        stream_id = client.begin(POST, b"body", is_end=False)
        raw = frames.frame(frames.HEADERS, 5, stream_id, b"\0\x01x\x7f" + bytes(200))
        with contextlib.suppress(OSError):
            _trickle(client.socket.sendall, raw)
            client.hear_out()
    assert {outcome(each) for each in plane.exchanges(2)} == {
        Outcome.CLIENT_CLOSED,
        Outcome.REJECTED,
    }


def test_parts_of_an_upstreams_frame_are_progress(start: Start) -> None:
    """Silence between them is shorter than the limit, however long the frame takes."""

    def answer(connection: Connection, request: Request) -> None:
        connection.respond(request, is_end=False)
        _trickle(connection.socket.sendall, _data_frame(request.id, bytes(3000)))

    plane = start(Http2Upstream(answer), route=HTTP2, timeout_upstream_idle_s=SHORT_S)
    with speaking(plane) as client:
        assert len(client.ask().body) == 3000


def test_parts_of_a_chunks_frame_are_progress(start: Start) -> None:
    """The same over HTTP/1.1."""

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        _trickle(connection.sendall, b"5;a=%b\r\nhello\r\n0\r\n\r\n" % (b"b" * 200))

    plane = start(upstream, timeout_upstream_idle_s=SHORT_S)
    with plane.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.answer().body == b"hello"


@pytest.mark.parametrize("is_short", [False, True])
def test_a_response_that_waits_for_its_request_has_the_clients_time(
    start: Start, *, is_short: bool
) -> None:
    """An upstream that has begun to answer may wait for more of the body."""

    def answer(connection: Connection, request: Request) -> None:
        if not request.is_answered:
            connection.respond(request, b"begun", is_end=False)
        elif request.is_ended:
            connection.h2.send_data(request.id, b" and ended", end_stream=True)

    plane = start(
        Http2Upstream(answer),
        route=HTTP2,
        timeout_upstream_idle_s=SHORT_S,
        timeout_body_idle_s=SHORT_S if is_short else 60.0,
    )
    with speaking(plane) as client:
        stream_id = client.begin(POST, b"half", is_end=False)
        while not client.streams[stream_id].body:
            assert client.read()
        if not is_short:
            time.sleep(PAUSE_S)
            client.h2.send_data(stream_id, b"rest", end_stream=True)
            client.flush()
        answered = client.answer(stream_id)

    assert (answered.reset is not None, answered.body) == (
        is_short,
        b"begun" if is_short else b"begun and ended",
    )


def test_neighbours_do_not_prolong_the_time_of_a_request(start: Start) -> None:
    """On a connection of HTTP/2 the bytes of another may be stuck behind it."""
    may_read = threading.Event()

    def answer(connection: Connection, request: Request) -> None:
        if request.fields[":path"] == "/silent" and request.is_ended:
            connection.h2.increment_flow_control_window(1 << 30)
            connection.flush()
            may_read.wait(PATIENCE_S)
        elif request.is_ended:
            connection.respond(request)

    settings = {SettingCodes.INITIAL_WINDOW_SIZE: 1 << 30}
    plane = start(Http2Upstream(answer, settings), route=HTTP2, timeout_first_byte_s=2 * PAUSE_S)
    with plane.connect() as silent, plane.connect() as neighbour:
        silent.send(b"POST /silent HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nte")
        eventually(lambda: plane.counters().connections_upstream == 1)
        silent.send(b"xt")
        neighbour.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12000000\r\n\r\n")
        sender = threading.Thread(target=neighbour.send, args=(bytes(12_000_000),))
        sender.start()
        assert silent.answer().status == 504
        may_read.set()
        assert neighbour.answer().status == 200
        sender.join()
