"""The official MCP client in a conversation with a server, over any transport, and all that it was
told.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import httpx2
    from mcp import Client
    from mcp.client import ClientRequestContext
    from mcp.types import ElicitRequestParams, ElicitResult

CLIENT_NAME: Final = "test-client"
CITY: Final = "Zürich"
MODERN: Final = "2026-07-28"
TIMEOUT_S: Final = 60.0


class Told(NamedTuple):
    """One call, and what came of it: the result, or what was raised; None when it was cancelled."""

    tool: str
    arguments: dict[str, Any]
    answer: dict[str, Any] | None


@dataclass
class Talk:
    """What one client did and heard."""

    client: "Client"
    http: "httpx2.AsyncClient"
    told: list[Told] = field(default_factory=list)
    progress: list[tuple[float, float | None, str | None]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    """What the server said on its own, beside progress."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server has said that its tools changed."""

    async def call(self, tool: str, arguments: dict[str, Any] | None = None, **more: Any) -> None:
        """Call a tool and note what came."""
        from mcp.shared.exceptions import MCPError

        place = len(self.told)
        arguments = arguments or {}
        self.told.append(Told(tool, arguments, None))

        try:
            result = await self.client.call_tool(tool, arguments, **more)
            answer = result.model_dump(
                mode="json", by_alias=True, exclude={"meta"}, exclude_none=True
            )
        except MCPError as error:
            answer = {"code": error.error.code, "message": error.error.message}

        self.told[place] = Told(tool, arguments, answer)

    async def hear(self, message: Any) -> None:
        """Note a message of the server."""
        method = getattr(message, "method", type(message).__name__)
        if method != "notifications/progress":
            self.notices.append(method)
        if method == "notifications/tools/list_changed":
            self.changed.set()


async def _accept(context: "ClientRequestContext", params: "ElicitRequestParams") -> "ElicitResult":
    """Answer every question of the server."""
    from mcp.types import ElicitResult

    del context, params  # the answer is always the same
    return ElicitResult(action="accept", content={"name": CITY})


@contextlib.asynccontextmanager
async def talking(url: str, mode: str, run: str) -> AsyncIterator[Talk]:
    """Connect to `url` in the era of `mode`; every request says that it belongs to the LLM call
    `run`.
    """
    import httpx2
    from mcp import Client
    from mcp.client.sse import sse_client
    from mcp.client.streamable_http import streamable_http_client
    from mcp.types import Implementation

    options: dict[str, Any] = {
        "trust_env": False,
        "headers": {"x-llm-request-id": run},
        "timeout": TIMEOUT_S,
    }

    def make(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        del headers, timeout, auth  # ours are the same for all transports
        return httpx2.AsyncClient(**options)

    async with make() as http:
        streamable = streamable_http_client(url, http_client=http)
        transport = (
            sse_client(url, httpx_client_factory=make) if url.endswith("/sse") else streamable
        )
        talks: list[Talk] = []

        async def hear(message: Any) -> None:
            await talks[0].hear(message)

        info = Implementation(name=CLIENT_NAME, version="1")
        client = Client(
            transport,
            mode=mode,
            client_info=info,
            elicitation_callback=_accept,
            message_handler=hear,
            cache=None,
        )
        talks.append(Talk(client, http))
        async with client:
            yield talks[0]
