"""Numbers and texts of protobuf by their declared types. Pure.

Standard: Protocol Buffers, Encoding; descriptor.proto (`FieldDescriptorProto.Type`), whose numbers
the types are.
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
"""Two's complement of 64 bits, an enum's too; small numbers of either sign."""
FORMATS: Final = {1: "<d", 2: "<f", 6: "<Q", 7: "<I", 15: "<i", 16: "<q"}
WIRE_TYPES: Final = (
    dict.fromkeys((*_SIGNED, *ZIGZAG, 4, _BOOL, 13), VARINT)
    | dict.fromkeys((1, 6, 16), FIXED64)
    | dict.fromkeys((2, 7, 15), FIXED32)
    | dict.fromkeys((STRING, BYTES), LENGTH)
)
_CONTINUED: Final = bytes(range(0x80, 0x100))
"""Bytes of a varint that more follow."""
_SAFE_INT: Final = 1 << 53
"""Beyond, readers of JSON round: such numbers are texts, as in protobuf's own JSON."""

Scalar = int | float | str | bool | bytes


class NotOfType(ValueError):
    """A value is not what the schema says."""


def scalar(type_: int, wire_type: int, raw: int | bytes) -> Scalar:
    """Read a value by its declared type.

    Raises:
        NotOfType: It has none of these types, or does not fit.
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
        NotOfType: They are none.
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
    """Read the numbers of a packed field that was cut, but for the one at the cut.

    Raises:
        NotOfType: They are none.
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
    """Write a whole number so that every reader of JSON reads the same."""
    if -_SAFE_INT <= value <= _SAFE_INT:
        return value
    return str(value)


def shown_float(value: float, *, is_single: bool) -> float | str:
    """Write a number of floating point, one of 32 bits with the digits that make it again; JSON has
    no infinity (ProtoJSON).
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if not is_single:
        return value
    rounded = (float(f"{value:.{digits}g}") for digits in (7, 8))
    return next((each for each in rounded if _as_single(each) == value), float(f"{value:.9g}"))


def _as_single(value: float) -> float:
    """Return the nearest number of 32 bits."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.inf
