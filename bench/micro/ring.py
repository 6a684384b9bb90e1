"""The shared memory between worker and collector: push, drain, in-flight slots.

An entry has a header of 120 bytes, like that of an exchange, and seven sections. The ring has gone round once before
the first figure, so that no page is touched for the first time.
"""

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Final

from bench.micro.measure import Measure, measured
from proxy.ring.counters import CounterLayout
from proxy.ring.inflight import InflightReader, InflightWriter
from proxy.ring.ring import RingReader, RingWriter
from proxy.ring.segment import Segment

RING_BYTES: Final = 64 << 20
ENTRIES: Final = 1000
HEADER: Final = bytes(120)
ADDRESS: Final = b"192.0.2.1"


def sections(body_bytes: int) -> list[bytes]:
    """Make the sections of an exchange: two addresses, two heads of 200 bytes, two bodies."""
    half = body_bytes // 2
    return [ADDRESS, ADDRESS, b"q" * 200, b"s" * 200, b"b" * half, b"", b"c" * (body_bytes - half)]


CASES: Final = {"1 KB": 480, "2.7 KB": 2_160, "20 KB": 19_460, "130 KB": 129_460}


def measures() -> Iterator[Measure]:
    """Measure everything in this file."""
    segment = Segment.create(None, b"", ring_bytes=RING_BYTES, counter_cells=CounterLayout(8).size)
    try:
        yield from ring_measures(segment)
        yield from inflight_measures(segment)
    finally:
        segment.close()


def ring_measures(segment: Segment) -> Iterator[Measure]:
    """Measure push and drain by size of the entry."""
    writer, reader = RingWriter(segment, lambda: None), RingReader(segment)

    def drain() -> int:
        taken = reader.taken
        while reader.read(500, 1 << 30):
            pass
        reader.release(reader.cursor)
        return reader.taken - taken

    while reader.cursor < 2 * RING_BYTES:
        pusher(writer, 20_000)()
        drain()
    for name, body_bytes in CASES.items():
        push = pusher(writer, body_bytes)
        yield measured(f"push {name}", push, drain)
        push()
        yield measured(f"drain {name}", drain, push)
        drain()
    assert not reader.refused, "bug: a round is larger than the ring"
    yield measured("pressure", lambda: sum(1 for _ in repeat(None, ENTRIES) if not writer.pressure()))


def pusher(writer: RingWriter, body_bytes: int) -> Callable[[], int]:
    """Return a round of pushes that fills at most half of the ring."""
    parts = sections(body_bytes)
    entries = min(ENTRIES, RING_BYTES // 2 // (body_bytes + 1000))

    def run() -> int:
        push = writer.push
        for _ in repeat(None, entries):
            push(1, HEADER, parts)
        return entries

    return run


def inflight_measures(segment: Segment) -> Iterator[Measure]:
    """Measure a slot's life, and a scan with one in eight slots in use."""
    writer, reader = InflightWriter(segment), InflightReader(segment)
    head, body = b"h" * 600, b"b" * 1000

    def turn() -> int:
        for _ in repeat(None, ENTRIES):
            writer.clear(writer.fill(HEADER[:16], 1, 1, ADDRESS, head, body))
        return ENTRIES

    yield measured("in-flight fill and clear", turn)
    for _ in range(128):
        writer.fill(HEADER[:16], 1, 1, ADDRESS, head, body)
    yield measured("in-flight scan, per exchange", lambda: len(reader.scan()))
