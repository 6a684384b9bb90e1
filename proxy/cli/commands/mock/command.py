"""`sidelog mock`: answer from a suite, streams with their recorded timing."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

from api.identity.match import Level
from api.identity.places import read_places
from proxy.cli.commands.files.call_messages import schema_in
from proxy.cli.commands.files.source import recorded_in
from proxy.cli.commands.mock.http1 import Http1
from proxy.cli.commands.mock.http2 import Door
from proxy.cli.commands.mock.recording import MAX_REQUEST_BYTES
from proxy.cli.commands.mock.service import Service
from proxy.cli.commands.output import CommandError, complain
from proxy.settings.addresses import parse_address

LEVELS: Final = tuple(level.name.lower() for level in Level if level)


def run(
    *,
    suite: Path,
    listen: str,
    match: str,
    ignore: tuple[str, ...],
    lenient: bool,
    protobuf: Path | None,
) -> int:
    """Serve until interrupted."""
    try:
        places = read_places(ignore)
    except ValueError as error:
        raise CommandError(f"--ignore {error}", exit_code=2) from error

    try:
        host, port = parse_address(listen)
    except ValueError as error:
        raise CommandError(f"--listen {listen!r}: {error}", exit_code=2) from error

    schema = schema_in(protobuf)
    service = Service(recorded_in(suite), Level[match.upper()], places, schema, is_lenient=lenient)
    for reason, times in service.left_out.most_common():
        complain(f"{times:,} exchange{'s are' if times > 1 else ' is'} left out: {reason}")
    if not service.answers:
        raise CommandError(f"{suite} has no answer that was kept whole")

    try:
        asyncio.run(_serve(service, host, port, listen))
    except OSError as error:
        raise CommandError(f"cannot listen at {listen}: {error.strerror or error}") from error

    return 0


async def _serve(service: Service, host: str, port: int, listen: str) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with listening(service, host, port):
        complain(f"answering for {service.answers:,} recorded exchanges on http://{listen}")
        await stopped.wait()


@asynccontextmanager
async def listening(service: Service, host: str, port: int) -> AsyncIterator[int]:
    """Answer requests, of HTTP/1.1 and HTTP/2; yield the port, which was chosen where 0 is given."""
    app = web.Application(
        client_max_size=MAX_REQUEST_BYTES, middlewares=[Http1(service).middleware]
    )
    runner = web.AppRunner(app, access_log=None)
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
