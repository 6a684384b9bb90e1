"""A protobuf message without its schema: field numbers and values, as far as the wire shows what they are. Pure.

Strategy: what has a length is a text where it is UTF-8 without control characters, else a message where all of it reads
as one, else bytes. Numbers of a fixed size are of floating point where that gives a number that people write, else
whole. A field that comes again becomes a list. Invariant: nothing raises; depth and number of fields are bounded; of a
message that was cut, the field that the cut goes through is left out, because half a secret looks like none.

Standard: Protocol Buffers, Encoding.
"""

import base64
import math
import struct
from collections.abc import Callable
from typing import Any, Final

from proxy.enrich.formats.charset import CONTROLS

MAX_DEPTH: Final = 24
MAX_FIELDS: Final = 10_000
"""Of all messages of a body together, some 20 ms; what follows is left out."""
MAX_GUESSED_FIELD: Final = 65_535
"""Numbers beyond are not guessed: bytes that happen to read as a message have any."""
_MAX_FIELD: Final = (1 << 29) - 1
_MAX_VARINT_BYTES: Final = 10
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_SAFE_INT: Final = 1 << 53
"""Beyond, readers of JSON round: such numbers are texts, as in protobuf's own JSON."""
_PLAIN_FLOATS: Final = (1e-7, 1e15)
_TAG_LIKE: Final = ("\n", "\t", "\r")
"""Tags of a first field, with which a text hardly ever begins."""

Tree = dict[str, Any]
Redact = Callable[[bytes], bytes]


class NotWire(ValueError):
    """These bytes are no message of protobuf."""


class Cut(Exception):
    """The message ends within a field."""


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of seven bits a byte, and where it ends.

    Raises:
        NotWire: It has more than 64 bits.
        Cut: The data end within it.
    """
    value = shift = 0
    for place in range(at, min(at + _MAX_VARINT_BYTES, len(data))):
        value |= (data[place] & 0x7F) << shift
        if data[place] < 0x80:
            if value >= 1 << 64:
                raise NotWire
            return value, place + 1
        shift += 7
    raise Cut if len(data) < at + _MAX_VARINT_BYTES else NotWire


class WireReader:
    """Shows the messages of one body."""

    def __init__(self, redact: Redact) -> None:
        """Take secrets out of bytes, which no later step can read, with `redact`; texts are not redacted."""
        self.fields_left = MAX_FIELDS
        self._redact = redact

    def show(self, data: bytes, *, is_whole: bool = True) -> tuple[object, bool]:
        """Show a message.

        Returns:
            Values by field number, or the bytes in base64 where they are no message; and whether that is all of it.
            Of a message that was cut, bytes that are none of protobuf are left out.
        """
        try:
            tree = self._message(data, MAX_DEPTH, is_whole=is_whole)
        except (NotWire, Cut):
            return bytes_shown(self._redact(data) if is_whole else b""), is_whole
        return tree, is_whole and self.fields_left > 0

    def _message(self, data: bytes, depth: int, *, is_whole: bool = True, is_guess: bool = False) -> Tree:
        tree: Tree = {}
        lists: set[int] = set()
        at = 0
        while at < len(data) and self.fields_left > 0:
            self.fields_left -= 1
            try:
                number, value, at = self._field(data, at, depth, is_guess=is_guess)
            except Cut:
                if is_whole:
                    raise
                break
            key = str(number)
            if key not in tree:
                tree[key] = value
            elif number in lists:
                tree[key].append(value)
            else:
                lists.add(number)
                tree[key] = [tree[key], value]
        return tree

    def _field(self, data: bytes, at: int, depth: int, *, is_guess: bool) -> tuple[int, object, int]:
        tag, at = read_varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number <= (MAX_GUESSED_FIELD if is_guess else _MAX_FIELD):
            raise NotWire
        if wire_type == _VARINT:
            value, at = read_varint(data, at)
            return number, shown_int(value - (1 << 64) if value >> 63 else value), at
        if wire_type == _LENGTH:
            size, at = read_varint(data, at)
        elif wire_type in (_FIXED32, _FIXED64):
            size = 4 if wire_type == _FIXED32 else 8
        else:  # groups are gone since 2008
            raise NotWire
        piece = data[at : at + size]
        if len(piece) < size:
            raise Cut
        return number, self._value(piece, depth) if wire_type == _LENGTH else _fixed(piece), at + size

    def _value(self, piece: bytes, depth: int) -> object:
        """Show what has a length."""
        text = _text(piece)
        if depth and (text is None or text.startswith(_TAG_LIKE)):
            fields_left = self.fields_left
            try:
                return self._message(piece, depth - 1, is_guess=True)
            except (NotWire, Cut):
                self.fields_left = fields_left
        return bytes_shown(self._redact(piece)) if text is None else text


def _text(piece: bytes) -> str | None:
    if CONTROLS.search(piece) is not None:
        return None
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return None


def _fixed(piece: bytes) -> object:
    number: float = struct.unpack("<f" if len(piece) == 4 else "<d", piece)[0]
    least, most = _PLAIN_FLOATS
    if number == 0 or (math.isfinite(number) and least <= abs(number) < most):
        return float(f"{number:.7g}") if len(piece) == 4 else number
    return shown_int(int.from_bytes(piece, "little"))


def shown_int(value: int) -> int | str:
    """Write a whole number so that every reader of JSON reads the same."""
    return value if -_SAFE_INT <= value <= _SAFE_INT else str(value)


def bytes_shown(data: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(data).decode()}
