"""A multipart body as its parts, whatever their delimiter is. Pure.

Each part is an object with its headers and its content, which is JSON, text, or of other bytes the
size and a digest. Those of a form are found by their name, those of other bodies by their position.

Standard: RFC 2046 §5.1 (syntax), RFC 7578 (forms).
"""

import hashlib
import re
from typing import Any, Final

from api.compare.json_changes import parse
from api.native.projection import decode_window, split_fields

_DELIMITER: Final = re.compile(
    rb"--([0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-])[ \t]*\r?\n"
)
_NAME: Final = re.compile(r';\s*name="?([^";]*+)')
_BOUNDARY: Final = re.compile(r';\s*boundary=(?:"[^"]*+"|[^;]*+)', re.IGNORECASE)


def without_boundary(content_type: str) -> str:
    """Return a value of `Content-Type` without the delimiter, which clients draw anew each time."""
    return _BOUNDARY.sub("", content_type)


def read_multipart(body: bytes) -> Any:
    """Return the parts of a whole body: by name where each has one of its own, else in their order.

    Raises:
        ValueError: it is none.
    """
    begin = _DELIMITER.match(body)
    if begin is None:
        raise ValueError("it does not begin with a delimiter")

    delimiter = b"--" + begin[1]
    pieces = (b"\n" + body).split(b"\n" + delimiter)[1:]
    if not pieces[-1].startswith(b"--"):
        raise ValueError("it does not end with its delimiter")

    parts = [_part(piece.removesuffix(b"\r")) for piece in pieces[:-1]]
    names = [name for name, _ in parts]
    if all(names) and len(set(names)) == len(names):
        return dict(parts)

    return [part for _, part in parts]


def _part(piece: bytes) -> tuple[str, dict[str, Any]]:
    """Return the name of a part, empty where it has none, and the part."""
    _, lines = re.split(rb"\r?\n", piece, maxsplit=1)
    head, content = re.split(rb"\r?\n\r?\n|\A\r?\n", lines, maxsplit=1)
    headers = {name.lower(): value for name, value in split_fields(head)}
    named = _NAME.search(headers.get("content-disposition", ""))
    return named[1] if named else "", {"headers": headers, "content": _content(content)}


def _content(content: bytes) -> Any:
    text = decode_window(content)
    if text is None:
        return f"{len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}"
    try:
        return parse(text)
    except ValueError:
        return text
