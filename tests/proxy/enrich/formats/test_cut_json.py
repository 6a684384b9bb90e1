"""Members of documents that are cut anywhere: the right ones, or none, never another's."""

import json
import random
import time

import pytest

from proxy.enrich.formats.cut_json import (
    MAX_TOKENS,
    elements_at_start,
    members_at_end,
    members_at_start,
)
from tests.support.cases import each_of

NAMES = (b"model", b"usage", b"response", b"id")
DOCUMENT = {
    "model": "real",
    "tool": {"model": "haiku", "usage": {"x": [1, {"usage": 5}]}},
    "text": 'a \\ " "usage": {"model": 1} \\\\',
    "response": {"model": "inner", "text": "{[}]", "usage": {"in": 1}, "list": [{"id": 3}]},
    "usage": {"out": 2},
    "id": -7,
}


@pytest.mark.parametrize("separators", [(",", ":"), (" , ", " :\n")])
def test_every_cut_gives_members_of_the_document_or_none(separators: tuple[str, str]) -> None:
    """Wherever the cut is, a root member is the root's, and the nearer the cut the fewer there are."""
    raw = json.dumps(DOCUMENT, separators=separators).encode()
    root = {name.encode(): value for name, value in DOCUMENT.items() if name.encode() in NAMES}
    for place in range(1, len(raw)):
        for members in (members_at_start(raw[:place], NAMES), members_at_end(raw[place:], NAMES)):
            for name, value in members[0].items() if members else ():
                assert json.loads(value) == root[name], (place, name)

    assert json.loads(members_at_start(raw, NAMES)[0][b"usage"]) == {"out": 2}
    assert set(members_at_end(raw, NAMES)[0]) == {b"model", b"response", b"usage", b"id"}


def test_the_chain_around_a_cut() -> None:
    """Members of each container that is open at the cut are told apart by depth."""
    raw = b'{"type":"x","response":{"model":"m","tools":[{"id":1,"usage":2,"text":"' + b"y" * 50
    assert members_at_start(raw, NAMES) == [
        {},
        {b"model": b'"m"'},
        {},
        {b"id": b"1", b"usage": b"2"},
    ]
    raw = b'yy \\" } ","usage":9}],"usage":{"in":1},"model":"m"},"id":5}'
    assert members_at_end(raw, NAMES) == [
        {b"id": b"5"}, {b"usage": b'{"in":1}', b"model": b'"m"'}, {}, {b"usage": b"9"},
    ]  # fmt: skip


def test_text_that_ends_within_a_string_or_number_gives_no_half_value() -> None:
    """A cut value is no value."""
    assert members_at_start(b'{"model":"gpt-4', NAMES) == [{}]
    assert members_at_start(b'{"id":12', NAMES) == [{}]
    assert members_at_start(b'{"usage":{"a":1', NAMES) == [{}, {}]
    assert members_at_end(b'del":"m"}', NAMES) == [{}]


HOSTILE = [b"", *(byte * 100_000 for byte in (b"[", b"]", b'"', b"\\")), b'{"a":' * 9999]


@each_of("text", HOSTILE)
def test_hostile_text_is_read_in_linear_time_or_not_at_all(text: bytes) -> None:
    """Nothing raises, and nothing takes long."""
    before_s = time.process_time()
    assert not any(members_at_start(text, NAMES))
    assert not any(members_at_end(text, NAMES))
    assert time.process_time() - before_s < 30
    assert members_at_start(b'{"a":[' + b'"",' * (MAX_TOKENS + 1), NAMES) == []


def test_random_bytes_raise_nothing() -> None:
    """Whatever stands there, be it nearly JSON or not, and nothing is found that was not asked for."""
    chance = random.Random(7)
    pieces = (
        b"{",
        b'{"a":',
        b'"a":',
        b'"1":',
        b"}",
        b"[",
        b"]",
        b'"',
        b":",
        b",",
        b"\\",
        b" ",
        b"a",
        b"1",
    )
    met = set[bytes]()

    for _ in range(2000):
        raw = b"".join(chance.choices(pieces, k=40))
        for container in members_at_start(raw, (b"a", b"1")) + members_at_end(raw, (b"a", b"1")):
            met.update(container)

    assert met == {b"a", b"1"}


def test_elements_before_a_cut() -> None:
    """Of the array of the root that is asked for, those that are whole: objects, whatever is in
    them.
    """
    elements = [{"a": '}] ,\\"'}, {"b": [{"messages": [{"c": 1}]}]}, {}]
    raw = json.dumps(
        {"x": [{"messages": [{"no": 1}]}], "messages": elements, "input": [{"d": 1}]}
    ).encode()
    met = []

    for place in range(len(raw) + 1):
        found = [json.loads(element) for element in elements_at_start(raw[:place], (b"messages",))]
        assert found == elements[: len(found)]
        met.append(len(found))

    assert (met == sorted(met), met[-1]) == (True, 3)
    assert elements_at_start(raw, (b"input",)) == [b'{"d": 1}']
    assert elements_at_start(raw, (b"none",)) == elements_at_start(b"[[", (b"input",)) == []
    assert elements_at_start(b'{"messages": {"a": [{}]}, "input": [{}]}', (b"messages",)) == []
