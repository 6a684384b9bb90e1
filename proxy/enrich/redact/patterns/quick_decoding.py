r"""Quick decoding: one level of the common escapes, without a map of positions.

The result shows if a text is worth a view (`views.py`), which maps positions. JSON (`\n`, `\"`,
`\u0041`), markup (`&quot;`) and percent-encoding are decoded alike.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from proxy.enrich.redact.octets import AMPERSAND, BACKSLASH, PERCENT, SEMICOLON
from proxy.enrich.redact.patterns.escaped import BY_NUMBER_SIGNS, ESCAPED

_MARKUP: Final = {
    b"&quot;": b'"', b"&apos;": b"'", b"&lt;": b"<", b"&gt;": b">", b"&nbsp;": b" ", b"&amp;": b"&",
}  # fmt: skip
_ARRAY_BYTES: Final = 4096
"""Arrays take 20 us even for a short text."""
_BY_NUMBER: Final = re.compile(
    rb"\\(?:(?:u00|x|u\{0{0,4}|U000000)([0-7][0-9a-fA-F]|[0-9a-fA-F](?=\}))\}?|u(?:00[aA]0|202[fF]|2007))"
)
"""ASCII characters, and blanks that separate groups of digits."""
_SPELLS: Final = (
    re.compile(
        rb"""\\(?:u(?:00|\{|20[02])|[xU/]|[\\nrtbf"/]{0,16}[0-9]|[\\nrtbf"/]{1,16}[A-Za-z]{2}[0-9]{2})"""
    ),
    re.compile(rb"%[0-9a-fA-F]{2}"),
    re.compile(rb"&(?:#|(?:quot|apos|lt|gt|nbsp|amp);)"),
)
"""Escapes that may spell a part of a secret or separate its digits. Line ends and quotes only count
inside one.
"""
_SHORT_BYTES: Final = 2048
"""Up to this size, a text is decoded whole."""
_BEFORE_BYTES: Final = 256
_BEHIND_BYTES: Final = 1280
"""Bytes decoded around a position. Names and values are shorter; of a longer value this is
enough.
"""
_REFERENCE: Final = re.compile(rb"&#(?:[xX]0{0,4}([0-7]?[0-9a-fA-F])|0{0,4}([0-9]{1,3}));")


def around(text: bytes, candidates: list[int]) -> bytes:
    """Return the parts of a text in which a secret may show only after decoding.

    They surround the candidates and the escapes that spell characters. Elsewhere decoding changes
    only line ends and quotes, and the search of the text itself handles these.
    """
    if len(text) <= _SHORT_BYTES:
        return text
    places = [*candidates]
    for spells in _SPELLS:  # `re` finds an expression quickly if it begins with one fixed byte.
        places += [found.start() for found in spells.finditer(text)]
    pieces: list[bytes] = []
    begin = 0
    end = -1
    for place in sorted(places):
        if place - _BEFORE_BYTES > end:
            if end >= 0:
                pieces.append(text[begin:end])
            begin = max(0, place - _BEFORE_BYTES)
        end = place + _BEHIND_BYTES

    if end >= 0:
        pieces.append(text[begin:end])
    # In a text with blanks, a plus sign does not mean one (`quickly_decoded`).
    return (b" \n" if b" " in text else b"\n").join(pieces)


def quickly_decoded(text: bytes) -> bytes:
    """Return a text with one level of its escapes decoded."""
    if BACKSLASH in text:
        text = _without_backslashes(text)
        if any(sign in text for sign in BY_NUMBER_SIGNS):
            text = _BY_NUMBER.sub(_character, text)
        text = text.replace(b"\0", b"\\")

    if AMPERSAND in text and SEMICOLON in text:
        if text.find(b"&#") >= 0:
            text = _REFERENCE.sub(_referred, text)
        for escape, plain in _MARKUP.items():
            text = text.replace(escape, plain)
    if PERCENT in text:
        text = unquote_to_bytes(text if b" " in text else text.replace(b"+", b" "))
    return text


def _without_backslashes(text: bytes) -> bytes:
    """Decode one-letter escapes. For long texts arrays are four times as fast."""
    if len(text) < _ARRAY_BYTES:
        for letter, meaning in ESCAPED.items():
            text = text.replace(b"\\" + letter, meaning)
        return text

    # A collector starts without numpy.
    from proxy.enrich.redact.patterns.escape_arrays import without_backslashes

    return without_backslashes(text)


def _character(found: re.Match[bytes]) -> bytes:
    if found[1] is None:
        return b" "
    return bytes((int(found[1], 16),))


def _referred(found: re.Match[bytes]) -> bytes:
    if found[2] is None:
        number = int(found[1], 16)
    else:
        number = int(found[2])
    if number < 0x80:
        return bytes((number,))
    return b" "
