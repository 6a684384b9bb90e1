"""Checks of the store: whether it opens and is undamaged, and how many records wait for it."""

import contextlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from proxy.cli.commands.doctor.databases import NAME, check_clickhouse, check_postgres, newer
from proxy.cli.commands.doctor.finding import Finding
from proxy.settings.model import Settings
from storage.backends import DAMAGED, is_postgres
from storage.ledger import SOURCE_SPOOL
from storage.record import Position
from storage.sqlite.schema import migrations
from storage.writer.spool import SUFFIX, Spool
from storage.writer.spool_replay import positions_file

LEAST_SQLITE: Final = (3, 35, 0)
"""First version with RETURNING, used by commits."""
SQLITE_CHECK_S: Final = 2.0
"""Timeout of quick_check: in a large store, it checks only a part in this time."""


def check_storage(settings: Settings) -> Iterator[Finding]:
    """Check the store of the records."""
    url = settings.storage.url
    path = sqlite_path(settings)
    if is_postgres(url):
        yield from check_postgres(url)
    elif url.startswith("clickhouse"):
        yield from check_clickhouse(url)
    elif path is not None:
        yield from _check_file(path)
        yield from _check_cap(path, settings.retention.max_bytes)
    elif url.startswith("memory"):
        yield Finding("ok", NAME, "in memory: records end with the process")
    else:
        yield Finding("ok", NAME, "not a file")


def _check_file(path: Path) -> Iterator[Finding]:
    """Open a SQLite store read-only and check it for a few seconds."""
    if not path.exists():
        yield Finding("ok", NAME, f"{path} will be created at the first start")
        return
    deadline = time.monotonic() + SQLITE_CHECK_S
    try:
        with _opened(path, mode="ro") as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            layout = int(connection.execute("PRAGMA user_version").fetchone()[0])
            connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            found = _quick_check(connection)
    except sqlite3.Error as error:
        yield Finding(
            "fail",
            NAME,
            f"{path}: {error}",
            "restore it from a backup, or move it away: a new store is created",
        )
        return

    yield from _set_aside(path)
    newest = len(migrations())
    if layout > newest:
        yield newer(str(path), layout, newest)
    elif found != "ok":
        fix = "stop sidelog, run sqlite3 FILE '.recover', or restore a backup"
        yield Finding("fail", NAME, f"{path}: {found}", fix)
    else:
        if layout < newest:
            step = f", which the next start brings to {newest}"
        else:
            step = ""
        size_mib = path.stat().st_size >> 20
        text = f"{path} opens, {size_mib} MiB, no damage found, layout {layout}{step}"
        yield Finding("ok", NAME, text)


def _check_cap(path: Path, max_bytes: int) -> Iterator[Finding]:
    """Warn if the disk would be full before the limit on size deletes anything."""
    place = next(each for each in path.absolute().parents if each.is_dir())
    space = os.statvfs(place)
    room = space.f_bavail * space.f_frsize
    room += sum(file.stat().st_size for file in place.glob(f"{path.name}*"))
    if max_bytes > room:
        text = (
            f"{place} has room for {room >> 20} MiB of records, retention.max_bytes is "
            f"{max_bytes >> 20} MiB: the disk is full before the oldest go"
        )
        yield Finding("warn", NAME, text, "lower retention.max_bytes, or free space there")


def _set_aside(path: Path) -> Iterator[Finding]:
    """Report files of damaged stores next to the one in use."""
    for place in sorted(path.parent.glob(f"{path.name}{DAMAGED}*")):
        if not place.name.endswith(("-wal", "-shm")):
            fix = (
                f"sqlite3 '{place}' .recover | sqlite3 rescued.db, read that as storage.url, then "
                "remove both"
            )
            yield Finding(
                "warn", NAME, f"{place} was damaged and set aside, its records are not shown", fix
            )


def check_spool(settings: Settings) -> Iterator[Finding]:
    """Compare the limit of the spool with the free space, and count the records that wait in it."""
    directory = Path(settings.data_dir, "spool")
    if settings.storage.durability != "safe" and not directory.is_dir():
        yield Finding("ok", "spool", "none: storage.durability is fast")
        return

    if directory.is_dir():
        segments = sorted(directory.glob("*" + SUFFIX))
    else:
        segments = []
    taken = sum(path.stat().st_size for path in segments)
    place = next(path for path in (directory, *directory.parents) if path.is_dir())
    space = os.statvfs(place)
    free = space.f_bavail * space.f_frsize

    need = max(0, settings.spool.max_bytes - taken)
    if free < need:
        text = f"{place} has {free >> 20} MiB free, the spool may take {need >> 20} MiB more"
        yield Finding(
            "warn", "spool", text, "free space in the data directory, or lower spool.max_bytes"
        )

    if not segments:
        yield Finding("ok", "spool", "empty")
        return

    spool = Spool(directory, settings.spool.max_bytes)
    # The store may be unavailable, so the position comes from a file, which may be a little old.
    replayed = (positions_file(directory).value or {}).get(SOURCE_SPOOL, Position())
    spool.inspect(replayed)
    text = (
        f"up to {spool.pending_records} records wait for the store, in {len(segments)} segments, "
        f"{taken >> 20} MiB"
    )
    yield Finding(
        "warn",
        "spool",
        text,
        "start sidelog; if it is running, find out why the store is unavailable",
    )


def _opened(path: Path, mode: str = "rwc") -> contextlib.closing[sqlite3.Connection]:
    return contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, timeout=1))


def _quick_check(connection: sqlite3.Connection) -> str:
    try:
        return str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            return "ok"
        raise


def sqlite_path(settings: Settings) -> Path | None:
    """Return the file of a SQLite store; None for other stores."""
    url = settings.storage.url
    rest = url.removeprefix("sqlite:///")
    if rest != url and rest:
        return Path(settings.data_dir, unquote(rest))
    return None


def check_sqlite(settings: Settings) -> Iterator[Finding]:
    """Check that this SQLite is new enough, and that a write-ahead log works in the directory of
    the store.
    """
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < LEAST_SQLITE:
        yield Finding(
            "fail",
            "sqlite",
            f"version {version}, 3.35 needed",
            "use a Python built with a newer SQLite",
        )
        return

    place = _writable_place(settings)
    # In a read-only container without a volume, the data directory has its own finding.
    if place is None:
        yield Finding(
            "ok", "sqlite", f"version {version}; there is no writable directory to try WAL in"
        )
        return

    with (
        tempfile.TemporaryDirectory(prefix="sidelog-doctor-", dir=place) as directory,
        _opened(Path(directory, "x.db")) as store,
    ):
        mode = store.execute("PRAGMA journal_mode = WAL").fetchone()[0]

    if mode != "wal":
        fix = "put the data directory on a local disk"
        yield Finding("fail", "sqlite", f"journal mode is {mode} in {place}, WAL needed", fix)
    else:
        yield Finding("ok", "sqlite", f"version {version}, WAL works")


def _writable_place(settings: Settings) -> str | None:
    """Return the data directory, or else the directory of temporary files; None if neither is
    writable.
    """
    if os.access(settings.data_dir, os.W_OK | os.X_OK):
        return settings.data_dir
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return None
