"""Answers that are there before the request is: the client gets them, and the record what the
client was sending.
"""

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.ring.exchange import FLAG_REQUEST_COMPLETE
from proxy.settings.model import CaptureLevel, CaptureSettings
from proxy.worker import deadlines
from storage.record import Outcome
from tests.fuzz.world import World
from tests.proxy.conftest import Start
from tests.proxy.worker.test_downstream import GET, LOOPS, error, outcome
from tests.support.certificate import self_signed
from tests.support.plane import Loop, Plane, eventually
from tests.support.ports import free_port
from tests.support.script import OK
from tests.support.upstream import read_head, scripted

CALL = json.dumps(
    {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search"}}
).encode()
REFUSAL = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlong"


def post(size: int, *fields: bytes) -> bytes:
    """The head of an upload."""
    return b"POST /call HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%b\r\n" % (
        size,
        b"".join(fields),
    )


def refuse(connection: socket.socket, number: int) -> None:
    """Read the head, answer, and close with the body unread: the kernel resets the connection."""
    read_head(connection)
    connection.sendall(REFUSAL)


@pytest.fixture
def refusing() -> str:
    """An address where nothing listens."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body is waited for, however late a busy machine sends it."""
    monkeypatch.setattr(deadlines, "LATE_BODY_NS", 60_000_000_000)


def await_ending(plane: Plane) -> None:
    """Return when an answer is sent, and its record waits for the body of its request."""
    eventually(lambda: plane.has_downstream(lambda each: each._relay.is_answered))


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.usefixtures("patient")
def test_the_body_of_a_request_to_a_dead_upstream_is_recorded(
    start: Start, refusing: str, loop: Loop
) -> None:
    """Most clients send head and body in two writes: the failure is known before the second is
    here.
    """
    plane = start(refusing, loop=loop)
    with plane.connect() as client:
        for number in range(3):
            client.send(post(len(CALL)))
            answer = client.answer()
            assert (answer.status, answer.field("Connection")) == (502, None)
            assert plane.unread == number
            client.send(CALL)
            eventually(lambda: not plane.has_downstream(lambda each: each._relay.is_answered))

    for exchange in plane.exchanges(3):
        assert (exchange.request_window, error(exchange)) == (CALL, "upstream_refused")
        assert exchange.flags & FLAG_REQUEST_COMPLETE


@pytest.mark.usefixtures("patient")
def test_a_chunked_body_is_recorded_too(start: Start, refusing: str) -> None:
    """The end of a body without a length is its last chunk."""
    plane = start(refusing)
    with plane.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        answer = client.answer()
        # How much would have to be read?
        assert (answer.status, answer.field("Connection")) == (502, "close")
        client.send(b"4\r\nbody\r\n0\r\n\r\n" + GET)
        assert plane.exchange().request_window == b"body"
        assert client.is_ended()


@pytest.mark.usefixtures("patient")
def test_a_long_body_is_read_as_far_as_it_is_kept(start: Start, refusing: str) -> None:
    """The record waits for the window, not for the end of an upload, which its client need not
    send.
    """
    plane = start(refusing, capture=CaptureSettings(request_body_bytes=1000))
    with plane.connect() as client:
        client.send(post(10_000_000))
        answer = client.answer()
        assert (answer.status, answer.field("Connection")) == (502, "close")
        client.send(bytes(3000))
        exchange = plane.exchange()

    assert exchange.request_window == bytes(1000)
    assert not exchange.flags & FLAG_REQUEST_COMPLETE


def test_a_body_that_does_not_come_is_waited_for_a_second(start: Start, refusing: str) -> None:
    """Then its client's connection is closed, and the record says how much came."""
    plane = start(refusing)
    with plane.connect() as client:
        client.send(post(100) + b"part")
        assert client.answer().status == 502
        exchange = plane.exchange()
        assert client.is_ended()

    assert (exchange.request_window, exchange.flags & FLAG_REQUEST_COMPLETE) == (b"part", 0)
    assert exchange.ended_ns < 1_000_000_000  # it ended with its answer


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("level", ["body", "headers"])
@pytest.mark.parametrize(("size", "connection"), [(60_000, None), (200_000, "close")])
def test_what_an_early_answer_says_is_not_the_matter_of_its_record(
    start: Start, size: int, connection: str | None, level: CaptureLevel
) -> None:
    """The rest of a short body is read in any case; of a long one the client reads at once that it
    need not come.
    """

    def upstream(own: socket.socket, number: int) -> None:
        read_head(own)
        own.sendall(OK)
        own.recv(100)

    plane = start(upstream, capture=CaptureSettings(level=level))
    with plane.connect() as client:
        client.send(post(size))
        answer = client.answer()
        assert (answer.status, answer.field("Connection")) == (200, connection)

        if connection is None:
            client.send(bytes(size) + GET)
            assert client.answer().status == 200
            plane.exchange()

    assert plane.exchange().status == 200


@pytest.mark.parametrize(
    ("fields", "capture"),
    [((b"Expect: 100-continue\r\n",), CaptureSettings()), ((), CaptureSettings(level="headers"))],
    ids=["nobody asked for it", "nothing is kept"],
)
def test_a_body_that_is_not_wanted_is_not_waited_for(
    start: Start,
    refusing: str,
    fields: tuple[bytes, ...],
    capture: CaptureSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who waits for a 100 sends no body before it, and a level without bodies keeps none."""
    monkeypatch.setattr(deadlines, "LINGER_NS", 60_000_000_000)  # the connection can be looked at
    plane = start(refusing, capture=capture)
    with plane.connect() as client:
        client.send(post(200_000, *fields))
        assert client.answer().status == 502
        (connection,) = plane.downstreams
        assert not connection._relay.is_answered

    plane.exchange()


@pytest.mark.usefixtures("patient")
def test_a_client_that_leaves_while_its_body_is_waited_for_is_recorded(
    start: Start, refusing: str
) -> None:
    """It was answered before."""
    plane = start(refusing)
    with plane.connect() as client:
        client.send(post(100) + b"part")
        await_ending(plane)
    exchange = plane.exchange()
    assert (exchange.status, outcome(exchange), exchange.request_window) == (
        502,
        Outcome.UPSTREAM_ERROR,
        b"part",
    )


def test_what_stalls_is_cut_off_at_a_stop(start: Start, refusing: str) -> None:
    """A stop does not wait for bodies longer than its own time."""
    plane = start(refusing)
    with plane.connect() as client:
        client.send(post(100) + b"part")
        eventually(lambda: plane.counters().connections_downstream)
        time.sleep(0.05)
        plane.stop()
        exchange = plane.exchange()

    assert outcome(exchange) in (Outcome.SHUTDOWN, Outcome.UPSTREAM_ERROR)


ANSWERS = {
    "in one write": (b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno", b"no"),
    "in chunks": (
        b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
        b"no",
    ),
    "empty": (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", b""),
}


@pytest.mark.parametrize(("answer", "body"), ANSWERS.values(), ids=ANSWERS)
@pytest.mark.usefixtures("patient")
def test_the_body_behind_an_early_answer_is_recorded(
    start: Start, answer: bytes, body: bytes
) -> None:
    """An upstream that answers from the head alone takes nothing from the record."""

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(answer)
        connection.recv(100)

    plane = start(upstream)
    with plane.connect() as client:
        client.send(post(len(CALL)))
        found = client.answer()
        client.send(CALL)
        assert (found.status, found.body, found.is_complete) == (401, body, True)

    exchange = plane.exchange()
    assert (exchange.request_window, exchange.status, outcome(exchange)) == (CALL, 401, Outcome.OK)


def test_the_beginning_of_an_early_answer_is_not_held(start: Start) -> None:
    """A service may stream its response while it reads the request."""
    seen = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
        seen.wait(60)
        assert connection.recv(4) == b"body"
        connection.sendall(b"lf")

    plane = start(upstream)
    with plane.connect() as client:
        client.send(post(4))
        assert client.head().startswith(b"HTTP/1.1 200")
        assert client._exactly(2) == (b"ha", True)
        seen.set()
        client.send(b"body")
        assert client._exactly(2) == (b"lf", True)

    exchange = plane.exchange()
    assert (exchange.request_window, exchange.response_window) == (b"body", b"half")


def upload(plane: Plane, size: int) -> tuple[int, bytes]:
    """Send an upload as most clients do: all of it, and the answer is read when that ends, well or
    not.
    """
    with plane.connect() as client:
        with contextlib.suppress(OSError):
            client.send(post(size))
            client.send(bytes(size))
        answer = client.answer("POST")
        return answer.status, answer.body


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("size", [200_000, 5_000_000])
def test_an_answer_before_a_reset_is_relayed(start: Start, size: int, loop: Loop) -> None:
    """What the upstream sent is read before the failure to send to it counts."""
    plane = start(refuse, loop=loop)
    found = [upload(plane, size) for _ in range(25)]
    assert found == [(413, b"long")] * 25
    assert {(exchange.status, outcome(exchange)) for exchange in plane.exchanges(25)} == {
        (413, Outcome.OK)
    }


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_so_is_one_over_tls(start: Start, tmp_path: Path, host: str, loop: Loop) -> None:
    """Of a connection that failed the loop has only ciphertext."""
    cert, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def refuse_secured(connection: socket.socket, number: int) -> None:
        # Or it resets before it sends.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(connection.dup(), server_side=True) as secure:
            refuse(secure, number)

    with scripted(refuse_secured) as url:
        url = url.replace("http://127.0.0.1", f"https://{host}")
        plane = start(url, loop=loop, route={"upstream_ca_file": str(cert)})
        found = [upload(plane, 5_000_000) for _ in range(15)]
        assert found == [(413, b"long")] * 15
        assert {(exchange.status, outcome(exchange)) for exchange in plane.exchanges(15)} == {
            (413, Outcome.OK)
        }


def reset_after(answer: bytes) -> Callable[[socket.socket, int], None]:
    """Answer some bytes to the head, and close with the body unread."""

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(answer)

    return upstream


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 413 Content", REFUSAL[:-2]])
def test_half_an_answer_before_a_reset_is_none(start: Start, answer: bytes) -> None:
    """What breaks off is a failure, however early it began."""
    plane = start(reset_after(answer))
    with plane.connect() as client, contextlib.suppress(OSError):
        client.send(post(5_000_000))
        client.send(bytes(5_000_000))
        assert client.answer().status == 502 or answer == REFUSAL[:-2]

    exchange = plane.exchange()
    expected = Outcome.TRUNCATED if answer == REFUSAL[:-2] else Outcome.UPSTREAM_ERROR
    assert (outcome(exchange), error(exchange)) == (expected, "upstream_reset")


@pytest.mark.usefixtures("patient")
def test_the_connection_goes_on_behind_a_body_that_came(start: Start) -> None:
    """An early answer to a request that became complete costs its client no connection."""

    def upstream(connection: socket.socket, number: int) -> None:
        while read_head(connection):
            connection.sendall(OK)
            connection.recv(4)

    plane = start(upstream)
    with plane.connect() as client:
        for _ in range(2):
            client.send(post(4))
            assert client.answer().status == 200
            client.send(b"body")

    assert [exchange.request_window for exchange in plane.exchanges(2)] == [b"body"] * 2


@pytest.mark.parametrize("chunks", [10, 1000], ids=["all read", "some in hand"])
def test_what_follows_a_refused_upload_is_drained(
    start: Start, chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many chunks were in hand at the refusal: left unread they would turn the close into a
    reset (P16).
    """
    monkeypatch.setattr(deadlines, "LINGER_NS", 5_000_000_000)

    def upstream(connection: socket.socket, number: int) -> None:
        connection.recv(1)

    plane = start(upstream, max_body_bytes=10)
    chunk = b"2\r\n\r\n\r\n"  # no run of these is taken in one go
    with plane.connect() as client:
        client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * chunks
        )
        plane.exchange()
        client.send(chunk * 1000)
        eventually(lambda: plane.counters().connections_downstream == 0)
        assert client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert client.answer().status == 413


def test_a_malformed_body_behind_an_answer_is_not_answered_again() -> None:
    """The record has the response that the client got."""
    world = World()
    client = world.client()
    client.deliver(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    world.pump()
    (upstream,) = world.upstreams
    upstream.deliver(OK)
    client.deliver(b"zz\r\n")
    world.pump()
    (record,) = world.records()
    assert (record.status, record.response_head, record.request_window) == (200, OK[:-2], b"abc")
    assert bytes(client.written).count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("answer", "status", "ended"),
    [
        (b"HTTP/1.1 413 Content Too Large\r\n\r\ntoo long", 413, Outcome.OK),
        (
            b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 10\r\n\r\ntoo",
            413,
            Outcome.TRUNCATED,
        ),
        (b"", 502, Outcome.UPSTREAM_ERROR),
    ],
    ids=["whole", "cut", "none"],
)
def test_an_upstream_that_ends_its_side_and_reads_no_more_is_done(
    start: Start, answer: bytes, status: int, ended: Outcome, loop: Loop
) -> None:
    """Its connection stays open, and the upload would fill it until the deadline of a stalled peer."""
    is_over = threading.Event()

    def half_close(connection: socket.socket, number: int) -> None:
        read_head(connection)
        eventually(lambda: plane.run(lambda: is_full(plane)))
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        is_over.wait(60)

    plane = start(half_close, loop=loop)
    with plane.connect() as client:
        sending = threading.Thread(target=send_what_is_taken, args=(client.socket,))
        sending.start()
        began = time.monotonic()
        assert client.answer().status == status
        exchange = plane.exchange()
        assert time.monotonic() - began < 30
        is_over.set()
        with contextlib.suppress(OSError):  # it was reset, with a response that was cut
            client.socket.shutdown(socket.SHUT_RDWR)
        sending.join()

    assert (exchange.status, outcome(exchange)) == (status, ended)


def is_full(plane: Plane) -> bool:
    """Whether an upload waits for its upstream."""
    return any(connection._relay.is_upload_paused for connection in plane.downstreams)


def send_what_is_taken(client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        client.sendall(post(50_000_000) + bytes(50_000_000))
