"""Multipart bodies: secret parts lose their content, the others their JSON secrets."""

from proxy.enrich.redact.documents.multipart import boundary_of
from proxy.enrich.redact.redactor import Redactor
from tests.support.cases import each_of

TYPE = b"multipart/form-data; boundary=B"


def part(disposition: bytes, content: bytes, end: bytes = b"\r\n") -> bytes:
    """Make one part with its delimiter."""
    return end.join(
        (
            b"--B",
            b"Content-Disposition: form-data; " + disposition,
            b"Content-Type: x/y",
            b"",
            content,
            b"",
        )
    )


@each_of("end", [b"\r\n", b"\n"])
@each_of(
    "disposition",
    [
        b'name="password"',
        b"name=Pass-Word",
        b'filename="a.txt"; name="access_token"',
        b"name*=utf-8''password",
        b'name="u[pwd]"',
    ],
)
def test_secret_part_is_redacted(disposition: bytes, end: bytes) -> None:
    """The name decides, in every way it can be written; the parts around stay byte for byte."""
    around = (
        part(b'name="a"', b"\x00\xff--", end),
        part(b'name="file"; filename="token"', b"kept", end),
    )
    body = around[0] + part(disposition, b"S\r\nS", end) + around[1] + b"--B--" + end
    expected = around[0] + part(disposition, b"[REDACTED]", end) + around[1] + b"--B--" + end
    assert Redactor().redact_body(body, b"", TYPE, False)[0] == expected
    assert Redactor().redact_body(expected, b"", TYPE, False)[0] == expected


def test_json_in_a_part_is_redacted_by_its_keys() -> None:
    """Other parts keep everything but the secrets of their JSON."""
    body = part(b'name="meta"', b'{"token": "S", "a": 1}') + b"--B--"
    assert b'{"token": "[REDACTED]", "a": 1}' in Redactor().redact_body(body, b"", TYPE, False)[0]


def test_part_cut_off_is_redacted_to_the_end() -> None:
    """A secret part without its end is gone, and so is its rest in the tail window."""
    head = part(b'name="password"', b"S" * 50)[:-20]
    tail = b"S" * 300 + b"\r\n" + part(b'name="a"', b"kept")
    shown, rest = Redactor().redact_body(head, tail, TYPE, True)
    assert shown.endswith(b"[REDACTED]")
    assert rest == part(b'name="a"', b"kept")
    assert Redactor().redact_body(head, b"S" * 900, TYPE, True)[1] == b""


def test_boundary_comes_from_the_header_or_the_first_line() -> None:
    """Quoted, bare, or missing; a missing one is read off the body, for the tail window too."""
    assert boundary_of(b'multipart/x; Boundary="a b"', b"") == b"a b"
    assert boundary_of(b"multipart/x; boundary=ab; c=d", b"") == b"ab"
    assert boundary_of(b'multipart/x; xboundary=a; y="; boundary=c"; boundary=b', b"") == b"b"
    assert boundary_of(b"multipart/x", b"--ab\r\nX: y") == b"ab"
    assert boundary_of(b"multipart/x", b"no delimiter") is None
    body = part(b'name="password"', b"S")
    assert b"S\r\n" not in Redactor().redact_body(body, body, b"multipart/form-data", True)[1]


def test_headers_cut_off_are_kept() -> None:
    """A part that ends within its headers has no content yet."""
    body = b'preamble--B\r\nContent-Disposition: form-data; name="pass"'
    assert Redactor().redact_body(body, b"", TYPE, True)[0] == body


def test_a_form_of_parts_is_told_by_its_beginning() -> None:
    """Where its content type is missing or wrong."""
    body = part(b'name="a"', b"kept") + part(b'name="password"', b"S3CRET") + b"--B--"
    for kind in (b"", b"text/plain", b"application/octet-stream"):
        assert Redactor().redact_body(body, b"", kind, False)[0] == body.replace(
            b"S3CRET", b"[REDACTED]"
        )

    for other in (b"--\nplain", b"-- a comment\nselect 1", b"---\nyaml: 1\n", b"- item\n"):
        assert Redactor().redact_body(other, b"", b"", False)[0] == other


@each_of(
    "kind",
    [
        b"multipart/form-data; boundary=Other",
        b"multipart/form-data; boundary='B'",
        b"multipart/form-data",
    ],
)
def test_a_boundary_that_no_part_has_is_not_believed(kind: bytes) -> None:
    """Its first line says what separates the parts; a name may stand in single quotes."""
    body = part(b'name="a"', b"kept") + part(b"name='password'", b"S3CRET") + b"--B--"
    assert Redactor().redact_body(body, b"", kind, False)[0] == body.replace(
        b"S3CRET", b"[REDACTED]"
    )


HEAD = (
    b"POST /x?token=S3CRET HTTP/1.1\r\nX-Api-Key: S3CRET\r\nCookie: a=S3CRET; b=S3CRET\r\nAccept: "
    b"*/*\r\n\r\n"
)
SHOWN = (
    b"POST /x?token=[REDACTED] HTTP/1.1\r\nX-Api-Key: [REDACTED]\r\nCookie: a=[REDACTED]; "
    b"b=[REDACTED]\r\n"
)


def test_headers_of_parts_and_messages_in_them_are_redacted() -> None:
    """Batches send whole requests as parts."""
    body = (
        b"--B\r\nContent-Type: application/http\r\nX-Api-Key: S3CRET\r\n\r\n"
        + HEAD
        + b'{"pwd": "S3CRET"}\r\n--B--\r\n'
    )
    shown, _ = Redactor().redact_body(body, b"", b"multipart/mixed; boundary=B", False)
    assert SHOWN in shown
    assert b"S3CRET" not in shown
    assert shown.startswith(
        b"--B\r\nContent-Type: application/http\r\nX-Api-Key: [REDACTED]\r\n\r\n"
    )


def test_what_trace_sends_back_is_redacted() -> None:
    """The request's head, as the body of a response; also where it is cut."""
    for kind in (b"message/http", b"Message/HTTP; msgtype=request"):
        shown, _ = Redactor().redact_body(HEAD, b"", kind, False)
        assert shown == SHOWN + b"Accept: */*\r\n\r\n"
    for cut in range(30, len(HEAD)):
        assert b"S3CRET" not in Redactor().redact_body(HEAD[:cut], b"", b"message/http", True)[0]
