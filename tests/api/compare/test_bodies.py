"""Bodies by what they are, and what is said where not all of them was there."""

import json
from typing import Any

import pytest

from api.compare.bodies import NOT_COMPARED, SAME_VALUE, body_parts
from api.compare.part import Part
from storage.record import Body
from tests.api.samples import make_body
from tests.support.cases import each_of


def compared(old: bytes | Body, new: bytes | Body, *, is_form: bool = False) -> Part:
    """Compare two bodies of which the ends are the same, or not kept."""
    bodies = [make_body(body) if isinstance(body, bytes) else body for body in (old, new)]
    (part,) = body_parts("response_body", *bodies, is_form=is_form)
    assert part.equal == (not part.changes)
    return part


def lines(part: Part) -> list[str]:
    """Write changes as a line each."""
    return [f"{each.change} {each.path}: {each.a} | {each.b}" for each in part.changes]


def cut(head: bytes, tail: bytes = b"", size: int = 10_000) -> Body:
    return make_body(head, tail=tail, size=size, truncated=True)


@each_of(
    ("old", "new", "expected"),
    [
        (b'{"a": {"b": [1, 2]}}', b'{"a": {"b": [1, 3]}}', ["changed .a.b[1]: 2 | 3"]),
        (b"[1]", b"[1, {}]", ["added .[1]: None | {}"]),
        (b"1", b'"1"', ['type .: 1 | "1"']),
        (b'{"a b": 1}', b'{"a\\"": 1}', ['added ."a\\"": None | 1', 'removed ."a b": 1 | None']),
        (b'{"a": "\\ud800"}', b'{"a": "\\ud801"}', ['changed .a: "\\ud800" | "\\ud801"']),
        (b"one\ntwo", b"one\nzwei", ["changed line 2: two | zwei"]),
        (b'{"a": 1}', b"no JSON", ['changed line 1: {"a": 1} | no JSON']),
        (b"", b"text", ["added all of it: None | text"]),
        (b"text", b"", ["removed all of it: text | None"]),
        (b"\xff\x00\x01", b"\xff\x00\x02", ["changed byte 2: 01 | 02"]),
        (b"\xff\x00", b"\xff\x00\x02", ["changed byte 2:  | 02", "changed size: 2 bytes | 3 bytes"]),
        (b'{"a": 1}\n{"a": 2}\n', b'{"a": 1}\n{"a": 3}\n', ["changed .[1].a: 2 | 3"]),
        (b"data: {\"x\": 1}\n\nevent: e\ndata: t\n\n", b"data: {\"x\": 2}\n\nevent: e\ndata: t\n\n",
         ["changed .[0].data.x: 1 | 2"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", b": a comment\n\ndata: a\n\nevent: ping\ndata: {}\n\ndata: c\n\n",
         ['changed .[1].data: "b" | "c"']),
        (b"[3, 2, 1]", b"[1, 2, 3]", ["moved .: [3, 2, 1] | [1, 2, 3]"]),
        (b'--x\r\nA: 1\r\n\r\n{"n": 1}\r\n--x--', b'--yy\r\nA: 1\r\n\r\n{"n": 2}\r\n--yy--\r\n',
         ["changed .[0].content.n: 1 | 2"]),
        (b"--x\r\n\r\n\xff\r\n--x--", b"--y\r\n\r\n\xff\r\n--y--", []),
    ],
)  # fmt: skip
def test_bodies_are_compared_as_what_they_are(old: bytes, new: bytes, expected: list[str]) -> None:
    """By their content: no media type has to say so."""
    assert lines(compared(old, new)) == expected


def test_events_are_a_part_of_their_own() -> None:
    """What many of them have alike is shown once."""
    old, new = (
        "".join(f'data: {{"id": "{name}", "n": {n}}}\n\n' for n in range(50)).encode()
        for name in "ab"
    )
    part = compared(old, new)
    assert part.part == "events"
    assert [(each.path, each.times) for each in part.changes] == [(".[0].data.id", 50)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'{"a": 1, "b": 2}', b'{"b":2.0,"a":1}'),
        (b'{"a": 1, "a": 2}', b'{"a": 2}'),
        (b'"\\u00e9"', '"é"'.encode()),
    ],
)
def test_the_same_json_written_differently_is_equal_and_says_so(old: bytes, new: bytes) -> None:
    """In order, spaces, numbers, escapes and repeated names."""
    part = compared(old, new)
    assert (part.equal, part.complete, part.notes) == (True, True, [SAME_VALUE])


def test_a_form_is_compared_by_name() -> None:
    """Its order across names does not count."""
    part = compared(b"a=1&b=2&c=%FF", b"b=3&a=1&c=%FE&a=2", is_form=True)
    assert lines(part) == [
        "changed b: 2 | 3",
        "added a[1]: None | 2",
        "changed c: \\udcff | \\udcfe",
    ]


def test_values_of_a_name_in_another_order_are_one_change() -> None:
    """All of them are shown, as several lines of a header would be joined (RFC 9110, 5.3)."""
    part = compared(b"tag=a&tag=b&n=1", b"tag=b&n=1&tag=a", is_form=True)
    assert lines(part) == ["moved tag: a, b | b, a"]


def test_json_that_is_labelled_as_a_form_is_compared_by_path() -> None:
    """As curl labels it by default."""
    part = compared(b'{"a": {"b": 1}, "c": 1}', b' {"c": 1, "a": {"b": 2}}', is_form=True)
    assert lines(part) == ["changed .a.b: 1 | 2"]


@pytest.mark.parametrize("depth", [100, 400, 985, 100_000])
def test_depth_harms_nothing(depth: int) -> None:
    """Whether it can still be read as JSON, or not."""
    old, new = (b"[" * depth + each + b"]" * depth for each in (b"1", b"2"))
    assert not compared(old, new).equal
    assert compared(old, old).equal


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            b'{"a": 1, "b": {"c": "x", "d": "beg',
            b'{"a": 2, "b": {"c": "x", "d": "beginning", "e"',
            [".a"],
        ),
        (b'[{"a": "x"}, {"a": "y"}, {"a": "z', b'[{"a": "x"}, {"a": "longer"}, {"a"', [".[1].a"]),
        (
            b'{"a": [{"b": "c", "d": "e", "f": "g',
            b'{"a": [{"b": "longer", "d": "e", "f"',
            [".a[0].b"],
        ),
    ],
)
def test_what_the_cut_parted_is_no_difference(old: bytes, new: bytes, expected: list[str]) -> None:
    """Only what is there on both sides."""
    part = compared(cut(old), cut(new))
    assert [each.path for each in part.changes] == expected
    assert not part.complete
    assert len(part.notes) == 2


def test_cut_lines_are_text() -> None:
    """What has no whole line is no list of events."""
    part = compared(cut(b"the beginning"), cut(b"the start of it"))
    assert (part.part, [each.path for each in part.changes]) == ("response_body", ["line 1"])


def test_as_much_of_a_whole_body_is_compared_as_of_one_that_was_cut() -> None:
    """A difference behind it is unknown: the note says so."""
    whole = json.dumps({"items": [{"n": n} for n in range(100)]}).encode()
    part = compared(cut(whole[:500], size=len(whole)), make_body(whole))
    assert (part.equal, part.complete) == (True, False)
    assert part.notes == [f"a: cut: the first 500 of {len(whole)} bytes were kept"]


def test_the_end_of_a_cut_body_is_a_part_of_its_own() -> None:
    """As many bytes of it as both have."""
    head = b"the beginning"
    body, end = body_parts("response_body", cut(head, b"the end"), cut(head, b"and the finish"))
    assert (body.equal, end.part, end.equal, end.complete) == (
        True,
        "response_body_end",
        False,
        False,
    )
    assert len(body_parts("x", cut(head, b"the end"), cut(head, b"is the end"))) == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"omitted": "level", "size": 8}, []),
        ({"omitted": "level", "size": 9}, ["size"]),
        ({"omitted": "coding", "size": 9, "coding": "gzip"}, []),
        ({"truncated": True, "size": 9}, ["size"]),
    ],
)
def test_what_was_not_kept_is_never_simply_equal(
    changes: dict[str, Any], expected: list[str]
) -> None:
    """Its size is known, and differs from another one for certain where nothing was coded."""
    part = compared(make_body(b'{"a": 1}'), make_body(b'{"a": 1}', **changes))
    assert [each.path for each in part.changes] == expected
    assert not part.complete
    assert part.notes


def test_redacted_values_are_equal_and_a_note_says_so() -> None:
    """What stood there is not known to have been the same."""
    part = compared(b'{"password": "[REDACTED]", "a": 1}', b'{"password": "[REDACTED]", "a": 1}')
    assert (part.equal, part.notes) == (True, [NOT_COMPARED])
    part = compared(b'{"password": "[REDACTED]"}', b'{"password": null}')
    assert lines(part) == ['type .password: "[REDACTED]" | null']
