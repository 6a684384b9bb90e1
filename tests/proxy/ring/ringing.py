"""Numbered records for the tests of rings: pushed, read and checked."""

import struct

from proxy.ring.ring import RingReader, RingWriter

HEADER = struct.Struct("<IH")


def idle() -> None:
    """Wake nobody."""


def push(writer: RingWriter, number: int, size: int = 20) -> bool:
    """Push record `number` with a body of `size` bytes."""
    return writer.push(1, HEADER.pack(number, size), [bytes([number % 256]) * size])


def numbers(reader: RingReader, max_records: int = 10_000, max_bytes: int = 1 << 40) -> list[int]:
    """Read, check each entry against its header, and return the record numbers."""
    found = []
    for kind, header, sections, end in reader.read(max_records, max_bytes):
        number, size = HEADER.unpack(header)
        assert kind == 1
        assert bytes(sections[:size]) == bytes([number % 256]) * size
        assert len(sections) < size + 8
        assert end % 8 == 0
        found.append(number)

    return found
