r"""Redact JSON values by key, lexically: all other bytes stay as they are.

Strategy: the scanner finds anchors, and keys are found around them (`naming/keys.py`), in every
spelling that JSON allows (case, hyphens, `\\u0070assword`), also inside strings that contain JSON
(`\\"password\\":`). Only the value after a key is measured and replaced. Nothing is parsed, so
numbers, whitespace, duplicate keys, event streams, NDJSON, invalid and truncated JSON need no
special treatment. A string is replaced by `[REDACTED]`. `null`, `true`, `false` and numbers that
no one types are kept. In objects and lists, all strings are replaced except descriptions of a
secret (`naming/values.py`).

A name may itself be a value next to the value it names, in either order. Container environments,
headers in a HAR and pipeline variables are lists of `{"name": "DB_PASSWORD", "value": "…"}`, and
validation errors repeat the rejected input (`{"loc": ["body", "password"], "input": "…"}`).

Invariant: no byte survives of a value whose key was seen, wherever the text ends; redacting twice
changes nothing. Standard: RFC 8259 §7 (string escapes). Inside d levels of strings a quote is
written with 2^d - 1 backslashes.
"""

import re
from collections import deque
from collections.abc import Iterable
from functools import partial
from itertools import islice
from typing import Final

from proxy.enrich.redact.edits import Edit, Hits, edited, rule_of_name, without_overlaps
from proxy.enrich.redact.json_values import BLANKS, KEPT, End, measure, run_in, secrets_within
from proxy.enrich.redact.names import SecretNames, normalise
from proxy.enrich.redact.naming.keys import KeyFinder
from proxy.enrich.redact.naming.values import (
    PlaceFinder,
    content_end,
    is_fact,
    is_folder,
    is_member_kept,
    is_number_kept,
    is_refusal,
    is_sign,
    is_word_kept,
    places_in,
)
from proxy.enrich.redact.scanner import Scanner

_CLOSES_ARRAY: Final = 0x5D
_COMMA: Final = 0x2C
_CLOSES_VALUE: Final = b",}]"
_QUOTE: Final = 0x22
_ATOM: Final = rb'[^"{}\[\]]|"(?:[^"\\]|\\.)*+"'
_FLAT: Final = rb"%b|[{\[](?:%b)*+[}\]]" % (_ATOM, _ATOM)
_NESTED: Final = rb"%b|[{\[](?:%b)*+[}\]]" % (_ATOM, _FLAT)
_SOME: Final = rb"(?:%b|[{\[](?:%b)*+[}\]])*+" % (_ATOM, _NESTED)
_MEMBERS: Final = re.compile(_SOME, re.DOTALL)
"""Members of an object, with nested values down to the third level."""
_ENTERED: Final = re.compile(rb"(?:%b[{\[])*+%b" % (_SOME, _SOME), re.DOTALL)
"""Members, up to those of an object within them."""
_STRING: Final = rb'\s*+"(?:[^"\\]|\\.)*+"\s*+'
_PAIRS: Final = re.compile(rb"(?:%b,%b,)*+\s*+" % (_STRING, _STRING), re.DOTALL)
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_IS_MEMBER: Final = re.compile(rb":%b\\*\Z" % BLANKS)
_IS_PLACE: Final = re.compile(rb'"(?:loc|path)\\*"%b:%b\[[^\[\]{}]*\Z' % (BLANKS, BLANKS))
_VALUE_KEY: Final = re.compile(rb'"\w{0,32}(?i:value)\\*"%b:%b' % (BLANKS, BLANKS))
_INPUT_KEY: Final = re.compile(rb'"input\\*"%b:%b' % (BLANKS, BLANKS))
_IN_PAIR: Final = re.compile(rb"[\[,]%b\[%b\Z" % (BLANKS, BLANKS))
_IS_STRING: Final = re.compile(rb'%b\\*"' % BLANKS)
_CLOSES_LIST: Final = re.compile(rb"%b\]" % BLANKS)
_RAW: Final = re.compile(rb'"(?i:raw_?(?:headers|trailers))\\*"%b:%b\[' % (BLANKS, BLANKS))
_REFUSAL: Final = re.compile(
    rb'"(?i:\w{0,32}errors?|violations|issues|failures|problems|model_?state|validation\w{0,16}|detail)\\*"%b:%b[{\[]'
    % (BLANKS, BLANKS)
)
_VALUE_ENDINGS: Final = (b"value", b"password", b"secret", b"token", b"key")
"""Members that hold the secret itself."""
_ICON: Final = re.compile(rb"\[\s*[0-9]{1,4},\s*[0-9]{1,4},\s*\[")
"""An icon as a list: its size, other names, a path. Icon fonts name icons after keys, cookies and
signatures.
"""
_GRANT: Final = b"grant_type"
_CODE_RULE: Final = "oauth-code"
_CODE: Final = re.compile(rb'"code\\*"%b:%b(?=\\*"[^"\\]{10})' % (BLANKS, BLANKS))
_GRANT_KEY: Final = re.compile(rb'"grant_type\\*"%b:' % BLANKS)
"""With this key in the object, `code` is exchanged for a token (RFC 6749 §4.1.3). Otherwise it may
be the code of a country or an error.
"""
_LIST_BYTES: Final = 8192
_NEAR_BYTES: Final = 512
"""Maximum distance between a name and its value."""
_MAX_NEAR_MEMBERS: Final = 2
"""Maximum number of members on either side that may be the value. Further ones of that name belong
to inner objects.
"""
_MAX_BLANKS: Final = 32


class JsonRedactor:
    """Redacts the values of a set of keys. Reusable."""

    __slots__ = ("_names", "_places", "_scanner", "hits")

    def __init__(
        self,
        names: SecretNames,
        excepted: Iterable[str],
        hits: Hits,
        scanner: Scanner,
    ) -> None:
        """Redact the values of `names`, except at `excepted` paths (`naming/values.py`); count them
        in `hits`.
        """
        self._names = names
        self.hits = hits
        self._places = places_in(excepted)
        self._scanner = scanner

    def redact(self, text: bytes, *, is_body: bool = False) -> tuple[bytes, End]:
        """Replace secret values; return the same object if nothing changes. Excepted paths count
        only in a body.

        Returns:
            The text, and its end relative to the last secret value: a rest that follows must be
                removed, too.
        """
        edits, end = self.find(text, self._places if is_body else ())
        return edited(text, edits, self.hits), end

    def may_hold(self, text: bytes) -> bool:
        """True if a text has a secret name as a key, or as a string that may be one."""
        scanner = self._scanner
        return _GRANT in text or (
            scanner.has_hits(text) and KeyFinder(text, self._names, scanner).search(0) is not None
        )

    def find(self, text: bytes, places: Iterable[tuple[bytes, ...]] = ()) -> tuple[list[Edit], End]:
        """Find secret values.

        Returns:
            Their edits, and the end of the text relative to the last secret value.
        """
        edits: list[Edit] = []
        end = End.OUTSIDE
        finder = PlaceFinder(text, places)
        keys = KeyFinder(text, self._names, self._scanner)

        found = keys.search(0)
        while found is not None:
            begin, stop, name = found
            key = text[begin:stop]
            is_value = key[-1] in _CLOSES_VALUE
            start = -1
            after = stop - is_value
            if is_value or not finder.is_excepted(begin, name):
                start, after = _secret_start(text, begin, key)

            if start < 0:
                found = keys.search(max(after, begin + 1))
                end = End.OUTSIDE
                continue

            rule = rule_of_name(name)
            some, value_stop, end = secrets_of(
                text, start, begin, run_in(key), name, keeps_words=not is_value
            )
            edits += (edit._replace(rule=rule) for edit in some)
            if is_value and end is not End.OUTSIDE:
                break

            stop = stop - 1 if is_value else value_stop
            # A cut string took the first quote of the next key for its last one, so the search
            # continues from that quote.
            found = keys.search(stop - 1 if text[stop - 1] == _QUOTE else stop)

        if _GRANT in text:
            edits += _codes_of_grants(text)
        return without_overlaps(edits), end


def _secret_start(text: bytes, begin: int, key: bytes) -> tuple[int, int]:
    """Return the start of the secret that a name stands for, or -1, and the position to continue
    from.
    """
    start = begin + len(key)
    if key[-1] not in _CLOSES_VALUE:
        after = content_end(text, key, start)
        if after < 0:
            return (start, start)
        return (-1, after)

    value = _paired_value(text, begin, key)
    if value < 0 and _may_have_adjacent_value(text, begin, key):
        return _adjacent_value(text, begin, key), start - 1

    return value, start - 1


def secrets_of(
    text: bytes, start: int, at: int, run: int, name: bytes, *, keeps_words: bool = False
) -> tuple[list[Edit], int, End]:
    """Find the secrets in the value at `start`, whose name is at `at`.

    Words may be kept under names of machine-made secrets, such as tokens.

    Returns:
        The edits, the end of the value, and the end of the text relative to it.
    """
    name = normalise(name)
    if _ICON.match(text, start) is not None:
        return [], start + 1, End.OUTSIDE
    if text[start : start + 1] in (b"{", b"["):
        return secrets_within(
            text, start, run, partial(_is_kept, name, _is_in_refusal(text, at, run), keeps_words)
        )

    stop, mark, end = measure(text, start, run)
    value = text[start:stop].strip(b"\\")
    if value[:1] == b'"':
        value = value[1:-1].rstrip(b"\\")
        is_kept = (
            is_folder(name, value)
            or is_fact(name, value)
            or is_sign(value)
            or (is_refusal(value) and _is_in_refusal(text, at, run))
        )
        is_kept = is_kept and end is End.OUTSIDE
    else:
        # More digits may follow after the cut.
        is_kept = value != b"" and is_number_kept(
            name, value if stop < len(text) else value + b"00"
        )

    return [] if is_kept or not mark else [Edit(start, stop, mark)], stop, end


def _is_kept(
    name: bytes,
    is_refused: bool,
    keeps_words: bool,
    member: bytes,
    outer: bytes,
    value: bytes,
    is_string: bool,
) -> bool:
    if is_string:
        if is_fact(name, value) or is_member_kept(member, outer, value, is_refused=is_refused):
            return True
        return (
            keeps_words
            and not member.lower().endswith(_VALUE_ENDINGS)
            and is_word_kept(name, value)
        )

    is_setting = value[:1].isdigit() and member and not member.lower().endswith(b"value")
    return value in KEPT or is_setting or is_number_kept(name, value)


def _codes_of_grants(text: bytes) -> list[Edit]:
    """Find codes in objects that request a token with them; `grant_type` may precede or follow."""
    edits: list[Edit] = []
    for code in _CODE.finditer(text):
        run = run_in(code.group())
        stop, mark, _ = measure(text, code.end(), run)
        low = max(0, code.start() - _NEAR_BYTES)
        before = deque(_GRANT_KEY.finditer(text, low, code.start()), 1)
        after = _GRANT_KEY.search(text, stop, stop + _NEAR_BYTES)

        is_near = bool(before) and _are_members(
            text[before[0].end() : code.start()].rstrip(b"\\"), run
        )
        if is_near or (
            after is not None and _are_members(text[stop : after.start()].rstrip(b"\\"), run)
        ):
            edits.append(Edit(code.end(), stop, mark, _CODE_RULE))

    return edits


def _is_in_refusal(text: bytes, at: int, run: int) -> bool:
    """True if the name at a position is in an object that describes validation errors."""
    before = text[max(0, at - _NEAR_BYTES) : at].rstrip(b"\\")
    keys = deque(_REFUSAL.finditer(before), _MAX_NEAR_MEMBERS)
    return any(
        run_in(found.group()) == run and _are_members(before[found.end() :], run, _ENTERED)
        for found in keys
    )


def _may_have_adjacent_value(text: bytes, begin: int, name: bytes) -> bool:
    """Return False if no key of a value is near. A cheap test, because texts may be full of
    names.
    """
    sign = b"input" if name[-1] == _CLOSES_ARRAY else b"lue"  # `value`, or a name in `…Value`.
    return text.find(sign, max(0, begin - _NEAR_BYTES), begin + len(name) + _NEAR_BYTES) >= 0


def _adjacent_value(text: bytes, begin: int, name: bytes) -> int:
    """Return the start of the value next to a string that is its name; -1 without one."""
    run = run_in(name)
    stop = begin + len(name) - 1
    low = max(0, begin - _NEAR_BYTES)
    before = text[low:begin]
    key = _VALUE_KEY

    if text[stop] == _CLOSES_ARRAY:
        stop += 1
        if (place := _IS_PLACE.search(before)) is None:
            return -1
        before = before[: place.start()]
        key = _INPUT_KEY
    elif _IS_MEMBER.search(before, max(0, len(before) - run - _MAX_BLANKS)) is None:
        return -1

    for found in islice(key.finditer(text, stop, stop + _NEAR_BYTES), _MAX_NEAR_MEMBERS):
        if run_in(found.group()) == run and _are_members(text[stop : found.start()], run):
            return found.end()
    for found in deque(key.finditer(before), _MAX_NEAR_MEMBERS):
        if run_in(found.group()) == run:
            end, _, where = measure(before, found.end(), run)
            if where is End.OUTSIDE and _are_members(before[end:].rstrip(b"\\"), run):
                return low + found.end()

    return -1


def _paired_value(text: bytes, begin: int, name: bytes) -> int:
    """Return the start of the value after a name in a list: a pair, or raw headers; -1
    without one.
    """
    run = run_in(name)
    stop = begin + len(name)
    before = text[max(0, begin - _LIST_BYTES) : begin - run]
    if name[-1] != _COMMA or (before[-1:] not in b"[ \t\r\nnrt" and before.find(b"aw") < 0):
        return -1

    blanks = _IS_STRING.match(text, stop)
    if blanks is None:
        return -1

    start = blanks.end() - 1 - run
    if _IN_PAIR.search(before, max(0, len(before) - _MAX_BLANKS)) is not None:
        end, _, where = measure(text, start, run)
        if where is not End.OUTSIDE or _CLOSES_LIST.match(text, end) is not None:
            return start
        return -1

    keys = deque(_RAW.finditer(before), 1)
    if keys and _are_members(before[keys[0].end() :], run, _PAIRS):
        return start

    return -1


def _are_members(text: bytes, run: int, members: re.Pattern[bytes] = _MEMBERS) -> bool:
    """True if a text stays in its object: it closes no outer object and leaves no inner one open.

    `run` is the number of backslashes in front of its quotes.
    """
    while run:
        text = _ESCAPED.sub(rb"\1", text)
        run //= 2
    return members.fullmatch(text) is not None
