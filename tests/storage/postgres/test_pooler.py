"""Behind pgbouncer in transaction mode, where every transaction may meet another session of the
server.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from storage.backends import open_storage
from storage.errors import StorageRejected
from storage.postgres.store import PostgresStorage
from storage.query import CountQuery, FacetQuery, Filter, RecordQuery, StatsQuery
from storage.record import Batch, Entry, Position
from tests.storage.samples import make_batch, make_payload, make_record
from tests.support.filters import make_filter

ALL = Filter(kind="all")
CONFIGURATION = """
[databases]
* = host={server} user=postgres
[pgbouncer]
unix_socket_dir = {directory}
listen_addr =
listen_port = 5432
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 100
logfile = {directory}/log
pidfile = {directory}/pid
ignore_startup_parameters = extra_float_digits
"""


def _is_listening(path: Path) -> bool:
    """Whether a server accepts here: the socket's file is there a moment earlier."""
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(path)) == 0


@pytest.fixture
def pooled(url: str) -> Iterator[str]:
    """The address of the test's database through a pooler with three sessions."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("pgbouncer is not installed")
        pytest.skip("pgbouncer is not installed")

    query = urlsplit(url).query
    server = query.removeprefix("host=").replace("%2F", "/")
    with tempfile.TemporaryDirectory(prefix="sidelog-pool-") as name:
        directory = Path(name)
        # It refuses to run as root, and nobody else may enter a test's directory.
        directory.chmod(0o777)
        (directory / "ini").write_text(CONFIGURATION.format(server=server, directory=directory))

        user = "nobody" if os.geteuid() == 0 else None
        with subprocess.Popen([program, "-q", str(directory / "ini")], user=user) as process:
            try:
                deadline = time.monotonic() + 60
                while not _is_listening(directory / ".s.PGSQL.5432"):
                    assert process.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                yield url.replace(query, f"host={quote(name)}")
            finally:
                process.terminate()


async def test_a_pooler_is_noticed(pooled: str, url: str, tmp_path: Path) -> None:
    """Statements are kept prepared on a connection to the server, and never behind a pooler, unless
    the URL says so.
    """
    for address, size in ((url, 200), (pooled, 0), (f"{url}&statement_cache_size=7", 7)):
        async with await open_storage(address, tmp_path) as store:
            assert isinstance(store, PostgresStorage)
            assert store._writer._statement_cache_size == size


async def test_sidecars_share_the_sessions_of_a_pooler(pooled: str, tmp_path: Path) -> None:
    """Writers and readers of two stores, more than there are sessions, see what they would see
    without the pooler.
    """
    batches = 15
    size = 20

    async def write(store: PostgresStorage, source: bytes) -> None:
        for number in range(1, batches + 1):
            entries = [
                Entry(make_record(user_agent=f"{source.hex()} {number}"), make_payload())
                for _ in range(size)
            ]
            await store.commit(
                Batch("sidecar-1", entries, {source: Position(offset=number * size)})
            )

    async def read(store: PostgresStorage) -> None:
        seen: list[int] = []
        while len(seen) < 2 * batches * size:
            page = await store.read(
                RecordQuery(filter=ALL, order="asc", limit=77, after=seen[-1] if seen else None)
            )
            seen += [record.seq for record in page.records]
            await store.read(CountQuery(make_filter(path_contains="items")))
            await store.read(FacetQuery(ALL, ("project", "host")))

        assert seen == list(range(1, 2 * batches * size + 1))

    stores = [await open_storage(pooled, tmp_path) for _ in range(2)]
    try:
        async with asyncio.TaskGroup() as group:
            for number, store in enumerate(stores):
                assert isinstance(store, PostgresStorage)
                group.create_task(write(store, bytes([number]) * 16))
                for _ in range(3):
                    group.create_task(read(store))

        with pytest.raises(StorageRejected):
            await stores[0].commit(make_batch(make_record(path="\udc80")))
        assert (await stores[0].read(StatsQuery())).total == 4 * batches * size
        assert len(await stores[1].payloads(range(1, 11))) == 10
    finally:
        for store in stores:
            await store.close()
