"""The newest records of a filter, grouped by a header or by a place in their JSON bodies.

Strategy: pages of records with what is stored of them, newest first, until the time budget ends it:
no row says what a body holds, and no index of values could know which of them will be asked for. A
record without a value is in the group of the reason why (`storage.search.cell`).
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
    most,
)
from storage.query import RecordQuery, TopQuery
from storage.record import Payload, Record
from storage.relational.blocks.portions import body_bytes, portions
from storage.relational.reads.page import read_page, read_payloads
from storage.relational.rollups import cost_nano_usd
from storage.relational.session import Session
from storage.search.cell import group_names

_PAGE: Final = 200
"""Records of a page; between two looks at the clock are those of a portion."""


async def groups(session: Session, by: TopQuery) -> Top:
    """Add up the exchanges of a filter by a field that `is_cell_field`."""
    found = _Groups(by.by)
    after: int | None = None
    while True:
        query = RecordQuery(filter=replace(by.filter, kind="exchange"), limit=_PAGE, after=after)
        page = await read_page(session, query)
        added = await _add(session, found, page.records)

        after = page.next_after
        if (
            after is None
            or not page.complete
            or session.budget.ends_next
            or len(found.rows) >= MAX_GROUPS
        ):
            return found.top(
                is_complete=page.complete and after is None and added == len(page.records)
            )


async def _add(session: Session, found: "_Groups", records: Sequence[Record]) -> int:
    """Add records up, and return how many, which are not all when the budget is over."""
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
        self.rows: dict[Names, TopRow] = {}
        self._field = field
        self._sums: dict[Names, list[float]] = {}
        """Weighed, of `TOP_COUNTS`."""
        self._seen = 0
        self._durations: dict[Names, list[int]] = {}
        """Of the first `EXACT_ROWS`."""

    def add(self, records: Sequence[Record], payloads: Mapping[int, Payload]) -> None:
        for record in records:
            names = group_names(payloads.get(record.seq), self._field)
            row = self.rows.get(names)
            if row is None:
                row = self.rows[names] = TopRow(names)
                self._sums[names] = [0] * len(TOP_COUNTS)
            status = (record.status or 0) // 100
            sizes = (
                record.request_bytes,
                record.response_bytes,
                record.input_tokens or 0,
                record.output_tokens or 0,
            )
            weight = 1 if record.weight == 1 else record.weight
            counts = 1, status == 4, status == 5, *sizes, cost_nano_usd(record)
            self._sums[names] = [
                known + weight * count
                for known, count in zip(self._sums[names], counts, strict=True)
            ]
            one = Latencies.of([record.duration_us])
            row.durations.add(dict.fromkeys(one.counts, weight), one.least_us, one.most_us)
            row.sampled |= weight != 1
            self._seen += 1
            if self._seen <= EXACT_ROWS:
                self._durations.setdefault(names, []).append(record.duration_us)

    def top(self, *, is_complete: bool) -> Top:
        for names, counts in self._sums.items():
            self.rows[names].add(list(map(round, counts)))
        top = Top(
            most(self.rows.values()),
            round(sum(counts[0] for counts in self._sums.values())),
            is_complete,
        )
        if is_complete and self._seen <= EXACT_ROWS and not top.sampled:
            for row in top.rows:
                row.durations.values = sorted(self._durations[row.names])
        return top
