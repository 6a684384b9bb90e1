"""Multipart bodies as JSON values, without their boundary.

Each body part becomes an object of its headers and its content: JSON, text, or for other bytes the
size and a digest. Parts of a form become members by name, parts of other bodies an array.
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
_NAME: Final = re.compile(r';\s*name="?([^";]*+)')
_FILENAME: Final = re.compile(r';\s*filename="?([^";]*+)')
_BOUNDARY: Final = re.compile(r';\s*boundary=(?:"[^"]*+"|[^;]*+)', re.IGNORECASE)


def without_boundary(content_type: str) -> str:
    """Return a `Content-Type` without its boundary, which is random in each request."""
    return _BOUNDARY.sub("", content_type)


class BodyPart(NamedTuple):
    """One part of a multipart body."""

    headers: dict[str, str]
    """Headers by lower-case name."""
    content: bytes

    @property
    def name(self) -> str:
        """Name of the form field; empty without one."""
        return self._parameter(_NAME)

    @property
    def filename(self) -> str:
        """Name of an uploaded file; empty without one."""
        return self._parameter(_FILENAME)

    def _parameter(self, pattern: re.Pattern[str]) -> str:
        found = pattern.search(self.headers.get("content-disposition", ""))
        if found:
            return found[1]
        return ""


def split_parts(body: bytes) -> list[BodyPart]:
    """Split a whole body at its delimiter, the first line.

    Raises:
        ValueError: the body is not multipart.
    """
    begin = _DELIMITER.match(body)
    if begin is None:
        raise ValueError("it does not begin with a delimiter")

    delimiter = b"--" + begin[1]
    pieces = (b"\n" + body).split(b"\n" + delimiter)[1:]
    if not pieces[-1].startswith(b"--"):
        raise ValueError("it does not end with its delimiter")
    return [_read_part(piece.removesuffix(b"\r")) for piece in pieces[:-1]]


def _read_part(piece: bytes) -> BodyPart:
    """Read the text after a delimiter: the rest of its line, the headers and the content.

    Raises:
        ValueError: one of them is missing.
    """
    _, lines = re.split(rb"\r?\n", piece, maxsplit=1)
    head, content = re.split(rb"\r?\n\r?\n|\A\r?\n", lines, maxsplit=1)
    return BodyPart({name.lower(): value for name, value in split_fields(head)}, content)


def read_multipart(body: bytes) -> Any:
    """Return the parts of a whole body: an object if each has a distinct name, else an array.

    Raises:
        ValueError: the body is not multipart.
    """
    parts = split_parts(body)
    values = [{"headers": part.headers, "content": _content(part.content)} for part in parts]
    names = [part.name for part in parts]
    if all(names) and len({*names}) == len(names):
        return dict(zip(names, values, strict=True))
    return values


def _content(content: bytes) -> Any:
    text = decode_window(content)
    if text is None:
        return f"{len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}"
    try:
        return parse(text)
    except ValueError:
        return text
