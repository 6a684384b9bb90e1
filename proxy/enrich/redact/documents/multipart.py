"""Redact bodies made of parts (RFC 7578) or of HTTP messages (RFC 9112 §10).

Strategy: split at the boundary and parse only the headers of a part. Parts with a secret name are
replaced. A part that is cut off at the end of the window is redacted to the end.
"""

import re
from collections.abc import Callable, Iterator
from itertools import chain, pairwise
from typing import Final

from proxy.enrich.redact.edits import MARK, REST, Edit, Hits, edited, rule_of_name

MAX_PARTS: Final = 1000
"""Maximum number of parts in a body, and of messages in it. The rest is replaced as a whole,
because each takes 8 us, however small.
"""
_PARAMETER: Final = re.compile(
    rb""";\s*([^\s;="]{1,200}+)\s*=\s*(?:"((?:[^"\\]|\\.)*+)"|([^\s;,"]{1,200}))"""
)
_CONTENT_TYPE: Final = re.compile(rb"^content-type:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_NAME: Final = re.compile(
    rb"""(?<![\w*])name\*?\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^\s;]+))""", re.IGNORECASE
)
_CHARSET_PREFIX: Final = re.compile(rb"\A[\w-]*+'[\w-]*+'")
_HEADERS_END: Final = re.compile(rb"\r?\n\r?\n")


def boundary_of(content_type: bytes, body: bytes) -> bytes | None:
    """Return the boundary from the header, or from the first line if no part begins with that; None
    without one.
    """
    named = [
        found[2] or found[3]
        for found in _PARAMETER.finditer(content_type)
        if found[1].lower() == b"boundary"
    ]
    first = body[:200].partition(b"\n")[0].rstrip()
    if (
        first.startswith(b"--")
        and len(first) > 2
        and not (named and body.find(b"--" + named[0]) >= 0)
    ):
        return first[2:]

    if named:
        return named[0]
    return None


def content_type_in(headers: bytes) -> bytes:
    found = _CONTENT_TYPE.search(headers)
    if found is None:
        return b""
    return found[1]


def redact_multipart(
    body: bytes,
    boundary: bytes,
    is_secret: Callable[[bytes], bool],
    redact_part: Callable[[bytes, bytes], tuple[bytes, bool]],
    hits: Hits,
) -> tuple[bytes, bool]:
    """Replace the content of secret parts; redact the others with `redact_part`.

    Args:
        body: All of it, or a window.
        boundary: Delimiter between the parts.
        is_secret: Judges the name of a part.
        redact_part: Takes headers and content of a part; returns the same as this function.
        hits: Counts redacted secrets by rule.

    Returns:
        The body, and True if it ended within a secret part.
    """
    first, *parts = body.split(b"--" + boundary, MAX_PARTS)
    if has_more := len(parts) == MAX_PARTS:
        edited(parts[-1], [Edit(0, len(parts[-1]), MARK, REST)], hits)
        parts.pop()
    pieces = [redact_part(b"", first)[0]]
    is_secret_last = False
    for part in parts:
        end = _HEADERS_END.search(part)
        is_secret_last = False
        if end is None:  # The closing delimiter, or headers cut off before any content.
            pieces.append(part)
            continue

        headers = part[: end.end()]
        content = part[end.end() :]

        name = next(filter(is_secret, _names(headers)), None)
        if name is not None:
            is_secret_last = True
            stop = len(part) - len(_line_end(content))
            pieces.append(edited(part, [Edit(end.end(), stop, MARK, rule_of_name(name))], hits))
        else:
            # The line end before a delimiter belongs to it, as RFC 2046 §5.1.1 has it.
            line_end = _line_end(content)
            piece, is_secret_last = redact_part(headers, content.removesuffix(line_end))
            pieces.append(piece + line_end)

    if has_more:
        pieces.append(MARK)
    return (b"--" + boundary).join(pieces), is_secret_last or has_more


def _names(headers: bytes) -> list[bytes]:
    """Return the names of a part; `name*=utf-8''x` (RFC 5987) without its charset."""
    return [
        _CHARSET_PREFIX.sub(b"", found[1] or (found[2] or b"").strip(b"'"), count=1)
        for found in _NAME.finditer(headers)
    ]


def _line_end(content: bytes) -> bytes:
    if content.endswith(b"\r\n"):
        return b"\r\n"
    if content.endswith(b"\n"):
        return b"\n"
    return b""


_START: Final = re.compile(
    rb"^(?:[A-Za-z-]{3,32} [^\s]{1,8192} HTTP/(?:1\.[01]|2)|HTTP/(?:1\.[01]|2) [1-5][0-9]{2}(?: [^\r\n]{0,1000})?)\r?$",
    re.MULTILINE,
)
_HEAD_ENDS: Final = re.compile(rb"\r?\n\r?\n")


def messages_of(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the head of each message, with its empty line, and the bytes after it.

    TRACE responses contain such messages, and so do parts of a batch.
    """
    starts = chain((0,), (found.start() for found in _START.finditer(text, 1)), (len(text),))
    for start, stop in pairwise(starts):
        end = _HEAD_ENDS.search(text, start, stop)
        cut = stop if end is None else end.end()
        yield text[start:cut], text[cut:stop]
