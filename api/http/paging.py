"""Whole pages of records, over a log that stands still: a search that its time budget ended is continued a few times.

A page behind an offset cannot be continued, because how far the store got is not known: it is whole or refused.

Cursors of pages are a place in a list and a direction; opaque, without expiry and signature: base64url of version,
order and `seq`; in lists by time of receipt, of version and id. Each page applies filter and scope anew, so a forged
cursor gains nothing. Text that was not made here is a bad parameter (400).
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from api.http.errors import BadParameter, Refused
from storage.base import Storage
from storage.query import Answer, Filter, Order, Page, Query, RecordQuery
from storage.tools import ToolFilter

VERSION: Final = 1
_RECEIVED_VERSION: Final = 2
_ID_BYTES: Final = 16
_EXPECTED: Final = "the next_cursor of an answer"
_ORDERS: Final[tuple[Order, ...]] = ("asc", "desc")


def encode_cursor(order: Order, seq: int) -> str:
    """Write a cursor that continues behind `seq`."""
    return to_text(bytes((VERSION, _ORDERS.index(order))) + seq.to_bytes(8, "big"))


def decode_cursor(text: str) -> tuple[Order, int]:
    """Read a cursor back."""
    raw = from_text(text)
    if len(raw) != 10 or raw[0] != VERSION or raw[1] >= len(_ORDERS):
        raise BadParameter("cursor", text, _EXPECTED)
    order, seq = _ORDERS[raw[1]], int.from_bytes(raw[2:], "big")
    if seq > (1 << 63) - 1:
        raise BadParameter("cursor", text, _EXPECTED)
    return order, seq


def read_cursor(text: str | None, wanted: Order) -> int | None:
    """Read where a page in an order begins; None without a cursor."""
    if not text:
        return None
    order, seq = decode_cursor(text)
    if order != wanted:
        raise BadParameter("cursor", text, _EXPECTED)
    return seq


def encode_received_cursor(record_id: int) -> str:
    """Write a cursor that continues with the records received before that of an id, which is given as a number."""
    return to_text(bytes((_RECEIVED_VERSION,)) + record_id.to_bytes(_ID_BYTES, "big"))


def decode_received_cursor(text: str) -> int:
    """Read a cursor of the order of receipt back."""
    raw = from_text(text)
    if len(raw) != 1 + _ID_BYTES or raw[0] != _RECEIVED_VERSION:
        raise BadParameter("cursor", text, _EXPECTED)
    return int.from_bytes(raw[1:], "big")


def to_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """Read what `to_text` wrote."""
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise BadParameter("cursor", text, _EXPECTED) from error
    if to_text(raw) != text:
        raise BadParameter("cursor", text, _EXPECTED)
    return raw


Bounded = TypeVar("Bounded", Filter, ToolFilter)

MAX_ROUNDS: Final = 4
"""Rounds of a search, each with the store's time budget, before the reader gets what was found."""


def out_of_time() -> Refused:
    return Refused(503, "the page could not be found within the time budget", headers={"Retry-After": "5"})


async def read_whole_page(storage: Storage, query: RecordQuery) -> Page:
    """Read a page, and continue where a time budget ended the search.

    Returns:
        The page; `complete` is False when even `MAX_ROUNDS` rounds did not fill it.
    """
    page = await storage.read(query)
    records = page.records
    for _ in range(MAX_ROUNDS - 1):
        if page.complete or len(records) >= query.limit:
            break
        if query.offset or page.next_after is None:
            raise out_of_time()
        page = await storage.read(replace(query, after=page.next_after, limit=query.limit - len(records)))
        records = [*records, *page.records]
    return Page(records=records, complete=page.complete, next_after=page.next_after)


@dataclass(frozen=True, slots=True)
class Frozen(Generic[Bounded]):
    """A filter over a log that does not grow while a reader pages through it by offset."""

    max_seq: int
    """The end of the log for this reader; sent in `X-Max-Seq`, given back as `max_seq`."""
    filter: Bounded
    """Bounded by that end."""


async def freeze_and_count(
    storage: Storage, filter: Bounded, max_seq: int | None, query: Callable[[Bounded], Query[Answer]]
) -> tuple[Frozen[Bounded], Answer]:
    """Bound a filter, and count it up to the same end.

    Rollups can answer without the bound only, so the whole log is counted where nothing is stored meanwhile.
    """
    last_seq = await storage.last_seq()
    for _ in range(MAX_ROUNDS):
        if storage.has_late_prefix or (max_seq is not None and max_seq < last_seq):
            break
        count = await storage.read(query(filter))
        counted_seq, last_seq = last_seq, await storage.last_seq()
        if last_seq == counted_seq:
            return freeze(filter, max_seq, last_seq), count
    frozen = freeze(filter, max_seq, last_seq)
    return frozen, await storage.read(query(frozen.filter))


def freeze(filter: Bounded, max_seq: int | None, last_seq: int) -> Frozen[Bounded]:
    """Bound a filter by the end that the reader gave back, or by the present one."""
    end = last_seq if max_seq is None else min(max_seq, last_seq)
    return Frozen(end, replace(filter, seq_until=end))
