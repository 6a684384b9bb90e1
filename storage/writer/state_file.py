"""A small checksummed file that is overwritten in place: the store's positions, and the end of the
spool.

Strategy: two slots, written in turn, each with a number and a checksum, so that a kill during a
write leaves the other slot. Nothing is synced: after a power cut the rings are gone too.
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
"""Number, length of the value, and checksum of number and value."""

Value = TypeVar("Value")


class StateFile(Generic[Value]):
    """One value in a file of its own, written by one process only."""

    def __init__(self, path: Path, decoder: msgspec.msgpack.Decoder[Value]) -> None:
        """Read the newest value; the directory may not exist."""
        self._path = path
        self.value: Value | None = None
        """The newest value when the file was opened; None if no slot can be read."""
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
        """Write a value, in about 50 us. A value too large for a slot is skipped silently; the
        previous one stays.

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
