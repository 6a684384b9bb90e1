"""Trailers through a running data plane: passed on both ways, recorded, and dropped where nobody
could take them.
"""

import socket

import pytest

from proxy.ring.exchange import NOTES_REQUEST_TRAILERS, NOTES_RESPONSE_TRAILERS
from proxy.settings.route_model import HeaderSettings
from proxy.worker import deadlines
from proxy.worker.upstream import pool
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.test_downstream import GET, LOOPS, error, outcome
from tests.support.plane import Loop
from tests.support.script import OK, Script

SECTION = b"Grpc-Status: 0\r\nX-Sum:  a b \r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def upload(section: bytes, fields: bytes = b"", version: bytes = b"1.1") -> bytes:
    """A request with a chunked body and trailers."""
    return b"POST /x HTTP/%b\r\nHost: a\r\n%b%b\r\n4\r\nbody\r\n0\r\n%b\r\n" % (
        version,
        CHUNKED,
        fields,
        section,
    )


def download(section: bytes, fields: bytes = b"") -> bytes:
    """A response with the same."""
    return b"HTTP/1.1 200 OK\r\n%b%b\r\n2\r\nok\r\n0\r\n%b\r\n" % (CHUNKED, fields, section)


@pytest.mark.parametrize("loop", LOOPS)
def test_both_ways_byte_for_byte(start: Start, loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any packets; what names them goes on, the connections live on, and the record has both
    sections.
    """
    monkeypatch.setattr(pool, "POST_IDLE_NS", 60_000_000_000)
    script = Script(download(SECTION, b"Trailer: Grpc-Status\r\n"))
    plane = start(script, loop=loop).trust_upstreams()
    raw = upload(SECTION, b"TE: trailers\r\nConnection: TE\r\nTrailer: X-Sum\r\n")

    with plane.connect() as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for step in (1, 7, len(raw)):
            for at in range(0, len(raw), step):
                client.send(raw[at : at + step])
            answer = client.answer()
            assert (answer.body, answer.trailers, answer.field("Trailer")) == (
                b"ok",
                SECTION,
                "Grpc-Status",
            )

    for request in script.requests:
        head, _, body = request.partition(b"\r\n\r\n")
        assert body.endswith(b"\r\n0\r\n" + SECTION + b"\r\n")
        assert b"\r\nTrailer: X-Sum\r\n" in head
        assert b"\r\nConnection: TE\r\nTE: trailers\r\n" in head

    assert script.connections == 1
    for exchange in plane.exchanges(3):
        assert (exchange.request_bytes, exchange.response_bytes) == (4, 2)
        assert exchange.notes == {
            NOTES_REQUEST_TRAILERS[0]: SECTION,
            NOTES_RESPONSE_TRAILERS[0]: SECTION,
        }


def test_without_trailers_nothing_is_said_of_them(start: Start) -> None:
    """No TE that the client did not send, no note."""
    script = Script(download(b""))
    plane = start(script)
    with plane.connect() as client:
        client.send(upload(b"", b"TE: gzip;q=0.5\r\nConnection: TE\r\n"))
        assert client.answer().trailers == b""
    assert b"\r\nTE" not in script.requests[0]
    assert script.requests[0].endswith(b"\r\n0\r\n\r\n")
    assert plane.exchange().notes == {}


def test_what_has_a_meaning_in_heads_only_stays_here(start: Start) -> None:
    """Framing, routing, authentication, our own fields, those a rule removes and the key: noted
    with their names.
    """
    ours = b"X-Forwarded-For: 9.9.9.9\r\nX-Request-Id: r\r\nApi-Key: sk_x\r\n"
    script = Script(download(b"Content-Length: 1\r\nX-Sidelog-Id: x\r\nServer: s\r\nA: b\r\n"))
    rules = HeaderSettings(set_response={"Server": ""}, set_request={"X-Team": "a"})

    plane = start(script, route={"auth": "optional", "headers": rules})
    with plane.connect() as client:
        client.send(upload(b"Host: evil\r\nA: b\r\n%bX-Team: b\r\nA: c\r\n" % ours))
        assert client.answer().trailers == b"A: b\r\n"
        client.send(GET)
        client.answer()

    assert script.requests[0].endswith(b"\r\n0\r\nA: b\r\nA: c\r\n\r\n")
    notes = plane.exchanges(2)[0].notes
    assert notes[NOTES_REQUEST_TRAILERS[1]] == b"host,x-forwarded-for,x-request-id,api-key,x-team"
    assert notes[NOTES_RESPONSE_TRAILERS[1]] == b"content-length,x-sidelog-id,server"


def test_a_client_of_http10_gets_none(start: Start) -> None:
    """It knows no chunks; the record has them all the same, and says that they went no further."""
    plane = start(Script(download(SECTION, b"Trailer: Grpc-Status\r\n"), close_after=1))
    with plane.connect() as client:
        client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        answer = client.answer()
        assert (answer.body, answer.field("Trailer"), answer.trailers) == (b"ok", None, b"")

    notes = plane.exchange().notes
    assert notes == {
        NOTES_RESPONSE_TRAILERS[0]: SECTION,
        NOTES_RESPONSE_TRAILERS[1]: b"grpc-status,x-sum",
    }


@pytest.mark.parametrize("section", [b" X: y\r\n", b"X: y\n\r\n", b"X\r\n", b"X: y\r\n" * 101])
def test_malformed_trailers_are_judged_like_heads(start: Start, section: bytes) -> None:
    """Of a request 400 and close, nothing of them forwarded; of a response a visible break."""
    script = Script(download(section), OK)
    plane = start(script)
    with plane.connect() as client:
        client.send(GET)
        assert not client.answer().is_complete
    assert (outcome(cut := plane.exchange()), error(cut)) == (
        Outcome.TRUNCATED,
        "upstream_bad_response",
    )
    with plane.connect() as client:
        client.send(upload(section))
        assert client.answer().status == 400
    assert error(plane.exchange()) == "bad_request"
    assert len(script.requests) == 1


def test_trailers_of_a_request_that_is_answered_early_are_recorded(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upstream is gone, what the client sent is on the record (P24)."""
    monkeypatch.setattr(deadlines, "LATE_BODY_NS", 60_000_000_000)
    plane = start("http://127.0.0.1:1")
    with plane.connect() as client:
        client.send(upload(SECTION)[:-1])
        client.send(b"\n")
        assert client.answer().status == 502

    exchange = plane.exchange()
    assert (exchange.request_window, exchange.notes[NOTES_REQUEST_TRAILERS[0]]) == (
        b"body",
        SECTION,
    )
