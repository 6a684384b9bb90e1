"""A server is emptied under a running sidelog, as a failover to an empty database does: it recovers
by itself.

What vanished is an event and a number in the ledger, which says then what the store has.
"""

import asyncio
import json
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.e2e.test_store_removed import ask, gaps, stored
from tests.support import postgres
from tests.support.clickhouse import own_server
from tests.support.sidelog import Sidelog, eventually


def check_recovery(sidelog: Sidelog, empty: Callable[[], object], *, has_key: bool = True) -> None:
    """Empty the store of a sidelog between requests: ledger, event, status and store agree on what
    vanished.
    """
    asked = ask(sidelog, 30)
    sidelog.settled_ledger()
    if has_key:
        make_key(sidelog)
        sidelog.settled_ledger()
    eventually(partial(succeeds, empty))

    def is_told() -> list[dict[str, Any]]:
        asked.update(ask(sidelog, 1))
        try:
            return [gap for gap in gaps(sidelog) if gap["reason"] == "store_removed"]
        except OSError:  # it is away for a moment
            return []

    (gap,) = eventually(is_told)
    check_accounts(sidelog, asked, gap["count"])
    assert [key["name"] for key in sidelog.api("/api/keys")["keys"]] == (
        ["kept"] if has_key else []
    )
    assert sidelog.api("/api/status")["storage"]["replaced"] == {"damaged": 0, "removed": 1}
    sidelog.stop()
    sidelog.start()
    asked.update(ask(sidelog, 5))
    check_accounts(sidelog, asked, gap["count"])


def make_key(sidelog: Sidelog) -> None:
    """Make an API key."""
    body = json.dumps({"name": "kept"}).encode()
    headers = {"Authorization": f"Bearer {sidelog.token}", "Content-Type": "application/json"}
    urllib.request.urlopen(
        urllib.request.Request(f"{sidelog.admin_url}/api/keys", body, headers), timeout=60
    ).close()


def succeeds(work: Callable[[], object]) -> bool:
    """Whether a server did what it was asked for: one that is written to may refuse at first."""
    try:
        work()
    except OSError:
        return False
    return True


def check_accounts(sidelog: Sidelog, asked: set[str], lost_records: int) -> None:
    """What the ledger says is stored is in the store, and what it says is lost is not."""
    ledger = sidelog.settled_ledger()
    assert ledger["dropped"] == {"store_removed": lost_records}
    assert ledger["stored"] == len(sidelog.records("kind=all"))
    lost = asked - stored(sidelog)
    assert 30 <= len(lost) <= lost_records <= len(lost) + 1  # the event that a key was made


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


def drops(sidelog: Sidelog) -> dict[str, int]:
    """What a sidelog has dropped when it is asked once more."""
    ask(sidelog, 1)
    dropped: dict[str, int] = sidelog.settled_ledger()["dropped"]
    return dropped


@pytest.mark.long
def test_postgres_that_several_share(tmp_path: Path, upstream: str) -> None:
    """The one that notices first makes the layout anew; the other, whose batches could be stored
    then, notices, too.
    """
    url = asyncio.run(postgres.database(tmp_path))
    one, two = (
        Sidelog(
            tmp_path / name,
            upstream,
            environ={"SIDELOG_STORAGE__URL": url, "SIDELOG_PROXY__INSTANCE": name},
        )
        for name in ("one", "two")
    )
    with one, two:
        lost = {sidelog: len(ask(sidelog, count)) for sidelog, count in ((one, 20), (two, 30))}
        for sidelog in lost:
            sidelog.settled_ledger()
        asyncio.run(run(url, "DROP SCHEMA sidelog CASCADE"))
        for sidelog, count in lost.items():
            eventually(partial(drops, sidelog))
            assert sidelog.settled_ledger()["dropped"] == {"store_removed": count}


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
            check_recovery(sidelog, empty, has_key=way == "drop")
