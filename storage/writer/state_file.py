"""What the store had when it was last heard of, beside the spool: where to go on when it is away at the next start.

Strategy: two slots, written in turn, each with its number and checksum, so that a kill while one is written leaves the
other. Nothing is synced: after a power cut the rings are gone too.

Invariant: what is read is what the store has, or had a little before: it is written after the commit. Who relies on it
looks for the records of one batch beyond it.
"""

import logging
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from storage.record import Position

log = logging.getLogger(__name__)

POSITIONS_FILE: Final = "positions"
SLOT_BYTES: Final = 1 << 20
"""Room for ten thousand sources; the file is sparse."""
_HEAD: Final = struct.Struct("<QII")
"""Number, length of what follows, and checksum of number and what follows."""
_decoder: Final = msgspec.msgpack.Decoder(dict[bytes, Position])


class PositionFile:
    """Writes positions; made anew it goes on in the slot that is older."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened yet; the directory may not exist."""
        self._path = path
        self._number = max((number for number, _ in _slots(path)), default=0)
        self._is_failing = False

    def write(self, positions: Mapping[bytes, Position]) -> None:
        """Write what the store has now, about 50 us; a disk that refuses leaves an older state, which is safe."""
        packed = msgspec.msgpack.encode(positions)
        if len(packed) > SLOT_BYTES - _HEAD.size:
            return
        self._number += 1
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                head = _HEAD.pack(self._number, len(packed), _checksum(self._number, packed))
                os.pwrite(fd, head + packed, self._number % 2 * SLOT_BYTES)
            finally:
                os.close(fd)
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                log.warning("the positions of the store cannot be noted beside the spool: %s", error)
            self._is_failing = True


def read_positions(path: Path) -> dict[bytes, Position] | None:
    """Read what was written last; None when there is nothing that can be read."""
    return max(_slots(path), key=lambda slot: slot[0], default=(0, None))[1]


def _checksum(number: int, packed: bytes) -> int:
    return zlib.crc32(packed, zlib.crc32(number.to_bytes(8, "little")))


def _slots(path: Path) -> list[tuple[int, dict[bytes, Position]]]:
    try:
        raw = path.read_bytes()
    except OSError:
        return []
    found = []
    for start in (0, SLOT_BYTES):
        try:
            number, length, crc = _HEAD.unpack_from(raw, start)
            packed = raw[start + _HEAD.size : start + _HEAD.size + length]
            if _checksum(number, packed) == crc and len(packed) == length:
                found.append((number, _decoder.decode(packed)))
        except (struct.error, msgspec.DecodeError):
            continue
    return found
