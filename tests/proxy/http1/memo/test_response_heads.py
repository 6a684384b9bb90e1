"""Response heads that differ in varying fields only are looked up, and equal the parsed heads."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.http1.errors import UpstreamError
from proxy.http1.header_rules import HeaderRules
from proxy.http1.memo.head_templates import MAX_MEMO_HEADS
from proxy.http1.memo.response_heads import ResponseHeads
from proxy.http1.memo.varying_fields import GAP
from proxy.http1.response_head import ResponseHead, parse_response_head

STATUSES = st.sampled_from(
    ["1.1 200 OK", "1.0 200 OK", "1.1 204 None", "1.1 304 Same", "1.1 101 Up", "1.1 100 Go on"]
)
NAMES = st.sampled_from(
    [
        *(
            "Date",
            "date",
            "DATE",
            "ETag",
            "Content-Length",
            "content-length",
            "Set-Cookie",
            "X-Request-Id",
            "Age",
        ),
        *(
            "Connection",
            "Transfer-Encoding",
            "Keep-Alive",
            "Content-Type",
            "Upgrade",
            "Added",
            "Server",
        ),
    ]
)
VALUES = st.one_of(
    st.sampled_from(
        [
            *(b"", b"0", b"1", b"17", b"9" * 18, b"9" * 19, b"+1", b"1 ", b"chunked", b"close", b"date", b"etag, date"),
            *(
                b"timeout=5", b"text/event-stream", b"websocket", b"upgrade", b"50% off", b"%b", b"caf\xc3\xa9",
                b"\0", b"z",
            ),
        ]
    ),
    st.binary(max_size=6),
)  # fmt: skip
LINES = st.lists(st.tuples(NAMES, st.sampled_from([b":", b": ", b":  "]), VALUES), max_size=6)
HEADS = st.lists(st.tuples(STATUSES, LINES), min_size=1, max_size=6)
RULES = HeaderRules(frozenset((b"x-request-id", b"server")), b"Server: ours\r\nSet-Cookie: z\r\n")

Head = tuple[str, list[tuple[str, bytes, bytes]]]


def parse(raw: bytes) -> ResponseHead:
    head = parse_response_head(raw, max_headers=9)
    RULES.apply(head)
    return head


def reader() -> ResponseHeads:
    return ResponseHeads(parse, kept=RULES.without)


def raw_head(head: Head) -> bytes:
    status, lines = head
    return b"HTTP/%b\r\n" % status.encode() + b"".join(
        b"%b%b%b\r\n" % (name.encode(), between, value) for name, between, value in lines
    ) + b"\r\n"  # fmt: skip


SAID = (
    *(
        "status_line",
        "status",
        "has_no_body",
        "is_http10",
        "is_keep_alive",
        "keep_alive_s",
        "content_length",
    ),
    *("is_chunked", "prefix", "framing", "is_event_stream", "is_websocket"),
)
"""All that a head has."""


def read(heads: ResponseHeads, raw: bytes) -> list[object] | str:
    """Read a head; return all that it says, or why it is refused."""
    try:
        head = heads.read(raw)
    except UpstreamError as error:
        return f"{error.code}: {error.message}"
    return [head.fields, *(getattr(head, name) for name in SAID)]


@given(HEADS)
@example(
    [
        ("1.1 200 OK", [("Content-Length", b": ", value), ("Date", b": ", b"50% off")])
        for value in (b"1", b"007")
    ]
)
@example([("1.1 200 OK", [("Set-Cookie", b": ", value)]) for value in (b"a", b"z", b"b")])
def test_a_head_is_read_as_if_it_were_the_first(heads: list[Head]) -> None:
    """Whatever was read before it, in any order, refused ones too."""
    together = reader()
    for head in (*heads, *reversed(heads)):
        raw = raw_head(head)
        assert read(together, raw) == read(reader(), raw)


@given(STATUSES, LINES, st.lists(VALUES, min_size=1, max_size=4))
def test_one_line_with_other_values(
    status: str, lines: list[tuple[str, bytes, bytes]], values: list[bytes]
) -> None:  # fmt: skip
    """The case that templates are for, whatever stands around the line."""
    together = reader()
    for name in ("Date", "Content-Length", "X-Request-Id", "Set-Cookie"):
        for value in values:
            raw = raw_head(
                (status, [*lines, (name, b": ", value), ("Accept-Ranges", b": ", b"none")])
            )
            assert read(together, raw) == read(reader(), raw)


def test_heads_with_other_values_are_not_parsed_again() -> None:
    """Date, entity tag and length, framed anew behind the fields."""
    parsed: list[bytes] = []

    def counted(raw: bytes) -> ResponseHead:
        parsed.append(raw)
        return parse_response_head(raw, max_headers=9)

    heads = ResponseHeads(counted)
    frame = b'HTTP/1.1 200 OK\r\nDate: %d\r\ncontent-length: %d\r\nServer: a\r\nETag: "%d"\r\n\r\n'
    assert len([heads.read(frame % ((number,) * 3)) for number in range(5)]) == 5
    head = heads.read(frame % (7, 8, 9))
    assert len(parsed) == 1
    assert head.content_length == 8
    assert head.fields == b'Date: 7\r\nServer: a\r\nETag: "9"\r\n'
    assert head.prefix == b"HTTP/1.1 200 OK\r\n" + head.fields + b"Content-Length: 8\r\n"


def test_a_head_with_bytes_that_look_like_gaps_is_refused() -> None:
    """It leaves what a head left that was read, and is none."""
    heads = reader()
    good = b"HTTP/1.1 200 OK\r\nDate: a\r\nAge: 1\r\nVia: c\r\n\r\n"
    heads.read(good)
    for hidden in (b"Date: a", b"Age: 1"):
        with pytest.raises(UpstreamError):
            heads.read(good.replace(hidden, hidden[:-1] + GAP))


def test_what_is_remembered_is_bounded() -> None:
    """Both memos start anew when they are full."""
    heads = reader()
    for number in range(MAX_MEMO_HEADS + 100):
        heads.read(b"HTTP/1.1 200 OK\r\nA: %d\r\nDate: a\r\n\r\n" % number)
    assert len(heads._templates) <= MAX_MEMO_HEADS
    assert len(heads.known) <= MAX_MEMO_HEADS
