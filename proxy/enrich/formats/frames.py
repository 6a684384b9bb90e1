"""Split event streams, lines of JSON and streamed arrays into frames. Pure: bytes in, frames out, no clock.

Strategy: whole blocks are cut with `bytes.split` where nothing is left over from before; line by line otherwise. Frames
are not parsed here. Invariant: the same bytes, cut into pieces anywhere, give the same frames; no more than
`max_frame_bytes` of one frame is kept, and what is longer comes out empty. Standards: WHATWG HTML §9.2.6 (event
streams: CR, LF or CRLF, one byte order mark, comments, several data lines), NDJSON.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, NamedTuple

from proxy.enrich.formats.json_parts import STRUCTURE

MAX_FRAME_BYTES: Final = 1 << 20

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BLANK_LINE: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_EVENT_BEGINS: Final = re.compile(rb"\s*(?:data|event|id|retry)?:")
_ELEMENT_BEGINS: Final = re.compile(rb"\}\s*,\s*(?=\{)")


class Frame(NamedTuple):
    """One event, line or element."""

    event: bytes
    """Name of an event; empty without one."""
    data: bytes
    """Its data, several lines joined by LF; empty when it was too long."""
    end: int
    """Offset in the stream behind the last byte of its last line, the line's end not counted."""


_new_frame: Final = tuple.__new__
"""Half as long as a call of `Frame`, of which a stream has hundreds."""


class SseSplitter:
    """Splits one event stream; fed piece by piece."""

    __slots__ = ("_after_cr", "_at", "_data", "_end", "_event", "_is_first", "_is_overlong", "_max", "_rest", "_skips")

    def __init__(self, *, start: int = 0, is_inside: bool = False, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        """Begin at offset `start`; with `is_inside` somewhere within an event, which is then passed over."""
        self._max = max_frame_bytes
        self._at = start
        self._skips = 2 if is_inside else 0  # the line that is cut, then lines up to an empty one
        self._is_first = not is_inside
        self._rest = bytearray()
        self._after_cr = False
        self._clear()
        self._end = start

    def _clear(self) -> None:
        self._event = b""
        self._data: list[bytes] = []
        self._is_overlong = False

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next piece; return the events it completes."""
        if not data:
            return []
        if self._after_cr:
            self._after_cr = False
            if data[:1] == b"\n":
                data = data[1:]
                self._at += 1
        if self._rest:
            data = bytes(self._rest) + data
            self._rest.clear()
        frames: list[Frame] = []
        if b"\r" not in data and not self._skips and not self._data and not self._event and not self._is_overlong:
            data = self._take_blocks(data, frames)
        self._take_lines(data, frames)
        return frames

    def finish(self) -> list[Frame]:
        """Return the event that the stream ended in, when its last line is whole or ends the stream.

        The standard discards it; streams that lack the last empty line are too common to be left unread.
        """
        frames: list[Frame] = []
        if self._rest:
            line, self._rest = bytes(self._rest), bytearray()
            self._take_line(line, self._at + len(line), frames)
        self._dispatch(frames)
        return frames

    def _take_blocks(self, data: bytes, frames: list[Frame]) -> bytes:
        """Cut at empty lines; return what comes after the last one."""
        *blocks, rest = data.split(b"\n\n")
        at = self._at
        if self._are_plain(data, blocks, len(data) - len(rest)):
            self._is_first = False
            for block in blocks:
                end = at + len(block)
                frames.append(_new_frame(Frame, (b"", block[6:], end)))
                at = end + 2
            self._at = at
            return rest
        for block in blocks:
            end = at + len(block)
            if block.startswith(b"data: ") and b"\n" not in block and len(block) <= self._max:
                frames.append(Frame(b"", block[6:], end))
                self._is_first = False
            else:
                for line in block.split(b"\n"):
                    at += len(line) + 1
                    self._take_line(line, at - 1, frames)
                self._take_line(b"", end, frames)
            at = end + 2
        self._at = at
        return rest

    def _are_plain(self, data: bytes, blocks: list[bytes], size: int) -> bool:
        """Whether each block, `size` bytes in all, is one line of data, by a test of all of them at once."""
        return (
            data.startswith(b"data: ")
            and data.count(b"\n", 0, size) == 2 * len(blocks)
            and data.count(b"\n\ndata: ", 0, size) == len(blocks) - 1
            and max(map(len, blocks)) <= self._max
        )

    def _take_lines(self, data: bytes, frames: list[Frame]) -> None:
        start, at = 0, self._at
        for found in _LINE_END.finditer(data):
            self._take_line(data[start : found.start()], at + found.start(), frames)
            start = found.end()
        self._after_cr = data.endswith(b"\r")
        # Of a line without end no more is held than shows that it is too long, a byte order mark not counted.
        mark = _BYTE_ORDER_MARK if self._is_first and data.startswith(_BYTE_ORDER_MARK, start) else b""
        self._rest = bytearray(data[start : start + len(mark) + self._max + 1])
        self._at = at + len(data) - len(self._rest)

    def _take_line(self, line: bytes, end: int, frames: list[Frame]) -> None:
        if self._skips:
            self._skips = 1 if self._skips == 2 or line else 0
            return
        if self._is_first:
            self._is_first = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            self._dispatch(frames)
            return
        self._end = end
        if len(line) > self._max:
            self._is_overlong = True
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        elif name == b"event":
            self._event = value.removeprefix(b" ")

    def _dispatch(self, frames: list[Frame]) -> None:
        if self._data or self._is_overlong:
            data = b"\n".join(self._data)
            is_overlong = self._is_overlong or len(data) > self._max
            frames.append(Frame(self._event, b"" if is_overlong else data, self._end))
        self._clear()


class LineSplitter:
    """Splits lines of JSON (NDJSON); fed piece by piece."""

    __slots__ = ("_at", "_is_cut", "_max", "_rest")

    def __init__(self, *, start: int = 0, is_inside: bool = False, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        """Begin at offset `start`; with `is_inside` somewhere within a line, which is then passed over."""
        self._max = max_frame_bytes
        self._at = start
        self._is_cut = is_inside
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next piece; return the lines it completes, without empty ones."""
        if self._rest:
            data = bytes(self._rest) + data
        *lines, rest = data.split(b"\n")
        frames: list[Frame] = []
        for line in lines:
            self._take_line(line, self._at + len(line), frames)
            self._at += len(line) + 1
        self._rest = bytearray(rest[: self._max + 1])
        self._at += len(rest) - len(self._rest)
        return frames

    def finish(self) -> list[Frame]:
        frames: list[Frame] = []
        self._take_line(bytes(self._rest), self._at + len(self._rest), frames)
        self._rest.clear()
        return frames

    def _take_line(self, line: bytes, end: int, frames: list[Frame]) -> None:
        if self._is_cut:
            self._is_cut = False
            return
        text = line.strip(b" \t\r")
        if text:
            frames.append(Frame(b"", b"" if len(line) > self._max else text, end))


def splitter_of(content_type: bytes, head: bytes) -> type[SseSplitter] | type[LineSplitter] | None:
    """Return what cuts a body into frames, by its beginning; where that is ambiguous, by its type."""
    kind = content_type.lower()
    if _EVENT_BEGINS.match(head) is not None or (b"event-stream" in kind and head[:1] not in (b"{", b"[")):
        return SseSplitter
    end = head.find(b"\n") if head[:1] == b"{" else 0
    # Within one document a comma stands between two objects.
    are_two = end > 0 and head[end - 2 : end].rstrip().endswith(b"}") and head[end : end + 64].lstrip()[:1] == b"{"
    return LineSplitter if are_two or b"ndjson" in kind or b"jsonl" in kind else None


def is_streamed(content_type: bytes, head: bytes) -> bool:
    """Whether a body comes in frames of any kind, Amazon's included."""
    return splitter_of(content_type, head) is not None or b"eventstream" in content_type.lower()


def cut_event(data: bytes, *, is_ended: bool) -> tuple[bytes, int]:
    """Return the data of the event that `data` begins within, as far as it is there, and where it ends.

    Empty when its end is not there either: with `is_ended` the data's end is one.
    """
    blank = _BLANK_LINE.search(data)
    if blank is None and not is_ended:
        return b"", 0
    end = len(data) if blank is None else blank.start()
    first, *lines = _LINE_END.split(data[:end])
    kept = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    return b"\n".join((first.removeprefix(b"data:"), *kept)), end


def split_array(data: bytes, *, start: int = 0, is_inside: bool = False) -> list[Frame]:
    """Split the objects of a JSON array that may be cut off at its end, or at its start when `is_inside`.

    Linear in the data. An object that is cut off is left out.
    """
    begin = 0
    if is_inside:
        found = _ELEMENT_BEGINS.search(data)
        if found is None:
            return []
        begin = found.end()
    frames: list[Frame] = []
    depth, opened = 0, -1
    floor = 0 if is_inside else 1
    for match in STRUCTURE.finditer(data, begin):
        first = match.group()[:1]
        if first in (b"{", b"["):
            if depth == floor and first == b"{":
                opened = match.start()
            depth += 1
        elif first in (b"}", b"]"):
            depth -= 1
            if depth == floor and opened >= 0:
                frames.append(Frame(b"", data[opened : match.end()], start + match.end()))
                opened = -1
            if depth < floor:
                break
    return frames


def time_at(timeline: Sequence[tuple[int, int]], offset: int) -> int | None:
    """Return when the chunk with the byte before `offset` came, in µs since the start of the exchange."""
    if offset < 0 or not timeline:
        return None
    place = bisect_left(timeline, (offset, 0))
    return timeline[place][1] if place < len(timeline) else None
