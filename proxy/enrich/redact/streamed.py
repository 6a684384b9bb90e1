"""Find secrets that a stream splits across its frames, by searching the joined text of the frames.

Strategy: strings at the same position of the frames are joined in order: strings with one name,
strings in lists, and lines of plain text. The joined text is searched for JSON keys, as in
arguments of tools, and by rules. If several choices or tool calls alternate, each is joined
separately by the `index` of its frames. If a frame has several strings of one name, each is joined
separately, too. A secret that spans pieces is removed from each of them, and its replacement goes
into the first. At the edge of a window, members with text also lose a possible beginning of a known
key and a possible rest of a secret.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate, pairwise, repeat
from typing import Final

from proxy.enrich.redact.edits import EDGE, MARK, Edit, Hits, edited, without_overlaps
from proxy.enrich.redact.forms import TOKEN_BYTES
from proxy.enrich.redact.json_keys import JsonRedactor
from proxy.enrich.redact.json_values import End
from proxy.enrich.redact.masked_runs import masked_text
from proxy.enrich.redact.patterns.secrets import SecretPatterns
from proxy.enrich.redact.windows import Begins

TEXTS: Final = frozenset(
    b"content text delta partial_json arguments input inputTextDelta thinking reasoning_content reasoning refusal "
    b"response summary tool_plan completion generation outputText message data output chunk t".split()
)
"""Members that hold text; half a secret may be left in them at the edge of a window."""
_STRING: Final = rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_MEMBER: Final = re.compile(rb'"([^"\\:,{}\[\]\s]{1,64})"\s*+:\s*+%b' % _STRING, re.DOTALL)
_ITEM: Final = re.compile(
    rb"(?:[\[,\n] ?|data: ?|(?:\A|\n)(?:[0-9a-z]:)?)%b(?=\s*+(?:[,\]]|\Z)|[ \t]*+[\r\n])" % _STRING,
    re.DOTALL,
)
"""A string without a name: in a list, or a frame by itself."""
_ITEM_SIGN: Final = re.compile(rb'[\[\n](?: ?|[0-9a-z]:)"')
_LINE: Final = re.compile(
    rb'(?<![^\r\n])data: ?+(?!(?:\{[^\r\n]*\}|\[[^\r\n]*\]|"[^\r\n]*")[ \t]*+(?:[\r\n]|\Z))([^\r\n]++)'
)
_OBJECTS: Final = (b"data: {", b"data:{", b"data: [DONE]")
_LINES: Final = b"data:"
ITEMS: Final = b"[]"
_INDEX: Final = re.compile(rb'"(?:[a-z]{1,16}_)?index"\s*:\s*([0-9]{1,9})')
SECOND: Final = re.compile(rb'index": ?1')
"""Absent if each name has only one series of pieces."""
_CLOSING: Final = re.compile(rb'.*?\\"(?=(?:[ \t\r\n]|\\[nrt])*+(?:[,}\]]|\Z))|.*', re.DOTALL)
"""The rest of a value inside a piece, up to its closing quote."""
Span = tuple[int, int]
_Piece = tuple[int, int, bytes]
"""Start and end of a string's content, and its name or a substitute for one."""
Joined = dict[bytes, bytes]
"""Joined text by name, or by name and index."""


def joined_pieces(text: bytes) -> Joined:
    """Join the pieces of a window that have the same position; constant ones are left out."""
    joined: Joined = {}
    for series, spans in _spans_by_series(text).items():
        pieces = [text[start:stop] for start, stop in spans]
        if _is_text(series) or len(set(pieces)) > 1:
            joined[series] = b"".join(pieces)
    return joined


def has_frames(text: bytes) -> bool:
    """True if the data of an event is not an object but a string, a list or plain text."""
    lines = text.count(_LINES)
    return lines > 0 and lines > sum(map(text.count, _OBJECTS))


def _is_text(series: bytes) -> bool:
    name = _name_of(series)
    return name in TEXTS or name == _LINES


def _pieces(text: bytes) -> list[_Piece]:
    """Find the possible pieces: span of the content, and its name or a substitute."""
    found = [(*member.span(2), member[1]) for member in _MEMBER.finditer(text)]
    size = len(found)
    has_data = has_frames(text)
    if has_data or _ITEM_SIGN.search(text) is not None:
        found += [(*item.span(1), ITEMS) for item in _ITEM.finditer(text)]
    if has_data:
        found += [(*line.span(1), _LINES) for line in _LINE.finditer(text)]
    if len(found) == size:
        return found
    return sorted(found)


def _spans_by_series(text: bytes) -> dict[bytes, list[Span]]:
    """Return the spans of pieces by position.

    Pieces are grouped by name, and by index if frames alternate. If a frame has several of one
    name, they are also grouped by their order in it.
    """
    found = _pieces(text)
    if SECOND.search(text) is not None:
        keys = _alternating_series(text, found)
    else:
        keys = None
    by_series: dict[bytes, list[Span]] = {}
    for (start, stop, name), key in zip(found, keys or repeat(None), strict=False):
        by_series.setdefault(key or name, []).append((start, stop))
    if keys is not None:
        return by_series

    for name, spans in list(by_series.items()):
        is_in_frame = [text.find(b"\n", one[1], other[0]) < 0 for one, other in pairwise(spans)]
        if not any(is_in_frame):
            continue
        place = 0
        places: dict[bytes, list[Span]] = {}
        for span, is_further in zip(spans, (False, *is_in_frame), strict=True):
            place = place + 1 if is_further else 0
            places.setdefault(b"%b %d" % (name, place), []).append(span)
        # If frames have different numbers of them, one may continue in the next of its frame.
        if len(set(map(len, places.values()))) == 1:
            del by_series[name]
        by_series |= places

    return by_series


def _alternating_series(text: bytes, found: Sequence[_Piece]) -> list[bytes] | None:
    """Separate pieces by the indexes of their frames; None if frames do not alternate."""
    all_series: list[bytes] = []
    names: list[bytes] = []
    begin = 0
    end = 0

    for start, stop, name in found:
        if start >= end:
            all_series += _series_of(names, _INDEX.findall(text, begin, end))
            names = []
            begin = text.rfind(b"\n", end, start) + 1 or end

        names.append(name)
        if stop >= end:
            end = text.find(b"\n", stop)
            end = len(text) if end < 0 else end

    all_series += _series_of(names, _INDEX.findall(text, begin, end))
    if _alternate(all_series):
        return all_series
    return None


def _series_of(names: list[bytes], indexes: list[bytes]) -> Iterator[bytes]:
    """Name the series of one frame's pieces.

    Several pieces with one name are distinguished by their own index or by their order.
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


def _alternate(all_series: list[bytes]) -> bool:
    """True if a series continues after another of the same name."""
    last: dict[bytes, bytes] = {}
    begun: set[bytes] = set()
    for series in all_series:
        name = _name_of(series)
        if series in begun and last[name] != series:
            return True
        begun.add(series)
        last[name] = series

    return False


def _name_of(series: bytes) -> bytes:
    return series.partition(b" ")[0]


def redact_split_names(
    text: bytes, joined: Joined, json: JsonRedactor, open_names: Collection[bytes] = ()
) -> tuple[bytes, list[bytes]]:
    """Redact values of secret keys that span frames; return the same object if nothing changes.

    Call this first: once a frame that ends within a value is redacted, the continuation is no
    longer recognisable.

    Args:
        text: A window of a stream.
        joined: Its joined pieces.
        json: Knows the names of secret keys.
        open_names: Names of pieces that continue such a value at the start of the window.

    Returns:
        The text, and the names of pieces that end within a value.
    """
    secrets: dict[bytes, list[Edit]] = {}
    ended_open: list[bytes] = []
    for series, pieces in joined.items():
        secrets[series], end = json.find(pieces)
        if end is not End.OUTSIDE:
            ended_open.append(_name_of(series))
        if _name_of(series) in open_names and (rest := _CLOSING.match(pieces)) is not None:
            secrets[series].append(Edit(0, rest.end(), MARK))

    return _without(text, secrets, json.hits), ended_open


def redact_split(
    text: bytes,
    joined: Joined,
    patterns: SecretPatterns,
    *,
    is_cut_at_start: bool = False,
    is_cut_at_end: bool = False,
) -> bytes:
    """Redact secrets of known formats that span frames; return the same object if there are
    none.
    """
    secrets = {
        series: _by_pattern(
            patterns.find(pieces) if patterns.may_hold(masked_text(pieces)) else [],
            pieces,
            patterns.scanner.begins_in,
            is_cut_at_start=is_cut_at_start and _is_text(series),
            is_cut_at_end=is_cut_at_end and _is_text(series),
        )
        for series, pieces in joined.items()
    }
    return _without(text, secrets, patterns.hits)


def _without(text: bytes, secrets: dict[bytes, list[Edit]], hits: Hits | None) -> bytes:
    if not any(secrets.values()):
        return text
    # Positions are computed only now, so 100 frames without a secret cost half as much.
    spans = _spans_by_series(text)
    edits = (
        edit
        for series, some in secrets.items()
        for edit in _edits(spans.get(series, []), without_overlaps(some))
    )
    return edited(text, without_overlaps(list(edits)), hits)


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
    """Turn edits of the joined text into one for each piece they touch."""
    ends = list(accumulate(end - begin for begin, end in spans))
    for start, stop, replacement, rule in secrets:
        for place in range(bisect_right(ends, start), len(spans)):
            begin, end = spans[place]
            at = ends[place] - (end - begin)
            if at >= stop:
                break

            yield Edit(
                begin + max(start - at, 0), begin + min(stop - at, end - begin), replacement, rule
            )
            replacement = b""
