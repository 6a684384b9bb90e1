"""Real replicas for tests: two of Debian's ClickHouse servers, and Debian's ZooKeeper, each on free
ports.

The first test that needs the common cluster starts it; it ends with this process, however that
ends. Tests are skipped where `java`, `libzookeeper-java` or the server is not installed, and fail
where `CI=true` says that they must be.
"""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from uuid import uuid4

from tests.support.clickhouse import Server, ask, in_memory, missing
from tests.support.ports import free_port

CLUSTER: Final = "both"
"""Two replicas of one shard."""
SHARDS: Final = "shards"
"""The same servers as two shards."""
_PORTS: Final = "SIDELOG_TEST_CLICKHOUSE_CLUSTER"
"""Variable with the ports of the common cluster, for processes that tests start."""
_KEPT_DATABASES: Final = 8
_made: Final[list[str]] = []
"""Databases of directories, the oldest first."""
_JARS: Final = Path(os.environ.get("SIDELOG_TEST_JARS", "/usr/share/java"))
_NEEDED: Final = ("zookeeper.jar", "slf4j-nop.jar")
_MAIN: Final = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
_ZOO: Final = """tickTime=2000
dataDir={directory}/data
clientPort={port}
clientPortAddress=127.0.0.1
admin.enableServer=false
forceSync=no
maxClientCnxns=0
"""
_SETTINGS: Final = """
<tcp_port>{tcp_port}</tcp_port>
<interserver_http_port>{interserver_port}</interserver_http_port><interserver_http_host>127.0.0.1</interserver_http_host>
<zookeeper><node><host>127.0.0.1</host><port>{zookeeper_port}</port></node>
<session_timeout_ms>{session_ms}</session_timeout_ms></zookeeper>
<macros><shard>1</shard><replica>{replica}</replica></macros>
<remote_servers>
<both><shard>{both}</shard></both>
<shards>{shards}</shards>
</remote_servers>
"""
_START_S: Final = 60.0


class ZooKeeper:
    """A coordinator in a directory of its own. `start`, `kill`, `stop` and `go_on` may follow each
    other.
    """

    def __init__(self, place: Path | None = None) -> None:
        """Make its directory; it is not running yet."""
        if shutil.which("java") is None or not all((_JARS / jar).exists() for jar in _NEEDED):
            missing(
                "java and zookeeper are not installed (Debian: default-jre-headless "
                "libzookeeper-java)"
            )

        self.directory = Path(tempfile.mkdtemp(prefix="sidelog-zk-", dir=place))
        self.port = free_port()
        (self.directory / "zoo.cfg").write_text(
            _ZOO.format(directory=self.directory, port=self.port)
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        jars = ":".join(str(_JARS / jar) for jar in _NEEDED)
        # Sparing of memory and threads: what it keeps is a handful of small nodes.
        java = [
            "java",
            "-Xmx128m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            jars,
            _MAIN,
        ]
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", "--", *java, str(self.directory / "zoo.cfg")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.directory,
        )  # fmt: skip
        deadline = time.monotonic() + _START_S

        while not self._listens():
            assert self.process.poll() is None, "zookeeper ended while it was started"
            assert time.monotonic() < deadline, f"zookeeper was not ready within {_START_S} s"
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill it without a word."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def pause(self, *, is_over: bool = False) -> None:
        """Stop it where it is, or let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT if is_over else signal.SIGSTOP)

    def remove(self) -> None:
        """Kill it and delete what it kept."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        except OSError:
            return False
        return True


class Cluster:
    """A coordinator and two replicas of one shard."""

    def __init__(self, place: Path | None = None, session_ms: int = 6000) -> None:
        """Make their directories; nothing is running yet.

        Args:
            place: Where; None for the usual place.
            session_ms: After which a replica that was killed is no longer there for the others.
        """
        self.zookeeper = ZooKeeper(place)
        names = ("first", "second")
        ports = (free_port(), free_port())
        replicas = [
            f"<replica><host>127.0.0.1</host><port>{port}</port></replica>" for port in ports
        ]
        self.servers = [
            Server("debian", _SETTINGS.format(
                tcp_port=port, interserver_port=free_port(), zookeeper_port=self.zookeeper.port, replica=name,
                session_ms=session_ms,
                both="".join(replicas), shards="".join(f"<shard>{replica}</shard>" for replica in replicas),
            ), place)
            for name, port in zip(names, ports, strict=True)
        ]  # fmt: skip

    def start(self) -> None:
        """Start all of it."""
        self.zookeeper.start()
        for server in self.servers:
            server.start()
            deadline = time.monotonic() + _START_S
            while not _is_coordinated(server):
                assert time.monotonic() < deadline, f"zookeeper was not ready within {_START_S} s"
                time.sleep(0.05)

    def database(self, name: str = "") -> str:
        """Make a database on both servers; answers its name."""
        name = name or f"t{uuid4().hex}"
        for server in self.servers:
            server.ask(f"CREATE DATABASE IF NOT EXISTS {name}")
        return name

    def url(self, database: str, *, options: str = "", cluster: str = CLUSTER) -> str:
        """Write the address of a database."""
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.servers)
        return f"clickhouse://{hosts}/{database}?cluster={cluster}{options}"

    def remove(self) -> None:
        """Kill all of it and delete what it kept."""
        for server in self.servers:
            server.remove()
        self.zookeeper.remove()


def _is_coordinated(server: Server) -> bool:
    try:
        return int(server.ask("SELECT count() FROM system.zookeeper WHERE path = '/'")) > 0
    except HTTPError:
        return False


@functools.cache
def cluster() -> Cluster:
    """Start the cluster of this process; skips where something of it is not installed."""
    # However busy the machine is, its replicas stay.
    started = Cluster(in_memory(), session_ms=40_000)
    atexit.register(started.remove)
    started.start()
    return started


def url(directory: Path, named: str = CLUSTER) -> str:
    """Find or make the database that belongs to a directory, on the common cluster; answers its
    address.
    """
    if _PORTS not in os.environ:
        os.environ[_PORTS] = " ".join(str(server.port) for server in cluster().servers)
    ports = [int(port) for port in os.environ[_PORTS].split()]
    name = "t" + blake2b(str(directory).encode(), digest_size=8).hexdigest()
    for port in ports:
        ask(port, f"CREATE DATABASE IF NOT EXISTS {name}")
    if name not in _made:
        _made.append(name)
    while len(_made) > _KEPT_DATABASES:
        oldest = _made.pop(0)
        for port in ports:
            # What a server does not drop at present stays.
            with contextlib.suppress(HTTPError):
                ask(port, f"DROP DATABASE IF EXISTS {oldest}")

    return f"clickhouse://{','.join(f'127.0.0.1:{port}' for port in ports)}/{name}?cluster={named}"


@contextlib.contextmanager
def own_cluster() -> Iterator[Cluster]:
    """A cluster that nobody else uses, to be killed piece by piece."""
    own = Cluster(in_memory())
    try:
        own.start()
        yield own
    finally:
        own.remove()
