"""Multipart bodies: secret parts lose their content, the others their JSON secrets."""

from proxy.enrich.redact.documents.multipart import boundary_of
from proxy.enrich.redact.redactor import Redactor

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
