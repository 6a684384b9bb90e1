r"""Patterns of names in text: each finds at least what `SecretNames.has` knows, which has the last word.

Strategy: names as a whole, endings behind anything, and short words behind a separator or in a hump (`userPass`);
behind them, what says which of several it is (`TAILS`), and numbers. Separators may stand anywhere, case is ignored.
"""

import re
from typing import Final

from proxy.enrich.redact.names import TAILS, WORDS, SecretNames

_SEPARATOR: Final = b"[-_. ]*"
_ESCAPED: Final = rb"\\+u00[2-7][0-9a-f]"
_ESCAPE: Final = re.compile(rb"\\+u00([2-7][0-9a-fA-F])")
_TAILS: Final = b"(?:%b(?:%b|[0-9]))*" % (_SEPARATOR, "|".join(TAILS).encode())


def spelled(names: SecretNames, before: bytes) -> bytes:
    r"""Build the pattern of names, and of any in which a letter is escaped (`\u0070assword`)."""
    return rb'(?:%b|%b%b[^"\s]*)' % (spelled_plainly(names, before), before, _ESCAPED)


def spelled_plainly(names: SecretNames, before: bytes) -> bytes:
    """Build the pattern of names without escapes, with anything of `before` before endings."""
    kinds = [b"%b%b" % (_SEPARATOR, _any_of(frozenset(names)))] if set(names) else []
    plurals = frozenset(ending[:-1] for ending in names.endings if ending[:-1] in names.endings)
    singular = (ending for ending in names.endings if not {ending, ending[:-1]} & plurals)
    kinds += before + _any_of(frozenset(singular)), b"%b%b%bs?" % (before, _any_of(plurals), _SEPARATOR)
    for word in WORDS:
        hump = b"%b(?-i:[a-z0-9]%b)" % (before, word.title())
        kinds.append(b"(?:%b[-_.:0-9])?%b|%b" % (before, word, hump))
    return b"(?:%b)%b%b" % (b"|".join(kinds), _TAILS, _SEPARATOR)


def unescaped(name: bytes) -> bytes:
    """Read the escapes that `spelled` allows in a name."""
    return _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), name)


def _any_of(names: frozenset[bytes]) -> bytes:
    """Build the pattern of names, of which most end alike: what they share is written once, for a small automaton."""
    each = []
    for last in sorted({name[-1:] for name in names if name}):
        heads = frozenset(name[:-1] for name in names if name.endswith(last))
        before = b"" if heads == {b""} else _any_of(heads) + _SEPARATOR
        each.append((b"(?:%b)?" % before if before and b"" in heads else before) + _letter(last))
    return each[0] if len(each) == 1 else b"(?:%b)" % b"|".join(each)


def _letter(letter: bytes) -> bytes:
    return re.escape(letter) if letter.isascii() else b"\\x%02x" % letter[0]
