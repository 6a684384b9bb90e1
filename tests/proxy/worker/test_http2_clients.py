"""HTTP/2 by known clients, over TLS, and beside HTTP/1.1: what they get, and what is on record."""

import re
import socket
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from proxy.http2.errors import ErrorCode
from proxy.ring.exchange import (
    FLAG_NOTES,
    FLAG_TLS,
    CapturedExchange,
)
from tests.proxy.conftest import Start
from tests.proxy.worker.records import error, outcome
from tests.proxy.worker.upstream.http2_calls import speaking, with_path
from tests.support.client import Client
from tests.support.http2_client import GET, POST, Http2Client
from tests.support.long import LOOPS
from tests.support.plane import PATIENCE_S, Loop, Plane
from tests.support.programs import find
from tests.support.script import Script

ASKED: Sequence[tuple[str, str, tuple[tuple[str, str], ...], bytes]] = (
    ("GET", "/a?b=c", (("accept", "x"), ("x-request-id", "r1"), ("cookie", "a=1; b=2")), b""),
    ("HEAD", "/h", (), b""),
    ("POST", "/p", (("content-type", "text/plain"), ("content-length", "5")), b"hello"),
    ("DELETE", "/d%20e", (("authorization", "Bearer x"),), b""),
    ("PUT", "/u", (("content-length", "70000"),), bytes(70_000)),
    ("OPTIONS", "*", (), b""),
    ("BREW", "/b", (("content-length", "0"),), b""),
    ("TRACE", "/t", (), b""),
    ("GET", "/x", (("expect", "other"),), b""),
)


def _seen(exchange: CapturedExchange) -> tuple[object, ...]:
    """What a record is made of, but for ids, clocks and the version."""
    head = exchange.request_head.replace(b" HTTP/1.1\r\n", b" HTTP/2\r\n", 1)
    answer = re.sub(rb"(Connection: close|X-Sidelog-Id: .*?)\r\n", b"", exchange.response_head)
    return (
        head, answer, exchange.status, outcome(exchange), error(exchange), exchange.flags & ~FLAG_NOTES,
        exchange.client, exchange.request_bytes, exchange.request_window, exchange.request_tail,
        exchange.response_bytes, exchange.response_window, exchange.route, exchange.upstream,
    )  # fmt: skip


def test_both_versions_leave_the_same_records_and_the_same_requests(start: Start) -> None:
    """The same requests by HTTP/1.1 and by HTTP/2, in turn: only the version differs."""
    script = Script(b"HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 0\r\n\r\n")
    plane = start(script, upstream_keep_alive_s=0)
    for method, target, fields, body in ASKED:
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        with plane.connect() as plain:
            plain.send(f"{method} {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode() + body)
            old = plain.answer(method)
        with speaking(plane) as client:
            asked = ((":method", method), *GET[1:3], (":path", target), *fields)
            stream_id = client.begin(asked, is_end=not body)
            for at in range(0, len(body), 10_000):
                while client.h2.local_flow_control_window(stream_id) < 10_000:
                    assert client.read()
                client.h2.send_data(
                    stream_id, body[at : at + 10_000], end_stream=at + 10_000 >= len(body)
                )
                client.flush()

            new = client.answer(stream_id)

        assert (new.status, new.body) == (old.status, old.body)
        before, after = plane.exchanges(2)
        assert _seen(after) == _seen(before)

    sent = [re.sub(rb"X-Request-Id: .*?\r\n", b"", request) for request in script.requests]
    assert sent[::2] == sent[1::2]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("curl -s --http2-prior-knowledge -d hello {url}", "ok"),
        ("nghttp --data=/dev/null {url}", "ok"),
        ("h2load -n 50 -c 2 -m 5 {url}", "50 succeeded, 0 failed"),
        ("node -e {script} {url}", "200 ok"),
    ],
)
def test_known_clients_are_served(start: Start, command: str, said: str) -> None:
    """Each speaks its own HTTP/2."""
    program, *words = command.split()
    plane = start(Script())
    url = f"http://127.0.0.1:{plane.port}/"
    words = [find(program), *(word.format(url=url, script=NODE) for word in words)]
    run = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert said in run.stdout
    plane.exchanges(plane.unread)


NODE = """
const client = require("http2").connect(process.argv[1]);
const request = client.request({":path": "/", ":method": "POST"});
let text = "", status = 0;
request.on("response", (head) => { status = head[":status"]; });
request.on("data", (part) => { text += part; });
request.on("end", () => { console.log(status, text); client.close(); });
request.end("x");
"""


def _ask(plane: Plane, context: ssl.SSLContext, server_name: str, chosen: str | None) -> None:
    """Ask over TLS, by the protocol that has to be chosen."""
    with context.wrap_socket(
        socket.create_connection(("127.0.0.1", plane.port), PATIENCE_S),
        server_hostname=server_name or None,
    ) as secured:
        assert secured.selected_alpn_protocol() == chosen
        if chosen == "h2":
            with Http2Client(secured) as client:
                assert client.ask(with_path("/s")).body == b"ok"
                assert client.ask((*POST, ("content-length", "200000")), None).reset is not None
        else:
            with Client(secured) as plain:
                plain.send(b"GET /s HTTP/1.1\r\nHost: a\r\n\r\n")
                assert plain.answer().body == b"ok"


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("http2", "offered", "chosen"),
    [
        ("on", ["h2"], "h2"),
        ("on", ["h2", "http/1.1"], "http/1.1"),
        ("prefer", ["h2", "http/1.1"], "h2"),
        ("prefer", ["http/1.1"], "http/1.1"),
        ("on", [], None),
    ],
)
def test_over_tls_the_client_offers_it(
    start: Start,
    certificate: tuple[Path, Path],
    loop: Loop,
    http2: str,
    offered: list[str],
    chosen: str | None,
) -> None:
    """It is taken where nothing else is offered, or where it is preferred (RFC 7301)."""
    cert, key = certificate
    plane = start(Script(), loop=loop, http2=http2, tls_cert_file=str(cert), tls_key_file=str(key))
    context = ssl.create_default_context(cafile=str(cert))
    if offered:
        context.set_alpn_protocols(offered)
    _ask(plane, context, "localhost", chosen)
    exchange = plane.exchanges(plane.unread or 1)[0]
    assert exchange.flags & FLAG_TLS
    assert exchange.request_head.startswith(
        b"GET /s HTTP/2" if chosen == "h2" else b"GET /s HTTP/1.1"
    )


_STRONG = "ECDHE-ECDSA-AES128-GCM-SHA256"
_WEAK = "ECDHE-ECDSA-AES128-SHA256"


@pytest.mark.parametrize(
    ("ciphers", "version", "chosen"),
    [
        (_WEAK, ssl.TLSVersion.TLSv1_2, "http/1.1"),
        (f"{_WEAK}:{_STRONG}", ssl.TLSVersion.TLSv1_2, "h2"),
        (_STRONG, ssl.TLSVersion.TLSv1_2, "h2"),
        (_WEAK, ssl.TLSVersion.TLSv1_3, "h2"),
    ],
)
@pytest.mark.parametrize("server_name", ["localhost", ""])
def test_http2_is_preferred_over_fit_ciphers_only(
    start: Start,
    certificate: tuple[Path, Path],
    ciphers: str,
    version: ssl.TLSVersion,
    chosen: str,
    server_name: str,
) -> None:
    """A client that has none would have HTTP/2 refused, and speaks HTTP/1.1 as well (F16)."""
    cert, key = certificate
    plane = start(Script(), http2="prefer", tls_cert_file=str(cert), tls_key_file=str(key))
    context = ssl.create_default_context(cafile=str(cert))
    context.check_hostname = bool(server_name)
    context.maximum_version = version
    context.set_ciphers(ciphers)
    context.set_alpn_protocols(["h2", "http/1.1"])
    _ask(plane, context, server_name, chosen)


def test_a_weak_cipher_ends_the_connection(start: Start, certificate: tuple[Path, Path]) -> None:
    """Unread, with the code that says so (F16)."""
    cert, key = certificate
    plane = start(Script(), tls_cert_file=str(cert), tls_key_file=str(key))
    context = ssl.create_default_context(cafile=str(cert))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA256")
    context.set_alpn_protocols(["h2"])

    with (
        socket.create_connection(("127.0.0.1", plane.port), PATIENCE_S) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as secured,
        Http2Client(secured) as client,
    ):
        while client.goaway is None and client.read():
            pass
        assert client.goaway is not None
        assert client.goaway[0] == ErrorCode.INADEQUATE_SECURITY

    assert error(plane.exchange()) == "http2_protocol_error"
