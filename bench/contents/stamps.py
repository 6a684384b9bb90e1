"""A place in a body that is filled anew each time the body is sent: what a service makes for one
request differs from what it made for all others, while its files repeat byte for byte. Pure.
"""

import re
from typing import Final

from bench.contents.documents import PLACE
from bench.contents.kind import Kind

_PLACE: Final = PLACE.encode()
_UUID: Final = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BEFORE: Final = {
    "text/csv": b'\n"',
    "multipart/form-data": b'name="title"\r\n\r\n',
    "application/json": b"{",
}
"""By type, what the place follows in a body without an id."""
_ADDED: Final = {"application/json": b'"request":"%s",'}
_ENDS: Final = {
    "application/x-www-form-urlencoded": b"&request=%s",
    "text/event-stream": b": %s\n\n",
}
"""By type, the end with the place of a body that has none."""


def is_remade(kind: Kind) -> bool:
    """Whether bodies of a kind have a place: pictures, fonts and the like are files."""
    return kind.family != "octets" or kind.name == "octets-64k"


def with_place(kind: Kind, body: bytes) -> bytes:
    """Return a decoded body with one place that a number of 32 digits may be written to: that of
    its first id, or else one that is added.
    """
    if _PLACE in body:
        return body
    found = _UUID.search(body)
    if found is not None:
        start = found.start()
        return body[:start] + _PLACE + body[start + len(_PLACE) :]
    type_ = kind.content_type.partition(";")[0]
    before = _BEFORE.get(type_)
    if before is None:
        return body + _ENDS.get(type_, b"%s") % _PLACE
    return body.replace(before, before + _ADDED.get(type_, b"%s") % _PLACE, 1)
