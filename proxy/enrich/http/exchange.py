"""A captured exchange made readable: both heads parsed, the content codings of both bodies undone."""

import msgspec

from proxy.enrich.http.bodies import OmittedReason
from proxy.enrich.http.decoded_body import DecodedBody
from proxy.enrich.http.head_facts import HeadFacts
from proxy.enrich.http.request_line import RequestLine
from proxy.ring.descriptor import RouteLabels
from proxy.ring.exchange import FLAG_BODIES_OFF, SHED_BODIES, CapturedExchange

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


def omitted_reason(captured: CapturedExchange) -> OmittedReason | None:
    """Return why nothing of the bodies was captured; None when it was."""
    if captured.flags & FLAG_BODIES_OFF:
        return "level"
    return "shed" if captured.shed == SHED_BODIES else None
