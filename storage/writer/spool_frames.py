"""Encode a batch as a frame of the spool, and decode it. Pure.

Layout, little-endian, at an offset that is a multiple of 64: a fixed header, the meta part
(positions), the compressed records. The header's checksum covers header and meta; a second one
covers the records. So positions can be read at the start without reading records, and damage to the
records loses no position. Segments are allocated as zeros, so a zero instead of the magic marks the
end.
"""

import struct
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from storage.record import Batch, Entry, Position
from storage.writer.quarantine import escape
from storage.zstd import zstd

MAGIC: Final = b"SLs1"
ALIGNMENT: Final = 64
_LEVEL: Final = 1
"""The fastest: the spool is written when the store is already behind."""
_HEADER: Final = struct.Struct("<4sIIIQQIIQ")
"""Magic, checksum of the rest and of meta, length of meta and of records, frame number, first
record, number of records, checksum of records, Unix µs when the oldest arrived.
"""
HEADER_BYTES: Final = _HEADER.size


class FrameDamaged(Exception):
    """The records of a frame cannot be read."""


class Origins(msgspec.Struct):
    """Sources of a frame's records, for a frame written while the store's positions were unknown."""

    offline_since: int = msgspec.field(default=0, name="period")
    """Start of that outage, Unix µs; identifies the outage."""
    sources: list[bytes] = []
    source_of: bytes = b""
    """Index into `sources` for each record, two bytes each."""
    ends: bytes = b""
    """End offset of each record in its source, eight bytes each."""

    @classmethod
    def of(cls, offline_since: int, sources: Sequence[bytes], ends: Sequence[int]) -> "Origins":
        distinct = {source: index for index, source in enumerate(dict.fromkeys(sources))}
        source_of = array("H", [distinct[source] for source in sources])
        return cls(offline_since, list(distinct), source_of.tobytes(), array("Q", ends).tobytes())

    def records(self) -> dict[bytes, list[int]]:
        """Return the record numbers of the frame by source, in order."""
        records: dict[bytes, list[int]] = {source: [] for source in self.sources}
        for record, index in enumerate(memoryview(self.source_of).cast("H")):
            records[self.sources[index]].append(record)
        return records

    def until(self, records: Sequence[int], offset: int) -> int:
        """Return how many of a source's records end at or before an offset."""
        ends = memoryview(self.ends).cast("Q")
        return bisect_right(records, offset, key=lambda record: ends[record])


class _Meta(msgspec.Struct):
    positions: dict[bytes, Position]
    retired: list[bytes]
    is_doubtful: bool
    began_at: int = 0
    origins: Origins | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A frame without its records."""

    number: int
    """From 1, without gaps over all segments."""
    first_record: int
    """Number of records spooled before it, since the data directory was created."""
    records: int
    opened_at_us: int
    positions: dict[bytes, Position]
    retired: list[bytes]
    is_doubtful: bool
    """True if a commit of it was tried and its outcome is unknown."""
    began_at: int
    """`first_record` of the first frame of this spool; lower numbers belong to an earlier spool."""
    origins: Origins | None
    """None if the store had none of it when it was written, except by a commit whose outcome is
    unknown.
    """
    meta_bytes: int
    records_bytes: int
    records_crc: int

    @property
    def end_record(self) -> int:
        return self.first_record + self.records

    @property
    def size_bytes(self) -> int:
        """Space on the disk, up to the next frame."""
        used = HEADER_BYTES + self.meta_bytes + self.records_bytes
        return -(-used // ALIGNMENT) * ALIGNMENT


class SpoolEnd(msgspec.Struct):
    """End of the spool, kept in a file of its own so that damage at the end can be counted."""

    next_number: int
    end_record: int
    positions: dict[bytes, Position]
    retired: list[bytes]
    began_at: int = 0


end_decoder: Final = msgspec.msgpack.Decoder(SpoolEnd)
_entries_decoder: Final = msgspec.msgpack.Decoder(list[Entry])
_meta_decoder: Final = msgspec.msgpack.Decoder(_Meta)


def encode_entries(entries: list[Entry]) -> bytes:
    """Pack and compress records. A record that cannot be packed is escaped, as for a store that
    refuses it.
    """
    try:
        packed = msgspec.msgpack.encode(entries)
    except (ValueError, TypeError, OverflowError):
        packed = msgspec.msgpack.encode([_encodable(entry) for entry in entries])
    return zstd.compress(packed, _LEVEL)


def encode_head(
    batch: Batch,
    packed: bytes,
    *,
    number: int,
    first_record: int,
    opened_at_us: int,
    is_doubtful: bool,
    began_at: int,
    origins: Origins | None,
) -> bytes:
    """Return header and meta of a batch whose records are `packed`."""
    meta = msgspec.msgpack.encode(
        _Meta(batch.positions, batch.retired, is_doubtful, began_at, origins)
    )
    fields = (
        len(meta),
        len(packed),
        number,
        first_record,
        len(batch.entries),
        zlib.crc32(packed),
        opened_at_us,
    )
    unchecked = _HEADER.pack(MAGIC, 0, *fields)
    return _HEADER.pack(MAGIC, zlib.crc32(meta, zlib.crc32(unchecked)), *fields) + meta


def decode_head(block: memoryview) -> Frame | None:
    """Return the frame at the beginning of a block; None if it is damaged or missing."""
    if len(block) < HEADER_BYTES:
        return None
    magic, crc, meta_bytes, records_bytes, number, first, records, records_crc, opened_at_us = (
        _HEADER.unpack_from(block)
    )
    end = HEADER_BYTES + meta_bytes
    if magic != MAGIC or end + records_bytes > len(block):
        return None

    meta = block[HEADER_BYTES:end]
    unchecked = _HEADER.pack(MAGIC, 0, *_HEADER.unpack_from(block)[2:])
    if zlib.crc32(meta, zlib.crc32(unchecked)) != crc:
        return None

    try:
        decoded = _meta_decoder.decode(meta)
    except msgspec.DecodeError:
        return None

    return Frame(
        number=number,
        first_record=first,
        records=records,
        opened_at_us=opened_at_us,
        positions=decoded.positions,
        retired=decoded.retired,
        is_doubtful=decoded.is_doubtful,
        began_at=decoded.began_at,
        origins=decoded.origins,
        meta_bytes=meta_bytes,
        records_bytes=records_bytes,
        records_crc=records_crc,
    )


def decode_entries(frame: Frame, packed: bytes) -> list[Entry]:
    """Return the records of a frame.

    Raises:
        FrameDamaged: Checksum, encoding or number of the records is wrong.
    """
    if zlib.crc32(packed) != frame.records_crc:
        raise FrameDamaged(
            f"spool frame {frame.number}: the checksum of its records does not match"
        )

    try:
        entries = _entries_decoder.decode(zstd.decompress(packed))
    except (msgspec.DecodeError, zstd.ZstdError) as error:
        raise FrameDamaged(f"spool frame {frame.number}: {error}") from error

    if len(entries) != frame.records:
        raise FrameDamaged(
            f"spool frame {frame.number}: {len(entries)} records instead of {frame.records}"
        )

    return entries


def _encodable(entry: Entry) -> Entry:
    try:
        msgspec.msgpack.encode(entry)
    except (ValueError, TypeError, OverflowError):
        return escape(entry)
    return entry
