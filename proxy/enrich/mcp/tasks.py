"""Tasks: tool calls that are accepted at once and whose result is asked for later (revision 2025-11-25, Tasks).

A `tools/call` with a `task` is answered with the task's id instead of a result; `tasks/result` then has what the call
would have had. `tasks/get` and `tasks/cancel` say how far it has come.
"""

from typing import Any, Final

import msgspec

from proxy.enrich.formats.json_parts import count_of, decode, is_object, text_of
from proxy.enrich.mcp.jsonrpc import RpcRequest, RpcResponse

TASK: Final = "task"
"""In the metadata of a call: the id of its task."""
SCOPE: Final = "task_scope"
"""In the metadata of a call without a session: the endpoint that its task's id belongs to."""
MAX_WAIT_US: Final = 7 * 24 * 3_600_000_000
METHODS: Final = frozenset(("tasks/get", "tasks/result", "tasks/cancel"))
_RAW: Final = msgspec.Raw()
_MILLISECOND_US: Final = 1000


class _State(msgspec.Struct, gc=False, rename="camel"):
    """A task, in the result that creates it under `task`."""

    task_id: Any = None
    status: Any = None
    status_message: Any = None
    ttl: Any = None
    task: msgspec.Raw = _RAW


_STATE: Final = msgspec.json.Decoder(_State)


def created(response: RpcResponse) -> tuple[str, int] | None:
    """Return the id of the task that a response creates, and for how long it is kept, 0 for unlimited; None if none."""
    if not response.is_whole or b'"taskId"' not in response.result:
        return None
    result = decode(_STATE, response.result)
    task = decode(_STATE, result.task) if result is not None and is_object(result.task) else None
    task_id = None if task is None else text_of(task.task_id)
    if task is None or task_id is None:
        return None
    return task_id, min((count_of(task.ttl) or 0) * _MILLISECOND_US, MAX_WAIT_US)


def asked_for(request: RpcRequest) -> str | None:
    """Return the id of the task that a request is about."""
    params = decode(_STATE, request.params) if request.method in METHODS else None
    return None if params is None else text_of(params.task_id)


def cancelled(response: RpcResponse) -> RpcResponse | None:
    """Return the error that ends the call of a task which a response says is cancelled; None when it is not."""
    state = decode(_STATE, response.result) if response.is_whole and response.result else None
    if state is None or state.status != "cancelled":
        return None
    message = text_of(state.status_message) or "the task was cancelled"
    return response._replace(result=b"", error=msgspec.json.encode({"code": -32800, "message": message}))
