"""What clients and services do beyond the common: it passes, or is answered at once and recorded as
what it is.
"""

import socket
import threading

import pytest

from proxy.ring.exchange import NOTE_REFUSED_HEAD
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.test_downstream import GET, LOOPS, error, outcome
from tests.proxy.worker.test_relay import once
from tests.support.plane import Loop
from tests.support.script import Script
from tests.support.upstream import read_head

TLS_HELLO = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(154))
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@pytest.mark.parametrize("method", [b"LIST", b"M-SEARCH", b"x-Own!"])
def test_a_method_that_nobody_here_knows_passes(start: Start, method: bytes) -> None:
    """Its body is framed as every body is, and the connection goes on."""
    script = Script()
    plane = start(script)
    with plane.connect() as client:
        for _ in range(2):
            client.send(b"%b /v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody" % method)
            assert client.answer().status == 200

    assert [request.partition(b" ")[0] for request in script.requests] == [method] * 2
    assert [exchange.request_window for exchange in plane.exchanges(2)] == [b"body"] * 2


def test_raw_bytes_in_a_target_pass(start: Start) -> None:
    """As curl and old browsers send them."""
    script = Script()
    plane = start(script)
    assert plane.call(b"GET /m\xc3\xa9?\xff HTTP/1.1\r\nHost: a\r\n\r\n") == b"ok"
    assert script.requests[0].startswith(b"GET /m\xc3\xa9?\xff HTTP/1.1\r\n")
    plane.exchange()


def test_a_reason_phrase_passes_as_it_came(start: Start) -> None:
    """Whatever its charset is."""
    plane = start(once(b"HTTP/1.1 404 F\xe4hlt\r\nContent-Length: 0\r\n\r\n"))
    with plane.connect() as client:
        client.send(GET)
        assert client.answer().head.startswith(b"HTTP/1.1 404 F\xe4hlt\r\n")
    plane.exchange()


@pytest.mark.parametrize("status", [600, 799, 999])
def test_a_status_that_no_standard_knows_passes(start: Start, status: int) -> None:
    """Some services answer robots with 999; the record says what they said."""
    plane = start(once(b"HTTP/1.1 %d Odd\r\nContent-Length: 2\r\n\r\nok" % status))
    with plane.connect() as client:
        client.send(GET)
        assert client.answer().status == status
    assert plane.exchange().status == status


@pytest.mark.parametrize("number", [150, 999])
def test_a_response_with_many_fields_passes(start: Start, number: int) -> None:
    """Upstreams set more cookies than any client sends fields, and they are long."""
    cookies = b"".join(b"Set-Cookie: c%d=%b\r\n" % (at, b"v" * 100) for at in range(number))
    plane = start(once(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + cookies + b"\r\nok"))
    with plane.connect() as client:
        client.send(GET)
        answer = client.answer()
        assert (answer.status, answer.head.count(b"Set-Cookie: ")) == (200, number)

    assert plane.exchange().response_head.count(b"Set-Cookie: ") == number


@pytest.mark.parametrize("number", [1001, 2000])
def test_a_response_with_fields_without_number_is_refused(start: Start, number: int) -> None:
    """By their number, or all their bytes."""
    field = b"A:\r\n" if number == 1001 else b"A: %b\r\n" % bytes(70).replace(b"\0", b"a")
    plane = start(once(b"HTTP/1.1 200 OK\r\n" + field * number + b"\r\n"))
    with plane.connect() as client:
        client.send(GET)
        assert client.answer().status == 502
    assert error(plane.exchange()) == "upstream_bad_response"


def test_blanks_before_the_colons_of_a_response_are_removed(start: Start) -> None:
    """A proxy has to (RFC 9112 §5.1); what frames the body is read as it is meant."""
    fields = b"Content-Length : 4\r\nX-Odd\t : a : b\r\n"
    plane = start(
        once(b"HTTP/1.1 103 Hint\r\nLink : a\r\n\r\nHTTP/1.1 200 OK\r\n" + fields + b"\r\nbody")
    )
    with plane.connect() as client:
        client.send(GET)
        assert client.head() == b"HTTP/1.1 103 Hint\r\nLink: a\r\n\r\n"
        answer = client.answer()
        assert (answer.body, answer.field("X-Odd"), answer.field("X-Odd ")) == (
            b"body",
            "a : b",
            None,
        )

    assert (
        plane.exchange().response_head
        == b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Odd: a : b\r\n\r\n"
    )


def test_blanks_before_the_colon_of_a_request_are_refused(start: Start) -> None:
    """Two servers may read it in two ways."""
    plane = start(Script())
    with plane.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 4\r\n\r\nbody")
        assert client.answer().status == 400
    assert error(plane.exchange()) == "bad_request"


def test_blanks_behind_the_chunk_sizes_of_a_response_are_read(start: Start) -> None:
    """Servers have padded sizes to a width; they are framed anew."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    plane = start(once(chunked + b"5 \r\nhello\r\n6  \r\n world\r\n0   \r\n\r\n"))
    assert plane.call(GET) == b"hello world"
    assert outcome(plane.exchange()) is Outcome.OK


@pytest.mark.parametrize("loop", LOOPS)
def test_empty_lines_between_requests_are_nothing(start: Start, loop: Loop) -> None:
    """Neither a request nor the beginning of one, for which a connection would be waited for or
    recorded.
    """
    plane = start(Script(), loop=loop)
    with plane.connect() as client:
        for _ in range(2):
            client.send(b"\r\n" + GET + b"\r\n\r\n")
            assert client.answer().status == 200

    plane.exchanges(2)
    assert plane.unread == 0


def test_a_flood_of_empty_lines_is_refused_and_recorded(start: Start) -> None:
    """It asks for nothing and would keep a worker from those who do."""
    plane = start(Script())
    with plane.connect() as client:
        client.send(b"\r\n" * 30_000)
        assert client.answer().status == 400
    assert error(plane.exchange()) == "bad_request"


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\nok",
    ],
)
def test_a_bare_line_end_is_judged_at_once(start: Start, raw: bytes) -> None:
    """Its sender takes what it sent for complete: nothing that could be waited for will come."""
    plane = start(Script(), timeout_headers_s=3600, timeout_body_idle_s=3600)
    with plane.connect() as client:
        client.socket.settimeout(60)
        client.send(raw)
        assert client.answer().status == 400
    assert (error(plane.exchange())) == "bad_request"


def test_a_response_with_bare_line_ends_is_judged_at_once(start: Start) -> None:
    """The connection stays open, and nothing more will come on it."""
    head = b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"
    may_end = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(head)
        may_end.wait(60)

    plane = start(upstream, timeout_first_byte_s=3600)
    with plane.connect() as client:
        client.socket.settimeout(60)
        client.send(GET)
        assert client.answer().status == 502
        exchange = plane.exchange()

    may_end.set()
    assert (error(exchange), exchange.notes[NOTE_REFUSED_HEAD]) == ("upstream_bad_response", head)


@pytest.mark.parametrize(
    ("raw", "code"), [(PREFACE, "http2_unsupported"), (TLS_HELLO, "tls_on_plain_port")]
)
def test_another_protocol_is_refused_by_its_name(start: Start, raw: bytes, code: str) -> None:
    """A gRPC client speaks HTTP/2 without asking; those of container registries try TLS first."""
    plane = start(Script(), http2="off")
    with plane.connect() as client:
        client.send(raw)
        answer = client.answer()
        assert (answer.status, answer.field("X-Sidelog-Error")) == (400, code)

    exchange = plane.exchange()
    assert (outcome(exchange), error(exchange)) == (Outcome.REJECTED, code)


def test_an_offer_of_http2_is_answered_over_http11(start: Start) -> None:
    """The upgrade is not passed on, the request is (RFC 9110 §7.8)."""
    script = Script()
    plane = start(script)
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"
    assert plane.call(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % offer) == b"ok"
    assert b"h2c" not in script.requests[0]
    plane.exchange()
