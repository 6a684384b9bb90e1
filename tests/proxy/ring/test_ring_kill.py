"""Kill -9 of real writers and readers at random moments: every completed push is read exactly once."""

import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.ring.ring import RingReader, RingWriter
from proxy.ring.segment import Segment, segments_in
from tests.support.programs import PROGRAM_S

WRITER = """
import struct, sys
from pathlib import Path
from proxy.ring.ring import RingWriter
from proxy.ring.segment import Segment

segment = Segment.create(Path(sys.argv[1]), b"", ring_bytes=1 << 16, counter_cells=2, inflight_slots=1)
writer = RingWriter(segment, lambda: None)
number = 0
while True:
    size = number * 37 % 3000
    if writer.push(1, struct.pack("<QI", number, size), [bytes([number % 256]) * size]):
        number += 1
        segment.counters[0] = number
"""

READER = """
import os, struct, sys
from pathlib import Path
from proxy.ring.ring import RingReader
from proxy.ring.segment import Segment

segment = Segment.attach(Path(sys.argv[1]))
reader = RingReader(segment, int(sys.argv[2]), int(sys.argv[3]))
while True:
    entries = reader.read(16, 1 << 20)
    if entries:
        numbers = [str(struct.unpack("<Q", header)[0]) for _, header, _, _ in entries]
        # One write below PIPE_BUF is one transaction: numbers and position together, or neither.
        os.write(1, f"{reader.cursor} {reader.taken} {' '.join(numbers)}\\n".encode())
        reader.release(reader.cursor)
"""


def process(program: str, *arguments: object) -> "subprocess.Popen[bytes]":
    """Start a program of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)], stdout=subprocess.PIPE
    )


def drained(reader: RingReader, expected: int) -> int:
    """Read and release everything; check content and order from record `expected` on; return the
    next number.
    """
    while entries := reader.read(64, 1 << 20):
        for _, header, sections, _ in entries:
            size = expected * 37 % 3000
            assert (int.from_bytes(header[:8], "little"), int.from_bytes(header[8:], "little")) == (
                expected,
                size,
            )
            assert bytes(sections[:size]) == bytes([expected % 256]) * size
            expected += 1

        reader.release(reader.cursor)

    return expected


def found(directory: Path) -> Path:
    """Wait for the ring of a writer that was just started."""
    deadline = time.monotonic() + PROGRAM_S
    while not segments_in(directory):
        assert time.monotonic() < deadline, "the writer made no ring"
        time.sleep(0.005)
    return segments_in(directory)[0]


@pytest.mark.parametrize("seed", range(12))
def test_a_killed_writer_leaves_every_completed_push(tmp_path: Path, seed: int) -> None:
    """What a push returned True for is there once and whole; of the push that was cut short,
    nothing or all.
    """
    chance = random.Random(seed)
    child = process(WRITER, tmp_path)
    with child:
        try:
            segment = Segment.attach(found(tmp_path))
            reader = RingReader(segment)
            end = time.monotonic() + chance.uniform(0.0, 0.15)
            read = 0
            while time.monotonic() < end or not segment.counters[0]:
                read = drained(reader, read)
            assert segment.producer_alive()
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait(60)

    assert not segment.producer_alive()
    pushed = reader.pushed
    read = drained(reader, read)
    assert read == pushed == reader.taken
    assert read - segment.counters[0] in (0, 1)
    assert (reader.corrupt_records, reader.used_bytes) == (0, 0)
    segment.close()


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Segment]:
    """A ring whose producer is this test."""
    made = Segment.create(tmp_path, b"", ring_bytes=1 << 16, counter_cells=1, inflight_slots=1)
    yield made
    made.close()


def test_a_killed_reader_continues_from_its_committed_position(ring: Segment) -> None:
    """Readers killed anywhere between reading, committing and releasing never miss a record nor
    read one twice.
    """
    chance = random.Random(1)
    writer = RingWriter(ring, lambda: None)
    pushed = 0
    offset = 0
    taken = 0
    read: list[int] = []

    for number in range(12):
        child = process(READER, ring.path, offset, taken)
        with child:
            assert child.stdout is not None
            # In every third round an interpreter that is still starting is met; in the others, one
            # that reads.
            has_begun = number % 3 == 0

            end = time.monotonic() + chance.uniform(0.03, 0.2)
            while time.monotonic() < end or not has_begun:
                if not has_begun and select.select([child.stdout], [], [], 0)[0]:
                    has_begun = True
                    end = time.monotonic() + chance.uniform(0.0, 0.1)
                pushed += writer.push(1, pushed.to_bytes(8, "little"), [bytes(pushed % 900)])
                time.sleep(0.0002)

            child.send_signal(signal.SIGKILL)
            for line in child.stdout:
                offset, taken, *numbers = map(int, line.split())
                read += numbers
            child.wait(60)

    reader = RingReader(ring, offset, taken)
    while entries := reader.read(1000, 1 << 20):
        read += [int.from_bytes(header, "little") for _, header, _, _ in entries]
    assert read == list(range(pushed))
    assert (reader.taken, reader.pushed, reader.corrupt_records) == (pushed, pushed, 0)
    assert taken > 0
