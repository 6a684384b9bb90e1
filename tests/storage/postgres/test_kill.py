"""A server that is killed, stopped or restarted costs no record and doubles none."""

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from storage.backends import open_storage
from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.postgres import store as module
from storage.query import Filter, RecordQuery, StatsQuery
from storage.record import Entry, Position
from storage.writer.attempts import Availability
from storage.writer.backlog import BacklogLimits
from storage.writer.writer import Writer
from tests.storage.samples import SOURCE, make_batch, make_payload, make_record
from tests.support import postgres
from tests.support.listeners import Listener

ALL = Filter(kind="all")


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    """A server of its own, which may be killed."""
    postgres.server()
    directory = postgres.binaries()
    assert directory is not None
    made = postgres.Server(directory)
    made.start()
    yield made
    made.remove()


async def make_database(server: postgres.Server, name: str) -> str:
    """Make an empty database; answers its address."""
    admin = await asyncpg.connect(server.url("postgres"))
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    return server.url(name)


async def read_seqs(store: Storage) -> list[int]:
    """Read all records, in as many pages as the time a read has makes of them."""
    seqs: list[int] = []
    query = RecordQuery(filter=ALL, order="asc", limit=1000)
    while True:
        page = await store.read(query)
        seqs += [record.seq for record in page.records]
        if page.next_after is None:
            return seqs
        query = replace(query, after=page.next_after)


async def test_kills_of_the_server_lose_and_double_nothing(
    server: postgres.Server, tmp_path: Path
) -> None:
    """Killed in the middle of batches and started again, the server has every record once, as the
    position says.
    """
    url = await make_database(server, "killed")
    chance = random.Random(5)
    seqs: list[int] = []

    async with await open_storage(url, tmp_path) as store, asyncio.TaskGroup() as group:
        writer = Writer(
            store,
            instance="sidecar-1",
            quarantine_directory=tmp_path,
            limits=BacklogLimits(max_records=100, max_age_s=0.01),
            availability=Availability(jitter=lambda: 0.0),
        )
        writer.subscribe(
            Listener(
                on_commit=lambda batch: seqs.extend(entry.record.seq for entry in batch.entries)
            )
        )
        group.create_task(writer.run())
        added = 0

        for _ in range(5):
            rounds = chance.randrange(20, 60)
            for _ in range(rounds):
                for _ in range(50):
                    added += 1
                    position = Position(offset=added, taken=added, stored=added)
                    writer.add(Entry(make_record(), make_payload()), 500, SOURCE, position)
                await asyncio.sleep(0.002)

            server.kill()
            await asyncio.sleep(0.05)
            server.start()

        assert await writer.close(180.0) == 0
        assert seqs == list(range(1, added + 1))
        assert await store.last_seq() == (await store.info()).rows == added
        assert (await store.positions("sidecar-1"))[SOURCE].offset == added
        assert (await store.read(StatsQuery())).total == 2 * added
        assert len(await store.payloads(range(1, added + 1))) == added
        assert writer.counters.records_quarantined == writer.counters.records_escaped == 0
        assert await read_seqs(store) == list(range(1, added + 1))

    assert os.listdir(tmp_path) == []


async def test_a_hung_server_is_unavailable_and_takes_the_batch_later(
    server: postgres.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that does not answer is given up after the limit; the same batch is stored once when
    it goes on.
    """
    url = await make_database(server, "hung")
    async with await open_storage(url, tmp_path) as store:
        await store.commit(make_batch(make_record(), offset=1))
        monkeypatch.setattr(module, "WRITE_LIMIT_S", 0.3)
        batch = make_batch(make_record(), make_record(), offset=3)
        pids = server.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(StorageUnavailable, match="no answer in time"):
                await store.commit(batch)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

        monkeypatch.undo()
        assert await store.commit(batch) == 3
        assert (await store.info()).rows == 3
        assert (await store.positions("sidecar-1"))[SOURCE].offset == 3
