r"""What a rule looks for, around its literal: where a secret starts and stops.

An expression is compiled when its literal is first seen: most never are. Those of our files are
judged by a test, and `re` takes linear time over them; another one is matched by google-re2, which
does so whatever it says.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.redact.checks import BEHIND_LITERAL, CHECKS, is_random
from proxy.enrich.redact.patterns.escaped import ENDS_WORD
from proxy.enrich.redact.rule import Rule, is_built_in

TOKEN_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=%-"
"""What tokens are made of; anything else ends one."""
_WORD_BYTES: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_UNDERSCORE: Final = 0x5F
_UNDERSCORES: Final = frozenset((_UNDERSCORE,))
WITHIN_WORD: Final = _WORD_BYTES - {_UNDERSCORE}
"""Before what is no beginning of a word."""
_ESCAPE: Final = re.compile(ENDS_WORD + rb"\Z")
_ESCAPE_BYTES: Final = 10
_SIGN: Final = re.compile(rb"(?:[+/\r\n-]|\\[nr])\Z")
USUAL_BYTES: Final = 1024
"""A match that is longer is looked for again, without a limit: so that a text full of literals
costs no more.
"""
_GROWS_BY: Final = 4
MAX_STATE_BYTES: Final = 1 << 21
"""For the states of one expression of a user."""


def _may_match(text: bytes, at: int, stop: int) -> object:
    """Say nothing of what is matched before its literal, too."""
    return True


class Form:
    """A rule with its expression, once its literal was seen."""

    __slots__ = (
        "_before", "_check", "_every", "_group", "_is_own", "_literals", "_pattern", "_regex", "_whole", "id",
        "is_dear", "is_token", "is_within", "look",
    )  # fmt: skip

    def __init__(self, rule: Rule) -> None:
        self.id: Final = rule.id
        self._before: Final = rule.before
        self.is_within: Final = rule.before > 0
        self.is_token: Final = not rule.before and not rule.group
        self._is_own: Final = not is_built_in(rule)
        self.is_dear: Final = self.is_within or self._is_own
        """Whether a look does not say at once that nothing can match."""
        # Of what begins before its literal the whole is the first group: see `_compiled`.
        self._whole: Final = 1 if rule.before and not self._is_own else 0
        self._group: Final = self._whole + rule.group
        self._check: Final = CHECKS[rule.check] if rule.check else None
        literals = sorted((literal.encode() for literal in rule.literals), key=len, reverse=True)
        self._every: Final = tuple(literals)
        self._literals: Final = self._every if rule.check in BEHIND_LITERAL else ()
        self._regex: Final = rule.regex.encode()
        self._pattern: re.Pattern[bytes] | None = None
        self.look: Callable[[bytes, int, int], object] = self._first_look
        """Says None where nothing can match at a place of a text, of which `USUAL_BYTES` are looked
        at.
        """

    def _first_look(self, text: bytes, at: int, stop: int) -> object:
        if self._before or self._is_own:
            self.look = _may_match
        else:
            self.look = self._compiled().match
        return self.look(text, at, stop)

    def begins_word(self, literal: bytes) -> bool:
        """Whether a match begins with a literal, which begins a word."""
        return not self._before and literal[0] in _WORD_BYTES

    def match(self, text: bytes, at: int, *, is_octets: bool) -> tuple[int, int, bool] | None:
        """Match around the literal at a place: where the secret starts and stops, and whether it
        passes its check.
        """
        # Nearly all literals that are none of a secret's stand within a word.
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
        """Yield where secrets stand from the literal at a place on, in one pass of google-re2.

        A text may be full of a literal: each of them need not be looked around.
        """
        pattern = compile_bytes(self._regex, MAX_STATE_BYTES)
        for found in pattern.finditer(text, max(0, at - self._before)):
            begin, end = found.span()
            if self._before:
                has_literal = any(text.find(each, begin, end) >= 0 for each in self._every)
            else:
                has_literal = text.startswith(self._every, begin, end)
            judged = self._judged(text, found, 0, is_octets=is_octets) if has_literal else None
            if judged is not None and judged[2]:
                yield judged[:2]

    def _judged(
        self, text: bytes, found: re.Match[bytes], whole: int, *, is_octets: bool
    ) -> tuple[int, int, bool] | None:
        """Judge a match, of which one group is the whole."""
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
            # Not searched for: a search would go on behind the literal, over all that is looked at.
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
        """Match an expression that may want the end of the text: as far as it does, in growing
        steps.

        The whole text would be read for each literal in it. What matches up to where a step ends is
        taken out.
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
        """Whether one begins within a run of base64, where its literal is at a place: behind a sign
        of it.
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
        """Whether a match may begin at a place behind another: a word ends there, by an escape
        where nothing else is.

        Words before a secret are read with the escapes around them.
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
