"""Where in JSON a secret stands: what stands in for a bare number must be a string, or JSON is none any more."""

import re
from typing import Final

_BLANKS: Final = rb"(?:\s|\\+[nrt])*"
_MEMBER: Final = re.compile(
    rb"""(?:[{,]|%%(?:25)*(?:2[cC]|7[bB])|\A)%b(\\*"|%%(?:25)*22)[^"\\%%]{0,64}\1%b(?::|%%(?:25)*3[aA])%b(?:\[(?:[^\[\]{}"]|"[^"\\]*")*)?\Z"""
    % (_BLANKS, _BLANKS, _BLANKS)
)
_ITEM_BYTES: Final = 64
_ITEM: Final = re.compile(rb"[\[,]\s*\Z")
_ITEM_ENDS: Final = re.compile(rb"\s*[,\]]")
_VALUE_ENDS: Final = re.compile(rb'\s*(?:[,}\]%\\"]|\Z)')
_MEMBER_BYTES: Final = 512


def mark_of(text: bytes, start: int, stop: int, mark: bytes) -> bytes:
    """Return what stands in for a secret: a string where it is a bare value of JSON, however deep, which stays so."""
    member = _MEMBER.search(text, max(0, start - _MEMBER_BYTES), start)
    if member is not None and _VALUE_ENDS.match(text, stop) is not None:
        return member[1] + mark + member[1]
    if _ITEM.search(text, max(0, start - _ITEM_BYTES), start) is None or _ITEM_ENDS.match(text, stop) is None:
        return mark
    is_in_string = (text.count(b'"', 0, start) - text.count(b'\\"', 0, start)) % 2
    return mark if is_in_string else b'"%b"' % mark
