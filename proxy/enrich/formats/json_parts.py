"""Read parts of JSON that may be cut off, huge or hostile: what cannot be read is None, never an
error.

Strategy: whole documents are decoded into partial msgspec structs whose members stay undecoded
(`Raw`) or of any type, so that one strange member costs only itself. Of truncated documents, single
members are found lexically: a name in quotes followed by a colon cannot be text inside a string,
where its quotes would be escaped. What is nearly JSON is read (`storage.json_text`).
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from storage.json_text import FAILURES, mend

Part = TypeVar("Part")
Member = bytes | msgspec.Raw
"""A member of an object, undecoded."""

MAX_NUMBER: Final = (1 << 53) - 1
"""Largest count that every reader of JSON keeps exact; no real one comes near."""
MAX_TEXT_CHARACTERS: Final = 256
"""Longest name of a model, an error or a reason that is kept."""
STRUCTURE: Final = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[{}\[\]]', re.DOTALL)


def decode(
    decoder: "msgspec.json.Decoder[Part]", data: bytes | memoryview | msgspec.Raw
) -> Part | None:
    """Decode a document or member; None when it does not fit, is nested too deeply, or is no JSON."""
    try:
        return decoder.decode(data)
    except FAILURES as error:
        mended = mend(bytes(data))
        if mended is None or isinstance(error, msgspec.ValidationError):
            return None

    try:
        return decoder.decode(mended)
    except FAILURES:
        return None


def is_object(member: msgspec.Raw) -> bool:
    return bytes(member)[:1] == b"{"


def is_array(member: msgspec.Raw) -> bool:
    return bytes(member)[:1] == b"["


def members_of(part: Member | None) -> dict[str, msgspec.Raw]:
    """Return the members of an object, undecoded; none where it is missing, something else, or no
    JSON.
    """
    return decode(_MEMBERS, part) or {} if part else {}


def value_in(members: Mapping[str, msgspec.Raw], name: str) -> Any:
    """Read the value of a member; None without one."""
    if name in members:
        return decode(_ANY, members[name])
    return None


def object_in(members: Mapping[str, msgspec.Raw], name: str) -> dict[str, Any] | None:
    """Read a member that is an object and not large; None where it is missing or something else."""
    if name in members and is_object(members[name]):
        found = decode(_ANY, members[name])
    else:
        found = None
    return found if isinstance(found, dict) else None


def objects_in(members: Mapping[str, msgspec.Raw], name: str) -> list[dict[str, msgspec.Raw]]:
    """Return the members, undecoded, of each element of an array of objects; none where it is
    something else.
    """
    if name in members and is_array(members[name]):
        return decode(_LIST, members[name]) or []
    return []


def part_of(members: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the first of these members that is an object; an empty one without any."""
    return next((found for name in names if isinstance(found := members.get(name), dict)), {})


def objects_among(value: object) -> list[dict[str, Any]]:
    """Return the elements of an array that are objects; none where the value is no array."""
    if isinstance(value, list):
        return [each for each in value if isinstance(each, dict)]
    return []


def values_at(part: Member, *path: str) -> list[Any]:
    """Read what stands at a path of members, of each element where one is an array of objects;
    empty where none does.

    Nothing is decoded but what the path leads to.
    """
    if not path:
        return [decode(_ANY, part)]
    found = decode(_OBJECTS, part) if part else None
    objects = found if isinstance(found, list) else [found or {}]
    return [
        value
        for each in objects
        if path[0] in each
        for value in values_at(each[path[0]], *path[1:])
    ]


def value_at(part: Member, *path: str) -> Any:
    """Read the first value that stands at a path of members; None without one."""
    return next(iter(values_at(part, *path)), None)


def count_of(value: object) -> int | None:
    """Read a count: a whole number that is not negative and not absurd, also when it is written as
    a float.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_NUMBER:
        return None
    return value


def first_count(*values: object) -> int | None:
    """Read the first valid count among values."""
    return next((count for value in values if (count := count_of(value)) is not None), None)


def sum_of(values: Iterable[object]) -> int | None:
    """Add up the counts among values; None when there are none."""
    counts = [count for value in values if (count := count_of(value)) is not None]
    return sum(counts) if counts else None


def amount_of(value: object) -> float | None:
    """Read an amount of money: finite, not negative, not absurd."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value <= MAX_NUMBER
    ):
        return None

    return float(value) if math.isfinite(value) else None


def text_of(value: object) -> str | None:
    """Read a short text; numbers are converted, an empty text and anything else is None."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER:
        return str(value)
    if not isinstance(value, str) or not value:
        return None
    return value[:MAX_TEXT_CHARACTERS].encode("utf-8", "replace").decode()


def find_text(data: bytes, name: bytes) -> str | None:
    """Return the first value of a member in any part of a document, where that is a short text."""
    found = re.search(rb'"%b"\s*:\s*("(?:[^"\\]|\\.)*+")' % re.escape(name), data, re.DOTALL)
    return None if found is None else decode_text(found[1])


def decode_text(value: bytes | None) -> str | None:
    """Read a member's value that is a short text."""
    if value is None or value[:1] != b'"':
        return None
    text = decode(_TEXT, value)
    return text_of(text)


_TEXT: Final = msgspec.json.Decoder(str)
_ANY: Final = msgspec.json.Decoder()
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_OBJECTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[dict[str, msgspec.Raw]])
