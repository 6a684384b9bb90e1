"""Leave out what is not read: base64 payloads and long arrays of numbers in JSON, before the stored
size counts.

Strategy: lexical, on redacted text; a payload is replaced by a small object that says what was
there: JSON stays JSON. Works on event streams and lines alike, and on windows that are cut: a
payload that runs out of the window is replaced too. Everything is linear in the text.
"""

import base64
import binascii
import hashlib
import re
from typing import Final

MIN_BASE64_CHARACTERS: Final = 1024
"""Shorter ones are keys, hashes and small icons, which are kept."""
MIN_NUMBERS: Final = 64
"""Embeddings have 256 and more."""
MIN_TEXT_BYTES: Final = 1024
"""Shorter text is left alone."""

_BASE64: Final = re.compile(
    rb'"(?=[^"\s]{%d})((?:data:[^",\\]{0,128},)?)((?:[A-Za-z0-9+/_=\-]++|\\/)++)("|\Z)'
    % MIN_BASE64_CHARACTERS
)
"""A run of one class at a time, and its length counted behind it: 7 instead of 26 us a KiB, with
the hash.
"""
_NUMBER: Final = rb"\s*+-?[0-9][0-9.eE+\-]*+\s*+"
_NUMBERS: Final = re.compile(
    rb"\[((?:%b,){%d,}+%b)(\]|\Z)" % (_NUMBER, MIN_NUMBERS - 1, rb"(?:%b)?" % _NUMBER)
)
_SAMPLE_STEP: Final = 16
_RUN_SAMPLES: Final = MIN_BASE64_CHARACTERS // _SAMPLE_STEP - 1
_NUMBER_SAMPLES: Final = 2 * (MIN_NUMBERS - 1) // _SAMPLE_STEP
"""How many samples in a row a payload covers at least; a number in an array is two bytes or more,
with its comma.
"""
_RUN_TABLE: Final = bytes(
    97 if byte in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_=-\\" else 0
    for byte in range(256)
)
_NUMBER_TABLE: Final = bytes(
    110 if byte in b"0123456789.eE+-, \t\n\r\f\v" else 0 for byte in range(256)
)


def compact(text: bytes) -> bytes:
    """Replace long payloads; the same object comes back when there are none.

    A look at every 16th byte says which of the two a text may have: none is missed.
    """
    if len(text) <= MIN_TEXT_BYTES:
        return text
    sample = text[::_SAMPLE_STEP]
    if b"n" * _NUMBER_SAMPLES in sample.translate(_NUMBER_TABLE):
        text = _NUMBERS.sub(_without_numbers, text)
    if b"a" * _RUN_SAMPLES in sample.translate(_RUN_TABLE):
        text = _BASE64.sub(_without_base64, text)
    return text


def _without_base64(found: re.Match[bytes]) -> bytes:
    content = found[2].replace(b"\\/", b"/")
    if len(content) < MIN_BASE64_CHARACTERS:
        return found[0]
    if not found[3]:
        return b'{"omitted": "base64", "truncated": true, "characters": %d}' % len(content)

    try:
        raw = base64.b64decode(
            content.translate(bytes.maketrans(b"-_", b"+/")) + b"==", validate=False
        )
    except binascii.Error:
        return found[0]

    digest = hashlib.sha256(raw).hexdigest().encode()
    if found[1]:
        kind = b'"type": "%b", ' % found[1][5:-1].partition(b";")[0]
    else:
        kind = b""
    return b'{"omitted": "base64", %b"bytes": %d, "sha256": "%b"}' % (kind, len(raw), digest)


def _without_numbers(found: re.Match[bytes]) -> bytes:
    numbers = found[1].rstrip()
    count = numbers.count(b",") + (0 if numbers.endswith(b",") else 1)
    if not found[2]:
        return b'{"omitted": "numbers", "truncated": true, "count": %d}' % count
    return b'{"omitted": "numbers", "count": %d}' % count
