"""The demo upstream: one small server with everything worth recording, gRPC on the same port as all else.

Run as `python -m proxy.demo.upstream`, it listens on a free loopback port, prints that port as its first line, and
serves until a signal stops it.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Final, cast

from aiohttp import WSMsgType, web

from proxy.demo import grpc, json_api, mcp, models
from proxy.demo.streams import DEFAULT_PACE_S, PACE_S

PARTS: Final[tuple[ModuleType, ...]] = (json_api, models, mcp)
TIMEOUT_STOP_S: Final = 1.0
"""Streams that still run then are cut; it is a demo."""


async def echo(request: web.Request) -> web.WebSocketResponse:
    """GET /ws: a WebSocket that sends back what it gets (RFC 6455)."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


async def hook(_: web.Request) -> web.Response:
    """POST /hook: takes the messages of the demo's alert."""
    return web.Response(status=204)


async def index(request: web.Request) -> web.Response:
    """GET /: what there is."""
    found = {f"{route.method} {route.resource.canonical}" for route in request.app.router.routes() if route.resource}
    return web.json_response({"service": "sidelog demo upstream", "endpoints": sorted(found)})


def application(pace_s: float = DEFAULT_PACE_S, parts: tuple[ModuleType, ...] = PARTS) -> web.Application:
    """Return the upstream; `pace_s` is the pause between two frames of its streams, seconds."""
    app = web.Application()
    app[PACE_S] = pace_s
    app.router.add_get("/", index)
    app.router.add_get("/ws", echo)
    app.router.add_post("/hook", hook)
    for part in parts:
        app.router.add_routes(part.routes())
    return app


class Arrived(asyncio.Protocol):
    """A connection whose protocol is still to be seen: HTTP/2, or HTTP/1.1."""

    def __init__(self, http1: Callable[[], asyncio.Protocol], pace_s: float) -> None:
        self._http1 = http1
        self._pace_s = pace_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        chosen = grpc.Server(self._pace_s) if data.startswith(b"PRI ") else self._http1()
        self._transport.set_protocol(chosen)
        chosen.connection_made(self._transport)
        chosen.data_received(data)


@asynccontextmanager
async def serving(host: str = "127.0.0.1", port: int = 0, pace_s: float = DEFAULT_PACE_S) -> AsyncIterator[int]:
    """Serve meanwhile; gives the port."""
    runner = web.AppRunner(application(pace_s), access_log=None, shutdown_timeout=TIMEOUT_STOP_S)
    await runner.setup()
    server = runner.server
    assert server is not None, "bug: it was set up"
    listening = await asyncio.get_running_loop().create_server(lambda: Arrived(server, pace_s), host, port)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await runner.cleanup()


async def serve(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; port 0 lets the kernel choose."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(host, port) as listened:
        sys.stdout.write(f"{listened}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m proxy.demo.upstream", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: a free one, printed as the first line")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; requests need no token")
    options = parser.parse_args()
    asyncio.run(serve(options.host, options.port))


if __name__ == "__main__":
    main()
