"""Builds an answer from a recording.

Invariant: a client can read the answer: `Content-Encoding` only appears with an encoded body, and
lengths are those of the sent content, or for HEAD those of the content of GET.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from api.native.files.cut_bodies import sent_windows
from api.native.projection import decode_window, exact_text, split_fields, split_head
from api.replay.request import CONNECTION_FIELDS
from api.replay.suite import Recorded
from proxy.enrich.http.content_coding import codings_of, decode
from storage.record import Body, Payload

_LENGTH: Final = "content-length"
_CODING: Final = "content-encoding"
_NOT_MODIFIED: Final = 304
BODILESS: Final = (204, _NOT_MODIFIED)
"""Statuses of answers that never have a body, of the current protocols (RFC 9112 §6.3)."""
_REASON_AT: Final = 2

Fields = list[tuple[str, str]]


class Reply(NamedTuple):
    """An answer to send."""

    status: int
    reason: str
    fields: Fields
    """Fields as `exact_text`, without hop-by-hop fields."""
    content: bytes = b""
    length: int | None = None
    """Value of `Content-Length`; None: the length of the content, if any may be sent."""
    timeline: tuple[tuple[int, int], ...] = ()
    """Timing of a stream: bytes up to and including a piece, and µs since the request."""
    trailers: tuple[tuple[str, str], ...] = ()

    def pieces(self) -> Iterator[tuple[bytes, int]]:
        """Yield pieces to send with their µs after the request; the last piece has no timing."""
        sent = 0
        for end, after_us in self.timeline:
            if end > sent:
                yield self.content[sent:end], after_us
                sent = end

        if sent < len(self.content):
            yield self.content[sent:], 0


def recorded_reply(recorded: Recorded) -> Reply:
    """Return the recorded answer, decoded."""
    _, record, payload = recorded
    assert payload is not None
    assert record.status is not None
    line, fields = split_head(payload.response_head, exact_text)
    body = payload.response_body
    if body is None:
        content = b""
    else:
        content = sent_windows(body)[0]
    codings = ", ".join(value for name, value in fields if name.lower() == _CODING)
    left_out = CONNECTION_FIELDS
    if record.method != "HEAD" and not _is_coded(body, codings):
        left_out |= {_CODING}
    lengths = [value for name, value in fields if name.lower() == _LENGTH and value.isdigit()]
    is_bare = record.method == "HEAD" or record.status == _NOT_MODIFIED
    if lengths and is_bare:
        length = int(lengths[0])
    else:
        length = None
    parts = (line or "").split(" ", _REASON_AT)
    if len(parts) > _REASON_AT and parts[1] == str(record.status):
        reason = parts[_REASON_AT]
    else:
        reason = ""
    kept = [(name, value) for name, value in fields if name.lower() not in left_out]
    timeline = tuple(payload.timeline)
    trailers = trailers_of(payload)
    return Reply(record.status, reason, kept, content, length, timeline, trailers)


def trailers_of(payload: Payload) -> tuple[tuple[str, str], ...]:
    """Return the trailers of an answer, as `exact_text`."""
    fields = split_fields(payload.response_trailers, exact_text)
    return tuple((name, value) for name, value in fields)


def _is_coded(body: Body | None, codings: str) -> bool:
    """Return True if a body is still encoded as its field says. Archives of browsers hold decoded
    bodies.
    """
    if body is None or not codings or body.coding or decode_window(body.head) is not None:
        return False
    decoded = decode(body.head, codings_of(codings.encode()))
    return decoded is not None and len(decoded.undone) > 0
