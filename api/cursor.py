"""The native page cursor: where a reader is, in which direction; opaque, without expiry, without a secret.

Pure. Base64url of version, order and `seq`. It needs no signature: the filter and the scope are applied anew on every
page, so nothing can be gained by forging one. Anything that was not made here is a bad parameter, never our own error.
"""

import base64
import binascii
from typing import Final

from api.errors import BadParameter
from storage.query import Order

VERSION: Final = 1
_EXPECTED: Final = "the next_cursor of an answer"
_ORDERS: Final[tuple[Order, ...]] = ("asc", "desc")


def encode_cursor(order: Order, seq: int) -> str:
    """Write a cursor that continues behind `seq`."""
    raw = bytes((VERSION, _ORDERS.index(order))) + seq.to_bytes(8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_cursor(text: str) -> tuple[Order, int]:
    """Read a cursor back.

    Raises:
        BadParameter: it was not made by `encode_cursor`.
    """
    try:
        raw = base64.b64decode(text.encode("ascii") + b"==", altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise BadParameter("cursor", text, _EXPECTED) from error
    if len(raw) != 10 or raw[0] != VERSION or raw[1] >= len(_ORDERS):
        raise BadParameter("cursor", text, _EXPECTED)
    order, seq = _ORDERS[raw[1]], int.from_bytes(raw[2:], "big")
    if seq > (1 << 63) - 1 or encode_cursor(order, seq) != text:
        raise BadParameter("cursor", text, _EXPECTED)
    return order, seq
