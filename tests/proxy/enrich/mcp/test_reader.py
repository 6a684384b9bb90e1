"""Tool calls of both protocol eras, as they pass on the wire."""

import json
from typing import Any

import pytest

from proxy.ring.inflight import InflightExchange
from storage.record import Outcome, new_id
from tests.proxy.enrich.mcp.mcp_world import (
    NEW,
    OLD,
    PROGRESS,
    SESSION,
    SSE,
    World,
    answer,
    ask,
    details,
    error_of,
    events,
    failed,
    notice,
    only,
    reply,
    request,
)
from tests.support.cases import each_of


def test_call_answered_as_json() -> None:
    """Name, arguments, result, label, latency, price and metadata of a plain call; it is no LLM
    call.
    """
    entry = World(tool_cost_usd={"add": 0.002}).pass_on(ask(), answer(structuredContent={"sum": 3}))
    call = only(entry)
    assert (call.tool_name, call.server_label, call.status, call.latency_us) == (
        "add",
        "tools",
        "success",
        5000,
    )
    assert (json.loads(call.arguments or b""), json.loads(call.result or b"")["structuredContent"]) == (
        {"a": 1, "b": 2}, {"sum": 3},
    )  # fmt: skip
    assert (call.cost_usd, call.rpc_id, call.record_id) == (0.002, "1", entry.record.id)
    metadata = json.loads(call.metadata)
    assert (metadata["method"], metadata["protocol_version"], metadata["transport"]) == (
        "tools/call",
        "2025-06-18",
        "http",
    )
    assert call.session not in (None, "s-1")
    assert "s-1" not in call.metadata.decode()
    assert entry.record.provider is None


@each_of(
    ("reply", "status", "kind", "code"),
    [
        (answer(text="unknown tool: x", isError=True), 200, "tool_error", None),
        (failed(-32602), 200, "invalid_params", "-32602"),
        (failed(-32602), 400, "invalid_params", "-32602"),
        (failed(-32601), 404, "method_not_found", "-32601"),
        (failed(-32800, rpc_id=None), 200, "cancelled", "-32800"),
        (failed("odd"), 200, "server_error", "odd"),
        (b"bad gateway", 502, "http_502", None),
        (b"", 404, "http_404", None),
    ],
)
def test_three_levels_of_failure(reply: object, status: int, kind: str, code: str | None) -> None:
    """The tool's, JSON-RPC's and the transport's failures are told apart; none of them costs
    anything.
    """
    call = only(World(tool_cost_usd={"add": 1}).pass_on(ask(), reply, status=status))
    error = details(call)
    assert call.cost_usd == 0
    assert (error["is_bifrost_error"], error["status_code"]) == (False, status)
    assert (error["error"]["type"], error["error"].get("code")) == (kind, code)


@each_of(
    ("reply", "kind", "level"),
    [
        (answer(text="no such document", isError=True), "tool_error", "error"),
        (failed(-32603), "internal_error", "error"),
        (failed(0) | {"error": "words"}, "server_error", "error"),
        (failed(-32602), "invalid_params", "warn"),
        ({"jsonrpc": "2.0"}, "no_answer", "error"),
        (answer(), None, "info"),
    ],
)
@each_of("is_stream", [False, True])
def test_failure_behind_a_status_of_200_is_on_the_record(
    reply: object, kind: str | None, level: str, *, is_stream: bool
) -> None:
    """Who looks for failures finds the call; what the caller did wrong is a warning, as a 4xx is."""
    pass_on = World().stream if is_stream else World().pass_on
    record = pass_on(ask(), reply).record
    assert (record.error_type, record.level, record.outcome) == (kind, level, "ok")


@each_of(
    ("code", "status", "kind", "level"),
    [
        (-32002, 200, "resource_not_found", "warn"),
        (-32020, 200, "header_mismatch", "warn"),
        (-32021, 200, "missing_client_capability", "warn"),
        (-32022, 200, "unsupported_protocol_version", "warn"),
        (-32042, 200, "url_elicitation_required", "warn"),
        (-32000, 200, "server_error", "error"),
        (-32000, 404, "server_error", "warn"),
    ],
)
def test_failure_of_another_request_is_on_the_record(
    code: int, status: int, kind: str, level: str
) -> None:
    """Not only tools are called; what MCP gives a meaning is the client's, as of one that asks which
    revision a server speaks; a status that says it keeps its grade.
    """
    record = World().pass_on(request("server/discover"), failed(code), status=status).record
    assert (record.error_type, record.level) == (kind, level)


def test_upstream_that_failed() -> None:
    """The proxy's own answer is no result."""
    late = World().pass_on(ask(), status=504, outcome=Outcome.UPSTREAM_TIMEOUT)
    assert error_of(late)["type"] == "upstream_timeout"
    stopped = World().pass_on(ask(), outcome=Outcome.TRUNCATED, request_headers=NEW)
    assert error_of(stopped)["type"] == "truncated"
    late = World().pass_on(
        ask(), answer(isError=True), outcome=Outcome.UPSTREAM_TIMEOUT, status=504
    )
    assert late.record.level == "error"


def test_batch_is_matched_by_id() -> None:
    """One row per element, whatever the order of the answers; `1` and `"1"` are two ids;
    notifications make none.
    """
    batch = [
        ask(1, "a"),
        notice("notifications/x"),
        ask("1", "b"),
        request("ping", 9),
        ask(2, "c"),
    ]
    replies = [answer(2, "for c"), answer("1", "for b"), answer(1, "for a", isError=True)]
    for entry in (World().pass_on(batch, replies), World().stream(batch, *replies)):
        calls = entry.tool_calls
        assert [(call.position, call.tool_name, call.status) for call in calls] == [
            (0, "a", "error"), (1, "b", "success"), (2, "c", "success"),
        ]  # fmt: skip
        assert all(f"for {call.tool_name}".encode() in (call.result or b"") for call in calls)


def test_server_and_client_names() -> None:
    """Old era: from `initialize`, per session; new era: from `_meta`. The default route is labelled
    by the server.
    """
    world = World(id="default")
    start = request("initialize", 0, clientInfo={"name": "inspector"})
    begun = reply({"protocolVersion": "2025-06-18", "serverInfo": {"name": "demo-tools"}}, 0)
    world.pass_on(start, begun, request_headers="", response_headers=SESSION)
    call = only(world.pass_on(ask(), answer(), request_headers=SESSION))
    metadata = json.loads(call.metadata)
    assert (call.server_label, metadata["client"], metadata["protocol_version"]) == (
        "demo-tools",
        "inspector",
        "2025-06-18",
    )
    meta = {"io.modelcontextprotocol/serverInfo": {"name": "new-tools", "version": "1"}}
    call = only(
        world.pass_on(ask(), answer(_meta=meta, resultType="input_required"), request_headers=NEW)
    )
    assert (call.server_label, call.status) == ("new-tools", "success")
    assert json.loads(call.metadata)["result_type"] == "input_required"


INFO = "io.modelcontextprotocol"


@pytest.mark.parametrize("method", ["server/discover", "tools/call"])
def test_names_without_a_session(method: str) -> None:
    """An endpoint that once named its server labels the calls that fail, too; the client names
    itself in each call.
    """
    world = World(id="default")
    server = {f"{INFO}/serverInfo": {"name": "srv", "version": "1"}}
    named = reply({"resultType": "complete", "content": [], "_meta": server})
    world.pass_on(ask() | {"method": method}, named, request_headers=NEW)
    refused: dict[str, Any] = {"request_headers": NEW, "status": 400}
    asked = ask(2, _meta={f"{INFO}/clientInfo": {"name": "cli", "version": "1"}})
    call = only(world.pass_on(asked, failed(-32602, rpc_id=2), **refused))
    assert (call.server_label, call.status, json.loads(call.metadata)["client"]) == (
        "srv",
        "error",
        "cli",
    )
    call = only(world.pass_on(ask(3), failed(-32602, rpc_id=3), "/other/mcp", **refused))
    assert (call.server_label, "client" in json.loads(call.metadata)) == ("default", False)


def test_link_to_the_llm_call() -> None:
    """Only where the client states it."""
    stated = World().pass_on(ask(), answer(), request_headers=OLD + "x-llm-request-id: r-1\r\n")
    within = World().pass_on(ask(_meta={"llm_request_id": "r-2"}), answer())
    unstated = World().pass_on(ask(), answer())
    linked = [only(entry).llm_request_id for entry in (stated, within, unstated)]
    assert linked == ["r-1", "r-2", None]


def test_client_that_leaves_with_its_answer() -> None:
    """Closing on the response is the older clients' way; closing before it is an interruption."""
    entry = World().stream(ask(), answer(), outcome=Outcome.CLIENT_CLOSED)
    assert (entry.record.outcome, entry.record.level, only(entry).status) == (
        "ok",
        "info",
        "success",
    )
    entry = World().stream(ask(), b": ping\n\n", outcome=Outcome.CLIENT_CLOSED)
    assert entry.record.outcome == error_of(entry)["type"] == "client_closed"


@each_of("is_error", [False, True])
@each_of("windows", [(65_536, 16_384), (2000, 0), (2000, 10)])
def test_a_result_that_is_not_kept_whole_has_the_size_that_was_sent(
    is_error: bool, windows: tuple[int, int]
) -> None:
    """As JSON and as the event that a server of the SDK sends, before which others may come."""
    big = answer(text="word " * 600_000, isError=is_error)
    size = len(json.dumps(big["result"]))
    for kind, body in (
        ("application/json", json.dumps(big).encode()),
        (SSE, events(big)),
        (SSE, b": ping\n\n" + events(PROGRESS, big).replace(b"\r\n", b"\n")),
    ):
        timeline = [(len(body) // 2, 1000), (len(body), 4000)] if kind == SSE else None
        entry = World().pass_on(ask(), body, content_type=kind, windows=windows, timeline=timeline)
        call = only(entry)
        result = json.loads(call.result or b"")
        assert result["omitted"] == "truncated"
        # Which are not seen then.
        line_ends = 0 if windows[1] or timeline is None else len("\r\n\r\n")
        assert 0 <= result["bytes"] - size <= line_ends
        assert "word word" in result["text"]
        is_seen = windows[1] > 100  # `isError` stands at the end
        assert call.status == ("error" if is_error and is_seen else "success")
        assert call.latency_us == (5000 if timeline is None else 4000)


def test_a_request_of_the_server_that_was_cut_is_no_response() -> None:
    """Whatever its parameters are called."""
    asks_back = request("sampling/createMessage", result="x" * 9000)
    entry = World().stream(ask(), asks_back, windows=(2000, 1000))
    assert error_of(entry)["type"] == "not_captured"


def test_values_are_redacted_and_compacted() -> None:
    """Names, looks and payloads are dealt with as in bodies; the search text shows no more than
    that.
    """
    secret = "ghp_" + "aB3" * 12
    image = "QUJD" * 1000
    call = only(
        World().pass_on(
            ask(arguments={"password": "hunter2", "note": f"use {secret}"}),
            answer(text=f"Bearer {secret}", data=image),
        )
    )
    shown = (call.arguments or b"") + (call.result or b"") + call.search.encode()
    assert secret.encode() not in shown
    assert secret.lower().encode() not in shown
    assert b"hunter2" not in shown
    assert image.encode() not in shown
    assert b"[REDACTED]" in shown
    failed = only(World().pass_on(ask(name=secret), answer(text=f"no {secret}", isError=True)))
    assert secret not in failed.tool_name
    assert secret.encode() not in (failed.error_details or b"")


@each_of(
    ("path", "headers", "provider", "expected"),
    [
        ("/rpc", "", "auto", 0), ("/rpc", "", "mcp", 1), ("/rpc", SESSION, "auto", 1), ("/api/mcp", "", "auto", 1),
        ("/mcp", OLD, "none", 0), ("/mcp", OLD, "openai", 0),
    ],
)  # fmt: skip
def test_what_is_looked_at(path: str, headers: str, provider: str, expected: int) -> None:
    """Headers, the end of the path, or the route's setting make an exchange one of MCP."""
    entry = World(provider=provider).pass_on(ask(), answer(), path, request_headers=headers)
    assert len(entry.tool_calls) == expected


@each_of(
    "body",
    [
        b"", b"[]", b"[1,2]", b"nonsense", b'{"method": 5}', b"[" * 50_000, b'{"a":' * 50_000,
        b'{"method":"tools/call","id":{"x":1}}', b'{"method":"tools/call","id":null,"params":{}}',
        b'{"method":"tools/call","params":[],"id":"' + b"9" * 5000 + b'"}',
        json.dumps([ask(n) for n in range(2000)]).encode(), b"\xff\xfe{\x00",
    ],
)  # fmt: skip
def test_hostile_messages_cost_nothing_else(body: bytes) -> None:
    """Whatever is sent and answered, there is a record."""
    for kind in ("application/json", SSE):
        for windows in ((65536, 16384), (1000, 500)):
            entry = World().pass_on(body, body, content_type=kind, windows=windows)
            assert entry.record.status == 200
            assert len(entry.tool_calls) <= 300


def test_call_in_flight_is_processing() -> None:
    """The slot's head and the beginning of the body name the tool, also when the body is longer
    than the slot.
    """
    world = World()
    for body in (
        json.dumps(ask()).encode(),
        json.dumps(ask(arguments={"x": "y" * 5000})).encode()[:2048],
    ):
        flying = InflightExchange(
            record_id=new_id(1, 2, 3), started_at_us=5, route=0, client_ip=b"10.0.0.1",
            head=b"POST /mcp HTTP/1.1\r\nHost: x\r\n" + OLD.encode() + b"\r\n", head_truncated=False, body=body,
        )  # fmt: skip
        (call,) = world.builder.running_tools(flying, world.descriptor)
        assert (call.tool_name, call.status, call.latency_us, call.server_label) == (
            "add",
            "processing",
            None,
            "tools",
        )


def test_text_cut_within_a_character() -> None:
    """Servers that cut by UTF-16 unit, or by byte, are answered all the same, and what is kept is
    JSON in UTF-8.
    """
    asked = only(World().pass_on(ask(arguments={"a": "cut \ud83d"}), answer(text="sum \ud83d")))
    assert (asked.status, json.loads(asked.arguments or b"")) == ("success", {"a": "cut \ufffd"})
    assert json.loads(asked.result or b"")["content"][0]["text"] == "sum \ufffd"
    [request, reply] = [
        json.dumps(part).encode() for part in (ask(arguments={"a": "@"}), answer(text="@"))
    ]
    octets = only(World().pass_on(request.replace(b"@", b"\xe2\x82"), reply.replace(b"@", b"\xff")))
    assert (octets.status, json.loads((octets.arguments or b"").decode())) == (
        "success",
        {"a": "\ufffd"},
    )
    assert json.loads((octets.result or b"").decode())["content"][0]["text"] == "\ufffd"
