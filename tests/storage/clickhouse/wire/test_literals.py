"""Values written into statements."""

import math
import random
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.clickhouse.wire.link import Link
from storage.clickhouse.wire.literals import identifier, literal, render
from tests.support.cases import each_of


@each_of(
    ("value", "written"),
    [
        (None, "NULL"),
        (True, "1"),
        (-5, "-5"),
        (-(1 << 63), "toInt64('-9223372036854775808')"),
        ("it's", r"'it\x27s'"),
        ("a\\b\0é", r"'a\x5Cb\x00\xC3\xA9'"),
        (b"\x00\xff", "unhex('00ff')"),
        ([1, 2], "(1, 2)"),
        (0.5, "reinterpretAsFloat64(unhex('000000000000e03f'))"),
    ],
)
def test_a_value_is_written_as_a_literal(value: Any, written: str) -> None:
    """Each kind of value has one form, in printable ASCII."""
    assert literal(value) == written


@each_of("value", [1 << 63, -(1 << 63) - 1, "\udc80", [], [1 << 63]])
def test_a_value_without_a_literal_is_refused(value: Any) -> None:
    """What no server can take is refused by name."""
    with pytest.raises(ValueError, match=r"number of 64 bits|surrogates|empty sequence"):
        literal(value)


@each_of("value", [{}, object(), [1, "2"], [True], [None], 1j])
def test_a_value_of_another_kind_is_refused(value: Any) -> None:
    """Only the kinds that are listed have literals; truth is no number."""
    with pytest.raises(TypeError, match="has no literal"):
        literal(value)


def test_parameters_are_written_once() -> None:
    """A mark within a value stays what it is; a parameter may be named twice."""
    assert render("a = $2 OR b = $1 OR c = $1", ("$2", 7)) == "a = 7 OR b = '$2' OR c = '$2'"


@pytest.mark.parametrize(
    ("sql", "parameters"), [("$1", ()), ("$0", (1,)), ("1", (1,)), ("$2", (1, 2))]
)
def test_a_statement_names_exactly_its_parameters(sql: str, parameters: tuple[int, ...]) -> None:
    """A mark without its parameter is a bug, and a parameter without its mark."""
    with pytest.raises(AssertionError, match="bug"):
        render(sql, parameters)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_cannot_leave_its_quotes(text: str) -> None:
    """Between its quotes a literal has neither quote nor backslash but those of its escapes."""
    inner = literal(text)[1:-1]
    assert inner.isascii()
    assert inner.isprintable()
    assert "'" not in inner
    unescaped = b"".join(
        bytes.fromhex(part[:2]) + part[2:].encode() if number else part.encode()
        for number, part in enumerate(inner.split("\\x"))
    )
    assert unescaped == text.encode()


_ODD_TEXT = [
    "", "'", "\\", "\\'", "''", "\0", "a\0b", "%_", "`", "--", "/*", "\n\r\t", "\U0010ffff", "$1", "{a:Int8}",
    "\ufeff",
]  # fmt: skip
_ODD_NUMBERS = [0, 1, -1, 255, 256, (1 << 63) - 1, -(1 << 63), 1 - (1 << 63), 1 << 62]
_ODD_FLOATS = [0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1, math.inf, -math.inf]


async def test_a_server_answers_what_was_written(link: Link) -> None:
    """Odd and random values of every kind come back as they were, bit by bit."""
    chance = random.Random(16)
    texts = _ODD_TEXT + [
        "".join(chance.choices("'\\\"`x0\0\n\x1a\x7fé\u2028\U0001f600$1%{}", k=20))
        for _ in range(200)
    ]
    numbers = _ODD_NUMBERS + [chance.randrange(-(1 << 63), 1 << 63) for _ in range(200)]

    floats = _ODD_FLOATS + [
        value for value in struct.unpack("<200d", chance.randbytes(1600)) if not math.isnan(value)
    ]
    for values in (texts, numbers, floats):
        for start in range(0, len(values), 50):
            part = values[start : start + 50]
            sql = ", ".join(f"${number} AS c{number}" for number in range(1, len(part) + 1))
            [row] = await link.fetch(f"SELECT {sql}", part, limit_s=30)
            assert list(map(repr, row)) == list(map(repr, part))


async def test_a_server_compares_what_was_written(link: Link) -> None:
    """Text and bytes in a condition are those that were inserted."""
    for text in _ODD_TEXT:
        raw = text.encode()
        [row] = await link.fetch(
            "SELECT hex($1) = $2, length($1), $3 = $1", (text, raw.hex().upper(), raw), limit_s=30
        )
        assert row == (1, len(raw), 1)


async def test_numbers_of_a_list_are_found(link: Link) -> None:
    """A list of 20 000 numbers is a condition that one statement carries."""
    numbers = list(range(0, 100_000, 5))
    rows = await link.fetch(
        "SELECT count() FROM numbers(1000) WHERE number IN $1", (numbers,), limit_s=30
    )
    assert rows == [(200,)]


@pytest.mark.parametrize("name", ["a", "a b", "it's", "a`b", "a\\b", "\u00e9"])
async def test_a_name_is_quoted(link: Link, name: str) -> None:
    """Any name of a column comes back as it was."""
    await link.execute(
        f"CREATE TABLE named ({identifier(name)} Int64) ENGINE = MergeTree ORDER BY tuple()",
        limit_s=30,
    )
    sql = "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'named'"
    assert await link.fetch(sql, limit_s=30) == [(name,)]
