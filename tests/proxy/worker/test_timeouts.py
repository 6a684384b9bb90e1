"""The rule of all timeouts (docs/operations/timeouts.md): who pauses is timed by the limit of that
pause, and by none of the other side's.

Each of four pauses is tried over each transport, twice: its own limit is long and all
others are short, and the other way round.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import pytest
from h2.settings import SettingCodes

from proxy.http2 import frames
from proxy.settings.model import LimitSettings
from proxy.worker import deadlines
from proxy.worker.deadlines import Deadlines
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.records import outcome
from tests.proxy.worker.rows import Row, ask, hear, pause, played, recorded, see, uploads
from tests.proxy.worker.services import (
    answers,
    gone,
    heard,
    pauses,
    reads,
    takes_all,
    takes_little,
    waits,
)
from tests.proxy.worker.upstream.http2_calls import HTTP2, speaking
from tests.support.http2_client import POST
from tests.support.http2_upstream import Connection, Http2Upstream, Request
from tests.support.plane import PATIENCE_S, eventually
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
SIZE: Final = 8_000_000
"""More than what kernels and buffers hold between two ends."""
HALF: Final = bytes(SIZE // 2)


def timed(own: str, *, is_short: bool) -> dict[str, float]:
    """Limits of which one is short and all others long, or the other way round."""
    return {limit: SHORT_S if (limit == own) == is_short else 60.0 for limit in LIMITS}


PAUSES: Final[tuple[tuple[Any, ...], ...]] = (
    # who pauses, its own limit, the client and its upstream when it does, and the record and its reason
    # where that ends the exchange
    (
        "client sends", "timeout_body_idle_s", [ask("POST", body=bytes(30_000), length=60_000)],
        [pause(PAUSE_S), bytes(30_000)],
        [heard, reads(30_000)], [reads(30_000), answers()], (408, "rejected", "timeout_body"),
        "timed out waiting for more of the request body",
    ),
    (
        "client reads", "timeout_write_stall_s", [ask()], [pause(PAUSE_S)],
        [heard, answers(body=HALF, length=SIZE), HALF], [], (200, "client_closed", "client_stalled"),
        "the client stopped reading the response",
    ),
    (
        "upstream reads", "timeout_write_stall_s", [ask("POST", length=SIZE), uploads(SIZE)], [],
        [takes_little, heard], [pauses(PAUSE_S), takes_all, reads(SIZE), answers()],
        (504, "upstream_timeout", "upstream_timeout"), "the upstream stopped reading the request",
    ),
    (
        "upstream sends", "timeout_upstream_idle_s", [ask(), see(b"half")], [],
        [heard, answers(body=b"half", length=8)], [pauses(PAUSE_S), b"half"], (200, "truncated", "upstream_timeout"),
        "timed out waiting for more of the response",
    ),
)  # fmt: skip

ROWS = [
    *(
        Row(
            f"a pause in which the {name} ends by its own limit",
            [*begins, recorded(*record, reason=f"{reason} ({SHORT_S:g} s, {own})".encode())],
            [*serves, waits],
            rule="P17",
            settings=timed(own, is_short=True),
            is_slow=name == "client reads",
        )
        for name, own, begins, _, serves, _, record, reason in PAUSES
    ),
    *(
        Row(
            f"a pause in which the {name} is ended by no other limit",
            [*begins, *goes_on, hear(), recorded(200)],
            [*serves, *ends, gone],
            rule="P17",
            settings=timed(own, is_short=False),
            is_slow=name == "client reads",
        )
        for name, own, begins, goes_on, serves, ends, *_ in PAUSES
    ),
]


test_timeouts = played(ROWS)


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
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            connection.h2.increment_flow_control_window(1 << 30)
            connection.flush()
            may_read.wait(PATIENCE_S)
        elif request.is_ended:
            connection.respond(request)

    settings = {SettingCodes.INITIAL_WINDOW_SIZE: 1 << 30}
    plane = start(Http2Upstream(answer, settings), route=HTTP2, timeout_first_byte_s=SHORT_S)
    with plane.connect() as silent, plane.connect() as neighbour:
        silent.send(b"POST /silent HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nte")
        eventually(lambda: plane.counters().connections_upstream == 1)
        silent.send(b"xt")
        neighbour.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n")
        sender = threading.Thread(target=neighbour.send, args=(bytes(2_000_000),))
        sender.start()
        assert silent.answer().status == 504
        plane.engine.routes.routes[0].deadlines = Deadlines(LimitSettings())
        may_read.set()
        assert neighbour.answer().status == 200
        sender.join()
