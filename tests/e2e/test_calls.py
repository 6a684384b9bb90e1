"""Tool calls through whole processes: the log says what the server said."""

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web

from tests.support.providers.streams import pause
from tests.support.providers.upstream import application
from tests.support.sidelog import Sidelog, eventually
from tests.support.upstream import running

SLOW_PACE_S = 0.3


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Sidelog]:
    """The demo upstream behind a running sidelog, slow enough for calls to be seen while they run."""
    with (
        running(application(SLOW_PACE_S)) as upstream,
        Sidelog(tmp_path / "data", upstream) as started,
    ):
        yield started


@pytest.fixture
def may_go_on(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """What a tool call with progress waits for behind its pause: however slow a reader is, it sees
    the call run.
    """
    event = threading.Event()

    async def held(request: web.Request) -> None:
        await pause(request)
        await asyncio.to_thread(event.wait, 60)

    monkeypatch.setattr("tests.support.providers.mcp.pause", held)
    return event


def post(
    url: str, body: object, headers: dict[str, str] | None = None
) -> tuple[int, bytes, dict[str, str]]:
    """POST JSON; errors are answers too."""
    head = {"Content-Type": "application/json"} | (headers or {})
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=head)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read(), dict(response.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def test_tool_calls(slow: Sidelog, may_go_on: threading.Event) -> None:
    """Success, the tool's failure and a streamed answer; the last one is `processing` while it
    runs.
    """
    sidelog = slow
    url = f"{sidelog.url}/mcp"
    start = {
        "method": "initialize",
        "id": 0,
        "jsonrpc": "2.0",
        "params": {"clientInfo": {"name": "test"}},
    }
    _, _, headers = post(url, start)
    session = {
        "mcp-session-id": headers["mcp-session-id"],
        "Accept": "application/json, text/event-stream",
    }

    def call(number: int, name: str, arguments: dict[str, Any], **params: Any) -> dict[str, Any]:
        params = {"name": name, "arguments": arguments} | params
        return {"method": "tools/call", "params": params, "jsonrpc": "2.0", "id": number}

    _, raw, added = post(url, call(1, "add", {"a": 1, "b": 2}), session)
    _, _, failed = post(url, call(2, "restart_service", {"service": "db"}), session)
    long = call(3, "search_documents", {"query": "needle"}, _meta={"progressToken": "t"})
    answers: list[tuple[int, bytes, dict[str, str]]] = []
    asking = threading.Thread(target=lambda: answers.append(post(url, long, session)))
    asking.start()

    try:
        running_row = eventually(lambda: sidelog.api("/api/mcp-logs?status=processing")["logs"])[0]
    finally:
        may_go_on.set()
        asking.join()

    assert (running_row["tool_name"], running_row["latency"]) == ("search_documents", None)
    sidelog.record(answers[0][2]["X-Sidelog-Id"])
    answer = sidelog.api("/api/mcp-logs?order=asc")
    rows = {row["metadata"]["record_id"]: row for row in answer["logs"]}
    assert len(rows) == 3
    ended = sidelog.api(f"/api/mcp-logs/{running_row['id']}")
    assert (ended["status"], ended["metadata"]["transport"], ended["metadata"]["client"]) == (
        "success",
        "sse",
        "test",
    )
    assert ended["latency"] >= 2 * SLOW_PACE_S * 900
    assert rows[added["X-Sidelog-Id"]]["result"] == json.loads(raw)["result"]
    error = rows[failed["X-Sidelog-Id"]]["error_details"]
    assert (error["status_code"], error["error"]["type"]) == (200, "tool_error")
    assert "permission denied" in error["error"]["message"]
    for search in ("error:tool_error", "tool:restart_service level:error"):
        found = sidelog.api("/api/records?" + urlencode({"query": search}))["records"]
        assert [record["id"] for record in found] == [failed["X-Sidelog-Id"]]
    assert answer["stats"]["success_rate"] == pytest.approx(200 / 3)
    assert {row["server_label"] for row in rows.values()} == {"demo-tools"}
    assert [
        row["tool_name"] for row in sidelog.api("/api/mcp-logs?content_search=NEEDLE")["logs"]
    ] == ["search_documents"]
    detail = sidelog.api(f"/api/records/{added['X-Sidelog-Id']}")
    assert [tool["tool_name"] for tool in detail["tools"]] == ["add"]

    with urllib.request.urlopen(
        f"http://127.0.0.1:{sidelog.admin_port}/metrics", timeout=60
    ) as response:
        metrics = response.read().decode()

    assert (
        'sidelog_mcp_tool_calls_total{server="demo-tools",status="success",tool="add"} 1.0'
        in metrics
    )
    assert session["mcp-session-id"] not in json.dumps(answer)
