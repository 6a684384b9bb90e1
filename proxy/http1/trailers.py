"""Select the trailer fields that are forwarded after a chunked body (RFC 9110 §6.5, RFC 9112
§7.1.2).

Recipients merge trailers into the head of a message, or read them after they have acted on it.
Fields that frame, route, authenticate or describe the content may therefore be in the head only
(RFC 9110 §6.5.1), where they were judged. As trailers they are dropped, in either spelling.
`chunked.py` has judged the syntax.
"""

import re
from collections.abc import Set
from typing import Final

from proxy.http1.field_lines import HOP_BY_HOP, is_named, name_of, options_of

_FRAMING: Final = {b"content-length", b"host", b"max-forwards", b"expect", b"trailer"}
_AUTHENTICATION: Final = {
    b"authorization",
    b"cookie",
    b"set-cookie",
    b"www-authenticate",
    b"authentication-info",
}
_CONTENT: Final = {
    b"content-encoding",
    b"content-type",
    b"content-range",
    b"content-language",
    b"content-location",
}
_CONTROL: Final = {
    b"age",
    b"cache-control",
    b"date",
    b"expires",
    b"location",
    b"pragma",
    b"range",
    b"retry-after",
    b"vary",
    b"if-match",
    b"if-none-match",
    b"if-modified-since",
    b"if-unmodified-since",
    b"if-range",
}
_CONNECTION: Final = re.compile(rb"(?i)\r\nconnection:([^\r\n]*)")
HEAD_ONLY: Final = HOP_BY_HOP | _FRAMING | _AUTHENTICATION | _CONTENT | _CONTROL
"""Lower-case names of the fields that are allowed in a head only."""


def forwarded_trailers(
    section: bytes, head: bytes, without: Set[bytes], *, takes_any: bool = True
) -> tuple[bytes, list[bytes]]:
    """Return the trailer lines to forward, each with its CRLF, and the lower-case names of the
    rest.

    Args:
        section: the trailer lines received, without the empty line at their end.
        head: head of the same message, as received. Fields named by its `Connection` are dropped
            (P1).
        without: lower-case names to drop, including `HEAD_ONLY`.
        takes_any: True if the forwarded body can carry trailers (P4).
    """
    if not takes_any:
        return b"", trailer_names(section)
    named = _named_by_connection(head)
    if named:
        without = without | named
    kept = []
    dropped = []

    for line in section.splitlines(keepends=True):
        if is_named(line, without):
            dropped.append(name_of(line))
        else:
            kept.append(line)

    return b"".join(kept), dropped


def trailer_names(section: bytes) -> list[bytes]:
    """Return the lower-case names of the fields in a section."""
    return [name_of(line) for line in section.splitlines()]


def without_trailer_field(fields: bytes) -> bytes:
    """Return field lines without `Trailer`, each with its CRLF, for a recipient that gets no
    trailers.
    """
    if b"trailer" not in fields.lower():
        return fields
    return b"".join(
        line for line in fields.splitlines(keepends=True) if name_of(line) != b"trailer"
    )


def _named_by_connection(head: bytes) -> set[bytes]:
    values = _CONNECTION.findall(head)
    if values:
        return {option for value in values for option in options_of(value)}
    return set()
