"""A server is emptied under a running sidelog, as a failover to an empty database does: it is away.

After the next start, what vanished is an event and a number in the ledger.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from tests.e2e.test_store_removed import ask, gaps, stored
from tests.support import postgres
from tests.support.clickhouse import own_server
from tests.support.sidelog import Sidelog, eventually


def check_recovery(sidelog: Sidelog, empty: Callable[[], object]) -> None:
    """Empty the store of a sidelog between requests: it is away until the next start, which counts
    what vanished.
    """
    lost = ask(sidelog, 30)
    sidelog.settled_ledger()
    eventually(partial(succeeds, empty))
    sidelog.await_log("the store was removed, emptied or replaced while sidelog runs")
    kept = ask(sidelog, 5)
    sidelog.stop()
    sidelog.start()

    eventually(lambda: kept <= stored(sidelog))
    assert not lost & stored(sidelog)
    ledger = sidelog.settled_ledger()
    assert ledger["dropped"] == {"other_store": len(lost)}
    assert ledger["stored"] == len(sidelog.records("kind=all"))
    assert [gap["count"] for gap in gaps(sidelog)] == [len(lost)]


def succeeds(work: Callable[[], object]) -> bool:
    """Whether a server did what it was asked for: one that is written to may refuse at first."""
    try:
        work()
    except OSError:
        return False
    return True


async def run(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own, which the server may undo for those of a
    sidelog.
    """
    connection = await asyncpg.connect(url)
    for statement in statements:
        while True:
            try:
                await connection.execute(statement)
                break
            except asyncpg.DeadlockDetectedError:
                continue

    await connection.close()


WAYS = {
    "schema": ["DROP SCHEMA sidelog CASCADE"],
    "database": ['DROP DATABASE "{name}" WITH (FORCE)', 'CREATE DATABASE "{name}"'],
}


@pytest.mark.parametrize("way", ["schema", pytest.param("database", marks=pytest.mark.long)])
def test_postgres(tmp_path: Path, upstream: str, way: str) -> None:
    """Its schema is dropped, or an empty database takes its place."""
    url = asyncio.run(postgres.database(tmp_path))
    name = url.partition("?")[0].rpartition("/")[2]
    admin = url if way == "schema" else url.replace(f"/{name}?", "/postgres?")

    with Sidelog(tmp_path / "data", upstream, environ={"SIDELOG_STORAGE__URL": url}) as sidelog:
        check_recovery(
            sidelog,
            lambda: asyncio.run(run(admin, *(each.format(name=name) for each in WAYS[way]))),
        )


@pytest.mark.clickhouse
@pytest.mark.parametrize("way", ["drop", "truncate"])
def test_clickhouse(tmp_path: Path, upstream: str, way: str) -> None:
    """Its database is dropped and made anew, or all its tables are emptied."""
    with own_server("debian") as server:
        name = server.database()

        def empty() -> None:
            if way == "drop":
                server.ask(f"DROP DATABASE IF EXISTS {name}")
                server.ask(f"CREATE DATABASE {name}")
                return

            tables = f"SELECT name FROM system.tables WHERE database = '{name}' AND engine LIKE '%"
            for table in server.ask(f"{tables}MergeTree'").split():
                server.ask(f"TRUNCATE TABLE {name}.{table}")
            # They stand for tokens, which go with the rows.
            for table in server.ask(f"{tables}TinyLog'").split():
                server.ask(f"DROP TABLE {name}.{table}")

        with Sidelog(
            tmp_path / "data", upstream, environ={"SIDELOG_STORAGE__URL": server.url(name)}
        ) as sidelog:
            check_recovery(sidelog, empty)
