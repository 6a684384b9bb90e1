"""Parameters as terms; `tests/api/native/test_filters.py` asks a store for both."""

import pytest

from storage.search.expression import Between, Expression, Has, Is, Like, Substring
from storage.search.language.errors import BadValue
from storage.search.language.parameters import (
    LISTS,
    PARAMETERS,
    SINGLES,
    read_parameter,
    written_term,
)
from storage.search.language.parser import parse_search
from tests.support.cases import each_of


@each_of(
    ("name", "texts", "expected"),
    [
        ("model", ["gpt-*", 'a"b'], Is("any_model", ("gpt-*", 'a"b'))),
        ("method", ["get"], Is("method", ("GET",))),
        ("path", ["/a*b"], Like("path", ("", "/a*b", ""))),
        ("user_agent", ["=curl"], Like("user_agent", ("", "=curl", ""))),
        ("client", ["10.0.0.1"], Is("client", ("10.0.0.1",))),
        ("level", [">=warn"], Is("level", ("warn", "error"))),
        (
            "grpc_status",
            ["14", "unavailable", "5"],
            Is("grpc_status", ("UNAVAILABLE", "NOT_FOUND")),
        ),
        ("min_latency_ms", ["5"], Between("duration_us", 5000, None)),
        ("max_latency_ms", ["7"], Between("duration_us", None, 7000)),
        (
            "trace_id",
            ["F47AC10B-58CC-4372-A567-0E02B2C3D479"],
            Is("trace_id", ("f47ac10b58cc4372a5670e02b2c3d479",)),
        ),
        ("q", ["*"], Substring("*")),
        ("header", ["Via:"], Has("header.via")),
        ("header", ["X-A: b:c "], Like("header.x-a", ("", "b:c", ""))),
        ("conversation", ["none"], Is("conversation", ())),
    ],
)
def test_a_value_is_literal(name: str, texts: list[str], expected: Expression) -> None:
    """Quotes, stars and signs of equality are characters."""
    assert read_parameter(name, texts, 0) == expected


@each_of(
    ("name", "text", "limit"),
    [
        ("status", "9xx", "a status from 100 to 599"),
        ("method", "GTE", 'GET, or query=method:"GTE" for this one'),
        ("header", "a b:c", "a name, a colon"),
        ("header", ":a", "a name, a colon"),
        ("grpc_status", "FINE", "a status of gRPC such as 14, UNAVAILABLE or !OK"),
        ("min_latency_ms", "1s", "whole milliseconds"),
    ],
)
def test_a_refusal_keeps_value_and_limit(name: str, text: str, limit: str) -> None:
    with pytest.raises(BadValue) as refused:
        read_parameter(name, [text], 0)
    assert refused.value.text == text
    assert refused.value.limit.startswith(limit)


@each_of(
    ("name", "text", "term"),
    [
        ("ua", 'say "hi" *', r'ua:"say \"hi\" *"'),
        ("duration", ">1s", 'duration:">1s"'),
        ("body.price", ">9", "body.price:>9"),
        ("body.note", "a b", 'body.note:"a b"'),
        ("header.X-A", "it's", 'header.X-A:"it\'s"'),
    ],
)
def test_a_word_is_written_as_a_term(name: str, text: str, term: str) -> None:
    """The search reads what was written."""
    assert written_term(name, text) == term
    assert parse_search(term, 0) is not None


def test_what_is_not_a_word_is_not_written() -> None:
    assert written_term("colour", "red") is None


def test_a_parameter_takes_one_value_or_several() -> None:
    assert len({*LISTS, *SINGLES}) == len(PARAMETERS) == 36
