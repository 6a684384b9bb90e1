"""Secrets that a stream splits over its frames: the text of the frames is joined and searched as one.

Strategy: the pieces of output in event streams and lines of JSON are members with well-known names; those of one name
are joined in order. Where a secret spans pieces, its part in each piece is taken out, and the mark stands in the first.
At a window's edge, what begins like a known key, or may be the rest of one, goes too.
"""

import re
from typing import Final

from proxy.enrich.redact.json_keys import MARK
from proxy.enrich.redact.patterns import TOKEN_BYTES, begins_secret, find_secrets

_PIECE: Final = re.compile(
    rb'"(content|text|delta|partial_json|arguments|thinking|reasoning_content|reasoning|refusal|response)"\s*:\s*'
    rb'"((?:[^"\\]|\\.)*+)"',
    re.DOTALL,
)
Span = tuple[int, int]
Edit = tuple[int, int, bytes]


def is_streamed(content_type: bytes, head: bytes) -> bool:
    """Whether a body is a stream, by its type, or by its beginning where events are sent as text."""
    if head.startswith((b"data:", b"event:")):
        return True
    return b"event-stream" in content_type or b"ndjson" in content_type or b"jsonl" in content_type


def redact_split(text: bytes, *, is_cut_at_start: bool = False, is_cut_at_end: bool = False) -> bytes:
    """Take out secrets that span frames; the same object comes back when there are none."""
    pieces: dict[bytes, list[bytes]] = {}
    for name, piece in _PIECE.findall(text):
        pieces.setdefault(name, []).append(piece)
    secrets = {
        name: _secrets(b"".join(some), is_cut_at_start=is_cut_at_start, is_cut_at_end=is_cut_at_end)
        for name, some in pieces.items()
    }
    if not any(secrets.values()):
        return text
    # Where pieces stand is asked only now: 100 frames without a secret cost half as much.
    spans: dict[bytes, list[Span]] = {}
    for found in _PIECE.finditer(text):
        spans.setdefault(found[1], []).append(found.span(2))
    edits = [edit for name, some in secrets.items() for secret in some for edit in _edits(spans[name], *secret)]
    kept = 0
    parts: list[bytes] = []
    for start, stop, replacement in sorted(edits):
        parts += (text[kept:start], replacement)
        kept = max(stop, kept)
    return b"".join((*parts, text[kept:]))


def _secrets(joined: bytes, *, is_cut_at_start: bool, is_cut_at_end: bool) -> list[Span]:
    found = [(start, stop) for start, stop, _ in find_secrets(joined)]
    if is_cut_at_start:
        run = len(joined) - len(joined.lstrip(TOKEN_BYTES))
        if run and (not found or found[0][0] >= run):
            found.insert(0, (0, run))
    if is_cut_at_end:
        start = len(joined.rstrip(TOKEN_BYTES))
        if begins_secret(joined[start:]) and (not found or found[-1][1] <= start):
            found.append((start, len(joined)))
    return found


def _edits(spans: list[Span], start: int, stop: int) -> list[Edit]:
    """Turn a span of the joined text into one edit per piece that it touches."""
    edits: list[Edit] = []
    at = 0
    for begin, end in spans:
        size = end - begin
        first, last = max(start - at, 0), min(stop - at, size)
        if first < last:
            edits.append((begin + first, begin + last, b"" if edits else MARK))
        at += size
    return edits
