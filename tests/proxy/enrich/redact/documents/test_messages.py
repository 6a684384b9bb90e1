"""HTTP messages within bodies, and bodies within those."""

import pytest

from proxy.enrich.redact.documents.multipart import messages_of
from proxy.enrich.redact.redactor import Redactor

SECRET = b"hunter2-Zq7Xv9"


def redacted(body: bytes, content_type: bytes = b"application/http") -> bytes:
    """Redact a whole body."""
    return Redactor().redact_body(body, b"", content_type, is_truncated=False)[0]


def test_messages_are_found_by_their_first_lines() -> None:
    """Each with its head; what comes before the first is one, too, and nothing is lost."""
    first = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
    second = b"HTTP/1.1 200 OK\nA: b\n\nGET is a word\n"
    third = b"PROPFIND /b?c=d HTTP/1.0\r\nHost: a"
    assert list(messages_of(first + second + third)) == [
        (first, b""),
        (b"HTTP/1.1 200 OK\nA: b\n\n", b"GET is a word\n"),
        (third, b""),
    ]
    assert list(messages_of(b"A: b\r\n\r\n" + first)) == [(b"A: b\r\n\r\n", b""), (first, b"")]
    assert list(messages_of(b"")) == [(b"", b"")]


@pytest.mark.parametrize("kind", [b"multipart/mixed; boundary=b", b"application/http"])
def test_nesting_has_an_end(kind: bytes) -> None:
    """What lies deeper than anybody nests is a secret as a whole."""
    body = b"GET /l HTTP/1.1\r\nX-Api-Key: %b\r\n\r\n" % SECRET
    for level in range(2000):
        if kind == b"application/http":
            body = b"POST / HTTP/1.1\r\nContent-Type: message/http\r\n\r\n" + body
        else:
            edge = b"b%d" % level
            body = (
                b"--"
                + edge
                + b"\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (level - 1)
                + body
            )
            kind = b"multipart/mixed; boundary=" + edge

    assert SECRET not in redacted(body, kind)


def test_a_secret_part_that_a_window_cuts_goes_on_in_the_next() -> None:
    """However deep it is: the tail begins at the next part of the outer body."""
    head = (
        b"--b\r\nContent-Type: multipart/form-data; boundary=i\r\n\r\n"
        b'--i\r\nContent-Disposition: form-data; name="password"\r\n\r\nwort wort wort'
    )
    tail = b"wort " * 200 + SECRET + b"\r\n--i--\r\n--b\r\n\r\nkept\r\n--b--"
    shown, rest = Redactor().redact_body(
        head, tail, b"multipart/mixed; boundary=b", is_truncated=True
    )
    assert b"wort" not in shown + rest
    assert rest == b"--b\r\n\r\nkept\r\n--b--"


@pytest.mark.parametrize(
    ("unit", "kind"),
    [
        (b"GET / HTTP/1.1\r\nX-Api-Key: %b\r\n\r\n" % SECRET, b"message/http"),
        (
            b'--b\r\nContent-Disposition: form-data; name="password"\r\n\r\n%b\r\n' % SECRET,
            b"multipart/form-data; boundary=b",
        ),
    ],
)
def test_more_than_anybody_sends_count_as_one_secret(unit: bytes, kind: bytes) -> None:
    """Where they end nobody looks."""
    shown = redacted(unit * 1500, kind)
    assert SECRET not in shown
    assert 999 <= shown.count(unit[:8]) <= 1001
    assert shown.endswith(b"[REDACTED]")
