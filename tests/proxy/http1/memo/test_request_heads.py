"""Request heads that differ in varying fields only are looked up, and equal the parsed heads."""

from dataclasses import fields
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.http1.errors import Refused
from proxy.http1.memo.head_templates import MAX_MEMO_HEADS, ConnectionHeads
from proxy.http1.memo.request_heads import Reading, RequestHeads
from proxy.http1.memo.varying_fields import GAP, MAX_MEMO_BYTES, VARIES
from proxy.http1.request_head import RequestHead, parse_request_head
from tests.support.cases import each_of

MAX_LINE_BYTES = 300
NAMES = st.sampled_from(
    [
        *(
            "Cookie", "cookie", "COOKIE", "Traceparent", "X-Request-ID", "x-request-id", "X-Request-Id",
            "Content-Length",
        ),
        *("Authorization", "Connection", "Transfer-Encoding", "Accept", "X-Forwarded-For", "Upgrade", "b3", "Expect"),
        *("If-None-Match", "Range", "X-Kept", "Traceparent_x", "Cookie2"),
    ]
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        [
            *(
                b"",
                b"0",
                b"1",
                b"17",
                b"9" * 18,
                b"9" * 19,
                b"+1",
                b"1 ",
                b"chunked",
                b"close",
                b"cookie",
                b"traceparent",
            ),
            *(
                b"x-request-id", b"a=b; c=d", b"a=b; sidelog_session=x", b"50% off, 100%", b"%b", b"caf\xc3\xa9",
                b"\0", b"a\tb",
            ),
            *(b"websocket", b"100-continue", b"0af7-b.c_d", b"a b", b"content-length, close", b"x" * 299, b"x" * 129),
        ]
    ),
    st.binary(max_size=6),
)  # fmt: skip
LINES = st.lists(
    st.tuples(NAMES, st.sampled_from([b":", b": ", b":  ", b" : "]), VALUES), max_size=6
)
"""Name, what stands between, value."""
HEADS = st.lists(LINES, min_size=1, max_size=6)

parse = partial(parse_request_head, max_headers=9, max_line_bytes=MAX_LINE_BYTES)


def block(lines: list[tuple[str, bytes, bytes]]) -> bytes:
    fields = b"".join(
        b"%b%b%b\r\n" % (name.encode(), between, value) for name, between, value in lines
    )
    return b"HTTP/1.1\r\nHost: a.example\r\n" + fields + b"\r\n"


def said(head: RequestHead, length: int, gaps: tuple[bytes, ...]) -> dict[str, object]:
    """Tell all that a head says, with its gaps filled; what is rendered of it, in its order."""
    filled = iter(gaps)
    lines = [line.replace(GAP, next(filled)) if GAP in line else line for line in head.lines]
    request_id = next(filled) if head.request_id == GAP else head.request_id
    assert head.content_length in (length, VARIES)
    if head.content_length == VARIES:
        assert int(next(filled)) == length
    assert [*filled] == [], "every gap is filled once"
    left = {each.name: getattr(head, each.name) for each in fields(head)}
    for name in ("lines", "rendered", "content_length", "request_id"):
        del left[name]
    return left | {"length": length, "id": request_id, "lines": lines}


def read(heads: RequestHeads | ConnectionHeads[Reading], raw: bytes) -> dict[str, object] | str:
    """Read a head; return what it says, or why it is refused."""
    try:
        return said(*heads.read(raw))
    except Refused as refusal:
        return f"{refusal.code}: {refusal.message}"


@given(HEADS)
@example([[("Cookie", b": ", b"a=1")], [("Cookie", b": ", b"50% off, 100%")]])
@example([[("Content-Length", b": ", b"1")], [("Content-Length", b":", b"17")]])
@example(
    [
        [
            ("Content-Length", b": ", b"0"),
            ("Upgrade", b": ", b"websocket"),
            ("Connection", b": ", b"upgrade"),
        ]
    ]
    * 2
)
@example(
    [[("X-Request-Id", b": ", value), ("X-Request-ID", b":  ", b"0")] for value in (b"0", b"1")]
)
@example([[("Content-Length", b":  ", b"1"), ("Cookie", b": ", value)] for value in (b"a=b", b"z")])
@example([[("X-Request-Id", b": ", value), ("X-Request-ID", b":", b"")] for value in (b"0", b"1")])
def test_a_head_is_read_as_if_it_were_the_first(
    heads: list[list[tuple[str, bytes, bytes]]],
) -> None:
    """Whatever was read before it, in any order, refused ones too."""
    together = RequestHeads(parse, max_line_bytes=MAX_LINE_BYTES)
    for lines in (*heads, *reversed(heads)):
        raw = block(lines)
        assert read(together, raw) == read(RequestHeads(parse, max_line_bytes=MAX_LINE_BYTES), raw)


@given(LINES, st.lists(VALUES, min_size=1, max_size=4))
def test_one_line_with_other_values(
    lines: list[tuple[str, bytes, bytes]], values: list[bytes]
) -> None:
    """The case that templates are for, whatever stands around the line."""
    together = RequestHeads(parse, max_line_bytes=MAX_LINE_BYTES)
    for name in ("Cookie", "X-Request-Id", "Content-Length", "Traceparent"):
        for value in values:
            raw = block([*lines, (name, b": ", value), ("Accept", b": ", b"*/*")])
            assert read(together, raw) == read(
                RequestHeads(parse, max_line_bytes=MAX_LINE_BYTES), raw
            )


def test_heads_with_other_values_are_not_parsed_again() -> None:
    """Trace context, id, cookie, credentials and length: one head for all, with what fills its
    gaps.
    """
    parsed: list[bytes] = []

    def counted(raw: bytes) -> RequestHead:
        parsed.append(raw)
        return parse(raw)

    heads = RequestHeads(counted, max_line_bytes=MAX_LINE_BYTES)
    frame = (
        b"HTTP/1.1\r\nHost: a\r\nCookie: n=%d\r\nX-Request-ID: %d-x\r\nAccept: "
        b"*/*\r\ncontent-length:%d\r\n"
        b"Traceparent: 00-%032x-%016x-01\r\nAuthorization: Bearer %d\r\n\r\n"
    )
    readings = [heads.read(frame % ((number,) * 6)) for number in range(5)]
    assert len(parsed) == 1
    head, length, gaps = readings[3]
    assert head is readings[4][0]
    assert length == 3
    assert gaps == (b"n=3", b"00-%032x-%016x-01" % (3, 3), b"Bearer 3", b"3-x", b"3")


@each_of(
    "line",
    [
        b"Cookie: a=%d; sidelog_session=x", b"X-Kept: %d", b"Authorization: %d \t", b"Content-Length: +%d",
        b"X-Request-Id: %d/", b"Cookie: " + b"x" * MAX_LINE_BYTES + b"%d",
    ],
)  # fmt: skip
def test_fields_that_are_read_are_parsed_each_time(line: bytes) -> None:
    """Our own cookie, names that somebody reads, values of an unusual form, lines over the limit."""
    parsed: list[bytes] = []

    def counted(raw: bytes) -> RequestHead:
        parsed.append(raw)
        return RequestHead(is_keep_alive=True)

    heads = RequestHeads(counted, max_line_bytes=MAX_LINE_BYTES, kept=(b"x-kept",))
    for number in (1, 2):
        heads.read(b"HTTP/1.1\r\nHost: a\r\n" + line % number + b"\r\n\r\n")
    assert len(parsed) == 2


def test_a_block_with_bytes_that_look_like_gaps_is_refused() -> None:
    """It has the key of a head that was read, and is none."""
    heads = RequestHeads(parse, max_line_bytes=MAX_LINE_BYTES)
    good = b"HTTP/1.1\r\nHost: a\r\nCookie: a\r\nRange: b\r\nAccept: c\r\n\r\n"
    heads.read(good)
    heads.read(good.replace(b"a\r\nR", b"d\r\nR"))
    for start in (b"Cookie: ", b"Range: "):
        with pytest.raises(Refused):
            heads.read(good.replace(start + good.split(start)[1][:1], start + GAP))


def test_what_is_remembered_is_bounded() -> None:
    """Both memos start anew when they are full, and keep no long heads."""
    heads = RequestHeads(
        partial(parse_request_head, max_headers=9, max_line_bytes=9999), max_line_bytes=9999
    )
    for number in range(MAX_MEMO_HEADS + 100):
        heads.read(b"HTTP/1.1\r\nHost: a\r\nA: %d\r\nCookie: a\r\n\r\n" % number)
    assert len(heads._templates) <= MAX_MEMO_HEADS
    assert len(heads.known) <= MAX_MEMO_HEADS
    before = len(heads._templates)
    long = b"HTTP/1.1\r\nHost: a\r\nA: " + b"b" * MAX_MEMO_BYTES + b"\r\nCookie: a\r\n\r\n"
    assert heads.read(long) is not heads.read(long)
    assert len(heads._templates) == before
