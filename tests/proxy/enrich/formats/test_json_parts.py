"""Parts of JSON are read for what they should be, or not at all."""

import json

import msgspec

from proxy.enrich.formats.json_parts import (
    decode,
    first_count,
    members_of,
    object_in,
    objects_in,
    sum_of,
    value_at,
    value_in,
    values_at,
)
from tests.support.cases import each_of


def test_counts_of_several_places() -> None:
    """What is no count is passed over; nought is one."""
    assert (first_count(None, "7", True, 0, 5), first_count(None, -1)) == (0, None)
    assert (sum_of((3, None, 4.0, "1")), sum_of((0,)), sum_of((None,))) == (7, 0, None)


@each_of(
    ("text", "read"),
    [
        ("cut \ud83d", "cut \ufffd"),
        ("\ude00 tail", "\ufffd tail"),
        ("\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        ("\\\ud83d and \\ud83d", "\\\ufffd and \\ud83d"),
        ("\U0001f600\n\u00e9\ud83d\ud83d", "\U0001f600\n\u00e9\ufffd\ufffd"),
    ],
)
def test_halves_of_surrogate_pairs(text: str, read: str) -> None:
    """As JavaScript and Python write a text that was cut within an emoji: it costs that character,
    not the document.
    """
    document = json.dumps({"text": text}).encode()
    assert decode(msgspec.json.Decoder(dict[str, str]), document) == {"text": read}
    assert decode(msgspec.json.Decoder(), document[:-1]) is None
    assert decode(msgspec.json.Decoder(dict[str, int]), document) is None


@each_of("member", [b"", b"null", b"7", b'"{}"', b'{"a":"x"}', b"[true]", b'{"a"', b"[1"])
def test_a_member_of_another_kind(member: bytes) -> None:
    """A member that is missing, cut, or not what it should be is none, and no error."""
    raw = msgspec.Raw(member)
    assert (object_in({"m": raw}, "m"), objects_in({"m": raw}, "m")) == (
        {"a": "x"} if member == b'{"a":"x"}' else None,
        [],
    )
    assert (object_in({}, "m"), objects_in({}, "m"), value_in({}, "m"), members_of(None)) == (
        None,
        [],
        None,
        {},
    )
    assert [*members_of(raw)] == (["a"] if member == b'{"a":"x"}' else [])


def test_objects_and_arrays() -> None:
    """A member that is what it should be is decoded."""
    members = members_of(b' {"a":{"b":[1]},"c":[{"d":2},{}],"e":"x"}')
    assert (object_in(members, "a"), value_in(members, "e")) == ({"b": [1]}, "x")
    assert [value_in(each, "d") for each in objects_in(members, "c")] == [2, None]


@each_of(
    ("document", "values"),
    [
        (b'{"a":{"b":[{"c":1},{},{"c":[2]}]}}', [1, [2]]),
        (b'{"a":{"b":{"c":"x"}}}', ["x"]),
        (b'{"a":{"b":[{"c":1},7]}}', []),
        (b'{"a":"b"}', []),
        (b'{"a":{"b":', []),
        (b"[" * 100_000, []),
        (b"", []),
    ],
)
def test_values_at_a_path(document: bytes, values: list[object]) -> None:
    """Each object of an array counts; what is something else than the path wants, or no JSON, has
    none.
    """
    assert values_at(document, "a", "b", "c") == values
    assert value_at(document, "a", "b", "c") == next(iter(values), None)
