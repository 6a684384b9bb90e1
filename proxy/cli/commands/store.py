"""Opens the store for commands that do not use a running sidelog, or serves it to them.

The settings name the store, as for `serve`; without them, the last start does (`state.json`). A
store that is opened read-only is not changed, not even migrated.

A served store is opened read-only by the usual application, on a loopback port of this process, as
long as the command runs, so that filters, pages, exports and errors are the same. The token is
random, stays in the process, and only allows reading.
"""

import asyncio
import secrets
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from proxy.cli.commands.client import Client, data_directory
from proxy.cli.commands.doctor.store import sqlite_path
from proxy.cli.commands.output import CommandError, complain
from proxy.process.data_dir import STORAGE_URL_NAME, read_state
from proxy.settings.load import load_without_upstream
from proxy.settings.model import Settings, StorageSettings
from storage.backends import open_storage
from storage.base import Storage
from storage.errors import SchemaTooOld, StorageError, StorageUnavailable

if TYPE_CHECKING:
    from aiohttp.web import Application

T = TypeVar("T")
_STOP_S: Final = 5.0


def settings_of(config: Path | None, data_dir: str | None, environ: Mapping[str, str]) -> Settings:
    """Load the settings as `serve` would, but accept settings without an upstream.

    Raises:
        SettingsError: with every problem found.
    """
    overrides = {"data_dir": str(data_directory(data_dir, environ))}
    settings = load_without_upstream(overrides, environ, config)
    last = read_state(Path(settings.data_dir)).get(STORAGE_URL_NAME)
    if not last or settings.storage.url != StorageSettings().url:
        return settings

    return msgspec.structs.replace(
        settings, storage=msgspec.structs.replace(settings.storage, url=str(last))
    )


def check_exists(settings: Settings) -> None:
    """Check that the store exists and can be opened by another process.

    Raises:
        CommandError: it is in memory, or was never made.
    """
    if settings.storage.url.startswith("memory"):
        raise CommandError(
            "the store is in memory and ends with its process: there is nothing to read"
        )

    path = sqlite_path(settings)
    if path is not None and not path.exists():
        raise CommandError(
            f"there is no {path} yet; it is created at the first start; pass --data-dir"
        )


async def open_store(settings: Settings, *, is_read_only: bool) -> Storage:
    """Open the settings' store, and tell its warning; the caller closes it.

    Raises as `storage.backends.open_storage`.
    """
    storage = await open_storage(
        settings.storage.url,
        Path(settings.data_dir),
        durability=settings.storage.durability,
        is_read_only=is_read_only,
    )
    if storage.warning:
        complain(f"warning: {storage.warning}")
    return storage


def with_store(
    settings: Settings, work: Callable[[Storage], Awaitable[T]], *, is_read_only: bool = False
) -> T:
    """Call a function with the settings' store, and close it.

    Raises:
        CommandError: it cannot be opened.
        SchemaTooOld: its layout is older, and it was to be read only.
    """

    async def run() -> T:
        async with await open_store(settings, is_read_only=is_read_only) as storage:
            return await work(storage)

    try:
        return asyncio.run(run())
    except SchemaTooOld:
        raise
    except StorageUnavailable as error:
        raise CommandError(f"{error}; `sidelog doctor` says what to check") from error
    except StorageError as error:
        raise CommandError(str(error)) from error


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
        raise CommandError(f"{error}; run `sidelog db migrate`, or start sidelog") from error
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
