"""Opens the store for commands that do not use a running sidelog.

The settings name the store, as for `serve`; without them, the last start does (`state.json`). A
store that is opened read-only is not changed, not even migrated.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from proxy.cli.commands.client import data_directory
from proxy.cli.commands.doctor.store import sqlite_path
from proxy.cli.commands.output import CommandError
from proxy.process.data_dir import STORAGE_URL_NAME, read_state
from proxy.settings.load import load_without_upstream
from proxy.settings.model import Settings, StorageSettings
from storage.backends import open_storage
from storage.base import Storage
from storage.errors import SchemaTooOld, StorageError, StorageUnavailable

T = TypeVar("T")


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
    """Open the settings' store; the caller closes it. Raises as `storage.backends.open_storage`."""
    return await open_storage(
        settings.storage.url,
        Path(settings.data_dir),
        durability=settings.storage.durability,
        is_read_only=is_read_only,
    )


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


def layout_error(error: SchemaTooOld) -> CommandError:
    """Return the error for a store with an older layout, with advice."""
    return CommandError(f"{error}; run `sidelog db migrate`, or start sidelog")
