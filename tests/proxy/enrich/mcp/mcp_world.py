"""MCP messages, and a reader of them as the record builder drives it."""

import json
from typing import Any

from proxy.enrich.records import RecordBuilder
from storage.record import Entry, ToolCall
from tests.proxy.enrich.exchanges import descriptor_of, exchange, settings

SESSION = "mcp-session-id: s-1\r\n"
OLD = SESSION + "mcp-protocol-version: 2025-06-18\r\n"
NEW = "mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: add\r\n"


def ask(
    rpc_id: object = 1, name: str = "add", arguments: object = None, **params: Any
) -> dict[str, Any]:
    """A request."""
    params = {
        "name": name,
        "arguments": {"a": 1, "b": 2} if arguments is None else arguments,
    } | params
    return {"method": "tools/call", "params": params, "jsonrpc": "2.0", "id": rpc_id}


def answer(rpc_id: object = 1, text: str = "3", **result: Any) -> dict[str, Any]:
    """A response."""
    content = {"content": [{"type": "text", "text": text}], "isError": False} | result
    return {"jsonrpc": "2.0", "id": rpc_id, "result": content}


def events(*messages: object) -> bytes:
    """Messages as the SDK's server streams them."""
    return b"".join(
        b"event: message\r\ndata: " + json.dumps(message).encode() + b"\r\n\r\n"
        for message in messages
    )


class World:
    """One collector's builder and a route."""

    def __init__(self, **route: Any) -> None:
        self.settings = settings(**({"id": "tools"} | route))
        self.builder = RecordBuilder("i", self.settings)

    def pass_on(self, body: object, reply: object, path: str = "/mcp", **more: Any) -> Entry:
        """Build the entry of an exchange whose bodies are JSON unless they are bytes."""
        raw = [
            part if isinstance(part, bytes) else json.dumps(part).encode() for part in (body, reply)
        ]
        made = exchange(path, raw[0], raw[1], **({"request_headers": OLD} | more))
        return self.builder.build(made, descriptor_of(self.settings))


def only(entry: Entry) -> ToolCall:
    """The one call of an entry."""
    assert len(entry.tool_calls) == 1
    return entry.tool_calls[0]


def details(call: ToolCall) -> dict[str, Any]:
    """The error of a call."""
    assert call.error_details is not None
    shown: dict[str, Any] = json.loads(call.error_details)
    return shown
