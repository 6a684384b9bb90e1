"""XML and HTML: what a secret name stands at is gone, and the rest stays byte for byte."""

from proxy.enrich.redact.redactor import Redactor

REDACTOR = Redactor()


def test_a_long_value_leaves_nothing_in_the_tail() -> None:
    """As an assertion of SAML in the form that a browser posts."""
    head = b'<form><input name="SAMLResponse" value="' + b"Ab" * 5000
    tail = b"Ab " * 5000 + b'"/>'
    shown = REDACTOR.redact_body(head, tail, b"text/html", True)
    assert shown == (b'<form><input name="SAMLResponse" value="[REDACTED]', b"")
    assert b"Ab" not in REDACTOR.redact_body(head + tail, b"", b"text/html", False)[0]
