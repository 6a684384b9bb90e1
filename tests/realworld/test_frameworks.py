"""An agent framework and the official MCP client, with a model and an MCP server that nobody here
wrote either.
"""

import contextlib
import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.realworld.agent_upstream import ANSWER, COMMAND, Model
from tests.realworld.agents import KEY
from tests.realworld.programs import HOME, SERVERS, npm_file, run, serving, system_program
from tests.realworld.proxied import Proxied, proxied
from tests.realworld.test_agents import comparable
from tests.support.ports import free_port
from tests.support.sidelog import eventually
from tests.support.upstream import running

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]
_PATHS: Final = {"streamable": "/mcp", "sse": "/sse"}
_LONG: Final = "trigger-long-running-operation"


@contextlib.contextmanager
def everything(home: Path, transport: str = "streamable") -> Iterator[str]:
    """Run the reference server, which has one of everything."""
    program = npm_file("@modelcontextprotocol/server-everything/dist/index.js")
    kind = "sse" if transport == "sse" else "streamableHttp"
    port = free_port()
    with serving([system_program("node"), program, kind], port, home, {"PORT": str(port)}) as url:
        yield url


def node(script: str, cwd: Path, *arguments: str) -> Any:
    """Run one of our scripts with the packages that npm installed; return what it wrote."""
    command = [
        system_program("node"),
        str(SERVERS / script),
        str(HOME / "npm/package.json"),
        *arguments,
    ]
    return json.loads(run(command, cwd, {"no_proxy": "*"}).splitlines()[-1])


def tool_rows(way: Proxied) -> list[dict[str, Any]]:
    """Return the calls of tools, oldest first, once all have ended: some do with the stream of
    their session.
    """

    def ended() -> list[dict[str, Any]]:
        way.sidelog.settled_ledger()
        rows: list[dict[str, Any]] = way.sidelog.api("/api/mcp-logs?order=asc&limit=100")["logs"]
        if any(row["status"] == "processing" for row in rows):
            return []
        return rows

    return eventually(ended)


def served_records(way: Proxied) -> list[dict[str, Any]]:
    """Return the record of a server whose clients leave its streams, which have no end that a
    witness could read.
    """
    records = way.records()
    assert [record for record in records if record["outcome"] != "ok"] == []
    assert way.sidelog.settled_ledger()["dropped"] == {}
    return records


@pytest.mark.parametrize("api", ["responses", "chat", "messages"])
def test_a_framework_works_and_is_recorded(tmp_path: Path, api: str) -> None:
    """Two questions are one conversation, to the token; the tool that the model called is a call of
    MCP.
    """
    model = Model()
    for name in ("models", "tools"):
        (tmp_path / name).mkdir()
    with running(model.application()) as origin, everything(tmp_path) as tools:
        direct = node("ai_sdk.mjs", tmp_path, api, origin, f"{tools}/mcp")
        model.calls.clear()
        with (
            proxied(tmp_path / "models", origin) as models,
            proxied(tmp_path / "tools", tools) as served,
        ):
            assert node("ai_sdk.mjs", tmp_path, api, models.url, f"{served.url}/mcp") == direct
            calls = models.check_record()
            conversations = models.sidelog.api("/api/conversations")["conversations"]
            (called,) = tool_rows(served)
            exchanges = served_records(served)
            details = [models.sidelog.record(call["id"]) for call in calls]

    assert (direct["answers"], len(direct["results"])) == ([ANSWER, ANSWER], 1)
    assert comparable(calls) == comparable([dataclasses.asdict(call) for call in model.calls])
    assert {call["usage_state"] for call in calls} == {"exact"}
    assert [(each["turns"], each["title"]) for each in conversations] == [
        (3, "What do my notes say?")
    ]
    assert (called["tool_name"], called["status"], called["arguments"]) == (
        "echo",
        "success",
        {"message": COMMAND},
    )
    endpoints = Counter(
        exchange["endpoint"] for exchange in exchanges if exchange["method"] == "POST"
    )
    assert (
        endpoints["/mcp#tools/call/echo"]
        == endpoints["/mcp#initialize"]
        == endpoints["/mcp#tools/list"]
        == 1
    )
    assert KEY not in json.dumps(details)


@pytest.mark.parametrize("transport", _PATHS)
def test_an_mcp_client_is_told_and_recorded_the_same(tmp_path: Path, transport: str) -> None:
    """Progress, questions of the server and failures arrive; each call of a tool is a row, with
    what it told.
    """
    path = _PATHS[transport]
    with everything(tmp_path, transport) as origin:
        direct = node("mcp_client.mjs", tmp_path, transport, origin + path)
        with proxied(tmp_path, origin) as way:
            assert node("mcp_client.mjs", tmp_path, transport, way.url + path) == direct
            rows = {row["tool_name"]: row for row in tool_rows(way)}
            records = served_records(way)

    heard = direct["heard"]
    assert (direct["hasProgressed"], direct["resources"], heard.pop("prompt")) == (
        True,
        1,
        {"code": -32602},
    )
    assert rows.keys() == heard.keys()

    assert {name for name, row in rows.items() if row["status"] == "error"} == {
        "get-sum",
        "nowhere",
    }
    for name, told in heard.items():
        result = rows[name]["result"]
        assert (result.get("isError", False), result["content"][0]["text"]) == (
            told["isError"],
            told["text"],
        )
        assert (rows[name]["metadata"]["client"], "session" in rows[name]["metadata"]) == (
            "official-client",
            True,
        )

    assert rows[_LONG]["latency"] >= 1000
    asked = Counter(
        json.dumps(record["data"]["mcp"]) for record in records if (record["data"] or {}).get("mcp")
    )
    assert (
        asked['{"method": "tools/call", "name": "echo"}']
        == asked['{"method": "resources/read"}']
        == 1
    )
