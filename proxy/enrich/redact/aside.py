"""What is set aside while a text is redacted, because no secret is in it: the middle of long runs,
and octets.

Strategy: a word that is drawn at random stands in for each, made of letters that base64 and
hexadecimal digits have, so that a token or a value that goes on through it is still one, and is
taken out whole. What is left of these words is replaced by what they stood for.

A run keeps its beginning, by which tokens are recognised: as much as any pattern counts. It stays
whole where it may be or hold a secret that is known by more: PEM in base64, the login of a header
(RFC 7617), and the beginning of a known token behind a sign that ends words.

Invariant: putting back what was set aside gives the text, if nothing of it was redacted.
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
"""No digit is in a word that stands in for something: with others it could be a number of a card.
"""
_NAME: Final = bytes(secrets.choice(_LETTERS) for _ in range(_NAME_LETTERS))
_STANDS_IN: Final = re.compile(_NAME + rb"([a-p]{%d})" % _NUMBER_LETTERS)
"""32 characters, as base64 comes in fours."""
_KEPT_START_BYTES: Final = 160
"""Patterns count to 130 at most."""
_KEPT_END_BYTES: Final = 64
"""May be the name of what follows."""
_MIN_ASIDE_BYTES: Final = 40
_KEPT_GAP_BYTES: Final = 4
"""Beside a text within octets: its length."""
_PEM: Final = b"LS0tLS1CRUdJTi"
_BEFORE_BYTES: Final = 32
_LOGIN: Final = re.compile(rb"(?i:basic|_auth)\W*\Z")


def set_aside(text: bytes, content: Content | None = None) -> tuple[bytes, list[bytes]]:
    """Return a text without what is set aside, and that; the same object where nothing is."""
    spans = [
        span
        for start, stop in long_runs(text)
        if (span := _middle_of(text, start, stop)) is not None
    ]
    if content is not None:
        spans = sorted([*spans, *_gaps(text)])
    if not spans or _NAME in text:
        return text, []

    edits = [Edit(*span, _NAME + _numbered(number)) for number, span in enumerate(spans)]
    return edited(text, edits), [text[start:stop] for start, stop in spans]


def put_back(text: bytes, aside: list[bytes]) -> bytes:
    """Replace what stands in for what was set aside."""
    if not aside:
        return text
    numbers = {_numbered(number): content for number, content in enumerate(aside)}
    edits = [
        Edit(*found.span(), numbers.get(found[1], found[0])) for found in _STANDS_IN.finditer(text)
    ]
    return edited(text, edits)


def without_aside(text: bytes) -> bytes:
    """Return what of a text is searched for secrets at a glance; the same object where that is all."""
    return set_aside(text, None if is_utf8(text) else "octets")[0]


def _numbered(number: int) -> bytes:
    return (b"%08x" % number).translate(_AS_LETTERS)


def _middle_of(text: bytes, start: int, stop: int) -> Span | None:
    """Return what of a run is set aside; None where it stays whole."""
    first = start + _KEPT_START_BYTES
    last = stop - _KEPT_END_BYTES
    last -= (last - first) % 4
    if last - first < _MIN_ASIDE_BYTES or text.find(_PEM, start, stop) >= 0:
        return None
    if _LOGIN.search(text[max(0, start - _BEFORE_BYTES) : start]) is not None:
        return None
    if begins_within(text[start:stop]):
        return None

    return (first, last)


def _gaps(data: bytes) -> list[Span]:
    """Find what of octets is far from all that reads as text."""
    runs = [(0, 0), *readable_runs(data), (len(data), len(data))]
    spans = [
        (stop + _KEPT_GAP_BYTES, start - _KEPT_GAP_BYTES)
        for (_, stop), (start, _) in pairwise(runs)
    ]
    return [(start, stop) for start, stop in spans if stop - start >= _MIN_ASIDE_BYTES]
