"""Sample traffic: a slow trickle of visits through the proxy, mostly fine, some failing, some slow.

Strategy: `visit` draws what to do from a weighted table with a seeded generator, so a run repeats; `perform` does it
and does not mind how it ends, because failing is part of the sample. A few visitors take turns at random, so that
several exchanges may be in flight at once without ever being a load: about three requests a second in all.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from aiohttp import ClientError, ClientSession, ClientTimeout, WSMsgType

from proxy.demo import agent, grpc
from proxy.demo.mcp import PROTOCOL_VERSION, SESSION_HEADER

VISITORS: Final = 3
PAUSE_S: Final = (0.3, 1.7)
TIMEOUT_S: Final = 30.0
SEED: Final = 20260101
KEYED: Final = "/api/users"
"""Requests of paths that begin so carry an API key, where there is one; a few a wrong one."""
WRONG_KEY: Final = "sk_" + "0wrong" * 7 + "0"

_AGENTS: Final = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "demo-mobile/3.2 (Android 16)",
    "python-aiohttp",
    "curl/8.14.1",
)
_QUESTIONS: Final = (
    "How do I rotate a key without dropping requests?",
    "Why was the upload at noon so slow?",
    "Write a haiku about reverse proxies.",
    "Which of our services answers with the most errors?",
)
_KEY: Final = "Bearer demo-key-not-a-secret-0001"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request of a visit."""

    method: str
    path: str
    body: Any = None
    """Sent as JSON; None: no body."""
    protocol: Literal["http", "grpc", "websocket"] = "http"
    headers: dict[str, str] = field(default_factory=dict)
    leave_after_chunks: int = 0
    """Close the connection after so many chunks of the answer; 0: read all of it."""


Visit = tuple[Step, ...]
"""Requests in order; a session id that an answer carries is sent along to the same path from then on."""


def get(path: str) -> Callable[[random.Random], Visit]:
    return lambda _: (Step(method="GET", path=path),)


def one_user(draw: random.Random) -> Visit:
    """Look at one user; some do not exist, and some who ask have a wrong key."""
    headers = {"api-key": WRONG_KEY} if draw.random() < 0.1 else {}
    return (Step(method="GET", path=f"{KEYED}/{draw.randint(1, 27)}", headers=headers),)


def new_user(draw: random.Random) -> Visit:
    number = draw.randint(1, 999)
    body = {"name": f"Guest {number}", "email": f"guest.{number}@example.com"}
    if draw.random() < 0.2:
        return (Step(method="POST", path="/api/users", body={"name": body["name"]}),)
    return Step(method="POST", path="/api/users", body=body), Step(method="DELETE", path=f"/api/users/{number}")


def log_in(draw: random.Random) -> Visit:
    body = {"user": f"guest.{draw.randint(1, 99)}", "password": "correct horse battery staple"}
    return (Step(method="POST", path="/api/login", body=body),)


def failure(draw: random.Random) -> Visit:
    return (Step(method="GET", path=f"/api/errors/{draw.choice((500, 500, 502, 503, 403, 404, 409, 422))}"),)


def watch(draw: random.Random) -> Visit:
    """Follow events; every other time leave before the end."""
    leave = draw.choice((0, 3))
    return (Step(method="GET", path=f"/api/events?count={draw.randint(5, 40)}", leave_after_chunks=leave),)


def _ask(draw: random.Random) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"{draw.choice(_QUESTIONS)} (ticket {draw.randint(100, 999)})"}]


def chat(draw: random.Random) -> Visit:
    """Ask the OpenAI-shaped model: plain or streamed, with and without usage, sometimes the busy model."""
    model = draw.choice(("gpt-4o-mini", "gpt-4o-mini", "gpt-4o", "gpt-busy", "gpt-4o"))
    body: dict[str, Any] = {"model": model, "messages": _ask(draw)}
    if draw.random() < 0.6:
        body["stream"] = True
        if draw.random() < 0.9:
            body["stream_options"] = {"include_usage": True}
    return (Step(method="POST", path="/v1/chat/completions", body=body, headers={"Authorization": _KEY}),)


def message(draw: random.Random) -> Visit:
    """Ask the Anthropic-shaped model: plain or streamed, sometimes overloaded, sometimes cut by max_tokens."""
    model = draw.choice(("claude-sonnet-4-5", "claude-haiku-4-5", "claude-haiku-4-5", "claude-busy"))
    body = {
        "max_tokens": draw.choice((10, 1024)),
        "messages": _ask(draw),
        "model": model,
        "stream": draw.random() < 0.6,
        "system": "Answer in one sentence.",
    }
    headers = {"x-api-key": "demo-key-not-a-secret-0002", "anthropic-version": "2023-06-01"}
    return (Step(method="POST", path="/v1/messages", body=body, headers=headers),)


def agent_run(draw: random.Random) -> Visit:
    """Let an agent work on a task: a dozen turns, of which the model refuses one, and tools, of which two fail."""
    headers = {"x-api-key": "demo-key-not-a-secret-0002", "anthropic-version": "2023-06-01"}
    steps = [rpc("initialize", _MCP_CLIENT, 1), rpc("notifications/initialized", {}, None)]
    for body in agent.requests(draw.randint(100, 999)):
        steps.append(Step(method="POST", path="/v1/messages", body=body, headers=headers))
        use = agent.USES[len(body["messages"]) // 2] if len(body["messages"]) < 2 * len(agent.USES) else None
        if use is not None and use.name in (agent.SEARCH, agent.RESTART):
            steps.append(rpc("tools/call", {"name": use.name, "arguments": use.given}, len(steps)))
    return tuple(steps)


_MCP_CLIENT: Final = {
    "protocolVersion": PROTOCOL_VERSION, "capabilities": {}, "clientInfo": {"name": "demo", "version": "1"},
}  # fmt: skip
_MCP_HEADERS: Final = {"Accept": "application/json, text/event-stream", "mcp-protocol-version": PROTOCOL_VERSION}


def rpc(method: str, params: dict[str, Any], number: int | None) -> Step:
    """Return a message to the MCP server; one without a number is a notification."""
    identity = {} if number is None else {"id": number}
    body = {"jsonrpc": "2.0", "method": method, "params": params, **identity}
    return Step(method="POST", path="/mcp", body=body, headers=_MCP_HEADERS)


def tools(draw: random.Random) -> Visit:
    """Open an MCP session, list the tools, call one or two, close it."""
    calls = [
        {"name": "add", "arguments": {"a": draw.randint(1, 99), "b": draw.randint(1, 99)}},
        {"name": "search_documents", "arguments": {"query": "retention"}, "_meta": {"progressToken": "p1"}},
        {"name": "restart_service", "arguments": {"service": "billing"}},
    ]
    chosen = draw.sample(calls, draw.randint(1, 2))
    return (
        rpc("initialize", _MCP_CLIENT, 1),
        rpc("notifications/initialized", {}, None),
        rpc("tools/list", {}, 2),
        *(rpc("tools/call", call, 3 + index) for index, call in enumerate(chosen)),
        Step(method="DELETE", path="/mcp", headers=_MCP_HEADERS),
    )


def stock(draw: random.Random) -> Visit:
    """Look for an article by gRPC, reserve some of it, and sometimes watch it; not all of it goes well."""
    sku = draw.choice((*grpc.UNITS, "A-1001", "A-1009"))
    asked = [("Get", {"sku": sku}), ("Reserve", {"sku": sku, "units": draw.randint(1, 5)}), ("Watch", {"sku": sku})]
    headers = {"User-Agent": "grpc-demo/1.0", "grpc-timeout": "10S"}
    return tuple(
        Step(method="POST", path=grpc.SERVICE + method, body=body, headers=headers, protocol="grpc")
        for method, body in asked[: draw.randint(1, 3)]
    )


def orders(draw: random.Random) -> Visit:
    """Follow the orders of a shop over a WebSocket; that of one shop breaks off."""
    path = f"/api/orders/live?shop={draw.choice(('north', 'north', 'south'))}"
    return (Step(method="GET", path=path, body={"subscribe": "orders"}, protocol="websocket"),)


MIX: Final[tuple[tuple[int, Callable[[random.Random], Visit]], ...]] = (
    (12, get("/api/users")),
    (6, get("/api/users?team=search&limit=5")),
    (14, one_user),
    (6, new_user),
    (2, log_in),
    (4, failure),
    (3, get("/api/reports/slow")),
    (1, get("/api/large")),
    (3, get("/api/compressed")),
    (2, get("/api/old/users")),
    (1, get("/api/users/latest")),
    (4, watch),
    (6, chat),
    (5, message),
    (6, tools),
    (7, stock),
    (4, orders),
    (2, agent_run),
)
"""(weight, visit)."""


def visit(draw: random.Random, key: str = "") -> Visit:
    """Draw one visit."""
    (make,) = draw.choices([make for _, make in MIX], weights=[weight for weight, _ in MIX])
    return with_common(make(draw), draw, key)


def with_common(steps: Visit, draw: random.Random, key: str = "") -> Visit:
    """Give the requests of a visit a user agent and a trace (W3C Trace Context) that they share, and a key."""
    trace = f"{draw.getrandbits(128):032x}"
    common = {"User-Agent": draw.choice(_AGENTS), "X-Request-Id": f"{draw.getrandbits(64):016x}"}

    def headers(step: Step) -> dict[str, str]:
        keyed = {"api-key": key} if key and step.path.startswith(KEYED) else {}
        return {**common, **keyed, "traceparent": f"00-{trace}-{draw.getrandbits(64):016x}-01", **step.headers}

    return tuple(replace(step, headers=headers(step)) for step in steps)


async def perform(session: ClientSession, base_url: str, steps: Visit) -> list[int]:
    """Make the requests of one visit; return the status of each, 0 where no answer came."""
    statuses: list[int] = []
    carried: dict[str, str] = {}
    for step in steps:
        own = step.headers | carried if step.path == "/mcp" else step.headers
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if step.protocol == "grpc":
                    statuses.append(await grpc.call(base_url, step.path, step.body, own))
                elif step.protocol == "websocket":
                    statuses.append(await _listen(session, base_url, step))
                else:
                    await _exchange(session, base_url, replace(step, headers=own), statuses, carried)
        except (ClientError, OSError, TimeoutError):
            # A proxy that restarts or an upstream that resets is worth a record, not an end of the demo.
            if len(statuses) < len(steps):
                statuses.append(0)
            break
    return statuses


async def _exchange(
    session: ClientSession, base_url: str, step: Step, statuses: list[int], carried: dict[str, str]
) -> None:
    url = base_url + step.path
    async with session.request(step.method, url, json=step.body, headers=step.headers, allow_redirects=False) as answer:
        statuses.append(answer.status)
        if SESSION_HEADER in answer.headers:
            carried[SESSION_HEADER] = answer.headers[SESSION_HEADER]
        chunks = 0
        async for _ in answer.content.iter_any():
            chunks += 1
            if chunks == step.leave_after_chunks:
                answer.close()
                break


async def _listen(session: ClientSession, base_url: str, step: Step) -> int:
    """Say one thing over a WebSocket, and listen until its service closes it."""
    async with session.ws_connect(base_url + step.path, headers=step.headers) as socket:
        await socket.send_json(step.body)
        while (await socket.receive()).type is WSMsgType.TEXT:
            pass
        return 101


async def trickle(base_url: str, *, key: str = "", seed: int = SEED) -> None:
    """Visit `base_url` until cancelled."""

    async def visitor(draw: random.Random, first: Visit) -> None:
        await perform(session, base_url, first)
        while True:
            await perform(session, base_url, visit(draw, key))
            await asyncio.sleep(draw.uniform(*PAUSE_S))

    async with ClientSession(timeout=ClientTimeout(total=TIMEOUT_S)) as session, asyncio.TaskGroup() as group:
        for number in range(VISITORS):
            draw = random.Random(seed + number)
            first = with_common((agent_run, stock, orders)[number](draw), draw)  # there from the first look on
            group.create_task(visitor(draw, first), name=f"visitor-{number}")
