"""The wire format of protobuf: a sequence of fields, each with a number and a type.

Standard: Protocol Buffers, Encoding. Groups, deprecated since 2008, are not read.
"""

from typing import Final

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
"""Wire types."""
FIXED_BYTES: Final = {FIXED64: 8, FIXED32: 4}
_MAX_FIELD: Final = (1 << 29) - 1
_MAX_VARINT_BYTES: Final = 10


class NotWire(ValueError):
    """The bytes are not a protobuf message."""


class Cut(Exception):
    """The message ends within a field."""


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a varint at an offset. Return it and the offset after it.

    Raises:
        NotWire: It has more than 64 bits.
        Cut: The data end within it.
    """
    if at < len(data) and data[at] < 0x80:  # fast path for nearly all
        return data[at], at + 1
    value = 0
    shift = 0
    for place in range(at, min(at + _MAX_VARINT_BYTES, len(data))):
        value |= (data[place] & 0x7F) << shift
        if data[place] < 0x80:
            if value >= 1 << 64:
                raise NotWire
            return value, place + 1
        shift += 7

    raise Cut if len(data) < at + _MAX_VARINT_BYTES else NotWire


def read_field(data: bytes, at: int) -> tuple[int, int, int | bytes, int]:
    """Read a field. Return its number, its wire type, its value and the offset after it.

    A value of a fixed size is returned as bytes.

    Raises:
        NotWire: There is no field.
        Cut: The data end within it.
    """
    if data[at] < 0x80:  # fast path for nearly all
        tag = data[at]
        at = at + 1
    else:
        tag, at = read_varint(data, at)

    number = tag >> 3
    wire_type = tag & 7
    if not 0 < number <= _MAX_FIELD:
        raise NotWire
    if wire_type == VARINT:
        value, at = read_varint(data, at)
        return number, wire_type, value, at

    if wire_type == LENGTH:
        size, at = read_varint(data, at)
    elif wire_type in FIXED_BYTES:
        size = FIXED_BYTES[wire_type]
    else:
        raise NotWire

    piece = data[at : at + size]
    if len(piece) < size:
        raise Cut

    return number, wire_type, piece, at + size


def read_beginning(data: bytes, at: int, end: int) -> tuple[int, bytes, int]:
    """Read the field within which the data end. The message goes on to `end`.

    Returns:
        Its number, the present bytes of its value, and the value's length. The number is 0 if the
        field has no length, or its length is missing as well.

    Raises:
        NotWire: There is no such field.
    """
    try:
        tag, at = read_varint(data, at)
        if tag & 7 != LENGTH:
            return 0, b"", 0
        size, at = read_varint(data, at)
    except Cut:
        return 0, b"", 0

    if at + size > end:
        raise NotWire
    return tag >> 3, data[at:], size
