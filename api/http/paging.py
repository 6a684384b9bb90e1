"""Pages of records that must be whole: a search that its time budget cut is taken up again, a few times, then said.

Offsets cannot be taken up again (how far the store got is not known), so a page behind an offset is whole or refused.
"""

from dataclasses import dataclass, replace
from typing import Final

from api.http.errors import Refused
from storage.base import Storage
from storage.query import Count, CountQuery, Filter, Page, RecordQuery

MAX_ROUNDS: Final = 4
"""How often a search is taken up again before the reader gets what there is: each round has the store's time budget."""


def out_of_time() -> Refused:
    return Refused(503, "the page could not be found within the time budget", headers={"Retry-After": "5"})


async def read_whole_page(storage: Storage, query: RecordQuery) -> Page:
    """Read a page, going on where a time budget ended the search.

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
        page = await storage.read(replace(query, after=page.next_after, limit=query.limit - len(records)))
        records = [*records, *page.records]
    return Page(records=records, complete=page.complete, next_after=page.next_after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A filter over a log that does not grow while a reader pages through it by offset."""

    max_seq: int
    """The end of the log for this reader; sent in `X-Max-Seq`, given back as `max_seq`."""
    paged: Filter
    """For the rows of a page."""
    counted: Filter
    """For the total: without the bound where it changes nothing, so that rollups can answer."""

    def page(self, query: RecordQuery) -> RecordQuery:
        """Bound a page: no offset leads further than the end of the log."""
        return replace(query, filter=self.paged, offset=min(query.offset, self.max_seq))


async def freeze_and_count(storage: Storage, filter: Filter, max_seq: int | None) -> tuple[Frozen, Count]:
    """Bound a filter, and count it up to the same end: records stored while rollups are read are in neither."""
    for _ in range(MAX_ROUNDS):
        frozen = freeze(filter, max_seq, await storage.last_seq(), is_late=storage.has_late_prefix)
        count = await storage.read(CountQuery(frozen.counted))
        if frozen.counted is frozen.paged or await storage.last_seq() == frozen.max_seq:
            return frozen, count
    frozen = freeze(filter, max_seq, await storage.last_seq(), is_late=storage.has_late_prefix)
    return frozen, await storage.read(CountQuery(frozen.paged))


def freeze(filter: Filter, max_seq: int | None, last_seq: int, *, is_late: bool = False) -> Frozen:
    """Bound a filter by the end the reader was given, or by the present one; `is_late`: there may be rows above it."""
    end = last_seq if max_seq is None else min(max_seq, last_seq)
    paged = replace(filter, seq_until=end)
    return Frozen(max_seq=end, paged=paged, counted=filter if end == last_seq and not is_late else paged)
