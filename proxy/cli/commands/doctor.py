"""`sidelog doctor`: is this machine fit to run sidelog with these settings, and if not, what fixes it.

Strategy: each check is a function of the settings that returns findings and changes nothing that lasts. A check that
breaks is itself a finding. `fail` means sidelog would not start or would drop records; `warn` means less than promised.
"""

import asyncio
import contextlib
import errno
import os
import resource
import socket
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from proxy.cli.commands.client import Client, admin_url_of
from proxy.cli.commands.output import CommandError, console, say_json
from proxy.process.data_dir import read_state
from proxy.process.own_packages import ROOT
from proxy.settings.addresses import parse_address
from proxy.settings.flags import FLAGS
from proxy.settings.model import Settings
from storage.errors import StorageUnavailable
from storage.record import Position
from storage.writer.spool import SUFFIX, Spool

State = Literal["ok", "warn", "fail"]
JSON_KEYS: Final = ("state", "name", "text", "mend")
"""Of a finding, in the order of its fields."""

CONNECTION_DESCRIPTORS: Final = 2
"""One towards the client, one towards the upstream."""
OWN_DESCRIPTORS: Final = 64
"""Sockets, rings, event descriptors and log of one process, generously."""
LEAST_SQLITE: Final = (3, 35, 0)
"""RETURNING, which commits use."""
POSTGRES_ENCODING: Final = "UTF8"
SQLITE_CHECK_S: Final = 5.0
"""A quick_check of a large store takes minutes; what is read in this time is checked."""


class Finding(NamedTuple):
    """One line of the report."""

    state: State
    name: str
    text: str
    fix: str = ""


def run(settings: Settings, problems: list[str], *, as_json: bool) -> int:
    """Print all findings; returns 1 when one of them is a failure."""
    findings = [Finding("fail", "settings", problem, "see `sidelog config check`") for problem in problems]
    if not problems:
        findings.append(Finding("ok", "settings", f"valid, {len(settings.routes)} route(s)"))
    for check in CHECKS:
        findings += _guarded(check, settings)
    if as_json:
        say_json([dict(zip(JSON_KEYS, finding, strict=True)) for finding in findings])
    else:
        _print(findings)
    return 1 if any(finding.state == "fail" for finding in findings) else 0


def check_packages(settings: Settings) -> Iterator[Finding]:
    """Show where sidelog's packages are; that none comes from elsewhere was checked before any command."""
    yield Finding("ok", "packages", f"proxy, storage and api are those in {ROOT}")


def check_descriptors(settings: Settings) -> Iterator[Finding]:
    """Compare the open-file limit of a process with the connections a worker may hold."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = settings.proxy.limits.max_connections * CONNECTION_DESCRIPTORS + OWN_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= need:
        yield Finding("ok", "open files", f"limit {soft}, {need} needed for proxy.limits.max_connections")
        return
    text = f"limit {soft} (hard limit {hard}), {need} needed for {settings.proxy.limits.max_connections} connections"
    fix = f"ulimit -n {need}, or LimitNOFILE={need} in the systemd unit, or a lower proxy.limits.max_connections"
    yield Finding("fail" if soft < 4 * OWN_DESCRIPTORS else "warn", "open files", text, fix)


def check_ring_space(settings: Settings) -> Iterator[Finding]:
    """Compare the space for rings with what the workers' rings take."""
    directory = settings.ring.directory or "/dev/shm"  # noqa: S108 — the documented place of rings
    need = settings.ring.bytes * max(settings.proxy.workers, 1)
    lesser: State = "fail" if settings.ring.directory else "warn"
    fix = "docker run --shm-size, an emptyDir of medium Memory, or smaller ring.bytes"
    if not settings.ring.directory:
        fix += "; until then rings are anonymous memory, which ends with the supervisor"
    try:
        space = os.statvfs(directory)
    except OSError as error:
        yield Finding(lesser, "ring space", f"{directory}: {error.strerror}", fix)
        return
    free = space.f_bavail * space.f_frsize
    is_enough = free >= need and os.access(directory, os.W_OK | os.X_OK)
    text = f"{directory} has {free >> 20} MiB free, rings take {need >> 20} MiB"
    yield Finding("ok", "ring space", text) if is_enough else Finding(lesser, "ring space", text, fix)


def check_data_directory(settings: Settings) -> Iterator[Finding]:
    """See whether the data directory can be written, or made, and is private."""
    directory = Path(settings.data_dir)
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        fix = f"chown it to uid {os.geteuid()}, or choose another with --data-dir"
        yield Finding("fail", "data directory", f"{existing} is not a writable directory", fix)
    elif existing != directory:
        yield Finding("ok", "data directory", f"{directory} will be created at the first start")
    elif directory.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        text = f"{directory} is accessible to other users"
        yield Finding("warn", "data directory", text, f"chmod 700 {directory}")
    else:
        yield Finding("ok", "data directory", f"{directory} is writable and private")


def check_storage(settings: Settings) -> Iterator[Finding]:
    """Open the store read-only and look it over, a file for a few seconds."""
    url = settings.storage.url
    path = sqlite_path(settings)
    if url.startswith("postgres"):
        yield _check_postgres(url)
        return
    if path is None:
        yield Finding(
            "ok", "storage", "in memory: records end with the process" if url.startswith("memory") else "not a file"
        )
        return
    if not path.exists():
        yield Finding("ok", "storage", f"{path} will be created at the first start")
        return
    deadline = time.monotonic() + SQLITE_CHECK_S
    try:
        with _opened(path, mode="ro") as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            found = _quick_check(connection)
    except sqlite3.Error as error:
        yield Finding(
            "fail", "storage", f"{path}: {error}", "restore it from a backup, or move it away: a new one is created"
        )
        return
    if found == "ok":
        yield Finding("ok", "storage", f"{path} opens, {path.stat().st_size >> 20} MiB, no damage found")
    else:
        yield Finding(
            "fail", "storage", f"{path}: {found}", "stop sidelog, run sqlite3 FILE '.recover', or restore a backup"
        )


def _check_postgres(url: str) -> Finding:
    """Connect to the database of a `postgresql:` URL and see whether it can be used."""
    from storage.postgres.connection import Address
    from storage.postgres.inspect import inspect

    address = Address.of(urlsplit(url))
    try:
        seen = asyncio.run(inspect(address))
    except StorageUnavailable as error:
        fix = "check that Postgres is running, that storage.url is right, and that pg_hba.conf admits this user"
        return Finding("fail", "storage", f"{address.location}: {error}", fix)
    if seen.encoding != POSTGRES_ENCODING:
        fix = f"createdb --encoding={POSTGRES_ENCODING} --template=template0 NAME"
        return Finding("fail", "storage", f"{address.location} has the encoding {seen.encoding}", fix)
    if seen.is_read_only:
        return Finding("fail", "storage", f"{address.location} is a replica", "name the primary in storage.url")
    if seen.layout > seen.newest_layout:
        text = (
            f"{address.location} was written by a newer sidelog "
            f"(layout {seen.layout}, this one supports up to {seen.newest_layout})"
        )
        return Finding("fail", "storage", text, "upgrade sidelog")
    if not seen.may_create:
        fix = "CREATE SCHEMA sidelog AUTHORIZATION our user, or GRANT CREATE ON DATABASE"
        return Finding("fail", "storage", f"{address.location}: no permission to create the schema sidelog", fix)
    pooled = ", through a pooler" if seen.is_pooled else ""
    layout = f"layout {seen.layout}" if seen.layout else "will be created at the first start"
    return Finding("ok", "storage", f"{address.location}: Postgres {seen.server_version}{pooled}, {layout}")


def check_spool(settings: Settings) -> Iterator[Finding]:
    """Compare the budget of the spool with the free space, and read the index of what waits in it."""
    directory = Path(settings.data_dir, "spool")
    if settings.storage.durability != "safe" and not directory.is_dir():
        yield Finding("ok", "spool", "none: storage.durability is fast")
        return
    segments = sorted(directory.glob("*" + SUFFIX)) if directory.is_dir() else []
    taken = sum(path.stat().st_size for path in segments)
    place = next(path for path in (directory, *directory.parents) if path.is_dir())
    space = os.statvfs(place)
    free, need = space.f_bavail * space.f_frsize, max(0, settings.spool.max_bytes - taken)
    if free < need:
        text = f"{place} has {free >> 20} MiB free, the spool may take {need >> 20} MiB more"
        yield Finding("warn", "spool", text, "free space in the data directory, or lower spool.max_bytes")
    if not segments:
        yield Finding("ok", "spool", "empty")
        return
    spool = Spool(directory, settings.spool.max_bytes)
    spool.inspect(Position())
    text = f"up to {spool.pending_records} records wait for the store, in {len(segments)} segments, {taken >> 20} MiB"
    yield Finding("warn", "spool", text, "start sidelog; if it is running, find out why the store is unavailable")


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
    """Return the file of a SQLite URL; None for other stores."""
    rest = settings.storage.url.removeprefix("sqlite:///")
    return Path(settings.data_dir, unquote(rest)) if rest != settings.storage.url and rest else None


def check_sqlite(settings: Settings) -> Iterator[Finding]:
    """See whether this SQLite has what the store uses: version, threads, write-ahead log."""
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < LEAST_SQLITE:
        yield Finding("fail", "sqlite", f"version {version}, 3.35 needed", "use a Python built with a newer SQLite")
        return
    with tempfile.TemporaryDirectory(prefix="sidelog-doctor-") as directory, _opened(Path(directory, "x.db")) as store:
        mode = store.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        yield Finding(
            "fail", "sqlite", f"journal mode is {mode}, WAL needed", "put temporary files on a local disk (TMPDIR)"
        )
    else:
        yield Finding("ok", "sqlite", f"version {version}, WAL works")


def check_clock(settings: Settings) -> Iterator[Finding]:
    """See whether the wall clock is plausible: ids, retention and the order of pages hang on it."""
    now = time.time()
    state = Path(settings.data_dir, "state.json")
    fix = "set the clock, and run chrony or systemd-timesyncd"
    shown = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    if not 1_700_000_000 < now < 4_000_000_000:
        yield Finding("fail", "clock", f"{shown}", fix)
    elif state.exists() and state.stat().st_mtime > now + 60:
        yield Finding("warn", "clock", f"{shown}, but {state} was written later: the clock was set back", fix)
    else:
        yield Finding("ok", "clock", shown)


_PORTS: Final = {
    "proxy.listen": "data port",
    "admin.listen": "admin port",
    "admin.metrics_listen": "metrics port",
    "admin.health_listen": "health port",
}


def check_ports(settings: Settings) -> Iterator[Finding]:
    """See whether every port can be bound, or is held by the sidelog of this data directory."""
    for setting, text in settings.listens.items():
        name = _PORTS[setting]
        error = _bind_error(*parse_address(text))
        if error is None:
            yield Finding("ok", name, f"{text} is free")
        elif error.errno == errno.EADDRINUSE and _is_running(settings):
            yield Finding("ok", name, f"{text} is in use; sidelog is running here")
        else:
            other = FLAGS[setting].option if setting in FLAGS else setting
            fix = f"stop the other program (ss -ltnp shows it), or choose another address with {other}"
            yield Finding("fail", name, f"{text}: {error.strerror or error}", fix)


def _bind_error(host: str, port: int) -> OSError | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        return error
    return None


def _is_running(settings: Settings) -> bool:
    try:
        url = admin_url_of(read_state(Path(settings.data_dir)))
        return url is not None and Client(url, "").get("/healthz").status == 200
    except CommandError:
        return False


CHECKS: Final[tuple[Callable[[Settings], Iterator[Finding]], ...]] = (
    check_packages,
    check_descriptors,
    check_ring_space,
    check_data_directory,
    check_storage,
    check_spool,
    check_sqlite,
    check_clock,
    check_ports,
)


def _guarded(check: Callable[[Settings], Iterator[Finding]], settings: Settings) -> list[Finding]:
    try:
        return list(check(settings))
    except Exception as error:  # one broken check must not hide the others
        name = check.__name__.removeprefix("check_").replace("_", " ")
        return [Finding("fail", name, f"{type(error).__name__}: {error}")]


def _print(findings: list[Finding]) -> None:
    from rich.text import Text

    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    out = console()
    for finding in findings:
        out.print(Text.assemble((f"{finding.state:4}", styles[finding.state]), f"  {finding.name:15} {finding.text}"))
        if finding.fix:
            out.print(Text(f"      fix: {finding.fix}"))
