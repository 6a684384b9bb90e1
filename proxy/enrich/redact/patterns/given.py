"""Find secrets that other syntax assigns to a name: a markup element, a command option, a PHP
constant.

`name = value` is in `assigned.py`. The bytes directly around the name decide which syntax it may
be.
"""

import re
from typing import Final, NamedTuple

from proxy.enrich.redact.checks import is_long_or_has_digit
from proxy.enrich.redact.edits import MARK, Edit, rule_of_name
from proxy.enrich.redact.names import SecretNames, normalise
from proxy.enrich.redact.patterns.assigned import MNEMONIC, PHRASES
from proxy.enrich.redact.patterns.views import SPACE

_NAME_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
_MAX_NAME_BYTES: Final = 64
_NEAR_BYTES: Final = 32
_VALUE_BYTES: Final = 2048
"""Maximum distance after a name in which a judged value ends."""
_MARKUP: Final = re.compile(rb"[<>&]")
_REST: Final = re.compile(rb"[A-Za-z0-9_.-]{0,64}")
_WORD: Final = rb"([A-Za-z0-9._~/=!@#$^-]{6,})"
_QUOTE: Final = rb"(?:&quot;|&#34;|&#x22;)"
_ELEMENT_VALUE: Final = rb"([^<>&\s\[][^<>&]{5,})(?:</|&|\Z)"


def _spaced(pattern: bytes) -> re.Pattern[bytes]:
    """Compile a pattern in which `B` is a blank; case is ignored."""
    return re.compile(b"(?i)" + pattern.replace(b"B", SPACE))


class _Syntax(NamedTuple):
    """One syntax: the patterns in front of a name and after it. Group 1 of the latter is the
    value.
    """

    before: re.Pattern[bytes]
    after: re.Pattern[bytes]
    may_be_word: bool


_ELEMENT: Final = _Syntax(
    re.compile(rb"<(?:[A-Za-z0-9_.-]{1,32}:)?\Z"),
    re.compile(rb"(?:\s[^<>]*)?>" + _ELEMENT_VALUE),
    False,
)
"""The beginning of an element, anywhere in a text."""
_QUOTED: Final = _Syntax(
    re.compile(b""), re.compile(rb"%b\s*:\s*%b%b" % (_QUOTE, _QUOTE, _ELEMENT_VALUE)), False
)
"""JSON in markup."""
_OPTION_SIGN: Final = rb"""(?:B+["']?|["'],B*["'])"""
_OPTION: Final = _Syntax(
    _spaced(rb"""(?:B|["'])\Z"""), _spaced(_OPTION_SIGN + _WORD), may_be_word=True
)
"""A command option; its value may be a word."""
_PHRASE: Final = _spaced(_OPTION_SIGN + b"(%b)" % MNEMONIC.pattern)
"""The mnemonic phrase after an option, quoted or not."""
_VARIABLE: Final = _Syntax(
    _spaced(rb"\b(?:env|setx|set -[a-z]+)B+\Z"), _spaced(rb"B+" + _WORD), may_be_word=True
)
_CONSTANT: Final = _Syntax(
    _spaced(rb"""\bdefine\(B*["']\Z"""),
    _spaced(rb"""["']B*,B*["']([^\r\n"'\\\[]{64,}|[^\s"'\\\[]{4,})"""),
    may_be_word=True,
)
"""A PHP constant; the keys of WordPress have 64 bytes."""
_BY_FIRST: Final = {
    **dict.fromkeys(b"<:", _ELEMENT),
    **dict.fromkeys(b" \t\r\n+", _VARIABLE),
    **dict.fromkeys(b"\"'", _CONSTANT),
}
"""Syntax by the byte in front of the name."""
_AMPERSAND: Final = 0x26
_HYPHEN: Final = 0x2D
_OWN: Final = (b"cookie", b"cookies", b"session")
"""Names whose values have names of their own."""


def given_at(text: bytes, start: int, stop: int, names: SecretNames) -> Edit | None:
    """Return the edit for the value given to the name around `text[start:stop]`; None if it is not
    secret.
    """
    rest = _REST.match(text, stop)
    assert rest is not None
    stop = rest.end()
    before = text[max(0, start - _MAX_NAME_BYTES) : start]
    start -= len(before) - len(before.rstrip(_NAME_BYTES))
    syntax = _syntax_at(text, start, stop)
    if syntax is None:
        return None

    if syntax is _OPTION and normalise(text[start:stop]).endswith(PHRASES):
        words = _PHRASE.match(text, stop)
        if words is None:
            return None
        return Edit(*words.span(1), MARK, rule_of_name(text[start:stop].lstrip(b"-")))

    limit = stop + _VALUE_BYTES
    after = syntax.after.match(text, stop, limit)
    if after is None or syntax.before.search(text, max(0, start - _NEAR_BYTES), start) is None:
        return None

    name = text[start:stop].lstrip(b"-")
    if not names.has(name) or name.lower().endswith(_OWN):
        return None

    begin, end = after.span(1)
    if syntax.may_be_word:
        return (
            Edit(begin, end, MARK, rule_of_name(name))
            if is_long_or_has_digit(text[begin:end])
            else None
        )
    if after.end() == end < limit:
        return None

    if end == limit:
        # The value continues beyond the limit, up to the markup that ends it.
        markup = _MARKUP.search(text, end)
        end = len(text) if markup is None else markup.start()
        if not text.startswith((b"</", b"&"), end):
            return None

    return Edit(begin, end, MARK, rule_of_name(name))


def _syntax_at(text: bytes, start: int, stop: int) -> _Syntax | None:
    """Return the syntax that may assign a value to a name, by the bytes around it."""
    if stop == len(text):
        return None
    if text[stop] == _AMPERSAND:
        return _QUOTED
    if start == 0:
        return None
    if text[start] == _HYPHEN:
        return _OPTION

    return _BY_FIRST.get(text[start - 1])
