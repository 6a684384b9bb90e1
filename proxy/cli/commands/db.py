"""`sidelog db status|migrate|vacuum|backup`: works on the store itself, even while sidelog runs.

`status` does not write: opening a store to write would bring it up to date, so a store with an
older layout is described as far as that allows.
"""

import os
import time
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import msgspec

from proxy.cli.command import (
    FILE,
    Function,
    Group,
    argument,
    config_option,
    data_dir_option,
    json_option,
)
from proxy.cli.commands.doctor.store import sqlite_path
from proxy.cli.commands.output import CommandError, Result, say
from proxy.cli.commands.store import check_exists, settings_of, with_store
from proxy.settings.model import Settings
from storage.base import Storage
from storage.errors import SchemaTooOld, StorageUnavailable


@click.group(cls=Group)
def db() -> None:
    """Inspect, migrate and back up the store."""


def _store_options(function: Function) -> Function:
    """Give a command the `settings` of a store that exists."""

    @wraps(function)
    def run(config: Path | None, data_dir: str | None, **given: Any) -> int:
        settings = settings_of(config, data_dir, os.environ)
        check_exists(settings)
        return function(settings=settings, **given)

    return config_option(data_dir_option(run))


@db.command()
@_store_options
@json_option
def status(settings: Settings) -> Result:
    """Show the store's contents, layout, size and retention. Changes nothing.

    Example: sidelog db status --data-dir /var/lib/sidelog
    """
    found = _look_into(settings)
    if "newest_layout" in found:
        found["mend"] = "run `sidelog db migrate`, or start sidelog"
    return Result(found, _print)


@db.command()
@_store_options
@json_option
def migrate(settings: Settings) -> Result:
    """Migrate the store to the newest layout, as a start of sidelog does.

    Example: sidelog db migrate --data-dir /var/lib/sidelog
    """
    try:
        before = with_store(settings, _layout, is_read_only=True)
    except SchemaTooOld as old:
        before = old.layout

    async def read(storage: Storage) -> dict[str, object]:
        # Opening the store brings it to the newest layout.
        info = await storage.info()
        return {"location": info.location, "layout_before": before, "layout": info.schema_version}

    return Result(with_store(settings, read), _print)


@db.command()
@_store_options
@json_option
def vacuum(settings: Settings) -> Result:
    """Return free space to the file system; works while sidelog is running.

    Example: sidelog db vacuum --data-dir /var/lib/sidelog
    """

    async def read(storage: Storage) -> dict[str, object]:
        before = (await storage.info()).size_bytes
        await storage.vacuum()
        after = await storage.info()
        return {
            "location": after.location,
            "size_bytes_before": before,
            "size_bytes": after.size_bytes,
        }

    return Result(with_store(settings, read), _print)


@db.command()
@argument(
    "file",
    "File for the copy; must not exist. In a directory it is named by the time: "
    "sidelog-2026-11-28T020000Z.db.",
    type=FILE,
)
@_store_options
@json_option
def backup(settings: Settings, file: Path) -> Result:
    """Copy a SQLite store into a file, as it is at this moment; works while sidelog is running.

    Example: sidelog db backup records.db
    """
    source = sqlite_path(settings)
    if source is None:
        scheme = settings.storage.url.partition(":")[0]
        raise CommandError(
            f"this copies stores on SQLite, and the store is {scheme}: use the server's own backup"
        )

    from storage.sqlite.backup import back_up

    if file.is_dir():
        file /= f"sidelog-{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.db"
    began_s = time.monotonic()
    try:
        back_up(source, file)
    except (OSError, StorageUnavailable) as error:
        strerror = getattr(error, "strerror", None)
        filename = getattr(error, "filename", None)
        raise CommandError(
            f"no backup was made: {f'{filename}: {strerror}' if strerror else error}"
        ) from error

    took_s = round(time.monotonic() - began_s, 1)
    url = f"sqlite:///{quote(str(file.absolute()))}"
    copied = msgspec.structs.replace(
        settings, storage=msgspec.structs.replace(settings.storage, url=url)
    )
    found = {"location": str(file)} | _look_into(copied)
    found |= {"size_bytes": file.stat().st_size, "took_s": took_s}
    return Result(found, _print)


def _look_into(settings: Settings) -> dict[str, object]:
    """Describe a store without changing it. Of a store with an older layout, only current and
    newest layout are returned.
    """
    try:
        return with_store(settings, _describe, is_read_only=True)
    except SchemaTooOld as old:
        return {"layout": old.layout, "newest_layout": old.newest}


async def _layout(storage: Storage) -> int:
    return (await storage.info()).schema_version


async def _describe(storage: Storage) -> dict[str, object]:
    info = await storage.info()
    state = await storage.retention()
    floor_us = state.purge_floor_us
    return {
        "backend": info.backend,
        "location": info.location,
        "layout": info.schema_version,
        "records": info.rows,
        "last_seq": info.last_seq,
        "size_bytes": info.size_bytes,
        "used_bytes": state.used_bytes,
        "purged_before": datetime.fromtimestamp(floor_us / 1e6, UTC).isoformat()
        if floor_us
        else None,
        "purged_through_seq": state.purged_through_seq,
        "retention_lag_s": state.lag_s,
    }


def _print(found: dict[str, object]) -> None:
    width = max(map(len, found))
    for key, value in found.items():
        name = "fix" if key == "mend" else key
        say(f"{name.replace('_', ' '):{width}}  {'-' if value is None else value}")
