"""Scan the WebSocket frames of one direction of a relayed connection (RFC 6455 §5).

The scanner only observes: the relay forwards bytes whatever the result. It follows frame headers
and copies the beginning of each message, unmasked; inflating (RFC 7692) is left to the collector.
Frames of a message are joined; control frames may come between them. If the bytes are not WebSocket
frames the scanner gives up (`is_lost`), and the relay goes on. Memory is bounded by the cap of a
copy and one read.

A frame read by itself costs 2 µs, however small; a small message that has come as a whole costs
1.2. One call therefore reads a bounded number; with `has_more`, the remaining bytes are for another
turn of the loop (P23). Messages for which the caller has no room are only counted (`dropped`); a
run of equal frames is then counted at once, 0.02 µs each. A run of empty messages of one kind is
reported as one message with a count.
"""

import sys
from enum import IntEnum
from typing import Final, NamedTuple

MAX_HEADER_BYTES: Final = 14
"""The longest header: two bytes, an extended length of eight, a mask of four."""
_EXTENDED_BYTES: Final = {126: 2, 127: 8}
"""Short length → number of bytes of the extended length that follows."""


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
"""Least and most bytes in which a run is searched; doubled as long as it goes on."""
_FRAMES_PER_STEP: Final = 64
"""Frames of a run that cost as much as one read by itself."""
_MESSAGES: Final = b"\x81\x82\xc1\xc2"
"""The first bytes of text and binary messages of one frame, plain and compressed."""
_WHOLE: Final = _MESSAGES + b"\x89\x8a"
"""First bytes of those, of pings and of pongs."""
_EMPTY: Final = b"\x81\x82\x89\x8a"
"""First bytes of frames that are joined if empty. Not compressed ones: each must be inflated."""
_MAX_EMPTY_RUN_BYTES: Final = 16384
"""The longest run of empty messages that is reported as one."""
_DATA: Final = frozenset((Opcode.TEXT, Opcode.BINARY))
_KNOWN: Final = frozenset(Opcode)
_MAX_CONTROL_BYTES: Final = 125
_CODE_BYTES: Final = 2
"""Bytes of a control frame that are copied regardless of the cap: the code of a close."""


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
    """Number of consecutive empty messages of this kind."""


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
        """True if the bytes were not WebSocket frames. Nothing more is read then."""
        self.dropped = 0
        """Number of messages so far for which there was no room."""
        self._unread = b""
        """Bytes left from the last call for another turn."""

        # The frame that is being read.
        self._header = b""
        """Beginning of an incomplete header."""
        self._remaining = 0
        """Bytes of its payload that are still to come."""
        self._mask = b""
        self._offset = 0
        """Bytes of its payload that have come."""
        self._is_final = False

        # The message that its frames make up.
        self._opcode = -1
        """Opcode of the message; -1 between messages."""
        self._is_compressed = False
        self._copy = bytearray()
        self._size = 0
        self._control: tuple[int, int, bytearray] | None = None
        """The control frame that is being read: opcode, size, copy."""

    @property
    def has_more(self) -> bool:
        """True if bytes are left from the last call for another turn."""
        return bool(self._unread)

    @property
    def in_hand(self) -> int:
        """Return how many bytes were fed and not read yet."""
        return len(self._unread)

    def feed(self, data: bytes, room: int = sys.maxsize) -> list[Message]:
        """Read the next bytes; return at most `room` of the messages that they complete, in order.

        A close frame is returned even without room.
        """
        if self._unread:
            data = self._unread + data
            self._unread = b""
        found: list[Message] = []
        at = 0
        work = 0
        run_from = 0  # work after which a run is searched
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
        """Read a frame's header and begin the frame, or keep the beginning of a header that is
        incomplete; return the offset after it.
        """
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
            self.is_lost = self._opcode >= 0  # the previous message is not finished
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
    """Read an empty message that ends at `end`, and the equal ones after it; return their end."""
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

    Each is a message of its own and begins with one of `firsts`, so a stride of the data yields all
    first bytes, and another stride all length bytes.

    Returns:
        Their number, and their end offset.
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
    """Return the status code of a close frame (RFC 6455 §5.5.1); None if the frame has no code."""
    if len(message.data) >= 2:
        return int.from_bytes(message.data[:2], "big")
    return None


def _header_bytes(header: bytes) -> int:
    """Return the size of the header that begins with these bytes; 2 before the length has come."""
    if len(header) < 2:
        return 2
    mask_bytes = 4 if header[1] & 0x80 else 0
    return 2 + _EXTENDED_BYTES.get(header[1] & 0x7F, 0) + mask_bytes


def _unmask(data: bytes, mask: bytes, offset: int) -> bytes:
    """Unmask payload bytes from `offset` on.

    They are XORed as one long integer: 1 µs for 4 KiB, while a loop takes 300 (bench/micro).
    """
    if not mask:
        return data
    shift = offset % 4
    key = (mask[shift:] + mask[:shift]) * (len(data) // 4 + 1)
    number = int.from_bytes(data, "little") ^ int.from_bytes(key[: len(data)], "little")
    return number.to_bytes(len(data), "little")
