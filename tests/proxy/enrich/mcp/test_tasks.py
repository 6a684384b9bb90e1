"""Tasks (revision 2025-11-25): accepted at once, ended by their result, with the time between; once, over restarts.

Messages as in https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/tasks.
"""

import json
import time
from typing import Any

import pytest

from storage.record import format_id
from tests.proxy.enrich.mcp.mcp_world import OLD, World, answer, ask, details, events, only

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
    """Not with the answer that names the task, nor with a state; the time is from the call to the result."""
    world = World()
    begun = world.pass_on(ask(task={"ttl": 60000}), reply({"task": task()}, 1), request_headers=headers)
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
        request("tasks/result"), events(progress, answer(2, "3", isError=True)), content_type="text/event-stream"
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


def test_a_task_that_is_not_known_to_the_server_fails() -> None:
    """The error of `tasks/result` is that of the call."""
    world = World()
    world.pass_on(ask(task={}), reply({"task": task()}, 1))
    error = {"jsonrpc": "2.0", "id": 2, "error": {"code": -32602, "message": "Failed to retrieve task: expired"}}
    assert details(only(world.pass_on(request("tasks/result"), error)))["error"]["type"] == "invalid_params"


def test_strange_tasks_are_results() -> None:
    """What is no task ends the call as any result."""
    for result in ({"task": 5}, {"task": {"taskId": None}}, {"content": [], "task": {"taskId": {}}}):
        assert only(World().pass_on(ask(), reply(result, 1))).status == "success"
    assert World().pass_on({"id": 1, "method": "tasks/get", "params": 5}, reply({}, 1)).tool_calls == []
