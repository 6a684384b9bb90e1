"""Write a protobuf message from its shown form: the inverse of `wire_tree.py`.

With a schema each field is written by its declared type, and types with a special form
(`well_known.py`) are read back from it. Fields shown by number are written by the type of that
number. Without a schema a number may have been a varint or a fixed-size number: `GUESSES` lists all
readings.
Standards: Protocol Buffers, Encoding; ProtoJSON Format.
"""

import base64
import binascii
import math
import re
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from proxy.enrich.grpc.descriptors import ENUM, MESSAGE, Field, Schema
from proxy.enrich.grpc.scalars import BYTES, FORMATS, STRING, WIRE_TYPES, ZIGZAG
from proxy.enrich.grpc.well_known import WRAPPED
from proxy.enrich.grpc.wire import FIXED32, FIXED64, FIXED_BYTES, LENGTH, VARINT
from storage.varint import varint

_PREFIX: Final = "google.protobuf."
_ANY: Final = "google.protobuf.Any"
_BOOL: Final = 8
_FLOATS: Final = (1, 2)
_MASK: Final = (1 << 64) - 1
_MAX_DEPTH: Final = 64
_MOMENT: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")
_DURATION: Final = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,9}))?s")
_CAPITAL: Final = re.compile(r"[A-Z]")
_LARGE: Final = re.compile(r"-?\d{16,20}", re.ASCII)
"""Matches integers that are shown as strings, because they are too large for JSON."""

Tree = dict[str, Any]


class Guess(NamedTuple):
    """A choice of wire types for values that were shown without a schema."""

    fraction: int = FIXED64
    whole: int = VARINT
    has_large_numbers: bool = True
    """True if strings of large integers are read as numbers."""


GUESSES: Final = [
    Guess(fraction, whole, has_large_numbers)
    for has_large_numbers in (True, False)
    for fraction, whole in (
        (FIXED64, VARINT),
        (FIXED32, VARINT),
        (FIXED64, FIXED64),
        (FIXED32, FIXED32),
    )
]


class NotWritable(ValueError):
    """A shown message cannot be written. The text gives the reason."""


def write_message(
    schema: Schema, type_name: str, shown: Any, *, is_packed: bool = True, is_named: bool = True
) -> bytes:
    """Write a message of a declared type, with fields in the order shown.

    Args:
        schema: Schema that declares the type.
        type_name: Full name of the type.
        shown: Message as a record shows it.
        is_packed: True to write repeated numbers as one field. Every parser reads both forms.
        is_named: True if the message was shown by this schema, False if it was shown without one.

    Raises:
        NotWritable: The type is not declared, or a value does not fit its field.
    """
    writer = _Writer(schema, is_packed=is_packed)
    try:
        return (writer.message if is_named else writer.by_numbers)(type_name, shown, 0)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, struct.error) as error:
        raise (
            error if isinstance(error, NotWritable) else NotWritable(f"{type_name}: {error}")
        ) from error


def write_guessed(shown: Any, guess: Guess) -> bytes:
    """Write a message that was shown without a schema, by one of `GUESSES`.

    Raises:
        NotWritable: The message does not fit this reading.
    """
    try:
        return _guess(shown, guess, 0)
    except (TypeError, ValueError, OverflowError, struct.error) as error:
        raise NotWritable(str(error)) from error


class _Writer:
    def __init__(self, schema: Schema, *, is_packed: bool) -> None:
        self._schema = schema
        self._is_packed = is_packed

    def message(self, type_name: str, shown: Any, depth: int) -> bytes:
        if depth > _MAX_DEPTH:
            raise NotWritable(f"the message is nested more than {_MAX_DEPTH} levels deep")
        fields = self._schema.messages.get(type_name)
        if fields is None:
            raise NotWritable(f"the schema does not declare {type_name or 'its type'}")

        if type_name == _ANY and isinstance(shown, dict) and "@type" in shown:
            tree = self._packed(shown, depth)
        else:
            tree = plain(type_name, shown)

        by_name = {field.name: (number, field) for number, field in fields.items()}
        written = b""
        for name, value in tree.items():
            if name in by_name:
                written += self._field(*by_name[name], value, depth)
            elif name.isdecimal():
                written += self._numbered(fields, name, value, depth)
            else:
                raise NotWritable(f"{type_name} has no field {name}")

        return written

    def by_numbers(self, type_name: str, shown: Tree, depth: int) -> bytes:
        """Write a message that was shown without a schema, by the types declared now."""
        if depth > _MAX_DEPTH:
            raise NotWritable(f"the message is nested more than {_MAX_DEPTH} levels deep")
        fields = self._schema.messages.get(type_name, {})
        return b"".join(self._numbered(fields, *member, depth) for member in shown.items())

    def _numbered(self, fields: Mapping[int, Field], name: str, value: Any, depth: int) -> bytes:
        """Write a field that was shown by its number."""
        number = int(name)
        field = fields.get(number)
        written = b""
        for each in value if isinstance(value, list) else [value]:
            if field is None:
                wire_type = LENGTH
            else:
                wire_type = WIRE_TYPES.get(field.type, LENGTH)
            if field is not None and field.type == MESSAGE and _is_message(each):
                written += sized(number, self.by_numbers(field.of, each, depth + 1))
            elif wire_type in FIXED_BYTES:
                written += _guessed(number, each, Guess(wire_type, wire_type), depth)
            else:
                # A string that is an integer was a large number, unless the field is declared a
                # string.
                has_large = wire_type != LENGTH
                written += _guessed(number, each, Guess(has_large_numbers=has_large), depth)

        return written

    def _packed(self, shown: Tree, depth: int) -> Tree:
        """Return the fields of an `Any`. Its message stands next to the name of its type."""
        name = str(shown["@type"]).rpartition("/")[2]
        others = {key: value for key, value in shown.items() if key != "@type"}
        is_alone = others.keys() == {"value"} and name.startswith(_PREFIX)
        raw = self.message(name, others["value"] if is_alone else others, depth + 1)
        return {"type_url": shown["@type"], "value": base64.b64encode(raw).decode()}

    def _field(self, number: int, field: Field, value: Any, depth: int) -> bytes:
        if self._schema.is_map(field.of):
            entries = ({"key": key, "value": each} for key, each in value.items())
            return b"".join(
                sized(number, self.message(field.of, entry, depth + 1)) for entry in entries
            )

        values = value if field.is_repeated else [value]
        if field.type == MESSAGE:
            return b"".join(
                sized(number, self.message(field.of, each, depth + 1)) for each in values
            )
        if field.type in (STRING, BYTES):
            return b"".join(sized(number, _octets(field.type, each)) for each in values)

        wire_type = WIRE_TYPES[field.type]
        pieces = [self._number(field, each) for each in values]
        if field.is_repeated and self._is_packed:
            if pieces:
                return sized(number, b"".join(pieces))
            return b""

        return b"".join(_tag(number, wire_type) + piece for piece in pieces)

    def _number(self, field: Field, value: Any) -> bytes:
        if field.type == ENUM and isinstance(value, str):
            numbers = {
                name: number for number, name in self._schema.enums.get(field.of, {}).items()
            }
            value = numbers[value]

        if field.type in FORMATS:
            is_float = field.type in _FLOATS
            return struct.pack(FORMATS[field.type], float(value) if is_float else int(value))
        if field.type == _BOOL:
            return _varint(int(value is True or value == "true"))

        number = int(value)
        return _varint((number << 1) ^ (number >> 63) if field.type in ZIGZAG else number)


def plain(type_name: str, shown: Any) -> Tree:
    """Return the fields of a message, also if it is shown in a special form."""
    name = type_name.removeprefix(_PREFIX)
    if name != type_name and (read := _FORMS.get(name)) is not None and not _is_plain(name, shown):
        return read(shown)
    if not isinstance(shown, dict):
        raise NotWritable(f"{shown!r:.40} is not a {type_name}")
    return shown


def _is_plain(name: str, shown: Any) -> bool:
    """Return True if a message that may have a special form is shown by its fields."""
    return isinstance(shown, dict) and name not in ("Struct", "Value")


def _timestamp(shown: str) -> Tree:
    found = _MOMENT.fullmatch(shown)
    if found is None:
        raise NotWritable(f"{shown!r:.40} is not a timestamp such as 2026-01-31T12:00:00Z")
    moment = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    return _without_zeros(seconds=round(moment.timestamp()), nanos=_nanos(found[2]))


def _duration(shown: str) -> Tree:
    found = _DURATION.fullmatch(shown)
    if found is None:
        raise NotWritable(f"{shown!r:.40} is not a duration such as 1.5s")
    sign = -1 if found[1] else 1
    return _without_zeros(seconds=sign * int(found[2]), nanos=sign * _nanos(found[3]))


def _nanos(digits: str | None) -> int:
    return int((digits or "").ljust(9, "0"))


def _without_zeros(**values: int) -> Tree:
    return {name: value for name, value in values.items() if value}


def _field_mask(shown: str) -> Tree:
    paths = shown.split(",") if shown else []
    return {"paths": [_CAPITAL.sub(lambda letter: f"_{letter[0].lower()}", path) for path in paths]}


def _variant(shown: Any) -> Tree:
    """Name the member of a `Value`."""
    if shown is None:
        return {"null_value": 0}
    names = {bool: "bool_value", str: "string_value", dict: "struct_value", list: "list_value"}
    return {names.get(type(shown), "number_value"): shown}


_FORMS: Final[dict[str, Callable[[Any], Tree]]] = {
    "Timestamp": _timestamp,
    "Duration": _duration,
    "FieldMask": _field_mask,
    "Struct": lambda shown: {"fields": shown},
    "ListValue": lambda shown: {"values": shown},
    "Value": _variant,
    **dict.fromkeys(WRAPPED, lambda shown: {"value": shown}),
}


def _octets(type_: int, value: Any) -> bytes:
    if not isinstance(value, str):
        raise NotWritable(f"{value!r:.40} is not a string")
    if type_ == STRING:
        return value.encode(errors="replace")
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise NotWritable(f"{value!r:.40} is not base64") from error


def _is_message(shown: Any) -> bool:
    return isinstance(shown, dict) and shown.keys() != {"base64"}


def _guess(shown: Any, guess: Guess, depth: int) -> bytes:
    """Write a message by field numbers."""
    if not isinstance(shown, dict) or depth > _MAX_DEPTH:
        raise NotWritable(
            f"not a message: expected an object of field numbers, at most {_MAX_DEPTH} levels deep"
        )
    if not _is_message(shown):
        return _octets(BYTES, shown["base64"])

    written = []
    for name, value in shown.items():
        values = value if isinstance(value, list) else [value]
        written += [_guessed(int(name), each, guess, depth) for each in values]
    return b"".join(written)


def _guessed(number: int, value: Any, guess: Guess, depth: int) -> bytes:
    if guess.has_large_numbers and isinstance(value, str) and _LARGE.fullmatch(value):
        value = int(value)
    if isinstance(value, str):
        return sized(number, value.encode(errors="replace"))
    if isinstance(value, dict):
        return sized(number, _guess(value, guess, depth + 1))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotWritable(f"{value!r} cannot be a protobuf value")
    if isinstance(value, float) and not math.isnan(value):
        form = "<d" if guess.fraction == FIXED64 else "<f"
        return _tag(number, guess.fraction) + struct.pack(form, value)
    if guess.whole == VARINT:
        return _tag(number, VARINT) + _varint(int(value))

    return _tag(number, guess.whole) + int(value).to_bytes(FIXED_BYTES[guess.whole], "little")


def sized(number: int, piece: bytes) -> bytes:
    """Return a field of bytes in the wire format, with its number and length."""
    return _tag(number, LENGTH) + _varint(len(piece)) + piece


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _varint(value: int) -> bytes:
    """Return an integer as a varint; a negative one as 64-bit two's complement."""
    return varint(value & _MASK)
