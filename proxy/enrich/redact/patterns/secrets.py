"""Find and redact secrets by their format, in a text and in its decoded forms.

Strategy: one pass finds the literals of all rules and the anchors of names (`scanner.py`), and the
rules are matched around them. Card and account numbers have no literal; a sample of the text shows
if it may contain any. A text with escapes is searched once more, after quick decoding. Only if one
of these searches hits, views are made (`views.py`), which map positions back: a secret is replaced
at its position in the original text, and all other bytes stay as they are.

Invariant: redacting twice changes nothing.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.redact.edits import MARK, NAME, Edit, Hits, edited, without_overlaps
from proxy.enrich.redact.forms import MAX_STATE_BYTES
from proxy.enrich.redact.names import BUILT_IN, SecretNames, normalise
from proxy.enrich.redact.naming.anchors import anchors_of
from proxy.enrich.redact.patterns import numbers
from proxy.enrich.redact.patterns.assigned import assigned_at, may_be_assigned
from proxy.enrich.redact.patterns.given import given_at
from proxy.enrich.redact.patterns.quick_decoding import around, quickly_decoded
from proxy.enrich.redact.patterns.views import View, has_escapes
from proxy.enrich.redact.rule import Rule, built_in_rules, is_built_in
from proxy.enrich.redact.scanner import Scanner

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


def in_place(text: bytes, found: Iterable[Edit]) -> Iterator[Edit]:
    """Yield edits in order, with quotes around a replacement for a bare JSON value, so that JSON
    stays JSON.
    """
    at = 0
    quotes = 0
    for edit in sorted(found):
        start, stop, mark, rule = edit
        member = _MEMBER.search(text, max(0, start - _MEMBER_BYTES), start)
        if member is not None and _VALUE_ENDS.match(text, stop) is not None:
            yield Edit(start, stop, member[1] + mark + member[1], rule)
        elif (
            _ITEM.search(text, max(0, start - _ITEM_BYTES), start) is None
            or _ITEM_ENDS.match(text, stop) is None
        ):
            yield edit
        else:
            quotes += text.count(b'"', at, start) - text.count(b'\\"', at, start)
            at = start
            yield edit if quotes % 2 else Edit(start, stop, b'"%b"' % mark, rule)


MIN_BYTES: Final = 13
"""Length of the shortest secret that a built-in rule finds."""
_MAX_VIEWS: Final = 6
"""No program we know decodes deeper nesting."""
_MAX_READINGS: Final = 4
_NEAR_BYTES: Final = 128
_ANCHORS: Final = ("^", "$", r"\A", r"\z")
"""Anchors in the user's expressions, for the beginning or end of a text."""
_BETWEEN: Final = b"=: \t\"'"
"""Bytes that may separate a name and its value."""


class SecretPatterns:
    """Finds secrets by format: by rules, by assignment to names, as numbers, and by the user's
    patterns.

    Reusable. Not thread-safe.
    """

    __slots__ = (
        "_disabled",
        "_excepted",
        "_has_anchors",
        "_members",
        "_names",
        "_own",
        "hits",
        "min_bytes",
        "scanner",
    )

    def __init__(
        self,
        own: Iterable[str] = (),
        rules: Iterable[Rule] | None = None,
        disabled: Collection[str] = (),
        hits: Hits | None = None,
        names: SecretNames | None = None,
    ) -> None:
        """Compile the rules, and `own` regular expressions in the syntax of google-re2.

        Args:
            own: Expressions; group 1 is redacted, or the whole match without a group.
            rules: Rules that recognise secrets by format; default: the built-in ones.
            disabled: Ids of rules that are not applied.
            hits: Counts redacted secrets by rule.
            names: Secret names, to which a text may assign a value.
        """
        every = built_in_rules() if rules is None else rules
        counting = [rule for rule in every if rule.id not in disabled]
        self._names: Final = names or SecretNames(BUILT_IN)
        self.scanner: Final = Scanner(counting, anchors_of(self._names.spelled), self._may_name)
        self._disabled: Final = frozenset(disabled)
        self._excepted: Final = self._names.excepted.union(
            normalise(rule.removeprefix(NAME).encode())
            for rule in disabled
            if rule.startswith(NAME)
        )
        self._members: Final = tuple(name for name in self._excepted if name.endswith(b"]"))
        own = tuple(own)
        self._own = [compile_bytes(regex.encode(), MAX_STATE_BYTES) for regex in own]
        regexes = (*own, *(rule.regex for rule in counting if not is_built_in(rule)))
        self._has_anchors: Final = any(anchor in regex for regex in regexes for anchor in _ANCHORS)
        self.hits: Final = hits
        self.min_bytes: Final = 1 if self._own else _min_bytes(counting)

    def _may_name(self, word: bytes) -> bool:
        return self._names.has(word) or may_be_assigned(word)

    def may_hold(self, text: bytes) -> bool:
        """Return False if a text certainly has no secret, even after decoding; fast."""
        if next(self._search(text), None) is not None:
            return True
        if not has_escapes(text):
            return False

        if not self._own:
            text = around(text, self.scanner.candidates(text))
        for _ in range(_MAX_READINGS):
            said = quickly_decoded(text)
            if said == text:
                return False
            text = said
            if next(self._search(text), None) is not None:
                return True

        return False

    def may_hold_any(self, texts: bytes) -> bool:
        """Return False if none of several texts has a secret. Lines separate the texts."""
        return self._has_anchors or self.may_hold(texts)

    def redact(self, text: bytes) -> bytes:
        """Replace secrets; return the same object if nothing changes."""
        if len(text) < self.min_bytes or not self.may_hold(text):
            return text
        return edited(text, self.find(text), self.hits)

    def redact_octets(self, data: bytes) -> bytes:
        """Redact binary data, where a letter or digit before a secret may be its length (protobuf,
        MessagePack, CBOR).
        """
        edits = self.find(data) if self.may_hold(data) else []
        edits += self.scanner.forms(data, is_octets=True)
        return edited(data, without_overlaps(edits), self.hits)

    def find(self, text: bytes) -> list[Edit]:
        """Return the edits for the secrets in a text and in its decoded forms, in order."""
        edits: list[Edit] = []
        views: list[View] = []
        plain = text

        while True:
            for start, stop, mark, rule in self._search(plain):
                for view in reversed(views):
                    start = view.place(start)
                    stop = view.place(stop)
                edits.append(Edit(start, stop, mark, rule))

            if (
                not has_escapes(plain)
                or (view := View(plain)).text is plain
                or len(views) == _MAX_VIEWS
            ):
                return without_overlaps(list(in_place(text, edits)))

            views.append(view)
            plain = view.text

    def _search(self, text: bytes) -> Iterator[Edit]:
        """Yield the secrets of a text without decoding, in any order."""
        if self.scanner.has_hits(text):
            yield from self.scanner.forms(text)
            yield from self._assigned(text)
        yield from numbers.secrets_in(text, self._disabled)
        for place, pattern in enumerate(self._own, 1):
            yield from _own_secrets(text, pattern, f"pattern-{place}")

    def _assigned(self, text: bytes) -> Iterator[Edit]:
        """Yield the values that a text assigns to secret names."""
        taken = 0
        for start, stop in self.scanner.names(text):
            if start < taken:
                continue
            found = assigned_at(text, start, stop) or given_at(text, start, stop, self._names)
            if found is None or self._is_excepted(text, found):
                continue

            yield found
            taken = found.stop

    def _is_excepted(self, text: bytes, edit: Edit) -> bool:
        """True if a value assigned to a name stays, because its rule is disabled or its name
        excepted.

        Excepted names may include their parent (`user[password]`), so the bytes before the value
        are compared, too.
        """
        if not edit.rule.startswith(NAME):
            return edit.rule in self._disabled
        name = edit.rule.removeprefix(NAME).encode()
        if not self._excepted.isdisjoint((normalise(name), normalise(name.rpartition(b".")[2]))):
            return True

        if self._members:
            before = text[max(0, edit.start - _NEAR_BYTES) : edit.start]
        else:
            before = b""
        return normalise(before.rstrip(_BETWEEN)).endswith(self._members)


def _min_bytes(rules: Iterable[Rule]) -> int:
    """Return the minimum length of a secret. For the user's rules it is the length of the shortest
    literal.
    """
    return min(
        (len(literal) for rule in rules if not is_built_in(rule) for literal in rule.literals),
        default=MIN_BYTES,
    )


def _own_secrets(text: bytes, pattern: re.Pattern[bytes], rule: str) -> Iterator[Edit]:
    group = min(pattern.groups, 1)
    for match in pattern.finditer(text):
        if match.start(group) < match.end(group):
            yield Edit(*match.span(group), MARK, rule)
