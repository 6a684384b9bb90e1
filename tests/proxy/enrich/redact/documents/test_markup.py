"""XML and HTML: what a secret name stands at is gone, and the rest stays byte for byte."""

from proxy.enrich.redact.redactor import Redactor
from tests.support.cases import each_of

REDACTOR = Redactor()


def test_a_long_value_leaves_nothing_in_the_tail() -> None:
    """As an assertion of SAML in the form that a browser posts."""
    head = b'<form><input name="SAMLResponse" value="' + b"Ab" * 5000
    tail = b"Ab " * 5000 + b'"/>'
    shown = REDACTOR.redact_body(head, tail, b"text/html", True)
    assert shown == (b'<form><input name="SAMLResponse" value="[REDACTED]', b"")
    assert b"Ab" not in REDACTOR.redact_body(head + tail, b"", b"text/html", False)[0]


@each_of(
    "unit",
    [
        b"<password>", b"<password>a</password>", b"<a password='", b' name="token"', b"<",
        b'<a name="token" value="', b"<a:",
    ],
)  # fmt: skip
def test_hostile_repetition_costs_no_more_than_its_length(unit: bytes) -> None:
    """Each search goes on where the last one ended."""
    text = b"<" + unit * (500_000 // len(unit))
    assert len(REDACTOR.redact_body(text, b"", b"text/xml", False)[0]) <= 2 * len(text)
