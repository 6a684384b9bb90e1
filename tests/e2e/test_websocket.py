"""WebSockets through a whole sidelog: byte-exact, recorded message by message."""

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from tests.support.sidelog import Sidelog, eventually
from tests.support.upstream import running

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def echoing() -> web.Application:
    """An upstream that echoes messages."""

    async def echo(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=True, max_msg_size=1 << 26)
        await ws.prepare(request)
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                await ws.send_str(message.data)
            else:
                await ws.send_bytes(message.data)

        return ws

    app = web.Application()
    app.router.add_get("/ws", echo)
    return app


@pytest.fixture(scope="module")
def sidelog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidelog]:
    """sidelog in front of it."""
    with running(echoing()) as url, Sidelog(tmp_path_factory.mktemp("ws") / "data", url) as started:
        yield started


def session_record(sidelog: Sidelog, path: str, query: str | None = None) -> dict[str, Any] | None:
    """The newest exchange of a path, or of a path and a query, once stored."""
    found = [
        row for row in sidelog.records() if row["path"] == path and query in (None, row["query"])
    ]
    return found[0] if found else None


@pytest.mark.parametrize("compress", [0, 15])
async def test_messages_pass_unchanged_and_are_recorded(sidelog: Sidelog, compress: int) -> None:
    """Text, binary, empty and large messages come back as sent; each is an event of the session's
    trace.
    """
    large = os.urandom(1 << 20)
    path = f"/ws?compress={compress}"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            sidelog.url + path,
            compress=compress,
            max_msg_size=1 << 26,
            headers={"traceparent": TRACE},
        ) as ws,
    ):
        for text in ("hello", '{"password": "hunter2", "a": 1}', "", "hello"):
            await ws.send_str(text)
            assert await ws.receive_str() == text
        await ws.send_bytes(large)
        assert await ws.receive_bytes() == large
        await ws.close(code=1000)

    trace_id = TRACE.split("-")[1]
    events = await asyncio.to_thread(
        eventually, lambda: _all_events(sidelog, trace_id, 12 * (1 if compress == 0 else 2))
    )
    texts = [
        e["data"]["text"]
        for e in events
        if e["data"]["opcode"] == "text" and e["data"]["direction"] == "in"
    ]
    assert texts[-4:] == ["hello", '{"password": "[REDACTED]", "a": 1}', "", "hello"]
    binary = [e["data"] for e in events if e["data"]["opcode"] == "binary"][-1]
    assert binary["truncated"]
    assert "hunter2" not in str(events)
    record = await asyncio.to_thread(
        eventually, lambda: session_record(sidelog, "/ws", f"compress={compress}")
    )
    assert (record["status"], record["outcome"], record["trace_id"]) == (101, "ok", trace_id)
    assert record["data"] == {"close_code": 1000}
    page = await asyncio.to_thread(sidelog.api, f"/api/records/{record['id']}/messages")
    assert [(m["direction"], m["opcode"]) for m in page["messages"]] == [
        *[("in", "text"), ("out", "text")] * 4, ("in", "binary"), ("out", "binary"), ("in", "close"), ("out", "close"),
    ]  # fmt: skip
    assert next(m["text"] for m in page["messages"] if m["direction"] == "out") == "hello"
    assert [m["inflated_size"] for m in page["messages"]][2] == (None if compress == 0 else 31)
    if compress == 0:
        assert record["request_bytes"] > len(large)


def _all_events(sidelog: Sidelog, trace_id: str, count: int) -> list[dict[str, Any]] | None:
    events = sidelog.records(f"kind=event&trace_id={trace_id}&order=asc")
    return events if len(events) >= count else None
