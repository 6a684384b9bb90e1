"""A prefilter for secrets that span frames of a stream.

Few streams have one, and finding the position of each string takes longer than the rest of the
redaction.

Strategy: successive frames that differ in one string become one frame with the joined string. The
remaining lines are split at their quotes. Lines with the same members form a table. Its columns are
the texts that `streamed` joins. Columns that never change are left out. If lines have different
members or alternate, columns are joined in the order of their lines.

Invariant: the text contains everything that `streamed` joins, except for repeats.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, compress, repeat
from typing import Final, Literal, NamedTuple

from proxy.enrich.redact.octets import BACKSLASH, NUL, QUOTE
from proxy.enrich.redact.streamed import ITEMS, SECOND, TEXTS, has_frames

_ESCAPED_BACKSLASH: Final = b"\0\0"
_ESCAPED_QUOTE: Final = b"\0\1"
"""Placeholders for escapes while strings are found by their quotes."""
_MAX_DEPTH: Final = 4
"""Number of times that lines are divided by one name before all their names are compared."""
_NEAR_ROWS: Final = 4
"""Number of repeats kept on either side of a different line."""
_AROUND_NUMBERS: Final = b" :,[]{}\r"
_BETWEEN: Final = b" \n"
"""Separates two texts, so that no match extends from one into the other."""

_Table = tuple[list[int], list[list[bytes]]]
"""Line numbers, and each line split at its quotes."""


class _Column(NamedTuple):
    """The strings at one position of frames with the same members."""

    name: bytes
    nth: int
    """Index among the `total` strings of this name in a frame."""
    total: int
    lines: Sequence[int]
    strings: Sequence[bytes]
    is_constant: bool
    turns: Sequence[tuple[bytes, ...]]
    """The indexes of each frame; empty if no frames alternate."""


def spanning_text(text: bytes) -> bytes | None:
    """Join the strings that frames have at each position. If the result has no secret, none spans
    frames.

    Returns:
        The joined text; None if `joined_pieces` is needed for an answer.
    """
    if NUL in text or has_frames(text):
        return None
    has_escapes = BACKSLASH in text
    if has_escapes:
        text = text.replace(b"\\\\", _ESCAPED_BACKSLASH).replace(b'\\"', _ESCAPED_QUOTE)

    columns = list(_columns(_merged(text)))
    counts: dict[bytes, set[int]] = {}
    for column in columns:
        counts.setdefault(column.name, set()).add(column.total)
    groups: dict[object, list[_Column]] = {}
    for column in columns:
        name, nth, total, *_, turns = column
        if total > 1 and turns and len(turns[0]) > 1:
            return None  # each may have its own index
        groups.setdefault((name, nth), []).append(column)
        if len(counts[name]) > 1:
            groups.setdefault(name, []).append(column)
        for turn in set(turns) if turns else ():
            groups.setdefault((name, nth, total, turn), []).append(_at_turn(column, turn))

    joined = _BETWEEN.join(filter(None, dict.fromkeys(map(_in_order, groups.values()))))
    if has_escapes:
        joined = joined.replace(_ESCAPED_QUOTE, b'\\"').replace(_ESCAPED_BACKSLASH, b"\\\\")
    return joined


def _merged(text: bytes) -> bytes:
    """Merge successive frames that differ in one string: most frames of a model's answer do.

    The bytes from the end of that string to its beginning in the next frame are then the same
    throughout. Two frames in the middle of the text show them. The first two frames of a kind stay
    apart, since a column of a single row counts as constant.
    """
    start, stop = _next_line(text, len(text) // 2)
    next_start, next_stop = _next_line(text, stop)
    if stop <= start or next_stop <= next_start:
        return text
    first = text[start:stop]
    second = text[next_start:next_stop]
    size = min(len(first), len(second))
    alike = _equal_bytes(first[:size], second[:size], "big")
    head = first[: first.rfind(QUOTE, 0, alike) + 1]
    alike = min(size - len(head), _equal_bytes(first[-size:], second[-size:], "little"))
    closing = first.find(QUOTE, len(first) - alike)
    is_string = closing >= 0 and closing == first.find(QUOTE, len(head))
    if not is_string or head.count(QUOTE) % 2 == 0:
        return text  # they differ in more than one string
    tail = first[closing:]

    boundary = tail + text[stop:next_start] + head
    beginning, found, rest = text.partition(boundary)
    return beginning + found + rest.replace(boundary, b"")


def _next_line(text: bytes, at: int) -> tuple[int, int]:
    """Return start and end of the next whole line with a string; the end is -1 if there is none."""
    quote = text.find(QUOTE, text.find(b"\n", at) + 1)
    return text.rfind(b"\n", 0, quote) + 1, text.find(b"\n", quote) if quote >= 0 else -1


def _equal_bytes(one: bytes, other: bytes, order: Literal["big", "little"]) -> int:
    """Return how many bytes of two texts of one length are equal from the start ("big") or from the
    end ("little").
    """
    difference = int.from_bytes(one, order) ^ int.from_bytes(other, order)
    return len(one) - (difference.bit_length() + 7) // 8


def _columns(text: bytes) -> Iterator[_Column]:
    """Yield the columns of a stream without the names of members. A frame is one line."""
    has_turns = SECOND.search(text) is not None
    by_size: dict[int, _Table] = {}
    for number, line in enumerate(text.split(b"\n")):
        if QUOTE in line:
            parts = line.split(b'"')
            if (table := by_size.get(len(parts))) is None:
                table = by_size[len(parts)] = ([], [])
            table[0].append(number)
            table[1].append(parts)

    tables = [(table, 0) for table in by_size.values()]
    while tables:
        table, depth = tables.pop()
        columns = _columns_of(table, has_turns=has_turns)
        if isinstance(columns, list):
            yield from columns
            continue

        alike: dict[object, _Table] = {}
        for number, parts in zip(*table, strict=True):
            shape = _shape(parts) if depth == _MAX_DEPTH else _name_at(parts, columns)
            if (some := alike.get(shape)) is None:
                some = alike[shape] = ([], [])
            some[0].append(number)
            some[1].append(parts)
        tables += ((some, depth + 1) for some in alike.values())


def _name_at(parts: Sequence[bytes], place: int) -> bytes | None:
    """Return the string at a position if it is the name of a member."""
    if parts[place + 1].startswith(b":"):
        return parts[place]
    return None


def _shape(parts: Sequence[bytes]) -> tuple[bytes | None, ...]:
    return tuple([_name_at(parts, place) for place in range(1, len(parts) - 1, 2)])


def _columns_of(table: _Table, *, has_turns: bool) -> list[_Column] | int:
    """Return the columns of lines with equally many strings.

    If the members of the lines differ, return the first position of a difference instead.
    """
    lines, rows = table
    found: list[tuple[bytes, tuple[bytes, ...], bool]] = []
    indexes: list[tuple[bytes, ...]] = []
    columns = [*zip(*rows, strict=True), (b"",)]
    name = ITEMS

    for place in range(1, len(columns) - 1, 2):
        strings = columns[place]
        first = strings[0]
        behind = columns[place + 1]
        is_name = behind[0].startswith(b":")
        is_constant = strings.count(first) == len(strings)
        if is_name and not is_constant:
            return place
        if (is_name or not is_constant) and behind.count(behind[0]) < len(behind):
            are_names = map(bytes.startswith, behind, repeat(b":"))
            if not all(are_names) if is_name else any(are_names):
                return place

        if not is_name:
            found.append((name, strings, is_constant))
        elif has_turns and first.endswith(b"index"):
            indexes.append(tuple([after.strip(_AROUND_NUMBERS) for after in behind]))
        name = first if is_name and behind[0].strip() == b":" else ITEMS

    turns = list(zip(*indexes, strict=True))
    counts = Counter(name for name, _, _ in found)
    seen: Counter[bytes] = Counter()
    result: list[_Column] = []
    for name, strings, is_constant in found:
        result.append(_Column(name, seen[name], counts[name], lines, strings, is_constant, turns))
        seen[name] += 1
    return result


def _at_turn(column: _Column, turn: tuple[bytes, ...]) -> _Column:
    """Return the part of a column that has these indexes."""
    is_its = [other == turn for other in column.turns]
    return column._replace(
        lines=[*compress(column.lines, is_its)], strings=[*compress(column.strings, is_its)]
    )


def _in_order(columns: Sequence[_Column]) -> bytes:
    """Join the strings of columns in line order; empty if they never change."""
    first = columns[0]
    if len(columns) == 1:
        if first.is_constant and first.name not in TEXTS:
            return b""
        return b"".join(first.strings)
    if first.name not in TEXTS:
        if all(column.is_constant and column.strings[0] == first.strings[0] for column in columns):
            return b""
        columns = _without_repeats(columns)

    places = (zip(each.lines, repeat(each.nth), each.strings) for each in columns)
    return b"".join([string for _, _, string in sorted(chain.from_iterable(places))])


def _without_repeats(columns: Sequence[_Column]) -> Sequence[_Column]:
    """Leave out repeats, such as the type of most events. The longest constant columns keep only
    strings near lines of other columns.
    """
    varied = {id(column.lines) for column in columns if not column.is_constant}
    constant = [column.lines for column in columns if id(column.lines) not in varied]
    lines = max(constant, key=len, default=())
    others = {line for column in columns if column.lines is not lines for line in column.lines}
    if len(others) * 2 * _NEAR_ROWS >= len(lines):
        return columns

    near = {
        row
        for line in others
        for at in (bisect_right(lines, line),)
        for row in range(max(at - _NEAR_ROWS, 0), min(at + _NEAR_ROWS, len(lines)))
    }
    rows = sorted(near)
    return [
        column._replace(
            lines=[lines[row] for row in rows], strings=[column.strings[row] for row in rows]
        )
        if column.lines is lines
        else column
        for column in columns
    ]
