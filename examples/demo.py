"""A service with sample traffic, and sidelog in front of it: `make run`, or `python -m examples.demo`.

The service answers JSON, models, tools (MCP), an event stream, a WebSocket and gRPC on one port. Its
search becomes slower while it runs, and its report faster. Records are in `./sidelog-demo`.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import BaseConnector, ClientError, ClientSession, ClientTimeout, WSMsgType, web

from proxy.cli.commands.mock.http2 import Door, Peer
from proxy.cli.commands.mock.reply import Reply
from proxy.cli.commands.mock.service import Service
from proxy.cli.welcome import url_of
from proxy.http2 import events
from proxy.http2.request_fields import RequestFields
from proxy.process.data_dir import DEMO_DIRECTORY
from proxy.process.die_with_parent import bound_to_this_process
from proxy.process.own_packages import module_command, module_environment
from proxy.settings.addresses import parse_address

USERS: Final = 25
PACE_S: Final = 0.04
"""Between two frames of a stream: about as fast as a language model writes."""
TIMEOUT_S: Final = 30.0
PAUSE_S: Final = (0.3, 1.7)
STARTED_S: Final = web.AppKey("started_s", float)
ANSWER: Final = "A sidecar stands beside the service it records and reports what a request cost."
GRPC_SERVICE: Final = "/shop.Stock/"
GRPC_TYPE: Final = ("content-type", "application/grpc+json")
"""Messages are JSON, so that records show names without a schema."""
TOOLS: Final = ("add", "search_documents", "restart_service")
"""Of the MCP server; the last one is always refused."""
GUEST: Final = {"name": "Guest", "password": "correct horse battery staple"}
API: Final[tuple[tuple[str, str, object], ...]] = (
    ("GET", "/api/users", None),
    ("GET", "/api/users/3", None),
    ("GET", "/api/users/99", None),
    ("GET", "/api/search?words=retention", None),
    ("GET", "/api/report", None),
    ("POST", "/api/users", GUEST),
    ("POST", "/api/users", {**GUEST, "email": "guest@example.com"}),
    ("GET", "/api/errors/500", None),
    ("GET", "/api/errors/403", None),
)
"""Requests of an ordinary API, with their bodies."""
TASK: Final = "Find out why uploads are slow at noon, and mend it"
TURNS: Final[tuple[tuple[str, dict[str, str], str], ...]] = (
    ("read_file", {"path": "app/settings.py"}, "CHUNK_SIZE = 1024\nWORKERS = 1"),
    ("search_documents", {"query": "slow uploads"}, "slow uploads, part 1"),
    ("run", {"command": "pytest -q"}, "error: 1 failed: upload of 10 MB took 31 s"),
    ("edit_file", {"path": "app/settings.py", "old": "1024", "new": "262144"}, "1 line changed"),
    ("run", {"command": "pytest -q"}, "4 passed in 2.1 s"),
    ("restart_service", {"service": "uploads"}, "error: permission denied"),
)
"""An agent's work on its task: in each turn a tool, its arguments, and its result."""

routes = web.RouteTableDef()


def delay_s(name: str, minutes: float) -> float:
    """Return how long an endpoint takes: the search ever longer, the report ever shorter."""
    if name == "search":
        return min(0.05 + 0.1 * minutes, 2.0)
    return max(1.0 - 0.15 * minutes, 0.05)


def problem(status: int, detail: str) -> web.Response:
    """Return an error (RFC 9457)."""
    body = {"type": "about:blank", "status": status, "detail": detail}
    return web.json_response(body, status=status, content_type="application/problem+json")


def user(number: int) -> dict[str, object]:
    return {"id": number, "name": f"Ada {number}", "email": f"ada.{number}@example.com"}


@routes.get("/")
async def index(_: web.Request) -> web.Response:
    """List what there is."""
    found = [f"{each.method} {each.path}" for each in routes if isinstance(each, web.RouteDef)]
    return web.json_response({"service": "sample service of sidelog", "requests": found})


@routes.get("/api/users")
async def list_users(_: web.Request) -> web.Response:
    return web.json_response({"users": [user(number) for number in range(1, 6)], "total": USERS})


@routes.get(r"/api/users/{number:\d{1,9}}")
async def get_user(request: web.Request) -> web.Response:
    number = int(request.match_info["number"])
    if number > USERS:
        return problem(404, f"there is no user {number}")
    return web.json_response(user(number))


@routes.post("/api/users")
async def create_user(request: web.Request) -> web.Response:
    given = await request.json()
    if "email" not in given:
        return problem(400, "the user is not complete: email is missing")
    return web.json_response({"id": USERS, **given}, status=201)


@routes.get(r"/api/errors/{status:[45]\d\d}")
async def fail(request: web.Request) -> web.Response:
    status = int(request.match_info["status"])
    return problem(status, f"this address always answers {status}")


@routes.get("/api/{name:search|report}")
async def change(request: web.Request) -> web.Response:
    minutes = (time.monotonic() - request.app[STARTED_S]) / 60
    await asyncio.sleep(delay_s(request.match_info["name"], minutes))
    return web.json_response({"found": 42})


@routes.get("/api/events")
async def prices(request: web.Request) -> web.StreamResponse:
    """Send prices as an event stream."""
    return await stream(request, [{"symbol": "DEMO", "price": 100 + tick} for tick in range(20)])


async def stream(
    request: web.Request, data: list[dict[str, Any]], end: str = ""
) -> web.StreamResponse:
    """Send one event for each value (WHATWG HTML §9.2), until the reader leaves."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    try:
        for each in data:
            await response.write(f"data: {json.dumps(each)}\n\n".encode())
            await asyncio.sleep(PACE_S)
        await response.write(end.encode())
        await response.write_eof()
    except ConnectionResetError:
        pass  # some visitors leave early
    return response


@routes.get("/api/orders/live")
async def orders(request: web.Request) -> web.WebSocketResponse:
    """Answer each message of a WebSocket with an order; the shop `south` breaks off at the third."""
    shop = request.query.get("shop", "north")
    answered = 0
    live = web.WebSocketResponse()
    await live.prepare(request)
    async for _ in live:
        answered += 1
        if shop == "south" and answered == 3:
            await live.close(code=1011, message=b"the shop does not answer")
        else:
            await live.send_json({"order": 4000 + answered, "shop": shop, "total_usd": 12.5})
    return live


@routes.post("/v1/chat/completions")
async def chat(request: web.Request) -> web.StreamResponse:
    """Answer as OpenAI does, in a stream; `gpt-busy` is busy, and long prompts are refused."""
    asked = await request.json()
    prompt = asked["messages"][-1]["content"]
    refusals = {"gpt-busy": (429, "rate_limit_exceeded"), "gpt-4": (400, "context_length_exceeded")}
    if asked["model"] in refusals:
        status, code = refusals[asked["model"]]
        error = {"message": code.replace("_", " "), "type": "invalid_request_error", "code": code}
        return web.json_response({"error": error}, status=status)

    words = [f"{word} " for word in ANSWER.split()]
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(words)}
    usage["total_tokens"] = sum(usage.values())
    answer: dict[str, Any] = {
        "id": "chatcmpl-demo",
        "model": asked["model"],
        "object": "chat.completion.chunk",
    }
    chunks = [{**answer, "choices": [{"index": 0, "delta": {"content": word}}]} for word in words]
    chunks.append({**answer, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    chunks.append({**answer, "choices": [], "usage": usage})
    return await stream(request, chunks, "data: [DONE]\n\n")


@routes.post("/v1/messages")
async def message(request: web.Request) -> web.Response:
    """Answer as Anthropic does: a task with the tools of TURNS, one by one, anything else with text."""
    asked = await request.json()
    turn = len(asked["messages"]) // 2
    content: dict[str, Any] = {"type": "text", "text": ANSWER}
    if "tools" in asked and turn < len(TURNS):
        name, given, _ = TURNS[turn]
        content = {"type": "tool_use", "id": f"toolu_{turn:02d}", "name": name, "input": given}
    # The largest model is asked about a whole repository, which costs more than two dollars.
    tokens = 160_000 if asked["model"].startswith("claude-opus") else 300
    usage = {"input_tokens": tokens, "cache_read_input_tokens": 800 * turn, "output_tokens": 90}
    answer = {"id": "msg_demo", "type": "message", "role": "assistant", "model": asked["model"]}
    reason = "end_turn" if content["type"] == "text" else "tool_use"
    await asyncio.sleep(PACE_S)
    return web.json_response(answer | {"content": [content], "stop_reason": reason, "usage": usage})


@routes.post("/mcp")
async def mcp(request: web.Request) -> web.Response:
    """Serve tools (MCP, revision 2025-06-18)."""
    asked = await request.json()
    params = asked["params"]
    result: dict[str, Any] = {"content": [{"type": "text", "text": "42"}], "isError": False}
    if asked["method"] == "initialize":
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
        result["serverInfo"] = {"name": "demo-tools", "version": "1.0.0"}
    elif asked["method"] == "tools/list":
        result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}
    elif params["name"] == "restart_service":
        text = f"permission denied: cannot restart {params['arguments']['service']}"
        result = {"content": [{"type": "text", "text": text}], "isError": True}
    answer = {"jsonrpc": "2.0", "id": asked["id"], "result": result}
    return web.json_response(answer, headers={"mcp-session-id": "demo-session"})


def framed(value: object) -> bytes:
    """Return a message of gRPC with its flag and length."""
    text = json.dumps(value).encode()
    return b"\0" + len(text).to_bytes(4, "big") + text


class Stock(Service):
    """The gRPC service: `Get` and `Watch` of an article."""

    def answer(self, method: str, target: str, host: str, head: bytes, body: bytes) -> Reply:
        """Answer a call; of A-1009 there is nothing."""
        if b"A-1009" in body:
            failure = (("grpc-status", "5"), ("grpc-message", "there is no article A-1009"))
            return Reply(200, "OK", [GRPC_TYPE], trailers=failure)

        messages = [framed({"units": 40 - sold}) for sold in range(6 if "Watch" in target else 1)]
        ends = [sum(map(len, messages[: count + 1])) for count in range(len(messages))]
        timeline = tuple((end, int(PACE_S * 1e6 * count)) for count, end in enumerate(ends))
        success = (("grpc-status", "0"),)
        return Reply(200, "OK", [GRPC_TYPE], b"".join(messages), None, timeline, success)


class Call(Peer):
    """A client of gRPC, for one call."""

    def __init__(self) -> None:
        super().__init__(is_server=False)
        self.is_done = asyncio.Event()

    def take(self, event: events.Event) -> None:
        """Wait for the end of the call."""
        super().take(event)
        is_end = isinstance(event, events.TrailersReceived | events.StreamReset)
        if is_end or getattr(event, "is_end", False):
            self.is_done.set()

    def connection_lost(self, _: Exception | None) -> None:
        self.is_done.set()


@dataclass(frozen=True)
class Visitor:
    """A client that makes the requests of one visit; its session has the URL of the service."""

    session: ClientSession
    address: str
    draw: random.Random

    async def ask(self, method: str, path: str, body: object = None, **more: str) -> dict[str, Any]:
        """Make a request; return its answer, empty where that failed."""
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        async with self.session.request(method, path, json=body, headers=headers) as answer:
            text = await answer.text()
            if answer.status != 200 or answer.content_type != "application/json":
                return {}
            found: dict[str, Any] = json.loads(text)
            return found

    async def ask_tools(self, method: str, params: object) -> None:
        """Make a request of JSON-RPC 2.0 to the MCP server."""
        number = self.draw.randint(1, 9999)
        body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        await self.ask("POST", "/mcp", body, mcp_session_id="demo-session")

    async def call(self, method: str, sku: str) -> None:
        """Make a call of gRPC."""
        loop = asyncio.get_running_loop()
        transport, call = await loop.create_connection(Call, *parse_address(self.address))
        target = (GRPC_SERVICE + method).encode()
        fields = f"{': '.join(GRPC_TYPE)}\r\nte: trailers\r\nuser-agent: grpc-demo/1.0\r\n".encode()
        head = RequestFields(b"POST", target, b"http", fields, -1, None)
        try:
            stream_id = call.codec.send_request(head, self.address.encode())
            call.codec.send_data(stream_id, framed({"sku": sku}), time.monotonic_ns(), is_end=True)
            call.flush()
            await call.is_done.wait()
        finally:
            transport.close()


Visit = Callable[[Visitor], Awaitable[None]]


async def use_api(visitor: Visitor) -> None:
    """Make ordinary requests, some of which fail."""
    for method, path, body in visitor.draw.choices(API, k=5):
        await visitor.ask(method, path, body)


async def follow_prices(visitor: Visitor) -> None:
    """Read an event stream, and leave another early."""
    await visitor.ask("GET", "/api/events?symbol=DEMO")
    async with visitor.session.get("/api/events?symbol=TEST") as answer:
        await answer.content.readany()
        answer.close()


async def follow_orders(visitor: Visitor) -> None:
    """Talk over a WebSocket."""
    shop = visitor.draw.choice(("north", "south"))
    async with visitor.session.ws_connect(f"/api/orders/live?shop={shop}") as live:
        for _ in range(6):
            await live.send_json({"subscribe": "orders"})
            if (await live.receive()).type is not WSMsgType.TEXT:
                break


async def ask_models(visitor: Visitor) -> None:
    """Ask models of two providers; one is busy, and one refuses a prompt that is too long."""
    openai = {"Authorization": "Bearer demo-key-not-a-secret-0001"}
    question = visitor.draw.choice(("How do I rotate a key?", "Why was the upload so slow?"))
    turn = {"role": "user", "content": f"{question} (ticket {visitor.draw.randint(100, 999)})"}
    for model in ("gpt-4o-mini", "gpt-4o", "gpt-busy", "gpt-4"):
        body: dict[str, Any] = {"model": model, "messages": [turn], "stream": True}
        body["stream_options"] = {"include_usage": True}
        await visitor.ask("POST", "/v1/chat/completions", body, **openai)
    model = visitor.draw.choice(("claude-haiku-4-5", "claude-haiku-4-5", "claude-opus-4-1"))
    body = {"model": model, "max_tokens": 1024, "messages": [turn]}
    await visitor.ask("POST", "/v1/messages", body, x_api_key="demo-key-not-a-secret-0002")


async def use_tools(visitor: Visitor) -> None:
    """Open a session of MCP and call each of its tools."""
    client = {"name": "demo", "version": "1"}
    opening = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    await visitor.ask_tools("initialize", opening)
    await visitor.ask_tools("tools/list", {})
    await visitor.ask_tools("tools/call", {"name": "add", "arguments": {"a": 19, "b": 23}})
    query = {"query": "retention"}
    await visitor.ask_tools("tools/call", {"name": "search_documents", "arguments": query})
    service = {"service": "billing"}
    await visitor.ask_tools("tools/call", {"name": "restart_service", "arguments": service})


async def run_agent(visitor: Visitor) -> None:
    """Work on a task: a model chooses a tool in each turn, and is asked with its result."""
    tools = [
        {"name": name, "input_schema": {"type": "object"}}
        for name in sorted({each[0] for each in TURNS})
    ]
    task = f"{TASK} (ticket {visitor.draw.randint(100, 999)})"
    messages: list[dict[str, Any]] = [{"role": "user", "content": task}]
    for *_, result in (*TURNS, ("", {}, "")):
        body = {"model": "claude-sonnet-4-5", "max_tokens": 4096, "tools": tools}
        answer = await visitor.ask("POST", "/v1/messages", body | {"messages": messages})
        (used,) = answer.get("content", ({"type": "text"},))
        if used["type"] != "tool_use":
            return

        if used["name"] in TOOLS:
            call = {"name": used["name"], "arguments": used["input"]}
            await visitor.ask_tools("tools/call", call)
        outcome = {"type": "tool_result", "tool_use_id": used["id"], "content": result}
        outcome["is_error"] = result.startswith("error:")
        messages.append({"role": "assistant", "content": [used]})
        messages.append({"role": "user", "content": [outcome]})


async def watch_stock(visitor: Visitor) -> None:
    """Make calls of gRPC, one of which fails."""
    for method, sku in (("Get", "A-1001"), ("Get", "A-1009"), ("Watch", "A-1001")):
        await visitor.call(method, sku)


VISITS: Final[dict[Visit, int]] = {
    use_api: 12,
    follow_prices: 2,
    follow_orders: 3,
    ask_models: 4,
    use_tools: 4,
    run_agent: 2,
    watch_stock: 3,
}
"""How often each is made, relative to the others."""
FIRST: Final = (run_agent, watch_stock, ask_models)
"""What the visitors begin with."""


async def make(
    url: str,
    draw: random.Random,
    visit: Visit | None = None,
    connector: BaseConnector | None = None,
) -> None:
    """Make a visit, drawn unless it is named; its requests share a user agent and a trace.

    A connector given is left open.
    """
    if visit is None:
        (visit,) = draw.choices([*VISITS], [*VISITS.values()])
    headers = {
        "User-Agent": draw.choice(("Firefox/140.0", "demo-mobile/3.2 (Android 16)", "curl/8.14.1")),
        "traceparent": f"00-{draw.getrandbits(128):032x}-{draw.getrandbits(64):016x}-01",
    }
    timeout = ClientTimeout(total=TIMEOUT_S)
    async with ClientSession(
        url,
        headers=headers,
        timeout=timeout,
        connector=connector,
        connector_owner=connector is None,
    ) as session:
        await visit(Visitor(session, url.removeprefix("http://"), draw))


async def make_traffic(url: str) -> None:
    """Visit a URL, about three requests a second, until cancelled."""

    async def visitor(number: int) -> None:
        draw = random.Random(number)
        visit: Visit | None = FIRST[number]
        while True:
            with suppress(ClientError, OSError):  # what fails is part of the sample
                async with asyncio.timeout(TIMEOUT_S):
                    await make(url, draw, visit)
            visit = None
            await asyncio.sleep(draw.uniform(*PAUSE_S))

    async with asyncio.TaskGroup() as group:
        for number in range(len(FIRST)):
            group.create_task(visitor(number), name=f"visitor {number}")


@asynccontextmanager
async def serving(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Run the service; gives its port, which the system chooses for 0."""
    app = web.Application()
    app[STARTED_S] = time.monotonic()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    http1 = runner.server
    assert http1 is not None, "bug: it was set up"

    opened: set[asyncio.Transport] = set()
    stock = Stock(())
    server = await asyncio.get_running_loop().create_server(
        lambda: Door(stock, http1, opened), host, port
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for transport in [*opened]:
            transport.abort()
        await runner.cleanup()


async def serve(address: str) -> None:
    """Run the service until SIGTERM; the first line that is printed is its port."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with serving(*parse_address(address)) as port:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        await stopped.wait()


async def run(listen: str, arguments: list[str]) -> int:
    """Run service, sidelog and traffic until sidelog ends; return its exit code."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        # sidelog tells here that the ports are its own: another program may hold them.
        notices.setblocking(False)
        notices.bind(f"\0sidelog-demo-{os.getpid()}")
        environ = {**module_environment(), "NOTIFY_SOCKET": f"@sidelog-demo-{os.getpid()}"}

        async def traffic() -> None:
            await loop.sock_recv(notices, 4096)
            await make_traffic(url_of(listen))

        async with serving() as port, asyncio.TaskGroup() as group:
            upstream = f"http://127.0.0.1:{port}"
            command = ("serve", "--greet", "--upstream", upstream, "--listen", listen, *arguments)
            sidelog = await asyncio.create_subprocess_exec(
                *bound_to_this_process(module_command("proxy", *command)),
                env=environ,
                start_new_session=True,  # Ctrl-C reaches this process, which hands it on
            )
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, sidelog.terminate)
            task = group.create_task(traffic(), name="traffic")
            code = await sidelog.wait()
            task.cancel()
            return code


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="examples.demo",
        allow_abbrev=False,
        description=__doc__,
        epilog="Other options are those of sidelog serve.",
    )
    listen = os.environ.get("SIDELOG_PROXY__LISTEN", "127.0.0.1:8080")
    parser.add_argument(
        "--listen", default=listen, help="address of the proxy, default: %(default)s"
    )
    parser.add_argument("--only-upstream", metavar="HOST:PORT", help="run the service alone")
    parser.add_argument("--only-traffic", metavar="URL", help="send the traffic alone")
    options, others = parser.parse_known_args()
    if options.only_upstream:
        asyncio.run(serve(options.only_upstream))
        return 0
    if options.only_traffic:
        asyncio.run(make_traffic(options.only_traffic))
        return 0

    directory = os.environ.get("SIDELOG_DATA_DIR", DEMO_DIRECTORY)
    return asyncio.run(run(options.listen, ["--data-dir", directory, *others]))


if __name__ == "__main__":
    sys.exit(main())
