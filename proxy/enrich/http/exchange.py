"""A decoded exchange: both heads parsed, the content codings of both bodies undone."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from proxy.enrich.formats.frames import Frame, Split, split_events
from proxy.enrich.http.head_facts import HeadFacts
from proxy.ring.descriptor import RouteLabels
from proxy.ring.exchange import FLAG_BODIES_OFF, SHED_BODIES, CapturedExchange
from storage.redactions import Redactions

OmittedReason = Literal["level", "shed", "coding"]


class RequestLine(msgspec.Struct, frozen=True, gc=False):
    redacted: bytes
    """The complete line without CRLF."""
    method: str | None = None
    authority: str | None = None
    """Authority of a target in absolute form, or of a CONNECT without the port of TLS; it overrides
    Host (RFC 9112 §3.2.2, §3.2.3).
    """
    path: str | None = None
    """Raw, redacted."""
    query: str | None = None
    """Raw, redacted, without the question mark; None without one."""
    redactions: Redactions = None
    """Number of redacted secrets by rule."""


class DecodedBody(msgspec.Struct, gc=False):
    """The captured windows of one body, decoded to UTF-8. Not redacted, so never stored as they
    are.
    """

    head: bytes
    """All of the body unless `is_truncated`."""
    tail: bytes
    """The last bytes; empty unless `is_truncated`."""
    size: int
    """True size on the wire."""
    is_truncated: bool
    coding: str | None
    """Codings that were undone."""
    text_size: int
    """Size of the decoded part; offsets of frames refer to it."""
    has_end: bool
    """True if head or tail contain the last bytes that passed. A client that left may have cut the
    body short.
    """
    marks: tuple[int, ...] = ()
    """Offsets in the text for the requested offsets on the wire."""
    coding_error: str | None = None
    """Reason for which a coding was not undone, or only in part."""
    is_coded: bool = False
    """True if a coding could not be undone, so that nothing can be read."""
    charset: str | None = None
    """Original charset of the text, as named by `formats.charset`; None if it was not converted."""

    @classmethod
    def beginning(cls, data: bytes, size: int | None) -> "DecodedBody":
        """Return a body with a known beginning, or all of it. A `size` of None is unknown."""
        is_whole = size == len(data)
        size = len(data) if size is None else size
        return cls(data, b"", size, not is_whole, None, size, is_whole)

    def frames(self, split: Split = split_events) -> Iterator[Frame]:
        """Split a body into frames, even if its middle is missing. A frame that begins before the
        tail is left out.
        """
        yield from split(self.head, is_ended=self.has_end and not self.tail)
        if self.tail:
            start = self.text_size - len(self.tail)
            yield from split(self.tail, start=start, is_inside=True, is_ended=self.has_end)


_NO_HEAD = HeadFacts(b"", None, None, None, None, None, b"", b"")


class DecodedExchange(msgspec.Struct, gc=False):
    """Heads and bodies of both sides; a body is None if it is missing or unreadable."""

    labels: RouteLabels
    line: RequestLine
    request: HeadFacts
    request_head: bytes
    """As received, secrets included: never stored."""
    status_line: bytes = b""
    response: HeadFacts = _NO_HEAD
    request_body: DecodedBody | None = None
    response_body: DecodedBody | None = None
    timeline: list[tuple[int, int]] = []
    """(byte offset in the decoded text, µs since the start) per chunk of the response."""
    longest_gap_us: int | None = None
    is_thinned: bool = False
    """True if only the first entries of the timeline are single chunks (`proxy.ring.timeline`)."""
    keeps_text: bool = True
    """False if the bodies serve only for counts and must not be stored."""
    status: int = 0
    """Status that the client received; 0 without one."""
    may_take_long: bool = True
    """True if other work may wait while the exchange is read."""
    captured: CapturedExchange | None = None
    """The exchange as it came from the worker; None while it is in flight."""


def omitted_reason(captured: CapturedExchange) -> OmittedReason | None:
    """Return the reason for which the bodies of an exchange were not captured; None if they were."""
    if captured.flags & FLAG_BODIES_OFF:
        return "level"
    if captured.shed == SHED_BODIES:
        return "shed"
    return None
