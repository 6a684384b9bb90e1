"""Edits of a text: the replaced part, its replacement, and the id of the rule."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from proxy.settings.redact_rules import NAME as NAME

MARK: Final = b"[REDACTED]"
MAX_NAME_BYTES: Final = 64
_LEAST_CANDIDATES: Final = 500
_BYTES_A_CANDIDATE: Final = 32
EDGE: Final = "window-edge"
"""The rule for a possible half of a secret at the edge of a window."""
REST: Final = "rest-of-many"
"""The rule for everything after the last part that is redacted individually."""
Hits = Counter[str]
"""Id of a rule → number of secrets it has redacted."""


def most_candidates(text: bytes) -> int:
    """Return the number of candidates in a text that are checked one by one, at up to 15 us each.

    A page full of links has half as many candidates.
    """
    return _LEAST_CANDIDATES + len(text) // _BYTES_A_CANDIDATE


class Edit(NamedTuple):
    """A replacement of `text[start:stop]` by a rule."""

    start: int
    stop: int
    replacement: bytes
    rule: str = ""


def rule_of_name(name: bytes) -> str:
    """Return the id of the rule that redacts the value of a name: `name:password`."""
    plain = name.strip(b" \t\r\n\"'\\")[:MAX_NAME_BYTES].lower()
    return NAME + plain.decode("ascii", "replace").replace("\ufffd", "?")


def without_overlaps(edits: list[Edit]) -> list[Edit]:
    """Sort edits and remove overlaps: an edit within another is dropped, a partial overlap is
    trimmed.
    """
    kept: list[Edit] = []
    for start, stop, replacement, rule in sorted(edits, key=lambda edit: (edit.start, -edit.stop)):
        start = max(start, kept[-1].stop) if kept else start
        if start < stop:
            kept.append(Edit(start, stop, replacement, rule))
    return kept


def edited(text: bytes, edits: Sequence[Edit], hits: Hits | None = None) -> bytes:
    """Apply sorted edits that do not overlap, and count them by rule in `hits`.

    Without edits the same object is returned. Deletions are not counted, nor are parts that already
    contain `[REDACTED]`.
    """
    pieces: list[bytes] = []
    kept = 0
    for start, stop, replacement, rule in edits:
        if hits is not None and rule and replacement and MARK not in text[start:stop]:
            hits[rule] += 1
        pieces += (text[kept:start], replacement)
        kept = stop

    if not pieces:
        return text

    return b"".join((*pieces, text[kept:]))
