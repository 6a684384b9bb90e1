"""Checks that a match of a rule must pass in addition to its expression, by the name used in
rules.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from typing import Final

from proxy.settings.redact_rules import Check as Name

_PART: Final = re.compile(rb"[A-Za-z0-9]+")
_WORD: Final = re.compile(rb"(?:[a-z]*|[A-Z]+|[A-Z]?[a-z]{2,}(?:[A-Z][a-z]{2,})*)[0-9]{0,4}|[0-9]+")
"""One word, in one case or in camel case, with up to four digits after it; or a number."""
_LONG_RUN: Final = re.compile(rb"[A-Za-z0-9]{16,}")
_BASE58: Final = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_CHANGE: Final = re.compile(rb"[a-z](?=[A-Z0-9])|[0-9](?=[A-Za-z])")
"""A change from a lower-case letter to a capital or digit, or from a digit to a letter. Hyphenated
words have few.
"""
_MIN_CHANGES: Final = 4
_UUID: Final = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LINE_ENDS: Final = re.compile(rb"\s|(?<!\\)\\+[nr]")
_MIN_RUN: Final = 16
_MIN_MIXED: Final = 3
_MIN_LONG: Final = 30


def is_random(token: bytes) -> bool:
    """True if a token looks like a generated key.

    It has a UUID, a run of at least 16 letters and digits that are not all letters, or at least
    three digits and three capitals.
    """
    runs = _PART.findall(token)
    if (
        any(len(run) >= _MIN_RUN and not run.isalpha() for run in runs)
        or _UUID.search(token) is not None
    ):
        return True

    letters = token.decode("latin-1")
    return min(sum(map(str.isdigit, letters)), sum(map(str.isupper, letters))) >= _MIN_MIXED


def is_generated(secret: bytes) -> bool:
    """True if a secret looks randomly generated.

    It has a UUID, a run of at least 16 letters and digits mixed, at least three digits and three
    capitals, or both cases in frequent alternation.
    """
    if any(not run.isalpha() and not run.isdigit() for run in _LONG_RUN.findall(secret)):
        return True
    if _UUID.search(secret) is not None:
        return True

    letters = secret.decode("latin-1")
    digits, capitals, small = (
        sum(map(kind, letters)) for kind in (str.isdigit, str.isupper, str.islower)
    )
    is_mixed = min(capitals, small) * 4 >= capitals + small and _changes(secret) >= _MIN_CHANGES
    return min(digits, capitals) >= _MIN_MIXED or is_mixed


def is_mixed(secret: bytes) -> bool:
    """True if letters and digits alternate more often than in hyphenated words."""
    return is_generated(secret) or _changes(secret) >= _MIN_CHANGES


def has_non_word(secret: bytes) -> bool:
    """True if a part of the secret is not a word. Placeholders and names consist of words only."""
    return any(_WORD.fullmatch(part) is None for part in _PART.findall(secret))


def _changes(secret: bytes) -> int:
    return len(_CHANGE.findall(secret))


def is_base58_check(secret: bytes) -> bool:
    """True if a base58 number ends with the checksum of the bytes before it, as Bitcoin keys do."""
    number = 0
    for byte in secret:
        number = number * 58 + _BASE58.index(byte)
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]


def holds_private_key(token: bytes) -> bool:
    """True if base64 text holds a private key in PEM. Certificates and public keys look alike (RFC
    7468).
    """
    plain = _LINE_ENDS.sub(b"", token).rstrip(b"=")
    return b"PRIVATE KEY-" in base64.b64decode(plain[: len(plain) // 4 * 4])


def holds_login(token: bytes) -> bool:
    """True if base64 text holds a user and a password (RFC 7617)."""
    try:
        return b":" in base64.b64decode(token + b"==")
    except binascii.Error:
        return False


def begins_with_object(token: bytes) -> bool:
    """True if the first part of a base64url token is a JSON object with at least one member (RFC
    7515 §3.1).
    """
    first = token[max(0, token.find(b"eyJ")) :].partition(b".")[0]
    try:
        header = base64.urlsafe_b64decode(first + b"=" * (-len(first) % 4))
    except binascii.Error:
        return False
    return header.count(b'"') >= 2


def is_long_or_has_digit(token: bytes) -> bool:
    """True if the token has a digit or at least 30 bytes, and so is hardly a word."""
    return len(token) >= _MIN_LONG or any(byte in b"0123456789" for byte in token)


Check = Callable[[bytes], bool]
CHECKS: Final[dict[Name, Check]] = {
    "base58": is_base58_check,
    "base64-login": holds_login,
    "jwt": begins_with_object,
    "long-or-digit": is_long_or_has_digit,
    "mixed": is_mixed,
    "not-words": has_non_word,
    "pem": holds_private_key,
    "random": is_generated,
}
AFTER_LITERAL: Final[frozenset[Name]] = frozenset(("mixed", "not-words", "random"))
"""Checks that see only the bytes after the literal with which a match begins."""
