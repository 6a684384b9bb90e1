"""Read parts of JSON that may be cut off, huge or hostile. Unreadable parts are None, never an
error.

Strategy: complete documents are decoded into partial msgspec structs whose members stay undecoded
(`Raw`) or have any type, so that one strange member costs only itself. In truncated documents,
single members are found lexically: a name in quotes followed by a colon cannot be text inside a
string, because its quotes would be escaped. Almost valid JSON is repaired (`storage.json_text`).
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
"""The largest count that every JSON reader keeps exact; real counts are far smaller."""
MAX_TEXT_CHARACTERS: Final = 256
"""Limit for the name of a model, an error or a reason."""
STRUCTURE: Final = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[{}\[\]]', re.DOTALL)


def decode(
    decoder: "msgspec.json.Decoder[Part]", data: bytes | memoryview | msgspec.Raw
) -> Part | None:
    """Decode a document or member; None if it does not fit, is nested too deeply, or is not
    JSON.
    """
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
    """Return the undecoded members of an object; empty if it is missing, not an object, or not
    JSON.
    """
    if part:
        return decode(_MEMBERS, part) or {}
    return {}


def value_in(members: Mapping[str, msgspec.Raw], name: str) -> Any:
    """Return the value of a member; None without one."""
    if name in members:
        return decode(_ANY, members[name])
    return None


def object_in(members: Mapping[str, msgspec.Raw], name: str) -> dict[str, Any] | None:
    """Return a small member that is an object; None if it is missing or not an object."""
    if name in members and is_object(members[name]):
        found = decode(_ANY, members[name])
    else:
        found = None
    if isinstance(found, dict):
        return found
    return None


def objects_in(members: Mapping[str, msgspec.Raw], name: str) -> list[dict[str, msgspec.Raw]]:
    """Return the undecoded members of each element of an array of objects; empty if it is not
    one.
    """
    if name in members and is_array(members[name]):
        return decode(_LIST, members[name]) or []
    return []


def part_of(members: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the first of the named members that is an object; an empty one if there is none."""
    return next((found for name in names if isinstance(found := members.get(name), dict)), {})


def objects_among(value: object) -> list[dict[str, Any]]:
    """Return the elements of an array that are objects; empty if the value is not an array."""
    if isinstance(value, list):
        return [each for each in value if isinstance(each, dict)]
    return []


def values_at(part: Member, *path: str) -> list[Any]:
    """Return the values at a path of members; empty without any.

    If an array of objects is on the path, each element is followed. Only values at the end of the
    path are decoded.
    """
    if not path:
        return [decode(_ANY, part)]
    found = decode(_OBJECTS, part) if part else None
    if isinstance(found, list):
        objects = found
    else:
        objects = [found or {}]
    return [
        value
        for each in objects
        if path[0] in each
        for value in values_at(each[path[0]], *path[1:])
    ]


def value_at(part: Member, *path: str) -> Any:
    """Return the first value at a path of members; None without one."""
    return next(iter(values_at(part, *path)), None)


def count_of(value: object) -> int | None:
    """Return a count; None unless it is a whole number from 0 to `MAX_NUMBER`, perhaps written as a
    float.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_NUMBER:
        return None
    return value


def first_count(*values: object) -> int | None:
    """Return the first valid count among values; None without one."""
    return next((count for value in values if (count := count_of(value)) is not None), None)


def sum_of(values: Iterable[object]) -> int | None:
    """Return the sum of the counts among values; None without any."""
    counts = [count for value in values if (count := count_of(value)) is not None]
    if counts:
        return sum(counts)
    return None


def amount_of(value: object) -> float | None:
    """Return an amount of money; None unless it is a number from 0 to `MAX_NUMBER`."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value <= MAX_NUMBER
    ):
        return None

    if math.isfinite(value):
        return float(value)
    return None


def text_of(value: object) -> str | None:
    """Return a short text; numbers are converted. An empty text or another value yields None."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER:
        return str(value)
    if not isinstance(value, str) or not value:
        return None
    return value[:MAX_TEXT_CHARACTERS].encode("utf-8", "replace").decode()


def find_text(data: bytes, name: bytes) -> str | None:
    """Return the first short text of a member of this name, anywhere in a document; None without
    one.
    """
    found = re.search(rb'"%b"\s*:\s*("(?:[^"\\]|\\.)*+")' % re.escape(name), data, re.DOTALL)
    if found is None:
        return None
    return decode_text(found[1])


def decode_text(value: bytes | None) -> str | None:
    """Decode a member's value to a short text; None if it is not a string."""
    if value is None or value[:1] != b'"':
        return None
    text = decode(_TEXT, value)
    return text_of(text)


_TEXT: Final = msgspec.json.Decoder(str)
_ANY: Final = msgspec.json.Decoder()
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_OBJECTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[dict[str, msgspec.Raw]])
