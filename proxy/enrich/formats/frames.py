"""Split event streams, lines of JSON and streamed arrays into frames, from a window of bytes.

Strategy: streams are split at empty lines, with `bytes.split` if all lines end alike. Frames are
not parsed here. If a window begins within a frame, this frame is skipped. If it ends within one,
this frame is left out, unless the stream ended there. Standards: WHATWG HTML §9.2.6 (event streams:
CR, LF or CRLF, one byte order mark, comments, several data lines), NDJSON.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import Final, NamedTuple, Protocol

from proxy.enrich.formats.json_parts import STRUCTURE

LINE_END: Final = re.compile(rb"\r\n|\n|\r")
BLANK_LINE: Final = re.compile(rb"((?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r))")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_EVENT_BEGINS: Final = re.compile(rb"\s*(?:data|event|id|retry)?:|error: ?\{")
_ELEMENT_BEGINS: Final = re.compile(rb"\}\s*,\s*(?=\{)")


class Frame(NamedTuple):
    """One event, line or element."""

    event: bytes
    """Name of an event; empty without one."""
    data: bytes
    """Data of the frame, several lines joined by LF."""
    end: int
    """Offset in the stream after the last byte of the frame, without its line end."""


_new_frame: Final = tuple.__new__
"""Takes half the time of a call of `Frame`; a stream has hundreds."""


class Split(Protocol):
    """Splits a window of a stream into frames."""

    def __call__(
        self, data: bytes, *, start: int = 0, is_inside: bool = False, is_ended: bool = False
    ) -> list[Frame]:
        """Split a window.

        Args:
            data: The window.
            start: Offset of the window in the stream.
            is_inside: True if the window begins within a frame.
            is_ended: True if the stream ended with the window. The last event then counts without
                an empty line after it. The standard discards it, but streams that lack this line
                are too common to be left unread.
        """
        ...


def split_events(
    data: bytes, *, start: int = 0, is_inside: bool = False, is_ended: bool = False
) -> list[Frame]:
    """Split a window of an event stream into its events; see `Split`."""
    if data.startswith(_BYTE_ORDER_MARK):
        begin = len(_BYTE_ORDER_MARK)
    else:
        begin = 0
    if is_inside:
        cut = BLANK_LINE.search(data)
        begin = len(data) if cut is None else cut.end()
    text = data[begin:]
    gaps: Iterable[int] = repeat(2)
    if b"\r" in text:
        pieces = BLANK_LINE.split(text)
        blocks = pieces[::2]
        gaps = chain(map(len, pieces[1::2]), repeat(0))
    else:
        blocks = text.split(b"\n\n")

    frames: list[Frame] = []
    at = start + begin
    for block, gap in zip(blocks if is_ended else blocks[:-1], gaps, strict=False):
        if block.startswith(b"data: ") and b"\n" not in block and b"\r" not in block:
            frames.append(_new_frame(Frame, (b"", block[6:], at + len(block))))
        elif (frame := _event(block, at)) is not None:
            frames.append(frame)
        at += len(block) + gap

    return frames


def _event(block: bytes, at: int) -> Frame | None:
    name = b""
    data = list[bytes]()
    for line in LINE_END.split(block):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
        elif field == b"error":  # Sent by llama.cpp's server until 2025.
            name = field
            data = [value.removeprefix(b" ")]

    if data:
        return Frame(name, b"\n".join(data), at + len(block.rstrip(b"\r\n")))

    return None


def split_lines(
    data: bytes, *, start: int = 0, is_inside: bool = False, is_ended: bool = False
) -> list[Frame]:
    """Split a window of lines of JSON (NDJSON), without empty ones, see `Split`."""
    frames: list[Frame] = []
    lines = data.split(b"\n")
    at = start

    for number, line in enumerate(lines if is_ended else lines[:-1]):
        if (text := line.strip(b" \t\r")) and not (is_inside and number == 0):
            frames.append(Frame(b"", text, at + len(line)))
        at += len(line) + 1

    return frames


def split_of(content_type: bytes, head: bytes) -> Split | None:
    """Return the splitter for a body by its beginning, or by its type if that is ambiguous; None if
    it has no frames.
    """
    kind = content_type.lower()
    if _EVENT_BEGINS.match(head) is not None or (
        b"event-stream" in kind and head[:1] not in (b"{", b"[")
    ):
        return split_events

    end = head.find(b"\n") if head[:1] == b"{" else 0
    # Within one document a comma separates two objects.
    are_two = (
        end > 0
        and head[end - 2 : end].rstrip().endswith(b"}")
        and head[end : end + 64].lstrip()[:1] == b"{"
    )
    if are_two or b"ndjson" in kind or b"jsonl" in kind:
        return split_lines

    return None


def is_streamed(content_type: bytes, head: bytes) -> bool:
    """True if a body comes in frames of any kind, Amazon's included."""
    return split_of(content_type, head) is not None or b"eventstream" in content_type.lower()


def split_array(
    data: bytes, *, start: int = 0, is_inside: bool = False, is_ended: bool = False
) -> list[Frame]:
    """Split the objects of a window of a JSON array, see `Split`. Linear in the data; a cut object
    is left out.
    """
    begin = 0
    if is_inside:
        found = _ELEMENT_BEGINS.search(data)
        if found is None:
            return []
        begin = found.end()

    frames: list[Frame] = []
    depth = 0
    opened = -1
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
    """Return the arrival time of the chunk with the byte before `offset`, in µs since the start of
    the exchange; None if unknown.
    """
    if offset < 0 or not timeline:
        return None
    place = bisect_left(timeline, (offset, 0))
    if place < len(timeline):
        return timeline[place][1]
    return None
