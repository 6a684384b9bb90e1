"""Redact base64 documents in binary AWS event streams, `{"bytes":"…"}`, as in Bedrock's invoke
streams.

Strategy: the documents of a window become lines of a text that is redacted like any stream, so that
secrets across events are found. A changed line is encoded again in its place; checksums and lengths
of the messages then no longer match. A value cut off by the window is replaced. Standard:
`PayloadPart` of the Amazon Bedrock API reference.
"""

import base64
import re
from collections.abc import Callable
from itertools import chain, repeat
from typing import Final

import msgspec

from proxy.enrich.formats.aws_events import FIRST_HEADER
from proxy.enrich.redact.edits import EDGE, MARK, Edit, Hits, edited
from proxy.enrich.redact.kinds import Kind
from proxy.enrich.redact.octets import BACKSLASH

_MEMBER: Final = b'"bytes"'
_VALUE: Final = re.compile(rb'"bytes"\s*+:\s*+"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)', re.DOTALL)
_Lines = dict[tuple[int, int], bytes]
"""Span of a value → its document."""
RedactStream = Callable[[bytes, bytes, Kind, bytes | None, bool], tuple[bytes, bytes]]
"""Redacts two windows, given their format, boundary, and True if bytes between them are missing."""


def redact_encoded_events(
    head: bytes,
    tail: bytes,
    content_type: bytes,
    is_truncated: bool,
    redact: RedactStream,
    hits: Hits,
) -> tuple[bytes, bytes]:
    """Redact the base64 documents in the windows of a body; return the same objects if they have no
    secret.

    `redact` counts the secrets in documents; `hits` counts documents that were cut off.
    """
    if b"amazon.eventstream" not in content_type.lower() or (
        head.find(_MEMBER) < 0 and tail.find(_MEMBER) < 0
    ):
        return head, tail

    # The bytes before it are the rest of a message and may be base64 without its beginning.
    begins = FIRST_HEADER.search(tail)
    if begins is None:
        tail = b""
    else:
        tail = tail[begins.start() :]
    head, head_lines, is_cut = _read(head, hits)
    tail, tail_lines, _ = _read(tail, hits)
    # An empty line comes first, so that a whole line at the start of a tail is not taken for the
    # rest of a token.
    texts = b"\n".join((b"", *head_lines.values())), b"\n".join((b"", *tail_lines.values()))
    redacted_head, redacted_tail = redact(*texts, "other", None, is_truncated or is_cut)
    return _written(head, head_lines, redacted_head), _written(tail, tail_lines, redacted_tail)


def _read(window: bytes, hits: Hits) -> tuple[bytes, _Lines, bool]:
    """Decode the documents of a window.

    Returns:
        The window, its documents by span, and True if a document cut off at the end was replaced.
    """
    lines: _Lines = {}
    for found in _VALUE.finditer(window):
        if found.end(1) == len(window) or window[found.end(1)] == BACKSLASH:
            return (
                edited(window, [Edit(found.start(1), len(window), MARK, EDGE)], hits),
                lines,
                True,
            )

        if (document := _decoded(found[1])) is not None:
            lines[found.span(1)] = document.replace(b"\n", b"\r")

    return window, lines, False


def _decoded(value: bytes) -> bytes | None:
    try:
        if BACKSLASH in value:
            value = msgspec.json.decode(b'"%b"' % value, type=str).encode()
        return base64.b64decode(value + b"==")
    except ValueError:
        return None


def _written(window: bytes, lines: _Lines, redacted: bytes) -> bytes:
    """Write changed lines back to their positions. A missing line was redacted together with a
    secret before it.
    """
    shown = redacted.split(b"\n")[1:]
    edits: list[Edit] = [
        Edit(start, stop, base64.b64encode(line))
        for ((start, stop), document), line in zip(
            lines.items(), chain(shown, repeat(MARK)), strict=False
        )
        if line != document
    ]
    return edited(window, edits)
