"""Mask long base64 and hex runs, and binary gaps, while a text is scanned: they contain no secrets.

Strategy: a random placeholder replaces each. It consists of letters that are valid in base64 and
hex, so that a token or value that extends across it is still one token and is redacted whole. The
placeholders that remain are replaced by the original bytes afterwards.

Only the middle of a run is masked. Its beginning stays, as far as any rule needs to recognise a
token. A run stays whole if it may contain a known secret: PEM in base64, the login of a header (RFC
7617), or the beginning of a known token after a sign that ends words.

Invariant: restoring the runs returns the original text if nothing in it was redacted.
"""

import re
import secrets
from itertools import pairwise
from typing import Final

from proxy.enrich.formats.content import is_utf8
from proxy.enrich.redact.edits import Edit, edited
from proxy.enrich.redact.scanner import begins_within
from storage.record import Content
from storage.search.long_runs import Span, long_runs
from storage.search.octets import readable_runs

_LETTERS: Final = b"abcdefABCDEF"
_NAME_LETTERS: Final = 24
_NUMBER_LETTERS: Final = 8
_AS_LETTERS: Final = bytes.maketrans(b"0123456789", b"ghijklmnop")
"""Placeholders have no digits, which together with others could look like a card number."""
_NAME: Final = bytes(secrets.choice(_LETTERS) for _ in range(_NAME_LETTERS))
_PLACEHOLDER: Final = re.compile(_NAME + rb"([a-p]{%d})" % _NUMBER_LETTERS)
"""The placeholder has 32 characters, because base64 comes in groups of four."""
_KEPT_START_BYTES: Final = 160
"""No rule needs more than 130."""
_KEPT_END_BYTES: Final = 64
"""The end of a run may be the name of the value after it."""
_MIN_MASKED_BYTES: Final = 40
_KEPT_GAP_BYTES: Final = 4
"""The distance kept around a text within binary data, for its length prefix."""
_PEM: Final = b"LS0tLS1CRUdJTi"
_BEFORE_BYTES: Final = 32
_LOGIN: Final = re.compile(rb"(?i:basic|_auth)\W*\Z")


def mask_runs(text: bytes, content: Content | None = None) -> tuple[bytes, list[bytes]]:
    """Mask the long runs of a text.

    Returns:
        The masked text, and the masked bytes in order; the same object and an empty list if nothing
            was masked.
    """
    spans = [
        span
        for start, stop in long_runs(text)
        if (span := _masked_span(text, start, stop)) is not None
    ]
    if content is not None:
        spans = sorted([*spans, *_gaps(text)])
    if not spans or _NAME in text:
        return text, []

    edits = [Edit(*span, _NAME + _numbered(number)) for number, span in enumerate(spans)]
    return edited(text, edits), [text[start:stop] for start, stop in spans]


def unmask_runs(text: bytes, runs: list[bytes]) -> bytes:
    """Replace the placeholders that remain in a masked text by the original bytes."""
    if not runs:
        return text
    numbers = {_numbered(number): content for number, content in enumerate(runs)}
    edits = [
        Edit(*found.span(), numbers.get(found[1], found[0]))
        for found in _PLACEHOLDER.finditer(text)
    ]
    return edited(text, edits)


def masked_text(text: bytes) -> bytes:
    """Return the masked text for a prefilter; the same object if nothing is masked."""
    return mask_runs(text, None if is_utf8(text) else "octets")[0]


def _numbered(number: int) -> bytes:
    return (b"%08x" % number).translate(_AS_LETTERS)


def _masked_span(text: bytes, start: int, stop: int) -> Span | None:
    """Return the part of a run that is masked; None if the run stays whole."""
    first = start + _KEPT_START_BYTES
    last = stop - _KEPT_END_BYTES
    last -= (last - first) % 4
    if last - first < _MIN_MASKED_BYTES or text.find(_PEM, start, stop) >= 0:
        return None
    if _LOGIN.search(text[max(0, start - _BEFORE_BYTES) : start]) is not None:
        return None
    if begins_within(text[start:stop]):
        return None

    return (first, last)


def _gaps(data: bytes) -> list[Span]:
    """Find the gaps in binary data that are far from readable text."""
    runs = [(0, 0), *readable_runs(data), (len(data), len(data))]
    spans = [
        (stop + _KEPT_GAP_BYTES, start - _KEPT_GAP_BYTES)
        for (_, stop), (start, _) in pairwise(runs)
    ]
    return [(start, stop) for start, stop in spans if stop - start >= _MIN_MASKED_BYTES]
