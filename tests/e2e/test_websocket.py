"""WebSockets through a whole sidelog: byte-exact, recorded message by message; a refused upgrade
stays HTTP.
"""

import asyncio
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from tests.support.sidelog import Sidelog, eventually
from tests.support.upstream import running

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def echoing() -> web.Application:
    """An upstream that echoes messages, closes on request, and refuses one path."""

    async def echo(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=True, max_msg_size=1 << 26)
        await ws.prepare(request)
        async for message in ws:
            if message.type is WSMsgType.TEXT and message.data == "close":
                await ws.close(code=4001, message=b"asked to")
            elif message.type is WSMsgType.TEXT:
                await ws.send_str(message.data)
            else:
                await ws.send_bytes(message.data)

        return ws

    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=403, text="no upgrade here")

    app = web.Application()
    app.router.add_get("/ws", echo)
    app.router.add_get("/refused", refuse)
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


async def test_the_servers_close_code_is_recorded(sidelog: Sidelog) -> None:
    """Who closes first gives the code; the client gets it too."""
    async with aiohttp.ClientSession() as session, session.ws_connect(sidelog.url + "/ws") as ws:
        await ws.send_str("close")
        message = await ws.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 4001)

    def closed() -> bool:
        record = session_record(sidelog, "/ws")
        return record is not None and record["data"] == {"close_code": 4001}

    await asyncio.to_thread(eventually, closed)
    (record,) = await asyncio.to_thread(sidelog.records, "query=error:websocket_4001")
    assert (record["level"], record["outcome"]) == ("warn", "ok")


async def test_messages_are_found_by_their_words(sidelog: Sidelog) -> None:
    """With and without `kind:event`, and by a part of one; `kind:exchange` leaves them out."""
    async with aiohttp.ClientSession() as session, session.ws_connect(sidelog.url + "/ws") as ws:
        await ws.send_str('{"greeting": "zebrafinch"}')
        await ws.receive_str()
        await ws.close(code=1000)

    def both(query: str) -> list[dict[str, Any]] | None:
        found = sidelog.records(f"query={quote(query)}")
        return found if len(found) == 2 else None

    for query in ("zebrafinch", "kind:event zebrafinch", "kind:event *brafin*"):
        found = await asyncio.to_thread(eventually, partial(both, query))
        assert {event["name"] for event in found} == {"websocket_message"}, query
    assert (
        await asyncio.to_thread(sidelog.records, f"query={quote('zebrafinch kind:exchange')}") == []
    )


async def test_a_refused_upgrade_stays_http(sidelog: Sidelog) -> None:
    """The upstream's own answer reaches the client, and the connection goes on as HTTP."""
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.get(sidelog.url + "/refused", headers=headers) as response:
                assert (response.status, await response.text()) == (403, "no upgrade here")


async def test_bytes_behind_a_refused_upgrade_are_the_next_request(sidelog: Sidelog) -> None:
    """What follows a handshake that the upstream refuses is read as HTTP, never passed on unread
    (P7).
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", sidelog.port)
    writer.write(
        b"GET /refused HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        b"GET /smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    answer = await asyncio.wait_for(reader.read(), 60)  # noqa: TID251 - a test may wait for a stream with a bound
    writer.close()
    assert answer.count(b"HTTP/1.1 403") == 1
    assert answer.count(b"HTTP/1.1 404") == 1
    record = await asyncio.to_thread(eventually, lambda: session_record(sidelog, "/smuggled"))
    assert record["status"] == 404


async def test_a_vanished_client_ends_the_session(sidelog: Sidelog) -> None:
    """Without a close frame the session is recorded as left by the client."""
    session = aiohttp.ClientSession()
    ws = await session.ws_connect(sidelog.url + "/ws?vanish=1")
    await ws.send_str("x")
    await ws.receive_str()
    assert ws._response.connection is not None
    assert ws._response.connection.transport is not None
    ws._response.connection.transport.abort()
    await session.close()

    def gone() -> bool:
        record = session_record(sidelog, "/ws")
        return (
            record is not None
            and record["query"] == "vanish=1"
            and record["outcome"] == "client_closed"
        )

    await asyncio.to_thread(eventually, gone)


def test_every_message_is_in_the_ledger(sidelog: Sidelog, tmp_path: Path) -> None:
    """Messages are records like others: received and stored."""
    ledger = sidelog.settled_ledger()
    assert ledger["stored"] == len(sidelog.records("kind=all"))
