"""What the first line of a request says, redacted."""

import msgspec


class RequestLine(msgspec.Struct, frozen=True, gc=False):
    redacted: bytes
    """All of it, without the CRLF."""
    method: str | None = None
    authority: str | None = None
    """Of a target in absolute form, where it wins over Host (RFC 9112 §3.2.2)."""
    path: str | None = None
    """Raw, redacted."""
    query: str | None = None
    """Raw, redacted, without the question mark; None when there was no question mark."""
