"""Secrets that a stream splits over its frames: the text of the frames is joined and searched as
one.

Strategy: the pieces of output in event streams and lines of JSON are members with well-known names;
those of one name are joined in order, and searched for JSON keys, as arguments of tools have them,
and for patterns. Where several choices or calls of tools take turns, each is joined by itself: its
frames have its `index`. Where a secret spans pieces, its part in each piece is taken out, and what
stands in for it is in the first. At a window's edge, what begins like a known key, or may be the
rest of a secret, goes too.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from typing import Final

from proxy.enrich.redact.aside import without_aside
from proxy.enrich.redact.edits import EDGE, MARK, Edit, Hits, apart, edited
from proxy.enrich.redact.forms import TOKEN_BYTES
from proxy.enrich.redact.json_keys import JsonRedactor
from proxy.enrich.redact.json_values import End
from proxy.enrich.redact.patterns.secrets import SecretPatterns
from proxy.enrich.redact.windows import Begins

_PIECE: Final = re.compile(
    rb'"(content|text|delta|partial_json|arguments|input|inputTextDelta|thinking|reasoning_content|reasoning|refusal'
    rb'|response|summary|tool_plan|completion|generation|outputText)"\s*:\s*'
    rb'"((?:[^"\\]|\\.)*+)"',
    re.DOTALL,
)
_INDEX: Final = re.compile(rb'"(?:[a-z]{1,16}_)?index"\s*:\s*([0-9]{1,9})')
_SECOND: Final = (b'index":1', b'index": 1')
"""Where nothing has it, there is only one of a name."""
_CLOSING: Final = re.compile(rb'.*?\\"(?=(?:[ \t\r\n]|\\[nrt])*+(?:[,}\]]|\Z))|.*', re.DOTALL)
"""The rest of a value inside a piece, up to the quote that closes it."""
Span = tuple[int, int]
Joined = dict[bytes, bytes]
"""Text by its name, or by name and index."""


def joined_pieces(text: bytes) -> Joined:
    """Join the pieces of a window, by the name of their member, and by their index where several
    take turns.
    """
    pieces: dict[bytes, list[bytes]] = {}
    found = list(_PIECE.finditer(text))
    for lane, piece in zip(_lanes(text, found), found, strict=True):
        pieces.setdefault(lane, []).append(piece[2])
    return {lane: b"".join(some) for lane, some in pieces.items()}


def _lanes(text: bytes, found: Sequence[re.Match[bytes]]) -> list[bytes]:
    """Separate the pieces of one name by the indexes of their frames; where frames do not
    alternate, by their names.
    """
    by_name = [piece[1] for piece in found]
    if not any(second in text for second in _SECOND):
        return by_name

    lanes: list[bytes] = []
    names: list[bytes] = []
    begin = 0
    end = 0

    for piece in found:
        if piece.start() >= end:
            lanes += _lanes_of(names, _INDEX.findall(text, begin, end))
            names = []
            begin = text.rfind(b"\n", end, piece.start()) + 1 or end

        names.append(piece[1])
        if piece.end() > end:
            end = text.find(b"\n", piece.end())
            end = len(text) if end < 0 else end

    lanes += _lanes_of(names, _INDEX.findall(text, begin, end))
    return lanes if _take_turns(lanes) else by_name


def _lanes_of(names: list[bytes], indexes: list[bytes]) -> Iterator[bytes]:
    """Name the lanes of one frame's pieces: of several with one name each has an index, or a place,
    of its own.
    """
    common = b",".join(indexes)
    counts = Counter(names)
    places: Counter[bytes] = Counter()

    for name in names:
        place = places[name]
        places[name] += 1
        if counts[name] == 1:
            yield b"%b %b" % (name, common)
        elif counts[name] == len(indexes):
            yield b"%b %b" % (name, indexes[place])
        else:
            yield b"%b %b %d" % (name, common, place)


def _take_turns(lanes: list[bytes]) -> bool:
    """Whether a lane goes on behind another of its name."""
    last: dict[bytes, bytes] = {}
    begun: set[bytes] = set()
    for lane in lanes:
        name = _name_of(lane)
        if lane in begun and last[name] != lane:
            return True
        begun.add(lane)
        last[name] = lane

    return False


def _name_of(lane: bytes) -> bytes:
    return lane.partition(b" ")[0]


def redact_split_names(
    text: bytes, joined: Joined, json: JsonRedactor, open_names: Collection[bytes] = ()
) -> tuple[bytes, list[bytes]]:
    """Take out values of secret keys that span frames; the same object comes back when there are
    none.

    Call this first: once a frame that ends within a value is redacted, its continuation is no
    longer recognisable.

    Args:
        text: A window of a stream.
        joined: Its pieces.
        json: Which knows the names of the keys.
        open_names: Of pieces within such a value where the window begins.

    Returns:
        The text, and the names of pieces that end within a value.
    """
    secrets: dict[bytes, list[Edit]] = {}
    ended_open: list[bytes] = []
    for lane, pieces in joined.items():
        secrets[lane], end = json.find(pieces)
        if end is not End.OUTSIDE:
            ended_open.append(_name_of(lane))
        if _name_of(lane) in open_names and (rest := _CLOSING.match(pieces)) is not None:
            secrets[lane].append(Edit(0, rest.end(), MARK))

    return _without(text, secrets, json.hits), ended_open


def redact_split(
    text: bytes,
    joined: Joined,
    patterns: SecretPatterns,
    *,
    is_cut_at_start: bool = False,
    is_cut_at_end: bool = False,
) -> bytes:
    """Take out secrets of known formats that span frames; the same object comes back when there are
    none.
    """
    secrets = {
        lane: _by_pattern(
            patterns.find(pieces) if patterns.may_hold(without_aside(pieces)) else [],
            pieces,
            patterns.scanner.begins_in,
            is_cut_at_start=is_cut_at_start,
            is_cut_at_end=is_cut_at_end,
        )
        for lane, pieces in joined.items()
    }
    return _without(text, secrets, patterns.hits)


def _without(text: bytes, secrets: dict[bytes, list[Edit]], hits: Hits | None) -> bytes:
    if not any(secrets.values()):
        return text
    # Where pieces stand is asked only now: 100 frames without a secret cost half as much.
    spans: dict[bytes, list[Span]] = {}
    found = list(_PIECE.finditer(text))
    for lane, piece in zip(_lanes(text, found), found, strict=True):
        spans.setdefault(lane, []).append(piece.span(2))
    edits = (
        edit for lane, some in secrets.items() for edit in _edits(spans.get(lane, []), apart(some))
    )
    return edited(text, sorted(edits), hits)


def _by_pattern(
    found: list[Edit], joined: bytes, begins: Begins, *, is_cut_at_start: bool, is_cut_at_end: bool
) -> list[Edit]:
    if is_cut_at_start:
        run = len(joined) - len(joined.lstrip(TOKEN_BYTES))
        if run and (not found or found[0].start >= run):
            found.insert(0, Edit(0, run, MARK, EDGE))

    if is_cut_at_end:
        start = len(joined.rstrip(TOKEN_BYTES))
        if begins(joined[start:]) and (not found or found[-1].stop <= start):
            found.append(Edit(start, len(joined), MARK, EDGE))

    return found


def _edits(spans: list[Span], secrets: list[Edit]) -> Iterator[Edit]:
    """Turn edits of the joined text into one for each piece that they touch."""
    ends = list(accumulate(end - begin for begin, end in spans))
    for start, stop, stands_in, rule in secrets:
        for place in range(bisect_right(ends, start), len(spans)):
            begin, end = spans[place]
            at = ends[place] - (end - begin)
            if at >= stop:
                break

            yield Edit(
                begin + max(start - at, 0), begin + min(stop - at, end - begin), stands_in, rule
            )
            stands_in = b""
