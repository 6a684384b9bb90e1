"""Bodies on streams to upstreams: those that are not taken hold up no others."""

from h2.settings import SettingCodes

from proxy.http2.errors import ErrorCode
from tests.proxy.conftest import Start
from tests.proxy.worker.upstream.http2_calls import (
    HTTP2,
    open_streams,
    speaking,
    upstream_streams,
    with_path,
)
from tests.support.http2_client import POST
from tests.support.http2_upstream import Connection, Http2Upstream, Request
from tests.support.plane import eventually


def test_an_upload_that_is_not_taken_stops_and_holds_up_no_other(start: Start) -> None:
    """The client may send no more than two windows of it, and other streams of both connections go
    on.
    """

    def answer(connection: Connection, request: Request) -> None:
        if request.is_ended:
            connection.respond(request, b"fine")

    plane = start(Http2Upstream(answer, takes_all=False), route=HTTP2)
    with speaking(plane) as client:
        stuck = [client.begin(with_path("/stuck", POST), is_end=False) for _ in range(20)]
        for stream in stuck[:1]:
            sent = 0
            while sent < 10 << 20 and (room := client.h2.local_flow_control_window(stream)):
                client.h2.send_data(stream, bytes(min(room, 16384)))
                sent += min(room, 16384)
                client.flush()
            assert sent <= 3 * 65535

        for _ in range(5):
            assert client.ask().body == b"fine"
        for stream in stuck:
            client.h2.reset_stream(stream)
        client.flush()
        eventually(lambda: upstream_streams(plane) == 0)
        assert client.ask().body == b"fine"


def test_responses_that_are_not_taken_hold_up_no_other(start: Start) -> None:
    """Forty stalled ones of 64 KiB each wait here and no more; one beside them passes, over the
    same connections.
    """

    def answer(connection: Connection, request: Request) -> None:
        if request.fields[":path"] == "/":
            connection.respond(request, b"fine")
        else:
            connection.respond(request, bytes(16384), is_end=False)
            for _ in range(3):
                connection.h2.send_data(request.id, bytes(16000))
            connection.flush()

    upstream = Http2Upstream(answer)
    plane = start(upstream, route=HTTP2)
    with speaking(plane, takes_all=False) as client:
        for _ in range(40):
            client.begin(with_path("/large"))
        with speaking(plane) as other:
            for _ in range(5):
                assert other.ask().body == b"fine"

    eventually(lambda: open_streams(plane) == 0)
    assert len(upstream.connections) == 1


def test_an_upload_that_was_refused_while_it_waited_goes_on(start: Start) -> None:
    """The window of the first stream holds up the second one no more."""

    def answer(connection: Connection, request: Request) -> None:
        if request.id == 1 and request.body and not request.is_done:
            request.is_done = True
            connection.h2.reset_stream(1, ErrorCode.REFUSED_STREAM)
            connection.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 65535})
            connection.flush()
        elif request.id == 3 and request.is_ended:
            connection.respond(request, b"%d" % len(request.body))

    plane = start(Http2Upstream(answer, {SettingCodes.INITIAL_WINDOW_SIZE: 1000}), route=HTTP2)
    with plane.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n" + bytes(20_000))
        eventually(lambda: plane.counters().upstream_retries)
        client.send(bytes(30_000))
        assert client.answer().body == b"50000"
