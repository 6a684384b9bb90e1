"""The two engines judge each other: the same bytes through both, and every difference explained.

The reference engine reads with aiohttp, the default one with its own code; they share only heads,
routes and recorder. Where they differ the difference is listed below with its reason; a difference
that is not listed fails, and so does one that is listed and no longer there.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import pytest

from proxy.ring.exchange import (
    ERROR_CODES,
    FLAG_HTTP10,
    FLAG_OWN_RESPONSE,
    FLAG_REQUEST_COMPLETE,
    FLAG_TLS,
    CapturedExchange,
)
from storage.record import OUTCOMES
from tests.proxy.conftest import Start
from tests.proxy.network.test_tls_accept import secured
from tests.support.certificate import self_signed
from tests.support.client import GET
from tests.support.plane import EngineName, Plane, eventually, running_plane, settings_for
from tests.support.script import Script, read_body, unchunked
from tests.support.upstream import read_head, scripted

BIG = bytes(range(256)) * 1000

ANSWERS = {
    b"/chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: "
        b"r\r\n\r\n"
    ),
    b"/empty": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"/204": b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
    b"/304": b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n',
    b"/404": b"HTTP/1.1 404 Nowhere to be found\r\nContent-Length: 4\r\n\r\nnone",
    b"/foreign": b"HTTP/1.1 404 F\xe4hlt\r\nContent-Length: 0\r\n\r\n",
    b"/500": b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\nContent-Type: text/plain\r\n\r\noops",
    b"/redirect": b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
    b"/cookies": (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok"
    ),
    b"/gzip": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"
    ),
    b"/big": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BIG) + BIG,
    b"/close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
    b"/hop": (
        b"HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: "
        b"max=9\r\nContent-Length: 2\r\n\r\nok"
    ),
    b"/hints": (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    ),
    b"/both": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: "
        b"chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    ),
    b"/no-http": b"SSH-2.0-server\r\n\r\n",
    b"/short": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nshort",
    b"/nothing": b"",
}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ENDS = (b"/close", b"/both", b"/no-http", b"/short", b"/nothing")
H = b" HTTP/1.1\r\nHost: a.example:81\r\n"


def post(fields: bytes, body: bytes, target: bytes = b"/post", method: bytes = b"POST") -> bytes:
    return method + b" " + target + H + fields + b"\r\n" + body


CASES = {
    "get": b"GET /" + H + b"\r\n",
    "head": b"HEAD /" + H + b"\r\n",
    "delete": b"DELETE /x" + H + b"\r\n",
    "options": b"OPTIONS /x" + H + b"\r\n",
    "options of the server": b"OPTIONS *" + H + b"\r\n",
    "propfind": b"PROPFIND /x" + H + b"\r\n",
    "patch": post(b"Content-Length: 4\r\n", b"body", method=b"PATCH"),
    "put": post(b"Content-Length: 4\r\nContent-Type: a/b\r\n", b"body", method=b"PUT"),
    "post": post(b"Content-Length: 4\r\n", b"body"),
    "post of nothing": post(b"Content-Length: 0\r\n", b""),
    "post without length": post(b"", b""),
    "post of all bytes": post(b"Content-Length: %d\r\n" % len(BIG), BIG),
    "post of gzip": post(b"Content-Length: 4\r\nContent-Encoding: gzip\r\n", b"\x1f\x8b\x08\x00"),
    "post of broken gzip": post(b"Content-Length: 4\r\nContent-Encoding: gzip\r\n", b"nope"),
    "post in chunks": post(
        b"Transfer-Encoding: chunked\r\n", b"2\r\nab\r\n1;x\r\nc\r\n0\r\nT: r\r\n\r\n"
    ),
    "get with a body": post(b"Content-Length: 4\r\n", b"body", method=b"GET"),
    "delete with a body": post(b"Content-Length: 4\r\n", b"body", method=b"DELETE"),
    "odd path": b"GET /a%2Fb/%2e%2e//c;d+e?x=%00&%zz&a=b=c" + H + b"\r\n",
    "odd bytes in path": b'GET /"<>\\^`{|}~?"<>' + H + b"\r\n",
    "raw bytes in path": b"GET /m\xc3\xa9?\xff" + H + b"\r\n",
    "double slash": b"GET //host/path" + H + b"\r\n",
    "colon in path": b"GET /a:b@c" + H + b"\r\n",
    "long query": b"GET /?" + b"q=" + b"x" * 7000 + H + b"\r\n",
    "absolute form": b"GET http://other:99/p?q" + H + b"\r\n",
    "absolute form without path": b"GET http://other" + H + b"\r\n",
    "many fields": b"GET /" + H + b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(90)) + b"\r\n",
    "repeated fields": b"GET /" + H + b"A: 1\r\na: 2\r\nAccept: x\r\nAccept: y\r\n\r\n",
    "odd values": b"GET /" + H + b'A:  two  words \r\nB:\r\nC: "q\\"\r\nD: \xc3\xa4\xff\r\n\r\n',
    "cookies": b"GET /" + H + b"Cookie: a=1; sidelog_session=x; b=2\r\n\r\n",
    "hop by hop": b"GET /"
    + H
    + b"Connection: X-Hop, TE\r\nX-Hop: 1\r\nTE: trailers\r\nProxy-Authorization: x\r\n\r\n",
    "forwarded": b"GET /"
    + H
    + b"X-Forwarded-For: 9.9.9.9\r\nX_Forwarded_For: 8\r\nX-Forwarded-Proto: https\r\n\r\n",
    "own id": b"GET /" + H + b"X-Request-Id: mine-1\r\n\r\n",
    "identity": b"GET /"
    + H
    + b"User-Agent: u\r\nAccept-Encoding: gzip\r\nAccept: */*\r\nReferer: r\r\n\r\n",
    "h2c upgrade": b"GET /"
    + H
    + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
    "websocket": b"GET /"
    + H
    + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
    "close": b"GET /" + H + b"Connection: close\r\n\r\n",
    "http 1.0": b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    "http 1.0 without host": b"GET / HTTP/1.0\r\n\r\n",
    "expect": post(b"Content-Length: 4\r\nExpect: 100-continue\r\n", b"body"),
    **{f"answer {path.decode()}": b"GET " + path + H + b"\r\n" for path in ANSWERS},
    **{
        f"head of {path}": b"HEAD " + path.encode() + H + b"\r\n"
        for path in ("/chunked", "/204", "/404", "/empty")
    },
    "bad host": b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "fragment": b"GET /a#b" + H + b"\r\n",
    "userinfo": b"GET http://u:p@a/" + H + b"\r\n",
    "trace": b"TRACE /" + H + b"\r\n",
    "connect": b"CONNECT a:443" + H + b"\r\n",
    "unknown method": b"BREW /" + H + b"\r\n",
    "bad expectation": b"GET /" + H + b"Expect: miracles\r\n\r\n",
    "end to end in connection": b"GET /" + H + b"Connection: cookie\r\nCookie: a\r\n\r\n",
    "two lengths": post(b"Content-Length: 4\r\nContent-Length: 4\r\n", b"body"),
    "length and chunks": post(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "unknown coding": post(b"Transfer-Encoding: gzip\r\n", b"x"),
    "bad chunk": post(b"Transfer-Encoding: chunked\r\n", b"zz\r\n"),
    "folded field": b"GET /" + H + b"A: b\r\n c\r\n\r\n",
    "blank before colon": b"GET /" + H + b"A : b\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "http 1.2": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "too many fields": b"GET /" + H + b"A: b\r\n" * 100 + b"\r\n",
    "loop": b"GET /" + H + b"X-Sidelog-Hop: Side-1\r\n\r\n",
}

ANSWER = frozenset(("status", "body", "error header", "fields", "framing", "records"))
BY_AIOHTTP = ANSWER - {"status"} | {"has id"}
"""How an answer looks that aiohttp's server gave before our handler saw the request: as text,
unrecorded.
"""

KNOWN_DIFFERENCES: dict[str, tuple[str, frozenset[str]]] = {
    "delete": ("aiohttp's client states that there is no body", frozenset(("upstream",))),
    "propfind": ("aiohttp's client states that there is no body", frozenset(("upstream",))),
    "post without length": (
        "aiohttp's client states that there is no body",
        frozenset(("upstream",)),
    ),
    "post in chunks": ("aiohttp's server drops trailers", frozenset(("upstream", "records"))),
    "answer /chunked": ("aiohttp's client drops trailers", frozenset(("trailers", "records"))),
    "hop by hop": ("as aiohttp drops trailers, none are asked for", frozenset(("upstream",))),
    "options of the server": (
        "aiohttp's client cannot send the target *, so it is refused",
        ANSWER | {"upstream"},
    ),
    "raw bytes in path": (
        "aiohttp's server refuses them itself",
        BY_AIOHTTP - {"error header"} | {"status", "upstream"},
    ),
    "repeated fields": (
        "aiohttp's client takes A and a for one field of which the last counts",
        frozenset(("upstream",)),
    ),
    "odd values": ("aiohttp's client drops bytes that are not UTF-8", frozenset(("upstream",))),
    "websocket": (
        "the reference engine opens no upgrades: they stay HTTP",
        frozenset(("upstream",)),
    ),
    "answer /nothing": (
        "aiohttp's client retries by its own rules, here after nothing came",
        frozenset(("upstream",)),
    ),
    "head of /chunked": ("aiohttp's server frames no answer to HEAD", frozenset(("framing",))),
    "no host": ("aiohttp's server refuses it itself", BY_AIOHTTP),
    "two hosts": ("aiohttp's server refuses it itself", BY_AIOHTTP),
    "two lengths": ("aiohttp's server refuses it itself", BY_AIOHTTP),
    "length and chunks": ("aiohttp's server refuses it itself", BY_AIOHTTP),
    "unknown coding": ("aiohttp's server refuses it itself", BY_AIOHTTP),
    "bad chunk": (
        "aiohttp's server refuses it itself, and reads ahead of the handler",
        BY_AIOHTTP | {"upstream"},
    ),
    "folded field": ("aiohttp's server refuses it itself", BY_AIOHTTP),
    "blank before colon": ("aiohttp's server refuses it itself", BY_AIOHTTP),
    "unknown method": (
        "aiohttp's server refuses it itself, as 400",
        BY_AIOHTTP - {"error header"} | {"status", "upstream"},
    ),
    "http 1.2": ("aiohttp's server refuses it itself, as 400", BY_AIOHTTP | {"status"}),
    "http 2": ("aiohttp's server refuses it itself", BY_AIOHTTP),
    "no version": (
        "aiohttp reads HTTP/0.9, which is then refused for its version",
        ANSWER - {"body", "framing"},
    ),
}
"""Case → why the engines differ, and in what."""

OF_CHANCE = ("answer /nothing", "bad chunk")
"""What is sent upstream here depends on whether a connection was pooled, or on how the bytes were
packed.
"""

ADDED_BY_AIOHTTP = (b"date:", b"server:", b"content-type: application/octet-stream")
"""In every answer: aiohttp's server adds these where the upstream sent none."""


class Upstream:
    """Answers by path; remembers what it was sent, as a strict reader understands it."""

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, list[tuple[bytes, bytes]], bytes, bytes]] = []
        self._lock = threading.Lock()

    def __call__(self, connection: socket.socket, number: int) -> None:
        while head := read_head(connection):
            lines = head[:-4].split(b"\r\n")
            fields = [
                (line.partition(b":")[0].lower(), line.partition(b":")[2].strip())
                for line in lines[1:]
            ]
            if (b"expect", b"100-continue") in fields:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            try:
                body = read_body(connection, head)
            except ConnectionError:
                return

            trailers = b""
            if (b"transfer-encoding", b"chunked") in fields:
                trailers = body.rpartition(b"0\r\n")[2]
                body = unchunked(body)
            with self._lock:
                sent = sorted(field for field in fields if field[0] != b"x-request-id")
                self.seen.append((lines[0], sent, body, trailers))
            path = lines[0].split(b" ")[1]
            answer = ANSWERS.get(path, OK)
            if head.startswith(b"HEAD"):
                answer = answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            connection.sendall(answer)
            if path in ENDS:
                return


Engines = list[tuple[Plane, Upstream]]


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """Both engines, the default one first, in front of one upstream."""
    with ExitStack() as stack:
        found: Engines = []
        upstream = Upstream()
        url = stack.enter_context(scripted(upstream))

        for engine in get_args(EngineName):
            directory = tmp_path_factory.mktemp(engine)
            plane = stack.enter_context(
                running_plane(settings_for(url, http2="off"), directory, engine=engine)
            )
            found.append((plane, upstream))

        yield found


def observe(plane: Plane, upstream: Upstream, raw: bytes) -> dict[str, Any]:
    """Send one request; return all that can be seen of it from outside, and its record."""
    upstream.seen.clear()
    with plane.connect() as client:
        client.send(raw)
        try:
            answer = client.answer(raw.partition(b" ")[0].decode())
            is_own = answer.field("X-Sidelog-Error") is not None
            seen = {
                "status": answer.status,
                "body": b"(own)" if is_own else answer.body,
                "trailers": answer.trailers,
                "complete": answer.is_complete,
                "error header": answer.field("X-Sidelog-Error"),
                "fields": _end_to_end(answer.head),
                "framing": (
                    answer.field("Content-Length") if not is_own else None,
                    answer.field("Transfer-Encoding"),
                ),
                "has id": answer.field("X-Sidelog-Id") is not None,
            }
        except ConnectionError:
            seen = {"status": None}

        client.socket.close()

    seen["upstream"] = list(upstream.seen)
    eventually(lambda: plane.run(lambda: not _running(plane)))
    seen["records"] = [_fields(exchange) for exchange in plane.exchanges(plane.unread)]
    return seen


def _running(plane: Plane) -> int:
    return len(plane.plane.engine.in_flight)


def _end_to_end(head: bytes) -> list[bytes]:
    ours = (
        b"content-length:",
        b"transfer-encoding:",
        b"connection:",
        b"x-sidelog-id:",
        *ADDED_BY_AIOHTTP,
    )
    return sorted(
        line.strip() for line in head[:-4].split(b"\r\n")[1:] if not line.lower().startswith(ours)
    )


def _fields(exchange: CapturedExchange) -> dict[str, Any]:
    is_own = bool(exchange.flags & FLAG_OWN_RESPONSE)
    return {
        "status": exchange.status,
        "outcome": OUTCOMES[exchange.outcome].value,
        "error": ERROR_CODES[exchange.error],
        "route": exchange.route,
        "client": exchange.client,
        "is own": is_own,
        "is request complete": bool(exchange.flags & FLAG_REQUEST_COMPLETE),
        "request line": exchange.request_head.partition(b"\r\n")[0],
        "request body": (exchange.request_bytes, exchange.request_window, exchange.request_tail),
        "response body": None
        if is_own
        else (exchange.response_bytes, exchange.response_window, exchange.response_tail),
        "notes": sorted(exchange.notes) if not exchange.error else [],
        "is http 1.0": bool(exchange.flags & FLAG_HTTP10),
        "was sent": exchange.sent_ns >= 0,
        "was answered": exchange.first_byte_ns >= 0,
        "was done": exchange.done_ns >= 0,
        "ended": exchange.ended_ns > 0,
    }


@pytest.mark.parametrize("name", CASES)
def test_both_engines_do_the_same(engines: Engines, name: str) -> None:
    """The same answer, the same request upstream and the same record, but for the differences that
    are explained.
    """
    default, reference = (observe(plane, upstream, CASES[name]) for plane, upstream in engines)
    differing = {
        key for key in default.keys() | reference.keys() if default.get(key) != reference.get(key)
    }
    _, expected = KNOWN_DIFFERENCES.get(name, ("", frozenset()))
    if name in OF_CHANCE:
        differing |= {"upstream"}
    assert differing == expected, (default, reference)
    assert default["status"] is not None
    assert len(default["records"]) == 1


def test_every_explained_difference_names_a_case() -> None:
    """The list of differences holds nothing else."""
    assert KNOWN_DIFFERENCES.keys() <= CASES.keys()
    assert len(CASES) >= 40


@pytest.mark.parametrize("engine", ["protocol", "reference"])
def test_both_know_tls(start: Start, tmp_path: Path, engine: EngineName) -> None:
    """The upstream and the record are told how a client came."""
    cert, key = self_signed(tmp_path)
    script = Script()
    plane = start(script, engine=engine, tls_cert_file=str(cert), tls_key_file=str(key))
    with secured(plane.connect().socket) as secure:
        secure.send(GET)
        assert secure.answer().status == 200
    assert b"\r\nX-Forwarded-Proto: https\r\n" in script.requests[0]
    assert plane.exchange().flags & FLAG_TLS
