"""A cut file costs what lay behind the cut, exactly, and no process its life."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.ring.mend import pushed_in
from proxy.ring.ring import RingReader, RingWriter
from proxy.ring.segment import Segment
from proxy.ring.segment_layout import PAGE, PUSHED, SegmentError, file_bytes
from tests.proxy.ring.ringing import idle, numbers, push

CAPACITY = 4 * PAGE


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Segment]:
    """A ring of four pages, held by this process."""
    made = Segment.create(tmp_path, b"{}", ring_bytes=CAPACITY, counter_cells=1, inflight_slots=1)
    yield made
    made.close()


def whole(ring: Segment) -> int:
    """The size of its file."""
    return ring.data_offset + CAPACITY


def test_only_what_is_shorter_is_mended(ring: Segment) -> None:
    """A whole file is left alone."""
    assert ring.mend() is None
    assert file_bytes(os.pread(ring.fd, PAGE, 0)) == whole(ring)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_what_lies_before_the_cut_is_read_and_the_rest_is_counted(tmp_path: Path, data: st.DataObject) -> None:
    """Wherever the cut is, over laps and while the producer goes on; every entry that is read is whole."""
    ring = Segment.create(tmp_path, b"{}", ring_bytes=CAPACITY, counter_cells=1, inflight_slots=1)
    writer, reader = RingWriter(ring, idle), RingReader(ring)
    before = data.draw(st.integers(0, 40), label="read and released")
    for number in range(before):
        assert push(writer, number, number * 37 % 900)
        assert numbers(reader) == [number]
        reader.release(reader.cursor)
    ends: dict[int, tuple[int, int]] = {}
    number = before
    while True:
        start, size = reader.head, number * 53 % 900
        if not push(writer, number, size):
            break
        ends[number] = (start, reader.head)
        number += 1
        if number - before >= data.draw(st.integers(1, 20), label="pushed"):
            break
    cut = data.draw(st.integers(0, CAPACITY - 1), label="cut") & ~7
    os.ftruncate(ring.fd, ring.data_offset + cut)
    assert ring.path is not None
    successor = Segment.attach(ring.path)  # mends it, for everybody
    assert os.fstat(ring.fd).st_size == whole(ring)
    assert ring.mend() is None
    again = RingReader(successor, reader.cursor, before)
    found = numbers(again)
    for each, (start, end) in ends.items():
        is_whole = end % CAPACITY in range(1, cut + 1) and start % CAPACITY < end % CAPACITY
        if is_whole:
            assert each in found
        elif start % CAPACITY < end % CAPACITY or end % CAPACITY == 0:
            assert each not in found
    assert len(found) + again.corrupt_records == len(ends)
    again.release(again.cursor)
    assert push(writer, 1000, 100)
    assert numbers(again) == [1000]
    assert len(found) + 1 + again.corrupt_records == len(ends) + 1
    for segment in (ring, successor):
        segment.close()
    ring.unlink()


def test_an_entry_that_crosses_the_cut_is_not_read(ring: Segment) -> None:
    """Its header is whole, its body is not: the checksum does not see that."""
    writer = RingWriter(ring, idle)
    for number in range(5):
        assert push(writer, number, 1000)
    os.ftruncate(ring.fd, ring.data_offset + 2500)
    assert ring.mend() == ring.data_offset + 2500
    reader = RingReader(ring)
    assert numbers(reader) == [0, 1]
    assert reader.corrupt_records == 3


def test_a_cut_before_the_ring_costs_tables_and_entries(ring: Segment) -> None:
    """What the descriptor said is gone; how many there were is known."""
    assert ring.path is not None
    writer = RingWriter(ring, idle)
    assert push(writer, 0)
    os.ftruncate(ring.fd, PAGE)
    successor = Segment.attach(ring.path)
    assert successor.descriptor == bytes(2)
    reader = RingReader(successor)
    assert (numbers(reader), reader.corrupt_records) == ([], 1)
    successor.close()


def test_without_its_header_page_a_file_is_no_ring(ring: Segment, tmp_path: Path) -> None:
    """How many entries there were may be left of it, and nothing else is known."""
    assert ring.path is not None
    writer = RingWriter(ring, idle)
    assert push(writer, 0)
    assert push(writer, 1)
    for size, pushed in ((PAGE - 1, 2), (8 * PUSHED + 8, 2), (8 * PUSHED + 7, 0), (0, 0)):
        (tmp_path / "copy").write_bytes(ring.path.read_bytes()[:size])
        with pytest.raises(SegmentError, match="damaged header"):
            Segment.attach(tmp_path / "copy")
        assert pushed_in(tmp_path / "copy") == pushed
    (tmp_path / "copy").write_bytes(bytes(PAGE))
    assert (pushed_in(tmp_path / "copy"), pushed_in(tmp_path / "none")) == (0, 0)
    os.truncate(ring.path, PAGE - 1)
    os.truncate(ring.path, whole(ring))  # so that the fixture can close it
