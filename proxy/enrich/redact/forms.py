"""Expressions of rules: match the text around a literal and return the bounds of the secret.

An expression is compiled when its literal is first seen; most never are. `re` takes linear time
over the built-in expressions, which a test verifies. The user's own ones run on google-re2, which
is linear for any expression.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.redact.checks import AFTER_LITERAL, CHECKS, is_random
from proxy.enrich.redact.patterns.escaped import ENDS_WORD
from proxy.enrich.redact.rule import Rule, is_built_in

TOKEN_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=%-"
"""Characters of tokens; any other character ends a token."""
_WORD_BYTES: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_UNDERSCORE: Final = 0x5F
_UNDERSCORES: Final = frozenset((_UNDERSCORE,))
WITHIN_WORD: Final = _WORD_BYTES - {_UNDERSCORE}
"""A word cannot begin after one of these bytes."""
_ESCAPE: Final = re.compile(ENDS_WORD + rb"\Z")
_ESCAPE_BYTES: Final = 10
_SIGN: Final = re.compile(rb"(?:[+/\r\n-]|\\[nr])\Z")
USUAL_BYTES: Final = 1024
"""A longer match is repeated without a limit, so that a text full of literals does not cost
more.
"""
_GROWS_BY: Final = 4
MAX_STATE_BYTES: Final = 1 << 21
"""Memory for the states of one of the user's expressions."""


def _may_match(text: bytes, at: int, stop: int) -> object:
    """Return True: an expression with text before its literal has no quick answer."""
    return True


class Form:
    """A rule with its expression, compiled when its literal is first seen."""

    __slots__ = (
        "_before", "_check", "_every", "_group", "_is_own", "_literals", "_pattern", "_regex", "_whole", "id",
        "is_costly", "is_token", "is_within", "prefilter",
    )  # fmt: skip

    def __init__(self, rule: Rule) -> None:
        self.id: Final = rule.id
        self._before: Final = rule.before
        self.is_within: Final = rule.before > 0
        self.is_token: Final = not rule.before and not rule.group
        self._is_own: Final = not is_built_in(rule)
        self.is_costly: Final = self.is_within or self._is_own
        """True if `look` cannot rule out a match quickly."""
        # For a rule that begins before its literal, group 1 is the whole match: see `_compiled`.
        self._whole: Final = 1 if rule.before and not self._is_own else 0
        self._group: Final = self._whole + rule.group
        self._check: Final = CHECKS[rule.check] if rule.check else None
        literals = sorted((literal.encode() for literal in rule.literals), key=len, reverse=True)
        self._every: Final = tuple(literals)
        self._literals: Final = self._every if rule.check in AFTER_LITERAL else ()
        self._regex: Final = rule.regex.encode()
        self._pattern: re.Pattern[bytes] | None = None
        self.prefilter: Callable[[bytes, int, int], object] = self._first_prefilter
        """Returns None if nothing can match at a position; reads up to `USUAL_BYTES` of the
        text.
        """

    def _first_prefilter(self, text: bytes, at: int, stop: int) -> object:
        if self._before or self._is_own:
            self.prefilter = _may_match
        else:
            self.prefilter = self._compiled().match
        return self.prefilter(text, at, stop)

    def begins_word(self, literal: bytes) -> bool:
        """True if matches begin with the literal and the literal begins a word."""
        return not self._before and literal[0] in _WORD_BYTES

    def match(self, text: bytes, at: int, *, is_octets: bool) -> tuple[int, int, bool] | None:
        """Match around the literal at a position.

        Returns:
            Start and end of the secret, and True if it passes its check; None without a match.
        """
        # Nearly all literals that do not begin a secret stand within a word.
        if not self._before and at and not self._may_begin(text, at, is_octets):
            return None
        if self._is_own:
            found = self._longest_own(text, at)
        else:
            found = self._longest(text, at)
        if found is None:
            return None

        return self._judged(text, found, self._whole, is_octets=is_octets)

    def search(self, text: bytes, at: int, *, is_octets: bool) -> Iterator[tuple[int, int]]:
        """Yield the bounds of the secrets from a literal's position on, in one pass of google-re2.

        For a text full of one literal this is faster than a match for each.
        """
        pattern = compile_bytes(self._regex, MAX_STATE_BYTES)
        for found in pattern.finditer(text, max(0, at - self._before)):
            begin, end = found.span()
            if self._before:
                has_literal = any(text.find(each, begin, end) >= 0 for each in self._every)
            else:
                has_literal = text.startswith(self._every, begin, end)
            if has_literal:
                judged = self._judged(text, found, 0, is_octets=is_octets)
            else:
                judged = None
            if judged is not None and judged[2]:
                yield judged[:2]

    def _judged(
        self, text: bytes, found: re.Match[bytes], whole: int, *, is_octets: bool
    ) -> tuple[int, int, bool] | None:
        """Check a match; group `whole` is all of it."""
        start, stop = found.span(self._group - self._whole + whole)
        begin = found.start(whole)
        within = _WORD_BYTES if is_octets else _UNDERSCORES
        if begin and not self._may_begin(text, begin, is_octets):
            return None

        secret = text[start:stop]
        is_within_name = begin > 0 and text[begin - 1] in within and text[begin] in _WORD_BYTES
        return (
            start,
            stop,
            secret != b"" and self._is_sound(secret) and (not is_within_name or is_random(secret)),
        )

    def _compiled(self) -> re.Pattern[bytes]:
        if self._pattern is not None:
            return self._pattern
        if self._is_own:
            self._pattern = compile_bytes(self._regex, MAX_STATE_BYTES)
        elif self._before:
            # A search would go on after the literal, over the rest of the text.
            self._pattern = re.compile(rb"(?s:.{0,%d}?)(%b)" % (self._before, self._regex))
        else:
            self._pattern = re.compile(self._regex)
        return self._pattern

    def _longest(self, text: bytes, at: int) -> re.Match[bytes] | None:
        stop = at + USUAL_BYTES
        found = self._around(text, at, stop)
        if found is not None and found.end() == stop:
            return self._around(text, at, len(text))
        return found

    def _longest_own(self, text: bytes, at: int) -> re.Match[bytes] | None:
        """Match an expression that may need the end of the text, in windows that grow.

        Otherwise each literal would read the whole text. A match that ends at a window's edge
        counts, if the larger window has none.
        """
        size = USUAL_BYTES
        found = self._around(text, at, at + size)
        while found is not None and found.end() == at + size < len(text):
            size *= _GROWS_BY
            found = self._around(text, at, at + size) or found
        return found

    def _is_sound(self, secret: bytes) -> bool:
        if self._check is None:
            return True
        literal = next(filter(secret.startswith, self._literals), b"")
        return self._check(secret[len(literal) :])

    def begins_behind_sign(self, run: bytes, at: int) -> bool:
        """True if a secret begins within a run of base64, after one of its signs, at the literal's
        position.
        """
        if at == 0 or not (self.is_within or _SIGN.search(run, max(0, at - 2), at) is not None):
            return False
        found = self.match(run, at, is_octets=True)
        return found is not None and found[2] and found[0] > 0

    def _around(self, text: bytes, at: int, stop: int) -> re.Match[bytes] | None:
        pattern = self._compiled()
        if not self._before:
            return pattern.match(text, at, stop)
        begin = max(0, at - self._before)
        if self._is_own:
            found = pattern.search(text, begin, stop)
        else:
            found = pattern.match(text, begin, stop)
        if found is not None and found.start(self._whole) <= at < found.end():
            return found
        return None

    def _may_begin(self, text: bytes, at: int, is_octets: bool) -> bool:
        """True if a match may begin at a position after a byte of another word.

        That word must end there, for example with an escape. Expressions with a group read the
        escapes around the words before a secret themselves.
        """
        before = text[at - 1]
        if (
            before not in _WORD_BYTES
            or before == _UNDERSCORE
            or is_octets
            or text[at] not in _WORD_BYTES
        ):
            return True

        return (
            self._group == self._whole
            and _ESCAPE.search(text, max(0, at - _ESCAPE_BYTES), at) is not None
        )
