"""Whole pages of records over an unchanging log: a search that ran out of time is continued.

A page at an offset cannot be continued, because the number of records the store has skipped is not
known: it is whole or refused.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from api.http.errors import Refused
from storage.base import Storage
from storage.query import Answer, Filter, Page, Query, RecordQuery
from storage.tools import ToolFilter

Bounded = TypeVar("Bounded", Filter, ToolFilter)

MAX_ROUNDS: Final = 4
"""Rounds of a search, each with the store's time budget, before the reader gets an incomplete page.
"""


def out_of_time() -> Refused:
    return Refused(
        503, "the page could not be found within the time budget", headers={"Retry-After": "5"}
    )


async def first_kept_seq(storage: Storage, head_seq: int) -> int:
    """Return the `seq` of the oldest record; the one after `head_seq` if no record is left."""
    oldest = await storage.read(RecordQuery(filter=Filter(kind="all"), order="asc", limit=1))
    if oldest.records:
        return oldest.records[0].seq
    return head_seq + 1


async def reaches_back(storage: Storage, to_us: int) -> bool:
    """Return True if the log has a record that started at this time or before it."""
    older = Filter(kind="all", until_us=to_us + 1)
    return bool((await storage.read(RecordQuery(filter=older, limit=1))).records)


async def read_whole_page(storage: Storage, query: RecordQuery) -> Page:
    """Read a page, and continue if the time budget ended the search.

    Returns:
        The page; `complete` is False if even `MAX_ROUNDS` rounds did not fill it.

    Raises:
        Refused: 503, an offset could not be skipped.
    """
    page = await storage.read(query)
    records = page.records
    for _ in range(MAX_ROUNDS - 1):
        if page.complete or len(records) >= query.limit:
            break
        if query.offset or page.next_after is None:
            raise out_of_time()

        page = await storage.read(
            replace(query, after=page.next_after, limit=query.limit - len(records))
        )
        records = [*records, *page.records]

    return Page(records=records, complete=page.complete, next_after=page.next_after)


@dataclass(frozen=True, slots=True)
class Frozen(Generic[Bounded]):
    """A filter over a log that does not grow while a reader pages through it by offset."""

    max_seq: int
    """End of the log for this reader; sent in `X-Max-Seq`, and returned by the client as `max_seq`.
    """
    filter: Bounded
    """Filter bounded by that end."""


async def freeze_and_count(
    storage: Storage,
    filter: Bounded,
    max_seq: int | None,
    query: Callable[[Bounded], Query[Answer]],
) -> tuple[Frozen[Bounded], Answer]:
    """Bound a filter, and count its records up to the same end.

    Rollups can only answer without the bound, so the whole log is counted if nothing is stored
    meanwhile.
    """
    last_seq = await storage.last_seq()
    for _ in range(MAX_ROUNDS):
        if storage.has_late_prefix or (max_seq is not None and max_seq < last_seq):
            break
        count = await storage.read(query(filter))
        counted_seq = last_seq
        last_seq = await storage.last_seq()
        if last_seq == counted_seq:
            return freeze(filter, max_seq, last_seq), count

    frozen = freeze(filter, max_seq, last_seq)
    return frozen, await storage.read(query(frozen.filter))


def freeze(filter: Bounded, max_seq: int | None, last_seq: int) -> Frozen[Bounded]:
    """Bound a filter by the end of a snapshot, so that later pages do not shift: by the `max_seq`
    that the client sent back, or by the newest record.
    """
    if max_seq is None:
        end = last_seq
    else:
        end = min(max_seq, last_seq)
    return Frozen(end, replace(filter, seq_until=end))
