"""Page cursors: a position in a list and a direction; opaque, without expiry and signature.

Base64url of version, order and `seq`; in lists by time of receipt, of version and id. Each page
applies filter and scope anew, so a forged cursor gains nothing. Text that was not made here is a
bad parameter (400).
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
    """Return a cursor that continues after `seq`."""
    return to_text(bytes((VERSION, _ORDERS.index(order))) + seq.to_bytes(8, "big"))


def cursor_after(order: Order, seq: int | None) -> str | None:
    """Return the `next_cursor` of a page; None after the last one."""
    if seq is None:
        return None
    return encode_cursor(order, seq)


def decode_cursor(text: str) -> tuple[Order, int]:
    """Decode a cursor.

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
    """Return the `seq` after which a page in this order begins; None without a cursor.

    Raises:
        BadParameter: it is not a cursor, or one of the other order.
    """
    if not text:
        return None
    order, seq = decode_cursor(text)
    if order != wanted:
        raise BadParameter("cursor", text, _EXPECTED)
    return seq


def encode_received_cursor(record_id: int) -> str:
    """Return a cursor that continues with records received before the one with this id."""
    return to_text(bytes((_RECEIVED_VERSION,)) + record_id.to_bytes(_ID_BYTES, "big"))


def decode_received_cursor(text: str) -> int:
    """Return the record id in a cursor by order of receipt.

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
    """Decode the text of a cursor.

    Raises:
        BadParameter: `to_text` did not write it. Other spellings of the same bytes are refused as
            well.
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
