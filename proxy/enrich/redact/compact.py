"""Omit base64 payloads and long arrays of numbers from JSON, before its stored size is counted.

Strategy: lexical, on redacted text, in linear time. A payload is replaced by a small JSON object
that describes it, so JSON stays JSON. Event streams, lines and cut windows work alike: a payload
that runs out of the window is replaced, too.
"""

import base64
import binascii
import hashlib
import re
from typing import Final

MIN_BASE64_CHARACTERS: Final = 1024
"""Shorter runs are kept: keys, hashes and small icons."""
MIN_NUMBERS: Final = 64
"""Embeddings have 256 numbers and more."""
MIN_TEXT_BYTES: Final = 1024
"""Shorter text is not searched."""

_BASE64: Final = re.compile(
    rb'"(?=[^"\s]{%d})((?:data:[^",\\]{0,128},)?)((?:[A-Za-z0-9+/_=\-]++|\\/)++)("|\Z)'
    % MIN_BASE64_CHARACTERS
)
"""The runs are possessive; the lookahead and `_without_base64` check their length. This takes 7
instead of 26 us a KiB, with the hash.
"""
_NUMBER: Final = rb"\s*+-?[0-9][0-9.eE+\-]*+\s*+"
_NUMBERS: Final = re.compile(
    rb"\[((?:%b,){%d,}+%b)(\]|\Z)" % (_NUMBER, MIN_NUMBERS - 1, rb"(?:%b)?" % _NUMBER)
)
_SAMPLE_STEP: Final = 16
_RUN_SAMPLES: Final = MIN_BASE64_CHARACTERS // _SAMPLE_STEP - 1
_NUMBER_SAMPLES: Final = 2 * (MIN_NUMBERS - 1) // _SAMPLE_STEP
"""Minimum number of consecutive samples that a payload covers. A number in an array takes at least
two bytes with its comma.
"""
_RUN_TABLE: Final = bytes(
    97 if byte in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_=-\\" else 0
    for byte in range(256)
)
_NUMBER_TABLE: Final = bytes(
    110 if byte in b"0123456789.eE+-, \t\n\r\f\v" else 0 for byte in range(256)
)


def compact(text: bytes) -> bytes:
    """Replace long payloads; return the same object if nothing changes.

    Every 16th byte is sampled to find out which kinds of payload a text may have. No payload is
    missed.
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
