"""Convert text in any charset to UTF-8, so that names, words and tokens can be found in it.

Strategy: a byte order mark decides. Next count the NULs of wide JSON, as parsers accept it, even
with lone surrogates. Then the declared charset counts, from the content type or the beginning of
markup. Declarations are often wrong: valid UTF-8 stays UTF-8, and data with control characters is
not text. Only Python's text codecs are looked up, by their own names, because Python memoises every
name it is asked for.

Standards: WHATWG Encoding §4.2 (names), §6 (byte order marks); HTML §13.2.3.2; XML §4.3.3; CSS
Syntax §3.2.
"""

import codecs
import encodings
import json
import pkgutil
import re
from encodings.aliases import aliases
from functools import lru_cache
from typing import Final

CONTROLS: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
"""Control characters that text never contains. Blanks, line ends, and the escapes of terminals and
ISO 2022 are allowed.
"""
_WRONG: Final = re.compile(CONTROLS.pattern + rb"|\xc2[\x80-\x84\x86-\x9f]")
"""The same in UTF-8, plus Windows bytes that were decoded as Latin-1."""
_WIDE_MARKS: Final = (
    codecs.BOM_UTF16_LE,
    codecs.BOM_UTF16_BE,
    codecs.BOM_UTF32_LE,
    codecs.BOM_UTF32_BE,
)
_NUL: Final = 0
_NO_TEXT: Final = bytes(4)
"""The beginning of a gRPC message; text of any width begins differently."""
_MARKED: Final = frozenset((b"\xef", b"\xff", b"\xfe"))
_DECLARED: Final = re.compile(rb"charset\s*=[\s\"']*([\w.:+-]{1,40})", re.IGNORECASE)
_MARKUP: Final = re.compile(rb"html|xml|css", re.IGNORECASE)
_WITHIN: Final = re.compile(
    rb"<\?xml[^>]{0,200}?\sencoding\s*=\s*[\"']([\w.:+-]{1,40})"
    rb"|(?:<meta[^>]{0,200}?[\s;\"']charset\s*=[\s\"']*|\A@charset \")([\w.:+-]{1,40})",
    re.IGNORECASE,
)
_WITHIN_BYTES: Final = 1024
_INSIDE: Final = ("inside",)
"""Stands for markup that may declare its charset itself."""
_ANY_WIDE: Final = ("wide",)
"""Stands for UTF-16 or UTF-32; the text itself shows its width."""
_WIDE: Final = re.compile(r"utf_*(?:16|32)|(?:iso_10646_)?ucs_*[24]")
_OF_TEXT: Final = re.compile(
    r"ascii|big5|cp\d|euc|gb|hp|hz|iso|johab|koi8|kz|latin|mac|palm|ptcp|shift|tis|utf_7"
)
_KNOWN: Final = frozenset(
    each.name for each in pkgutil.iter_modules(encodings.__path__) if _OF_TEXT.match(each.name)
)
_NAMES: Final = aliases | {
    "windows_31j": "cp932",
    "gb_2312_80": "gb2312",
    "iso_8859_8_i": "iso8859_8",
}
_WIDER: Final = {
    **{
        "ascii": "cp1252",
        "latin_1": "cp1252",
        "iso8859_9": "cp1254",
        "tis_620": "cp874",
        "euc_kr": "cp949",
    },
    **{"shift_jis": "cp932", "gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs"},
}
"""Charset → superset for which its name is also used."""
_SEVEN_BITS: Final = ("hz", "iso2022", "utf_7")
_SEVERAL_BYTES: Final = ("big5", "cp9", "euc", "gb", "johab", "shift", *_SEVEN_BITS)
_CONTINUED: Final = bytes(range(0x80, 0xC0))
"""Continuation bytes of UTF-8."""
_BOUNDARY: Final = re.compile(rb"[\x00-\x2f]")
"""Bytes that are never a later byte of a multi-byte character."""
_MAX_TYPE_BYTES: Final = 200
_LOOK_BYTES: Final = 64
"""Text in a wide charset has a NUL within this many bytes."""
_DOCUMENT: Final = re.compile(r"\s*(?:\{\s*[\"}]|\[\s*[][{\"0-9tfn-])")
"""The beginning of JSON; binary data hardly ever begins like this."""
_JSON_BEGINS: Final = ("{", "[", '"')


Text = tuple[bytes, bytes, str]
"""Head and tail in UTF-8, and the Python codec that restores the original; with `-sig` after a byte
order mark.
"""


def to_utf8(head: bytes, tail: bytes = b"", content_type: bytes = b"") -> Text | None:
    """Convert text to UTF-8 without its byte order mark; None if it needs no conversion or is not
    text.

    A character cut off at the end of the head is dropped, and so are bytes before the first whole
    character of a tail.
    """
    declared = _declared(content_type[:_MAX_TYPE_BYTES])
    if (
        not declared
        and head[:1] not in _MARKED
        and (_NUL not in head[:4] or head.startswith(_NO_TEXT))
    ):
        return None  # Nearly all bodies.
    if head.startswith(codecs.BOM_UTF8):
        return head[len(codecs.BOM_UTF8) :], tail, "utf-8-sig"

    wide = _read_wide(head, is_declared=declared is _ANY_WIDE)
    if wide is not None:
        return wide

    if declared is _INSIDE:
        if head.isascii() and tail.isascii():
            named = None
        else:
            named = _WITHIN.search(head[:_WITHIN_BYTES])
        if named is None:
            declared = ()
        else:
            declared = _codecs_of(named[1] or named[2])
    found = (_read_in(codec, head, tail) for codec in declared if codec in _KNOWN)
    return next(filter(None, found), None)


def _read_in(codec: str, head: bytes, tail: bytes) -> Text | None:
    """Convert text from a codec; None if it is UTF-8 already, or not text."""
    if tail and codec.startswith(_SEVERAL_BYTES):
        found = _BOUNDARY.search(tail)
        tail = b"" if found is None else tail[found.start() :]
    if not codec.startswith(_SEVEN_BITS):
        if head.isascii() and tail.isascii():
            return None
        as_utf8 = _decoded("utf-8", head), _decoded("utf-8", tail.lstrip(_CONTINUED))
        # Half a character counts as a letter.
        if None not in as_utf8 and not b"".join(filter(None, as_utf8)).isascii():
            return None

    plain_head = _decoded(codec, head)
    plain_tail = _decoded(codec, tail)
    if (
        plain_head is None
        or plain_tail is None
        or _WRONG.search(plain_head)
        or _WRONG.search(plain_tail)
    ):
        return None

    return plain_head, plain_tail, codec


def _decoded(codec: str, text: bytes) -> bytes | None:
    try:
        return codecs.getincrementaldecoder(codec)().decode(text).encode()
    except UnicodeError:
        return None


def _read_wide(text: bytes, *, is_declared: bool) -> Text | None:
    """Convert UTF-16 or UTF-32. The tail is dropped, because its character boundaries are
    unknown.
    """
    start = text[:4]
    is_marked = start.startswith(_WIDE_MARKS)
    first_nul = text.find(b"\0", 0, _LOOK_BYTES)
    is_declared = is_declared and first_nul >= 0
    if not is_marked and not is_declared and not 0 <= first_nul < len(start):
        return None

    codec = str(json.detect_encoding(start))
    if not codec.startswith(("utf-16", "utf-32")):
        if not is_declared:
            return None
        codec = "utf-16-le" if first_nul % 2 else "utf-16-be"

    try:
        plain = codecs.getincrementaldecoder(codec)("surrogatepass").decode(text)
    except UnicodeDecodeError:
        return None

    if is_marked:
        codec += "-le-sig" if start.startswith(codecs.BOM_UTF16_LE) else "-be-sig"
    try:
        sound = plain.encode()
    except UnicodeEncodeError:  # A lone surrogate.
        is_text = _DOCUMENT.match(plain) is not None
        sound = plain.encode("utf-8", "surrogatepass")
    else:
        is_text = is_marked or is_declared or plain.lstrip()[:1] in _JSON_BEGINS

    if is_text:
        return (sound, b"", codec)
    return None


@lru_cache(maxsize=256)
def _declared(content_type: bytes) -> tuple[str, ...]:
    """Return the codecs for a content type; empty if it declares no charset, or UTF-8."""
    found = _DECLARED.search(content_type)
    if found is not None:
        return _codecs_of(found[1])
    if _MARKUP.search(content_type) is None:
        return ()
    return _INSIDE


def _codecs_of(charset: bytes) -> tuple[str, ...]:
    name = encodings.normalize_encoding(charset.decode()).lower()
    if _WIDE.match(name) is not None:
        return _ANY_WIDE

    for spelled in (name, name.removeprefix("x_"), name.replace("windows_", "cp")):
        codec = _NAMES.get(spelled, spelled)
        if codec in _KNOWN:
            if codec in _WIDER:
                return (codec, _WIDER[codec])
            return (codec,)

    return ()
