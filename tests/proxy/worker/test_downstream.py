"""The client side of the default engine: reading requests, framing, refusals, deadlines, leaving
clients.
"""

import socket
import threading
import time
from typing import Final

import pytest

from proxy.ring.exchange import (
    ERROR_CODES,
    FLAG_HTTP10,
    FLAG_OWN_RESPONSE,
    FLAG_REQUEST_COMPLETE,
    NO_ROUTE,
    CapturedExchange,
)
from storage.record import OUTCOMES, Outcome
from tests.proxy.conftest import Start
from tests.support.long import long
from tests.support.plane import INSTANCE, Loop, eventually
from tests.support.script import OK, Script, unchunked
from tests.support.upstream import read_head

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
BOTH: Final[tuple[Loop, ...]] = ("uvloop", "asyncio")
LOOPS: Final = ("uvloop", long("asyncio"))
"""The loop that there is without uvloop is asked with `make long`, and here what makes an exchange.
"""


def outcome(exchange: CapturedExchange) -> Outcome:
    return Outcome(OUTCOMES[exchange.outcome])


def error(exchange: CapturedExchange) -> str:
    return str(ERROR_CODES[exchange.error])


@pytest.mark.parametrize("loop", BOTH)
def test_requests_on_one_connection_are_answered_and_recorded_one_by_one(
    start: Start, loop: Loop
) -> None:
    """A kept-alive connection serves one exchange after the other over one upstream connection."""
    script = Script()
    plane = start(script, loop=loop).trust_upstreams()
    with plane.connect() as client:
        for number in range(5):
            client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
            answer = client.answer()
            assert (answer.status, answer.body) == (200, b"ok")
            assert answer.field("Connection") is None

    exchanges = plane.exchanges(5)
    assert [e.request_head.split(b" ")[1] for e in exchanges] == [b"/%d" % n for n in range(5)]
    assert script.connections == 1
    assert {(e.status, outcome(e), e.response_window, e.client) for e in exchanges} == {
        (200, Outcome.OK, b"ok", b"127.0.0.1")
    }
    assert [e.connect_ns >= 0 for e in exchanges] == [True, False, False, False, False]
    assert all(0 <= e.sent_ns <= e.first_byte_ns <= e.done_ns <= e.ended_ns for e in exchanges)


def test_pipelined_bodies_are_kept_apart(start: Start) -> None:
    """What follows a body, whatever its framing, is the next request and nothing else."""
    script = Script()
    plane = start(script)
    with plane.connect() as client:
        client.send(
            b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst"
            b"POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nsec\r\n3;x=y\r\nond\r\n0\r\nT: r\r\n\r\n"
            b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n"
            b"POST /4 HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70000 + GET
        )
        assert [client.answer().status for _ in range(5)] == [200] * 5

    bodies = [request.partition(b"\r\n\r\n")[2] for request in script.requests]
    assert bodies[0] == b"first"
    assert unchunked(bodies[1]) == b"second"
    assert bodies[2:] == [b"", b"x" * 70000, b""]
    exchanges = plane.exchanges(5)
    assert [e.request_bytes for e in exchanges] == [5, 6, 0, 70000, 0]
    assert exchanges[1].request_window == b"second"
    assert len(exchanges[3].request_window) == 65536
    assert exchanges[3].request_tail == b"x" * (70000 - 65536)


@pytest.mark.parametrize("loop", BOTH)
def test_a_request_byte_by_byte_is_the_same_request(start: Start, loop: Loop) -> None:
    """How the bytes of a request are cut into packets changes nothing."""
    script = Script()
    plane = start(script, loop=loop)
    raw = b"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"

    with plane.connect() as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(raw)):
            client.send(raw[at : at + 1])
        assert client.answer().status == 200

    assert unchunked(script.requests[0].partition(b"\r\n\r\n")[2]) == b"body"
    exchange = plane.exchange()
    assert exchange.request_window == b"body"
    assert exchange.flags & FLAG_REQUEST_COMPLETE


def test_the_head_for_the_upstream_is_canonical(start: Start) -> None:
    """Hop-by-hop fields go, ours are added last, all else stays as it came."""
    script = Script()
    plane = start(script)
    plane.call(
        b"GET http://other:81/p%2F?q=%00 HTTP/1.1\r\nHost: a\r\nConnection: X-Drop, "
        b"X-Forwarded-For\r\nX-Drop: 1\r\n"
        b"X-Forwarded-For: 9.9.9.9\r\nX_Forwarded_For: 8.8.8.8\r\nTE: gzip\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AA\r\n"
        b"Cookie: a=1; sidelog_session=s; b=2\r\nx-KEEP:  two  words \r\nX-Request-Id: r-1\r\n\r\n"
    )
    assert script.requests[0].split(b"\r\n") == [
        b"GET /p%2F?q=%00 HTTP/1.1",
        b"Host: other:81",
        b"Cookie: a=1; b=2",
        b"x-KEEP:  two  words ",
        b"X-Request-Id: r-1",
        b"X-Sidelog-Hop: " + INSTANCE.encode(),
        b"X-Forwarded-For: 9.9.9.9, 127.0.0.1",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Host: other:81",
        b"",
        b"",
    ]
    plane.exchange()


def test_a_request_that_passed_before_is_refused(start: Start) -> None:
    """The loop guard knows this instance by its name, whatever letters that has."""
    plane = start(Script())
    with plane.connect() as client:
        client.send(
            b"GET / HTTP/1.1\r\nHost: a\r\nX-Sidelog-Hop: other, %b\r\n\r\n" % INSTANCE.encode()
        )
        assert client.answer().status == 508

    assert error(plane.exchange()) == "loop_detected"


REFUSED = [
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400),
    (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\n x: folded\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\nContent-Length: 0\r\n\r\n", 400),
    (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    (b"Get / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\nx", 417),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: "
        b"chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 9000 + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + (b"A: " + b"b" * 8000 + b"\r\n") * 5 + b"\r\n", 431),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    (b"GET /" + b"a" * 9000, 414),
    (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 6000, 431),
]


@pytest.mark.parametrize(("raw", "status"), REFUSED)
def test_what_could_be_read_in_two_ways_is_refused_and_closed(
    start: Start, raw: bytes, status: int
) -> None:
    """Nothing of a refused request, nor of what follows it, reaches the upstream; it is recorded
    once.
    """
    script = Script()
    plane = start(script, http2="off")
    with plane.connect() as client:
        client.send(raw + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = client.answer()
        assert answer.status == status
        assert answer.field("Connection") == "close"
        assert client.is_ended()

    exchange = plane.exchange()
    assert (exchange.status, outcome(exchange), exchange.route) == (
        status,
        Outcome.REJECTED,
        exchange.route,
    )
    assert answer.field("X-Sidelog-Error") == error(exchange)
    assert answer.field("X-Sidelog-Id") is not None
    assert exchange.flags & FLAG_OWN_RESPONSE
    assert exchange.response_window == answer.body
    assert script.connections == 0


CHUNKS = [b"0x5\r\nhello\r\n", b"+5\r\nhello\r\n", b"5 \r\nhello\r\n", b"5\nhello\r\n", b"5\r\nhelloX\r\n", b"g\r\n",
          b"5;" + b"e" * 5000 + b"\r\n", b"8000000000000000\r\n", b"0\r\nbad trailer\r\n\r\n"]  # fmt: skip


@pytest.mark.parametrize("chunks", CHUNKS)
def test_bad_chunks_are_refused_and_the_upstream_is_cut_off(start: Start, chunks: bytes) -> None:
    """A chunked body that breaks off in a chunk error never looks complete to the upstream."""
    seen = bytearray()
    is_over = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        try:
            while piece := connection.recv(65536):
                seen.extend(piece)
        except ConnectionResetError:
            pass
        is_over.set()

    plane = start(upstream)
    with plane.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        eventually(lambda: b"ab" in seen)
        client.send(chunks)
        assert client.answer().status == 400
        assert client.is_ended()

    exchange = plane.exchange()
    assert (outcome(exchange), error(exchange)) == (Outcome.REJECTED, "bad_request")
    assert not exchange.flags & FLAG_REQUEST_COMPLETE
    assert is_over.wait(60)
    assert b"0\r\n\r\n" not in seen


def test_no_route_keeps_the_connection(start: Start) -> None:
    """A well-formed request for no route is answered 404, and the connection goes on."""
    plane = start(Script(), route={"path": "/v1/"})
    with plane.connect() as client:
        client.send(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\nGET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n")
        first = client.answer()
        assert (first.status, first.field("Connection")) == (404, None)
        assert client.answer().status == 200
        client.send(b"GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert client.answer().field("Connection") == "close"
        assert client.is_ended()

    refused, passed, last = plane.exchanges(3)
    assert (refused.route, error(refused), passed.route) == (NO_ROUTE, "no_route", 0)
    assert last.flags & FLAG_REQUEST_COMPLETE
    assert plane.counters().requests == {("", "GET", "4xx"): 2, ("0", "GET", "2xx"): 1}


def test_an_error_after_head_has_its_body(start: Start) -> None:
    """The method of an earlier request does not shape the answer to an unreadable one."""
    plane = start(Script())
    with plane.connect() as client:
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.answer("HEAD").status == 200
        client.send(b"NONSENSE\r\n\r\n")
        answer = client.answer()
        assert answer.status == 400
        assert answer.is_complete

    plane.exchanges(2)


def test_bodies_over_the_limit_are_refused(start: Start) -> None:
    """A limit on request bodies holds for announced and for chunked ones."""
    plane = start(Script(), max_body_bytes=10)
    with plane.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n" + b"x" * 10)
        assert client.answer().status == 200
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n" + b"x" * 11)
        assert client.answer().status == 413

    with plane.connect() as client:
        client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n" + b"x" * 11
        )
        assert client.answer().status == 413

    assert [error(e) for e in plane.exchanges(3)] == ["", "body_too_large", "body_too_large"]


def test_expect_continue_is_passed_on_and_answered_by_the_upstream(start: Start) -> None:
    """The upstream's 100 goes to the client that waits for it, then its final answer."""

    def upstream(connection: socket.socket, number: int) -> None:
        assert b"expect: 100-continue" in read_head(connection).lower()
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert connection.recv(100) == b"body"
        connection.sendall(OK)

    plane = start(upstream)
    with plane.connect() as client:
        client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        )
        assert client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"body")
        assert client.answer().status == 200

    exchange = plane.exchange()
    assert (exchange.status, exchange.request_bytes) == (200, 4)


def test_a_body_nobody_asked_for_is_never_the_next_request(start: Start) -> None:
    """Refused without a 100, the body lies unread at the upstream: the next client gets its own
    answer (P5).
    """

    def upstream(connection: socket.socket, number: int) -> None:
        while head := read_head(connection):
            if b"expect: 100-continue" in head.lower():
                connection.sendall(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
            else:
                target = head.split(b" ")[1]
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target)
                )

    plane = start(upstream)
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    fields = b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(smuggled)

    with plane.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + fields + smuggled)
        assert client.answer().status == 417
        client.send(b"GET /same-client HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.answer().body == b"/same-client"

    with plane.connect() as client:
        client.send(b"GET /next-client HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.answer().body == b"/next-client"


def test_http10_clients_get_a_close_and_no_chunks(start: Start) -> None:
    """An HTTP/1.0 client is told the length or sees the end of the connection; keep-alive only
    where it asked.
    """
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    plane = start(Script(chunked, OK, OK))
    with plane.connect() as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        answer = client.answer()
        assert (answer.body, answer.field("Transfer-Encoding"), answer.field("Connection")) == (
            b"ok",
            None,
            "close",
        )

    with plane.connect() as client:
        client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert client.answer().field("Connection") == "keep-alive"
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.answer().field("Connection") == "close"
        assert client.is_ended()

    assert all(e.flags & FLAG_HTTP10 for e in plane.exchanges(3))


def test_an_idle_connection_is_closed_without_a_word(start: Start) -> None:
    """Between requests, silence ends the connection; no record is made of it."""
    plane = start(Script(), timeout_keep_alive_s=0.3)
    with plane.connect() as client:
        client.send(GET)
        client.answer()
        assert client.is_ended()

    plane.exchange()
    assert plane.unread == 0


def test_a_stalled_upload_is_refused(start: Start) -> None:
    """A request body that does not go on ends in 408 and takes the upstream connection with it."""
    plane = start(Script(), timeout_body_idle_s=0.3)
    with plane.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        answer = client.answer()
        assert (answer.status, answer.field("X-Sidelog-Error")) == (408, "timeout_body")

    exchange = plane.exchange()
    assert (outcome(exchange), exchange.request_bytes) == (Outcome.REJECTED, 4)
    eventually(lambda: plane.counters().connections_upstream == 0)


def test_the_client_behind_a_trusted_proxy_is_the_one_of_each_request(start: Start) -> None:
    """Requests of several clients over one connection are told apart, refused ones too."""
    plane = start(Script(), trusted_proxies=("127.0.0.0/8",))
    with plane.connect() as client:
        for address in (b"1.2.3.4", b"5.6.7.8", b"5.6.7.8"):
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: %b\r\n\r\n" % address)
            client.answer()
        client.send(GET)
        client.answer()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        client.answer()

    assert [e.client for e in plane.exchanges(5)] == [
        b"1.2.3.4",
        b"5.6.7.8",
        b"5.6.7.8",
        b"127.0.0.1",
        b"127.0.0.1",
    ]


def test_thousands_of_refusals_are_written_in_turns(start: Start) -> None:
    """Requests that are answered at once wait too when their client does not read, and none is
    dropped.
    """
    plane = start(Script(), route={"path": "/v1/"})
    count = 2000
    with plane.connect(65536) as client:
        client.send(
            b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(count))
        )
        client.finish_sending()
        time.sleep(0.1)

        for number in range(count):
            answer = client.answer()
            assert answer.status == 404
            assert b"'/%d'" % number in answer.body

        assert client.is_ended()

    exchanges = plane.exchanges(count)
    assert [e.request_head.split(b" ")[1] for e in exchanges] == [
        b"/%d" % number for number in range(count)
    ]
