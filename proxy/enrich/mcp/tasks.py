"""Tasks: tool calls that are accepted at once and whose result is fetched later.

Revision 2025-11-25: a `tools/call` with a `task` is answered with the task's id instead of a
result; `tasks/result` then returns the result of the call. `tasks/get` and `tasks/cancel` return
the state of the task. With revision 2026-07-28 tasks are an extension
(io.modelcontextprotocol/tasks): the server decides, the result's type is `task`, and the state
itself has the result or the error, in the response to `tasks/get` or in a notification.
"""

from typing import Final

import msgspec

from proxy.enrich.formats.json_parts import count_of, is_object, members_of, text_of, value_in
from proxy.enrich.mcp.jsonrpc import RpcRequest, RpcResponse

TASK: Final = "task"
"""Metadata key of a call: the id of its task."""
SCOPE: Final = "task_scope"
"""Metadata key of a call without a session: the endpoint that its task's id belongs to."""
MAX_WAIT_US: Final = 7 * 24 * 3_600_000_000
METHODS: Final = frozenset(("tasks/get", "tasks/result", "tasks/update", "tasks/cancel"))
_ENDED: Final[dict[str | None, tuple[int | None, str]]] = {
    "failed": (None, "the task failed"),
    "cancelled": (-32800, "the task was cancelled"),
}
"""Final states without a result: JSON-RPC error code and default message."""
_RAW: Final = msgspec.Raw()
_MILLISECOND_US: Final = 1000


State = dict[str, msgspec.Raw]
"""Members of a task. The result that creates a task has them at its top level or under `task`."""


def created(response: RpcResponse) -> tuple[str, int] | None:
    """Return the id of a task that a response creates, and its lifetime in µs, 0 if unlimited.

    None if the response creates no task.
    """
    if not response.is_whole or b'"taskId"' not in response.result:
        return None
    task = _state_of(response, is_new=True)
    task_id = text_of(value_in(task, "taskId"))
    if task_id is None:
        return None

    kept_ms = count_of(value_in(task, "ttl")) or count_of(value_in(task, "ttlMs")) or 0
    return task_id, min(kept_ms * _MILLISECOND_US, MAX_WAIT_US)


def _state_of(response: RpcResponse, *, is_new: bool = False) -> State:
    """Return the task state in a result.

    With `is_new` the result must be declared as a task, not just look like one.
    """
    result = members_of(response.result)
    if is_object(result.get("task", _RAW)):
        return members_of(result["task"])
    if is_new and value_in(result, "resultType") != TASK:
        return {}
    return result


def task_of_request(request: RpcRequest) -> str | None:
    """Return the id of the task that a request names, None without one."""
    if request.method in METHODS:
        return text_of(value_in(members_of(request.params), "taskId"))
    return None


def task_of_notification(notification: RpcResponse) -> str | None:
    """Return the id of the task that a notification names, None without one."""
    return text_of(value_in(members_of(notification.result), "taskId"))


def ending(response: RpcResponse) -> RpcResponse | None:
    """Return the response that ends the call of a task; None while the task goes on.

    A state that was not captured whole is so long because it contains the result. A failed or
    cancelled task has ended; a completed one ends with the response that contains its result.
    """
    if not response.is_whole:
        return response
    state = _state_of(response)
    if value_in(state, "taskId") is None:
        return None

    status = text_of(value_in(state, "status"))
    if status == "completed" and is_object(state.get("result", _RAW)):
        return response._replace(result=bytes(state["result"]))
    if status == "failed" and is_object(state.get("error", _RAW)):
        return response._replace(result=b"", error=bytes(state["error"]))
    if status not in _ENDED:
        return None

    code, said = _ENDED[status]
    message = text_of(value_in(state, "statusMessage")) or said
    return response._replace(
        result=b"", error=msgspec.json.encode({"code": code, "message": message})
    )
