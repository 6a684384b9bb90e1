"""Page cursors: a place in a list and a direction; opaque, without expiry and signature.

Pure. Base64url of version, order and `seq`; in lists by time of receipt, of version and id. Each
page applies filter and scope anew, so a forged cursor gains nothing. Text that was not made here is
a bad parameter (400).
"""

import base64
import binascii
from typing import Final

from api.http.errors import BadParameter
from storage.query import Order

VERSION: Final = 1
_RECEIVED_VERSION: Final = 2
_ID_BYTES: Final = 16
_EXPECTED: Final = "the next_cursor of an answer"
_ORDERS: Final[tuple[Order, ...]] = ("asc", "desc")


def encode_cursor(order: Order, seq: int) -> str:
    """Write a cursor that continues behind `seq`."""
    return to_text(bytes((VERSION, _ORDERS.index(order))) + seq.to_bytes(8, "big"))


def decode_cursor(text: str) -> tuple[Order, int]:
    """Read a cursor back.

    Raises:
        BadParameter: it was not made by `encode_cursor`.
    """
    raw = from_text(text)
    if len(raw) != 10 or raw[0] != VERSION or raw[1] >= len(_ORDERS):
        raise BadParameter("cursor", text, _EXPECTED)

    order = _ORDERS[raw[1]]
    seq = int.from_bytes(raw[2:], "big")
    if seq > (1 << 63) - 1:
        raise BadParameter("cursor", text, _EXPECTED)

    return order, seq


def read_cursor(text: str | None, wanted: Order) -> int | None:
    """Read where a page in an order begins; None without a cursor.

    Raises:
        BadParameter: it is no cursor, or one of the other order.
    """
    if not text:
        return None
    order, seq = decode_cursor(text)
    if order != wanted:
        raise BadParameter("cursor", text, _EXPECTED)
    return seq


def encode_received_cursor(record_id: int) -> str:
    """Write a cursor that continues with the records received before that of an id, which is given
    as a number.
    """
    return to_text(bytes((_RECEIVED_VERSION,)) + record_id.to_bytes(_ID_BYTES, "big"))


def decode_received_cursor(text: str) -> int:
    """Read a cursor of the order of receipt back.

    Raises:
        BadParameter: it was not made by `encode_received_cursor`.
    """
    raw = from_text(text)
    if len(raw) != 1 + _ID_BYTES or raw[0] != _RECEIVED_VERSION:
        raise BadParameter("cursor", text, _EXPECTED)
    return int.from_bytes(raw[1:], "big")


def to_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """Read what `to_text` wrote.

    Raises:
        BadParameter: anything else, other spellings of the same bytes included.
    """
    try:
        raw = base64.b64decode(
            text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True
        )
    except (binascii.Error, UnicodeEncodeError) as error:
        raise BadParameter("cursor", text, _EXPECTED) from error

    if to_text(raw) != text:
        raise BadParameter("cursor", text, _EXPECTED)
    return raw
