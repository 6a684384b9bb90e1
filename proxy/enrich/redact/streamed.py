"""Secrets that a stream splits over its frames: the text of the frames is joined and searched as
one.

Strategy: what the frames have at one place is joined in order: strings under one name, strings of
lists, and lines of plain text. It is searched for JSON keys, as arguments of tools have them, and
for patterns. Where several choices or calls of tools take turns, each is joined by itself: its
frames have its `index`; where a frame has several strings of one name, each is joined by itself,
too. Where a secret spans pieces, its part in each piece is taken out, and what stands in for it is
in the first. At a window's edge, what begins like a known key, or may be the rest of a secret, goes
too, where members hold text.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate, pairwise, repeat
from typing import Final

from proxy.enrich.redact.aside import without_aside
from proxy.enrich.redact.edits import EDGE, MARK, Edit, Hits, apart, edited
from proxy.enrich.redact.forms import TOKEN_BYTES
from proxy.enrich.redact.json_keys import JsonRedactor
from proxy.enrich.redact.json_values import End
from proxy.enrich.redact.patterns.secrets import SecretPatterns
from proxy.enrich.redact.windows import Begins

TEXTS: Final = frozenset(
    b"content text delta partial_json arguments input inputTextDelta thinking reasoning_content reasoning refusal "
    b"response summary tool_plan completion generation outputText message data output chunk t".split()
)
"""Members that hold text, of which half a secret may be left at the edge of a window."""
_STRING: Final = rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_MEMBER: Final = re.compile(rb'"([^"\\:,{}\[\]\s]{1,64})"\s*+:\s*+%b' % _STRING, re.DOTALL)
_ITEM: Final = re.compile(
    rb"(?:[\[,\n] ?|data: ?|(?:\A|\n)(?:[0-9a-z]:)?)%b(?=\s*+(?:[,\]]|\Z)|[ \t]*+[\r\n])" % _STRING,
    re.DOTALL,
)
"""A string without a name, of a list, or a frame by itself."""
_ITEM_SIGN: Final = re.compile(rb'[\[\n](?: ?|[0-9a-z]:)"')
_LINE: Final = re.compile(
    rb'(?<![^\r\n])data: ?+(?!(?:\{[^\r\n]*\}|\[[^\r\n]*\]|"[^\r\n]*")[ \t]*+(?:[\r\n]|\Z))([^\r\n]++)'
)
_OBJECTS: Final = (b"data: {", b"data:{", b"data: [DONE]")
_LINES: Final = b"data:"
ITEMS: Final = b"[]"
_INDEX: Final = re.compile(rb'"(?:[a-z]{1,16}_)?index"\s*:\s*([0-9]{1,9})')
SECOND: Final = re.compile(rb'index": ?1')
"""Where nothing has it, there is only one of a name."""
_CLOSING: Final = re.compile(rb'.*?\\"(?=(?:[ \t\r\n]|\\[nrt])*+(?:[,}\]]|\Z))|.*', re.DOTALL)
"""The rest of a value inside a piece, up to the quote that closes it."""
Span = tuple[int, int]
_Piece = tuple[int, int, bytes]
"""Where the content of a string starts and stops, and its name, or what stands for one."""
Joined = dict[bytes, bytes]
"""Text by its name, or by name and index."""


def joined_pieces(text: bytes) -> Joined:
    """Join the pieces of a window that have one place; what never changes is left out."""
    joined: Joined = {}
    for lane, spans in _lanes(text).items():
        pieces = [text[start:stop] for start, stop in spans]
        if _is_text(lane) or len(set(pieces)) > 1:
            joined[lane] = b"".join(pieces)
    return joined


def has_frames(text: bytes) -> bool:
    """Whether the data of some event is no object: a string, a list, or plain text."""
    lines = text.count(_LINES)
    return lines > 0 and lines > sum(map(text.count, _OBJECTS))


def _is_text(lane: bytes) -> bool:
    name = _name_of(lane)
    return name in TEXTS or name == _LINES


def _pieces(text: bytes) -> list[_Piece]:
    """Find what may be a piece: where its content is, and its name, or what stands for one."""
    found = [(*member.span(2), member[1]) for member in _MEMBER.finditer(text)]
    size = len(found)
    has_data = has_frames(text)
    if has_data or _ITEM_SIGN.search(text) is not None:
        found += [(*item.span(1), ITEMS) for item in _ITEM.finditer(text)]
    if has_data:
        found += [(*line.span(1), _LINES) for line in _LINE.finditer(text)]
    return found if len(found) == size else sorted(found)


def _lanes(text: bytes) -> dict[bytes, list[Span]]:
    """Return where the pieces of each place are: by names, and by indexes where frames take turns;
    where a frame has several of a name, also by the place of each.
    """
    found = _pieces(text)
    keys = _turns(text, found) if SECOND.search(text) is not None else None
    by_lane: dict[bytes, list[Span]] = {}
    for (start, stop, name), key in zip(found, keys or repeat(None), strict=False):
        by_lane.setdefault(key or name, []).append((start, stop))
    if keys is not None:
        return by_lane

    for name, spans in list(by_lane.items()):
        is_beside = [text.find(b"\n", one[1], other[0]) < 0 for one, other in pairwise(spans)]
        if not any(is_beside):
            continue
        place = 0
        places: dict[bytes, list[Span]] = {}
        for span, is_further in zip(spans, (False, *is_beside), strict=True):
            place = place + 1 if is_further else 0
            places.setdefault(b"%b %d" % (name, place), []).append(span)
        # Where frames have different numbers of them, one may go on in the next of its frame.
        if len(set(map(len, places.values()))) == 1:
            del by_lane[name]
        by_lane |= places

    return by_lane


def _turns(text: bytes, found: Sequence[_Piece]) -> list[bytes] | None:
    """Separate pieces by the indexes of their frames; None where frames do not alternate."""
    lanes: list[bytes] = []
    names: list[bytes] = []
    begin = 0
    end = 0

    for start, stop, name in found:
        if start >= end:
            lanes += _lanes_of(names, _INDEX.findall(text, begin, end))
            names = []
            begin = text.rfind(b"\n", end, start) + 1 or end

        names.append(name)
        if stop >= end:
            end = text.find(b"\n", stop)
            end = len(text) if end < 0 else end

    lanes += _lanes_of(names, _INDEX.findall(text, begin, end))
    return lanes if _take_turns(lanes) else None


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
            is_cut_at_start=is_cut_at_start and _is_text(lane),
            is_cut_at_end=is_cut_at_end and _is_text(lane),
        )
        for lane, pieces in joined.items()
    }
    return _without(text, secrets, patterns.hits)


def _without(text: bytes, secrets: dict[bytes, list[Edit]], hits: Hits | None) -> bytes:
    if not any(secrets.values()):
        return text
    # Where pieces stand is asked only now: 100 frames without a secret cost half as much.
    spans = _lanes(text)
    edits = (
        edit for lane, some in secrets.items() for edit in _edits(spans.get(lane, []), apart(some))
    )
    return edited(text, apart(list(edits)), hits)


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
