"""Scans the WebSocket frames of one direction of a relayed connection (RFC 6455 §5).

Pure, and only an observer: the relay forwards bytes whatever the scanner makes of them. It follows
frame headers and copies the beginning of each message, unmasked; inflating (RFC 7692) is the
collector's work. Frames of a message are joined; control frames may come between them. Where the
bytes are no WebSocket frames the scanner gives up (`is_lost`), and the relay goes on. Memory is
bounded by the cap of a copy and one read.

A frame read by itself costs 2 µs, however small; a small message that has come as a whole costs
1.2. One call therefore reads a bounded number; with `has_more`, the bytes in hand are for another
turn (P23). Messages for which the caller has no room are only counted (`dropped`); a run of equal
frames is then counted in one go, 0.02 µs each. A run of empty messages of one kind is reported as
one message with a count.
"""

import sys
from enum import IntEnum
from typing import Final, NamedTuple

MAX_HEADER_BYTES: Final = 14
"""The longest header: two bytes, an extended length of eight, a mask of four."""
_EXTENDED_BYTES: Final = {126: 2, 127: 8}
"""Short length → how many bytes of extended length follow."""


class Opcode(IntEnum):
    """The kind of a frame (RFC 6455 §11.8)."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


STEP_FRAMES: Final = 128
"""The frames read by one call: 0.2 ms, and 0.5 with their records. In steps of 64, mixed frames
cost half as much again.
"""
_RUN_BYTES: Final = (256, 65536)
"""The fewest and the most bytes in which a run is looked for; doubled as long as it goes on."""
_FRAMES_PER_STEP: Final = 64
"""So many frames of a run cost as much as one read by itself."""
_MESSAGES: Final = b"\x81\x82\xc1\xc2"
"""The first bytes of text and binary messages of one frame, plain and compressed."""
_WHOLE: Final = _MESSAGES + b"\x89\x8a"
"""Those, and the first bytes of pings and pongs."""
_EMPTY: Final = b"\x81\x82\x89\x8a"
"""The first bytes of frames whose empty ones are joined. Not compressed ones: each must be
inflated.
"""
_MAX_EMPTY_RUN_BYTES: Final = 16384
"""The longest run of empty messages that is reported as one."""
_DATA: Final = frozenset((Opcode.TEXT, Opcode.BINARY))
_KNOWN: Final = frozenset(Opcode)
_MAX_CONTROL_BYTES: Final = 125
_CODE_BYTES: Final = 2
"""The bytes of a control frame that are copied whatever the cap: the code of a close."""


class Message(NamedTuple):
    """One message, or one control frame."""

    opcode: int
    size: int
    """Payload bytes of all its frames, as sent (compressed, if it was)."""
    data: bytes
    """The first bytes, unmasked, up to the cap."""
    is_compressed: bool
    """RSV1 of the first frame: permessage-deflate."""
    times: int = 1
    """How many empty messages of this kind followed each other."""


class MessageScanner:
    """Follows one direction of one connection."""

    __slots__ = (
        "_control", "_copy", "_header", "_is_compressed", "_is_final", "_mask", "_max_bytes", "_offset", "_opcode",
        "_remaining", "_size", "_unread", "dropped", "is_lost",
    )  # fmt: skip

    def __init__(self, max_bytes: int) -> None:
        """Copy at most `max_bytes` of each message."""
        self._max_bytes = max_bytes
        self.is_lost = False
        """Whether the bytes were no WebSocket frames; nothing more is read then."""
        self.dropped = 0
        """How many messages there was no room for, so far."""
        self._unread = b""
        """Bytes left from the last call for another turn."""

        # The frame that is being read.
        self._header = b""
        """The beginning of a header whose rest has not come."""
        self._remaining = 0
        """How many bytes of its payload are to come."""
        self._mask = b""
        self._offset = 0
        """How many bytes of its payload have come."""
        self._is_final = False

        # The message that its frames make up.
        self._opcode = -1
        """-1 between messages."""
        self._is_compressed = False
        self._copy = bytearray()
        self._size = 0
        self._control: tuple[int, int, bytearray] | None = None
        """The control frame that is being read: opcode, size, copy."""

    @property
    def has_more(self) -> bool:
        """Whether bytes are left from the last call for another turn."""
        return bool(self._unread)

    @property
    def in_hand(self) -> int:
        """Return how many bytes were fed and not read."""
        return len(self._unread)

    def feed(self, data: bytes, room: int = sys.maxsize) -> list[Message]:
        """Read the next bytes; return at most `room` of the messages that they complete, in order.

        A close frame is returned whatever the room.
        """
        if self._unread:
            data = self._unread + data
            self._unread = b""
        found: list[Message] = []
        at = 0
        work = 0
        run_from = 0  # the work after which a run is looked for
        run_bytes = _RUN_BYTES[0]

        while at < len(data) and not self.is_lost:
            if self._remaining:
                piece = data[at : at + self._remaining]
                at += len(piece)
                self._take_payload(piece)
            elif work >= STEP_FRAMES and not self._header:
                self._unread = data[at:]
                break
            elif work >= run_from and len(found) >= room and self._is_between_messages:
                # No room: count a run without reading it.
                count, end = _equal_frames(data, at, at + run_bytes)
                self.dropped += count
                work += 1 + count // _FRAMES_PER_STEP
                if count < 2:
                    run_from = 2 * work
                if end - at > run_bytes // 2:
                    run_bytes = min(2 * run_bytes, _RUN_BYTES[1])
                else:
                    run_bytes = _RUN_BYTES[0]
                at = end
                continue
            elif (
                len(found) < room
                and self._is_between_messages
                and (end := self._take_whole(data, at, found))
            ):
                # A small message has come as a whole: the common case.
                at = end
                work = work + 1 + found[-1].times // _FRAMES_PER_STEP
                continue
            else:
                at = self._read_header(data, at)

            if not self._remaining and not self._header:
                work += 1
                self._end_frame(found, room)

        return found

    @property
    def _is_between_messages(self) -> bool:
        return self._opcode < 0 and not self._header

    def _take_whole(self, data: bytes, at: int, found: list[Message]) -> int:
        """Read a small message of one frame if it has come as a whole; return its end, else 0."""
        if len(data) < at + 2:
            return 0
        first = data[at]
        second = data[at + 1]
        size = second & 0x7F
        start = at + (6 if second & 0x80 else 2)
        if not size and start <= len(data) and first in _EMPTY:
            return _take_empty_run(data, at, start, found)
        if first not in _MESSAGES:
            return 0

        end = start + size
        if size > _MAX_CONTROL_BYTES or end > len(data):
            return 0

        piece = data[start : start + min(size, self._max_bytes)]
        if piece:
            piece = _unmask(piece, data[at + 2 : start], 0)
        found.append(Message(first & 0x0F, size, piece, bool(first & 0x40)))
        return end

    def _read_header(self, data: bytes, at: int) -> int:
        """Read a header and begin its frame, or keep its beginning; return its end in `data`."""
        header = self._header + data[at : at + MAX_HEADER_BYTES - len(self._header)]
        size = _header_bytes(header)
        if len(header) < size:
            self._header = header
            return len(data)

        at += size - len(self._header)
        self._header = b""
        self._begin_frame(header[:size])
        return at

    def _begin_frame(self, header: bytes) -> None:
        opcode = header[0] & 0x0F
        is_final = bool(header[0] & 0x80)
        length = header[1] & 0x7F
        extended = _EXTENDED_BYTES.get(length, 0)
        if extended:
            length = int.from_bytes(header[2 : 2 + extended], "big")

        self._mask = header[2 + extended :]
        self._offset = 0
        self._remaining = length
        self._is_final = is_final

        if opcode not in _KNOWN or header[0] & 0x30 or length >= 1 << 63:
            self.is_lost = True
        elif opcode >= Opcode.CLOSE:
            self.is_lost = not is_final or length > _MAX_CONTROL_BYTES
            self._control = (opcode, length, bytearray())
        elif opcode in _DATA:
            self.is_lost = self._opcode >= 0  # the message before is not finished
            self._opcode = opcode
            self._size = length
            self._is_compressed = bool(header[0] & 0x40)
            self._copy = bytearray()
        else:
            self.is_lost = self._opcode < 0  # nothing to continue
            self._size += length

    def _take_payload(self, piece: bytes) -> None:
        copy = self._copy
        max_bytes = self._max_bytes
        if self._control is not None:
            copy = self._control[2]
            max_bytes = max(max_bytes, _CODE_BYTES)
        room = max_bytes - len(copy)
        if room > 0:
            copy += _unmask(piece[:room], self._mask, self._offset)

        self._offset += len(piece)
        self._remaining -= len(piece)

    def _end_frame(self, found: list[Message], room: int) -> None:
        if self.is_lost:
            return
        is_close = self._control is not None and self._control[0] == Opcode.CLOSE
        if len(found) >= room and not is_close:
            if self._control is not None:
                self._control = None
                self.dropped += 1
            elif self._is_final and self._opcode >= 0:
                self._opcode = -1
                self.dropped += 1

            return

        if self._control is not None:
            opcode, size, copy = self._control
            self._control = None
            found.append(Message(opcode, size, bytes(copy), is_compressed=False))
        elif self._is_final and self._opcode >= 0:
            found.append(Message(self._opcode, self._size, bytes(self._copy), self._is_compressed))
            self._opcode = -1


def _take_empty_run(data: bytes, at: int, end: int, found: list[Message]) -> int:
    """Read an empty message, which ends at `end`, and those of its kind behind it; return their
    end.
    """
    times = 1
    if data[end : end + 2] == data[at : at + 2]:
        size = _RUN_BYTES[0]
        times, end = _equal_frames(data, at, at + size, data[at : at + 1])
        while end - at > size // 2 and size < _MAX_EMPTY_RUN_BYTES:
            size *= 2
            times, end = _equal_frames(data, at, at + size, data[at : at + 1])

    found.append(Message(data[at] & 0x0F, 0, b"", is_compressed=False, times=times))
    return end


def _equal_frames(data: bytes, at: int, end: int, firsts: bytes = _WHOLE) -> tuple[int, int]:
    """Count the whole small frames of one length at the beginning of `data[at:end]`.

    Each is a message of its own and begins with one of `firsts`, so a stride of the data has all
    first bytes, and another all length bytes.

    Returns:
        How many there are, and where they end.
    """
    length = data[at + 1 : at + 2]
    size = length[0] & 0x7F if length else _MAX_CONTROL_BYTES + 1
    if size > _MAX_CONTROL_BYTES:
        return 0, at

    stride = 2 + size + (4 if length[0] & 0x80 else 0)
    end = at + (min(len(data), end) - at) // stride * stride
    begins = data[at:end:stride]
    lengths = data[at + 1 : end : stride]
    count = len(begins) - max(len(begins.lstrip(firsts)), len(lengths.lstrip(length)))
    return count, at + count * stride


def close_code(message: Message) -> int | None:
    """Return the status code of a close frame (RFC 6455 §5.5.1), None without one."""
    if len(message.data) >= 2:
        return int.from_bytes(message.data[:2], "big")
    return None


def _header_bytes(header: bytes) -> int:
    """Return the size of the header that begins with these bytes; before the length has come, 2."""
    if len(header) < 2:
        return 2
    mask_bytes = 4 if header[1] & 0x80 else 0
    return 2 + _EXTENDED_BYTES.get(header[1] & 0x7F, 0) + mask_bytes


def _unmask(data: bytes, mask: bytes, offset: int) -> bytes:
    """Unmask payload bytes from `offset` on.

    They are XORed as one long number: 1 µs for 4 KiB, where a loop takes 300 (bench/micro).
    """
    if not mask:
        return data
    shift = offset % 4
    key = (mask[shift:] + mask[:shift]) * (len(data) // 4 + 1)
    number = int.from_bytes(data, "little") ^ int.from_bytes(key[: len(data)], "little")
    return number.to_bytes(len(data), "little")
