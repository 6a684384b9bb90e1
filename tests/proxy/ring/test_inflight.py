"""The in-flight table: what is filled is seen until it is cleared, torn slots never are."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import hypothesis.strategies as st
import pytest
from hypothesis import given

from proxy.ring.inflight import (
    BODY_BYTES,
    HEAD_BYTES,
    NAMES_BYTES,
    Caller,
    InflightExchange,
    InflightReader,
    InflightWriter,
)
from proxy.ring.segment import Segment
from tests.support.programs import PROGRAM_S


@pytest.fixture
def segment() -> Iterator[Segment]:
    """A segment with four slots."""
    made = Segment.create(None, b"", ring_bytes=4096, counter_cells=1, inflight_slots=4)
    yield made
    made.close()


def fill(writer: InflightWriter, number: int) -> int:
    """Fill a slot with bytes that all say `number`."""
    byte = bytes([number])
    return writer.fill(byte * 16, number, number, byte * 10, byte * 1000, byte * 2000)


def numbers(reader: InflightReader) -> list[int]:
    """Scan, check that every field of a slot belongs to one fill, and return the numbers."""
    found = []
    for exchange in reader.scan():
        number = exchange.started_at_us
        byte = bytes([number])
        assert exchange == InflightExchange(
            record_id=byte * 16,
            started_at_us=number,
            route=number,
            client_ip=byte * 10,
            head=byte * 1000,
            head_truncated=False,
            body=byte * 2000,
        )
        found.append(number)

    return found


def test_exchanges_are_seen_from_fill_to_clear(segment: Segment) -> None:
    """A scan shows what was filled and not cleared; freed slots are used again."""
    writer = InflightWriter(segment)
    reader = InflightReader(segment)
    assert reader.scan() == []
    slots = [fill(writer, number) for number in (1, 2, 3)]
    assert slots == [0, 1, 2]
    assert numbers(reader) == [1, 2, 3]
    writer.clear(slots[1])
    assert numbers(reader) == [1, 3]
    assert fill(writer, 4) == slots[1]
    assert numbers(reader) == [1, 4, 3]


def test_the_status_comes_later_and_goes_with_its_exchange(segment: Segment) -> None:
    """0 until it is noted; whoever gets the slot next begins without one."""
    writer = InflightWriter(segment)
    reader = InflightReader(segment)
    slots = [fill(writer, number) for number in (1, 2)]
    writer.note_status(slots[1], 503)
    assert [exchange.status for exchange in reader.scan()] == [0, 503]
    writer.clear(slots[1])
    assert fill(writer, 3) == slots[1]
    assert [(exchange.started_at_us, exchange.status) for exchange in reader.scan()] == [
        (1, 0),
        (3, 0),
    ]


def test_a_full_table_takes_no_more(segment: Segment) -> None:
    """Without a free slot the answer is -1; the noted ones are untouched."""
    writer = InflightWriter(segment)
    reader = InflightReader(segment)
    assert [fill(writer, number) for number in range(1, 7)] == [0, 1, 2, 3, -1, -1]
    assert numbers(reader) == [1, 2, 3, 4]
    writer.clear(3)
    assert fill(writer, 9) == 3


@given(
    st.binary(max_size=4000),
    st.binary(max_size=4000),
    st.binary(max_size=46),
    st.integers(0, (1 << 32) - 1),
)
def test_heads_and_bodies_are_kept_up_to_their_limits(
    head: bytes, body: bytes, client: bytes, route: int
) -> None:
    """Anything fits: head and body are cut at their limits, and a cut head says so."""
    segment = Segment.create(None, b"", ring_bytes=4096, counter_cells=1, inflight_slots=2)
    try:
        writer = InflightWriter(segment)
        reader = InflightReader(segment)
        fill(writer, 7)
        writer.fill(b"i" * 16, 1 << 60, route, client, head, body)
        found = reader.scan()
        assert found[1] == InflightExchange(
            record_id=b"i" * 16,
            started_at_us=1 << 60,
            route=route,
            client_ip=client,
            head=head[:HEAD_BYTES],
            head_truncated=len(head) > HEAD_BYTES,
            body=body[:BODY_BYTES],
        )
        assert found[0].started_at_us == 7
    finally:
        segment.close()


def test_a_slot_in_writing_is_passed_over(segment: Segment) -> None:
    """While a fill goes on, for ever if the worker dies in it, its slot is not seen; the others
    are.
    """
    writer = InflightWriter(segment)
    reader = InflightReader(segment)
    writer.clear(fill(writer, 1))
    seen: list[list[int]] = []

    class Watched:
        """A head that looks at the table while it is being copied."""

        def __len__(self) -> int:
            return 4

        def __getitem__(self, part: slice) -> bytes:
            seen.append(numbers(reader))
            return b"head"[part]

    writer.fill(b"w" * 16, 2, 2, b"", Watched(), b"")  # type: ignore[arg-type] # stands for bytes
    fill(writer, 3)
    assert seen == [[]]
    assert [exchange.started_at_us for exchange in reader.scan()] == [2, 3]


def test_a_slot_that_never_rests_is_passed_over(segment: Segment) -> None:
    """A slot that changes during every attempt is left out; the scan ends."""
    writer = InflightWriter(segment)
    reader = InflightReader(segment)
    fill(writer, 1)
    fill(writer, 2)

    class Restless:
        """A table whose first slot changes whenever it is copied."""

        def __getitem__(self, part: slice) -> bytes:
            if part.start == 0:
                writer.clear(0)
                fill(writer, 1)
            return bytes(segment.inflight[part])

    reader._table = Restless()  # type: ignore[assignment] # stands between reader and memory
    assert numbers(reader) == [2]


def test_a_slot_that_changes_while_it_is_copied_is_read_again(segment: Segment) -> None:
    """A scan that is overtaken by a clear and a new fill gives the new exchange, never a mixture."""
    writer = InflightWriter(segment)
    reader = InflightReader(segment)
    fill(writer, 1)

    class Overtaken:
        """A table that is written while it is read, the first time."""

        def __init__(self) -> None:
            self.copies = 0

        def __getitem__(self, part: slice) -> bytes:
            torn = bytes(segment.inflight[part])
            self.copies += 1
            if self.copies == 1:
                writer.clear(0)
                fill(writer, 2)
            return torn

    table = Overtaken()
    reader._table = table  # type: ignore[assignment] # stands between reader and memory
    assert numbers(reader) == [2]
    assert table.copies == 2


@given(st.binary(min_size=200, max_size=200))
def test_any_bytes_are_scanned_without_an_error(raw: bytes) -> None:
    """A damaged table gives nonsense of bounded size, not a crash."""
    segment = Segment.create(None, b"", ring_bytes=4096, counter_cells=1, inflight_slots=2)
    try:
        segment.inflight[:200] = raw
        segment.inflight[0] = raw[0] | 1
        for exchange in InflightReader(segment).scan():
            assert len(exchange.head) <= HEAD_BYTES
            assert len(exchange.body) <= BODY_BYTES
    finally:
        segment.close()


WRITER = """
import sys
from proxy.ring.inflight import InflightWriter
from proxy.ring.segment import Segment

segment = Segment.from_fd(int(sys.argv[1]))
writer = InflightWriter(segment)
slots, number = [], 0
while True:
    number = number % 250 + 1
    byte = bytes([number])
    slots.append(writer.fill(byte * 16, number, number, byte * 10, byte * 1000, byte * 2000))
    if len(slots) == 4:
        writer.clear(slots.pop(0))
    segment.counters[0] += 1
"""


def test_scans_beside_a_busy_writer_and_after_its_death_are_never_torn(segment: Segment) -> None:
    """A real worker fills and clears as fast as it can: every exchange that is seen is one whole
    fill.
    """
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(segment.fd)], pass_fds=[segment.fd])
    reader = InflightReader(segment)
    seen = 0

    with child:
        try:
            deadline = time.monotonic() + PROGRAM_S
            while segment.counters[0] < 1000:
                assert time.monotonic() < deadline, "the writer did not begin"
            end = time.monotonic() + random.Random(1).uniform(0.2, 0.3)
            while time.monotonic() < end or seen <= 100:
                assert time.monotonic() < deadline, f"{seen} seen"
                seen += len(numbers(reader))
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait(60)

    assert 2 <= len(numbers(reader)) <= 4


@pytest.mark.parametrize(
    ("noted", "found"),
    [
        (Caller(), Caller()),
        (Caller(bytes(17), b"", b"ann"), Caller(bytes(17), b"", b"ann")),
        (Caller(b"a" * 17, b"p" * NAMES_BYTES), Caller(b"a" * 17, b"p" * NAMES_BYTES)),
        (Caller(b"a" * 17, b"p" * NAMES_BYTES, b"u"), None),
        (None, None),
    ],
)
def test_a_caller_is_whole_or_unknown(
    segment: Segment, noted: Caller | None, found: Caller | None
) -> None:
    """Names are never cut: a part of a project's name may be another's. Nothing of the slot's last
    user stays.
    """
    writer = InflightWriter(segment)
    reader = InflightReader(segment)
    writer.clear(writer.fill(b"1" * 16, 1, 1, b"", b"", b"", Caller(b"x" * 17, b"other", b"other")))
    writer.fill(b"2" * 16, 1, 1, b"", b"", b"", noted)
    (exchange,) = reader.scan()
    assert exchange.caller == found
