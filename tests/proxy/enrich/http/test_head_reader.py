"""What a head says for the columns of a record, together with its redacted form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.http.field_lines import MAX_MEMO_LINES, FieldLineReader
from proxy.enrich.http.head_reader import HeadReader
from proxy.enrich.redact.redactor import Redactor
from proxy.http1.memo.head_templates import MATCHED_FROM_USES
from proxy.http1.request_head import parse_request_head
from tests.support.cases import each_of

TRACE = b"0af7651916cd43dd8448eb211c80319c"
SPAN = b"b7ad6b7169203331"


def memo() -> HeadReader:
    return HeadReader(Redactor())


def test_every_fact_is_read() -> None:
    """Columns come from the fields, whatever their case and blanks; secrets are redacted in place."""
    facts = memo().read(
        b"\r\nHost: a:81\r\nUSER-AGENT:  u/1 \r\nAuthorization: Bearer s\r\nX-Request-Id: "
        b"r-1\r\nContent-Type: a/b\r\n"
        b"Content-Encoding: gzip\r\ntraceparent: 00-" + TRACE + b"-" + SPAN + b"-01\r\n\r\n"
    )
    assert (facts.host, facts.user_agent, facts.request_id) == ("a:81", "u/1", "r-1")
    assert (facts.trace_id, facts.span_id) == (TRACE.decode(), SPAN.decode())
    assert (facts.content_type, facts.content_encoding) == (b"a/b", b"gzip")
    assert b"Authorization: [REDACTED]" in facts.redacted
    assert b"Bearer" not in facts.redacted
    assert facts.redacted.startswith(b"\r\nHost: a:81\r\n")
    assert not facts.redacted.endswith(b"\r\n")


def test_a_malformed_head_of_http2_has_a_host() -> None:
    """Its authority, unless a field of it says Host; the values of pseudo-fields are searched for
    secrets.
    """
    pseudo = b"\r\n:method: GET\r\n:authority: a:81\r\n:authorization: Bearer s\r\n:path: /a"
    facts = memo().read(pseudo + b"\r\nuser-agent: u\r\n\r\n")
    assert (facts.host, facts.user_agent) == ("a:81", "u")
    assert b"\r\n:authorization: [REDACTED]\r\n:path: /a\r\n" in facts.redacted
    assert memo().read(pseudo + b"\r\nhost: b\r\n\r\n").host == "b"


@each_of("first", [b"r-1", b"not one", b""])
@each_of("second", [b"r-2", b"not one", b""])
@each_of("between", [b"", b"User-Agent: u\r\n"])
def test_of_two_request_ids_the_one_that_is_forwarded_is_recorded(
    first: bytes, second: bytes, between: bytes
) -> None:
    """The last one, if it is one; else the upstream gets ours, which is the record's."""
    lines = (
        b"\r\nHost: a\r\nX-Request-Id: "
        + first
        + b"\r\n"
        + between
        + b"x-request-id: "
        + second
        + b"\r\n\r\n"
    )
    forwarded = parse_request_head(
        b"HTTP/1.1" + lines, max_headers=9, max_line_bytes=999
    ).request_id
    assert (
        (memo().read(lines).request_id or "")
        == forwarded.decode()
        == ("r-2" if second == b"r-2" else "")
    )


@each_of(
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


def head(number: int) -> bytes:
    """One of a client whose ids, cookies, secrets, lengths and dates differ each time."""
    return (
        b"\r\nHost: a.test\r\nCookie: a%%b=%d; c; d=\r\nX-Request-Id: %x\r\nTraceparent: "
        b"00-%032x-%016x-01\r\n"
        b'Authorization: %d%%b\r\nContent-Length:%d\r\nETag: W/"%x-ff"\r\nDate: Sat, 21 Nov 2026 '
        b"22:45:%02d GMT\r\n"
        b"X: (y) 100%%\r\n\r\n"
    ) % (number, number, number, number, number, number, number, number % 60)


def learned(redactor: Redactor) -> HeadReader:
    """Read so many heads of a client that a regular expression finds their values."""
    reader = HeadReader(redactor)
    for number in range(1, MATCHED_FROM_USES + 4):
        reader.read(head(number))
    return reader


def test_heads_of_one_client_are_looked_up() -> None:
    """They are read as line by line, and share what does not differ."""
    reader = learned(Redactor())
    assert reader.read(head(1)).host is reader.read(head(2)).host
    for number in (1, 7, 99_999):
        facts = reader.read(head(number))
        assert facts == reader.read_lines(head(number))
        assert (facts.host, facts.request_id, facts.span_id) == (
            "a.test",
            f"{number:x}",
            f"{number:016x}",
        )
        assert b"Cookie: a%%b=[REDACTED]; [REDACTED]; d=[REDACTED]\r\n" in facts.redacted.replace(
            b"%", b"%%"
        )


@each_of(
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
        (b"Host: a.test\r\n", b"Host: b\r\n"),
        (b"Host: a.test\r\n", b""),
    ],
)
def test_a_head_that_is_written_otherwise_is_read_as_ever(old: bytes, new: bytes) -> None:
    """Whatever is known of those of its client."""
    reader = learned(Redactor())
    block = head(7).replace(old, new)
    assert block != head(7)
    assert [reader.read(block) for _ in range(3)] == [memo().read_lines(block)] * 3


@pytest.mark.parametrize("name", ["x-request-id", "traceparent", "date", "x"])
def test_what_a_setting_calls_secret_is_in_nothing_that_is_read(name: str) -> None:
    redactor = Redactor(headers=[name])
    for reader in (learned(redactor), HeadReader(redactor, [name])):
        for number in (5, 9_999_999):
            facts = reader.read(head(number))
            assert facts == HeadReader(redactor).read_lines(head(number))
            assert f"{name}: [redacted]".encode() in facts.redacted.lower()


SECRETS = (
    "Age",
    "X-Own",
    "x.*",
    "Set-Cookie",
    "cookie",
    "Mcp-Session-Id",
    "User-Agent",
    "X-Request-Id",
    "é",
)
LINES = st.sampled_from(
    [
        b"X-Request-Id: 0000000N",
        b"x-request-id:0000000N",
        b"X-Request-Id: 0000000N!",
        b"X-Request-Id: 0000000N G",
        b"traceparent: 00-%b0000000N-%b-01" % (TRACE[:24], SPAN),
        b"Traceparent: 0000000N",
        b"User-Agent: 0000000N",
        b"Cookie: a=0000000N; b=1",
        b"Cookie: a=0000000N",
        b"Authorization: 0000000N",
        b"Age: 0000000N",
        b"Y: 0000000N",
        b"Host: 0000000N",
        b'ETag: "0000000N"',
        b"Cookie: 0000000N=1",
        b"Authorization: 0000000N\rX: y",
        b"Host: a",
        b"Cookie: a=1",
        b"Cookie: a=2; b",
        b'cookie: a="1; x=2"; b=1',
        b"Cookie: =; b",
        b"COOKIE:",
        b"X: 1",
        b" folded",
        b"no colon",
        b"",
        b"Y: \n",
        b"User-Agent: u",
        b"user-agent: v",
        b"Accept:*/*",
        b"X-Request-Id: 0123abcd-4567",
        b"x-request-id: A b",
        b"X-REQUEST-ID: 89abcdef",
        b"X-Request-Id:1",
        b"Traceparent: 00-" + TRACE + b"-" + SPAN + b"-01",
        b"traceparent:00-" + b"0" * 32 + b"-" + SPAN + b"-01",
        b"tracEparent: 0123456789",
        b"traceparent: 00-" + b"5" * 32 + b"-" + SPAN + b"-01 ",
        b"Authorization: Bearer abc",
        b"authorization:",
        b"Cookie: a=1\nHost: b",
        b"Authorization: x\ry: 1",
        b"Set-Cookie: a=1; Path=/",
        b"Set-Cookie: a=2; Secure; b",
        b"Mcp-Session-Id: s",
        b"mcp-session-id: t",
        b'ETag: W/"12-ab"',
        b'ETag: "sk-0123456789abcdefghij0123456789"',
        b"Content-Length: 12",
        b"Age:  3",
        b"X-Own: 0000000N",
        b"Mcp-Session-Id: 0000000N",
        b"Set-Cookie: a=0000000N; Path=/",
        b"Authorization: \1",
        b"Cookie: a=\1",
        b"X: \0",
        b"Authorization: \0 ",
        b"x.*: 0000000N",
        b"AGE: 0000000N",
        b"cookie:a=0000000N;b=c",
        b"Authorization:0000000N",
        b"Referer: http://a/?token=abc",
        b"Referer: /sk-0123456789abcdefghij0123456789",
        b"X-Api-Key: 1",
    ]
)


@given(
    st.lists(st.lists(LINES, max_size=7), max_size=4), st.booleans(), st.sampled_from([(), SECRETS])
)
def test_memory_changes_nothing(
    heads: list[list[bytes]], is_cut: bool, secrets: tuple[str, ...]
) -> None:
    """A head is read the same by what is known of lines, values and heads as without any of it,
    also again.
    """
    redactor = Redactor(headers=secrets)
    reader = HeadReader(redactor, secrets)
    for number in range(6):
        for lines in heads:
            filled = [line.replace(b"0000000N", b"%08x" % number) for line in lines]
            block = b"".join(b"\r\n" + line for line in filled) + (b"" if is_cut else b"\r\n\r\n")
            assert reader.read(block) == HeadReader(redactor).read_lines(block)


def test_heads_are_never_mixed_up() -> None:
    """Also when what is remembered starts anew."""
    facts = memo()
    for number in range(3000):
        for _ in range(2):
            assert (
                facts.read(b"\r\nHost: a\r\nX: %d\r\n\r\n" % number).redacted
                == b"\r\nHost: a\r\nX: %d" % number
            )


def test_known_lines_are_bounded() -> None:
    """In number, and each in length; those that vary by nature are none."""
    reader = FieldLineReader(Redactor(), (b"age",))
    for number in range(MAX_MEMO_LINES * 2):
        assert reader.read(b"X: %d" % number) is not None
    assert 0 < len(reader.known) <= MAX_MEMO_LINES
    reader.known.clear()
    for line in (
        b"X: %b" % (b"y" * 300),
        b"Age: 1",
        b"Authorization: x",
        b"Cookie: a=1",
        b"no field",
    ):
        reader.read(line)

    assert not reader.known
