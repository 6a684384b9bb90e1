"""Requests to a real receiver over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from proxy.otel.answers import Answer, Later
from proxy.otel.sender import MAX_ANSWER_BYTES, Sender
from proxy.process.tls import server_context
from proxy.settings.model import OtelSettings
from tests.support.certificate import self_signed
from tests.support.otlp import Receiver
from tests.support.ports import free_port
from tests.support.upstream import running


@asynccontextmanager
async def sending(
    endpoint: str, *, timeout_s: float = 60.0, **more: object
) -> AsyncIterator[Sender]:
    """A sender; it leaves nothing open."""
    sender = Sender(OtelSettings(endpoint=endpoint, **more), timeout_s=timeout_s)  # type: ignore[arg-type]
    try:
        yield sender
    finally:
        await sender.close()


async def test_a_request_arrives_as_it_was_written() -> None:
    """At the path of its signal, below that of the endpoint, with the headers of the settings."""
    receiver = Receiver()
    with running(receiver.app()) as url:
        headers = {"Authorization": "Bearer secret-1", "X-Scope": "7"}
        async with sending(f"{url}/otlp/", headers=headers) as sender:
            answer = await sender.send("logs", b'{"resourceLogs": []}' * 100)

    assert answer == Answer(200, "", "application/json", b"{}")
    (request,) = receiver.received
    assert (request.path, request.body) == ("/otlp/v1/logs", b'{"resourceLogs": []}' * 100)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["content-encoding"] == "gzip"
    assert (request.headers["authorization"], request.headers["x-scope"]) == (
        "Bearer secret-1",
        "7",
    )
    assert request.headers["user-agent"].startswith("sidelog/")


async def test_a_receiver_that_reads_no_gzip_gets_none() -> None:
    """By the settings; requests are then as large as what they say."""
    receiver = Receiver()
    with running(receiver.app()) as url:
        async with sending(url, compression="none") as sender:
            await sender.send("logs", b'{"resourceLogs": []}')
    (request,) = receiver.received
    assert request.body == b'{"resourceLogs": []}'
    assert "content-encoding" not in request.headers
    assert request.headers["content-length"] == "20"


async def test_an_answer_is_read_up_to_a_bound() -> None:
    """And no redirect is followed."""

    def answer(path: str, body: bytes, before: int) -> web.Response:
        headers = {"Location": "/elsewhere", "Retry-After": "3"}
        return web.Response(status=307, headers=headers, body=b"x" * (2 * MAX_ANSWER_BYTES))

    receiver = Receiver(answer)
    with running(receiver.app()) as url:
        async with sending(url) as sender:
            got = await sender.send("traces", b"{}")
    assert isinstance(got, Answer)
    assert (got.status, got.retry_after, len(got.body)) == (307, "3", MAX_ANSWER_BYTES)
    assert got.location == "/elsewhere"
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("headers", "said", "told"),
    [
        (
            {"Authorization": "Bearer glc_a/b=="},
            "no such token: glc_a/b==",
            "no such token: [REDACTED]",
        ),
        (
            {"Authorization": "Bearer glc_a/b=="},
            r'{"message": "got Bearer glc_a\/b=="}',
            '{"message": "got [REDACTED]"}',
        ),
        (
            {"X-Key": "0123456789abcdef"},
            "0123456789abcdef, 0123456789abcdef",
            "[REDACTED], [REDACTED]",
        ),
        ({"X-Scope": "7"}, "7 spans were refused", "7 spans were refused"),
        ({}, "no token", "no token"),
    ],
)
async def test_an_answer_that_repeats_our_credentials_is_redacted(
    headers: dict[str, str], said: str, told: str
) -> None:
    """What a receiver says is logged, and shown to readers."""
    receiver = Receiver(lambda path, body, before: web.Response(status=401, text=said))
    with running(receiver.app()) as url:
        async with sending(url, headers=headers) as sender:
            got = await sender.send("traces", b"{}")
    assert isinstance(got, Answer)
    assert got.body.decode() == told


async def test_a_malformed_type_is_an_answer() -> None:
    """Though aiohttp stumbles over it."""

    def answer(path: str, body: bytes, before: int) -> web.Response:
        return web.Response(body=b"{}", headers={"Content-Type": "Boundary;charset*0*"})

    with running(Receiver(answer).app()) as url:
        async with sending(url) as sender:
            assert await sender.send("traces", b"{}") == Answer(200, "", "boundary", b"{}")


async def test_no_cookie_is_kept() -> None:
    """A receiver puts nothing into the requests to come."""

    def answer(path: str, body: bytes, before: int) -> web.Response:
        return web.Response(body=b"{}", headers={"Set-Cookie": f"a{before}=b; Path=/"})

    receiver = Receiver(answer)
    with running(receiver.app()) as url:
        async with sending(url.replace("127.0.0.1", "localhost")) as sender:
            for _ in range(2):
                assert isinstance(await sender.send("logs", b"{}"), Answer)

    assert ["cookie" in each.headers for each in receiver.received] == [False, False]


async def test_nobody_there_is_later() -> None:
    """With the reason."""
    async with sending(f"http://127.0.0.1:{free_port()}") as sender:
        got = await sender.send("traces", b"{}")
    assert isinstance(got, Later)
    assert got.reason == "unreachable"
    assert got.message


async def test_a_receiver_that_does_not_answer_is_later() -> None:
    """After the time of the settings."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with sending(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.2) as sender:
            got = await sender.send("traces", b"{}")
    assert got == Later("timeout", "no answer within 0.2 s")


async def test_a_receiver_that_resets_is_later() -> None:
    """The connection ends before an answer."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    server = await asyncio.start_server(reset, "127.0.0.1", 0)
    async with server, sending(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as sender:
        got = await sender.send("traces", b"{}")
    assert isinstance(got, Later)
    assert got.reason == "unreachable"


async def test_a_receiver_has_to_prove_who_it_is(tmp_path: Path) -> None:
    """By an authority of the settings; with those of the system alone nothing is sent."""
    cert, key = self_signed(tmp_path)
    receiver = Receiver()
    runner = web.AppRunner(receiver.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(str(cert), str(key)))
    await site.start()

    url = f"https://localhost:{runner.addresses[0][1]}"
    try:
        async with sending(url, ca_file=str(cert)) as sender:
            assert isinstance(await sender.send("traces", b"{}"), Answer)
        async with sending(url) as sender:
            got = await sender.send("traces", b"{}")
    finally:
        await runner.cleanup()

    assert isinstance(got, Later)
    assert "certificate" in got.message
    assert len(receiver.received) == 1
