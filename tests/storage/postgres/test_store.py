"""What is particular to the Postgres store: sessions that end, locks, budgets, and what is kept in
memory.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from storage.backends import open_storage
from storage.base import READERS
from storage.errors import StorageRejected, StorageUnavailable
from storage.postgres import connection
from storage.postgres import store as module
from storage.postgres.session import PostgresSession
from storage.postgres.store import PostgresStorage
from storage.query import CountQuery, Durability, Filter, Order, RecordQuery, Scope, StatsQuery
from storage.record import Batch, Entry
from storage.relational import slices
from storage.relational.reads import page as page_module
from storage.relational.rollups import ValueLimits
from storage.relational.search import rows as rows_module
from storage.search.expression import Substring
from tests.contract.listing import read_on
from tests.storage.samples import make_batch, make_payload, make_record
from tests.support import postgres
from tests.support.certificate import self_signed
from tests.support.filters import make_filter

ALL = Filter(kind="all")
Other = asyncpg.Connection


async def opened(url: str, **options: object) -> PostgresStorage:
    """Open a store with other limits."""
    address = connection.Address(dsn=url, location="test", statement_cache_size=None)
    return await PostgresStorage.open(address, durability="fast", **options)  # type: ignore[arg-type]


# Sessions.


async def test_sessions_that_were_ended_are_opened_again(
    store: PostgresStorage, other: "Other[asyncpg.Record]"
) -> None:
    """After the server ended all sessions, each connection fails once at most and then works again."""
    await store.commit(make_batch(make_record(project="first")))
    await store.last_seq()
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'sidelog'"
    )
    batch = make_batch(make_record(project="second"), make_record(project="first"), offset=2)

    for _ in range(2):
        try:
            assert await store.commit(batch) == 3
            break
        except StorageUnavailable:
            pass

    for _ in range(READERS):
        try:
            await store.last_seq()
        except StorageUnavailable:
            pass

    assert [record.project for record in await read_on(store)] == ["first", "second", "first"]


async def test_a_server_that_is_away_is_unavailable(tmp_path: Path) -> None:
    """A store on a socket where nobody listens cannot be opened, and the message has no password."""
    with pytest.raises(StorageUnavailable) as refusal:
        await open_storage(f"postgresql://me:tiger@/db?host={tmp_path}", tmp_path)
    assert "tiger" not in str(refusal.value)


async def test_a_certificate_that_is_refused_is_unavailable(tmp_path: Path) -> None:
    """One that has expired says nothing of the records that wait, nor of the address: it will be
    renewed.
    """
    made = [tmp_path / name for name in ("server", "trusted")]
    for directory in made:
        directory.mkdir()
    (cert, key), (trusted, _) = [self_signed(directory) for directory in made]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"S")
        with contextlib.suppress(OSError):
            await writer.start_tls(context)
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        address = f"postgresql://me@127.0.0.1:{port}/db?sslmode=verify-full&sslrootcert={trusted}"
        with pytest.raises(StorageUnavailable, match="certificate"):
            await open_storage(address, tmp_path)


async def test_a_database_that_is_not_there_is_unavailable(url: str, tmp_path: Path) -> None:
    """An unknown database may be made later."""
    with pytest.raises(StorageUnavailable, match="does not exist"):
        await open_storage(url.replace("@/", "@/no"), tmp_path)


async def test_the_location_has_no_credentials(url: str, tmp_path: Path) -> None:
    """An operator is shown host and database, never the password."""
    async with await open_storage(url.replace("postgres@", "postgres:tiger@"), tmp_path) as store:
        location = (await store.info()).location
    assert "tiger" not in location
    assert "/t" in location


async def test_a_locked_counter_is_unavailable(
    url: str, other: "Other[asyncpg.Record]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that waits too long for another sidecar's is refused whole, and can be tried again."""
    monkeypatch.setattr(module, "LOCK_LIMIT_S", 0.05)
    async with await opened(url) as store:
        record = make_record()
        async with other.transaction():
            await other.execute("SELECT FROM sidelog.counter FOR UPDATE")
            with pytest.raises(StorageUnavailable, match="lock timeout"):
                await store.commit(make_batch(record))

        assert await store.last_seq() == 0
        assert await store.commit(make_batch(record)) == 1


async def test_a_sidecar_that_was_stopped_does_not_keep_the_others_waiting(
    url: str, other: "Other[asyncpg.Record]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends a session that holds the counter and says nothing more."""
    with monkeypatch.context() as patch:  # for the other only: ours may be slow
        patch.setattr(module, "IDLE_LIMIT_S", 0.1)
        begin = module._begin_write("safe")
    async with await opened(url) as store:
        await other.execute(f"{begin}; SELECT FROM sidelog.counter FOR UPDATE")
        assert await store.commit(make_batch(make_record())) == 1


async def test_a_read_only_server_is_unavailable(
    store: PostgresStorage, other: "Other[asyncpg.Record]"
) -> None:
    """A replica takes no batch, and it is not the batch's fault; behind the same address there may
    be a primary soon.

    Neither writer nor readers stay with the replica, which would answer for ever.
    """
    pids = (
        "SELECT coalesce(array_agg(pid), '{}') FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'sidelog'"
    )
    name = await other.fetchval("SELECT current_database()")
    await other.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await store.last_seq()
    with pytest.raises(StorageUnavailable, match="read-only"):
        await store.commit(make_batch(make_record()))
    before = set(await other.fetchval(pids))
    await other.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert await store.commit(make_batch(make_record())) == 1
    assert await store.last_seq() == 1
    assert before
    await postgres.until(other, pids, before.isdisjoint)


async def test_a_connection_that_was_idle_for_long_is_not_used_again(
    store: PostgresStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall may have forgotten it: nobody would answer, and nobody say so."""

    async def pid() -> object:
        return await store._read(
            lambda session: session.connection.fetchval("SELECT pg_backend_pid()")
        )

    first = await pid()
    assert await pid() == first
    monkeypatch.setattr(connection, "MAX_IDLE_S", -1.0)
    assert await pid() != first


@pytest.mark.parametrize(("durability", "synchronous"), [("safe", "on"), ("fast", "off")])
async def test_safe_waits_for_the_disk(
    url: str, tmp_path: Path, durability: Durability, synchronous: str
) -> None:
    """`safe` commits as the server is set up to, `fast` without waiting for its disk."""
    async with await open_storage(url, tmp_path, durability=durability) as store:
        assert isinstance(store, PostgresStorage)
        assert (
            await store._write(
                lambda session: session.connection.fetchval("SHOW synchronous_commit")
            )
            == synchronous
        )


async def test_readers_cannot_write(store: PostgresStorage) -> None:
    """A read connection refuses to change anything."""
    with pytest.raises(StorageUnavailable, match="read-only"):
        await store._read(lambda session: session.connection.execute("DELETE FROM sidelog.meta"))


async def test_a_value_too_large_for_its_column_is_rejected(store: PostgresStorage) -> None:
    """A status of 65 bits, or of 40, is the record's fault."""
    for status in (1 << 64, 1 << 40):
        with pytest.raises(StorageRejected):
            await store.commit(make_batch(make_record(status=status)))
    with pytest.raises(StorageRejected):
        await store.commit(make_batch(make_record(id=b"short")))
    assert await store.commit(make_batch(make_record())) == 1


# The time budget.


@pytest.fixture
async def slow(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PostgresStorage]:
    """A store of 50 records in 5 slices, without any time for reading."""
    monkeypatch.setattr(slices, "FIRST_SLICE", 10)
    monkeypatch.setattr(slices, "SLICE_S", 1e-9)
    async with await opened(url, read_budget_s=0.0) as store:
        await store.commit(make_batch(*[make_record(path=f"/{number}") for number in range(50)]))
        yield store


async def test_a_search_of_bodies_that_is_cut_goes_on_at_its_cursor(
    slow: PostgresStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bodies are searched within the budget too: page by page everything is found once."""
    monkeypatch.setattr(rows_module, "FIRST_ROWS", 10)
    await slow.commit(
        Batch("sidecar-1", [Entry(make_record(), make_payload(number)) for number in range(50)])
    )
    wanted = Filter(where=Substring('"RESPONSE": 1'), kind="all")
    page = await slow.read(RecordQuery(filter=wanted))
    assert (page.complete, page.next_after, page.records) == (False, 91, [])
    counted = await slow.read(CountQuery(wanted))
    assert (counted.exchanges, counted.exact) == (0, False)
    found = [record.seq for record in await read_on(slow, filter=wanted, order="desc")]
    assert found == [*range(70, 60, -1), 52]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("erased", [(), ("/7",)])
async def test_a_deep_offset_is_the_same_with_and_without_holes(
    store: PostgresStorage, monkeypatch: pytest.MonkeyPatch, order: Order, erased: tuple[str, ...]
) -> None:
    """Where every number is a row the offset is not read through; where some are gone it is."""
    monkeypatch.setattr(page_module, "_SHORT_OFFSET", 0)
    records = [make_record(path=f"/{number}") for number in range(50)]
    await store.commit(make_batch(*records))
    for path in erased:
        await store.erase(make_filter(path_contains=path))
    left = [record for record in records if record.path not in erased]
    if order == "desc":
        left.reverse()
    for offset in (1, 8, 40, 49, 50, 99):
        for kind in ("all", "exchange"):
            query = RecordQuery(filter=Filter(kind=kind), order=order, offset=offset, limit=5)
            page = await store.read(query)
            assert page.records == left[offset : offset + 5]
            assert (page.next_after is None) == (offset + 5 >= len(left))

    assert (await store.read(RecordQuery(filter=Filter(kind="event"), offset=3))).records == []


async def test_a_scope_of_values_beyond_the_limit_is_counted_exactly(
    store: PostgresStorage,
) -> None:
    """Where rollups count values together, stats of one of them come from the rows."""
    store._batches._limits = ValueLimits(3)
    await store.commit(
        make_batch(*[make_record(project=f"p{number}", container=None) for number in range(6)])
    )
    await store.commit(make_batch(make_record(project="p5", kind="event", level="debug")))
    stats = await store.read(StatsQuery(Filter(scope=Scope(projects=("p5",)))))
    assert (stats.total, stats.by_project) == (3, {"p5": 3})
    assert stats.by_container == {"unknown": 2, "catalogue-1": 1}
    assert stats.by_level == {"debug": 1, "info": 2, "warn": 0, "error": 0}
    assert (await store.read(CountQuery(make_filter(projects=("p5",), kind="all")))).events == 1


async def test_the_rest_of_a_budget_limits_nothing_else(store: PostgresStorage) -> None:
    """What a search fetches beside its statements, blocks for example, may take longer than was
    left for the last.
    """

    async def work(session: PostgresSession) -> list[object]:
        session = session.limited(0.2)
        return [
            await session.fetch_in_budget("SELECT 1", ()) is None,
            await session.fetch_in_budget("SELECT 2", ()) is None,
            [row[0] for row in await session.fetch("SELECT 3 FROM pg_sleep(0.5)")],
        ]

    first, second, third = await store._read(work)
    assert (first, third) == (False, [3])
    assert second in (False, True)  # A starved machine may have spent it.


async def test_a_cancelled_read_is_ended_and_gives_its_connection_back(
    url: str, other: "Other[asyncpg.Record]"
) -> None:
    """Nobody waits for the rest of a cancelled read, the server neither, and the next read can use
    its connection.
    """
    async with await opened(url, readers=1) as store:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await store._read(
                    lambda session: session.connection.fetchval("SELECT pg_sleep(600)")
                )

        async with asyncio.timeout(60):
            assert await store.last_seq() == 0
        running = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"
        )
        await postgres.until(other, f"{running} AND state = 'active'", lambda count: count == 0)


async def test_as_many_reads_run_at_once_as_have_turns(store: PostgresStorage) -> None:
    """Each has a connection while all others have theirs: short ones need not wait for long ones."""
    all_run = asyncio.Barrier(READERS)

    async def work(session: PostgresSession) -> None:
        await all_run.wait()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for _ in range(READERS):
            group.create_task(store._read(work))


# What the writer remembers.


async def test_values_are_kept_once_whoever_brings_them(
    url: str, tmp_path: Path, other: "Other[asyncpg.Record]"
) -> None:
    """Stores that meet the same new values at the same time agree about their ids."""
    names = [f"name {number}" for number in range(40)]
    async with (
        await open_storage(url, tmp_path) as first,
        await open_storage(url, tmp_path) as second,
    ):
        async with asyncio.TaskGroup() as group:
            for store, order in ((first, names), (second, names[::-1])):
                group.create_task(
                    store.commit(make_batch(*[make_record(user_agent=name) for name in order]))
                )
        found = (await first.read(RecordQuery(filter=ALL, limit=100))).records

    assert sorted(record.user_agent or "" for record in found) == sorted(names * 2)
    assert await other.fetchval(
        "SELECT count(*) FROM sidelog.dictionary WHERE value LIKE 'name %'"
    ) == len(names)


# Payloads.


async def test_vacuum_gives_space_back(
    store: PostgresStorage, other: "Other[asyncpg.Record]"
) -> None:
    """What was erased takes no space on the disk any more."""
    await store.commit(make_batch(*[make_record(path="x" * 2000) for _ in range(500)]))
    before = await other.fetchval("SELECT pg_relation_size('sidelog.records_default')")
    await store.erase(ALL)
    await store.vacuum()
    assert await other.fetchval("SELECT pg_relation_size('sidelog.records_default')") < before / 10
    await store.close()
    with pytest.raises(StorageUnavailable):
        await store.vacuum()


async def test_vacuum_reaches_every_table(
    store: PostgresStorage, other: "Other[asyncpg.Record]"
) -> None:
    """Those that came with a later layout, too."""
    await store.vacuum()
    left = await other.fetch(
        "SELECT table_.relname FROM pg_stat_user_tables AS table_ JOIN pg_class ON oid = relid "
        "WHERE schemaname = 'sidelog' AND relkind = 'r' AND last_vacuum IS NULL"
    )
    assert [name for (name,) in left] == []


async def test_keys_are_read_beside_slow_answers(url: str) -> None:
    """Workers learn of changed keys while every other reader is busy."""
    async with await opened(url, readers=1) as store, asyncio.TaskGroup() as group:
        slow = group.create_task(
            store._read(lambda session: session.connection.fetchval("SELECT pg_sleep(60)"))
        )
        await asyncio.sleep(0)
        assert (await store.key_version(), await store.keys()) == (0, [])
        assert not slow.done()
        slow.cancel()
