"""Read text in a wide charset (UTF-16, UTF-32), whose NULs would hide every name and token in it. Pure.

Strategy: JSON is UTF-8 (RFC 8259 §8.1), but parsers accept wide text, also with surrogates that stand alone, and some
clients send it. Other text counts as wide where a byte order mark or the content type says so, and every character of
it can be read: a picture may begin as wide text does.
"""

import codecs
import json
import re
from typing import Final

_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_DECLARED: Final = re.compile(rb"charset=[\s\"']*(?:utf-?_?(?:16|32)|(?:iso-10646-)?ucs-?_?[24])", re.IGNORECASE)
_LOOK_BYTES: Final = 64
"""Within which text that is said to be wide has a NUL, or is something else: what is declared is often wrong."""
_DOCUMENT: Final = re.compile(r"\s*(?:\{\s*[\"}]|\[\s*[][{\"0-9tfn-])")
"""How JSON begins, as far as binary data hardly does."""
_JSON_BEGINS: Final = ("{", "[", '"')


def to_utf8(text: bytes, content_type: bytes = b"") -> bytes | None:
    """Return wide text as UTF-8; None for what evidently is none. A character that is cut off at its end is dropped."""
    start = text[:4]
    is_marked = start.startswith(_MARKS)
    first_nul = text.find(b"\0", 0, _LOOK_BYTES)
    if first_nul < 0 and not is_marked:
        return None  # nearly all
    is_declared = first_nul >= 0 and _DECLARED.search(content_type) is not None
    if not is_marked and not is_declared and first_nul >= len(start):
        return None
    encoding = json.detect_encoding(start)
    if not encoding.startswith(("utf-16", "utf-32")):
        if not is_declared:
            return None
        encoding = "utf-16-le" if first_nul % 2 else "utf-16-be"
    try:
        plain = codecs.getincrementaldecoder(encoding)("surrogatepass").decode(text)
    except UnicodeDecodeError:
        return None
    try:
        sound = plain.encode()
    except UnicodeEncodeError:  # a surrogate that stands alone
        return plain.encode("utf-8", "surrogatepass") if _DOCUMENT.match(plain) is not None else None
    return sound if is_marked or is_declared or plain.lstrip()[:1] in _JSON_BEGINS else None
