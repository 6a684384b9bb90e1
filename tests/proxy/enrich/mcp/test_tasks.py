"""Tasks: accepted at once, ended by their result, with the time between; once, over restarts.

Messages as in https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/tasks.
"""

import json
import time
from typing import Any

import pytest

from storage.record import format_id
from tests.proxy.enrich.mcp.mcp_world import (
    NO_SESSION,
    OLD,
    PROGRESS,
    World,
    answer,
    ask,
    error_of,
    failed,
    notice,
    only,
    reply,
    request,
)
from tests.support.cases import each_of


def task(status: str = "working", **more: Any) -> dict[str, Any]:
    """State of a task."""
    return {
        "taskId": "786512e2", "status": status, "createdAt": "2025-11-25T10:30:00Z", "ttl": 60000, "pollInterval": 5000,
    } | more  # fmt: skip


def about(action: str, rpc_id: int = 2, task_id: str = "786512e2") -> dict[str, Any]:
    """What is asked about it."""
    return request(f"tasks/{action}", rpc_id, taskId=task_id)


def with_task() -> World:
    """Begin with a call that is a task."""
    world = World()
    world.pass_on(ask(task={}), reply({"task": task()}))
    return world


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
        ask(task={"ttl": 60000}), reply({"task": task()}), request_headers=headers
    )
    waits = only(begun)
    assert (waits.status, waits.latency_us) == ("processing", None)
    assert json.loads(waits.metadata)["task"] == "786512e2"
    if restarts:
        world = World()
        world.builder.await_answers([waits])
    time.sleep(0.01)
    state = world.pass_on(about("get"), reply(task(), 2), request_headers=headers)
    assert state.tool_calls == []
    assert state.record.stream is not None
    assert state.record.stream.begun_by == format_id(begun.record.id)
    other = world.pass_on(about("result", 3, "other"), answer(3), request_headers=headers)
    assert other.tool_calls == []
    result = answer(4, "42", _meta={"io.modelcontextprotocol/related-task": {"taskId": "786512e2"}})
    entry = world.pass_on(about("result", 4), result, request_headers=headers)
    call = only(entry)
    assert (call.status, call.record_id, call.tool_name) == ("success", begun.record.id, "add")
    assert call.latency_us is not None
    assert call.latency_us >= 10_000
    assert json.loads(call.result or b"")["content"][0]["text"] == "42"
    assert json.loads(call.metadata)["transport"] == "task"
    assert entry.record.stream is not None
    assert entry.record.stream.begun_by == format_id(begun.record.id)
    again = world.pass_on(about("result", 5), answer(5, "42"), request_headers=headers)
    assert again.tool_calls == []
    assert world.builder.waiting_tools() == []


def test_a_result_that_comes_as_events() -> None:
    """`tasks/result` may block until the task has ended, with progress before."""
    entry = with_task().stream(about("result"), PROGRESS, answer(2, "3", isError=True))
    assert only(entry).status == "error"


@each_of("way", ["get", "result", "cancel", "created", "notification", "task"])
@each_of(("status", "kind"), [("failed", "server_error"), ("cancelled", "cancelled")])
def test_a_task_that_has_ended_badly_ends_its_call(way: str, status: str, kind: str) -> None:
    """Its state is all that is said of it, in whichever message: a client asks for no result then."""
    world = World() if way == "created" else with_task()
    ended = task(status, statusMessage="out of memory")

    if way == "created":
        entry = world.pass_on(ask(task={}), reply({"task": ended}))
    elif way == "notification":
        entry = world.listen(notice("notifications/tasks/status", **ended))
    elif way == "task":
        entry = world.pass_on(about("get"), reply({"task": ended}, 2))
    else:
        entry = world.pass_on(about(way), reply(ended, 2))

    error = error_of(entry)
    assert (error["type"], error["message"]) == (kind, "out of memory")
    assert only(entry).latency_us is not None
    assert world.builder.waiting_tools() == []


def test_a_task_that_is_not_known_to_the_server_fails() -> None:
    """The error of `tasks/result` is that of the call."""
    entry = with_task().pass_on(about("result"), failed(-32602, "it has expired", 2))
    assert error_of(entry)["type"] == "invalid_params"


def test_strange_tasks_are_results() -> None:
    """What is no task ends the call as any result; a state that is none ends nothing."""
    world = with_task()
    stranges: list[object] = [[], {}, None, 7]
    for strange in stranges:
        state = reply(task() | {"status": strange}, 2)
        assert world.pass_on(about("get"), state).tool_calls == []

    said = world.pass_on(about("result"), answer(2, status="failed"))
    assert only(said).status == "success"

    for result in (
        {"task": 5},
        {"task": {"taskId": None}},
        {"content": [], "task": {"taskId": {}}},
    ):
        assert only(World().pass_on(ask(), reply(result))).status == "success"

    strange = {"id": 1, "method": "tasks/get", "params": 5}
    assert World().pass_on(strange, reply({})).tool_calls == []


NEW: dict[str, Any] = {"request_headers": "mcp-protocol-version: 2026-07-28\r\n"}
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
    begun = world.pass_on(ask(), reply(state()), **NEW)
    assert only(begun).status == "processing"
    assert world.pass_on(about("get"), reply(state(), 2), **NEW).tool_calls == []
    done = state("completed", result=RESULT)

    if way == "answer":
        entry = world.pass_on(about("get", 3), reply(done | {"resultType": "complete"}, 3), **NEW)
    else:
        told = notice("notifications/tasks", **done)
        entry = world.stream(request("subscriptions/listen", 3), told, **NEW)

    call = only(entry)
    assert (call.status, call.record_id, call.tool_name) == ("success", begun.record.id, "add")
    assert json.loads(call.result or b"") == RESULT
    assert entry.record.stream is not None
    assert entry.record.stream.begun_by == format_id(begun.record.id)
    assert world.builder.waiting_tools() == []


@each_of(
    ("told", "kind"),
    [
        (state("failed", error={"code": -32603, "message": "sorry"}), "internal_error"),
        (state("completed", result=RESULT | {"isError": True}), "tool_error"),
    ],
)
def test_a_task_of_the_extension_that_fails(told: object, kind: str) -> None:
    """By JSON-RPC, in the state; or as a tool does, in the result."""
    world = World()
    world.pass_on(ask(), reply(state()), **NEW)
    entry = world.pass_on(about("get"), reply(told, 2), **NEW)
    assert (error_of(entry)["type"], entry.record.level) == (kind, "error")


def test_a_result_that_is_longer_than_what_is_kept() -> None:
    """Its task has ended, for a state alone is short."""
    world = World()
    world.pass_on(ask(), reply(state()), **NEW)
    done = reply(state("completed", result={"content": [{"type": "text", "text": "4" * 9000}]}), 2)
    assert only(world.pass_on(about("get"), done, windows=(1000, 500), **NEW)).status == "success"
