"""The newest exchanges and calls of a filter, grouped by a header or by a place in their JSON
bodies.

Strategy: records are read in pages with their payloads, newest first, until the time budget ends:
no column or index has such values. A record without a value is in the group of the reason
(`storage.search.cell`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from storage.aggregates import (
    EXACT_ROWS,
    MAX_GROUPS,
    TOP_COUNTS,
    Latencies,
    Names,
    Top,
    TopRow,
    top_of,
)
from storage.query import RecordQuery, TopQuery
from storage.record import Payload, Record
from storage.relational.blocks.portions import body_bytes, portions
from storage.relational.reads.aggregate import HAS_USAGE, GroupSums
from storage.relational.reads.page import read_page, read_payloads
from storage.relational.rollups import cost_nano_usd
from storage.relational.session import Session
from storage.relational.usage import with_calls
from storage.search.cell import group_names
from storage.search.expression import both

_PAGE: Final = 200
"""Records of a page."""


async def groups(session: Session, query: TopQuery) -> Top:
    """Add up the exchanges of a filter, and calls that are events, by a field that `is_cell_field`."""
    found = _Groups(query.by)
    filter = replace(with_calls(query.filter), where=both(query.filter.where, HAS_USAGE))
    pages = RecordQuery(filter=filter, limit=_PAGE)
    while True:
        page = await read_page(session, pages)
        added = await _add(session, found, page.records)

        is_last = page.next_after is None
        is_over = session.budget.ends_next or len(found.found) >= MAX_GROUPS
        if is_last or is_over or not page.complete:
            is_whole = added == len(page.records)
            return found.top(is_complete=page.complete and is_last and is_whole)

        pages = replace(pages, after=page.next_after)


async def _add(session: Session, found: "_Groups", records: Sequence[Record]) -> int:
    """Add records until the budget is spent; return how many."""
    added = 0
    for some in portions(records, _PAGE, body_bytes):
        payloads = await read_payloads(session, [record.seq for record in some])
        await session.aside(partial(found.add, some, payloads))
        added += len(some)
        if session.budget.ends_next:
            break

    return added


class _Groups:
    def __init__(self, field: str) -> None:
        self.found: dict[Names, GroupSums] = {}
        """The sums of `TOP_COUNTS`, and durations."""
        self._field = field
        self._sampled: set[Names] = set()
        self._seen = 0
        self._durations: dict[Names, list[int]] = {}
        """Durations of the first `EXACT_ROWS` records."""

    def add(self, records: Sequence[Record], payloads: Mapping[int, Payload]) -> None:
        for record in records:
            names = group_names(payloads.get(record.seq), self._field)
            group = self.found.get(names)
            if group is None:
                group = self.found[names] = GroupSums([0] * len(TOP_COUNTS), [Latencies()])

            # Whole numbers stay exact if no record stands for several.
            weight = 1 if record.weight == 1 else record.weight
            group.add([weight * count for count in _counts(record)])
            if record.kind == "event":
                continue

            if weight != 1:
                self._sampled.add(names)
            self._seen += 1
            durations = self._durations.setdefault(names, [])
            latency_us = record.latency_us
            if latency_us is None:
                continue

            one = Latencies.of([latency_us])
            group.latencies[0].add(dict.fromkeys(one.counts, weight), one.least_us, one.most_us)
            if self._seen <= EXACT_ROWS:
                durations.append(latency_us)

    def top(self, *, is_complete: bool) -> Top:
        rows = [
            TopRow.of(names, group.counts, group.latencies[0], sampled=names in self._sampled)
            for names, group in self.found.items()
        ]
        exchanges = round(sum(group.sums[0] for group in self.found.values()))
        is_exact = is_complete and self._seen <= EXACT_ROWS and not self._sampled
        return top_of(rows, exchanges, self._durations if is_exact else {}, complete=is_complete)


def _counts(record: Record) -> tuple[int, ...]:
    """Return the `TOP_COUNTS` of a record: of an event that is a call only its usage."""
    usage = record.input_tokens or 0, record.output_tokens or 0, cost_nano_usd(record)
    if record.kind == "event":
        return 0, 0, 0, 0, 0, *usage

    status_class = (record.status or 0) // 100
    sizes = record.request_bytes, record.response_bytes
    return 1, status_class == 4, status_class == 5, *sizes, *usage
