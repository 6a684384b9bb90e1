"""Heads of one client as one regular expression."""

import pytest

from proxy.enrich.http.head_facts import HeadFacts
from proxy.enrich.http.head_patterns import (
    MAX_PATTERN_HEAD_BYTES,
    MAX_PATTERNS,
    MAX_PATTERNS_ALIKE,
    HeadPattern,
    HeadPatterns,
    constant,
)
from proxy.enrich.http.head_reader import PATTERN_AFTER, HeadReader
from proxy.enrich.redact.redactor import Redactor

NOTHING = HeadFacts(b"", None, None, None, None, None, b"", b"")


def head(number: int) -> bytes:
    """One of a client whose ids, cookies, secrets, lengths and dates differ each time."""
    return (
        b"\r\nHost: a\r\nCookie: a%%b=%d; c; d=\r\nX-Request-Id: %x\r\nTraceparent: 00-%032x-%016x-01\r\n"
        b'Authorization: %d%%b\r\nContent-Length:%d\r\nETag: W/"%x-ff"\r\nDate: Sat, 21 Nov 2026 22:45:%02d GMT\r\n'
        b"X: (y) 100%%\r\n\r\n"
    ) % (number, number, number, number, number, number, number, number % 60)


def line_by_line(block: bytes) -> HeadFacts:
    lines = block.removesuffix(b"\r\n\r\n").split(b"\r\n")
    return HeadReader(Redactor())._read_lines(block, lines, [None] * len(lines))


def learned(redactor: Redactor) -> HeadReader:
    """Read so many heads that their pattern is known, where they have one."""
    reader = HeadReader(redactor)
    for number in range(1, PATTERN_AFTER + 4):
        reader.read(head(number))
    return reader


def test_heads_of_one_client_have_one_pattern() -> None:
    """It reads what is read line by line."""
    reader = learned(Redactor())
    assert reader._patterns.count == 1
    for number in (1, 7, 99_999):
        facts = reader._patterns.read(head(number))
        assert facts == line_by_line(head(number)) == reader.read(head(number))
        assert facts is not None
        assert (facts.host, facts.request_id, facts.span_id) == ("a", f"{number:x}", f"{number:016x}")
        assert b"Cookie: a%%b=[REDACTED]; [REDACTED]; d=[REDACTED]\r\n" in facts.redacted.replace(b"%", b"%%")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"a%b=7", b'a%b="7; x=1"'),
        (b"a%b=7", b"a%b=7; e=1"),
        (b"a%b=7", b"a%b=7\nX: y"),
        (b"; d=", b""),
        (b"X-Request-Id: 7", b"X-Request-Id: G"),
        (b"X-Request-Id: 7", b"X-Request-Id: 7\rY: 1"),
        (b"X-Request-Id: 7", b"x-request-id: 7"),
        (b"X-Request-Id: 7", b"X-Request-Id: 7\r\nX-Request-Id: 8"),
        (b"00-" + b"0" * 31 + b"7", b"00-" + b"0" * 32),
        (b"-01\r\n", b"-01-later\r\n"),
        (b"7%b", b"7%b\rY: 1"),
        (b"7%b", b"7%b\nY: 1"),
        (b'W/"7-ff"', b'W/"7-sk"'),
        (b"22:45:07", b"22:45:7"),
        (b"100%", b"101%"),
        (b"\r\n\r\n", b"\r\n"),
        (b"\r\n\r\n", b"\r\nY: 1\r\n\r\n"),
        (b"\r\n\r\n", b"\r\n\r\n\r\n"),
        (b"Host: a\r\n", b"Host: b\r\n"),
        (b"Host: a\r\n", b""),
    ],
)
def test_a_head_that_is_written_otherwise_is_not_read(old: bytes, new: bytes) -> None:
    """But line by line, with the same result as ever."""
    reader, block = learned(Redactor()), head(7).replace(old, new)
    assert block != head(7)
    assert reader._patterns.read(block) is None
    assert reader.read(block) == HeadReader(Redactor()).read(block)


@pytest.mark.parametrize("name", ["x-request-id", "traceparent", "date"])
def test_what_a_setting_calls_secret_is_in_nothing_that_is_read(name: str) -> None:
    reader = learned(Redactor(headers=[name]))
    for number in (5, 9_999_999):
        facts = reader.read(head(number))
        assert facts == HeadReader(Redactor(headers=[name])).read(head(number))
        assert f"{name}: [REDACTED]".encode() in facts.redacted.lower().replace(b"[redacted]", b"[REDACTED]")


def test_heads_with_a_line_that_nothing_is_known_of_have_no_pattern() -> None:
    """Nor have long ones."""
    reader = HeadReader(Redactor())
    for number in range(PATTERN_AFTER + 3):
        reader.read(head(number).replace(b"X: (y)", b"X: %d" % number))
        reader.read(head(number).replace(b"X: (y)", b"X: %b" % (b"y" * MAX_PATTERN_HEAD_BYTES)))
    assert not reader._patterns.count


def test_patterns_are_bounded() -> None:
    """In all, and of heads that begin alike; the newest stay."""
    patterns = HeadPatterns()
    alike = [b"\r\nHost: %b\r\nX: %d\r\n\r\n" % (b"h" * 16, number) for number in range(MAX_PATTERNS_ALIKE + 2)]
    for block in alike:
        patterns.learn(block, pattern_of(block))
    assert patterns.count == MAX_PATTERNS_ALIKE
    assert [patterns.read(block) is not None for block in alike] == [False] * 2 + [True] * MAX_PATTERNS_ALIKE
    for number in range(3 * MAX_PATTERNS):
        block = b"\r\nHost: %d\r\n\r\n" % number
        patterns.learn(block, pattern_of(block))
        assert patterns.read(block) == NOTHING
        assert patterns.count == sum(map(len, patterns._alike.values())) <= MAX_PATTERNS


def pattern_of(block: bytes) -> HeadPattern:
    """A pattern of one head alone, whose redacted form is left empty."""
    lines = block.removesuffix(b"\r\n\r\n").split(b"\r\n")
    pattern = HeadPattern([constant(line, b"") for line in lines], -1, -1, NOTHING)
    pattern._redacted = b""
    return pattern


def test_a_client_that_was_pushed_out_comes_back() -> None:
    """Once it has sent many more heads."""
    reader = learned(Redactor())
    reader._patterns = HeadPatterns()
    for number in range(2000):
        reader.read(head(number))
    assert reader._patterns.count == 1
