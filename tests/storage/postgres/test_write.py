"""Several sidecars write into one database, and commits whose answer was lost are neither lost nor
doubled.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

from storage.backends import open_storage
from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.postgres import write
from storage.postgres.store import PostgresStorage
from storage.query import Filter, RecordQuery, StatsQuery, SummaryQuery
from storage.record import Batch, Entry, Position, Record
from tests.storage.samples import SOURCE, START_US, make_batch, make_payload, make_record

ALL = Filter(kind="all")


async def listed(store: Storage) -> list[Record]:
    """Read all records, oldest first."""
    return (await store.read(RecordQuery(filter=ALL, order="asc", limit=100_000))).records


@pytest.mark.parametrize("instances", [("sidecar-1", "sidecar-2"), ("sidecar-1", "sidecar-1")])
async def test_batches_of_two_writers_are_dense_and_in_commit_order(
    url: str, tmp_path: Path, instances: tuple[str, str]
) -> None:
    """While two stores commit at once, a reader of "greater than" sees every row once, in whole
    batches.
    """
    batches = 25
    size = 30

    async def write_all(store: Storage, instance: str, source: bytes) -> None:
        for number in range(1, batches + 1):
            records = [
                make_record(instance=instance, project=f"p{number % 3}", status=500)
                for _ in range(size)
            ]
            position = Position(offset=number * size)
            await store.commit(
                Batch(
                    instance,
                    [Entry(record, make_payload()) for record in records],
                    {source: position},
                )
            )
            seqs = [record.seq for record in records]
            assert seqs == list(range(seqs[0], seqs[0] + size))

    async def follow(store: Storage) -> list[int]:
        seen: list[int] = []
        while len(seen) < 2 * batches * size:
            query = RecordQuery(filter=ALL, order="asc", limit=77, after=seen[-1] if seen else None)
            seen += [record.seq for record in (await store.read(query)).records]
            assert (await store.last_seq()) % size == 0
        return seen

    async with (
        await open_storage(url, tmp_path) as first,
        await open_storage(url, tmp_path) as second,
    ):
        async with asyncio.TaskGroup() as group:
            followers = [group.create_task(follow(store)) for store in (first, second)]
            group.create_task(write_all(first, instances[0], b"1" * 16))
            group.create_task(write_all(second, instances[1], b"2" * 16))

        for follower in followers:
            assert follower.result() == list(range(1, 2 * batches * size + 1))
        assert (await first.read(StatsQuery())).total == 4 * batches * size
        assert (await first.read(SummaryQuery(ALL))).exchanges == 2 * batches * size
        for instance, source in zip(instances, (b"1" * 16, b"2" * 16), strict=True):
            assert (await second.positions(instance))[source] == Position(offset=batches * size)


class Relay:
    """Stands between a store and the server, and cuts the line when a commit comes by, if it was
    told to.
    """

    def __init__(self, server: Path) -> None:
        self._server = str(server / ".s.PGSQL.5432")
        self.cut: str | None = None
        """`before` or `after` the server has heard of the next commit."""

    @asynccontextmanager
    async def listening(self, directory: Path) -> AsyncIterator[None]:
        """Listen where the driver looks."""
        async with await asyncio.start_unix_server(self._serve, directory / ".s.PGSQL.5432"):
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(self._server)
        try:
            async with asyncio.TaskGroup() as group:
                answers = group.create_task(self._answer(up_reader, writer))
                await self._ask(reader, up_reader, up_writer, answers)
                answers.cancel()
        finally:
            for end in (writer, up_writer):
                end.close()

    async def _ask(
        self,
        reader: asyncio.StreamReader,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
        answers: "asyncio.Task[None]",
    ) -> None:
        while data := await reader.read(65536):
            cut = self.cut if b"COMMIT\0" in data else None
            if cut is not None:
                self.cut = None
                answers.cancel()
                await asyncio.wait((answers,))

            if cut != "before":
                up_writer.write(data)
                await up_writer.drain()
            if cut == "after":
                await up_reader.read(65536)  # only the answer tells that the server has committed
            if cut is not None:
                return

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


@pytest.fixture
async def relay(url: str, tmp_path: Path) -> AsyncIterator[tuple[Relay, str]]:
    """A relay before the server, and the address of the store through it."""
    query = urlsplit(url).query
    made = Relay(Path(query.removeprefix("host=").replace("%2F", "/")))
    directory = tmp_path / "r"
    directory.mkdir()
    async with made.listening(directory):
        yield made, url.replace(query, f"host={quote(str(directory))}")


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_commit_without_an_answer_is_settled_by_the_next(
    relay: tuple[Relay, str], tmp_path: Path, cut: str
) -> None:
    """Whether the server heard of a commit or not, trying the same batch again stores it exactly
    once.
    """
    line, url = relay
    async with await open_storage(url, tmp_path) as store:
        await store.commit(make_batch(make_record(), offset=1))
        records = [make_record() for _ in range(40)]
        batch = make_batch(*records, offset=41)
        line.cut = cut
        with pytest.raises(StorageUnavailable):
            await store.commit(batch)
        assert await store.last_seq() == (41 if cut == "after" else 1)
        assert await store.commit(batch) == 41
        assert [record.seq for record in records] == list(range(2, 42))
        assert (await listed(store))[1:] == records
        assert (await store.positions("sidecar-1"))[SOURCE].offset == 41
        assert (await store.read(StatsQuery())).total == 82


async def test_a_doubtful_batch_may_come_back_in_other_parts(
    relay: tuple[Relay, str], tmp_path: Path
) -> None:
    """Records that turned out to be stored are left out of whatever batch brings them again."""
    line, url = relay
    records = [make_record() for _ in range(6)]
    async with await open_storage(url, tmp_path) as store:
        await store.commit(make_batch(first := make_record()))
        line.cut = "after"
        with pytest.raises(StorageUnavailable):
            await store.commit(make_batch(*records[:4], offset=4))
        await store.commit(make_batch(*records[:2], offset=2))
        assert (await store.positions("sidecar-1"))[SOURCE].offset == 4
        await store.commit(make_batch(*records[2:6], offset=6))
        assert await listed(store) == [first, *records]
        assert (await store.positions("sidecar-1"))[SOURCE].offset == 6


async def test_positions_wait_for_a_commit_under_way(
    store: PostgresStorage, url: str, tmp_path: Path
) -> None:
    """A sidecar that starts again reads its positions behind the lock that an unfinished commit of
    its own holds.
    """
    insert = "INSERT INTO sidelog.ingest_position VALUES ('sidecar-1', $1, 9, 0, 0, 0, '{}', false)"
    async with (
        await open_storage(url, tmp_path) as again,
        asyncio.TaskGroup() as group,
        store._write_connection() as connection,
    ):
        await connection.execute("BEGIN; SELECT FROM sidelog.counter FOR UPDATE")
        await connection.execute(insert, SOURCE)
        reading = group.create_task(again.positions("sidecar-1"))
        await asyncio.sleep(0.1)
        assert not reading.done()
        await connection.execute("COMMIT")

    assert reading.result() == {SOURCE: Position(offset=9)}


async def test_spans_cover_every_row_and_are_few(
    store: PostgresStorage,
    other: "asyncpg.Connection[asyncpg.Record]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Small batches share a span until it is long enough, a large batch is one span, and none
    overlap.
    """
    monkeypatch.setattr(write, "SPAN_RECORDS", 20)
    for place, size in enumerate((1, 5, 13, 1, 1, 60, 2, 2)):
        await store.commit(
            make_batch(*[make_record(started_at_us=START_US + place) for _ in range(size)])
        )

    rows = await other.fetch("SELECT * FROM sidelog.spans ORDER BY first_seq")
    assert [tuple(row)[:4] for row in rows] == [
        (1, 20, START_US, START_US + 3),
        (21, 81, START_US + 4, START_US + 5),
        (82, 85, START_US + 6, START_US + 7),
    ]


async def test_a_server_that_lost_commits_is_noticed_behind_a_pooler(
    store: PostgresStorage, second: PostgresStorage, other: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """After a failover it may not know texts that this sidecar remembers, though no session of ours
    ended.
    """

    async def commit(to: Storage, instance: str) -> None:
        record = make_record(instance=instance, host="shop.test")
        await to.commit(Batch(instance, [Entry(record, make_payload())], {SOURCE: Position()}))

    await commit(store, "sidecar-1")
    await other.execute("DELETE FROM sidelog.dictionary")
    await commit(second, "sidecar-2")
    store._batches._server_since = datetime.now(UTC)
    await commit(store, "sidecar-1")
    assert [record.host for record in await listed(second)] == [None, "shop.test", "shop.test"]
    assert store._batches._server_since == await other.fetchval("SELECT pg_postmaster_start_time()")


async def test_the_default_isolation_of_a_database_is_no_matter(
    store: PostgresStorage, url: str, tmp_path: Path, other: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """With one that keeps to what it saw first, sidecars would end each other's transactions."""
    name = await other.fetchval("SELECT current_database()")
    await other.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")

    async def commit(to: Storage, instance: str) -> None:
        for number in range(10):
            records = [make_record(instance=instance, host=f"{number}.test") for _ in range(5)]
            await to.commit(
                Batch(instance, [Entry(record) for record in records], {SOURCE: Position()})
            )

    async with await open_storage(url, tmp_path) as second, asyncio.TaskGroup() as group:
        group.create_task(commit(store, "sidecar-1"))
        group.create_task(commit(second, "sidecar-2"))
    assert await store.last_seq() == 100


@pytest.mark.parametrize(
    "back",
    [
        "ALTER TABLE sidelog.dictionary ALTER id RESTART",
        "SELECT setval('sidelog.block_reservation', last_value, false) FROM "
        "sidelog.block_reservation",
    ],
)
async def test_a_sequence_that_was_set_back_is_no_record_s_fault(
    store: PostgresStorage,
    second: PostgresStorage,
    other: "asyncpg.Connection[asyncpg.Record]",
    back: str,
) -> None:
    """As on a server that logical replication has filled: records wait until somebody has set it
    right.
    """
    await store.commit(Batch("sidecar-1", [Entry(make_record(), make_payload())]))
    await other.execute(back)
    batch = Batch("sidecar-2", [Entry(make_record(host="new.test"), make_payload())])
    with pytest.raises(StorageUnavailable, match="duplicate key"):
        await second.commit(batch)
    await other.execute("ALTER TABLE sidelog.dictionary ALTER id RESTART 1000")
    assert await second.commit(batch) == 2
