"""Make the stored body out of the captured windows: decoded, redacted, cut to size. In this order and no other.

Invariant: what could not be decoded was not redacted, so nothing of it is stored. A body is cut only after it is
redacted, so a cut never exposes half a secret.
"""

from typing import Final, Literal

from proxy.enrich.decode import codings_of, decode
from proxy.enrich.redact import Redactor
from storage.record import Body

Omitted = Literal["level", "shed", "coding"]

STORED_TAIL_BYTES: Final = 16384
"""What of the end is kept when a body is longer than it may be stored (the default of capture.tail_bytes)."""


def make_body(
    head: bytes,
    tail: bytes,
    size: int,
    *,
    content_type: bytes,
    content_encoding: bytes,
    redactor: Redactor,
    max_bytes: int,
    omitted: Omitted | None = None,
) -> Body:
    """Turn both windows of one body into what is stored.

    Args:
        head: the first captured bytes.
        tail: the last captured bytes, not overlapping the head.
        size: true size on the wire; larger than both windows when something between them is missing.
        content_type: header value as sent, or empty.
        content_encoding: header value as sent, or empty.
        redactor: with the configured names.
        max_bytes: stored at most, both windows together.
        omitted: why nothing was captured, when that was so.
    """
    coding = (", ".join(codings_of(content_encoding)) or None) if content_encoding else None
    if omitted is not None:
        return Body(b"", b"", size, size > 0, coding, omitted)
    is_truncated = len(head) + len(tail) < size
    if coding is not None:
        decoded = decode(head if is_truncated else head + tail, codings_of(content_encoding))
        if decoded is None:
            return Body(b"", b"", size, size > 0, coding, "coding" if size else None)
        head, tail = decoded.data, b""  # the end of a coded stream cannot be read by itself
        is_truncated = is_truncated or not decoded.is_complete
    head, tail = redactor.redact_body(head, tail, content_type, is_truncated)
    head, tail, is_cut = _cut(head, tail, max_bytes)
    return Body(head, tail, size, is_truncated or is_cut, coding, None)


def _cut(head: bytes, tail: bytes, max_bytes: int) -> tuple[bytes, bytes, bool]:
    """Cut the head first; of a whole body a tail is kept."""
    if len(head) + len(tail) <= max_bytes:
        return head, tail, False
    if not tail:
        tail_bytes = min(STORED_TAIL_BYTES, max_bytes // 2)
        return head[: max_bytes - tail_bytes], head[len(head) - tail_bytes :], True
    tail = tail[-max_bytes:] if max_bytes else b""
    return head[: max_bytes - len(tail)], tail, True
