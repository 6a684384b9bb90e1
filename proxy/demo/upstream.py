"""The demo upstream: one small server with everything worth recording.

Run as `python -m proxy.demo.upstream`, it listens on a free loopback port, prints that port as its first line, and
serves until a signal stops it.
"""

import argparse
import asyncio
import signal
import sys
from types import ModuleType
from typing import Final

from aiohttp import WSMsgType, web

from proxy.demo import json_api, mcp, models
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
    for part in parts:
        app.router.add_routes(part.routes())
    return app


async def serve(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; port 0 lets the kernel choose."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(application(), access_log=None, shutdown_timeout=TIMEOUT_STOP_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        sys.stdout.write(f"{runner.addresses[0][1]}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m proxy.demo.upstream", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: a free one, printed as the first line")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; requests need no token")
    options = parser.parse_args()
    asyncio.run(serve(options.host, options.port))


if __name__ == "__main__":
    main()
