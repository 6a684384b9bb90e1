"""What the store refuses is settled in parts: good records are stored, bad ones escaped or
quarantined, each once.
"""

import asyncio
import logging
from pathlib import Path

import msgspec
import pytest

from storage.errors import StorageRejected
from storage.record import Batch, Entry, Position
from storage.writer.backlog import BacklogLimits
from storage.writer.writer import Writer
from tests.storage.samples import make_record
from tests.storage.writer.test_writer import OTHER, RING, Feed, TestingStore, running, stored, until
from tests.support.memory_store import MemoryStorage

POISON = "\udc80"


@pytest.mark.parametrize("bad", [{0}, {9}, {4}, {3, 4}, {0, 5, 9}, set(range(10))])
async def test_a_refused_record_is_stored_escaped(tmp_path: Path, bad: set[int]) -> None:
    """Every good record is stored as it is, each bad one escaped under its id, and nothing is
    dropped.
    """
    store = TestingStore()
    records = [make_record(path=POISON if number in bad else f"/{number}") for number in range(10)]
    async with running(store, tmp_path) as writer:
        feed = Feed(writer)
        for number, record in enumerate(records):
            feed.add(record, RING if number % 3 else OTHER)

    found = await stored(store)
    assert [record.id for record in found] == [record.id for record in records]
    assert [record.path for record in found] == [
        "\\udc80" if n in bad else f"/{n}" for n in range(10)
    ]
    assert await store.positions("sidecar-1") == {
        RING: Position(offset=600, taken=6, stored=6),
        OTHER: Position(offset=400, taken=4, stored=4),
    }
    assert writer.counters.records_escaped == len(bad)
    assert not (tmp_path / "quarantine").exists()


async def test_a_record_refused_in_every_form_is_quarantined(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes to a file, counts as poison in its source from then on, and the others are stored."""
    store = TestingStore()
    records = [make_record() for _ in range(8)]
    store.refused_ids = {records[3].id, records[6].id}

    async with running(store, tmp_path) as writer:
        feed = Feed(writer)
        for record in records[:7]:
            feed.add(record, OTHER if record is records[0] else RING)
        await until(lambda: writer.counters.records_quarantined == 2 and not writer.waiting_records)
        feed.add(records[7])

    kept = [record.id for record in records if record.id not in store.refused_ids]
    assert [record.id for record in await stored(store)] == kept
    assert await store.positions("sidecar-1") == {
        RING: Position(offset=700, taken=7, stored=5, dropped={"poison": 2}),
        OTHER: Position(offset=100, taken=1, stored=1),
    }

    for number in (3, 6):
        path = tmp_path / "quarantine" / f"{records[number].id.hex()}.msgpack"
        assert path.stat().st_mode & 0o777 == 0o600
        assert msgspec.msgpack.decode(path.read_bytes(), type=Entry).record == records[number]

    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 2


async def test_a_record_that_cannot_be_quarantined_is_dropped_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where its file cannot be written, the record is counted all the same and the writer goes on."""
    (tmp_path / "quarantine").write_text("in the way")
    store = TestingStore()
    bad = make_record()
    good = make_record()
    store.refused_ids = {bad.id}

    async with running(store, tmp_path) as writer:
        feed = Feed(writer)
        feed.add(bad)
        feed.add(good)

    assert await stored(store) == [good]
    assert (await store.positions("sidecar-1"))[RING].dropped == {"poison": 1}
    assert "could not be kept" in caplog.text


async def test_an_id_that_is_stored_already_is_quarantined(tmp_path: Path) -> None:
    """A double id is never stored twice: it counts as poison."""
    store = TestingStore()
    record = make_record()
    async with running(store, tmp_path) as writer:
        feed = Feed(writer)
        feed.add(record)
        await until(lambda: bool(store.commits))
        feed.add(msgspec.structs.replace(record, path="/again"))

    assert await stored(store) == [record]
    assert (await store.positions("sidecar-1"))[RING] == Position(
        offset=200, taken=2, stored=1, dropped={"poison": 1}
    )


@pytest.mark.parametrize("commits", range(8))
async def test_a_death_between_the_parts_of_a_batch_doubles_nothing(
    tmp_path: Path, commits: int
) -> None:
    """However many parts of a refused batch were committed, a restart from the positions stores
    each record once.
    """
    store = TestingStore()
    records = [make_record(path=POISON if number == 4 else "/") for number in range(12)]
    store.refused_ids = {records[9].id}
    sources = [OTHER if number % 4 == 0 else RING for number in range(12)]

    store.dies_after = commits
    writer = Writer(
        store,
        instance="sidecar-1",
        quarantine_directory=tmp_path,
        limits=BacklogLimits(max_age_s=0.01),
    )

    task_group = asyncio.TaskGroup()
    async with task_group:
        task = task_group.create_task(writer.run(), name="writer")
        feed = Feed(writer)
        for record, source in zip(records, sources, strict=True):
            feed.add(record, source)
        await until(lambda: len(store.commits) >= commits or not writer.waiting_records)
        task.cancel()

    store.dies_after = None
    positions = await store.positions("sidecar-1")
    passed = {source: position.taken for source, position in positions.items()}

    async with running(store, tmp_path) as again:
        feed = Feed(again, positions)
        for record, source in zip(records, sources, strict=True):
            if passed.get(source, 0):
                passed[source] -= 1
            else:
                feed.add(record, source)

    found = [record.id for record in await stored(store)]
    assert sorted(found) == sorted(record.id for record in records if record is not records[9])
    assert await store.positions("sidecar-1") == {
        RING: Position(offset=900, taken=9, stored=8, dropped={"poison": 1}),
        OTHER: Position(offset=300, taken=3, stored=3),
    }


async def test_a_batch_refused_for_its_positions_is_a_bug(tmp_path: Path) -> None:
    """Positions that no store takes end the writer: nothing could be settled after them."""

    class Refusing(MemoryStorage):
        async def commit(self, batch: Batch) -> int:
            raise StorageRejected("refused for the test")

    writer = Writer(
        Refusing(),
        instance="sidecar-1",
        quarantine_directory=tmp_path,
        limits=BacklogLimits(max_age_s=0.0),
    )
    writer.advance(RING, Position(offset=1))
    with pytest.raises(StorageRejected):
        await writer.run()
