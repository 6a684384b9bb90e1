"""Decide if a body is text, media or other binary data, by its beginning and its content.

Strategy: ASCII and UTF-8 are text, whatever the declared type. A magic number or a declared type
makes it media if at least a third of its bytes is unreadable, as in all compressed data: text after
`GIF89a`, or under `image/png`, stays text. Other data is binary if as many bytes are unreadable, if
a binary serialisation is declared, or if there is a gap between two texts as large as a picture, as
in a multipart upload.

Invariant: JSON that a parser accepts is text. Standards: WHATWG MIME Sniffing §6 (magic numbers).
"""

import codecs
import re
from itertools import pairwise
from typing import Final

from storage.record import Content
from storage.search.octets import readable_runs, unreadable_share

_MAGIC: Final = re.compile(
    # Pictures.
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|BM.{4}\0{4}|\0\0[\x01\x02]\0|II\*\0|MM\0\*"
    rb"|RIFF.{4}(?:WEBP|WAVE|AVI )|.{4}ftyp|\x1aE\xdf\xa3|FLV\x01|\0\0\x01[\xb3\xba]|OggS\0|fLaC|ID3[\x02-\x04]"
    rb"|\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]|FORM.{4}AIF[FC]|MThd\0"  # sound and films
    rb"|\0\x01\0\0\0|OTTO\0|ttcf\0|true\0|wOF[F2]|%PDF-"  # fonts; documents
    rb"|PK(?:\x03\x04|\x05\x06)|\x1f\x8b\x08|BZh[1-9]1AY&SY|\xfd7zXZ\0|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07"
    rb"|\x28\xb5\x2f\xfd|\x04\x22\x4d\x18|MSCF\0\0\0\0|\0asm",  # archives; WebAssembly
    re.DOTALL,
)
_MEDIA_TYPE: Final = re.compile(
    rb"\s*(?:image|audio|video|font)/(?![^;]*(?:xml|json|text))", re.IGNORECASE
)
_BINARY_TYPE: Final = re.compile(rb"proto|msgpack|cbor|avro|thrift", re.IGNORECASE)
_SHARE: Final = 1 / 3
_MAX_GAP_BYTES: Final = 256
"""Minimum gap between two texts. In text of another charset, words are closer together."""
_NUL: Final = 0


def content_of(data: bytes, content_type: bytes) -> Content | None:
    """Return the kind of binary content; None for text.

    Args:
        data: all of it, or the first window.
        content_type: as sent; empty if missing.
    """
    if is_utf8(data):
        return None
    is_unreadable = unreadable_share(data) >= _SHARE
    if is_unreadable and (
        _MAGIC.match(data) is not None or _MEDIA_TYPE.match(content_type) is not None
    ):
        return "media"

    is_binary = is_unreadable or _BINARY_TYPE.search(content_type) is not None
    if is_binary or _has_gap(data):
        return "octets"
    return None


def is_utf8(data: bytes) -> bool:
    """True if data is UTF-8 without a NUL. A character may be cut off at its end."""
    if _NUL in data:
        return False
    if data.isascii():
        return True

    try:
        codecs.utf_8_decode(data, "strict", False)
    except UnicodeDecodeError:
        return False

    return True


def _has_gap(data: bytes) -> bool:
    runs = [(0, 0), *readable_runs(data), (len(data), len(data))]
    return any(start - stop >= _MAX_GAP_BYTES for (_, stop), (start, _) in pairwise(runs))
