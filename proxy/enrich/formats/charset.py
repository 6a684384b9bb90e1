"""Read text in any charset as UTF-8: only there are its names, words and tokens found. Pure.

Strategy: a byte order mark decides; then the NULs of wide JSON, which parsers accept, also with
surrogates that stand alone; then what is declared, by the content type or at the beginning of
markup. That is often wrong: UTF-8 stays UTF-8, and what has control characters is no text. Of
Python's codecs only those of text are asked for, by their own names: it remembers every name that
it is asked for.

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
"""No text has one; blanks, ends of lines, and the escapes of terminals and of ISO 2022 are none."""
_WRONG: Final = re.compile(CONTROLS.pattern + rb"|\xc2[\x80-\x84\x86-\x9f]")
"""The same in UTF-8, where bytes of Windows that were read as Latin-1 are among them."""
_WIDE_MARKS: Final = (
    codecs.BOM_UTF16_LE,
    codecs.BOM_UTF16_BE,
    codecs.BOM_UTF32_LE,
    codecs.BOM_UTF32_BE,
)
_NUL: Final = 0
_NO_TEXT: Final = bytes(4)
"""How messages of gRPC begin; no text of any width does."""
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
"""Of markup that may name its charset itself."""
_ANY_WIDE: Final = ("wide",)
"""The text itself shows how wide."""
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
"""What the name of a charset is used for beyond what it means."""
_SEVEN_BITS: Final = ("hz", "iso2022", "utf_7")
_SEVERAL_BYTES: Final = ("big5", "cp9", "euc", "gb", "johab", "shift", *_SEVEN_BITS)
_CONTINUED: Final = bytes(range(0x80, 0xC0))
"""Stand behind the first byte of a character of UTF-8."""
_BOUNDARY: Final = re.compile(rb"[\x00-\x2f]")
"""Only the first byte of a character of several may be one of these."""
_MAX_TYPE_BYTES: Final = 200
_LOOK_BYTES: Final = 64
"""Within which text that is said to be wide has a NUL, or is something else."""
_DOCUMENT: Final = re.compile(r"\s*(?:\{\s*[\"}]|\[\s*[][{\"0-9tfn-])")
"""How JSON begins and binary data hardly ever does."""
_JSON_BEGINS: Final = ("{", "[", '"')


Text = tuple[bytes, bytes, str]
"""Head and tail in UTF-8, and the codec of Python that writes them as they came; `-sig`: behind a
byte order mark.
"""


def to_utf8(head: bytes, tail: bytes = b"", content_type: bytes = b"") -> Text | None:
    """Return text in another charset as UTF-8, and without its byte order mark; None for all else.

    A character that is cut off at the end of the head is dropped, and what comes before the first
    whole one of a tail.
    """
    declared = _declared(content_type[:_MAX_TYPE_BYTES])
    if (
        not declared
        and head[:1] not in _MARKED
        and (_NUL not in head[:4] or head.startswith(_NO_TEXT))
    ):
        return None  # nearly all
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
        declared = () if named is None else _codecs_of(named[1] or named[2])
    found = (_read_in(codec, head, tail) for codec in declared if codec in _KNOWN)
    return next(filter(None, found), None)


def _read_in(codec: str, head: bytes, tail: bytes) -> Text | None:
    """Read text in a codec; None where it is UTF-8, or none at all."""
    if tail and codec.startswith(_SEVERAL_BYTES):
        found = _BOUNDARY.search(tail)
        tail = b"" if found is None else tail[found.start() :]
    if not codec.startswith(_SEVEN_BITS):
        if head.isascii() and tail.isascii():
            return None
        as_utf8 = _decoded("utf-8", head), _decoded("utf-8", tail.lstrip(_CONTINUED))
        # Half a character is a letter.
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
    """Read UTF-16 and UTF-32; where a character begins in a wide tail is not known."""
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
    except UnicodeEncodeError:  # a surrogate that stands alone
        is_text = _DOCUMENT.match(plain) is not None
        sound = plain.encode("utf-8", "surrogatepass")
    else:
        is_text = is_marked or is_declared or plain.lstrip()[:1] in _JSON_BEGINS

    return (sound, b"", codec) if is_text else None


@lru_cache(maxsize=256)
def _declared(content_type: bytes) -> tuple[str, ...]:
    """Return the codecs that a content type names: none where it names none, or UTF-8."""
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
