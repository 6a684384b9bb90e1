"""Beginning without a store: rings are drained, nothing is stored twice when it comes, whatever was
noted of it.
"""

import asyncio
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from proxy.collector.startup import load_spool
from proxy.ring.segment_layout import RELEASED
from proxy.settings.model import OtelSettings, Settings, SpoolSettings, StorageSettings
from storage.backends import open_storage
from storage.errors import StorageMisconfigured, StorageUnavailable
from storage.ledger import SOURCE_INTERNAL, SOURCE_SPOOL
from storage.query import Filter, RecordQuery
from storage.record import Batch, Entry, Position, now_us
from storage.sqlite.schema import migrations
from storage.sqlite.store import SqliteStorage
from storage.writer.spool import Spool
from tests.storage.samples import make_record
from tests.support.collecting import Place, settled, taken, until
from tests.support.rings import INSTANCE, RingWorker


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """An empty one."""
    made = Place(tmp_path, monkeypatch)
    yield made
    made.worker.die()


@pytest.mark.parametrize("starts", [1, 3])
async def test_everything_drained_before_the_store_came_is_stored_once(
    place: Place, starts: int
) -> None:
    """From the first start on, over further ones without a store, with records in the queue, the
    spool and the ring.
    """
    place.take_away()
    ids = []
    for start in range(starts):
        ids += place.worker.record(20)
        async with place.collecting() as plane:
            assert plane.readiness.answer()[1]["away"] == ["store"]
            assert "exists" in str(plane.status.describe()["storage"])
            with pytest.raises(StorageUnavailable):
                await plane.storage.last_seq()
            await taken(plane, place, len(ids))
            if start == starts - 1:
                place.bring_back()
                await settled(plane, len(ids))
                assert plane.readiness.answer()[1] == {"draining": False, "degraded": False}
                ids += place.worker.record(5)
                await settled(plane, len(ids))

    assert sorted(record.id for record in await place.stored()) == ids


@pytest.mark.parametrize("starts", [1, 2])
@pytest.mark.parametrize("batches_behind", [0, 1, 3])
async def test_what_the_store_has_beyond_what_was_noted_is_not_doubled(
    place: Place, starts: int, batches_behind: int
) -> None:
    """A kill between a commit and the note of it: the records are drained again, and found in the
    store.
    """
    ids = place.worker.record(20)
    async with place.collecting() as plane:
        await settled(plane, 20)
        kept = place.noted.read_bytes()
        released = place.worker.segment.cells[RELEASED]
        for batch in range(batches_behind):
            ids += place.worker.record(7)
            await settled(plane, 27 + 7 * batch)

    place.noted.write_bytes(kept)
    place.worker.segment.cells[RELEASED] = released
    place.take_away()

    for start in range(starts):
        ids += place.worker.record(9)
        async with place.collecting() as plane:
            await taken(plane, place, len(ids))
            if start == starts - 1:
                place.bring_back()
                await settled(plane, len(ids))
                ids += place.worker.record(4)
                await settled(plane, len(ids))

    counts = Counter(record.id for record in await place.stored())
    assert counts == Counter(ids)


async def test_a_store_that_takes_longer_than_a_start_waits_is_waited_for(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that several write to, the last of whom was killed: each question begins that one's
    time anew.
    """
    read = SqliteStorage.positions

    async def read_late(store: SqliteStorage, instance: str) -> dict[bytes, Position]:
        await asyncio.sleep(0.3)
        return await read(store, instance)

    monkeypatch.setattr("proxy.collector.startup.ANSWER_S", 0.1)
    monkeypatch.setattr(SqliteStorage, "positions", read_late)
    ids = place.worker.record(20)

    async with place.collecting() as plane:
        members = plane.readiness.answer()[1]
        assert members | {"away": ["store"], "reasons": ["the store is being opened"]} == members
        await settled(plane, 20)

    assert [record.id for record in await place.stored()] == ids


async def test_an_export_begins_where_the_store_was_when_the_collector_began(place: Place) -> None:
    """What was recorded before the store came is sent, and nothing that was there before."""
    old = place.worker.record(5)
    async with place.collecting() as plane:
        await settled(plane, 5)
    place.settings = msgspec.structs.replace(
        place.settings, otel=OtelSettings(endpoint="http://127.0.0.1:9")
    )
    place.take_away()
    ids = place.worker.record(20)

    async with place.collecting() as plane:
        await taken(plane, place, 25)
        place.bring_back()
        await settled(plane, 25)
        await until(lambda: all(each["problem"] for each in plane.export.describe()))
        assert [each["waiting_records"] for each in plane.export.describe()] == [20, 20]

    assert [record.id for record in await place.stored()] == old + ids


async def test_a_store_that_opens_slowly_is_waited_for(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that is busy with other work: until it is known what they continue, no records
    are made.
    """
    opened = SqliteStorage.open

    async def open_slowly(*arguments: Any, **options: Any) -> SqliteStorage:
        await asyncio.sleep(1.5)
        return await opened(*arguments, **options)

    monkeypatch.setattr(SqliteStorage, "open", open_slowly)
    async with place.collecting() as plane:
        assert plane.readiness.answer()[1] == {"draining": False, "degraded": False}


async def test_a_ring_that_is_released_further_than_is_known_waits_for_the_store(
    place: Place,
) -> None:
    """Without a note nobody knows what of it is stored: it is left alone until the store says so."""
    ids = place.worker.record(20)
    async with place.collecting() as plane:
        await settled(plane, 20)
    place.noted.unlink()
    place.take_away()
    ids += place.worker.record(3)

    async with place.collecting() as plane:
        await until(lambda: place.worker.source in plane.sources.attached)
        await asyncio.sleep(0.05)
        assert plane.sources.attached[place.worker.source].position.taken == 0
        place.bring_back()
        await settled(plane, 23)

    assert [record.id for record in await place.stored()] == ids


@pytest.mark.parametrize("starts_away", [False, True])
async def test_a_store_that_begins_anew_has_nothing_to_do_with_what_was_spooled_before(
    place: Place, starts_away: bool
) -> None:
    """Its file was removed, or is a backup: what the spool has replayed since is not missing in it,
    and not damaged.
    """
    place.take_away()
    place.worker.record(20)
    async with place.collecting() as plane:
        await taken(plane, place, 20)
    place.bring_back()
    async with place.collecting() as plane:
        await settled(plane, 20)
        place.worker.die()
        await until(lambda: not plane.sources.attached)

    for file in (place.path / "here").iterdir():
        file.unlink()
    place.worker = RingWorker(place.path / "rings")
    for start in (1, 2):
        if starts_away:
            place.take_away()
        place.worker.record(3)
        async with place.collecting() as plane:
            await taken(plane, place, 3 * start)
            place.bring_back()
            await settled(plane, 3 * start)


async def test_a_name_that_is_older_than_its_directory_goes_on_counting(place: Place) -> None:
    """The store knows positions of that name from another directory: own records and spool are
    counted behind them.
    """
    old = {
        SOURCE_INTERNAL: Position(0, 2, 2, 2, {}, True),
        SOURCE_SPOOL: Position(17, 500, closed=True),
    }
    events = [Entry(make_record(kind="event", started_at_us=now_us())) for _ in range(2)]
    async with await open_storage(place.settings.storage.url, place.path) as storage:
        await storage.commit(Batch(INSTANCE, events, old))
    place.take_away()
    ids = place.worker.record(30)
    for _ in range(2):
        async with place.collecting() as plane:
            plane.events.add_event("key_changed", {})
            await taken(plane, place, 30)

    place.bring_back()
    async with place.collecting() as plane:
        plane.events.add_event("key_changed", {})
        await settled(plane, 33)
    stored = await place.stored()
    assert Counter(record.id for record in stored if record.kind == "exchange") == Counter(ids)
    assert len(stored) == 33


async def test_what_a_dead_worker_left_in_flight_is_recorded_when_the_store_has_come(
    place: Place,
) -> None:
    """Its table is kept with its ring until it can be asked whether an exchange was stored after
    all.
    """
    place.take_away()
    ids = place.worker.record(5)
    lost = place.worker.show(place.worker.begin("/tools?token=secret"))
    both = place.worker.begin()
    place.worker.show(both)
    slot = both.slot
    both.slot = -1
    ids.append(place.worker.finish(both))  # pushed, and killed before its slot was cleared
    assert slot >= 0
    place.worker.die()

    for start in range(3):
        async with place.collecting() as plane:
            await taken(plane, place, 6)
            if start == 2:
                place.bring_back()
                await until(lambda: not plane.sources.attached)
                await settled(plane, 7)

    stored = {record.id: record for record in await place.stored()}
    outcomes = {record_id: record.outcome for record_id, record in stored.items()}
    assert outcomes == {**dict.fromkeys(ids, "ok"), lost: "worker_lost"}
    gone = stored[lost]
    assert (gone.path, gone.query) == ("/tools", "token=[REDACTED]")
    assert (gone.status, gone.level) == (None, "error")


async def test_without_a_spool_the_rings_hold(place: Place) -> None:
    """With durability `fast` nothing is drained before the store is there."""
    storage = StorageSettings(url=place.settings.storage.url, durability="fast")
    place.settings = msgspec.structs.replace(place.settings, storage=storage)
    place.take_away()
    place.worker.record(10)

    async with place.collecting() as plane:
        await until(lambda: place.worker.source in plane.sources.attached)
        await asyncio.sleep(0.05)
        assert plane.sources.attached[place.worker.source].position.taken == 0
        assert not plane.readiness.answer()[1]["draining"]
        place.bring_back()
        await settled(plane, 10)


async def test_a_store_of_a_newer_program_is_an_outage(place: Place) -> None:
    """Records are spooled, what is wrong is said, and they are stored when the file can be read
    again.
    """
    async with await open_storage(place.settings.storage.url, place.path):
        pass

    def set_layout(number: int) -> None:
        with closing(sqlite3.connect(place.path / "store" / "sidelog.db")) as file:
            file.execute(f"PRAGMA user_version = {number}")

    set_layout(len(migrations()) + 1)
    place.worker.record(5)
    async with place.collecting() as plane:
        await taken(plane, place, 5)
        assert plane.readiness.answer()[1]["degraded"]
        assert "newer sidelog" in str(plane.status.describe()["storage"])
        set_layout(len(migrations()))
        await settled(plane, 5)


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_damaged_store_is_set_aside_and_told(place: Place, is_late: bool) -> None:
    """Nothing is stored twice, what comes is stored, and the log itself says what happened, also
    where the store is only found after the start.
    """
    place.worker.record(5)
    async with place.collecting() as plane:
        await settled(plane, 5)
    path = place.path / "store" / "sidelog.db"
    raw = path.read_bytes().replace(
        b"CREATE TABLE ingest_position", b"CREATE TABLE ingest_Position"
    )
    path.write_bytes(raw)
    place.worker.record(3)
    if is_late:
        place.take_away()

    async with place.collecting() as plane:
        if is_late:
            place.bring_back()
        async with asyncio.timeout(30):
            while (await plane.ledger()).stored < 9:  # noqa: ASYNC110 - the event too; nothing tells
                await asyncio.sleep(0.005)
        ledger = await plane.ledger()
        assert (ledger.stored, ledger.is_balanced, ledger.dropped) == (9, True, {})
        found = await plane.storage.read(RecordQuery(filter=Filter(kind="all"), limit=100))

    assert sorted(record.kind for record in found.records) == ["event", *["exchange"] * 3]
    assert [record.name for record in found.records if record.kind == "event"] == [
        "store_set_aside"
    ]
    assert len(list(path.resolve().parent.glob("sidelog.db.damaged-*Z"))) == 1


async def test_an_address_that_cannot_be_read_ends_the_start(place: Place) -> None:
    """The driver says what is wrong with it, and nothing is tried again."""
    pytest.importorskip("asyncpg")
    storage = StorageSettings(url="postgresql://127.0.0.1/sidelog?sslmode=perhaps")
    place.settings = msgspec.structs.replace(place.settings, storage=storage)

    async def begin() -> None:
        async with place.collecting():
            await asyncio.sleep(10)

    with pytest.raises(ExceptionGroup) as raised:
        await begin()
    assert raised.group_contains(StorageMisconfigured, match="sslmode")
    place.worker.die()
    shutil.rmtree(place.path / "rings")


async def test_a_store_that_comes_later_is_there_for_who_stores_nothing(place: Place) -> None:
    """Without a data port, or without traffic: that it is back is known at once."""
    place.settings = msgspec.structs.replace(
        place.settings, proxy=msgspec.structs.replace(place.settings.proxy, data_port=False)
    )
    place.take_away()
    async with place.collecting() as plane:
        assert plane.readiness.answer()[1]["away"] == ["store"]
        place.bring_back()
        await until(lambda: not plane.readiness.answer()[1]["degraded"])
        assert plane.status.describe()["writer"].batches["stored"] == 0  # type: ignore[attr-defined]

    place.worker.die()
    shutil.rmtree(place.path / "rings")


def spool_settings(**storage: str) -> Settings:
    """Make settings with a small spool."""
    return Settings(storage=StorageSettings(**storage), spool=SpoolSettings(max_bytes=8 << 20))  # type: ignore[arg-type]


def test_safe_has_a_spool_and_fast_has_none(tmp_path: Path) -> None:
    """With `fast` there is no spool, except to store what an earlier `safe` left in it."""
    spool = load_spool(spool_settings(durability="safe"), tmp_path, {})
    assert spool is not None
    assert spool.segment_bytes == 2 << 20
    assert load_spool(spool_settings(durability="fast"), tmp_path, {}) is None
    batch = Batch("sidecar-1", [Entry(make_record())])
    spool.append(spool.write(batch, opened_at_us=1, is_doubtful=False))
    spool.close()
    left = load_spool(spool_settings(durability="fast"), tmp_path, {})
    assert left is not None
    assert left.pending_records == 1


def test_what_the_store_has_is_passed_over(tmp_path: Path) -> None:
    """The spool's position in the store tells what was replayed."""
    spool = Spool(tmp_path / "spool", 8 << 20)
    for _ in range(2):
        batch = Batch("sidecar-1", [Entry(make_record())])
        spool.append(spool.write(batch, opened_at_us=1, is_doubtful=False))
    spool.close()
    again = load_spool(spool_settings(), tmp_path, {SOURCE_SPOOL: Position(offset=1, taken=1)})
    assert again is not None
    assert again.pending_records == 1
