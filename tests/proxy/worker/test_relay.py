"""The answering half of a client connection: responses, failures, back-pressure, what is recorded
when.
"""

import socket
import threading
import time
from collections.abc import Callable

import pytest

from proxy.ring.exchange import FLAG_OWN_RESPONSE, FLAG_REQUEST_COMPLETE, NOTE_MESSAGE
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.test_downstream import GET, LOOPS, error, outcome
from tests.support.plane import Loop, eventually
from tests.support.ports import free_port
from tests.support.script import OK, Script
from tests.support.upstream import read_head

HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"


def once(*answers: bytes, wait_s: float = 0.0) -> Callable[[socket.socket, int], None]:
    """An upstream that reads a head, sends some bytes with pauses, and closes."""

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        for answer in answers:
            connection.sendall(answer)
            time.sleep(wait_s)

    return upstream


@pytest.mark.parametrize(
    ("raw", "answer", "status", "framing"),
    [
        (HEAD, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, ("5", None)),
        (HEAD, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, (None, "chunked")),
        (GET, b"HTTP/1.1 204 No Content\r\n\r\n", 204, (None, None)),
        (GET, b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, (None, None)),
        (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, ("5", None)),
        (GET, b"HTTP/1.1 304 Not Modified\r\n\r\n", 304, (None, None)),
        (GET, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, ("0", None)),
    ],
)
def test_answers_without_a_body_leave_both_connections_open(
    start: Start, raw: bytes, answer: bytes, status: int, framing: tuple[str | None, str | None]
) -> None:
    """HEAD, 204 and 304 have no body whatever their framing says, and end with their head."""
    script = Script(answer, OK)
    plane = start(script).trust_upstreams()
    with plane.connect() as client:
        client.send(raw)
        found = client.answer(raw.partition(b" ")[0].decode())
        assert (found.status, found.field("Content-Length"), found.field("Transfer-Encoding")) == (
            status,
            *framing,
        )
        client.send(GET)
        assert client.answer().body == b"ok"

    first, _ = plane.exchanges(2)
    assert (first.status, first.response_bytes, outcome(first)) == (status, 0, Outcome.OK)
    assert script.connections == 1


@pytest.mark.parametrize("loop", LOOPS)
def test_chunks_pass_as_they_come(start: Start, loop: Loop) -> None:
    """A chunked response is passed on without waiting for its end, framed anew, extensions dropped."""

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n")
        connection.recv(1)  # goes on only when the client, which has seen the first chunk, leaves

    plane = start(upstream, loop=loop)
    with plane.connect() as client:
        client.send(GET)
        assert b"Transfer-Encoding: chunked" in client.head()
        assert client._line() == (b"2", True)
        assert client._exactly(2) == (b"ab", True)

    exchange = plane.exchange()
    assert (outcome(exchange), exchange.response_window) == (Outcome.CLIENT_CLOSED, b"ab")


def test_chunked_responses_are_kept_apart(start: Start) -> None:
    """A chunked response cut into any packets is the same body, and the connections live on."""
    raw = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
        b"chunked\r\n\r\n3\r\nabc\r\n2;e=f\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
    )

    def upstream(connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while read_head(connection):
            for at in range(len(raw)):
                connection.sendall(raw[at : at + 1])

    plane = start(upstream)
    with plane.connect() as client:
        for _ in range(3):
            client.send(GET)
            answer = client.answer()
            assert (answer.body, answer.is_complete) == (b"abcde", True)

    assert [e.response_window for e in plane.exchanges(3)] == [b"abcde"] * 3


def test_a_response_without_length_ends_with_its_connection(start: Start) -> None:
    """A close-delimited response becomes a chunked one, and the client's connection stays."""
    plane = start(once(b"HTTP/1.1 200 OK\r\n\r\nuntil ", b"close"))
    with plane.connect() as client:
        for _ in range(2):
            client.send(GET)
            answer = client.answer()
            assert (answer.body, answer.field("Transfer-Encoding")) == (b"until close", "chunked")

    assert [outcome(e) for e in plane.exchanges(2)] == [Outcome.OK] * 2


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n",
    ],
)
def test_a_cut_response_is_visibly_cut(start: Start, answer: bytes, loop: Loop) -> None:
    """What the upstream did not finish never looks finished: the client sees a reset, the record
    says truncated.
    """
    plane = start(once(answer, wait_s=0.02), loop=loop)
    with plane.connect() as client:
        client.send(GET)
        assert not client.answer().is_complete
    exchange = plane.exchange()
    assert (exchange.status, outcome(exchange)) == (200, Outcome.TRUNCATED)
    assert error(exchange) in ("upstream_reset", "upstream_bad_response")
    # A chunk error takes what came in the same packet along.
    assert exchange.response_window in (b"", b"short")


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    "body", [b"Content-Length: 9\r\n\r\nshort", b"Transfer-Encoding: chunked\r\n\r\n9\r\nshort"]
)
def test_what_comes_together_with_the_cut_is_passed_on(
    start: Start, body: bytes, loop: Loop
) -> None:
    """A worker that finds both at once breaks off behind what it has, as its record says."""

    def upstream(connection: socket.socket, number: int) -> None:
        def answer_and_end() -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + body)
            connection.shutdown(socket.SHUT_RDWR)

        read_head(connection)
        plane.run(answer_and_end)  # while the loop stands still

    plane = start(upstream, loop=loop)
    with plane.connect() as client:
        client.send(GET)
        answer = client.answer()
    assert (answer.body, answer.is_complete, plane.exchange().response_window) == (
        b"short",
        False,
        b"short",
    )


@pytest.mark.parametrize("loop", LOOPS)
def test_a_cut_response_to_an_http10_client_is_a_reset(start: Start, loop: Loop) -> None:
    """Where the end of the connection is the end of the body, only a reset tells a cut from an end."""
    plane = start(
        once(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", wait_s=0.05),
        loop=loop,
    )
    with plane.connect() as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert not client.answer().is_complete
    assert outcome(plane.exchange()) is Outcome.TRUNCATED


@pytest.mark.parametrize("loop", LOOPS)
def test_a_response_cut_off_by_shutdown_is_a_reset(start: Start, loop: Loop) -> None:
    """What draining cuts off is recorded as such, and looks cut even where no length was announced."""

    def upstream(connection: socket.socket, number: int) -> None:
        if b"GET" in read_head(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\npart")
        connection.recv(1)

    plane = start(upstream, loop=loop)
    with plane.connect() as client, plane.connect() as waiting:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        client.head()
        waiting.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
        eventually(lambda: plane.counters().connections_upstream == 2)
        plane.stop()
        assert not _ends_in_order(client)
        assert waiting.is_ended()

    exchanges = plane.exchanges(2)
    assert {(e.status, outcome(e)) for e in exchanges} == {
        (200, Outcome.SHUTDOWN),
        (503, Outcome.SHUTDOWN),
    }
    assert {e.notes[NOTE_MESSAGE] for e in exchanges} == {
        b"cut off at the stop (0.05 s, drain_timeout_s)"
    }


def _ends_in_order(client: object) -> bool:
    try:
        client.rest()  # type: ignore[attr-defined]
    except ConnectionResetError:
        return False
    return True


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "upstream_reset"),
        (b"HTTP/1.1 200 OK\r\nContent-", "upstream_reset"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "upstream_bad_response",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "upstream_bad_response"),
        (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n", "upstream_bad_response"),
        (b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n", "upstream_bad_response"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "upstream_bad_response"),
        (b"HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n", "upstream_bad_response"),
        (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "upstream_bad_response"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "upstream_bad_response"),
        (b"HTT", "upstream_reset"),
        (b"\r\n", "upstream_reset"),
        (b"SSH-2.0-server\r\n\r\n", "upstream_bad_response"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 24_000, "upstream_bad_response"),
    ],
)
def test_no_response_from_the_upstream_is_502(start: Start, answer: bytes, code: str) -> None:
    """An upstream that breaks off before a head, or sends none that can be believed, is answered
    for.
    """
    plane = start(once(answer))
    with plane.connect() as client:
        client.send(GET)
        found = client.answer()
        assert (found.status, found.field("X-Sidelog-Error"), found.field("Connection")) == (
            502,
            code,
            None,
        )

    exchange = plane.exchange()
    assert (exchange.status, outcome(exchange), error(exchange)) == (
        502,
        Outcome.UPSTREAM_ERROR,
        code,
    )
    assert exchange.flags & FLAG_OWN_RESPONSE
    assert plane.counters().upstream_errors == {("0", code.removeprefix("upstream_")): 1}


def test_nobody_listening_is_502_and_the_client_may_go_on(start: Start) -> None:
    """A refused upstream connection is answered, large upload or not, and the client's connection
    is not stuck.
    """
    plane = start(f"http://127.0.0.1:{free_port()}")
    with plane.connect() as client:
        for size in (0, 3, 200_000):
            client.send(
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
            )
            answer = client.answer()
            assert (answer.status, answer.field("X-Sidelog-Error")) == (502, "upstream_refused")
            if answer.field("Connection") == "close":
                break
        else:
            client.send(HEAD)
            assert client.answer("HEAD").status == 502
            assert plane.exchanges(4)[3].response_bytes == 0
            return

    plane.exchanges(3)


def test_silence_is_504(start: Start) -> None:
    """An upstream that does not begin to answer in time, or stalls where that is limited, is given
    up.
    """
    for_silence = start(_silent, timeout_first_byte_s=0.3)
    with for_silence.connect() as client:
        client.send(GET)
        assert client.answer().status == 504
    for_stalls = start(_silent, timeout_upstream_idle_s=0.3)
    with for_stalls.connect() as client:
        client.send(b"GET /start HTTP/1.1\r\nHost: a\r\n\r\n")
        assert not client.answer().is_complete
    silent = for_silence.exchange()
    stalled = for_stalls.exchange()
    assert (silent.status, outcome(silent), error(silent)) == (
        504,
        Outcome.UPSTREAM_TIMEOUT,
        "upstream_timeout",
    )
    assert (stalled.status, outcome(stalled), error(stalled)) == (
        200,
        Outcome.TRUNCATED,
        "upstream_timeout",
    )


def _silent(connection: socket.socket, number: int) -> None:
    if b"/start" in read_head(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
    connection.recv(1)


@pytest.mark.parametrize("loop", LOOPS)
def test_an_early_answer_reaches_a_client_that_still_uploads(start: Start, loop: Loop) -> None:
    """The upstream's answer is passed on, then both connections end; the record says the request
    was not complete.
    """

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")

    plane = start(upstream, loop=loop)
    with plane.connect() as client:
        client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 100_000
        )
        answer = client.answer()
        assert (answer.status, answer.body, answer.field("Connection")) == (413, b"big", "close")
        assert client.is_ended()

    exchange = plane.exchange()
    assert (exchange.status, outcome(exchange)) == (413, Outcome.OK)
    assert not exchange.flags & FLAG_REQUEST_COMPLETE
    eventually(lambda: plane.counters().connections_upstream == 0)


def test_a_response_may_begin_before_the_request_ends(start: Start) -> None:
    """Both directions flow at once; the answer is not cut when the request goes on."""

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        assert connection.recv(10) == b"body"
        connection.sendall(b"cd")
        connection.recv(1)

    plane = start(upstream)
    with plane.connect() as client:
        client.send(POST[:-4])
        assert b"Connection: close" not in client.head()
        client.send(b"body")
        assert client._exactly(4) == (b"abcd", True)

    exchange = plane.exchange()
    assert (outcome(exchange), exchange.request_bytes, exchange.response_window) == (
        Outcome.OK,
        4,
        b"abcd",
    )
    assert exchange.flags & FLAG_REQUEST_COMPLETE


def test_interim_answers_are_never_the_final_one(start: Start) -> None:
    """A 103 goes to the client and the final answer follows; an unasked 100 is dropped, 1.0 clients
    get neither.
    """
    script = Script(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK
    )
    plane = start(script)
    with plane.connect() as client:
        client.send(GET)
        assert client.head() == b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        assert client.answer().body == b"ok"

    with plane.connect() as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.head().startswith(b"HTTP/1.1 200")
    assert [e.status for e in plane.exchanges(2)] == [200, 200]


def test_the_record_is_there_before_the_last_byte(start: Start) -> None:
    """Whoever has a complete answer finds its record pushed."""
    streamed = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    plane = start(Script(OK, streamed, b"HTTP/1.1 204 No Content\r\n\r\n", streamed, OK))
    with plane.connect() as client:
        for count in range(1, 101):
            client.send(GET)
            client.answer()
            assert plane.reader.pushed == count

    plane.exchanges(100)


def test_chunks_of_event_streams_are_timed(start: Start) -> None:
    """The timeline of an event stream notes each chunk; other responses have none."""
    events = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    has_passed = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(events + b"3\r\na\n\n\r\n")
        assert has_passed.wait(60)
        time.sleep(0.03)
        connection.sendall(b"3\r\nb\n\n\r\n0\r\n\r\n")

    plane = start(upstream)
    with plane.connect() as client:
        client.send(GET)
        client.head()
        assert client._line() == (b"3", True)
        has_passed.set()
        assert client.socket.recv(1)

    exchange = plane.exchange()
    assert [size for size, _ in exchange.timeline] == [3, 6]
    times = [at_us for _, at_us in exchange.timeline]
    assert times[1] - times[0] >= 20_000


@pytest.mark.parametrize(
    ("provider", "is_timed"), [("ollama", True), ("openai", True), ("none", False)]
)
def test_chunks_are_timed_on_a_route_that_names_its_provider(
    start: Start, provider: str, is_timed: bool
) -> None:
    """Lines of JSON and arrays stream as events do."""
    lines = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: "
        b"chunked\r\n\r\n"
    )
    plane = start(
        Script(lines + b"3\r\n{}\n\r\n3\r\n{}\n\r\n0\r\n\r\n"), route={"provider": provider}
    )
    plane.call(b"POST /api/chat HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", "POST")
    assert bool(plane.exchange().timeline) is is_timed


REFUSED = (
    b"GET /out HTTP/1.1\r\nHost: a\r\n",
    b"GET /in/../out HTTP/1.1\r\nHost: a\r\n",
    b"POST /in/ HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n",
    b"GET /in/ HTTP/1.1\r\nHost: a\r\nX-Sidelog-Hop: Side-1\r\n",
)


@pytest.mark.parametrize("request_bytes", REFUSED)
@pytest.mark.parametrize(
    ("trusted", "client"), [(("127.0.0.1",), b"192.0.2.9"), ((), b"127.0.0.1")]
)
def test_a_refusal_is_recorded_with_its_client(
    start: Start, request_bytes: bytes, trusted: tuple[str, ...], client: bytes
) -> None:
    """Behind a trusted proxy it is the client's request that was refused, not the proxy's."""
    plane = start(Script(), trusted_proxies=trusted, max_body_bytes=5, route={"path": "/in/"})
    plane.call(request_bytes + b"X-Forwarded-For: 192.0.2.9\r\n\r\n")
    exchange = plane.exchange()
    assert exchange.status in (400, 404, 413, 508)
    assert exchange.client == client
