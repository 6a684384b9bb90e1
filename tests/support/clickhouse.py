"""Real ClickHouse servers for tests: the old one of Debian, and chdb behind a front that speaks the
same HTTP.

Strategy: the first test that needs an engine starts it, in a directory of its own, on a free port,
which processes that tests start find in their environment; it ends with this process, however that
ends. A test has a database of its own. Its directory is in memory where that is large enough: an
insert is a hundred small files, 165 ms of CPU on the disk of a busy machine and 26 in memory. Tests
are skipped where an engine is not installed, and fail where `CI=true` says that it must be:
Debian's `clickhouse-server`, and `make clickhouse-setup`.
"""

import atexit
import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest

from storage.clickhouse.wire.address import Address
from tests.support.ports import free_port

ROOT: Final = Path(__file__).parents[2]
ENGINES: Final = ("debian", "chdb")
"""Version 18 as Debian has it, and a current one."""
_PORT: Final = "SIDELOG_TEST_CLICKHOUSE_PORT_"
"""Begins the variable with the port of an engine."""
_START_S: Final = 60.0
_IN_MEMORY: Final = Path("/dev/shm")
_LEAST_BYTES: Final = 4 << 30
"""Space that has to be free there: containers have 64 MiB."""
_KEPT_DATABASES: Final = 16
_made: Final[list[tuple[int, str]]] = []
"""Ports and names of the databases of directories, the oldest first."""
_CONFIG: Final = """<yandex>
<logger><level>none</level></logger>
<http_port>{port}</http_port><listen_host>127.0.0.1</listen_host>
<path>{directory}/data/</path><tmp_path>{directory}/tmp/</tmp_path>
<mark_cache_size>67108864</mark_cache_size><timezone>UTC</timezone><keep_alive_timeout>10</keep_alive_timeout>
<users_config>{directory}/users.xml</users_config><default_profile>default</default_profile>
<default_database>default</default_database>
{settings}
</yandex>
"""
_USERS: Final = """<yandex>
<profiles><default></default><guest><readonly>2</readonly></guest></profiles>
<users>
<default><password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota></default>
<locked><password>secret</password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota></locked>
<guest><password></password><networks><ip>::/0</ip></networks><profile>guest</profile><quota>default</quota></guest>
</users>
<quotas><default></default></quotas>
</yandex>
"""


class Server:
    """An engine in a directory of its own. `start` and `kill` may follow each other; `remove` ends
    it.
    """

    def __init__(self, engine: str, settings: str = "", place: Path | None = None) -> None:
        """Make its directory; it is not running yet.

        Args:
            engine: One of `ENGINES`.
            settings: More of Debian's configuration, as XML.
            place: Where its directory is made; None for the usual place.
        """
        self._settings = settings
        self._users = _USERS
        self.engine = engine
        self._command = _installed(engine)
        self.directory = Path(tempfile.mkdtemp(prefix="sidelog-ch-", dir=place))
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.port = self.port or free_port()
        if self.engine == "chdb":
            self.process = self._run([*self._command, str(self.directory / "data"), str(self.port)])
            assert self.process.stdout is not None
            self.port = int(self.process.stdout.readline() or b"0")
            assert self.port, "the front of chdb ended while it was started"
            return

        (self.directory / "config.xml").write_text(
            _CONFIG.format(port=self.port, directory=self.directory, settings=self._settings)
        )
        (self.directory / "users.xml").write_text(self._users)
        command = [*self._command, f"--config-file={self.directory}/config.xml"]
        self.process = self._run(command)
        deadline = time.monotonic() + _START_S

        while not self._answers():
            assert time.monotonic() < deadline, (
                f"clickhouse-server was not ready within {_START_S} s"
            )
            time.sleep(0.01)
            if self.process.poll() is not None:
                # After a kill somebody else may have its port for a moment, as that of a
                # connection.
                time.sleep(0.2)
                self.process = self._run(command)

    def url(self, database: str = "default") -> str:
        """Write the address of a database."""
        return f"clickhouse://127.0.0.1:{self.port}/{database}"

    def address(self, database: str = "default") -> Address:
        """Read the address of a database."""
        return Address.of(urlsplit(self.url(database)))

    def database(self) -> str:
        """Make a database; answers its name."""
        name = f"t{uuid4().hex}"
        self.ask(f"CREATE DATABASE {name}")
        return name

    def ask(self, statement: str) -> str:
        """Run a statement, as anybody could."""
        return ask(self.port, statement)

    def change_users(self, old: str, new: str) -> None:
        """Put something else into the users as they are at first; the server reads them anew within
        seconds.
        """
        assert old in _USERS
        self._users = _USERS.replace(old, new)
        path = self.directory / "users.xml"
        before_s = path.stat().st_mtime
        path.write_text(self._users)
        # The server looks at whole seconds only, and would take a second change within one for the
        # first.
        later_s = max(before_s, time.time()) + 1
        os.utime(path, (later_s, later_s))

    def kill(self) -> None:
        """Kill it without a word."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def remove(self) -> None:
        """Kill it and delete what it kept."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if self.engine == "chdb" else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.directory,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    def _answers(self) -> bool:
        try:
            return self.ask("SELECT 1") == "1\n"
        except (URLError, OSError):
            return False


@functools.cache
def server(engine: str) -> Server:
    """Start the engine of this process; skips where it is not installed."""
    started = Server(engine, place=in_memory())
    atexit.register(started.remove)
    started.start()
    return started


def url(engine: str, directory: Path) -> str:
    """Find or make the database that belongs to a directory, on the common server of an engine;
    answers its address.
    """
    variable = _PORT + engine
    if variable not in os.environ:
        os.environ[variable] = str(server(engine).port)
    port = int(os.environ[variable])
    name = "t" + blake2b(str(directory).encode(), digest_size=8).hexdigest()

    names = ask(port, "SHOW DATABASES").split()
    if name not in names:
        ask(port, f"CREATE DATABASE {name}")
        _made.append((port, name))
        while len(_made) > _KEPT_DATABASES:
            its_port, oldest = _made.pop(0)
            ask(its_port, f"DROP DATABASE {oldest}")

    return f"clickhouse://127.0.0.1:{port}/{name}"


def ask(port: int, statement: str) -> str:
    """Run a statement, as anybody could."""
    with urlopen(Request(f"http://127.0.0.1:{port}/", statement.encode()), timeout=30) as answer:
        text: str = answer.read().decode()
        return text


@contextlib.contextmanager
def own_server(engine: str, settings: str = "", place: Path | None = None) -> Iterator[Server]:
    """An engine that nobody else uses, to be killed; see `Server`."""
    own = Server(engine, settings, place)
    try:
        own.start()
        yield own
    finally:
        own.remove()


def in_memory() -> Path | None:
    """Find a directory in memory; None where there is no space."""
    is_large = _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free >= _LEAST_BYTES
    return _IN_MEMORY if is_large else None


def _installed(engine: str) -> list[str]:
    """Return the command that runs an engine."""
    if engine == "debian":
        # Where it is, PATH may not say.
        program = shutil.which("clickhouse-server") or shutil.which(
            "clickhouse-server", path="/usr/sbin:/usr/bin"
        )
        if program is not None and shutil.which("setpriv"):
            return [program]
        missing("clickhouse-server and setpriv are not installed")

    python = ROOT / ".venv-clickhouse" / "bin" / "python"
    if not python.exists():
        missing("chdb is not installed: make clickhouse-setup")
    return [str(python), str(Path(__file__).with_name("clickhouse_front.py"))]


def missing(what: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
