"""A server of the Model Context Protocol made with the official SDK: one application for every
revision it speaks.

`/mcp` is the streamable transport, with sessions up to 2025-11-25 and without from 2026-07-28;
`/plain/mcp` the same with JSON answers; `/sse` the transport of 2024-11-05. Requests with `x-break`
get the status it names. What the tools do follows from their arguments; those that wait do so until
the test lets them go on.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from tests.support.sidelog import eventually

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

SERVER_NAME: Final = "test-tools"


class Signals:
    """What tools wait for, and what became of them; set from any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._go = asyncio.Event()
        self.cancelled: list[str] = []
        """Names of tools that were told to stop."""

    async def wait(self) -> None:
        """Wait for the next `go`."""
        self._loop = asyncio.get_running_loop()
        await self._go.wait()
        self._go.clear()

    def go(self) -> None:
        """Let the tool that waits go on."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._go.set)


def tools(signals: Signals) -> "MCPServer":
    """Make the server."""
    from mcp.server.mcpserver import MCPServer

    server = MCPServer(SERVER_NAME, version="1.0")
    _add_prompt_tools(server)
    _add_slow_tools(server, signals)
    return server


def _add_prompt_tools(server: "MCPServer") -> None:
    """Add what answers at once, in every way there is to answer."""
    from mcp.server.mcpserver import Context, Elicit, Resolve
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp.shared.exceptions import MCPError
    from pydantic import BaseModel

    class City(BaseModel):
        name: str

    def which_city() -> Elicit[City]:
        return Elicit("which city?", City)

    @server.tool()
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    @server.tool()
    def fail(reason: str) -> str:
        """Fail as a tool does."""
        raise ToolError(f"cannot: {reason}")

    @server.tool()
    def greet(city: Annotated[City, Resolve(which_city)]) -> str:
        """Ask the client back before it answers: by a request of its own, or by a result that
        requires input.
        """
        return f"hello {city.name}"

    @server.tool()
    def refuse(code: int) -> str:
        """Answer with an error of the protocol."""
        raise MCPError(code, "not for you")

    @server.tool()
    async def announce(ctx: Context) -> str:
        """Tell the client outside this call that tools changed, then answer."""
        await ctx.session.send_tool_list_changed()
        await ctx.notify_tools_changed()
        return "announced"


def _add_slow_tools(server: "MCPServer", signals: Signals) -> None:
    """Add what takes until somebody ends it."""
    from mcp.server.mcpserver import Context

    @server.tool()
    async def report(steps: int, ctx: Context) -> str:
        """Tell a first step, wait, tell the others."""
        await ctx.report_progress(1, steps, "first")
        await signals.wait()
        for step in range(2, steps + 1):
            await ctx.report_progress(step, steps)
        return "all done"

    @server.tool()
    async def hang(ctx: Context) -> str:
        """Say that it has begun, then never end by itself."""
        await ctx.report_progress(0, 1)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            signals.cancelled.append("hang")
            raise

        return "never"


def application(signals: Signals) -> Any:
    """Put all transports together: an ASGI application."""
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse

    streamed = tools(signals)
    plain = tools(signals)
    oldest = tools(signals)
    apps = [
        streamed.streamable_http_app(),
        plain.streamable_http_app(streamable_http_path="/plain/mcp", json_response=True),
        oldest.sse_app(),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with streamed.session_manager.run(), plain.session_manager.run():
            yield

    whole = Starlette(routes=[route for app in apps for route in app.routes], lifespan=lifespan)

    async def breakable(scope: Any, receive: Any, send: Any) -> None:
        status = dict(scope.get("headers", ())).get(b"x-break")
        if status is None:
            await whole(scope, receive, send)
            return
        while (await receive()).get("more_body"):
            pass  # who answers before the request has come leaves little to record
        await PlainTextResponse("no server here", status_code=int(status))(scope, receive, send)

    return breakable


@contextlib.contextmanager
def serving(app: Any, lifespan: Literal["on", "off"] = "on") -> Iterator[str]:
    """Serve an ASGI application from a thread; gives its URL."""
    import uvicorn

    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        log_config=None,
        lifespan=lifespan,
        timeout_graceful_shutdown=1,
        ws="none",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="mcp server")
    thread.start()

    try:
        eventually(lambda: server.started)
        (socket,) = server.servers[0].sockets
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
