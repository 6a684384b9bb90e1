"""How many exchanges of a filter had each value of a field, step by step in time: the shape behind a top list."""

from dataclasses import replace
from operator import add as add_numbers
from typing import Any

from storage.aggregates import MAX_GROUPS, TOP_FIELDS, Names, TopSeries
from storage.query import Filter
from storage.relational.reads.scan import scan
from storage.relational.reads.top import names_of, values_of
from storage.relational.session import Rows, Session
from storage.relational.tally import within
from storage.relational.time_ranges import steps


async def series(session: Session, filter: Filter, by: str, since_us: int, until_us: int, buckets: int) -> TopSeries:
    columns = TOP_FIELDS[by]
    found: dict[tuple[Any, ...], list[int]] = {}
    step, starts = steps(since_us, until_us, buckets, is_long=False)
    if not starts:
        return TopSeries(since_us, step, {}, complete=True)

    def add(rows: Rows) -> bool:
        for place, *values, count in rows:
            key = values_of(values)
            if key not in found:
                found[key] = [0] * len(starts)
            found[key][place] += count
        return len(found) >= MAX_GROUPS

    mark = session.dialect.mark
    select = f"SELECT (started_at_us - {mark(1)}) / {mark(2)}, {', '.join(columns)}, count(*)"
    places = ", ".join(str(place + 1) for place in range(len(columns) + 1))
    wanted = (await session.state()).visible(replace(within(filter, since_us, until_us), kind="exchange"))
    complete = await scan(session, wanted, select, f" GROUP BY {places}", add, before=(starts[0], step))
    names = await names_of(session, columns, found.keys())
    counts: dict[Names, list[int]] = {}
    for group, numbers in found.items():
        known = counts.get(names[group])
        counts[names[group]] = numbers if known is None else list(map(add_numbers, known, numbers))
    return TopSeries(starts[0], step, counts, complete and len(found) < MAX_GROUPS)
