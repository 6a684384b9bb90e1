"""The port at which `sidelog mock` answers."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from proxy.cli.commands.mock.http1 import Http1
from proxy.cli.commands.mock.http2 import Door
from proxy.cli.commands.mock.recording import MAX_REQUEST_BYTES
from proxy.cli.commands.mock.service import Service
from proxy.cli.commands.output import complain


async def serve(service: Service, host: str, port: int, listen: str) -> None:
    """Serve until interrupted; raises OSError if the port cannot be opened."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with listening(service, host, port):
        complain(f"answering for {service.answers:,} recorded exchanges on http://{listen}")
        await stopped.wait()


@asynccontextmanager
async def listening(service: Service, host: str, port: int) -> AsyncIterator[int]:
    """Serve HTTP/1.1 and HTTP/2; yield the port. For port 0, the kernel chooses one."""
    app = web.Application(
        client_max_size=MAX_REQUEST_BYTES, middlewares=[Http1(service).middleware]
    )
    # Bodies are decoded as they are recorded, for both versions of HTTP.
    runner = web.AppRunner(app, access_log=None, auto_decompress=False)
    await runner.setup()
    other = runner.server
    assert other is not None

    opened: set[asyncio.Transport] = set()
    try:
        server = await asyncio.get_running_loop().create_server(
            lambda: Door(service, other, opened), host, port
        )
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
    finally:
        for transport in [*opened]:
            transport.abort()
        await runner.cleanup()
