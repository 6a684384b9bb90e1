"""Rings are found, counted and let go; each step of a position says what became of every record."""

import os
from pathlib import Path

from proxy.collector.rings.sources import Source, Sources, counters_file
from proxy.process.memfd import anonymous_file
from proxy.ring.counters import CounterLayout
from proxy.ring.segment import Segment, segments_in
from proxy.ring.segment_layout import HEAD, RELEASED
from storage.ledger import ProducerCounts
from storage.record import Position
from tests.proxy.collector.rings.test_drain import events
from tests.support.memory_store import MemoryStorage
from tests.support.rings import SETTINGS, RingWorker, collecting, rows

LAYOUT = CounterLayout(len(SETTINGS.routes))


def attached(worker: RingWorker, position: Position | None = None) -> Source:
    """The worker's ring, from a position on."""
    assert worker.segment.path is not None
    return Source(Segment.attach(worker.segment.path), position or Position())


def test_each_step_of_a_position_is_absolute(worker: RingWorker) -> None:
    """Stored, dropped and refused records add up to what the producer counted."""
    worker.record(3)
    source = attached(worker)
    ends = [end for *_, end in source.read(10, 1 << 20)]
    assert list(source.take(ends[:1]).positions) == [Position(ends[0], 1, 1)]
    source.drop(ends[1], "poison")
    assert list(source.take(ends[2:]).positions) == [Position(ends[2], 2, 2)]
    assert (source.report_drop(), source.position) == (
        ("poison", 1),
        Position(ends[2], 3, 2, 0, {"poison": 1}),
    )
    assert source.report_refusals(4) == Position(ends[2], 3, 2, 0, {"poison": 1, "ring_full": 4})
    assert source.report_drop() is None
    assert source.producer_counts == ProducerCounts(3, 0)
    assert source.finish() == Position(ends[2], 3, 2, 3, {"poison": 1, "ring_full": 4}, closed=True)
    assert source.is_closing
    source.close(unlink=False)


async def test_shed_messages_stay_in_the_ledger(tmp_path: Path, worker: RingWorker) -> None:
    """Counted while their worker lives, after it, and by a collector that comes later."""
    store = MemoryStorage()
    worker.record(2)
    worker.shed(5)

    async with collecting(tmp_path, store) as plane:
        await plane.until_stored(2)
        assert (plane.ledger().received, plane.ledger().dropped) == (7, {"message_limit": 5})
        worker.shed(1)
        worker.die()
        assert (await plane.until_empty()).dropped == {"message_limit": 6}

    async with collecting(tmp_path, store) as plane:
        assert (plane.ledger().received, plane.ledger().dropped) == (8, {"message_limit": 6})


def test_reading_goes_on_behind_a_committed_position(worker: RingWorker) -> None:
    """What a position covers is not read again, whatever was released."""
    first = worker.record(2)
    source = attached(worker)
    entries = source.read(10, 1 << 20)
    position = Position(entries[0][3], 1, 1)
    source.close(unlink=False)
    again = attached(worker, position)
    (entry,) = again.read(10, 1 << 20)
    assert entry[1][:16] == first[1]
    assert again.take([entry[3]]).positions[-1].taken == 2
    again.close(unlink=False)


def test_a_source_is_finished_when_its_worker_is_gone_and_all_is_read(
    tmp_path: Path, worker: RingWorker
) -> None:
    """Neither alone is enough."""
    worker.record()
    source = attached(worker)
    assert not source.is_finished
    assert source.waiting_records == 1
    source.read(10, 1 << 20)
    assert not source.is_finished
    assert source.waiting_records == 0
    worker.die()
    assert source.is_finished
    source.close(unlink=True)
    assert not segments_in(tmp_path)


def test_files_are_found_once(tmp_path: Path, worker: RingWorker) -> None:
    """New rings are told about once; unfinished files are none; detaching leaves the files."""
    (tmp_path / "x.new").write_bytes(b"")
    found: list[bytes] = []
    sources = Sources(tmp_path, {})
    sources.subscribe(on_found=lambda source: found.append(source.id))
    sources.find()
    sources.find()
    assert found == [worker.source]
    second = RingWorker(tmp_path)
    sources.find()
    assert found == [worker.source, second.source]
    sources.close()
    second.die()
    assert len(segments_in(tmp_path)) == 2
    assert not sources.attached


def test_a_ring_whose_moving_part_is_damaged_is_left_alone(
    tmp_path: Path, worker: RingWorker
) -> None:
    """Positions that are none of this ring's: it is not attached, not unlinked, and nothing stays
    open.
    """
    worker.segment.cells[HEAD] = 1 << 50
    sources = Sources(tmp_path, {})
    before = set(os.listdir("/proc/self/fd"))
    sources.find()
    assert set(os.listdir("/proc/self/fd")) <= before
    assert not sources.attached
    assert worker.segment.path is not None
    assert sources.damaged == {worker.segment.path.name}
    sources.find()
    worker.die()
    assert len(segments_in(tmp_path)) == 1


def test_a_descriptor_that_is_no_ring_is_refused(tmp_path: Path) -> None:
    """An anonymous file of something else, or with a damaged head, changes nothing."""
    sources = Sources(None, {})
    damaged = RingWorker(None)
    damaged.segment.cells[HEAD] = 1 << 50
    sources.attach_fd(damaged.segment.fd)
    with (tmp_path / "file").open("wb") as other:
        sources.attach_fd(other.fileno())
    assert not sources.attached
    damaged.die()


def test_a_ring_is_attached_once_however_it_comes(worker: RingWorker, tmp_path: Path) -> None:
    """By name and by descriptor; in the end its name is gone."""
    sources = Sources(tmp_path, {})
    sources.attach_fd(worker.segment.fd)
    sources.find()
    (source,) = sources.attached.values()
    assert source.segment.path == worker.segment.path
    sources.remove(source)
    assert segments_in(tmp_path) == []


def test_a_ring_whose_name_was_removed_is_read_through_its_descriptor(
    worker: RingWorker, tmp_path: Path
) -> None:
    """Whatever has its name meanwhile is left alone."""
    assert worker.segment.path is not None
    worker.record(2)
    worker.segment.path.unlink()
    worker.segment.path.write_bytes(b"somebody else's")
    sources = Sources(tmp_path, {})
    sources.attach_fd(worker.segment.fd)
    (source,) = sources.attached.values()
    assert len(source.read(10, 1 << 20)) == 2
    sources.remove(source)
    assert worker.segment.path.read_bytes() == b"somebody else's"


def test_an_anonymous_ring_that_was_closed_is_given_back(tmp_path: Path) -> None:
    """A collector killed before it could say so: the next one says it, and does not read the ring
    again.
    """
    worker = RingWorker(None)
    worker.record()
    removed: list[bytes] = []
    sources = Sources(None, {worker.source: Position(8, 1, 1, 1, {}, closed=True)})
    sources.subscribe(on_removed=removed.append)
    sources.attach_fd(worker.segment.fd)
    assert (removed, sources.attached) == ([worker.source], {})
    worker.die()


def test_counters_of_the_gone_are_kept_and_gauges_are_not(tmp_path: Path) -> None:
    """Metrics count what every worker did; what is open now, only those that live."""
    workers = [RingWorker(tmp_path) for _ in range(2)]
    for worker in workers:
        worker.record(2)
        worker.segment.counters[LAYOUT.cell("requests_in_flight")] = 5
    sources = Sources(tmp_path, {})
    sources.find()
    assert sources.counters().requests_in_flight == 10
    workers[0].die()
    assert sources.counters().requests_in_flight == 5
    sources.remove(sources.attached[workers[0].source])
    counters = sources.counters()
    assert (counters.requests, counters.requests_in_flight) == ({("shop", "GET", "2xx"): 4}, 5)
    sources.close()
    workers[1].die()


def test_counters_of_the_gone_outlive_the_collector(tmp_path: Path) -> None:
    """The next one goes on from them, so that nothing counts backwards."""
    workers = [RingWorker(tmp_path) for _ in range(2)]
    counters_fd = anonymous_file("counters")
    for worker in workers:
        worker.record(2)
    for worker in workers:
        sources = Sources(tmp_path, {})
        sources.keep_counters(counters_file(counters_fd))
        sources.find()
        assert sources.counters().requests == {("shop", "GET", "2xx"): 4}
        worker.die()
        sources.remove(sources.attached[worker.source])
        assert sources.counters().requests == {("shop", "GET", "2xx"): 4}
        sources.close()

    os.close(counters_fd)


def test_a_damaged_description_costs_names_and_counters(tmp_path: Path) -> None:
    """Records are read all the same."""
    worker = RingWorker(tmp_path, descriptor=b"{")
    worker.record()
    source = attached(worker)
    assert len(source.read(10, 1 << 20)) == 1
    counters = source.counters()
    assert counters is None or ("shop", "GET", "2xx") not in counters.requests
    source.close(unlink=False)
    worker.die()


async def test_rings_that_are_gone_leave_no_descriptor(tmp_path: Path) -> None:
    """However many workers come and go, the collector keeps neither file nor memory of them."""
    store = MemoryStorage()
    async with collecting(tmp_path, store) as plane:
        for _ in range(5):
            worker = RingWorker(tmp_path)
            worker.show(worker.begin())
            worker.record(3)
            worker.die()
            del worker
            await plane.until_empty()

        assert plane.ledger().stored == 20
        await plane.until(
            lambda: not any(str(tmp_path) in link_of(fd) for fd in os.listdir("/proc/self/fd"))
        )


def link_of(fd: str) -> str:
    """What a descriptor stands for; one that is closed meanwhile is nothing."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


async def test_what_a_replaced_store_had_is_counted_as_such(
    tmp_path: Path, worker: RingWorker
) -> None:
    """Records that another store took are neither waiting nor damaged, at this start and at all
    that follow.
    """
    first = MemoryStorage()
    second = MemoryStorage()
    worker.record(4)

    async with collecting(tmp_path, first) as plane:
        await plane.until(
            lambda: (
                worker.segment.cells[RELEASED] == plane.sources.attached[worker.source].reader.head
            )
        )

    ids = [*worker.record(2)]
    for _ in range(3):
        async with collecting(tmp_path, second) as plane:
            await plane.until(lambda: plane.ledger().dropped and not plane.ledger().waiting)
            ledger = plane.ledger()
            assert (ledger.received, ledger.dropped) == (4 + ledger.stored, {"other_store": 4})

        assert [record.id for record in await rows(second) if record.kind == "exchange"] == ids
        assert [event["count"] for event in events(await rows(second), "gap")] == [4]
        ids += worker.record(1)

    worker.die()
    async with collecting(tmp_path, second) as plane:
        assert (await plane.until_empty()).dropped == {"other_store": 4}
