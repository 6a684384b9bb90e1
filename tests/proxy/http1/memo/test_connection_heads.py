"""A connection that repeats its heads gets the same as from a memo that knows nothing."""

from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.http1.memo.head_templates import (
    MATCHED_FROM_USES,
    MAX_MATCHED_BYTES,
    MAX_MATCHERS,
    ConnectionHeads,
)
from proxy.http1.memo.request_heads import Reading, RequestHeads
from proxy.http1.request_head import parse_request_head
from tests.proxy.http1.memo.test_request_heads import (
    LINES,
    MAX_LINE_BYTES,
    VALUES,
    block,
    parse,
    read,
)

FRAME = (
    b"HTTP/1.1\r\nHost: a\r\nX-Request-Id: %d\r\nCookie: a=%d\r\nContent-Length: %d\r\nAccept: "
    b"%b\r\n\r\n"
)
LONG = 4096


def reader(max_line_bytes: int = MAX_LINE_BYTES) -> RequestHeads:
    return RequestHeads(
        partial(parse_request_head, max_headers=9, max_line_bytes=max_line_bytes),
        max_line_bytes=max_line_bytes,
    )


def warmed_up(heads: RequestHeads, accept: bytes = b"*/*") -> ConnectionHeads[Reading]:
    """Return a connection that has read as many heads as are needed for a regular expression."""
    connection = ConnectionHeads(heads)
    for number in range(MATCHED_FROM_USES + 1):
        connection.read(FRAME % (number, number, number, accept))
    return connection


@settings(max_examples=40)
@given(
    LINES,
    st.sampled_from(["Cookie", "X-Request-Id", "Content-Length", "Traceparent"]),
    st.lists(VALUES, max_size=6),
)
@example([], "Content-Length", [b"7", b"007", b"+1", b"9" * 18, b"9" * 19, b"", b"1 "])
@example([], "X-Request-Id", [b"a", b"a/b", b"x" * 128, b"x" * 129, b"a\tb"])
@example(
    [],
    "Cookie",
    [b"a=b", b"a=b; sidelog_session=x", b"50% off", b"caf\xc3\xa9", b"\0", b"a ", b"x" * 299],
)
@example([("Cookie", b": ", b"c")], "Cookie", [b"a=b", b"sidelog_session=x"])
def test_a_head_is_read_as_if_it_were_the_first(
    lines: list[tuple[str, bytes, bytes]], name: str, values: list[bytes]
) -> None:
    """Whatever the values are, and whether the heads around them may be forwarded at all."""

    def head(value: bytes) -> bytes:
        return block([*lines, (name, b": ", value), ("Accept", b": ", b"*/*")])

    heads = RequestHeads(parse, max_line_bytes=MAX_LINE_BYTES)
    connection = ConnectionHeads(heads)
    for number in range(MATCHED_FROM_USES + 1):
        read(connection, head(b"%d" % number))
    for value in values:
        assert read(connection, head(value)) == read(reader(), head(value))


def test_a_template_that_is_used_a_lot_is_matched_at_once() -> None:
    """And only one that is: an expression takes a while to make."""
    heads = reader()
    connection = ConnectionHeads(heads)
    for number in range(MATCHED_FROM_USES):
        connection.read(FRAME % (number, number, number, b"*/*"))
    assert heads.matchers == []
    connection.read(FRAME % (1000, 1000, 1000, b"*/*"))
    assert len(heads.matchers) == 1
    heads.matcher_at = -1
    assert connection.read(FRAME % (7, 8, 9, b"*/*"))[1:] == (9, (b"a=8", b"7", b"9"))
    assert heads.matcher_at == -1, "the templates were not asked"


def test_heads_of_others_in_between_do_no_harm() -> None:
    """Whole ones, varied ones, and those that are refused."""
    heads = reader()
    connection = warmed_up(heads)
    plain = block([("Accept", b": ", b"x")])

    for number in range(3):
        for raw in (
            plain,
            FRAME % (number, number, number, b"*/*"),
            plain + b"\0",
            FRAME % (number, 1, 1, b"text/plain"),
        ):
            assert read(connection, raw) == read(reader(), raw)


def test_what_is_remembered_is_bounded() -> None:
    """When as many expressions are there as may be, all begin anew; who remembers an old one reads
    on.
    """
    heads = reader()
    first = warmed_up(heads)
    for number in range(MAX_MATCHERS + 3):
        warmed_up(heads, b"text/%d" % number)
        assert 1 <= len(heads.matchers) <= MAX_MATCHERS
    assert len(heads.matchers) < MAX_MATCHERS
    for raw in (FRAME % (1, 2, 3, b"*/*"), FRAME % (4, 5, 6, b"text/1")):
        assert read(first, raw) == read(reader(), raw)


@pytest.mark.parametrize(
    ("length", "matchers"), [(MAX_MATCHED_BYTES // 2, 1), (MAX_MATCHED_BYTES, 0)]
)
def test_long_heads_get_no_expression(length: int, matchers: int) -> None:
    heads = reader(max_line_bytes=LONG)
    warmed_up(heads, b"x" * length)
    assert len(heads.matchers) == matchers
