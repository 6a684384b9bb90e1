"""The spool gives back what it took, in order, whatever happened to its files in between."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from storage.record import Batch, Entry, Position
from storage.writer.spool import (
    END_FILE,
    OTHER_SUFFIX,
    FrameLocation,
    FrameTooLarge,
    Spool,
    SpoolFull,
)
from storage.writer.spool_frames import HEADER_BYTES, Frame, FrameDamaged
from tests.storage.samples import make_body, make_full_record, make_payload, make_record

RING = b"r" * 16
MAX_BYTES = 4 * 1024 * 1024


def make_batch(number: int, records: int = 3) -> Batch:
    """Make a batch whose position tells its number."""
    entries = [Entry(make_full_record(), make_payload(number)) for _ in range(records)]
    return Batch(
        "sidecar-1", entries, {RING: Position(offset=number * 100, taken=number, stored=number)}
    )


def frames(spool: Spool) -> list[Frame]:
    """List the frames that are to be replayed, oldest first."""
    return [location.frame for location in spool._pending]


def large_batch(records: int) -> Batch:
    """Make a batch of about 300 kB per record, which do not compress."""
    entries = []
    for _ in range(records):
        payload = make_payload()
        payload.response_body = make_body(os.urandom(300_000))
        entries.append(Entry(make_record(), payload))
    return Batch("sidecar-1", entries)


def opened(directory: Path, replayed: Position | None = None) -> Spool:
    """Open the spool of a directory anew."""
    spool = Spool(directory, MAX_BYTES)
    spool.load(replayed or Position())
    return spool


def put(spool: Spool, batch: Batch) -> FrameLocation:
    """Write and append a batch."""
    place = spool.write(batch, opened_at_us=7, is_doubtful=False)
    spool.append(place)
    return place


def contents(spool: Spool) -> list[list[Entry]]:
    """Read everything that waits."""
    return [spool.read(place) for place in spool._pending]


def test_a_segment_of_another_version_is_not_deleted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is set aside as it is and told, its records are missing as damaged ones are, and what is
    new is written.
    """
    spool = opened(tmp_path)
    path = put(spool, make_batch(1)).path
    spool.close()
    newer = b"SLs2" + path.read_bytes()[4:]
    path.write_bytes(newer)
    spool = opened(tmp_path)
    assert (contents(spool), spool.pending_records) == ([], 3)
    put(spool, make_batch(2))
    spool.settle(Position(offset=2, taken=6))
    spool.collect()
    spool.close()
    (kept,) = tmp_path.glob("*" + OTHER_SUFFIX)
    assert kept.read_bytes() == newer
    assert "written by another version of sidelog" in caplog.text


def damage(path: Path, offset: int, length: int = 1) -> None:
    """Flip bits of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        old = file.read(length)
        file.seek(offset)
        file.write(bytes(byte ^ 0xFF for byte in old))


def test_frames_come_back_after_a_start(tmp_path: Path) -> None:
    """What was written is read by another process, with positions, and counted."""
    spool = opened(tmp_path)
    batches = [make_batch(number) for number in (1, 2, 3)]
    for batch in batches:
        put(spool, batch)
    spool.close()
    again = opened(tmp_path)
    assert contents(again) == [batch.entries for batch in batches]
    assert again.pending_records == 9
    assert again.positions == batches[2].positions
    assert [frame.opened_at_us for frame in frames(again)] == [7, 7, 7]
    again.close()


def test_replayed_frames_are_passed_over_and_deleted(tmp_path: Path) -> None:
    """What the store has is not given again, and segments of which nothing waits are deleted."""
    spool = opened(tmp_path)
    for number in (1, 2):
        put(spool, make_batch(number))
    spool.close()
    again = opened(tmp_path, Position(offset=1, taken=3))
    assert again.pending_records == 3
    assert [frame.number for frame in frames(again)] == [2]
    again.settle(Position(offset=2, taken=6))
    again.collect()
    assert (again.pending_records, again.size_bytes) == (0, 0)
    assert list(tmp_path.glob("*.spool")) == []
    third = put(again, make_batch(3))
    assert (third.frame.number, third.frame.first_record) == (3, 6)
    again.close()


def test_the_budget_is_kept_to_the_segment(tmp_path: Path) -> None:
    """Segments are a quarter of a small budget, allocated at once, and never more than fit into it."""
    spool = opened(tmp_path)
    for _ in range(4):
        put(spool, large_batch(2))
    with pytest.raises(SpoolFull, match="the spool is full: 4 segments of 1048576 bytes"):
        put(spool, large_batch(2))
    sizes = [path.stat().st_size for path in tmp_path.glob("*.spool")]
    assert sizes == [1024 * 1024] * 4
    assert spool.size_bytes == spool.capacity_bytes == MAX_BYTES
    taken = spool.pending_records
    assert sum(len(entries) for entries in contents(spool)) == taken == 8
    first = spool.oldest
    assert first is not None
    spool.settle(Position(offset=first.frame.number, taken=first.frame.end_record))
    spool.collect()
    put(spool, large_batch(1))
    spool.close()


def test_a_frame_larger_than_a_segment_is_refused(tmp_path: Path) -> None:
    """The caller is told to cut it; nothing is written."""
    spool = opened(tmp_path)
    with pytest.raises(FrameTooLarge):
        put(spool, large_batch(4))
    assert spool.pending_records == 0
    spool.close()


def test_what_cannot_be_packed_is_escaped(tmp_path: Path) -> None:
    """A record with a lone surrogate is spooled as a store that refuses it would get it."""
    spool = opened(tmp_path)
    put(
        spool,
        Batch("sidecar-1", [Entry(make_record(path="/\udc80")), Entry(make_record(path="/b"))]),
    )
    assert [entry.record.path for entry in contents(spool)[0]] == ["/\\udc80", "/b"]
    spool.close()


@pytest.mark.parametrize(("place", "bad"), [(0, {0}), (1, {1}), (2, {2})])
def test_damaged_records_are_told_and_the_others_read(
    tmp_path: Path, place: int, bad: set[int]
) -> None:
    """A frame whose records are damaged keeps its position; all others are there."""
    spool = opened(tmp_path)
    locations = [put(spool, make_batch(number)) for number in (1, 2, 3)]
    frame = locations[place].frame
    spool.close()
    damage(
        locations[place].path,
        locations[place].offset + HEADER_BYTES + frame.meta_bytes + frame.records_bytes // 2,
    )
    again = opened(tmp_path)
    assert again.pending_records == 9

    for number, found in enumerate(again._pending):
        if number in bad:
            with pytest.raises(FrameDamaged):
                again.read(found)
        else:
            assert len(again.read(found)) == 3

    again.close()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_damaged_head_costs_its_frame_only(tmp_path: Path, place: int) -> None:
    """The frame is skipped, the next is found, and how many records are missing is known, at the
    end too.
    """
    spool = opened(tmp_path)
    locations = [put(spool, make_batch(number)) for number in (1, 2, 3)]
    spool.close()
    damage(locations[place].path, locations[place].offset + 20)
    again = opened(tmp_path)
    assert [frame.number for frame in frames(again)] == [
        number for number in (1, 2, 3) if number != place + 1
    ]
    assert again.pending_records == 9
    assert again.positions[RING].taken == 3
    new = put(again, make_batch(4))
    assert (new.frame.number, new.frame.first_record) == (4, 9)
    again.close()


def test_a_truncated_or_missing_file_is_no_reason_not_to_start(tmp_path: Path) -> None:
    """A segment that was cut, an empty one and a damaged end file: what is left is read."""
    spool = opened(tmp_path)
    locations = [put(spool, make_batch(number)) for number in (1, 2)]
    spool.close()
    os.truncate(locations[1].path, locations[1].offset + 30)
    (tmp_path / "00000000000000000009.spool").write_bytes(b"")
    (tmp_path / END_FILE).write_bytes(b"\x05\x00")
    again = opened(tmp_path)
    assert [frame.number for frame in frames(again)] == [1]
    assert again.pending_records == 3
    again.close()


def test_a_frame_half_written_is_not_there(tmp_path: Path) -> None:
    """A kill between a frame's records and its head leaves no trace of it."""
    spool = opened(tmp_path)
    first = put(spool, make_batch(1))
    end = (tmp_path / END_FILE).read_bytes()
    second = spool.write(make_batch(2), opened_at_us=7, is_doubtful=False)
    spool.close()
    with second.path.open("r+b") as file:
        file.seek(second.offset)
        file.write(bytes(HEADER_BYTES))
    (tmp_path / END_FILE).write_bytes(end)
    again = opened(tmp_path)
    assert [frame.number for frame in frames(again)] == [first.frame.number]
    assert again.pending_records == 3
    again.close()


def failing(after: int, code: int) -> Callable[..., None]:
    """Make a function that fails once, after so many calls."""
    calls = 0

    def call(*arguments: int) -> None:
        nonlocal calls
        calls += 1
        if calls == after:
            raise OSError(code, os.strerror(code))

    return call


def test_a_full_disk_is_full_until_there_is_room(tmp_path: Path) -> None:
    """A segment that cannot be allocated leaves no file; the next attempt may succeed."""
    spool = Spool(tmp_path, MAX_BYTES, allocate=failing(1, errno.ENOSPC))
    spool.load(Position())
    with pytest.raises(SpoolFull, match="no room for 1048576 bytes in"):
        spool.write(make_batch(1), opened_at_us=7, is_doubtful=False)
    assert list(tmp_path.glob("*.spool")) == []
    put(spool, make_batch(1))
    assert spool.pending_records == 3
    spool.close()


def test_an_end_that_cannot_be_noted_costs_no_frame(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A frame is there once, and counts, though the file beside it cannot be written; that is said
    once.
    """
    (tmp_path / END_FILE).mkdir()
    spool = opened(tmp_path)
    for number in (1, 2, 3):
        put(spool, make_batch(number))
    assert (spool.pending_records, len(list(tmp_path.glob("*.spool"))), spool.errors) == (9, 1, 1)
    assert caplog.text.count("the end file of the spool cannot be written") == 1
    spool.close()
    again = opened(tmp_path, Position(offset=1, taken=3))
    assert (again.pending_records, len(contents(again))) == (6, 2)
    again.close()


def test_a_close_waits_for_a_thread_that_is_at_work(tmp_path: Path) -> None:
    """The task that awaited it may have been cancelled: no descriptor is closed under it, and none
    twice.
    """
    begun = threading.Event()
    may_end = threading.Event()

    def synchronize(fd: int) -> None:
        if not begun.is_set():
            begun.set()
            may_end.wait(60)
        os.fdatasync(fd)

    spool = Spool(tmp_path, MAX_BYTES, synchronize=synchronize)
    batch = make_batch(1)
    put(spool, batch)
    working = threading.Thread(target=spool.synchronize)
    working.start()
    assert begun.wait(60)
    closing = threading.Thread(target=spool.close)
    closing.start()
    closing.join(0.1)
    may_end.set()
    working.join(60)
    closing.join(60)
    assert spool.errors == 0
    with pytest.raises(SpoolFull, match="the spool is closed"):
        spool.write(make_batch(2), opened_at_us=7, is_doubtful=False)
    spool.settle(Position(offset=1, taken=3))
    spool.collect()
    assert contents(opened(tmp_path)) == [batch.entries]


def test_a_segment_that_cannot_be_synced_is_left(tmp_path: Path) -> None:
    """After a failed sync writing goes on in another segment, it is counted, and nothing is
    missing.
    """
    spool = Spool(tmp_path, MAX_BYTES, synchronize=failing(1, errno.EIO))
    spool.load(Position())
    first = put(spool, make_batch(1))
    spool.synchronize()
    second = put(spool, make_batch(2))
    spool.synchronize()
    assert first.path != second.path
    assert spool.errors == 1
    assert len(contents(spool)) == 2
    spool.close()


class SpoolModel(RuleBasedStateMachine):
    """The spool beside a plain list of what must be in it, with starts anew at any moment."""

    directory: Path
    has_written = False

    @initialize()
    def start(self) -> None:
        for path in self.directory.iterdir():
            path.unlink()
        self.replayed = Position()
        self.waiting: list[tuple[int, list[bytes]]] = []
        self.next_number = 1
        self.spool = opened(self.directory)

    @rule(records=st.integers(0, 4))
    def write(self, records: int) -> None:
        self.put(make_batch(self.next_number, records))

    @rule(records=st.integers(1, 3))
    def write_large(self, records: int) -> None:
        self.put(large_batch(records))

    def put(self, batch: Batch) -> None:
        try:
            place = put(self.spool, batch)
        except SpoolFull:
            assert self.spool.size_bytes == MAX_BYTES
            return

        assert place.frame.number == self.next_number
        SpoolModel.has_written = True
        self.waiting.append((self.next_number, [entry.record.id for entry in batch.entries]))
        self.next_number += 1

    @precondition(lambda self: self.waiting)
    @rule()
    def replay(self) -> None:
        number, ids = self.waiting.pop(0)
        oldest = self.spool.oldest
        assert oldest is not None
        assert oldest.frame.number == number
        assert [entry.record.id for entry in self.spool.read(oldest)] == ids
        self.replayed = Position(offset=number, taken=self.replayed.taken + len(ids))
        self.spool.settle(self.replayed)
        self.spool.collect()

    @rule()
    def start_anew(self) -> None:
        self.spool.close()
        self.spool = opened(self.directory, self.replayed)

    @invariant()
    def holds_what_waits(self) -> None:
        if hasattr(self, "spool"):
            assert [frame.number for frame in frames(self.spool)] == [
                number for number, _ in self.waiting
            ]
            assert self.spool.pending_records == sum(len(ids) for _, ids in self.waiting)
            assert self.spool.size_bytes <= MAX_BYTES

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.spool.close()


def test_the_spool_is_a_queue_that_survives(tmp_path: Path) -> None:
    """Whatever the order of writes, replays and starts, it holds exactly what was written and not
    replayed.
    """
    SpoolModel.directory = tmp_path
    run_state_machine_as_test(
        SpoolModel, settings=settings(max_examples=10, stateful_step_count=20)
    )
    assert SpoolModel.has_written  # the model compares after each step
