"""Bring text in a wide charset (UTF-16, UTF-32) into UTF-8, so that the names in it can be seen.

JSON is UTF-8 (RFC 8259 §8.1), but parsers accept wide text and some clients send it; NULs would hide every name in it.
Only what evidently is such text is touched: a byte order mark, or a document that begins like JSON, and decodes.
"""

import codecs
import json
from typing import Final

_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_WIDEST: Final = 4


def to_utf8(text: bytes) -> bytes | None:
    """Return wide text as UTF-8, without what is cut off at its end; None when it is not wide text."""
    start = text[:_WIDEST]
    if b"\x00" not in start and not start.startswith(_MARKS):
        return None
    encoding = json.detect_encoding(start)
    if not encoding.startswith(("utf-16", "utf-32")):
        return None
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        plain = decoder.decode(text)
    except UnicodeDecodeError:
        return None
    is_marked = start.startswith(_MARKS)
    return plain.encode("utf-8", "surrogatepass") if is_marked or plain.lstrip()[:1] in ("{", "[", '"') else None
