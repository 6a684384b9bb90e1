"""What clients of HTTP/2 wait for recording, and what a flood leaves in the ring (P30, F11)."""

import socket
import threading

from proxy.settings.model import CaptureSettings
from tests.proxy.conftest import Start
from tests.proxy.worker.records import error
from tests.proxy.worker.test_recording_pace import fill, release_one
from tests.proxy.worker.upstream.http2_calls import connections, speaking
from tests.support.http2_client import POST
from tests.support.plane import PATIENCE_S, eventually
from tests.support.script import OK, Script
from tests.support.upstream import read_head

BODY = b"x" * 50_000
FILLED = 10


def test_a_request_waits_once_and_what_follows_it_stays_in_order(start: Start) -> None:
    """Its body, and the requests behind it on the connection, come after it; its record says how
    long it waited.
    """
    plane = start(Script(*[OK] * 40), ring_bytes=1 << 20, capture=CaptureSettings(max_wait_ms=40))
    fill(plane, FILLED)
    release_one(plane.reader)
    before = plane.counters().recording_waits

    with speaking(plane) as client:
        first = client.begin(POST, b"first")
        second = client.begin(POST, b"second")
        assert [client.answer(stream_id).body for stream_id in (first, second)] == [b"ok", b"ok"]

    assert 1 <= plane.counters().recording_waits - before <= 2
    # Either may end first.
    one, two = sorted(plane.exchanges(plane.unread)[-2:], key=lambda each: each.request_bytes)
    assert one.waited_ms > 0
    assert (one.request_bytes, two.request_bytes) == (5, 6)


def test_what_runs_does_not_wait_for_recording(start: Start) -> None:
    """Frames of an upload pass at once, however full the ring is."""
    is_asked = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        while head := read_head(connection):
            is_upload = b"chunked" in head
            if is_upload:
                is_asked.set()
            received = b""
            while not received.endswith(b"0\r\n\r\n") if is_upload else len(received) < 65536:
                received += connection.recv(65536)
            connection.sendall(OK)

    plane = start(upstream, ring_bytes=1 << 20, capture=CaptureSettings(max_wait_ms=40))
    with speaking(plane) as client:
        upload = client.begin(POST, is_end=False)
        assert is_asked.wait(PATIENCE_S)
        fill(plane, FILLED)
        release_one(plane.reader)
        before = plane.counters().recording_waits
        for number in range(10):
            client.h2.send_data(upload, b"piece", end_stream=number == 9)
            client.flush()
        assert client.answer(upload).body == b"ok"

    assert plane.counters().recording_waits == before


def test_a_client_that_leaves_while_its_request_waits_begins_nothing(start: Start) -> None:
    """What waits is forgotten with its connection."""
    plane = start(
        Script(*[OK] * 40), ring_bytes=1 << 20, capture=CaptureSettings(max_wait_ms=5_000)
    )
    fill(plane, FILLED)
    release_one(plane.reader)
    count = plane.unread
    with speaking(plane) as client:
        client.begin(POST, b"body")
        eventually(lambda: any(each._held_events for each in connections(plane)))
    eventually(lambda: not plane.engine.connections)
    assert plane.unread == count


def test_a_flood_leaves_no_bodies_in_the_ring(start: Start) -> None:
    """What it asked for is on record, with sizes; what came of it would hold up the requests of
    others (P30).
    """
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * len(BODY))

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(head + BODY)
        while connection.recv(65536):
            pass

    plane = start(upstream)
    with speaking(plane, takes_all=False) as client:
        running = [client.begin(), client.begin(POST, BODY[:1000], is_end=False)]
        for stream_id in running:
            while not client.streams[stream_id].body:
                assert client.read()
        client.socket.sendall((b"\0\0\x08\6\0\0\0\0\0" + bytes(8)) * 4000)
        client.hear_out()

    # On its loop: streams end in the same step.
    eventually(lambda: not plane.run(lambda: plane.engine.connections))
    found = [
        exchange for exchange in plane.exchanges(plane.unread) if error(exchange) != "http2_flood"
    ]
    assert len(found) == 2
    assert sorted(exchange.request_bytes for exchange in found) == [0, 1000]
    for exchange in found:
        assert exchange.response_bytes > 0
        assert not exchange.request_window + exchange.response_window + exchange.response_tail
