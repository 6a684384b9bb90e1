"""A small checksummed file that is overwritten in place: the positions of the store, and the end of
the spool.

Strategy: two slots, written in turn, each with its number and checksum, so that a kill while one is
written leaves the other. Nothing is synced: after a power cut the rings are gone too.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import msgspec

SLOT_BYTES: Final = 1 << 20
"""Room for the positions of ten thousand sources; the file is sparse."""
_HEAD: Final = struct.Struct("<QII")
"""Number, length of what follows, and checksum of number and what follows."""

Value = TypeVar("Value")


class StateFile(Generic[Value]):
    """One value in a file of its own; only one process writes it."""

    def __init__(self, path: Path, decoder: msgspec.msgpack.Decoder[Value]) -> None:
        """Read what was written last; the directory may not exist."""
        self._path = path
        self.value: Value | None = None
        """What was written last; None when there is nothing that can be read."""
        self._number = 0

        for number, packed in _slots(path):
            try:
                value = decoder.decode(packed)
            except msgspec.DecodeError:
                continue

            if number > self._number:
                self._number = number
                self.value = value

    def write(self, value: Any) -> None:
        """Write a value, about 50 us; one that is too large for a slot leaves the older one.

        Raises:
            OSError: the disk does not take it.
        """
        packed = msgspec.msgpack.encode(value)
        if len(packed) > SLOT_BYTES - _HEAD.size:
            return

        self._number += 1
        try:
            fd = self._open()
        except FileNotFoundError:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = self._open()

        try:
            head = _HEAD.pack(self._number, len(packed), _checksum(self._number, packed))
            os.pwrite(fd, head + packed, self._number % 2 * SLOT_BYTES)
        finally:
            os.close(fd)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _checksum(number: int, packed: bytes) -> int:
    return zlib.crc32(packed, zlib.crc32(number.to_bytes(8, "little")))


def _slots(path: Path) -> list[tuple[int, bytes]]:
    try:
        raw = path.read_bytes()
    except OSError:
        return []

    found = []
    for start in (0, SLOT_BYTES):
        head = raw[start : start + _HEAD.size]
        if len(head) == _HEAD.size:
            number, length, crc = _HEAD.unpack(head)
            packed = raw[start + _HEAD.size : start + _HEAD.size + length]
            if len(packed) == length and _checksum(number, packed) == crc:
                found.append((number, packed))

    return found
