"""What a head says for the columns of a record, together with its redacted form."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.http.field_lines import MAX_MEMO_LINES, MAX_NAMES
from proxy.enrich.http.head_reader import MAX_MEMO_HEADS, MAX_SHAPES, HeadReader
from proxy.enrich.redact.redactor import Redactor
from proxy.http1.request_head import parse_request_head

TRACE = b"0af7651916cd43dd8448eb211c80319c"
SPAN = b"b7ad6b7169203331"


COUNT = itertools.count()


def memo() -> HeadReader:
    return HeadReader(Redactor())


def test_every_fact_is_read() -> None:
    """Columns come from the fields, whatever their case and blanks; secrets are redacted in place."""
    facts = memo().read(
        b"\r\nHost: a:81\r\nUSER-AGENT:  u/1 \r\nAuthorization: Bearer s\r\nX-Request-Id: r-1\r\nContent-Type: a/b\r\n"
        b"Content-Encoding: gzip\r\ntraceparent: 00-" + TRACE + b"-" + SPAN + b"-01\r\n\r\n"
    )
    assert (facts.host, facts.user_agent, facts.request_id) == ("a:81", "u/1", "r-1")
    assert (facts.trace_id, facts.span_id) == (TRACE.decode(), SPAN.decode())
    assert (facts.content_type, facts.content_encoding) == (b"a/b", b"gzip")
    assert b"Authorization: [REDACTED]" in facts.redacted
    assert b"Bearer" not in facts.redacted
    assert facts.redacted.startswith(b"\r\nHost: a:81\r\n")
    assert not facts.redacted.endswith(b"\r\n")


@pytest.mark.parametrize("first", [b"r-1", b"not one", b""])
@pytest.mark.parametrize("second", [b"r-2", b"not one", b""])
@pytest.mark.parametrize("between", [b"", b"User-Agent: u\r\n"])
def test_of_two_request_ids_the_one_that_is_forwarded_is_recorded(first: bytes, second: bytes, between: bytes) -> None:
    """The last one, if it is one; else the upstream gets ours, which is the record's."""
    lines = b"\r\nHost: a\r\nX-Request-Id: " + first + b"\r\n" + between + b"x-request-id: " + second + b"\r\n\r\n"
    forwarded = parse_request_head(b"HTTP/1.1" + lines, max_headers=9, max_line_bytes=999).request_id
    assert (memo().read(lines).request_id or "") == forwarded.decode() == ("r-2" if second == b"r-2" else "")


@pytest.mark.parametrize(
    "value",
    [
        b"00-" + b"0" * 32 + b"-" + SPAN + b"-01",
        b"00-" + TRACE + b"-" + b"0" * 16 + b"-01",
        b"00-" + TRACE.upper() + b"-" + SPAN + b"-01",
        b"00-" + TRACE[:-1] + b"-" + SPAN + b"-01",
        b"00-" + TRACE + b"-" + SPAN,
        b"nonsense",
        b"",
    ],
)
def test_an_invalid_traceparent_is_no_trace(value: bytes) -> None:
    """Only W3C's form counts; all-zero ids are invalid."""
    facts = memo().read(b"\r\ntraceparent: " + value + b"\r\n\r\n")
    assert (facts.trace_id, facts.span_id) == (None, None)


def test_nothing_is_known_of_nothing() -> None:
    """A head without fields, or cut anywhere, gives what is there."""
    whole = b"\r\nHost: abc\r\nUser-Agent: u\r\n\r\n"
    for end in range(len(whole) + 1):
        facts = memo().read(whole[:end])
        assert facts.host is None or "abc".startswith(facts.host)
        assert facts.request_id is None
    assert memo().read(b"").redacted == b""


def test_an_odd_head_is_redacted_too() -> None:
    """What was refused for its line ends is stored without its secrets."""
    facts = memo().read(b"\r\nHost: a\nAuthorization: secret\r\n\r\n")
    assert b"secret" not in facts.redacted


def test_the_memory_is_bounded_and_right() -> None:
    """A head that comes again is one value; heads that differ are never mixed up, also when the memory starts anew."""
    facts = memo()
    first = facts.read(b"\r\nHost: a\r\n\r\n")
    assert not facts._memo
    assert facts.read(b"\r\nHost: a\r\n\r\n") == first
    assert facts.read(b"\r\nHost: a\r\n\r\n") is facts.read(b"\r\nHost: a\r\n\r\n")
    for number in range(MAX_MEMO_HEADS * 2):
        for _ in range(2):
            head = b"\r\nHost: a\r\nX: %d\r\n\r\n" % number
            assert facts.read(head).redacted == b"\r\nHost: a\r\nX: %d" % number
    assert 0 < len(facts._memo) <= MAX_MEMO_HEADS
    long = b"\r\nX: " + b"y" * 4000 + b"\r\n\r\n"
    assert facts.read(long) is not facts.read(long)


class Forgetful(dict[Any, Any]):
    """Remembers nothing."""

    def __setitem__(self, key: object, value: object) -> None:
        pass


LINES = st.sampled_from(
    [
        *(b"X-Request-Id: 0000000N", b"x-request-id:0000000N", b"X-Request-Id: 0000000N!", b"X-Request-Id: 0000000N G"),
        *(b"traceparent: 00-%b0000000N-%b-01" % (TRACE[:24], SPAN), b"Traceparent: 0000000N", b"User-Agent: 0000000N"),
        *(
            b"Cookie: a=0000000N; b=1",
            b"Cookie: a=0000000N",
            b"Authorization: 0000000N",
            b"Age: 0000000N",
            b"Y: 0000000N",
        ),
        *(b"Host: 0000000N", b'ETag: "0000000N"', b"Cookie: 0000000N=1", b"Authorization: 0000000N\rX: y"),
        *(b"Host: a", b"Cookie: a=1", b"Cookie: a=2; b", b'cookie: a="1; x=2"; b=1', b"Cookie: =; b", b"COOKIE:"),
        *(b"X: 1", b" folded", b"no colon", b"", b"Y: \n", b"User-Agent: u", b"user-agent: v", b"Accept:*/*"),
        *(b"X-Request-Id: 0123abcd-4567", b"x-request-id: A b", b"X-REQUEST-ID: 89abcdef", b"X-Request-Id:1"),
        *(b"Traceparent: 00-" + TRACE + b"-" + SPAN + b"-01", b"traceparent:00-" + b"0" * 32 + b"-" + SPAN + b"-01"),
        *(b"tracEparent: 0123456789", b"traceparent: 00-" + b"5" * 32 + b"-" + SPAN + b"-01 "),
        *(b"Authorization: Bearer abc", b"authorization:", b"Cookie: a=1\nHost: b", b"Authorization: x\ry: 1"),
        *(b"Set-Cookie: a=1; Path=/", b"Set-Cookie: a=2; Secure; b", b"Mcp-Session-Id: s", b"mcp-session-id: t"),
        *(b'ETag: W/"12-ab"', b'ETag: "sk-0123456789abcdefghij0123456789"', b"Content-Length: 12", b"Age:  3"),
        *(b"Referer: http://a/?token=abc", b"Referer: /sk-0123456789abcdefghij0123456789", b"X-Api-Key: 1"),
    ]
)


@given(st.lists(st.lists(LINES, max_size=7), max_size=4), st.booleans())
def test_memory_changes_nothing(heads: list[list[bytes]], is_cut: bool) -> None:
    """A head is read the same by what is known of lines, names and heads as without any of it, also again."""
    reader, plain = HeadReader(Redactor(), pattern_after=1), memo()
    plain._lines.known, plain._lines._by_name, plain._shapes = Forgetful(), Forgetful(), Forgetful()
    for number in range(6):
        for lines in heads:
            filled = [line.replace(b"0000000N", b"%08x" % number) for line in lines]
            block = b"".join(b"\r\n" + line for line in filled) + (b"" if is_cut else b"\r\n\r\n")
            expected = plain.read(block)
            plain._memo.clear()
            assert reader.read(block) == expected


def test_lines_that_vary_by_nature_are_not_remembered() -> None:
    """Ids, lengths, cookies and secrets of a thousand requests leave a line for each name, and no value of theirs."""
    reader = memo()
    for number in range(1000):
        facts = reader.read(
            b"\r\nHost: a\r\nX-Request-Id: %032x\r\nTraceparent: 00-%032x-%016x-01\r\nCookie: a=%d; b=secret%d\r\n"
            b'Authorization: Bearer secret%d\r\nContent-Length: %d\r\nETag: "%x"\r\n\r\n' % ((number + 1,) * 8)
        )
        assert facts.request_id == f"{number + 1:032x}" == facts.trace_id
        assert b"\r\nCookie: a=[REDACTED]; b=[REDACTED]\r\nAuthorization: [REDACTED]\r\n" in facts.redacted
    assert len(reader._lines.known) < 10
    assert not any(b"secret2" in line for line in reader._lines.known)


def test_heads_of_one_client_have_one_shape() -> None:
    """What their known lines say is put together once; a head whose other lines are of other names is still read."""
    reader, line_by_line = memo(), memo()
    line_by_line._shapes = Forgetful()
    heads = [
        b"\r\nHost: a\r\nUser-Agent: u\r\n%b: %08x\r\nCookie: a=%d\r\nX: y\r\n\r\n" % (name, number, number)
        for number in range(1, 50)
        for name in ((b"X-Request-Id",) if number % 10 else (b"X-Request-Id", b"traceparent", b"Y", b"Content-Length"))
    ]
    assert [reader.read(head) for head in heads] == [line_by_line.read(head) for head in heads]
    shapes = [shape for shape in reader._shapes.values() if shape is not None]
    assert len(shapes) == 1
    assert shapes[0].read(heads[-1].removesuffix(b"\r\n\r\n").split(b"\r\n")) == reader.read(heads[-1])
    assert shapes[0].read([b"", b"Host: a", b"User-Agent: u", b"Y: 1", b"Cookie: a=1", b"X: y"]) is None


def test_shapes_are_bounded() -> None:
    """In number, and each in length."""
    reader = memo()
    for number in range(MAX_SHAPES * 2):
        for _ in range(3):
            reader.read(b"\r\nHost: %d\r\nX-Request-Id: %x\r\n\r\n" % (number, next(COUNT)))
    assert 0 < len(reader._shapes) <= MAX_SHAPES
    reader._shapes.clear()
    for _ in range(5):
        reader.read(b"\r\nX: %b\r\nX-Request-Id: %x\r\n\r\n" % (b"y" * 4000, next(COUNT)))
    assert not reader._shapes


def test_ids_that_a_setting_calls_secret_are_redacted() -> None:
    """Whatever their form."""
    reader = HeadReader(Redactor(headers=["X-Request-Id", "content-length"]))
    for number in range(3):
        facts = reader.read(b"\r\nX-Request-Id: 0123456%d\r\nContent-Length: 7890%d\r\n\r\n" % (number, number))
        assert b"0123456" not in facts.redacted
        assert b"7890" not in facts.redacted
        assert facts.request_id is None


def test_known_lines_and_names_are_bounded() -> None:
    """In number, and each in length."""
    reader = memo()
    for number in range(MAX_MEMO_LINES * 2):
        spelled = b"".join(chr(c - 32 * (number >> i & 1)).encode() for i, c in enumerate(b"authorization"))
        reader.read(b"\r\nX: %d\r\n%b: %d\r\n\r\n" % (number, spelled, number))
    assert 0 < len(reader._lines.known) <= MAX_MEMO_LINES
    assert 0 < len(reader._lines._by_name) <= MAX_NAMES
    reader._lines.known.clear()
    reader.read(b"\r\nX: %b\r\n\r\n" % (b"y" * 300))
    assert not reader._lines.known
