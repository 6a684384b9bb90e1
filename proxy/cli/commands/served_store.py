"""Serves the store of a stopped sidelog to a command.

The store is opened read-only and served by the usual application on a loopback port of this
process, as long as the command runs, so that filters, pages, exports and errors are the same. The
token is random, stays in the process, and only allows reading.
"""

import asyncio
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from proxy.cli.commands.client import Client
from proxy.cli.commands.output import CommandError
from proxy.cli.commands.store import layout_error, open_store
from proxy.settings.model import Settings
from storage.base import Storage
from storage.errors import SchemaTooOld, StorageError

if TYPE_CHECKING:
    from aiohttp.web import Application


_STOP_S: Final = 5.0


@contextmanager
def served(settings: Settings) -> Iterator[Client]:
    """Yield a client that reads the store; it is closed at the end.

    Raises:
        CommandError: the store cannot be opened, or has another layout.
    """
    token = secrets.token_urlsafe(32)
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(
        target=_run, args=(settings, token, started), name="store reader", daemon=True
    )
    thread.start()

    try:
        url, loop, stopping = started.result()
    except SchemaTooOld as error:
        raise layout_error(error) from error
    except StorageError as error:
        raise CommandError(str(error)) from error

    try:
        yield Client(url, token)
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(_STOP_S)


def _run(
    settings: Settings,
    token: str,
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]],
) -> None:
    """Run on the thread: open the store, publish the address, close on request."""

    async def serve() -> None:
        from aiohttp import web

        stopping = asyncio.Event()

        async with await open_store(settings, is_read_only=True) as storage:
            application = _application(storage, token)
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
            await runner.setup()

            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                host, port = runner.addresses[0][:2]
                started.set_result((f"http://{host}:{port}", asyncio.get_running_loop(), stopping))
                await stopping.wait()
            finally:
                await runner.cleanup()

    try:
        asyncio.run(serve())
    except Exception as error:
        if started.done():
            raise
        started.set_exception(error)


def _application(storage: Storage, token: str) -> "Application":
    """Return the admin application over a store that does not change."""
    from api.access.auth import token_digest
    from api.access.principal import Credential, Credentials, Principal
    from api.app import make_app
    from api.metrics.metrics import Metrics
    from api.services import Services
    from api.stream.streams import StreamServices
    from api.stream.tail import Tail
    from storage.ledger import Ledger

    async def nothing_received() -> Ledger:
        return Ledger(received=0, stored=0, spooled=0, waiting=0, dropped={})

    reader = Credential(token_digest(token), Principal("command line", "reader"))
    return make_app(
        Services(
            storage=storage,
            # No admin token: this one is secret.
            credentials=Credentials(lambda: secrets.token_urlsafe(32), [reader]),
            listen_host="127.0.0.1",
            instance="",
            ledger=nothing_received,
            status=dict,
            in_flight=list,
            is_ready=lambda: (True, {}),
            metrics=Metrics(),
            streams=StreamServices(tail=Tail(storage)),
        )
    )
