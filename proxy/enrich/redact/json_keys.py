"""Redact JSON values by key, lexically: every byte that is not a secret value stays as it was.

Strategy: one google-re2 pattern finds `"name":` for all secret names, in linear time, in every spelling JSON allows
(case, hyphens, `\\u0070assword`), and also inside strings that hold JSON themselves (`\\"password\\":`). Only where it
hits is the value after it measured and replaced. Nothing is parsed: numbers, whitespace, duplicate keys, event
streams, NDJSON, invalid and truncated JSON are all the same to it. A value is `null`, `true` or `false` (kept), or a
string, number, object or array (replaced as a whole by the string `[REDACTED]`).

A name may be a value itself, with what it names beside it, in either order: environments of containers, headers in a
HAR and variables of a pipeline are lists of `{"name": "DB_PASSWORD", "value": "…"}`, and what is told of a form that
was refused repeats what was entered (`{"loc": ["body", "password"], "input": "…"}`).

Invariant: of a value whose key was seen no byte survives, wherever the text ends; redacting twice changes nothing.
Standard: RFC 8259 §7 (string escapes). Inside d levels of strings a quote is written with 2^d - 1 backslashes.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum
from itertools import islice
from typing import Final

from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.redact.llm_content import content_end
from proxy.enrich.redact.names import SecretNames


class End(Enum):
    """Where the text ended with respect to the last secret value."""

    OUTSIDE = "outside"
    IN_STRING = "in_string"
    IN_CONTAINER = "in_container"


Edit = tuple[int, int, bytes]
"""Where something starts and stops, and what stands in for it."""

MARK: Final = b"[REDACTED]"
MAX_HITS: Final = 500
"""Secrets of one text that are taken out one by one, 10 us each; what follows the last of them goes as a whole."""

BLANKS: Final = rb"(?:[ \t\r]|\n(?:data:)?|\\+[nrt])*"
"""Inside strings they are written as escapes; an event of several lines has `data:` before each."""

_BEFORE_ENDING: Final = rb'[^"\s]*'
"""Of a key: what has blanks is a sentence, in a file of translations."""
_QUOTE: Final = 0x22
_BACKSLASH: Final = 0x5C
_SINGLE_QUOTE: Final = 0x27
_OPENERS: Final = b"{["
_CLOSES_ARRAY: Final = 0x5D
_CLOSES_VALUE: Final = b",}]"
_STRUCTURE: Final = re.compile(rb'["{}\[\]]')
_STRING_ENDS: Final = re.compile(rb'"[ \t\r\n]*(?:[,}\]]|\Z)')
_LITERAL: Final = re.compile(rb"""[^\s,}\]"\\]*(?:[ \t]+[^\s,}\]"\\]+)*""")
KEPT: Final = frozenset((b"", b"null", b"true", b"false"))
"""Values that are no secret, whatever their name is."""
_ATOM: Final = rb'[^"{}\[\]]|"(?:[^"\\]|\\.)*+"'
_FLAT: Final = rb"%b|[{\[](?:%b)*+[}\]]" % (_ATOM, _ATOM)
_NESTED: Final = rb"%b|[{\[](?:%b)*+[}\]]" % (_ATOM, _FLAT)
_MEMBERS: Final = re.compile(rb"(?:%b|[{\[](?:%b)*+[}\]])*+" % (_ATOM, _NESTED), re.DOTALL)
"""Members of an object, with what they hold down to the third level."""
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_IS_MEMBER: Final = re.compile(rb":%b\\*\Z" % BLANKS)
_IS_PLACE: Final = re.compile(rb'"loc\\*"%b:%b\[[^\[\]{}]*\Z' % (BLANKS, BLANKS))
_VALUE_KEY: Final = re.compile(rb'"\w{0,32}(?i:value)\\*"%b:%b' % (BLANKS, BLANKS))
_INPUT_KEY: Final = re.compile(rb'"input\\*"%b:%b' % (BLANKS, BLANKS))
_BESIDE_BYTES: Final = 512
"""How far apart a name and its value are at most."""
_MAX_BESIDE: Final = 2
"""How many members may be the value, on either side: others of that name are within further objects."""
_MAX_BLANKS: Final = 32
_SINGLE_QUOTED: Final = re.compile(rb"'(?:[^'\\]|\\.)*'?", re.DOTALL)


def apart(edits: list[Edit]) -> list[Edit]:
    """Bring edits into order; leave out what lies within another one, and what of one lies before another's end."""
    kept: list[Edit] = []
    for start, stop, replacement in sorted(edits, key=lambda edit: (edit[0], -edit[1])):
        start = max(start, kept[-1][1]) if kept else start
        if start < stop:
            kept.append((start, stop, replacement))
    return kept


def edited(text: bytes, edits: Iterable[Edit]) -> bytes:
    """Make edits that are in order and apart; the same object comes back when there are none."""
    pieces: list[bytes] = []
    kept = 0
    for start, stop, replacement in edits:
        pieces += (text[kept:start], replacement)
        kept = stop
    return b"".join((*pieces, text[kept:])) if pieces else text


class JsonRedactor:
    """Redacts the values of a set of keys. Pure and reusable; compiled once."""

    __slots__ = ("_pattern",)

    def __init__(self, names: SecretNames) -> None:
        self._pattern = compile_bytes(key_pattern(names))

    def redact(self, text: bytes) -> tuple[bytes, End]:
        """Replace secret values; the same object comes back when there are none.

        Returns:
            The text, and whether it ended within a secret value, of which the rest would have to be removed too.
        """
        edits, end = self.find(text)
        return edited(text, edits), end

    def find(self, text: bytes) -> tuple[list[Edit], End]:
        """Find secret values: where each starts and stops, and what stands in for it; and where the text ended."""
        edits: list[Edit] = []
        hits = 0
        end = End.OUTSIDE
        found = self._pattern.search(text)
        while found is not None:
            start, after = found.end(), -1
            if is_key := text[start - 1] not in _CLOSES_VALUE:
                after = content_end(text, found.group(), start)
                hits += after <= start + 1  # what is entered, not passed over, was searched for at length
            else:
                is_near = _may_stand_beside(text, found)
                hits += is_near
                if not is_near or (start := _beside(text, found)) < 0:
                    after = found.end() - 1
            if after >= 0 and hits <= MAX_HITS:
                found = self._pattern.search(text, after)
                end = End.OUTSIDE
                continue
            if hits > MAX_HITS:
                return apart([*edits, (found.start(), len(text), MARK)]), End.IN_CONTAINER
            stop, replacement, end = measure(text, start, _run_in(found.group()))
            if replacement:
                edits.append((start, stop, replacement))
            if not is_key:
                if end is not End.OUTSIDE:
                    break
                stop = found.end() - 1
            # A string that was cut off took the next key's first quote for its last: search from that quote again.
            found = self._pattern.search(text, stop - 1 if text[stop - 1] == _QUOTE else stop)
        return apart(edits), end


def key_pattern(names: SecretNames) -> bytes:
    """Build the pattern of keys, and of values that are names: a quoted name, what follows it, and blanks."""
    name = or_ending(spelled(names), _BEFORE_ENDING, spelled(names.endings))
    return b"".join((rb'(?i)"', name, rb'\\*"', BLANKS, rb"(?:[,}\]]|:", BLANKS, b")"))


def plain_key_pattern(names: SecretNames) -> bytes:
    """Build the pattern of keys none of whose characters is escaped: for a pre-filter with a small automaton."""
    name = or_ending(spelled_plainly(names), _BEFORE_ENDING, spelled_plainly(names.endings))
    return b"".join((rb'(?i)"', name, rb'\\*"', BLANKS, rb"[:,}\]]"))


def spelled(names: Iterable[bytes]) -> bytes:
    """Build the pattern of any of some names, in every spelling; empty without names."""
    return _spelled(names, rb"(?:[-_]|\\+u00(?:2d|5f))*", _spellings)


def spelled_plainly(names: Iterable[bytes]) -> bytes:
    """Build the pattern of any of some names, without escapes; empty without names."""
    return _spelled(names, rb"[-_]*", lambda byte: re.escape(bytes((byte,))))


def _spelled(names: Iterable[bytes], separator: bytes, spell: Callable[[int], bytes]) -> bytes:
    known = frozenset(names)
    return b"".join((separator, _any_of(known, separator, spell), separator)) if known else b""


def or_ending(name: bytes, before: bytes, ending: bytes) -> bytes:
    """Build the pattern of a name, or of one that has an ending behind anything of `before`."""
    return b"(?:%b|%b%b)" % (name, before, ending) if ending else name


def _any_of(names: frozenset[bytes], separator: bytes, spell: Callable[[int], bytes]) -> bytes:
    """Build the pattern of names, of which most end alike: what they share is written once, for a small automaton."""
    each = []
    for last in sorted({name[-1] for name in names if name}):
        heads = frozenset(name[:-1] for name in names if name and name[-1] == last)
        before = b"" if heads == {b""} else _any_of(heads, separator, spell) + separator
        each.append((b"(?:%b)?" % before if before and b"" in heads else before) + spell(last))
    return each[0] if len(each) == 1 else b"(?:%b)" % b"|".join(each)


def _spellings(byte: int) -> bytes:
    if byte >= 0x80:
        return b"\\x%02x" % byte
    character = bytes((byte,))
    plain = character if character.isalnum() else b"\\" + character
    return rb"(?:%s|\\+u00(?:%02x|%02x))" % (plain, byte, ord(character.upper()))


def _run_in(key: bytes) -> int:
    """Count the backslashes before the quote that closes a matched key."""
    return _run_before(key, key.rindex(b'"'), 1)


def _run_before(text: bytes, index: int, lowest: int) -> int:
    start = index
    while start > lowest and text[start - 1] == _BACKSLASH:
        start -= 1
    return index - start


def _may_stand_beside(text: bytes, name: re.Match[bytes]) -> bool:
    """Whether what may be the key of a value is near: cheap, as texts may be full of names."""
    sign = b"input" if text[name.end() - 1] == _CLOSES_ARRAY else b"lue"  # `value`, or what ends in `Value`
    return text.find(sign, max(0, name.start() - _BESIDE_BYTES), name.end() + _BESIDE_BYTES) >= 0


def _beside(text: bytes, name: re.Match[bytes]) -> int:
    """Return where the value begins that stands beside a value that is a name; -1 without one."""
    run, stop = _run_in(name.group()), name.end() - 1
    low = max(0, name.start() - _BESIDE_BYTES)
    before = text[low : name.start()]
    key = _VALUE_KEY
    if text[stop] == _CLOSES_ARRAY:
        stop += 1
        if (place := _IS_PLACE.search(before)) is None:
            return -1
        before, key = before[: place.start()], _INPUT_KEY
    elif _IS_MEMBER.search(before, max(0, len(before) - run - _MAX_BLANKS)) is None:
        return -1
    for found in islice(key.finditer(text, stop, stop + _BESIDE_BYTES), _MAX_BESIDE):
        if _run_in(found.group()) == run and _are_members(text[stop : found.start()], run):
            return found.end()
    for found in deque(key.finditer(before), _MAX_BESIDE):
        if _run_in(found.group()) == run:
            end, _, where = measure(before, found.end(), run)
            if where is End.OUTSIDE and _are_members(before[end:].rstrip(b"\\"), run):
                return low + found.end()
    return -1


def _are_members(text: bytes, run: int) -> bool:
    """Whether a text, a quote of which has `run` backslashes before it, leaves no object and ends in none."""
    while run:
        text = _ESCAPED.sub(rb"\1", text)
        run //= 2
    return _MEMBERS.fullmatch(text) is not None


def measure(text: bytes, start: int, run: int) -> tuple[int, bytes, End]:
    """Measure the value at `start`, whose key's closing quote had `run` backslashes.

    Returns:
        Where it stops, what stands in for it (empty: it stays), and where the text ended.
    """
    if start >= len(text):
        return len(text), b"", End.IN_STRING  # the key was the last thing seen: its value comes next
    escape = b"\\" * run
    mark = b"".join((escape, b'"', MARK, escape, b'"'))
    depth = (run + 1).bit_length() - 1
    opening = start
    while opening < len(text) and text[opening] == _BACKSLASH:
        opening += 1
    if opening == len(text):
        return opening, mark, End.IN_STRING
    first = text[opening]
    if first == _QUOTE:
        if opening - start < run and _STRING_ENDS.match(text, opening) is not None:
            return start, b"", End.OUTSIDE  # of the string around the key, a piece of a stream: no value is here
        stop, is_open = _string_stop(text, opening + 1, depth)
        return stop, mark, End.IN_STRING if is_open else End.OUTSIDE
    if first in _OPENERS:
        stop, is_open = _container_stop(text, opening, depth)
        return stop, mark, End.IN_CONTAINER if is_open else End.OUTSIDE
    if first == _SINGLE_QUOTE:  # not JSON, but seen; a blank inside must not end it
        found = _SINGLE_QUOTED.match(text, opening)
        assert found is not None
        is_open = found.end() == len(text)
        return found.end(), mark, End.IN_STRING if is_open else End.OUTSIDE
    found = _LITERAL.match(text, opening)
    assert found is not None
    is_kept = found.group() in KEPT
    return found.end(), b"" if is_kept else mark, End.OUTSIDE


def _string_stop(text: bytes, start: int, depth: int) -> tuple[int, bool]:
    """Find the end of a string whose content begins at `start`, `depth` levels inside other strings.

    Returns:
        The index after its closing quote, or of what closes a string around it; and whether the text ended first.
    """
    position = start
    while (quote := text.find(b'"', position)) >= 0:
        run = level = _run_before(text, quote, start)
        for _ in range(depth):
            if level % 2 == 0:
                return quote - run, False
            level = (level - 1) // 2
        if level % 2 == 0:
            return quote + 1, False
        position = quote + 1
    return len(text), True


def _container_stop(text: bytes, start: int, depth: int) -> tuple[int, bool]:
    """Find the end of the object or array at `start`: the index after it, and whether the text ended first."""
    open_brackets = 0
    position = start
    while (found := _STRUCTURE.search(text, position)) is not None:
        position = found.end()
        if found.group() == b'"':
            quote = position - 1
            run = level = _run_before(text, quote, start)
            for _ in range(depth):
                if level % 2 == 0:
                    return quote - run, False  # the string around it ends: so does this, unclosed
                level = (level - 1) // 2
            position, is_open = _string_stop(text, position, depth)
            if is_open:
                break
        elif found.group() in b"{[":
            open_brackets += 1
        else:
            open_brackets -= 1
            if open_brackets == 0:
                return position, False
    return len(text), True
