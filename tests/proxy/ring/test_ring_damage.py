"""A damaged ring: what is hit is skipped and counted, nothing else is lost, and nothing forged is
read.
"""

from collections.abc import Callable
from contextlib import closing

import hypothesis.strategies as st
import pytest
from hypothesis import given

from proxy.ring.entry import PREFIX, WRAP
from proxy.ring.ring import RingReader, RingWriter
from proxy.ring.segment import Segment
from proxy.ring.segment_layout import HEAD, RELEASED, SegmentError
from tests.proxy.ring.ringing import HEADER, idle, numbers, push
from tests.support.cases import each_of


class Clock:
    """Time that only passes while somebody sleeps; `on_sleep` may act meanwhile."""

    def __init__(self) -> None:
        self.now = 0.0
        self.on_sleep: Callable[[], None] = idle

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.on_sleep()


@each_of("position", range(PREFIX.size + HEADER.size))
@each_of("change", [0x01, 0x80, 0xFF])
@each_of("victim", [0, 3, 5])
def test_a_damaged_byte_costs_exactly_its_record(position: int, change: int, victim: int) -> None:
    """Any changed byte of prefix or header, of the first, a middle or the newest entry, costs that
    entry only.
    """
    clock = Clock()
    with closing(
        Segment.create(None, b"", ring_bytes=4096, counter_cells=1, inflight_slots=1)
    ) as segment:
        writer = RingWriter(segment, idle)
        reader = RingReader(segment, clock=clock, sleep=clock.sleep)
        starts = []
        for number in range(6):
            starts.append(reader.head)
            assert push(writer, number, 100)
        segment.data[starts[victim] + position] ^= change
        assert numbers(reader) == [number for number in range(6) if number != victim]
        assert (reader.corrupt_records, reader.taken, reader.cursor) == (1, 6, reader.head)
        assert push(writer, 6)
        assert numbers(reader) == [6]
        assert (reader.corrupt_records, reader.taken) == (1, 7)


def test_damage_skipped_before_a_restart_is_counted_after_it(segment: Segment) -> None:
    """A reader that ends behind damage, before it has caught up, leaves the counting to the next
    one.
    """
    writer = RingWriter(segment, idle)
    reader = RingReader(segment)
    for number in range(6):
        assert push(writer, number, 86)
    segment.data[2 * 104] ^= 0xFF
    assert numbers(reader, max_records=4) == [0, 1, 3, 4]
    assert (reader.corrupt_records, reader.taken) == (0, 4)
    successor = RingReader(segment, reader.cursor, reader.taken)
    assert numbers(successor) == [5]
    assert (successor.corrupt_records, successor.taken) == (1, 6)


def test_damage_over_many_records_counts_them_all(segment: Segment) -> None:
    """The producer's count says how many entries lay in a destroyed stretch, also to a reader that
    began later.
    """
    writer = RingWriter(segment, idle)
    for number in range(20):
        assert push(writer, number, 86)
    segment.data[10 * 104 : 15 * 104 + 50] = b"\xa5" * (5 * 104 + 50)
    assert numbers(reader := RingReader(segment)) == [*range(10), *range(16, 20)]
    assert (reader.corrupt_records, reader.taken) == (6, 20)
    late = RingReader(segment, 5 * 104, 5)
    assert numbers(late) == [*range(5, 10), *range(16, 20)]
    assert (late.corrupt_records, late.taken) == (6, 20)
    untold = RingReader(segment, 5 * 104)
    assert numbers(untold) == [*range(5, 10), *range(16, 20)]
    assert (untold.corrupt_records, untold.taken) == (1, 20)


@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=40),
    st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=90)), max_size=4),
)
def test_any_damage_is_survived_and_every_record_is_read_or_counted(
    sizes: list[int], damages: list[tuple[int, bytes]]
) -> None:
    """Whatever is written over the ring, reading ends at head, in order, and read + corrupt =
    pushed.
    """
    segment = Segment.create(None, b"", ring_bytes=4096, counter_cells=1, inflight_slots=1)
    clock = Clock()
    try:
        writer = RingWriter(segment, idle)
        first = RingReader(segment)
        pushed = 0

        for size in sizes * 2:
            pushed += push(writer, pushed, size)
            # Half is read before the damage, so that the second half wraps.
            if pushed == len(sizes):
                first.read(pushed, 1 << 20)
                first.release(first.cursor)

        begin = first.taken
        for at, junk in damages:
            segment.data[at : at + len(junk)] = junk
        reader = RingReader(segment, first.cursor, begin, clock=clock, sleep=clock.sleep)
        found = [HEADER.unpack(entry[1])[0] for entry in reader.read(1000, 1 << 20)]
        assert found == sorted(set(found))
        assert set(found) <= set(range(begin, pushed))
        assert (reader.cursor, reader.taken) == (reader.head, pushed)
        assert reader.corrupt_records == pushed - begin - len(found)
    finally:
        segment.close()


def test_a_damaged_marker_costs_no_record(segment: Segment) -> None:
    """A wrap marker is no record: losing it is not counted as one, and its stale bytes are not
    taken for entries.
    """
    writer = RingWriter(segment, idle)
    reader = RingReader(segment)
    for number in range(59):
        assert push(writer, number, 82)
        assert numbers(reader) == [number]
        reader.release(reader.cursor)

    # Half of the second lap is written; behind the marker lie whole entries of the first one.
    at = reader.cursor % 4096
    assert push(writer, 59, 2000)
    length, _, header_bytes, kind = PREFIX.unpack_from(segment.data, at)
    assert (length, header_bytes, kind) == (4096 - at, 0, WRAP)
    segment.data[at] ^= 0xFF
    assert push(writer, 60)
    assert numbers(reader) == [59, 60]
    assert (reader.corrupt_records, reader.taken) == (0, 61)


def test_an_entry_that_becomes_visible_late_is_not_corrupt(segment: Segment) -> None:
    """On a weakly ordered machine head may be seen before the bytes: the newest entry gets 10 ms."""
    clock = Clock()
    writer = RingWriter(segment, idle)
    reader = RingReader(segment, clock=clock, sleep=clock.sleep)
    assert push(writer, 1)
    assert push(writer, 2)
    whole = bytes(segment.data[40:80])
    segment.data[40:80] = bytes(40)

    def appear() -> None:
        if clock.now > 0.008:
            segment.data[40:80] = whole

    clock.on_sleep = appear
    assert numbers(reader) == [1, 2]
    assert reader.corrupt_records == 0
    assert 0.008 < clock.now < 0.010


def test_bytes_of_an_earlier_lap_never_pass_for_an_entry(segment: Segment) -> None:
    """Equal records lie at equal places in each lap; a head that is seen too early must not bring
    the old one back.
    """
    clock = Clock()
    writer = RingWriter(segment, idle)
    reader = RingReader(segment, clock=clock, sleep=clock.sleep)
    for _ in range(64):
        assert push(writer, 1, 46)
    assert len(numbers(reader)) == 64
    reader.release(4096)
    segment.cells[HEAD] = 4096 + 64 | 65 & 7
    assert numbers(reader) == []
    assert (reader.corrupt_records, reader.taken) == (1, 65)


def test_an_entry_forged_in_a_body_is_not_read(segment: Segment) -> None:
    """A body that copies a real entry does not become a record when the one around it is damaged."""
    clock = Clock()
    writer = RingWriter(segment, idle)
    reader = RingReader(segment, clock=clock, sleep=clock.sleep)
    assert push(writer, 1)
    forged = bytes(segment.data[:40])
    assert writer.push(1, HEADER.pack(2, 0), [bytes(6), forged * 20])
    assert push(writer, 3)
    segment.data[40] ^= 0x10
    assert numbers(reader) == [1, 3]
    assert reader.corrupt_records == 1


@pytest.mark.parametrize("head", [4096 + 8, 1 << 40, (1 << 64) - 8])
def test_a_damaged_head_is_an_error_not_a_crash(segment: Segment, head: int) -> None:
    """A head further away than the ring is long is reported as a damaged header, at start and while
    reading.
    """
    reader = RingReader(segment)
    segment.cells[HEAD] = head
    with pytest.raises(SegmentError, match="damaged header"):
        reader.read(1, 1)
    with pytest.raises(SegmentError, match="damaged header"):
        RingReader(segment)


def test_a_position_off_the_grid_is_an_error(segment: Segment) -> None:
    """Entries begin at multiples of 8; a position that does not is not one of this ring."""
    with pytest.raises(SegmentError, match="position 4 is not a multiple of 8"):
        RingReader(segment, 4)
    segment.cells[RELEASED] = 12
    with pytest.raises(SegmentError, match="position 12 is not a multiple of 8"):
        RingReader(segment)
