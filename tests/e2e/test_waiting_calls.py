"""Tool calls of the oldest MCP transport, whose answer is awaited on another stream, over a kill of
the collector.
"""

import asyncio
import http.client
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.long import long
from tests.support.sidelog import Sidelog, await_pids, eventually
from tests.support.upstream import running

ASKED = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "add", "arguments": {"a": 1}},
}
ANSWER = {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "two"}]}}


def two_streams() -> web.Application:
    """An MCP server of 2024-11-05: it accepts calls, and answers them on the stream when it is told
    to.
    """
    is_told = asyncio.Event()

    async def listen(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"event: endpoint\r\ndata: /messages/?session_id=s-1\r\n\r\n")
        await is_told.wait()
        await response.write(
            b"event: message\r\ndata: " + json.dumps(ANSWER).encode() + b"\r\n\r\n"
        )
        return response

    async def accept(_: web.Request) -> web.Response:
        return web.Response(status=202, text="Accepted")

    async def tell(_: web.Request) -> web.Response:
        is_told.set()
        return web.Response()

    app = web.Application()
    app.router.add_get("/sse", listen)
    app.router.add_post("/messages/", accept)
    app.router.add_post("/tell", tell)
    return app


def call_of(sidelog: Sidelog, status: str) -> dict[str, Any] | None:
    """The one tool call there is, when it has the status."""
    logs = sidelog.api("/api/mcp-logs")["logs"]
    assert len(logs) <= 1
    return next((log for log in logs if log["status"] == status), None)


def send(sidelog: Sidelog, path: str, body: object = None) -> int:
    """Post a document; returns the status."""
    connection = http.client.HTTPConnection("127.0.0.1", sidelog.port, timeout=60)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("role", ["proxy.collector", long("all")])
def test_a_waiting_call_survives_a_kill(tmp_path: Path, role: str) -> None:
    """It is shown as running before and after, and gets its answer, its name and its latency, once."""
    with running(two_streams()) as upstream, Sidelog(tmp_path / "data", upstream) as sidelog:
        stream = http.client.HTTPConnection("127.0.0.1", sidelog.port, timeout=60)
        stream.request("GET", "/sse")
        answers = stream.getresponse()
        assert send(sidelog, "/messages/?session_id=s-1", ASKED) == 202
        before = eventually(lambda: call_of(sidelog, "processing"))
        eventually(lambda: sidelog.api("/api/ledger")["stored"] >= 1)

        if role == "all":
            sidelog.kill_all()
            stream.close()
            sidelog.start()
            stream.connect()
            stream.request("GET", "/sse")
            answers = stream.getresponse()
        else:
            (old,) = await_pids(sidelog, role)
            os.kill(old, signal.SIGKILL)
            eventually(lambda: sidelog.pids(role) not in ([], [old]) and sidelog.is_ready())

        assert eventually(lambda: call_of(sidelog, "processing"))["id"] == before["id"]
        assert send(sidelog, "/tell") == 200
        assert b'"two"' in answers.read()
        stream.close()
        ended = eventually(lambda: call_of(sidelog, "success"))
        assert (ended["id"], ended["tool_name"], ended["arguments"]) == (
            before["id"],
            "add",
            {"a": 1},
        )
        assert ended["latency"] > 0
        assert sidelog.settled_ledger()["balanced"]
