"""Whatever a ring held becomes a record or a counted drop, exactly once, wherever the collector is
killed.
"""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from proxy.collector.rings import drain
from proxy.process.wakeup import Wakeup
from proxy.ring.entry import PREFIX
from proxy.ring.segment import segments_in
from proxy.ring.segment_layout import HEAD, NO_WAKE, PUSHED, REFUSED_RECORDS, WAKE_AT
from storage.ledger import RETIRED_TOTALS, SOURCE_INTERNAL
from storage.record import Record
from storage.writer.writer import Writer
from tests.support.memory_store import MemoryStorage
from tests.support.rings import INSTANCE, PAUSE_S, MortalStore, RingWorker, collecting, rows


def events(records: list[Record], name: str) -> list[dict[str, object]]:
    """Data of all events of one name."""
    return [json.loads(record.data or b"null") for record in records if record.name == name]


def told(records: list[Record]) -> dict[str, int]:
    """What the gap records among some records tell: how many records were dropped, by reason."""
    counts: Counter[str] = Counter()
    for gap in events(records, "gap"):
        counts[str(gap["reason"])] += int(str(gap["count"]))
    return dict(counts)


async def test_entries_become_records_and_are_released_after_the_commit(
    tmp_path: Path, worker: RingWorker
) -> None:
    """Rows are in the order of the ring, metrics see them, and the ring is free again once they are
    committed.
    """
    store = MemoryStorage()
    ids = worker.record(7)

    async with collecting(tmp_path, store) as plane:
        source = plane.sources.attached[worker.source]
        assert source.reader.released == 0
        await plane.until(lambda: source.reader.released == source.reader.head)
        assert [record.id for record in await rows(store)] == ids
        assert [entry.record.id for entry in plane.observed] == ids
        position = (await store.positions(INSTANCE))[worker.source]
        assert (position.offset, position.taken, position.stored) == (source.reader.head, 7, 7)
        more = worker.record(2)
        await plane.until_stored(9)
        assert [record.id for record in await rows(store)] == ids + more


async def test_nothing_is_released_before_it_is_committed(
    tmp_path: Path, worker: RingWorker
) -> None:
    """While a commit does not return the ring keeps everything, and the ledger shows it as waiting."""
    store = MortalStore()
    store.dies_at = 1
    worker.record(5)

    async with collecting(tmp_path, store) as plane:
        await store.has_died.wait()
        assert plane.sources.attached[worker.source].reader.released == 0
        assert (plane.ledger().received, plane.ledger().waiting, plane.ledger().stored) == (5, 5, 0)


async def test_a_refusing_ring_leaves_one_gap_with_the_exact_count(tmp_path: Path) -> None:
    """What the full ring refused is counted as dropped, and an event says how many, and when."""
    worker = RingWorker(tmp_path, ring_bytes=4096)
    store = MemoryStorage()
    pushed = worker.fill()
    assert worker.ring.push(1, b"", []) is False

    async with collecting(tmp_path, store) as plane:
        await plane.until(lambda: plane.ledger().dropped.get("poison") == pushed)
        ledger = plane.ledger()
        assert (ledger.dropped["ring_full"], ledger.received) == (2, pushed + 2 + ledger.stored)
        (gap,) = [gap for gap in events(await rows(store), "gap") if gap["reason"] == "ring_full"]
        assert gap["count"] == 2
        assert 0 < int(str(gap["fromMs"])) <= int(str(gap["toMs"]))

    worker.die()
    async with collecting(tmp_path, store) as plane:
        ledger = await plane.until_empty()
    assert told(await rows(store)) == ledger.dropped == {"poison": pushed, "ring_full": 2}


async def test_refusals_of_a_worker_that_is_gone_are_told_before_its_ring_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ring is not closed as long as a full writer keeps its gap from being told."""
    worker = RingWorker(tmp_path, ring_bytes=4096)
    store = MemoryStorage()
    pushed = worker.fill()
    worker.die()

    async with collecting(tmp_path, store, is_draining=False) as plane:
        while await plane.drain._move():
            pass
        await plane.until(lambda: plane.ledger().dropped.get("poison") == pushed)
        async with asyncio.TaskGroup() as closing:
            with monkeypatch.context() as patch:
                patch.setattr(Writer, "is_full", True)
                plane.drain._update_sources(closing)
            plane.drain._update_sources(closing)

        ledger = await plane.until_empty()

    assert told(await rows(store)) == ledger.dropped == {"poison": pushed, "ring_full": 1}


async def test_an_entry_that_cannot_be_read_is_dropped_and_the_next_is_read(
    tmp_path: Path, worker: RingWorker
) -> None:
    """A header of a wrong length, lengths beyond the sections, and a kind from the future are
    `poison`.
    """
    store = MemoryStorage()
    ids = worker.record()
    worker.ring.push(1, b"short", [])
    worker.ring.push(1, b"\xff" * 116, [b"x"])
    worker.ring.push(77, b"", [b"from a later version"])
    ids += worker.record()

    async with collecting(tmp_path, store) as plane:
        await plane.until_stored(3)
        assert plane.ledger().dropped == {"poison": 3}
        assert plane.ledger().waiting == 0

    stored = await rows(store)
    assert [record.id for record in stored if record.kind == "exchange"] == ids
    assert told(stored) == {"poison": 3}


@pytest.mark.parametrize("damaged", [0, 1, 2])
async def test_damage_is_counted_wherever_it_lies(
    tmp_path: Path, worker: RingWorker, damaged: int
) -> None:
    """A damaged entry, the newest one too, is dropped as `corrupt`; its ring is let go like any
    other.
    """
    store = MemoryStorage()
    ids = []
    starts = []
    for _ in range(3):
        starts.append(worker.segment.cells[HEAD] & ~7)
        ids += worker.record()
    worker.segment.data[starts[damaged] + PREFIX.size] ^= 0xFF
    del ids[damaged]
    worker.die()
    async with collecting(tmp_path, store) as plane:
        ledger = await plane.until_empty()
    stored = await rows(store)
    assert [record.id for record in stored if record.kind == "exchange"] == ids
    assert (ledger.received, ledger.stored, ledger.dropped) == (4, 3, {"corrupt": 1})
    assert told(stored) == {"corrupt": 1}
    assert not segments_in(tmp_path)


async def test_a_ring_whose_header_breaks_is_given_up_and_the_log_says_so(
    tmp_path: Path, worker: RingWorker
) -> None:
    """Nothing in a header that cannot be trusted is counted; the ledger can still be read and
    balances.
    """
    store = MemoryStorage()
    worker.record(2)

    async with collecting(tmp_path, store) as plane:
        await plane.until_stored(2)
        worker.segment.cells[HEAD] = 1 << 60
        await plane.until(lambda: not plane.sources.attached)
        await plane.until(lambda: worker.source not in plane.committed.positions)
        ledger = plane.ledger()
        assert (ledger.received, ledger.stored, ledger.waiting) == (3, 3, 0)

    (event,) = events(await rows(store), "unclean_start")
    assert event == {"count": None, "reason": "ring_damaged", "ring": worker.source.hex()}


async def test_a_ring_that_is_given_up_holds_nobody_while_the_store_is_slow(
    tmp_path: Path, worker: RingWorker
) -> None:
    """Until its end is committed its header still promises entries: nobody waits for those without
    a pause.
    """
    store = MortalStore()
    worker.record(2)

    async with collecting(tmp_path, store) as plane:
        await plane.until_stored(2)
        store.dies_at = store.commits + 1
        worker.segment.cells[HEAD] = 1 << 60
        await store.has_died.wait()
        await asyncio.sleep(8 * PAUSE_S)
        assert plane.sources.attached
        healthy = RingWorker(tmp_path)
        healthy.record()
        await plane.until(lambda: plane.writer.waiting_records == 2)  # its event, and the record
        healthy.die()


async def test_a_ring_of_another_boot_is_drained_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a ring of an earlier boot holds is stored; that its newest entries may be missing is an
    event.
    """
    with monkeypatch.context() as patch:
        patch.setattr("proxy.ring.segment_layout.boot_id", lambda: "0" * 36)
        worker = RingWorker(tmp_path)
    ids = worker.record(3)
    store = MemoryStorage()
    worker.die()
    async with collecting(tmp_path, store) as plane:
        await plane.until_empty()
    stored = await rows(store)
    assert [record.id for record in stored if record.kind == "exchange"] == ids
    assert [event["reason"] for event in events(stored, "unclean_start")] == ["other_boot"]


def eventful_worker(directory: Path) -> tuple[RingWorker, list[bytes], bytes]:
    """A dead worker with records, poison, damage, refusals, and an exchange in flight; what must be
    stored.
    """
    worker = RingWorker(directory, ring_bytes=4096)
    lost = worker.show(worker.begin("/lost"))
    ids = worker.record(4)
    worker.ring.push(99, b"", [])
    damaged_at = worker.segment.cells[HEAD] & ~7
    worker.record()
    worker.segment.data[damaged_at + PREFIX.size] ^= 0xFF

    while len(ids) < 200 and not worker.segment.cells[REFUSED_RECORDS]:
        exchange = worker.begin()
        before = worker.segment.cells[PUSHED]
        worker.finish(exchange)
        if worker.segment.cells[PUSHED] > before:
            ids.append(exchange.id)

    worker.die()
    return worker, ids, lost


@pytest.mark.parametrize("has_stored_it", [False, True], ids=["before", "after"])
async def test_a_kill_at_any_commit_loses_and_doubles_nothing(
    tmp_path: Path, has_stored_it: bool
) -> None:
    """Killed before or after each commit from the first record to the folded counts, the end is the
    same.
    """
    kills = 0
    for dies_at in range(1, 60):
        directory = tmp_path / str(dies_at)
        directory.mkdir()
        _, ids, lost = eventful_worker(directory)
        store = MortalStore()
        store.dies_at = dies_at
        store.has_stored_it = has_stored_it

        async with collecting(directory, store) as plane, asyncio.TaskGroup() as tasks:
            death = tasks.create_task(store.has_died.wait())
            done = tasks.create_task(plane.until_empty())
            await asyncio.wait((death, done), return_when=asyncio.FIRST_COMPLETED)
            death.cancel()
            done.cancel()

        has_died = store.has_died.is_set()
        kills += has_died
        store.dies_at = None
        async with collecting(directory, store) as plane:
            ledger = await plane.until_empty()
        stored = await rows(store)
        assert sorted(record.id for record in stored if record.kind == "exchange") == sorted(
            [*ids, lost]
        )
        # What was read and not counted yet is missed by the next reader: corrupt for it.
        assert ledger.dropped["ring_full"] == 1
        assert sum(ledger.dropped.values()) == 3
        assert told(stored) == ledger.dropped
        assert ledger.received == len(stored) + 3
        assert set(await store.positions(INSTANCE)) == {RETIRED_TOTALS, SOURCE_INTERNAL}
        if not has_died:
            break

    assert kills > 5


async def test_anonymous_rings_are_drained_through_their_descriptor(tmp_path: Path) -> None:
    """A ring without a name is adopted once, read, and forgotten; offering it again changes
    nothing.
    """
    worker = RingWorker(None)
    store = MemoryStorage()
    ids = worker.record(3)

    async with collecting(None, store) as plane:
        plane.sources.attach_fd(worker.segment.fd)
        plane.sources.attach_fd(worker.segment.fd)
        await plane.until_stored(3)
        worker.segment.let_go()
        await plane.until_empty()
        plane.sources.attach_fd(worker.segment.fd)
        assert not plane.sources.attached
        await plane.until_empty()

    worker.die()
    assert [record.id for record in await rows(store)] == ids


async def test_stop_empties_the_rings_and_ends(tmp_path: Path, worker: RingWorker) -> None:
    """After `stop` the drain ends by itself, once nothing is left to read and every ring is let go."""
    store = MemoryStorage()
    worker.record(200)
    worker.die()
    wakeup = Wakeup.create()

    async with collecting(tmp_path, store, is_draining=False) as plane:
        plane.drain.stop()
        async with asyncio.timeout(60):
            await plane.drain.run(wakeup)
        assert plane.ledger().stored == 200

    wakeup.close()


async def test_a_push_wakes_a_sleeping_drain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once nothing comes for a while the rings ask for a wake-up, and the next push gives it."""
    monkeypatch.setattr(drain, "MAX_SLEEP_S", 3600.0)
    store = MemoryStorage()
    async with collecting(tmp_path, store) as plane:
        worker = RingWorker(tmp_path, wake=plane.wakeup.notify)
        plane.wakeup.notify()  # there is a ring to be found
        await plane.until(lambda: worker.segment.cells[WAKE_AT] != NO_WAKE)
        worker.record()
        await plane.until_stored(1)
        assert plane.ledger().received == 1

    worker.die()


async def test_a_ring_that_fills_ends_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pause is for groups of records; one is taken sooner where a part of the ring has filled."""
    monkeypatch.setattr(drain, "MAX_SLEEP_S", 3600.0)
    monkeypatch.setattr(drain, "WAKING_PART", 1e-3)
    store = MemoryStorage()
    async with collecting(tmp_path, store, pause_s=3600.0) as plane:
        worker = RingWorker(tmp_path, wake=plane.wakeup.notify)
        worker.record()
        await plane.until_stored(1)
        worker.record(20)
        await plane.until_stored(21)

    worker.die()


async def test_a_file_that_is_no_ring_is_left_alone(tmp_path: Path, worker: RingWorker) -> None:
    """What cannot be read as a ring stays for the operator, is tried once, and holds nothing up."""
    (tmp_path / "garbage.ring").write_bytes(b"x" * 10_000)
    store = MemoryStorage()
    worker.record()
    async with collecting(tmp_path, store) as plane:
        await plane.until_stored(1)
        assert plane.sources.damaged == {"garbage.ring"}
    assert (tmp_path / "garbage.ring").exists()
