r"""Find secrets by their looks, in what a text says, and take them out of it.

Strategy: one google-re2 pattern over all kinds, linear in the text and quick to say no, which reads the usual escapes
as what they stand for. Only where it hits is the text searched itself, and each view of it (`views.py`); what is found
there goes where it stands in the text as it was sent, so that all else stays byte for byte.

Invariant: redacting twice changes nothing.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final
from urllib.parse import unquote_to_bytes

from proxy.enrich.formats.linear_patterns import compile_bytes, held_by
from proxy.enrich.redact.json_values import MARK, MAX_HITS, Edit, apart, edited
from proxy.enrich.redact.names import DECODE_ROUNDS
from proxy.enrich.redact.octets import AMPERSAND, BACKSLASH, PERCENT, SEMICOLON
from proxy.enrich.redact.patterns import assigned, numbers, tokens
from proxy.enrich.redact.patterns.views import SPACE, Span, View, has_escapes

_BLANKS: Final = rb"(?:\s|\\+[nrt])*"
_MEMBER: Final = re.compile(
    rb"""(?:[{,]|%%(?:25)*(?:2[cC]|7[bB])|\A)%b(\\*"|%%(?:25)*22)[^"\\%%]{0,64}\1%b(?::|%%(?:25)*3[aA])%b(?:\[(?:[^\[\]{}"]|"[^"\\]*")*)?\Z"""
    % (_BLANKS, _BLANKS, _BLANKS)
)
_ITEM_BYTES: Final = 64
_ITEM: Final = re.compile(rb"[\[,]\s*\Z")
_ITEM_ENDS: Final = re.compile(rb"\s*[,\]]")
_VALUE_ENDS: Final = re.compile(rb'\s*(?:[,}\]%\\"]|\Z)')
_MEMBER_BYTES: Final = 512


def mark_of(text: bytes, start: int, stop: int, mark: bytes) -> bytes:
    """Return what stands in for a secret: a string where it is a bare value of JSON, however deep, which stays so."""
    member = _MEMBER.search(text, max(0, start - _MEMBER_BYTES), start)
    if member is not None and _VALUE_ENDS.match(text, stop) is not None:
        return member[1] + mark + member[1]
    if _ITEM.search(text, max(0, start - _ITEM_BYTES), start) is None or _ITEM_ENDS.match(text, stop) is None:
        return mark
    is_in_string = (text.count(b'"', 0, start) - text.count(b'\\"', 0, start)) % 2
    return mark if is_in_string else b'"%b"' % mark


MIN_BYTES: Final = 13
"""The shortest thing any pattern finds is as long."""
_MAX_VIEWS: Final = 6
"""What nests deeper is read by no program we know."""
_MAX_CANDIDATES: Final = 20_000
"""That only begin like secrets, 8 us each."""
_COUNT: Final = re.compile(rb"\{(\d+)(?:,\d*)?\}")
_COARSE_COUNT: Final = 8
_BOUNDARY: Final = rb"(?:\b|\\[nrtbf]|u[0-9a-fA-F]{4}|%[0-9a-fA-F]{2})"
_BLANK: Final = rb"(?:[\s+]|\\+[nrt]|\\+u00(?:09|0[adAD]|20)|%(?:25)*(?:09|0[adAD]|20))"


def _unread(pattern: bytes) -> bytes:
    """Return a pattern for text whose escapes are not read: they end words, and are blanks."""
    return pattern.replace(rb"\b", _BOUNDARY).replace(SPACE, _BLANK).replace(rb"[ \t]", rb"(?:[ \t+]|\\+t|%(?:25)*20)")


def _coarse(pattern: bytes) -> bytes:
    """Count no further than to eight: an automaton that counts further has too many states to keep.

    Text that brings it into many of them would then be searched without one, at 1.2 ms a KiB.
    """
    return _COUNT.sub(lambda found: b"{8,}" if int(found[1]) > _COARSE_COUNT else found[0], pattern)


_TOKENS: Final = b"|".join(tokens.KINDS)
_COARSE: Final = b"|".join((_unread(_coarse(b"|".join((_TOKENS, assigned.COARSE)))), _unread(numbers.COARSE)))
ESCAPED: Final = rb"\\u00(?:2[03dDeE]|3[0-9aAfF]|[46][0-9a-fA-F]|[57][0-9aA]|5[fF]|7[eE])"
"""Escaped characters of tokens and URLs, which JSON does not require to be escaped."""
_USUAL: Final = {
    b"\\u0026": b"&", b"\\u0027": b"'", b"\\u002b": b"+", b"\\u002B": b"+", b"\\u002f": b"/", b"\\u002F": b"/",
    b"\\u003d": b"=", b"\\u003D": b"=", b"&amp;": b"&", b"&quot;": b'"', b"&apos;": b"'", b"&#39;": b"'",
    b"&#34;": b'"', b"&lt;": b"<", b"&gt;": b">",
}  # fmt: skip
"""What Go, .NET, Gson and others escape in each JSON they write, and others in markup."""
_has_usual: Final = held_by(
    compile_bytes(b"|".join((rb"\\/|%(?:25)*[02-7][0-9a-fA-F]", *(re.escape(text) for text in _USUAL))))
)
_CONTROL: Final = re.compile(rb"\\+(?:[nrtbf]|u00[01][0-9a-fA-F])")
_MAX_BACKSLASHES: Final = 7
"""Before a slash: JSON within a string of JSON within another has so many."""
_FOUND: Final = compile_bytes(_COARSE)
_BEHIND_LENGTH: Final = compile_bytes(b"[0-9A-Za-z](?:%b)" % _coarse(b"|".join(tokens.KINDS)).replace(rb"\b", b""))
_EXACT_TOKENS: Final = re.compile(_TOKENS)
_MAX_STATE_BYTES: Final = 1 << 21
"""For the states of one own pattern."""
Look = Callable[[bytes], bool]


class SecretPatterns:
    """Finds secrets of the built-in kinds and of further ones. Pure and reusable; compiled once."""

    __slots__ = ("_may_hold", "_own", "coarse", "min_bytes")

    def __init__(self, own: Iterable[str] = ()) -> None:
        """Find what `own` regular expressions match, as google-re2 reads them, or the first group of each, too."""
        self._own = [compile_bytes(regex.encode(), _MAX_STATE_BYTES) for regex in own]
        self.coarse: Final = b"|".join((_COARSE, *(b"(?:%b)" % own.pattern for own in self._own)))
        """All kinds, for a pre-filter together with others; how long a token is, is looked at where one was found."""
        self.min_bytes: Final = 1 if self._own else MIN_BYTES
        self._may_hold = self.behind_escapes(held_by(compile_bytes(self.coarse + b"|" + ESCAPED)))

    def behind_escapes(self, may_hold: Look) -> Look:
        """Pre-filter a text, and its form without the usual escapes, where it has some."""
        has_own = bool(self._own)

        def look(text: bytes) -> bool:
            if may_hold(text):
                return True
            if BACKSLASH not in text and PERCENT not in text and (AMPERSAND not in text or SEMICOLON not in text):
                return False  # here, as a call takes 0.06 us
            if has_own:
                text = _CONTROL.sub(b"\n", text)
                return may_hold(_without_usual_escapes(text))
            return _has_usual(text) and may_hold(_without_usual_escapes(text))

        return look

    def redact(self, text: bytes) -> bytes:
        """Replace what looks like a secret; the same object comes back when nothing does."""
        if len(text) < self.min_bytes or not self._may_hold(text):  # 0.7 us less for nearly all (bench/micro, redact)
            return text
        return edited(text, self.find(text))

    def redact_octets(self, data: bytes) -> bytes:
        """Redact what is no text: a letter or digit before a secret may be its length (protobuf, MessagePack, CBOR)."""
        edits = self.find(data)
        stop = 0
        for candidate in islice(_BEHIND_LENGTH.finditer(data), MAX_HITS):
            if (start := candidate.start() + 1) < stop:
                continue
            token = _EXACT_TOKENS.match(memoryview(data)[start:])
            if token is not None and (span := tokens.secret_in(token.group())) is not None:
                stop = start + span[1]
                edits.append((start + span[0], stop, MARK))
        return edited(data, apart(edits))

    def find(self, text: bytes) -> list[Edit]:
        """Find secrets in what a text says: where each starts and stops, and what stands in for it, in order."""
        edits: list[Edit] = []
        views: list[View] = []
        plain = text
        while True:
            for (start, stop), mark in self._search(plain):
                for view in reversed(views):
                    start, stop = view.place(start), view.place(stop)
                edits.append((start, stop, mark_of(text, start, stop, mark)))
            if not has_escapes(plain) or (view := View(plain)).text is plain or len(views) == _MAX_VIEWS:
                return apart(edits)
            views.append(view)
            plain = view.text

    def _search(self, text: bytes) -> Iterator[tuple[Span, bytes]]:
        """Yield secrets of a text as it is, and what stands in for each.

        After `MAX_HITS` of them, or so many candidates, the rest of the text counts as one.
        """
        position = candidates = hits = 0
        while (candidate := _FOUND.search(text, position)) is not None:
            candidates += 1
            start = candidate.start()
            if hits >= MAX_HITS or candidates > _MAX_CANDIDATES:
                yield (start, len(text)), MARK
                break
            position, span, mark = _examined(text, start)
            if span is not None:
                hits += 1
                yield span, mark
        for pattern in self._own:
            group = min(pattern.groups, 1)
            for number, found in enumerate(pattern.finditer(text)):
                if number >= MAX_HITS:
                    yield (found.start(), len(text)), MARK
                    break
                if found.start(group) < found.end(group):
                    yield found.span(group), MARK


def _examined(text: bytes, start: int) -> tuple[int, Span | None, bytes]:
    """Return where to go on, the secret that begins at a candidate, and what stands in for it."""
    if (token := _EXACT_TOKENS.match(text, start)) is not None:
        span = tokens.secret_in(token.group())
        return max(token.end(), start + 1), span and (start + span[0], start + span[1]), MARK
    if (number := numbers.EXACT.match(text, start)) is not None:
        span = numbers.secret_in(text, number)
        return start + 1 if span is None else span[1], span, MARK
    if (name := assigned.EXACT.match(text, start)) is not None:
        span = assigned.secret_in(text, name)
        return name.end() if span is None else span[1], span, MARK
    return start + 1, None, MARK


def _without_usual_escapes(text: bytes) -> bytes:
    """Return text without the escapes that many write."""
    for escape, plain in _USUAL.items():
        text = text.replace(escape, plain)
    if PERCENT in text and b" " not in text:
        text = text.replace(b"+", b" ")
    for _ in range(DECODE_ROUNDS):
        if PERCENT not in text:
            break
        text = unquote_to_bytes(text)
    for _ in range(_MAX_BACKSLASHES):
        if text.find(b"\\/") < 0:
            break
        text = text.replace(b"\\/", b"/")
    return text
