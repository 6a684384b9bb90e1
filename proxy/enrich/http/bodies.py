"""Make the stored body out of the captured windows: decoded, redacted, compacted, cut to size. In this order.

Invariant: what could not be decoded was not redacted, so nothing of it is stored. A body is cut only after it is
redacted, so a cut never exposes half a secret.
"""

from typing import Final, Literal

import msgspec

from proxy.enrich.http.content_coding import MAX_OUTPUT_BYTES, codings_of, decode
from proxy.enrich.redact.compact import compact
from proxy.enrich.redact.redactor import Redactor
from storage.record import Body

Omitted = Literal["level", "shed", "coding"]

MAX_REDACTED_BYTES: Final = 262_144
"""Of a head window, from the start: more cannot be stored, unless nearly all of it is compacted away."""
STORED_TAIL_BYTES: Final = 16384
"""What of the end is kept when a body is longer than it may be stored (the default of capture.tail_bytes)."""


class TooLong(Exception):
    """A body is longer, once decoded, than the caller wants to spend time on here."""


class Windows(msgspec.Struct, gc=False):
    """What was captured of one body, its content codings undone; not redacted, so for our own reading only."""

    head: bytes
    """All of it unless `is_truncated`."""
    tail: bytes
    """The last bytes; empty unless `is_truncated`."""
    size: int
    """True size on the wire."""
    is_truncated: bool
    coding: str | None
    """Codings it had on the wire."""

    @property
    def is_plain(self) -> bool:
        """Whether offsets in it are offsets on the wire."""
        return self.coding is None


def open_body(
    head: bytes, tail: bytes, size: int, content_encoding: bytes, limit_bytes: int = MAX_OUTPUT_BYTES
) -> Windows | None:
    """Undo the codings of a captured body; None when they cannot be undone. Arguments as for `make_body`.

    Raises:
        TooLong: decoded, it has more than `limit_bytes`, and that is less than `MAX_OUTPUT_BYTES`, where it is cut.
    """
    is_truncated = len(head) + len(tail) < size
    if not content_encoding:
        return Windows(head, tail, size, True, None) if is_truncated else Windows(head + tail, b"", size, False, None)
    codings = codings_of(content_encoding)
    if not codings:
        return open_body(head, tail, size, b"")
    is_limited = limit_bytes < MAX_OUTPUT_BYTES
    if is_limited and len(codings) > 1:
        raise TooLong  # how long it was in between is not told
    decoded = decode(head if is_truncated else head + tail, codings, limit_bytes)
    if decoded is None:
        return None
    if is_limited and len(decoded.data) >= limit_bytes:
        raise TooLong
    # The end of a coded stream cannot be read by itself.
    return Windows(decoded.data, b"", size, is_truncated or not decoded.is_complete, ", ".join(codings))


def unread_body(size: int, content_encoding: bytes, omitted: Omitted | None) -> Body:
    """Make the stored body of what was not captured, or could not be decoded: only its size."""
    coding = (", ".join(codings_of(content_encoding)) or None) if content_encoding else None
    return Body(b"", b"", size, size > 0, coding, omitted if size else None)


def store_body(body: Windows, content_type: bytes, redactor: Redactor, max_bytes: int) -> Body:
    """Redact an opened body and cut it to what may be stored."""
    head, tail, is_truncated = body.head, body.tail, body.is_truncated
    if len(head) > MAX_REDACTED_BYTES:
        tail = tail or (b"" if is_truncated else head[-STORED_TAIL_BYTES:])
        head, is_truncated = head[:MAX_REDACTED_BYTES], True
    head, tail = redactor.redact_body(head, tail, content_type, is_truncated)
    head, tail, is_cut = _cut(compact(head), compact(tail), max_bytes)
    return Body(head, tail, body.size, is_truncated or is_cut, body.coding, None)


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
    opened = None if omitted is not None else open_body(head, tail, size, content_encoding)
    if opened is None:
        return unread_body(size, content_encoding, omitted or "coding")
    return store_body(opened, content_type, redactor, max_bytes)


def _cut(head: bytes, tail: bytes, max_bytes: int) -> tuple[bytes, bytes, bool]:
    """Cut the head first; of a whole body a tail is kept."""
    if len(head) + len(tail) <= max_bytes:
        return head, tail, False
    if not tail:
        tail_bytes = min(STORED_TAIL_BYTES, max_bytes // 2)
        return head[: max_bytes - tail_bytes], head[len(head) - tail_bytes :], True
    tail = tail[-max_bytes:] if max_bytes else b""
    return head[: max_bytes - len(tail)], tail, True
