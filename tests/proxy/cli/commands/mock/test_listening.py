"""A mock at its port: its bytes over HTTP/1.1 and HTTP/2."""

import asyncio
import gzip
import socket
import zlib
from collections.abc import Callable
from typing import TypeVar

import brotli  # type: ignore[import-untyped]
import pytest
import requests

from api.replay.suite import Recorded
from proxy.cli.commands.mock.reply import Reply
from proxy.cli.commands.mock.serving import listening
from tests.proxy.cli.commands.mock.exchanges import JSON, exchange, service
from tests.proxy.cli.commands.mock.test_calls import ADD, DOWN, call, framed, grpc, order
from tests.support.http2_client import GET, POST, Fields, Http2Client

Answer = TypeVar("Answer")
CALL: Fields = (("content-type", "application/grpc"), ("te", "trailers"))
LARGE = "x" * 3_000_000


async def with_mock(
    suite: list[Recorded], ask: Callable[[int], Answer], *, is_grpc: bool = False
) -> Answer:
    """Ask a mock, by its port."""
    mock = grpc(*suite) if is_grpc else service(*suite)
    async with listening(mock, "127.0.0.1", 0) as port:
        return await asyncio.to_thread(ask, port)


def http2(port: int) -> Http2Client:
    """Connect to a mock."""
    return Http2Client(socket.create_connection(("127.0.0.1", port), 60))


def sent(*requests: str) -> Callable[[int], list[bytes]]:
    """Send requests on one connection; return what came for all of them, split at the heads."""

    def send(port: int) -> list[bytes]:
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            last = requests[-1].replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)
            for request in (*requests[:-1], last):
                connection.sendall(request.encode("utf-8", "surrogateescape"))
            came = b"".join(iter(lambda: connection.recv(65536), b""))
        return came.split(b"HTTP/1.1 ")[1:]

    return send


async def test_octets_of_fields_are_sent_as_they_were() -> None:
    """Also octets that are not UTF-8."""
    fields = "X-Name: caf\udce9\nX-City: Z\u00fcrich\nContent-Type: text/plain"
    (came,) = await with_mock(
        [exchange(("GET", "/", "", ""), "hi", fields=fields)],
        sent("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    )
    head, _, body = came.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert b"X-Name: caf\xe9" in lines
    assert "X-City: Z\u00fcrich".encode() in lines
    assert body == b"hi"


async def test_targets_are_taken_in_every_form() -> None:
    """A URL as a proxy gets it, and `*`; a request may have octets that are not UTF-8."""
    suite = [
        exchange(("GET", "/a?x=1", "", ""), "of a", host="a.example"),
        exchange(("GET", "/a?x=1", "", ""), "of b", host="b.example"),
        exchange(("OPTIONS", "*", "", ""), "", status=204),
    ]
    came = await with_mock(
        suite,
        sent(
            "GET http://b.example/a?x=1 HTTP/1.1\r\nHost: a.example\r\n\r\n",
            "GET /a?x=1 HTTP/1.1\r\nHost: a.example\r\nX: \udcff\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n",
            "GET http://b.example HTTP/1.1\r\nHost: a.example\r\n\r\n",
        ),
    )
    assert [each[:3] for each in came] == [b"200", b"200", b"204", b"404"]
    assert came[0].endswith(b"of b")
    assert came[1].endswith(b"of a")


async def test_head_has_the_length_and_no_body() -> None:
    """Of the GET, and of a HEAD that was recorded itself."""
    suite = [
        exchange(("GET", "/a", "", ""), "0123456789"),
        exchange(("HEAD", "/b", "", ""), "", fields="Content-Length: 77"),
    ]
    came = await with_mock(
        suite, sent(*(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n" for path in ("/a", "/b")))
    )
    for answer, length in zip(came, (10, 77), strict=True):
        assert b"\r\nContent-Length: %d\r\n" % length in answer
        assert answer.endswith(b"\r\n\r\n")


async def test_a_304_has_no_body_and_the_connection_goes_on() -> None:
    """As after 204."""
    file = exchange(("GET", "/a", "", ""), "0123", fields='ETag: "e"')
    empty = exchange(("DELETE", "/a", "", ""), "", status=204)
    came = await with_mock(
        [file, empty],
        sent(
            'GET /a HTTP/1.1\r\nHost: x\r\nIf-None-Match: "e"\r\n\r\n',
            "DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: x\r\nRange: bytes=1-2\r\n\r\n",
        ),
    )
    assert [each[:3] for each in came] == [b"304", b"204", b"206"]
    assert came[2].endswith(b"\r\n\r\n12")


async def test_a_large_body_comes_in_chunks() -> None:
    """More than the server of a web application takes usually."""
    recorded = exchange(("POST", "/up", "", LARGE), "stored")
    size = f"{len(LARGE):x}\r\n"
    request = (
        "POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        f"chunked\r\n\r\n{size}{LARGE}\r\n0\r\n\r\n"
    )
    (came,) = await with_mock([recorded], sent(request))
    assert came.endswith(b"stored")


async def test_a_coded_request_is_decoded_once() -> None:
    """Over both versions of HTTP; a body that its coding cannot decode is a miss."""
    text = b'{"a": 1}'
    recorded = exchange(("POST", "/ask", JSON, text), "asked")
    bodies = {
        "gzip": gzip.compress(text),
        "deflate": zlib.compress(text),
        "br": brotli.compress(text),
        "gzip, br": brotli.compress(gzip.compress(text)),
    }

    def ask(port: int) -> dict[str, tuple[int, int]]:
        found = {}
        for coding, body in (*bodies.items(), ("GZIP", b"no gzip")):
            headers = {"Content-Type": "application/json", "Content-Encoding": coding}
            url = f"http://127.0.0.1:{port}/ask"
            status = requests.post(url, data=body, headers=headers, timeout=60).status_code
            fields = [(name.lower(), value) for name, value in headers.items()]
            with http2(port) as client:
                found[coding] = (
                    status,
                    client.ask((*POST[:3], (":path", "/ask"), *fields), body).status,
                )
        return found

    assert await with_mock([recorded], ask) == dict.fromkeys(bodies, (200, 200)) | {
        "GZIP": (404, 404)
    }


@pytest.mark.parametrize("timeline", [[], [(2, 0), (4, 1000)]])
async def test_trailers_are_sent_to_those_who_take_them(timeline: list[tuple[int, int]]) -> None:
    """RFC 9110 §6.5.1: over HTTP/1.1 only to a client that accepts them; over HTTP/2 always."""
    recorded = exchange(("GET", "/a", "", ""), "0123", fields="Content-Length: 4\nTrailer: x-sum")
    assert recorded.payload is not None
    recorded.payload.response_trailers = b"X-Sum: 6\r\nX-Name: caf\xe9"
    recorded.payload.timeline = timeline

    asked = [
        "GET /a HTTP/1.1\r\nHost: x\r\nTE: gzip;q=0.5, Trailers\r\n\r\n",
        "HEAD /a HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nRange: bytes=1-2\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    with_trailers, *without = await with_mock([recorded], sent(*asked))
    head, _, body = with_trailers.partition(b"\r\n\r\n")
    assert b"\r\nTrailer: X-Sum, X-Name" in head
    assert b"\r\nTransfer-Encoding: chunked" in head
    assert b"Content-Length" not in head
    assert body.endswith(b"\r\n0\r\nX-Sum: 6\r\nX-Name: caf\xe9\r\n\r\n")
    assert all(b"X-Sum" not in each for each in without)

    def ask(port: int) -> None:
        with http2(port) as client:
            answer = client.ask((*GET[:3], (":path", "/a")))
            assert (answer.body, answer.trailers) == (b"0123", {"x-sum": "6"})
            head = client.ask(((":method", "HEAD"), *GET[1:3], (":path", "/a")))
            assert (head.is_ended, head.trailers) == (True, {})

    recorded.payload.response_trailers = b"X-Sum: 6"
    await with_mock([recorded], ask)


async def test_http2_is_answered_as_http1_is() -> None:
    """Several streams of one connection, bodies beyond its windows, HEAD, a miss."""
    suite = [
        exchange(("GET", "/large", "", ""), LARGE),
        exchange(
            ("POST", "/ask", JSON, '{"a": 1, "b": 2}'),
            "asked",
            fields="X-Name: x\nConnection: close",
        ),
    ]

    def ask(port: int) -> None:
        with http2(port) as client:
            large, missing = (
                client.begin((*GET[:3], (":path", path))) for path in ("/large", "/none")
            )
            json = ("content-type", "application/json")
            asked = client.begin((*POST[:3], (":path", "/ask"), json), b'{"b": 2, "a": 1}')
            upload = client.begin((*POST[:3], (":path", "/ask"), json), b'{"a": "', is_end=False)
            for piece in (b"y" * 16_000, b"y" * 16_000):
                client.h2.send_data(upload, piece)
                client.flush()
            client.h2.send_data(upload, b'"}', end_stream=True)
            client.flush()
            assert client.answer(large).body == LARGE.encode()
            assert client.answer(missing).status == 404
            assert client.answer(asked).body == b"asked"
            assert "connection" not in client.answer(asked).fields
            assert client.answer(upload).status == 404
            head = client.ask(((":method", "HEAD"), *GET[1:3], (":path", "/large")))
            assert (head.body, head.fields["content-length"]) == (b"", str(len(LARGE)))

    await with_mock(suite, ask)


async def test_calls_of_grpc_are_answered() -> None:
    """Messages, then trailers; several for a stream of the server; a status without messages for a
    miss.
    """
    answers = [order(type_string=name * 30_000) for name in "abc"]
    suite = [
        call(ADD, [order(type_string="a")], [order(type_int32=7)]),
        call(DOWN, [order()], answers),
    ]

    def ask(port: int) -> None:
        with http2(port) as client:
            add, down = ((*POST[:3], (":path", path), *CALL) for path in (ADD, DOWN))
            one = client.ask(add, framed(order(type_string="a")))
            assert (one.status, one.body) == (200, framed(order(type_int32=7)))
            assert one.trailers == {"grpc-status": "0", "grpc-message": "fine"}
            several = client.ask(down, framed(order()))
            assert several.body == framed(*answers)
            assert several.trailers["grpc-status"] == "0"
            miss = client.ask(add, framed(order(type_string="b")))
            assert (miss.fields["grpc-status"], miss.body, miss.is_ended) == ("12", b"", True)

    await with_mock(suite, ask, is_grpc=True)


async def test_a_stream_that_fails_is_reset(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its client does not wait, the others are answered, and stderr has the error."""

    def fail(method: str, target: str, host: str, head: bytes, body: bytes) -> Reply:
        if target == "/bad":
            raise ValueError("out of order")
        return Reply(200, "", [], b"fine")

    mock = service(exchange(("GET", "/", "", "")))
    monkeypatch.setattr(mock, "answer", fail)

    def ask(port: int) -> None:
        with http2(port) as client:
            bad, good = (client.ask((*GET[:3], (":path", path))) for path in ("/bad", "/good"))
            assert bad.reset == 2
            assert good.body == b"fine"

    async with listening(mock, "127.0.0.1", 0) as port:
        await asyncio.to_thread(ask, port)
    assert "out of order" in capsys.readouterr().err
