"""The ring: what is pushed is read once and in order, what does not fit is counted."""

import pytest

from proxy.ring.entry import PREFIX
from proxy.ring.ring import RingReader, RingWriter
from proxy.ring.segment import Segment
from proxy.ring.segment_layout import HEAD, NO_WAKE, PUSHED, REFUSED_BYTES, WAKE_AT, SegmentError
from tests.proxy.ring.ringing import HEADER, idle, numbers, push


def test_an_entry_comes_back_as_it_was_pushed(segment: Segment) -> None:
    """Kind, header and sections of every buffer type arrive, sections joined, with the offset after
    the entry.
    """
    writer = RingWriter(segment, idle)
    reader = RingReader(segment)
    assert writer.push(7, b"head", [b"one", bytearray(b"two"), b"", memoryview(b"three")])
    assert writer.push(0xFFFE, b"", [])
    (kind, header, sections, end), (second, empty, nothing, last) = reader.read(10, 1 << 20)
    assert (kind, header, bytes(sections[:11]), end) == (7, b"head", b"onetwothree", 32)
    assert (second, empty, last) == (0xFFFE, b"", 48)
    assert len(nothing) < 8
    assert (reader.pushed, reader.taken, reader.cursor, reader.head) == (2, 2, 48, 48)
    assert reader.read(10, 1 << 20) == []


def test_nothing_moves_before_release(segment: Segment) -> None:
    """Reading is private: only release gives room back, never beyond the cursor, never backwards."""
    writer = RingWriter(segment, idle)
    reader = RingReader(segment)
    assert push(writer, 1)
    assert push(writer, 2)
    first, second = (entry[3] for entry in reader.read(10, 1 << 20))
    assert (reader.used_bytes, reader.released) == (second, 0)
    reader.release(first)
    reader.release(0)
    assert (reader.used_bytes, reader.released) == (second - first, first)
    with pytest.raises(ValueError, match="bug: release"):
        reader.release(second + 8)
    with pytest.raises(ValueError, match="bug: release"):
        reader.release(second - 4)


def test_reads_stop_at_records_and_bytes(segment: Segment) -> None:
    """A read gives at most max_records, and stops once max_bytes are reached but never with
    nothing.
    """
    writer = RingWriter(segment, idle)
    reader = RingReader(segment)
    for number in range(10):
        assert push(writer, number, 22)
    assert numbers(reader, max_records=3) == [0, 1, 2]
    assert numbers(reader, max_bytes=1) == [3]
    assert numbers(reader, max_bytes=0) == [4]
    assert numbers(reader, max_bytes=80) == [5, 6]
    assert numbers(reader, max_bytes=81) == [7, 8, 9]


@pytest.mark.parametrize("rest", [0, 8, 16, 24, 400])
def test_every_rest_before_the_end_is_wrapped_over(segment: Segment, rest: int) -> None:
    """Whether the end leaves no room, room for no marker, or just for one, the next entry begins
    the next lap.
    """
    writer = RingWriter(segment, idle)
    reader = RingReader(segment)
    assert push(writer, 1, 4096 - rest - PREFIX.size - HEADER.size - 2)
    assert reader.head == 4096 - rest - (0 if rest % 8 == 0 else 4)
    assert numbers(reader) == [1]
    reader.release(reader.cursor)
    assert push(writer, 2, 700)
    assert numbers(reader, max_bytes=1) == [2]
    assert reader.cursor > 4096
    assert reader.corrupt_records == 0
    reader.release(reader.cursor)

    for number in range(3, 300):
        assert push(writer, number, number)
        assert numbers(reader) == [number]
        reader.release(reader.cursor)

    assert (reader.corrupt_records, reader.taken, reader.refused) == (0, 299, 0)


def test_what_does_not_fit_is_refused_and_counted_with_its_times(segment: Segment) -> None:
    """A full ring and an entry larger than the ring are refused, with bytes and the first and last
    time.
    """
    times = iter([1_000_001, 1_000_002, 1_000_003])
    writer = RingWriter(segment, idle, now_us=lambda: next(times))
    reader = RingReader(segment)
    assert (reader.first_refused_us, reader.refused) == (0, 0)
    assert not push(writer, 0, 5000)
    assert push(writer, 1, 4000)
    assert not push(writer, 2, 100)
    assert not push(writer, 3, 100)
    assert push(writer, 4, 40)
    assert (reader.refused, segment.cells[REFUSED_BYTES]) == (3, 5024 + 2 * 120)
    assert (reader.first_refused_us, reader.last_refused_us) == (1_000_001, 1_000_003)
    assert numbers(reader) == [1, 4]
    assert reader.pushed == 2


def test_the_writer_wakes_only_a_sleeping_reader_and_once(segment: Segment) -> None:
    """A wake-up costs the worker a system call, so it happens once per sleep and not while the
    reader is awake.
    """
    wakes: list[int] = []
    writer = RingWriter(segment, lambda: wakes.append(reader.pushed))
    reader = RingReader(segment)
    reader.stay_awake()
    assert push(writer, 1)
    assert not reader.ask_to_wake(0)
    reader.stay_awake()
    assert push(writer, 2)
    assert wakes == []
    assert numbers(reader) == [1, 2]
    assert reader.ask_to_wake(0)
    assert push(writer, 3)
    assert push(writer, 4)
    # The entry is published before the reader is woken for it.
    assert wakes == [3]
    assert segment.cells[WAKE_AT] == NO_WAKE
    assert not reader.ask_to_wake(0)


def test_a_reader_may_ask_for_more_than_one_entry(segment: Segment) -> None:
    """A pause ends early only where much has come: more than a part of the ring is unread."""
    wakes: list[int] = []
    writer = RingWriter(segment, lambda: wakes.append(reader.pushed))
    reader = RingReader(segment)
    assert reader.ask_to_wake(1 / 8)
    while not wakes:
        assert push(writer, 1)
    assert reader.used_bytes > segment.capacity // 8
    assert not reader.ask_to_wake(1 / 8)
    reader.read(1, 1 << 20)
    assert reader.ask_to_wake(1 / 8)


def test_a_reader_continues_where_its_position_says(segment: Segment) -> None:
    """A new reader begins at the higher of its position and what is released, and knows its count
    from the caller.
    """
    writer = RingWriter(segment, idle)
    reader = RingReader(segment)
    for number in range(4):
        assert push(writer, number)
    ends = [end for *_, end in reader.read(4, 1 << 20)]
    assert numbers(RingReader(segment, ends[1], 2)) == [2, 3]
    reader.release(ends[2])
    again = RingReader(segment)
    assert numbers(again) == [3]
    assert (again.taken, again.corrupt_records) == (4, 0)
    assert numbers(RingReader(segment, ends[0], 1)) == [3]
    assert numbers(RingReader(segment, ends[3] + 4096, 9)) == []


def test_a_ring_that_was_written_before_gets_no_second_writer(segment: Segment) -> None:
    """A new worker makes a new segment: continuing an old ring could repeat offsets that are
    already committed.
    """
    assert push(RingWriter(segment, idle), 1)
    with pytest.raises(SegmentError, match="written before"):
        RingWriter(segment, idle)


@pytest.mark.parametrize("published", [False, True])
def test_the_count_is_right_at_every_instant_of_a_push(segment: Segment, published: bool) -> None:
    """A producer killed before or after publishing head, but before storing its count, leaves both
    in agreement.
    """
    writer = RingWriter(segment, idle)
    reader = RingReader(segment)
    for number in range(10):
        assert push(writer, number)
    before = segment.cells[HEAD]
    assert push(writer, 10)
    segment.cells[PUSHED] = 10
    if not published:
        segment.cells[HEAD] = before
    assert reader.pushed == (11 if published else 10)
    assert len(numbers(reader)) == reader.pushed


@pytest.mark.parametrize("size", [16 * 1024 - 18, 16 * 1024 - 17, 100_000, 1 << 20])
def test_large_entries_are_whole(size: int) -> None:
    """Entries on both sides of the border between the two ways of copying arrive byte for byte."""
    segment = Segment.create(None, b"", ring_bytes=4 << 20, counter_cells=1, inflight_slots=1)
    try:
        writer = RingWriter(segment, idle)
        reader = RingReader(segment)
        body = bytes(range(251)) * (size // 251 + 1)

        for _ in range(9):
            assert writer.push(1, b"header", [body[:1000], body[1000:size]])
            ((_, header, sections, end),) = reader.read(1, 1)
            assert header == b"header"
            assert sections[:size] == body[:size]
            sections.release()
            reader.release(end)
    finally:
        segment.close()
