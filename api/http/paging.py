"""Whole pages of records, over a log that stands still: a search that its time budget ended is
continued a few times.

A page behind an offset cannot be continued, because how far the store got is not known: it is whole
or refused.
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
"""Rounds of a search, each with the store's time budget, before the reader gets what was found."""


def out_of_time() -> Refused:
    return Refused(
        503, "the page could not be found within the time budget", headers={"Retry-After": "5"}
    )


async def read_whole_page(storage: Storage, query: RecordQuery) -> Page:
    """Read a page, and continue where a time budget ended the search.

    Returns:
        The page; `complete` is False when even `MAX_ROUNDS` rounds did not fill it.

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
    """The end of the log for this reader; sent in `X-Max-Seq`, given back as `max_seq`."""
    filter: Bounded
    """Bounded by that end."""


async def freeze_and_count(
    storage: Storage,
    filter: Bounded,
    max_seq: int | None,
    query: Callable[[Bounded], Query[Answer]],
) -> tuple[Frozen[Bounded], Answer]:
    """Bound a filter, and count it up to the same end.

    Rollups can answer without the bound only, so the whole log is counted where nothing is stored
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
    """Bound a filter by the end that the reader gave back, or by the present one."""
    end = last_seq if max_seq is None else min(max_seq, last_seq)
    return Frozen(end, replace(filter, seq_until=end))
