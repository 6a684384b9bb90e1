"""A multipart body as its parts, whatever their delimiter is. Pure.

Each part is an object with its headers and its content, which is JSON, text, or of other bytes the
size and a digest. Those of a form are found by their name, those of other bodies by their position.

Standard: RFC 2046 §5.1 (syntax), RFC 7578 (forms).
"""

import hashlib
import re
from typing import Any, Final, NamedTuple

from api.compare.json_changes import parse
from api.native.projection import decode_window, split_fields

_DELIMITER: Final = re.compile(
    rb"--([0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-])[ \t]*\r?\n"
)
NAME: Final = re.compile(r';\s*name="?([^";]*+)')
FILENAME: Final = re.compile(r';\s*filename="?([^";]*+)')
_BOUNDARY: Final = re.compile(r';\s*boundary=(?:"[^"]*+"|[^;]*+)', re.IGNORECASE)


def without_boundary(content_type: str) -> str:
    """Return a value of `Content-Type` without the delimiter, which clients draw anew each time."""
    return _BOUNDARY.sub("", content_type)


class Part(NamedTuple):
    """One part."""

    headers: dict[str, str]
    """By lower-case name."""
    content: bytes

    def parameter(self, name: re.Pattern[str]) -> str:
        """Return what `NAME` or `FILENAME` finds; empty where it has none."""
        found = name.search(self.headers.get("content-disposition", ""))
        return found[1] if found else ""


def split_parts(body: bytes) -> list[Part]:
    """Split a whole body into its parts.

    Raises:
        ValueError: it is no multipart body.
    """
    begin = _DELIMITER.match(body)
    if begin is None:
        raise ValueError("it does not begin with a delimiter")

    delimiter = b"--" + begin[1]
    pieces = (b"\n" + body).split(b"\n" + delimiter)[1:]
    if not pieces[-1].startswith(b"--"):
        raise ValueError("it does not end with its delimiter")
    return [_part(piece.removesuffix(b"\r")) for piece in pieces[:-1]]


def _part(piece: bytes) -> Part:
    _, lines = re.split(rb"\r?\n", piece, maxsplit=1)
    head, content = re.split(rb"\r?\n\r?\n|\A\r?\n", lines, maxsplit=1)
    return Part({name.lower(): value for name, value in split_fields(head)}, content)


def read_multipart(body: bytes) -> Any:
    """Return the parts of a whole body: by name where each has one of its own, else in their order.

    Raises:
        ValueError: it is none.
    """
    parts = split_parts(body)
    shown = [{"headers": part.headers, "content": _content(part.content)} for part in parts]
    names = [part.parameter(NAME) for part in parts]
    if all(names) and len(set(names)) == len(names):
        return dict(zip(names, shown, strict=True))

    return shown


def _content(content: bytes) -> Any:
    text = decode_window(content)
    if text is None:
        return f"{len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}"
    try:
        return parse(text)
    except ValueError:
        return text
