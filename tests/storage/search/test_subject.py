"""The values of a record's fields, of its headers and of its bodies."""

import json
from typing import Any

import pytest

from storage.json_text import read_json
from storage.record import Body, Payload, format_id
from storage.search.expression import Has, Is, Not, Or
from storage.search.language.parser import parse_search
from storage.search.meaning import fulfils
from storage.search.subject import Subject, header_values, numbers_of, split_line, texts_of
from tests.storage.samples import make_body, make_record
from tests.support.cases import each_of

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nX-Tag:  one \r\nx-tag: tw\xf6"


def body_values(body: Body | None, path: str) -> list[str]:
    """Read a path of a body."""
    return list(
        texts_of(Subject(make_record(), Payload(HEAD, b"", body, None)), f"request_body.{path}")
    )


def test_headers() -> None:
    """By name in any case, repeated, trimmed, whatever their octets; the start line is none."""
    assert list(header_values(HEAD, "x-tag")) == ["one", "tw\u00f6"]
    assert list(header_values(b"host: a\r\n", "host")) == []


@each_of(
    ("line", "field"),
    [
        (b"Host: a:1", (b"Host", b" a:1")),
        (b":method: GET", (b":method", b" GET")),
        (b":path: /a:b", (b":path", b" /a:b")),
        (b":a", (b"", b"a")),
        (b":", (b"", b"")),
        (b"none", None),
        (b"", None),
    ],
)
def test_a_line_is_a_name_and_a_value(line: bytes, field: tuple[bytes, bytes] | None) -> None:
    """Pseudo-fields of HTTP/2, which malformed heads are kept with, have a colon in their name (RFC
    9113 §8.3).
    """
    assert split_line(line) == field


def test_body_fields() -> None:
    """A path leads through objects and lists to scalars; a body that was cut, or is no JSON, has
    none.
    """
    body = make_body(b'{"a":[{"b":1},{"b":"x"},{"b":null}],"c":true,"d":[[1,2],3],"e":1.50}')
    assert body_values(body, "a.b") == ["1", "x"]
    assert body_values(body, "a.1.b") == ["x"]
    assert body_values(body, "a.9.b") == []
    assert body_values(body, "c") == ["true"]
    assert body_values(body, "d") == ["1", "2", "3"]
    assert body_values(body, "e") == ["1.5"]
    assert body_values(body, "a") == []
    assert body_values(make_body(b'{"a":1}', b"}"), "a") == []
    assert body_values(make_body(b"a=1"), "a") == []
    assert body_values(None, "a") == []


@each_of(
    ("body", "has"),
    [
        (b'{"error":{"code":"rate_limit"}}', True),
        (b'{"error":{}}', True),
        (b'{"error":[{"code":1}]}', True),
        (b'{"error":""}', True),
        (b'{"error":false}', True),
        (b'{"error":null}', False),
        (b'{"error":[]}', False),
        (b'{"error":[null,[]]}', False),
        (b'{"error":' + b"[" * 900 + b"1" + b"]" * 900 + b"}", False),
        (b"{}", False),
        (b"error", False),
    ],
)
def test_an_object_is_a_value(body: bytes, has: bool) -> None:
    """Whoever asks for `body.error:*` wants the answers with an error, which most APIs write as an
    object.
    """
    subject = Subject(make_record(), Payload(HEAD, b"", None, make_body(body)))
    assert fulfils(subject, Has("body.error")) is has
    assert fulfils(subject, Has("response_body.error")) is has
    assert not fulfils(subject, Has("request_body.error"))
    assert not fulfils(Subject(make_record()), Has("body.error"))


def test_a_body_of_lists_within_each_other_ends_the_search() -> None:
    """What is nested deeper than anybody means is not there: no body makes the reader run out of
    stack.
    """
    nested = make_body(b"[" * 900 + b"1" + b"]" * 900)
    assert body_values(nested, "a") == []
    assert body_values(make_body(b'{"a":' + b"[" * 900 + b"1" + b"]" * 900 + b"}"), "a") == []
    assert body_values(make_body(b'{"a":' + b"[" * 20 + b"1" + b"]" * 20 + b"}"), "a") == ["1"]


def test_a_body_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search of a hundred places in bodies takes no hundred times as long as one of one."""
    parsed: list[bytes] = []

    def read(text: bytes) -> Any:
        parsed.append(text)
        return read_json(text)

    monkeypatch.setattr("storage.search.subject.read_json", read)
    payload = Payload(HEAD, b"", make_body(b'{"a":1}'), make_body(b'{"b":[2,3]}'))
    search = Or(tuple(Is(f"body.k{number}", ("1",)) for number in range(100)))
    assert fulfils(Subject(make_record(), payload), Not(search))
    assert parsed == [b'{"a":1}', b'{"b":[2,3]}']
    subject = Subject(make_record(), payload)
    assert (
        list(texts_of(subject, "body.b"))
        == list(texts_of(subject, "response_body.b"))
        == ["2", "3"]
    )
    assert list(texts_of(subject, "request_body.b")) == []


def test_fields() -> None:
    """Columns, sums, and what else belongs to a record; what is not known has no value."""
    record = make_record(
        seq=3, request_bytes=2, response_bytes=3, input_tokens=None, output_tokens=7, path=None
    )
    subject = Subject(
        record, Payload(HEAD, b"HTTP/1.1 200", make_body(b'{"n":"4"}'), None), ("search",)
    )
    assert list(texts_of(subject, "id")) == [format_id(record.id)]
    assert list(texts_of(subject, "path")) == []
    assert list(texts_of(subject, "tool")) == ["search"]
    assert list(texts_of(subject, "header.host")) == ["a"]
    assert list(texts_of(Subject(record), "header.host")) == []
    assert list(numbers_of(subject, "bytes")) == [5]
    assert list(numbers_of(subject, "tokens")) == [7]
    assert list(numbers_of(subject, "body.n")) == [4.0]
    assert list(numbers_of(subject, "request_body.n")) == [4.0]
    assert list(texts_of(subject, "response_body.n")) == []
    assert list(numbers_of(subject, "cost_usd")) == []


def test_an_exchange_in_flight_has_no_duration() -> None:
    """It is not known yet, so no bound on it holds; a finished one has it before it has a number."""
    assert list(numbers_of(Subject(make_record(ended_at_us=0)), "duration_us")) == []
    assert list(numbers_of(Subject(make_record(seq=0)), "duration_us")) == [900]


def test_whole_numbers_are_not_rounded() -> None:
    """An id of 19 digits is another one than its neighbour."""
    body = make_body(b'{"id":1234567890123456789,"share":0.5}')
    subject = Subject(make_record(), Payload(HEAD, b"", None, body))
    assert list(numbers_of(subject, "response_body.id")) == [1234567890123456789]
    assert list(numbers_of(subject, "response_body.share")) == [0.5]


@each_of(
    ("path", "found"),
    [
        ('"result.description"', ["zed7"]),
        ("result.description", ["zed7"]),
        ('a."b.c".d', ["1"]),
        ("a.b.c.d", ["1"]),
        ("list.x.y", ["2", "3"]),
        ('list."x.y"', ["2"]),
        ("both.way", ["nested"]),
        ('"both.way"', ["joined"]),
        ('"say \\"hi\\""', ["4"]),
        ('"a:b, c*(d)"', ["5"]),
        ('""', ["6"]),
        ('deep."".""', ["7"]),
        ("deep..", ["7"]),
        ('"back\\\\slash"', ["8"]),
        ("result", []),
        ('"result"."description"', ["zed7"]),
    ],
)
def test_a_name_may_have_dots(path: str, found: list[str]) -> None:
    """Between quotes it is one name; without them where nothing is at the path that they make."""
    document = {
        "result.description": "zed7", "a": {"b.c": {"d": 1}}, "list": [{"x.y": 2}, {"x": 1}, {"x": {"y": 3}}],
        "both": {"way": "nested"}, "both.way": "joined", 'say "hi"': 4, "a:b, c*(d)": 5, "": 6,
        "deep": {"": {"": 7}}, "back\\slash": 8,
    }  # fmt: skip
    payload = Payload(HEAD, b"", None, make_body(json.dumps(document).encode()))
    subject = Subject(make_record(), payload)
    assert list(texts_of(subject, f"body.{path}")) == found
    (text,) = found[:1] or ["x"]
    search = parse_search(f"body.{path}:{text}", 0)
    assert search is not None
    assert fulfils(subject, search) == bool(found)


def test_what_is_nearly_json_is_searched() -> None:
    """Numbers that are not finite, half a character, and integers of any length beside a value."""
    body = make_body(
        b'{"order":{"id":"zq1"},"logprob":-Infinity,"n":NaN,"cut":"\\ud83d","big":100000000000000000000,'
        b'"more":18446744073709551616}'
    )
    for search in (
        "body.order.id:zq1", "body.logprob:-Infinity",
        "body.big:100000000000000000000", "body.more:18446744073709551616",
        "body.big:>99999999999999999999", "body.cut:*", "-body.big:100000000000000000001",
    ):  # fmt: skip
        expression = parse_search(search, 0)
        assert expression is not None
        assert fulfils(Subject(make_record(), Payload(HEAD, b"", body, None)), expression), search
