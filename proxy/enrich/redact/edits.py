"""Edits of a text: the part that is replaced, its replacement, and the id of the rule."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from proxy.settings.redact_rules import NAME as NAME

MARK: Final = b"[REDACTED]"
MAX_NAME_BYTES: Final = 64
_LEAST_CANDIDATES: Final = 500
_BYTES_A_CANDIDATE: Final = 32
EDGE: Final = "window-edge"
"""The rule of what may be half of a secret."""
REST: Final = "rest-of-many"
"""The rule of what is behind more parts than are looked into."""
Hits = Counter[str]
"""Ids of rules → how many secrets each has taken out."""


def most_candidates(text: bytes) -> int:
    """Return how many literals of a text are looked around one by one, at up to 15 us each.

    Pages that are full of links have half as many.
    """
    return _LEAST_CANDIDATES + len(text) // _BYTES_A_CANDIDATE


class Edit(NamedTuple):
    """Start and end of a part of a text, its replacement, and the id of the rule."""

    start: int
    stop: int
    stands_in: bytes
    rule: str = ""


def rule_of_name(name: bytes) -> str:
    """Return the id of the rule by which the value of a name goes: `name:password`."""
    plain = name.strip(b" \t\r\n\"'\\")[:MAX_NAME_BYTES].lower()
    return NAME + plain.decode("ascii", "replace").replace("\ufffd", "?")


def apart(edits: list[Edit]) -> list[Edit]:
    """Bring edits into order; leave out what lies within another one, and what of one lies before
    another's end.
    """
    kept: list[Edit] = []
    for start, stop, stands_in, rule in sorted(edits, key=lambda edit: (edit.start, -edit.stop)):
        start = max(start, kept[-1].stop) if kept else start
        if start < stop:
            kept.append(Edit(start, stop, stands_in, rule))
    return kept


def edited(text: bytes, edits: Sequence[Edit], hits: Hits | None = None) -> bytes:
    """Make edits that are in order and apart, and count them by rule in `hits`.

    The same object comes back when there are none. A part that has a mark is not counted again, nor
    is a part that is deleted without a replacement.
    """
    pieces: list[bytes] = []
    kept = 0
    for start, stop, stands_in, rule in edits:
        if hits is not None and rule and stands_in and MARK not in text[start:stop]:
            hits[rule] += 1
        pieces += (text[kept:start], stands_in)
        kept = stop

    if not pieces:
        return text

    return b"".join((*pieces, text[kept:]))
