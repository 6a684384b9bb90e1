"""Event streams of the demo and readers that leave them."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from proxy.demo.streams import event_stream


async def test_a_reader_that_leaves_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """The stream ends, nothing is logged, and the frames are not made on."""
    left, ended = asyncio.Event(), asyncio.Event()
    made = 0

    async def frames() -> AsyncIterator[bytes]:
        nonlocal made
        yield b"data: first\n\n"
        await left.wait()
        while made < 10_000:
            made += 1
            yield b"data: more\n\n"
            await asyncio.sleep(0)

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await event_stream(request, frames())
        finally:
            ended.set()

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestClient(TestServer(app)) as client:
        with caplog.at_level(logging.WARNING):
            answer = await client.get("/")
            assert await answer.content.readline() == b"data: first\n"
            answer.close()
            left.set()
            async with asyncio.timeout(60):
                await ended.wait()
    assert made < 10_000
    assert caplog.records == []


async def test_headers_are_added_to_those_of_a_stream() -> None:
    """The type is an event stream, never cached, and own headers are kept."""

    async def frames() -> AsyncIterator[bytes]:
        yield b": nothing\n\n"

    async def handle(request: web.Request) -> web.StreamResponse:
        return await event_stream(request, frames(), {"X-Own": "1"})

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get("/")
        assert (answer.content_type, answer.headers["Cache-Control"]) == ("text/event-stream", "no-cache")
        assert (answer.headers["X-Own"], await answer.read()) == ("1", b": nothing\n\n")
