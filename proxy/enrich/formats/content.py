"""What the octets of a body are, where they are no text: decided once, by how they begin and by
what they hold.

Strategy: ASCII and UTF-8 are text, whatever was declared. Else a magic number, or a declared type,
says that it is media, if the octets agree: a third of them at least does not read as text, as of
all that is compressed; text behind `GIF89a`, or under `image/png`, is text. Others are no text
where as much does not read, where a format of programs is declared, or where there is a gap as of a
picture between two texts, as in an upload of parts.

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
    rb"|\x28\xb5\x2f\xfd|\x04\x22\x4d\x18|MSCF\0\0\0\0|\0asm",  # archives; programs of browsers
    re.DOTALL,
)
_MEDIA_TYPE: Final = re.compile(
    rb"\s*(?:image|audio|video|font)/(?![^;]*(?:xml|json|text))", re.IGNORECASE
)
_BINARY_TYPE: Final = re.compile(rb"proto|msgpack|cbor|avro|thrift", re.IGNORECASE)
_SHARE: Final = 1 / 3
_MAX_GAP_BYTES: Final = 256
"""Between two texts; in text of another charset words are nearer."""
_NUL: Final = 0


def content_of(data: bytes, content_type: bytes) -> Content | None:
    """Decide what a body is; None where it is text.

    Args:
        data: all of it, or the first window.
        content_type: as sent; empty when there was none.
    """
    if is_utf8(data):
        return None
    is_unreadable = unreadable_share(data) >= _SHARE
    if is_unreadable and (
        _MAGIC.match(data) is not None or _MEDIA_TYPE.match(content_type) is not None
    ):
        return "media"

    is_binary = is_unreadable or _BINARY_TYPE.search(content_type) is not None
    return "octets" if is_binary or _has_gap(data) else None


def is_utf8(data: bytes) -> bool:
    """Whether octets are UTF-8 without a NUL, of which a character may be cut off at the end."""
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
