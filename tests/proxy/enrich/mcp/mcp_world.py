"""MCP messages, and a reader of them as the record builder drives it."""

import json
from typing import Any

from storage.record import Entry, ToolCall
from tests.proxy.enrich.exchanges import Collector, exchange

SSE = "text/event-stream"
SESSION = "mcp-session-id: s-1\r\n"
OLD = SESSION + "mcp-protocol-version: 2025-06-18\r\n"
NEW = "mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: add\r\n"
NO_SESSION = "mcp-protocol-version: 2025-11-25\r\n"

# The oldest transport, 2024-11-05: each message is posted, and answered on one stream for all.
POST: dict[str, Any] = {"path": "/messages/?session_id=s-1", "request_headers": ""}
STREAM: dict[str, Any] = {"path": "/sse", "request_headers": ""}
ENDPOINT = b"event: endpoint\r\ndata: /messages/?session_id=s-1\r\n\r\n"


def notice(method: str, **params: Any) -> dict[str, Any]:
    """A notification."""
    return {"method": method, "params": params, "jsonrpc": "2.0"}


def request(method: str, rpc_id: object = 1, **params: Any) -> dict[str, Any]:
    """A request."""
    return notice(method, **params) | {"id": rpc_id}


def reply(result: object, rpc_id: object = 1) -> dict[str, Any]:
    """A response."""
    return {"jsonrpc": "2.0", "id": rpc_id, "result": result}


def failed(code: object, message: str = "no", rpc_id: object = 1) -> dict[str, Any]:
    """A response that is an error."""
    return {"jsonrpc": "2.0", "id": rpc_id, "error": {"code": code, "message": message}}


PROGRESS = notice("notifications/progress", progress=1)


def ask(
    rpc_id: object = 1, name: str = "add", arguments: object = None, **params: Any
) -> dict[str, Any]:
    """A call of a tool."""
    given = {"a": 1, "b": 2} if arguments is None else arguments
    return request("tools/call", rpc_id, name=name, arguments=given, **params)


def answer(rpc_id: object = 1, text: str = "3", **result: Any) -> dict[str, Any]:
    """The result of a tool."""
    return reply({"content": [{"type": "text", "text": text}], "isError": False} | result, rpc_id)


def events(*messages: object) -> bytes:
    """Messages as the SDK's server streams them; bytes stand for themselves."""
    return b"".join(
        message
        if isinstance(message, bytes)
        else b"event: message\r\ndata: " + json.dumps(message).encode() + b"\r\n\r\n"
        for message in messages
    )


class World(Collector):
    """A collector that reads what passes a route to a server of tools."""

    def __init__(self, **route: Any) -> None:
        super().__init__(**({"id": "tools"} | route))

    def pass_on(self, body: object, reply: object = b"", path: str = "/mcp", **more: Any) -> Entry:
        """Build the entry of an exchange whose bodies are JSON unless they are bytes."""
        return self.read(exchange(path, body, reply, **({"request_headers": OLD} | more)))

    def accept(self, message: object, reply: object = b"", **more: Any) -> Entry:
        """Build the entry of a message whose answer comes elsewhere, if at all."""
        return self.pass_on(message, reply, **({"status": 202} | more))

    def stream(self, message: object, *events_: object, **more: Any) -> Entry:
        """Build the entry of a message that is answered by events."""
        return self.pass_on(message, events(*events_), content_type=SSE, **more)

    def listen(self, *events_: object, **more: Any) -> Entry:
        """Build the entry of a stream that a client listens to."""
        return self.stream(b"", *events_, method="GET", **more)


def only(entry: Entry) -> ToolCall:
    """The one call of an entry."""
    assert len(entry.tool_calls) == 1
    return entry.tool_calls[0]


def details(call: ToolCall) -> dict[str, Any]:
    """The error of a call, and what is said beside it."""
    assert call.status == "error"
    assert call.error_details is not None
    shown: dict[str, Any] = json.loads(call.error_details)
    return shown


def error_of(entry: Entry) -> dict[str, Any]:
    """The error of the one call of an entry."""
    shown: dict[str, Any] = details(only(entry))["error"]
    return shown
