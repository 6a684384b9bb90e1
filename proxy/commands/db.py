"""`sidelog db status|migrate|vacuum`: the store itself, opened beside a sidelog that may be running.

`status` writes nothing: a SQLite file whose layout is older than this program is described without being opened,
because opening brings it up to date.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from proxy.commands.doctor import sqlite_path
from proxy.commands.output import CommandError, say, say_json
from proxy.settings import Settings, SettingsError, load
from storage.backends import open_storage
from storage.base import Storage
from storage.errors import SchemaTooNew, StorageUnavailable

T = TypeVar("T")

_PLACEHOLDER_UPSTREAM = "http://127.0.0.1:1"
"""Settings need something to proxy to; these commands do not."""


def settings_of(config: Path | None, data_dir: str | None, environ: Mapping[str, str]) -> Settings:
    """Load the settings as `serve` would, also where nothing to proxy to is configured."""
    overrides = {} if data_dir is None else {"data_dir": data_dir}
    try:
        return load(overrides, environ, config)
    except SettingsError as error:
        if not any(problem.startswith("routes: there is nothing") for problem in error.problems):
            raise
    return load({**overrides, "proxy.upstream": _PLACEHOLDER_UPSTREAM}, environ, config)


def status(settings: Settings, *, as_json: bool) -> int:
    """Print what the store holds."""
    path = _existing(settings)
    old = None if path is None else _older_layout(path)
    if old is not None:
        found: dict[str, object] = {"location": str(path), "layout": old[0], "newest_layout": old[1]}
        _print(found | {"mend": "run `sidelog db migrate`, or start sidelog"}, as_json=as_json)
        return 0
    _print(_with_store(settings, _describe), as_json=as_json)
    return 0


def migrate(settings: Settings, *, as_json: bool) -> int:
    """Bring the store to the newest layout; opening does it."""
    path = _existing(settings)
    old = None if path is None else _older_layout(path)

    async def read(storage: Storage) -> dict[str, object]:
        info = await storage.info()
        before = info.schema_version if old is None else old[0]
        return {"location": info.location, "layout_before": before, "layout": info.schema_version}

    _print(_with_store(settings, read), as_json=as_json)
    return 0


def vacuum(settings: Settings, *, as_json: bool) -> int:
    """Give free space back."""
    _existing(settings)

    async def read(storage: Storage) -> dict[str, object]:
        before = (await storage.info()).size_bytes
        await storage.vacuum()
        after = await storage.info()
        return {"location": after.location, "size_bytes_before": before, "size_bytes": after.size_bytes}

    _print(_with_store(settings, read), as_json=as_json)
    return 0


async def _describe(storage: Storage) -> dict[str, object]:
    info, state = await storage.info(), await storage.retention()
    floor_us = state.purge_floor_us
    return {
        "backend": info.backend,
        "location": info.location,
        "layout": info.schema_version,
        "records": info.rows,
        "last_seq": info.last_seq,
        "size_bytes": info.size_bytes,
        "used_bytes": state.used_bytes,
        "purged_before": datetime.fromtimestamp(floor_us / 1e6, UTC).isoformat() if floor_us else None,
        "purged_through_seq": state.purged_through_seq,
        "retention_lag_s": state.lag_s,
    }


def _existing(settings: Settings) -> Path | None:
    if settings.storage.url.startswith("memory"):
        raise CommandError("the store is in memory: it ends with its process, there is nothing to look at")
    path = sqlite_path(settings)
    if path is not None and not path.exists():
        raise CommandError(f"there is no {path} yet; it is made at the first start")
    return path


def _older_layout(path: Path) -> tuple[int, int] | None:
    from storage.sqlite.schema import migrations

    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=2)) as connection:
            layout = int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        raise CommandError(f"cannot read {path}: {error}") from error
    newest = len(migrations())
    return (layout, newest) if layout < newest else None


def _with_store(settings: Settings, work: Callable[[Storage], Awaitable[T]]) -> T:
    async def run() -> T:
        storage = await open_storage(
            settings.storage.url, Path(settings.data_dir), durability=settings.storage.durability
        )
        async with storage:
            return await work(storage)

    try:
        return asyncio.run(run())
    except (StorageUnavailable, SchemaTooNew) as error:
        raise CommandError(str(error)) from error


def _print(found: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        say_json(found)
        return
    width = max(map(len, found))
    for name, value in found.items():
        say(f"{name.replace('_', ' '):{width}}  {'-' if value is None else value}")
