"""Numbers and texts of protobuf by their declared types.

Standard: Protocol Buffers, Encoding. Types have the numbers of `FieldDescriptorProto.Type` in
descriptor.proto.
"""

import math
import struct
from typing import Final

from proxy.enrich.grpc.wire import (
    FIXED32,
    FIXED64,
    FIXED_BYTES,
    LENGTH,
    VARINT,
    Cut,
    NotWire,
    read_varint,
)

STRING, BYTES, _BOOL = 9, 12, 8
_SIGNED, ZIGZAG = (3, 5, 14), (17, 18)
"""Integer types: 64-bit two's complement, also for enums; zigzag encoding."""
FORMATS: Final = {1: "<d", 2: "<f", 6: "<Q", 7: "<I", 15: "<i", 16: "<q"}
WIRE_TYPES: Final = (
    dict.fromkeys((*_SIGNED, *ZIGZAG, 4, _BOOL, 13), VARINT)
    | dict.fromkeys((1, 6, 16), FIXED64)
    | dict.fromkeys((2, 7, 15), FIXED32)
    | dict.fromkeys((STRING, BYTES), LENGTH)
)
_CONTINUED: Final = bytes(range(0x80, 0x100))
"""Varint bytes with the continuation bit set."""
_SAFE_INT: Final = 1 << 53
"""Limit of exact integers in JSON readers. Larger ones become strings, as in ProtoJSON."""

Scalar = int | float | str | bool | bytes


class NotOfType(ValueError):
    """A value does not have its declared type."""


def scalar(type_: int, wire_type: int, raw: int | bytes) -> Scalar:
    """Read a value by its declared type.

    Raises:
        NotOfType: The wire type or the bytes do not fit, or it is not a scalar type.
    """
    if WIRE_TYPES.get(type_) != wire_type:
        raise NotOfType
    if isinstance(raw, int):
        return _whole(type_, raw)
    if type_ == BYTES:
        return raw

    if type_ == STRING:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise NotOfType from None

    number: int | float = struct.unpack(FORMATS[type_], raw)[0]
    if isinstance(number, int):
        return shown_int(number)

    return shown_float(number, is_single=type_ == 2)


def packed(type_: int, raw: bytes) -> list[Scalar]:
    """Read the numbers of a packed field.

    Raises:
        NotOfType: The bytes are not numbers of this type.
    """
    wire_type = WIRE_TYPES.get(type_, LENGTH)
    found: list[Scalar] = []

    at = 0
    try:
        while at < len(raw):
            if wire_type == VARINT:
                value, at = read_varint(raw, at)
                found.append(_whole(type_, value))
            else:
                size = FIXED_BYTES[wire_type]
                found.append(scalar(type_, wire_type, raw[at : at + size]))
                at += size
    except (KeyError, NotWire, Cut, struct.error):
        raise NotOfType from None

    return found


def packed_beginning(type_: int, raw: bytes) -> list[Scalar]:
    """Read the numbers of a packed field that was cut, without the number at the cut.

    Raises:
        NotOfType: The bytes are not numbers of this type.
    """
    wire_type = WIRE_TYPES.get(type_, LENGTH)
    if wire_type == VARINT:
        return packed(type_, raw.rstrip(_CONTINUED))
    return packed(type_, raw[: len(raw) - len(raw) % FIXED_BYTES.get(wire_type, 1)])


def _whole(type_: int, value: int) -> Scalar:
    if type_ == _BOOL:
        return bool(value)
    if type_ in ZIGZAG:
        return shown_int((value >> 1) ^ -(value & 1))
    return shown_int(value - (1 << 64) if type_ in _SIGNED and value >> 63 else value)


def shown_int(value: int) -> int | str:
    """Return an integer as a JSON value; as a string if a JSON reader would round it."""
    if -_SAFE_INT <= value <= _SAFE_INT:
        return value
    return str(value)


def shown_float(value: float, *, is_single: bool) -> float | str:
    """Return a float as a JSON value; a 32-bit one with the digits needed to restore it.

    Infinities and NaN become strings (ProtoJSON).
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        if value > 0:
            return "Infinity"
        return "-Infinity"
    if not is_single:
        return value
    rounded = (float(f"{value:.{digits}g}") for digits in (7, 8))
    return next((each for each in rounded if _as_single(each) == value), float(f"{value:.9g}"))


def _as_single(value: float) -> float:
    """Return the nearest 32-bit float."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.inf
