"""A captured exchange made readable: both heads parsed, the content codings of both bodies undone."""

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
    """All of it, without the CRLF."""
    method: str | None = None
    authority: str | None = None
    """Of a target in absolute form, where it wins over Host (RFC 9112 §3.2.2)."""
    path: str | None = None
    """Raw, redacted."""
    query: str | None = None
    """Raw, redacted, without the question mark; None when there was no question mark."""
    redactions: Redactions = None
    """What was taken out of it."""


class DecodedBody(msgspec.Struct, gc=False):
    """The captured windows of one body, codings undone, as UTF-8; not redacted, so never to be
    stored as they are.
    """

    head: bytes
    """All of it unless `is_truncated`."""
    tail: bytes
    """The last bytes; empty unless `is_truncated`."""
    size: int
    """True size on the wire."""
    is_truncated: bool
    coding: str | None
    """Codings that were undone."""
    text_size: int
    """Size of the part that could be decoded; offsets of frames count in it."""
    has_end: bool
    """Whether head or tail contain the last bytes that passed; a client that left may have cut them
    short.
    """
    marks: tuple[int, ...] = ()
    """Places in the text that were asked for as places on the wire."""
    coding_error: str | None = None
    """Why a coding was not undone, or not to its end."""
    is_coded: bool = False
    """Whether nothing can be read, because a coding was not undone."""
    charset: str | None = None
    """That the text came in, as `formats.charset` names it; None: it is as it came."""

    @classmethod
    def beginning(cls, data: bytes, size: int | None) -> "DecodedBody":
        """Return a body of which its beginning, or all of it, is known, and its size or not even
        that.
        """
        is_whole = size == len(data)
        size = len(data) if size is None else size
        return cls(data, b"", size, not is_whole, None, size, is_whole)

    def frames(self, split: Split = split_events) -> Iterator[Frame]:
        """Split a stream or lines, also where the middle is missing; a frame that the tail cuts is
        left out.
        """
        yield from split(self.head, is_ended=self.has_end and not self.tail)
        if self.tail:
            start = self.text_size - len(self.tail)
            yield from split(self.tail, start=start, is_inside=True, is_ended=self.has_end)


_NO_HEAD = HeadFacts(b"", None, None, None, None, None, b"", b"")


class DecodedExchange(msgspec.Struct, gc=False):
    """Heads and bodies of both sides; a body is None where it is missing or unreadable."""

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
    """Whether of the timeline only the first entries are a chunk each (`proxy.ring.timeline`)."""
    keeps_text: bool = True
    """Whether anything of the bodies may be stored; else they are here for their counts alone."""
    status: int = 0
    """That the client got; 0: none."""
    may_take_long: bool = True
    """Whether other work may wait while the exchange is read."""
    captured: CapturedExchange | None = None
    """As it came from the worker; None while it is in flight."""


def omitted_reason(captured: CapturedExchange) -> OmittedReason | None:
    """Return why nothing of the bodies was captured; None when it was."""
    if captured.flags & FLAG_BODIES_OFF:
        return "level"
    return "shed" if captured.shed == SHED_BODIES else None
