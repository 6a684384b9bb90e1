"""A port of ours holds out against connections that want nothing, and lets streams flow as long as
they are taken.
"""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from api.middleware import unreadable_response
from proxy.network import http_port as module
from proxy.network.http_port import HttpPort, http_port
from tests.support.certificate import self_signed

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


async def _hello(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(text="hello")


async def _greet(request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def _stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * int(request.query.get("size", "1")))
        await asyncio.sleep(0.01)


class World:
    """A running port, and clients of it."""

    def __init__(self, port: HttpPort, address: Any) -> None:
        self.port = port
        self.address = address
        self.clients: list[socket.socket] = []

    async def connect(self, data: bytes = b"") -> socket.socket:
        """Open a connection and send something; it is closed at the end."""
        client = socket.socket()
        self.clients.append(client)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, self.address)
        await asyncio.get_running_loop().sock_sendall(client, data)
        return client


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A port whose application greets, and streams."""
    app = web.Application()
    app.router.add_get("/stream", _stream)
    app.router.add_route("*", "/x", _hello)
    app.router.add_post("/unread", _greet)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with http_port(app, listener, unreadable_response, shutdown_timeout_s=0.1) as port:
            made = World(port, listener.getsockname())
            yield made
            for client in made.clients:
                client.close()


async def ended(client: socket.socket) -> bytes:
    """Everything up to the end of a connection."""
    received = b""
    try:
        while data := await asyncio.get_running_loop().sock_recv(client, 65536):
            received += data
    except ConnectionResetError:
        pass

    return received


async def answered(client: socket.socket) -> bytes:
    """What comes first."""
    return await asyncio.get_running_loop().sock_recv(client, 65536)


def counted(port: HttpPort) -> dict[str, int]:
    """The reasons for which it closed connections."""
    return {reason: count for reason, count in port.closed.items() if count}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that a busy machine keeps."""
    for name in ("HEAD_S", "BODY_S", "STALL_S", "IDLE_S"):
        monkeypatch.setattr(module, name, 60.0)


@pytest.fixture
def quick(patience: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines of a moment for whoever has begun and does not go on."""
    for name, value_s in {"BODY_S": 0.2, "IDLE_S": 0.4}.items():
        monkeypatch.setattr(module, name, value_s)
    monkeypatch.setattr(module, "CHECK_EVERY_S", 0.02)


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /x HT", GET[:-2], b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"],
)
async def test_who_says_nothing_or_not_all_is_closed(
    quick: None, world: World, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head and a body have an end."""
    if not sent.startswith(b"POST"):
        monkeypatch.setattr(module, "HEAD_S", 0.2)
    assert await ended(await world.connect(sent)) == b""
    assert not world.port.connections
    assert counted(world.port) == {"body" if sent.startswith(b"POST") else "head": 1}


async def test_an_idle_connection_is_closed(quick: None, world: World) -> None:
    """After a response the next request has a time of its own; a part of its head does not prolong
    it.
    """
    client = await world.connect(GET)
    assert (await answered(client)).endswith(b"hello")
    await asyncio.get_running_loop().sock_sendall(client, GET[:5])
    assert await ended(client) == b""


async def test_a_stream_lasts_as_long_as_it_is_taken(
    quick: None, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than every deadline; one whose client takes nothing ends."""
    client = await world.connect(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
    until_s = asyncio.get_running_loop().time() + 0.6
    while asyncio.get_running_loop().time() < until_s:
        assert await answered(client)
    stalled = await world.connect(b"GET /stream?size=1000000 HTTP/1.1\r\nHost: a\r\n\r\n")
    while len(world.port.connections) < 2 or any(c.is_waiting for c in world.port.connections):
        await answered(client)
    monkeypatch.setattr(module, "STALL_S", 2.0)
    while len(world.port.connections) == 2:
        assert await answered(client)
    assert await ended(stalled)
    assert counted(world.port) == {"stall": 1}


async def test_a_handshake_that_fails_is_counted(tmp_path: Path) -> None:
    """Plain HTTP on a port with TLS is one; who leaves without a word is another."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*self_signed(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with http_port(web.Application(), listener, unreadable_response, tls=tls) as port:
            world = World(port, listener.getsockname())
            plain = await world.connect(GET)
            assert b"HTTP/1.1 200" not in await ended(plain)
            for client in (plain, await world.connect()):
                client.close()
            async with asyncio.timeout(30):
                while counted(port) != {"tls": 2}:  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.01)
            assert not port.connections


async def test_the_longest_silence_gives_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every place taken by the silent a request is answered; with every place busy the
    newcomer is closed.
    """
    monkeypatch.setattr(world.port, "_max_connections", 3)
    silent = [await world.connect() for _ in range(3)]
    assert (await answered(await world.connect(GET))).endswith(b"hello")
    assert await ended(silent[0]) == b""
    for _ in range(3):
        stream = await world.connect(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await answered(stream)
    assert await ended(await world.connect(GET)) == b""
    assert len(world.port.connections) == 3
    assert counted(world.port) == {"displaced": 4, "full": 1}


async def test_slow_bodies_keep_out_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """They need no token: the first of them gives way, and not a stream that is older."""
    monkeypatch.setattr(world.port, "_max_connections", 3)
    stream = await world.connect(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
    assert await answered(stream)
    slow = [
        await world.connect(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
        for _ in range(2)
    ]
    while sum(connection.is_uploading for connection in world.port.connections) < 2:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.01)
    assert (await answered(await world.connect(GET))).endswith(b"hello")
    assert await ended(slow[0]) == b""
    assert await answered(stream)
    assert counted(world.port) == {"displaced": 1}


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (b"nonsense\r\n\r\n", "this is not an HTTP request: "),
        (b"GET /x HTTP/1.1\r\nbad header\r\n\r\n", "this is not an HTTP request: "),
        (
            b"GET /x HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
            "this is not an HTTP request: Got more than",
        ),
    ],
)
async def test_what_is_no_request_is_told_so_in_our_words(
    world: World, sent: bytes, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A problem document under our name, the connection closed, no line in the log."""
    head, _, body = (await ended(await world.connect(sent))).partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert b"\r\nServer: sidelog\r\n" in head + b"\r\n"
    assert b"aiohttp" not in head
    assert b"Content-Type: application/problem+json" in head
    problem = json.loads(body)
    assert problem["status"] == 400
    assert problem["detail"].startswith(shown)
    assert "\n" not in problem["detail"]
    assert caplog.messages == []


@pytest.mark.parametrize("before", [b"", GET, b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"])
async def test_a_head_without_end_is_refused(world: World, before: bytes) -> None:
    """Before it fills the memory, also as the second of a connection whose first still runs."""
    lines = [b"X-%d: " % number + b"x" * 4000 + b"\r\n" for number in range(12)]
    client = await world.connect(before)
    if before:
        assert await answered(client)
    await asyncio.get_running_loop().sock_sendall(client, GET[:-2] + b"".join(lines))
    received = await ended(client)
    if b"/stream" not in before:
        head, _, body = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 431 ")
        assert b"Server: sidelog" in head
        assert json.loads(body)["detail"] == "the head of a request has at most 32768 bytes"
    assert counted(world.port) == {"head": 1}


async def test_requests_in_one_piece_are_no_long_head(world: World) -> None:
    """Nor is a body, or what is pipelined behind one."""
    large = b"GET /x HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 8000 + b"\r\n\r\n"
    body = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60_000
    client = await world.connect(b"".join([large] * 8 + [body] + [large] * 7))
    received = b""
    while received.count(b"hello") < 16:
        received += await answered(client)
    assert received.count(b"HTTP/1.1 200 ") == 16
    assert counted(world.port) == {}


async def test_a_body_that_cannot_be_decoded_is_no_bug(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody reads it here; its client is answered, and nothing is logged that anybody could have
    us log.
    """
    head = (
        b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n"
    )
    assert (await ended(await world.connect(head + b"plain"))).endswith(b"hello")
    assert caplog.messages == []
