"""Request lines in the columns of a record."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.enrich.http.exchange import RequestLine
from proxy.enrich.http.request_lines import MAX_MEMO_LINES, RequestLineReader
from proxy.enrich.redact.redactor import Redactor
from tests.support.cases import each_of

KEY = b"sk-" + b"proj-" + b"a1B2" * 12


def read(raw: bytes) -> RequestLine:
    """Read a line without a memory of others."""
    return RequestLineReader(Redactor()).read(raw)


@each_of(
    ("raw", "expected"),
    [
        (b"GET / HTTP/1.1", RequestLine(b"GET / HTTP/1.1", "GET", None, "/", None)),
        (b"GET /a? HTTP/1.1", RequestLine(b"GET /a? HTTP/1.1", "GET", None, "/a", "")),
        (
            b"GET /token= HTTP/1.1",
            RequestLine(b"GET /token= HTTP/1.1", "GET", None, "/token=", None),
        ),
        (
            b"GET /a?b=c?d HTTP/1.0",
            RequestLine(b"GET /a?b=c?d HTTP/1.0", "GET", None, "/a", "b=c?d"),
        ),
        (b"OPTIONS * HTTP/1.1", RequestLine(b"OPTIONS * HTTP/1.1", "OPTIONS", None, "*", None)),
        (
            b"GET http://h:1 HTTP/1.1",
            RequestLine(b"GET http://h:1 HTTP/1.1", "GET", "h:1", "/", None),
        ),
        (
            b"GET HTTP://h/a?b HTTP/1.1",
            RequestLine(b"GET HTTP://h/a?b HTTP/1.1", "GET", "h", "/a", "b"),
        ),
        (
            b"CONNECT h:443 HTTP/1.1",
            RequestLine(b"CONNECT h:443 HTTP/1.1", "CONNECT", "h", "h:443", None),
        ),
        (b"GET /a b HTTP/1.1", RequestLine(b"GET /a b HTTP/1.1")),
        (b"GET /a\nX: y HTTP/1.1", RequestLine(b"GET /a\nX: y HTTP/1.1")),
        (b"", RequestLine(b"")),
    ],
)
def test_columns(raw: bytes, expected: RequestLine) -> None:
    """Method, authority, path and query as sent; what is no request line leaves them null."""
    assert read(raw) == expected


@each_of(
    "raw",
    [
        b"GET /a?api_key=hunter22 HTTP/1.1",
        b"GET /a;token=hunter22/b HTTP/1.1",
        b"GET http://me:hunter22@h/a HTTP/1.1",
        b"GET /" + KEY + b" HTTP/1.1",
        b"GET /a b?password=hunter22 HTTP/1.1",
    ],
)
def test_secrets_are_in_no_column(raw: bytes) -> None:
    """Neither in the line nor in a part of it, the first time and when the line comes again."""
    lines = RequestLineReader(Redactor())
    for _ in range(2):
        line = lines.read(raw)
        text = line.redacted + repr((line.authority, line.path, line.query)).encode()
        assert b"hunter22" not in text
        assert KEY not in text
        assert b"REDACTED" in line.redacted


def test_lines_are_remembered_within_bounds() -> None:
    """A line that comes again is not read again; those with a query, long ones, and too many are
    not kept.
    """
    lines = RequestLineReader(Redactor())
    assert lines.read(b"GET /a HTTP/1.1") is lines.read(b"GET /a HTTP/1.1")
    assert lines.read(b"GET /a?b HTTP/1.1") is not lines.read(b"GET /a?b HTTP/1.1")
    long = b"GET /" + b"x" * 300 + b" HTTP/1.1"
    assert lines.read(long) is not lines.read(long)
    for number in range(2 * MAX_MEMO_LINES):
        lines.read(b"GET /%d HTTP/1.1" % number)
    assert len(lines._memo) <= MAX_MEMO_LINES


PARTS = st.sampled_from(
    [
        b"/",
        b"a",
        b"items",
        b"?",
        b"&",
        b"=",
        b";",
        b"#",
        b"%",
        b"token",
        b"key",
        b"user[password]",
        b"%74oken",
        KEY,
        b"hunter22",
        b"sk%2Dproj%2D" + b"a1B2" * 12,
        b"eyJhbGciOi.eyJzdWIi.sig",
        b"https://h/?sig=abcdef0123",
    ]
)


@given(st.lists(PARTS, max_size=12).map(b"".join))
@example(b"token=")
@example(b"token=hunter22")
def test_one_search_finds_what_the_whole_redaction_finds(target: bytes) -> None:
    """The short way for lines that look harmless gives what redacting each part gives."""
    line = b"GET /" + target + b" HTTP/1.1"
    assert read(line).redacted + b"\r\n\r\n" == Redactor().redact_head(line + b"\r\n\r\n")


@given(
    st.lists(st.lists(PARTS, max_size=12).map(b"".join), max_size=4),
    st.sampled_from([b"GET", b"X-OWN", b"PUT"]),
)
def test_lines_that_were_searched_together_are_read_as_each_by_itself(
    targets: list[bytes], method: bytes
) -> None:
    """A plain line is read as any other is, and what is known of all holds for each."""
    lines = [b"%b /%b HTTP/1.1" % (method, target) for target in targets]
    redactor = Redactor()
    is_clean = redactor.are_clean(lines)

    for line in lines:
        expected = RequestLineReader(redactor)._read(line)
        assert RequestLineReader(redactor).read(line, is_clean=is_clean) == expected
        assert RequestLineReader(redactor).read(line) == expected


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"CONNECT bob:hunter2@h:443 HTTP/1.1", b"CONNECT [REDACTED]@h:443 HTTP/1.1"),
        (b"GET http://bob:hunter2@h/a@b HTTP/1.1", b"GET http://[REDACTED]@h/a@b HTTP/1.1"),
        (b"GET /a@b?c=d@e HTTP/1.1", b"GET /a@b?c=d@e HTTP/1.1"),
    ],
)
def test_who_asks_is_no_part_of_a_target(raw: bytes, shown: bytes) -> None:
    """Such requests are refused, and recorded without credentials."""
    line = RequestLineReader(Redactor()).read(raw)
    assert line.redacted == shown
    assert "hunter2" not in f"{line.path}{line.authority}"
