"""WebSocket messages seen in passing: a frame-header scanner over one direction of a relayed
connection (RFC 6455 §5).

Pure, and only an observer: the relay forwards bytes whatever the scanner makes of them. It follows
frame headers and cuts a capped, unmasked copy out of each message; inflating (RFC 7692) is the
collector's work. Frames of a message are joined, control frames may come between them. Where the
bytes are no WebSocket frames the scanner gives up (`is_lost`), and the relay goes on. Memory is
bounded by the cap and one read.

A frame read by itself costs 2 µs, however small, a small message that is there as a whole 1.2. One
call therefore reads a bounded number; what it leaves in hand, `has_more` says, is for another turn
(P23). Messages above the number that the caller has room for are only counted (`dropped`), and
equal frames in a row are then counted in one go: 0.02 µs each. So are empty messages of one kind
that follow each other: a row of them is one message with a count.
"""

import sys
from enum import IntEnum
from typing import Final, NamedTuple

MAX_HEADER_BYTES: Final = 14
"""Two bytes, an extended length of eight, a mask of four."""


class Opcode(IntEnum):
    """What a frame carries (RFC 6455 §11.8)."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


STEP_FRAMES: Final = 128
"""What one call reads: 0.2 ms, and 0.5 with their records. In steps of 64 mixed frames cost half as
much again.
"""
_RUN_BYTES: Final = (256, 65536)
"""How far equal frames are looked for: each time twice as far, until the row ends."""
_FRAMES_PER_STEP: Final = 64
"""So many frames of a run cost as much as one read by itself."""
_MESSAGES: Final = b"\x81\x82\xc1\xc2"
"""First bytes of messages of one frame."""
_WHOLE: Final = _MESSAGES + b"\x89\x8a"
"""Those, and the first bytes of pings and pongs."""
_EMPTY: Final = b"\x81\x82\x89\x8a"
"""First bytes of frames that may be empty; compressed ones are left out, because each must pass the
inflater.
"""
_ROW_BYTES: Final = 16384
"""The longest run of empty messages that is reported as one."""
_DATA: Final = frozenset((Opcode.TEXT, Opcode.BINARY))
_KNOWN: Final = frozenset(Opcode)
_MAX_CONTROL_BYTES: Final = 125
_CODE_BYTES: Final = 2
"""Kept of a control frame also when nothing is copied: the code of a close."""


class Message(NamedTuple):
    """One message, or one control frame."""

    opcode: int
    size: int
    """Payload bytes of all its frames, as sent (compressed, if it was)."""
    data: bytes
    """The first bytes, unmasked, at most the cap."""
    is_compressed: bool
    """RSV1 of the first frame: permessage-deflate."""
    times: int = 1
    """More than one: so many empty messages of this kind, one after the other."""


class MessageScanner:
    """Follows one direction of one connection."""

    __slots__ = (
        "_compressed", "_control", "_copy", "_header", "_is_final", "_mask", "_max_bytes", "_offset", "_opcode",
        "_remaining", "_rest", "_size", "dropped", "is_lost",
    )  # fmt: skip

    def __init__(self, max_bytes: int) -> None:
        """Copy at most `max_bytes` of each message."""
        self._max_bytes = max_bytes
        self.is_lost = False
        self.dropped = 0
        """Messages that there was no room for, so far."""
        self._rest = b""
        self._header = b""
        self._remaining = 0
        self._mask = b""
        self._offset = 0
        self._is_final = False
        self._opcode = -1
        self._compressed = False
        self._copy = bytearray()
        self._size = 0
        self._control: tuple[int, int, bytearray] | None = None
        """A control frame in the making: opcode, size, copy."""

    @property
    def has_more(self) -> bool:
        """Whether bytes are left over from the last call; the next one begins with them."""
        return bool(self._rest)

    @property
    def in_hand(self) -> int:
        """How many bytes were fed and not read."""
        return len(self._rest)

    def feed(self, data: bytes, room: int = sys.maxsize) -> list[Message]:
        """Take the next bytes of the stream; return at most `room` of the messages they complete,
        in order.

        The first close frame is returned whatever the room.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        found: list[Message] = []
        at = 0
        work = 0
        run_from = 0
        run_bytes = _RUN_BYTES[0]

        while at < len(data) and not self.is_lost:
            if self._remaining:
                piece = data[at : at + self._remaining]
                at += len(piece)
                self._take(piece)
            elif work >= STEP_FRAMES and not self._header:
                self._rest = data[at:]
                break
            elif work >= run_from and len(found) >= room and self._is_between_messages:
                count, end = equal_frames(data, at, at + run_bytes)
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
        """Take a small message of one frame that is there as a whole, as most are; return its end,
        0 for any other.
        """
        if len(data) < at + 2:
            return 0
        first = data[at]
        second = data[at + 1]
        size = second & 0x7F
        start = at + (6 if second & 0x80 else 2)
        if not size and start <= len(data) and first in _EMPTY:
            return _take_row(data, at, start, found)
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
        """Add bytes to the header until it is whole, then begin its frame; return where the rest
        begins.
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
        short = header[1] & 0x7F
        extended = {126: 2, 127: 8}.get(short, 0)
        if extended:
            length = int.from_bytes(header[2 : 2 + extended], "big")
        else:
            length = short
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
            self._opcode, self._size, self._compressed = opcode, length, bool(header[0] & 0x40)
            self._copy = bytearray()
        else:
            self.is_lost = self._opcode < 0  # nothing to continue
            self._size += length

    def _take(self, piece: bytes) -> None:
        copy = self._copy
        most = self._max_bytes
        if self._control is not None:
            copy = self._control[2]
            most = max(most, _CODE_BYTES)
        room = most - len(copy)
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
            found.append(Message(self._opcode, self._size, bytes(self._copy), self._compressed))
            self._opcode = -1


def _take_row(data: bytes, at: int, end: int, found: list[Message]) -> int:
    """Take an empty message, which ends at `end`, and those of its kind that follow it; return
    where they end.
    """
    times = 1
    if data[end : end + 2] == data[at : at + 2]:
        size = _RUN_BYTES[0]
        times, end = equal_frames(data, at, at + size, data[at : at + 1])
        while end - at > size // 2 and size < _ROW_BYTES:
            size *= 2
            times, end = equal_frames(data, at, at + size, data[at : at + 1])

    found.append(Message(data[at] & 0x0F, 0, b"", is_compressed=False, times=times))
    return end


def equal_frames(data: bytes, at: int, end: int, firsts: bytes = _WHOLE) -> tuple[int, int]:
    """Count the small frames of one length in a row that are whole in a slice; return also where
    they end.

    Each of them is a message of its own, and begins with one of `firsts`.
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
    """Read the status code of a close frame (RFC 6455 §5.5.1); None when it carries none."""
    if len(message.data) >= 2:
        return int.from_bytes(message.data[:2], "big")
    return None


def _header_bytes(header: bytes) -> int:
    """Size of the header that begins with these bytes, or of the part they reveal."""
    if len(header) < 2:
        return 2
    return 2 + {126: 2, 127: 8}.get(header[1] & 0x7F, 0) + (4 if header[1] & 0x80 else 0)


def _unmask(data: bytes, mask: bytes, offset: int) -> bytes:
    """Apply the mask from `offset` on, as one long number: 1 µs for 4 KiB, where a loop takes 300
    (bench/micro).
    """
    if not mask:
        return data
    shift = offset % 4
    key = (mask[shift:] + mask[:shift]) * (len(data) // 4 + 1)
    number = int.from_bytes(data, "little") ^ int.from_bytes(key[: len(data)], "little")
    return number.to_bytes(len(data), "little")
