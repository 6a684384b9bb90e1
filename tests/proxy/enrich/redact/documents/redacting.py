"""A secret, and a text with it as it is stored."""

from proxy.enrich.redact.redactor import Redactor

SECRET = "hunter2-Zq7Xv9Kw4Jd8"
REDACTOR = Redactor()


def stored(text: str, kind: str) -> str:
    """Redact a text of a content type; to do so twice changes nothing."""
    raw = text.encode()
    redacted, tail = REDACTOR.redact_body(raw, b"", kind.encode(), False)
    assert REDACTOR.redact_body(redacted, b"", kind.encode(), False) == (redacted, tail)
    return redacted.decode()
