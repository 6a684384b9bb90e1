"""Tasks: accepted at once, ended by their result, with the time between; once, over restarts.

Messages as in https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/tasks.
"""

import json
import time
from typing import Any

import pytest

from storage.record import format_id
from tests.proxy.enrich.mcp.mcp_world import OLD, World, answer, ask, details, events, only
from tests.support.cases import each_of

NO_SESSION = "mcp-protocol-version: 2025-11-25\r\n"


def task(status: str = "working", **more: Any) -> dict[str, Any]:
    """State of a task."""
    return {
        "taskId": "786512e2", "status": status, "createdAt": "2025-11-25T10:30:00Z", "ttl": 60000, "pollInterval": 5000,
    } | more  # fmt: skip


def request(method: str, rpc_id: int = 2, task_id: str = "786512e2") -> dict[str, Any]:
    """What is asked about it."""
    return {"jsonrpc": "2.0", "id": rpc_id, "method": method, "params": {"taskId": task_id}}


def reply(result: object, rpc_id: int = 2) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": rpc_id, "result": result}


@pytest.fixture(params=[OLD, NO_SESSION], ids=["session", "no session"])
def headers(request: pytest.FixtureRequest) -> str:
    """With and without a session."""
    return str(request.param)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_call_ends_with_the_result_of_its_task(headers: str, *, restarts: bool) -> None:
    """Not with the answer that names the task, nor with a state; the time is from the call to the
    result.
    """
    world = World()
    begun = world.pass_on(
        ask(task={"ttl": 60000}), reply({"task": task()}, 1), request_headers=headers
    )
    waits = only(begun)
    assert (waits.status, waits.latency_us) == ("processing", None)
    assert json.loads(waits.metadata)["task"] == "786512e2"
    if restarts:
        world = World()
        world.builder.await_answers([waits])
    time.sleep(0.01)
    state = world.pass_on(request("tasks/get"), reply(task()), request_headers=headers)
    assert state.tool_calls == []
    assert state.record.stream is not None
    assert state.record.stream.begun_by == format_id(begun.record.id)
    other = world.pass_on(request("tasks/result", 3, "other"), answer(3), request_headers=headers)
    assert other.tool_calls == []
    result = answer(4, "42", _meta={"io.modelcontextprotocol/related-task": {"taskId": "786512e2"}})
    entry = world.pass_on(request("tasks/result", 4), result, request_headers=headers)
    call = only(entry)
    assert (call.status, call.record_id, call.tool_name) == ("success", begun.record.id, "add")
    assert call.latency_us is not None
    assert call.latency_us >= 10_000
    assert json.loads(call.result or b"")["content"][0]["text"] == "42"
    assert json.loads(call.metadata)["transport"] == "task"
    assert entry.record.stream is not None
    assert entry.record.stream.begun_by == format_id(begun.record.id)
    again = world.pass_on(request("tasks/result", 5), answer(5, "42"), request_headers=headers)
    assert again.tool_calls == []
    assert world.builder.waiting_tools() == []


def test_a_result_that_comes_as_events() -> None:
    """`tasks/result` may block until the task has ended, with progress before."""
    world = World()
    world.pass_on(ask(task={}), reply({"task": task()}, 1))
    progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}
    entry = world.pass_on(
        request("tasks/result"),
        events(progress, answer(2, "3", isError=True)),
        content_type="text/event-stream",
    )
    assert only(entry).status == "error"


def test_a_cancelled_task_ends_its_call() -> None:
    """Whoever says so first: the answer to the cancellation, or to a question."""
    for method in ("tasks/cancel", "tasks/get"):
        world = World()
        world.pass_on(ask(task={}), reply({"task": task()}, 1))
        entry = world.pass_on(request(method), reply(task("cancelled", statusMessage="by request")))
        assert details(only(entry))["error"]["type"] == "cancelled"
        assert details(only(entry))["error"]["message"] == "by request"


@each_of("way", ["tasks/get", "tasks/result", "tasks/cancel", "created", "notification", "task"])
@each_of(("status", "kind"), [("failed", "server_error"), ("cancelled", "cancelled")])
def test_a_task_that_has_ended_badly_ends_its_call(way: str, status: str, kind: str) -> None:
    """Its state is all that is said of it, in whichever message: a client asks for no result then."""
    world = World()
    ended = task(status, statusMessage="out of memory")
    told = {"jsonrpc": "2.0", "method": "notifications/tasks/status", "params": ended}

    if way == "created":
        entry = world.pass_on(ask(task={}), reply({"task": ended}, 1))
    else:
        world.pass_on(ask(task={}), reply({"task": task()}, 1))
        if way == "notification":
            entry = world.pass_on(b"", events(told), method="GET", content_type="text/event-stream")
        else:
            method = "tasks/get" if way == "task" else way
            entry = world.pass_on(
                request(method), reply({"task": ended} if way == "task" else ended)
            )

    call = only(entry)
    assert (call.status, details(call)["error"]) == (
        *("error", details(call)["error"] | {"type": kind, "message": "out of memory"}),
    )
    assert call.latency_us is not None
    assert world.builder.waiting_tools() == []


def test_a_task_that_is_not_known_to_the_server_fails() -> None:
    """The error of `tasks/result` is that of the call."""
    world = World()
    world.pass_on(ask(task={}), reply({"task": task()}, 1))
    error = {
        "jsonrpc": "2.0",
        "id": 2,
        "error": {"code": -32602, "message": "Failed to retrieve task: expired"},
    }
    assert (
        details(only(world.pass_on(request("tasks/result"), error)))["error"]["type"]
        == "invalid_params"
    )


def test_strange_tasks_are_results() -> None:
    """What is no task ends the call as any result; a state that is none ends nothing."""
    world = World()
    stranges: list[object] = [[], {}, None, 7]
    for strange in stranges:
        world = World()
        world.pass_on(ask(task={}), reply({"task": task()}, 1))
        assert (
            world.pass_on(request("tasks/get"), reply(task() | {"status": strange})).tool_calls
            == []
        )

    world.pass_on(ask(task={}), reply({"task": task()}, 1))
    said = world.pass_on(request("tasks/result"), answer(2, status="failed"))
    assert only(said).status == "success"

    for result in (
        {"task": 5},
        {"task": {"taskId": None}},
        {"content": [], "task": {"taskId": {}}},
    ):
        assert only(World().pass_on(ask(), reply(result, 1))).status == "success"

    assert (
        World().pass_on({"id": 1, "method": "tasks/get", "params": 5}, reply({}, 1)).tool_calls
        == []
    )


NEW = "mcp-protocol-version: 2026-07-28\r\n"
"""A revision that has no sessions, and tasks as an extension."""


def state(status: str = "working", **more: Any) -> dict[str, Any]:
    """State of a task of the extension: https://github.com/modelcontextprotocol/ext-tasks"""
    return {
        "resultType": "task",
        "taskId": "786512e2",
        "status": status,
        "ttlMs": 60000,
        "pollIntervalMs": 1,
    } | more


RESULT = {"content": [{"type": "text", "text": "42"}]}


@pytest.mark.parametrize("way", ["answer", "notification"])
def test_a_task_of_the_extension_has_its_result_in_its_state(way: str) -> None:
    """The server decides to answer later; the state that the client asks for, or is told, ends the
    call.
    """
    world = World()
    begun = world.pass_on(ask(), reply(state(), 1), request_headers=NEW)
    assert only(begun).status == "processing"
    waits = world.pass_on(request("tasks/get"), reply(state()), request_headers=NEW)
    assert waits.tool_calls == []
    done = state("completed", result=RESULT)

    if way == "answer":
        entry = world.pass_on(
            request("tasks/get", 3),
            reply(done | {"resultType": "complete"}, 3),
            request_headers=NEW,
        )
    else:
        listen = {"jsonrpc": "2.0", "id": 3, "method": "subscriptions/listen", "params": {}}
        told = {"jsonrpc": "2.0", "method": "notifications/tasks", "params": done}
        entry = world.pass_on(
            listen, events(told), content_type="text/event-stream", request_headers=NEW
        )

    call = only(entry)
    assert (call.status, call.record_id, call.tool_name) == ("success", begun.record.id, "add")
    assert json.loads(call.result or b"") == RESULT
    assert entry.record.stream is not None
    assert entry.record.stream.begun_by == format_id(begun.record.id)
    assert world.builder.waiting_tools() == []


def test_a_task_of_the_extension_that_fails() -> None:
    """By JSON-RPC, in the state; or as a tool does, in the result."""
    ways: list[tuple[dict[str, Any], str]] = [
        (state("failed", error={"code": -32603, "message": "sorry"}), "internal_error"),
        (state("completed", result=RESULT | {"isError": True}), "tool_error"),
    ]
    for told, kind in ways:
        world = World()
        world.pass_on(ask(), reply(state(), 1), request_headers=NEW)
        entry = world.pass_on(request("tasks/get"), reply(told), request_headers=NEW)
        assert details(only(entry))["error"]["type"] == kind
        assert entry.record.level == "error"


def test_a_result_that_is_longer_than_what_is_kept() -> None:
    """Its task has ended, for a state alone is short."""
    world = World()
    world.pass_on(ask(), reply(state(), 1), request_headers=NEW)
    done = reply(state("completed", result={"content": [{"type": "text", "text": "4" * 9000}]}))
    entry = world.pass_on(request("tasks/get"), done, request_headers=NEW, windows=(1000, 500))
    assert only(entry).status == "success"
