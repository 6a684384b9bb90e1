"""What goes over the wire when a request is sent again, and how its answer is read."""

import socket
from collections.abc import Callable

import pytest

from api.replay import sender as module
from api.replay.request import Outgoing
from api.replay.sender import Answer, NoAnswer, Sender
from tests.support.upstream import read_head, read_through, scripted

ANSWER = (
    b"HTTP/1.1 200 Fine\r\nA: 1\r\na: 2\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok"
)


async def send(
    request: Outgoing, answer: bytes = ANSWER, *, path: str = "", read: bytes = b""
) -> tuple[bytes, Answer]:
    seen: list[bytes] = []

    def handle(connection: socket.socket, number: int) -> None:
        seen.append(read_head(connection) + (read_through(connection, read) if read else b""))
        connection.sendall(answer)

    with scripted(handle) as url:
        async with Sender(url + path) as sender:
            received = await sender.send(request)
    return seen[0].replace(url.removeprefix("http://").encode(), b"HOST"), received


async def test_nothing_is_added_but_what_http_needs() -> None:
    """Names keep their case, repeated ones their order, the target its bytes; a path of the URL
    comes before it.
    """
    request = Outgoing(
        "POST", "/a/../b;c?x=%2f[1]&y=%zz", [("x-a", "1"), ("X-B", "2"), ("x-a", "3")], b"body"
    )
    seen, answer = await send(request, path="/base/", read=b"body")
    target, *fields, body = seen.split(b"\r\n")
    assert (target, body) == (b"POST /base/a/../b;c?x=%2f[1]&y=%zz HTTP/1.1", b"body")
    assert fields == [b"Host: HOST", b"x-a: 1", b"X-B: 2", b"x-a: 3", b"Content-Length: 4", b""]
    assert answer[:4] == (
        200,
        b"HTTP/1.1 200 Fine\r\nA: 1\r\na: 2\r\nContent-Encoding: gzip\r\nContent-Length: 2",
        b"ok",
        True,
    )


@pytest.mark.parametrize("body", [b"", b"body"])
async def test_octets_that_are_no_utf8_are_sent_as_they_were(body: bytes) -> None:
    """In a target and in values, beside text beyond ASCII, which is UTF-8; the body is left alone."""
    fields = [("X-Name", "caf\udce9"), ("X-Other", "caf\xe9 \u20ac \udcff\udc80"), ("X-Plain", "a")]
    seen, _ = await send(Outgoing("PUT", "/caf\udce9?a=\udcc3(", fields, body), read=body)
    target, _, *sent = seen.split(b"\r\n")
    assert target == b"PUT /caf\xe9?a=\xc3( HTTP/1.1"
    assert sent[:3] == [
        b"X-Name: caf\xe9",
        b"X-Other: caf\xc3\xa9 \xe2\x82\xac \xff\x80",
        b"X-Plain: a",
    ]
    assert sent[-1] == body


async def test_names_in_two_spellings_are_both_sent() -> None:
    """In the first one: a name has no case (RFC 9110, 5.1)."""
    seen, _ = await send(
        Outgoing("GET", "/", [("X-D", "1"), ("If-None-Match", '"a"'), ("x-d", "2")], b"")
    )
    assert seen.split(b"\r\n")[2:5] == [b"X-D: 1", b'If-None-Match: "a"', b"X-D: 2"]


@pytest.mark.parametrize("target", ["/q?", "/q", "/?", "/q??", "/q?a=?"])
async def test_an_empty_query_is_sent(target: str) -> None:
    """It is another target than none."""
    seen, _ = await send(Outgoing("GET", target, [], b""))
    assert seen.startswith(f"GET {target} HTTP/1.1\r\n".encode())


async def test_a_redirect_is_an_answer_and_a_cookie_is_not_kept() -> None:
    """Nothing goes to where an answer points."""
    redirect = (
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nSet-Cookie: "
        b"a=b\r\nContent-Length: 0\r\n\r\n"
    )
    _, answer = await send(Outgoing("GET", "/", [], b""), redirect)
    assert answer.status == 302


async def test_a_long_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is not awaited."""
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 10)
    _, answer = await send(
        Outgoing("GET", "/", [], b""),
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + b"x" * 100,
    )
    assert (answer.body, answer.is_whole) == (b"x" * 10, False)


@pytest.mark.parametrize(
    "answer", [b"", b"no http\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"]
)
async def test_what_is_no_answer_has_a_reason(answer: bytes) -> None:
    """A connection that ends, another protocol, half an answer."""
    with pytest.raises(NoAnswer, match=r"\w"):
        await send(Outgoing("GET", "/", [], b""), answer)


@pytest.mark.parametrize(
    ("is_allowed", "error"),
    [
        (str.isalpha, "localhost is at 127.0.0.1, where nothing is sent"),
        (lambda address: True, "Connection refused"),
    ],
)
async def test_addresses_of_a_name_are_judged(
    is_allowed: Callable[[str], bool], error: str
) -> None:
    """Those that the connection is made to, which are resolved once."""
    async with Sender("http://localhost:1", is_allowed=is_allowed) as sender:
        with pytest.raises(NoAnswer, match=error):
            await sender.send(Outgoing("GET", "/", [], b""))
