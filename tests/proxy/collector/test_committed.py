"""Rings, spool and store together: a ring is let go when the store has all of it, whoever is killed
meanwhile.
"""

import asyncio
import os
import random
import shutil
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from proxy.collector.control_plane import ControlPlane
from proxy.collector.rings.sources import given_file
from proxy.collector.startup import SPOOL_DIRECTORY
from proxy.ring.segment_layout import PAGE
from storage.errors import StorageUnavailable
from storage.ledger import Ledger
from storage.record import Batch, Entry
from tests.contract.backends import Backend, usual
from tests.proxy.collector.rings.test_drain import eventful_worker, events, told
from tests.support.collecting import LeavingPlace, everything, taken, until
from tests.support.listeners import Listener
from tests.support.long import long
from tests.support.memory_store import MemoryStorage
from tests.support.rings import INSTANCE, RingWorker, collecting, rows


class FickleStore(MemoryStorage):
    """A store that is away for writing when a test says so, or as chance has it."""

    is_away = False
    chance: random.Random | None = None

    async def commit(self, batch: Batch) -> int:
        """Commit, unless away."""
        if self.is_away or (self.chance is not None and self.chance.random() < 0.5):
            raise StorageUnavailable("away for the test")
        return await super().commit(batch)


def remove_files(directory: Path) -> None:
    """Remove the rings, as a reboot does; the spool is in a directory of its own."""
    for path in list(directory.iterdir()):
        if path.is_file():
            path.unlink()


async def test_what_is_spooled_is_released_from_the_ring(
    tmp_path: Path, worker: RingWorker
) -> None:
    """With the store away the ring empties into the spool; when it is back, all is stored in place."""
    store = FickleStore()
    store.is_away = True
    ids = worker.record(20)

    async with collecting(tmp_path, store, spool_directory=tmp_path / "spool") as plane:
        reader = plane.sources.attached[worker.source].reader
        await plane.until(lambda: reader.released > 0 and plane.writer.spooled_records >= 12)
        assert plane.ledger().stored == 0
        store.is_away = False
        await plane.until_stored(20)

    assert sorted(record.id for record in await rows(store)) == sorted(ids)


async def test_a_dead_worker_s_ring_stays_until_the_spool_is_empty(
    tmp_path: Path, worker: RingWorker
) -> None:
    """Its position is closed after all of its records are stored, and its file goes then."""
    store = FickleStore()
    store.is_away = True
    ids = worker.record(20)
    worker.die()

    async with collecting(tmp_path, store, spool_directory=tmp_path / "spool") as plane:
        await plane.until(lambda: plane.writer.spooled_records >= 12)
        assert worker.source in plane.sources.attached
        store.is_away = False
        ledger = await plane.until_empty()

    assert (ledger.stored, ledger.received, ledger.spooled) == (20, 20, 0)
    assert sorted(record.id for record in await rows(store)) == sorted(ids)


async def test_what_is_replayed_after_a_restart_is_stored_and_not_waiting(
    tmp_path: Path, worker: RingWorker
) -> None:
    """The ring was taken further than the frames that are replayed: the ledger counts what the
    store has by then.
    """
    store = FickleStore()
    store.is_away = True
    worker.record(24)
    async with collecting(tmp_path, store, spool_directory=tmp_path / "spool") as plane:
        await plane.until(lambda: plane.writer.spooled_records >= 18)
        await plane.writer.close(60)
    store.is_away = False
    ledgers = []
    async with collecting(tmp_path, store, spool_directory=tmp_path / "spool") as plane:
        plane.writer.subscribe(Listener(on_commit=lambda batch: ledgers.append(plane.ledger())))
        await plane.until_stored(24)
    assert [(ledger.stored + ledger.spooled, ledger.waiting) for ledger in ledgers] == [
        (24, 0)
    ] * len(ledgers)
    assert len(ledgers) > 2


async def test_a_ring_lost_while_its_records_are_spooled_is_told_once(
    tmp_path: Path, worker: RingWorker
) -> None:
    """At the start after which the spool's records are stored, and at no other."""
    store = FickleStore()
    ids = worker.record(12)

    async with collecting(tmp_path, store, spool_directory=tmp_path / "spool") as plane:
        await plane.until_stored(12)
        store.is_away = True
        ids += worker.record(12)
        await plane.until(lambda: plane.writer.spooled_records >= 3)

    worker.die()
    remove_files(tmp_path)
    store.is_away = False

    for _ in range(3):
        async with collecting(tmp_path, store, spool_directory=tmp_path / "spool") as plane:
            await plane.until(lambda: worker.source not in plane.committed.positions)
            [event] = events(await rows(store), "unclean_start")
            assert event | {"reason": "ring_lost", "ring": worker.source.hex()} == event

    stored = await rows(store)
    kept = Counter(record.id for record in stored if record.kind == "exchange")
    assert set(kept.values()) == {1}
    assert len(kept) >= 15
    assert kept.keys() <= set(ids)


@pytest.mark.parametrize("is_stored", [True, False])
async def test_a_ring_cut_within_its_header_page_says_at_least_how_much_is_lost(
    tmp_path: Path, worker: RingWorker, caplog: pytest.LogCaptureFixture, is_stored: bool
) -> None:
    """Its count of entries may be left: what was not taken of them is the least, in log, event and
    ledger, and once.
    """
    store = MemoryStorage()
    if is_stored:
        worker.record(5)
        async with collecting(tmp_path, store) as plane:
            await plane.until_stored(5)

    worker.record(3)
    path = worker.segment.path
    assert path is not None
    whole = path.stat().st_size
    stored = 5 * is_stored + 1
    os.truncate(path, PAGE - 1)

    for _ in range(3):
        async with collecting(tmp_path, store) as plane:
            await plane.until(
                lambda: not plane.writer.waiting_records and plane.ledger().stored == stored
            )
            assert plane.ledger() == Ledger(
                received=stored + 3, stored=stored, spooled=0, waiting=0, dropped={"corrupt": 3}
            )

    os.truncate(path, whole)
    worker.die()
    path.unlink()
    async with collecting(tmp_path, store) as plane:
        await plane.until(lambda: worker.source not in plane.committed.positions)
        assert plane.ledger().dropped == {"corrupt": 3}
    (event,) = events(await rows(store), "unclean_start")
    assert event | {"count": None, "minCount": 3, "reason": "ring_lost"} == event
    assert "left in place, with at least 3 records" in caplog.text


async def test_a_ring_that_may_be_read_later_is_not_lost(
    tmp_path: Path, worker: RingWorker
) -> None:
    """Another version wrote it, or another user: what is behind its position is stored when it can
    be read.
    """
    store = MemoryStorage()
    worker.record(5)
    async with collecting(tmp_path, store) as plane:
        await plane.until_stored(5)
    worker.record(3)
    path = worker.segment.path
    assert path is not None
    worker.die()
    hidden = path.rename(tmp_path / "hidden")
    path.symlink_to(hidden)  # which is not followed
    async with collecting(tmp_path, store) as plane:
        await plane.until(lambda: not plane.writer.waiting_records)
        assert worker.source in plane.committed.positions
    hidden.rename(path)
    async with collecting(tmp_path, store) as plane:
        ledger = await plane.until_empty()
    assert (ledger.received, ledger.stored, ledger.dropped) == (8, 8, {})
    assert not events(await rows(store), "unclean_start")


@pytest.mark.parametrize("seed", range(8))
async def test_kills_and_outages_in_any_order_lose_and_double_nothing(
    tmp_path: Path, seed: int
) -> None:
    """A dead worker with everything that can be in a ring, a store that is away half the time,
    collectors killed.
    """
    chance = random.Random(seed)
    worker, ids, lost = eventful_worker(tmp_path)
    store = FickleStore()

    for _ in range(8):
        store.chance = chance
        async with collecting(tmp_path, store, spool_directory=tmp_path / "spool") as plane:
            for _ in range(chance.randrange(1, 8)):
                await asyncio.sleep(chance.choice((0, 0.002, 0.01)))
                assert plane.ledger().is_balanced, plane.ledger()

    store.chance = None
    async with collecting(tmp_path, store, spool_directory=tmp_path / "spool") as plane:
        ledger = await plane.until_empty()
        await plane.until(lambda: not plane.writer.spooled_records)
        ledger = plane.ledger()

    stored = await rows(store)
    assert Counter(record.id for record in stored if record.kind == "exchange") == Counter(
        [*ids, lost]
    )
    assert ledger.is_balanced
    assert (ledger.waiting, ledger.spooled) == (0, 0)
    assert ledger.stored == len(stored)
    assert ledger.dropped["ring_full"] == 1
    assert sum(ledger.dropped.values()) == 3
    assert told(stored) == ledger.dropped
    assert worker.source not in await store.positions("sidecar-1")


DURABLE = usual(lambda backend: backend.is_durable and backend.name != "sqlite-sparse")


@dataclass(frozen=True)
class Fate:
    """What comes back after everything was killed, or the machine has started anew."""

    rings: int = 2
    """How many of two."""
    has_spool: bool = True
    is_store_there: bool = True
    """Otherwise it comes later."""
    starts_away: int = 1
    """How many starts see it away, if it is not there."""
    store: str = "as it was"
    """Or an older copy, or an empty one."""

    @property
    def loses(self) -> bool:
        """Whether anything is gone for good."""
        return self.rings < 2 or not self.has_spool or self.store != "as it was"

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in asdict(self).items())


FATES = [
    *(
        Fate(rings, has_spool, is_store_there)
        for rings in (0, 2)
        for has_spool in (False, True)
        for is_store_there in (False, True)
    ),
    Fate(rings=1),
    Fate(store="older"),
    *map(
        long,
        (
            Fate(rings=1, has_spool=False),
            Fate(rings=0, is_store_there=False, starts_away=2),
            Fate(is_store_there=False, starts_away=2),
            Fate(is_store_there=False, store="older"),
            Fate(rings=0, store="older"),
            Fate(rings=1, is_store_there=False, store="older"),
            Fate(has_spool=False, store="older"),
            Fate(rings=0, has_spool=False, store="older"),
            Fate(store="empty"),
            Fate(rings=1, is_store_there=False, store="empty"),
            Fate(has_spool=False, store="empty"),
        ),
    ),
]


class Crash:
    """Two workers whose requests are in the store, the spool, the queue and the rings, when
    everything is killed.
    """

    def __init__(self, place: LeavingPlace) -> None:
        self.place = place
        self.workers = [place.worker, RingWorker(place.path / "rings")]
        self.answered: set[bytes] = set()

    def record(self, count: int) -> None:
        """Answer some requests of each worker."""
        for worker in self.workers:
            self.answered.update(worker.record(count))

    async def come_to(self, fate: Fate) -> None:
        """Record, lose the store, record more, kill all, and take away what does not come back."""
        place = self.place
        async with place.collecting(is_killed=True) as plane:
            self.record(10)
            await self.stored_all(plane)
            copy = Batch(
                INSTANCE,
                [Entry(record) for record in await everything(plane.storage)],
                await plane.storage.positions(INSTANCE),
            )
            self.record(10)
            await self.stored_all(plane)
            place.take_away()
            self.record(100)
            for worker in self.workers:
                worker.show(worker.begin())  # nobody has an answer to that
            await until(
                lambda: all(
                    source.position.taken == 120 for source in plane.sources.attached.values()
                )
            )
            await until(lambda: plane.writer.spooled_records and not plane.writer.is_full)
            self.record(5)
            given = dict.fromkeys((worker.source for worker in self.workers), 125)
            await until(lambda: given_file(place.path).value == given)

        for worker in self.workers:
            worker.die()
        for worker in self.workers[fate.rings :]:
            assert worker.segment.path is not None
            worker.segment.path.unlink()
        if not fate.has_spool:
            shutil.rmtree(place.path / SPOOL_DIRECTORY)
        if fate.store != "as it was":
            place.store_path = place.path / "other"
            place.store_path.mkdir()
        if fate.store == "older":
            async with await place.open() as storage:
                await storage.commit(copy)

        self.workers = [RingWorker(place.path / "rings")]

    async def stored_all(self, plane: ControlPlane) -> None:
        """Wait until nothing waits any more."""
        async with asyncio.timeout(60):
            while (ledger := await plane.ledger()).stored < len(self.answered):
                assert ledger.is_balanced, ledger
                await asyncio.sleep(0.005)

    async def account(self, plane: ControlPlane) -> tuple[int, int, int]:
        """How many answered requests are not stored, and what ledger and events say of them."""
        records = await everything(plane.storage)
        ledger = await plane.ledger()
        assert ledger.is_balanced, ledger
        assert ledger.stored == len(records), (ledger, len(records))
        exchanges = [record.id for record in records if record.kind == "exchange"]
        assert len(set(exchanges)) == len(exchanges)
        unclean = events(records, "unclean_start")
        said = sum(told(records).values()) + sum(int(str(e.get("minCount", 0))) for e in unclean)
        lost = len(self.answered.difference(exchanges))
        return lost, sum(ledger.dropped.values()), said

    async def told(self, plane: ControlPlane) -> int:
        """Wait until ledger and events say how many requests are lost, and return it."""
        async with asyncio.timeout(60):
            while True:
                ledger = await plane.ledger()
                assert ledger.is_balanced, ledger
                if not (ledger.waiting or ledger.spooled or plane.writer.waiting_records):
                    lost, counted, said = await self.account(plane)
                    if lost == counted == said:
                        return lost
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("backend", DURABLE, ids=lambda backend: backend.name)
@pytest.mark.parametrize("fate", FATES, ids=str)
async def test_what_is_lost_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fate: Fate, backend: Backend
) -> None:
    """At the first start that finds the store, whatever comes back of rings, spool and store: the
    requests that were answered and are not stored are as many as ledger and events say.
    """
    place = LeavingPlace(tmp_path, monkeypatch, backend)
    crash = Crash(place)
    await crash.come_to(fate)
    for _ in range(0 if fate.is_store_there else fate.starts_away):
        async with place.collecting(is_killed=True) as plane:
            crash.record(3)
            place.worker = crash.workers[0]
            await taken(plane, place, 3)
    place.bring_back()

    async with place.collecting() as plane:
        crash.record(3)
        lost = await crash.told(plane)

    assert bool(lost) is fate.loses, lost
    for worker in crash.workers:
        worker.die()
