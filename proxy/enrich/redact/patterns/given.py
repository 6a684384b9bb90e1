"""Secrets that words of a text give to a name: an element of markup, an option of a command, a
constant of PHP.

`name = value` is in `assigned.py`. What stands directly before the name and behind it says which of
them it may be.
"""

import re
from typing import Final, NamedTuple

from proxy.enrich.redact.checks import is_no_word
from proxy.enrich.redact.edits import MARK, Edit, rule_of_name
from proxy.enrich.redact.names import SecretNames, normalise
from proxy.enrich.redact.patterns.assigned import MNEMONIC, PHRASES
from proxy.enrich.redact.patterns.views import SPACE

_NAME_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
_MAX_NAME_BYTES: Final = 64
_NEAR_BYTES: Final = 32
_VALUE_BYTES: Final = 2048
"""In which a value ends that is judged."""
_MARKUP: Final = re.compile(rb"[<>&]")
_REST: Final = re.compile(rb"[A-Za-z0-9_.-]{0,64}")
_WORD: Final = rb"([A-Za-z0-9._~/=!@#$^-]{6,})"
_QUOTE: Final = rb"(?:&quot;|&#34;|&#x22;)"
_ELEMENT_VALUE: Final = rb"([^<>&\s\[][^<>&]{5,})(?:</|&|\Z)"


def _spaced(pattern: bytes) -> re.Pattern[bytes]:
    """Compile a pattern in which `B` is a blank, without regard to case."""
    return re.compile(b"(?i)" + pattern.replace(b"B", SPACE))


class _Giving(NamedTuple):
    """One way to give a name a value: what stands before the name and behind it, with the value as
    its group.
    """

    before: re.Pattern[bytes]
    after: re.Pattern[bytes]
    may_be_word: bool


_ELEMENT: Final = _Giving(
    re.compile(rb"<(?:[A-Za-z0-9_.-]{1,32}:)?\Z"),
    re.compile(rb"(?:\s[^<>]*)?>" + _ELEMENT_VALUE),
    False,
)
"""Markup before a secret, wherever it stands in a text."""
_QUOTED: Final = _Giving(
    re.compile(b""), re.compile(rb"%b\s*:\s*%b%b" % (_QUOTE, _QUOTE, _ELEMENT_VALUE)), False
)
"""JSON in markup."""
_OPTION_SIGN: Final = rb"""(?:B+["']?|["'],B*["'])"""
_OPTION: Final = _Giving(
    _spaced(rb"""(?:B|["'])\Z"""), _spaced(_OPTION_SIGN + _WORD), may_be_word=True
)
"""Of a command, before what may be a word."""
_PHRASE: Final = _spaced(_OPTION_SIGN + b"(%b)" % MNEMONIC.pattern)
"""Of an option, as it is quoted or not."""
_VARIABLE: Final = _Giving(
    _spaced(rb"\b(?:env|setx|set -[a-z]+)B+\Z"), _spaced(rb"B+" + _WORD), may_be_word=True
)
_CONSTANT: Final = _Giving(
    _spaced(rb"""\bdefine\(B*["']\Z"""),
    _spaced(rb"""["']B*,B*["']([^\r\n"'\\\[]{64,}|[^\s"'\\\[]{4,})"""),
    may_be_word=True,
)
"""Of PHP; those of WordPress have keys of 64 bytes."""
_BY_FIRST: Final = {
    **dict.fromkeys(b"<:", _ELEMENT),
    **dict.fromkeys(b" \t\r\n+", _VARIABLE),
    **dict.fromkeys(b"\"'", _CONSTANT),
}
"""By what stands before a name."""
_AMPERSAND: Final = 0x26
_HYPHEN: Final = 0x2D
_OWN: Final = (b"cookie", b"cookies", b"session")
"""What is given to these has names of its own."""


def given_at(text: bytes, start: int, stop: int, names: SecretNames) -> Edit | None:
    """Return what is taken out that is given to the name of which a part stands at a place; None
    where nothing is.
    """
    rest = _REST.match(text, stop)
    assert rest is not None
    stop = rest.end()
    before = text[max(0, start - _MAX_NAME_BYTES) : start]
    start -= len(before) - len(before.rstrip(_NAME_BYTES))
    giving = _giving(text, start, stop)
    if giving is None:
        return None

    if giving is _OPTION and normalise(text[start:stop]).endswith(PHRASES):
        words = _PHRASE.match(text, stop)
        if words is None:
            return None
        return Edit(*words.span(1), MARK, rule_of_name(text[start:stop].lstrip(b"-")))

    limit = stop + _VALUE_BYTES
    after = giving.after.match(text, stop, limit)
    if after is None or giving.before.search(text, max(0, start - _NEAR_BYTES), start) is None:
        return None

    name = text[start:stop].lstrip(b"-")
    if not names.has(name) or name.lower().endswith(_OWN):
        return None

    begin, end = after.span(1)
    if giving.may_be_word:
        return Edit(begin, end, MARK, rule_of_name(name)) if is_no_word(text[begin:end]) else None
    if after.end() == end < limit:
        return None

    if end == limit:
        # The value goes on beyond what was looked at, to the markup that ends it.
        markup = _MARKUP.search(text, end)
        end = len(text) if markup is None else markup.start()
        if not text.startswith((b"</", b"&"), end):
            return None

    return Edit(begin, end, MARK, rule_of_name(name))


def _giving(text: bytes, start: int, stop: int) -> _Giving | None:
    """Return how a name may be given a value, by what stands around it."""
    if stop == len(text):
        return None
    if text[stop] == _AMPERSAND:
        return _QUOTED
    if start == 0:
        return None
    if text[start] == _HYPHEN:
        return _OPTION

    return _BY_FIRST.get(text[start - 1])
