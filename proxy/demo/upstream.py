"""The demo upstream: one small server that answers the requests of `visits.toml`, gRPC on the same
port as all else.

Run as `python -m proxy.demo.upstream`, it listens on a free loopback port, prints that port as its
first line, and serves until a signal stops it.
"""

import argparse
import asyncio
import gzip
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, cast

from aiohttp import WSMsgType, web

from proxy.demo import grpc
from proxy.demo.steps import Step
from proxy.demo.visits import ANSWERS

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


async def index(_: web.Request) -> web.Response:
    """GET /: what there is."""
    return web.json_response({"service": "sidelog demo upstream", "requests": ANSWERS.requests})


class _Service:
    """Answers requests, with `pace_s` between two frames of its streams."""

    def __init__(self, pace_s: float) -> None:
        self._pace_s = pace_s

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._talk(request, ANSWERS.find(f"SOCKET {request.raw_path}"))
        body = (await request.read()).decode(errors="replace")
        step = ANSWERS.find(f"{request.method} {request.raw_path}", body)
        if step is None:
            return web.json_response(
                {"title": "Not Found", "detail": "no visit of the demo asks so"}, status=404
            )

        headers = {"Content-Type": "application/json", **step.answer_headers}
        if step.frames:
            return await self._stream(request, step)

        await asyncio.sleep(step.delay_s if self._pace_s else 0)
        content = (f"{step.answer}\n" * step.times if step.times > 1 else step.answer).encode()
        if headers.get("Content-Encoding") == "gzip":
            content = gzip.compress(content, mtime=0)
        return web.Response(status=int(step.status or 200), body=content, headers=headers)

    async def _stream(self, request: web.Request, step: Step) -> web.StreamResponse:
        """Send frames one by one (WHATWG HTML §9.2); ends early, without complaint, when the reader
        leaves.
        """
        headers = {
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-cache",
            **step.answer_headers,
        }
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)

        try:
            for frame in step.spoken_frames:
                await response.write(f"{frame}\n\n".encode())
                await asyncio.sleep(self._pace_s)
            await response.write_eof()
        except ConnectionResetError:
            pass  # half of the sample traffic does it

        return response

    async def _talk(self, request: web.Request, step: Step | None) -> web.WebSocketResponse:
        """Announce what there is once asked to, and close."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)

        asked = await socket.receive()
        if step is not None and asked.type is WSMsgType.TEXT:
            for message in step.messages:
                await socket.send_str(message)
                await asyncio.sleep(self._pace_s)
            await socket.close(code=int(step.status), message=step.answer.encode())

        await socket.close()
        return socket


def application(pace_s: float = grpc.PACE_S) -> web.Application:
    """Return the upstream; `pace_s` is the pause between two frames of its streams, seconds."""
    app = web.Application()
    app.router.add_get("/", index)
    app.router.add_get("/ws", echo)
    app.router.add_route("*", "/{path:.*}", _Service(pace_s).answer)
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
async def serving(
    host: str = "127.0.0.1", port: int = 0, pace_s: float = grpc.PACE_S
) -> AsyncIterator[int]:
    """Serve meanwhile; gives the port, which the kernel chooses for 0."""
    runner = web.AppRunner(application(pace_s), access_log=None, shutdown_timeout=TIMEOUT_STOP_S)
    await runner.setup()
    server = runner.server
    assert server is not None, "bug: it was set up"

    listening = await asyncio.get_running_loop().create_server(
        lambda: Arrived(server, pace_s), host, port
    )
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await runner.cleanup()


async def serve(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(host, port) as listened:
        sys.stdout.write(f"{listened}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m proxy.demo.upstream", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=0, help="0: a free one, printed as the first line"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; requests need no token"
    )
    options = parser.parse_args()
    asyncio.run(serve(options.host, options.port))


if __name__ == "__main__":
    main()
