"""A small MCP server over streamable HTTP (revision 2025-06-18): initialize, tools/list,
tools/call, ping, DELETE.

JSON-RPC 2.0 in each POST; notifications get 202 and no body. A call with a progress token is
answered by an event stream, progress first, everything else by JSON. Any session is taken. A failed
tool is a *result* with `isError` and HTTP 200; only a broken request is an error.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, Final, TypeGuard

from aiohttp import web

from tests.support.providers.streams import event_stream, pause

PROTOCOL_VERSION: Final = "2025-06-18"
SERVER_INFO: Final = {"name": "demo-tools", "title": "Demo tools", "version": "1.0.0"}
SESSION_HEADER: Final = "mcp-session-id"

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602


def _tool(name: str, description: str, **kinds: str) -> dict[str, Any]:
    properties = {key: {"type": kind} for key, kind in kinds.items()}
    schema = {"type": "object", "properties": properties, "required": list(kinds)}
    return {"name": name, "description": description, "inputSchema": schema}


TOOLS: Final = (
    _tool("add", "Add two numbers", a="number", b="number"),
    _tool("search_documents", "Find documents about a subject", query="string"),
    _tool(
        "restart_service",
        "Restart a service; always refused, to show a failing tool",
        service="string",
    ),
)


def rpc_error(code: int, message: str, request_id: object = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}}


def text_result(text: str, *, is_error: bool = False, **more: object) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": is_error, **more}


def call_tool(params: dict[str, Any]) -> dict[str, Any]:
    """Run a tool; whatever goes wrong is part of the result."""
    arguments = params.get("arguments") or {}
    match params.get("name"), arguments:
        case "add", {"a": int() | float() as a, "b": int() | float() as b}:
            return text_result(str(a + b), structuredContent={"sum": a + b})
        case "search_documents", {"query": str() as query}:
            found = [
                {"title": f"{query}, part {number}", "score": 1 / number} for number in (1, 2, 3)
            ]
            return text_result(json.dumps(found), structuredContent={"documents": found})
        case "restart_service", {"service": str() as service}:
            return text_result(f"permission denied: cannot restart {service}", is_error=True)
        case ("add" | "search_documents" | "restart_service") as name, _:
            return text_result(f"invalid arguments for tool {name}", is_error=True)
        case name, _:
            return text_result(f"unknown tool: {name}", is_error=True)


def respond(message: dict[str, Any]) -> dict[str, Any]:
    params = message.get("params") or {}
    result: dict[str, Any]
    match message["method"]:
        case "tools/list":
            result = {"tools": list(TOOLS)}
        case "tools/call" if isinstance(params, dict):
            result = call_tool(params)
        case "tools/call":
            return rpc_error(INVALID_PARAMS, "params must be an object", message["id"])
        case "ping":
            result = {}
        case method:
            return rpc_error(METHOD_NOT_FOUND, f"method not found: {method}", message["id"])

    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


async def post(request: web.Request) -> web.StreamResponse:
    """POST /mcp: one JSON-RPC message."""
    try:
        message = json.loads(await request.read())
    except ValueError:
        return web.json_response(rpc_error(PARSE_ERROR, "parse error"), status=400)

    if not is_message(message):
        return web.json_response(rpc_error(INVALID_REQUEST, "invalid request"), status=400)
    if message["method"] == "initialize":
        return initialize(request, message)
    if "id" not in message:
        return web.Response(status=202)

    answer = respond(message)
    token = progress_token(message)
    if token is None or "text/event-stream" not in request.headers.get("Accept", ""):
        return web.json_response(answer)

    return await event_stream(request, messages(request, token, answer))


def is_message(message: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(message, dict) and isinstance(message.get("method"), str)


def initialize(request: web.Request, message: dict[str, Any]) -> web.Response:
    result = {
        "protocolVersion": PROTOCOL_VERSION,
        "capabilities": {"tools": {"listChanged": False}},
        "serverInfo": SERVER_INFO,
    }
    session = f"demo-session-{request.headers.get('X-Request-Id', '1')}"
    answer = {"jsonrpc": "2.0", "id": message.get("id"), "result": result}
    return web.json_response(answer, headers={SESSION_HEADER: session})


def progress_token(message: dict[str, Any]) -> object:
    """Return the token a client wants progress under, None when it wants none."""
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    if isinstance(meta, dict):
        return meta.get("progressToken")
    return None


async def messages(
    request: web.Request, token: object, answer: dict[str, Any]
) -> AsyncIterator[bytes]:
    for done in (1, 2):
        params = {"progressToken": token, "progress": done, "total": 2}
        yield frame({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        await pause(request)
    yield frame(answer)


def frame(message: dict[str, Any]) -> bytes:
    return f"event: message\ndata: {json.dumps(message)}\n\n".encode()


async def delete(_: web.Request) -> web.Response:
    """DELETE /mcp: the end of a session."""
    return web.Response(status=200)


def routes() -> list[web.RouteDef]:
    """Return the routes of this server; it offers no stream of its own, so GET is not allowed."""
    return [web.post("/mcp", post), web.delete("/mcp", delete)]
