"""The values that most of the newest rows of a filter have, added up by the database slice by slice, in its budget."""

from dataclasses import replace
from typing import Any, Final

from storage.aggregates import MAX_GROUPS, TOP_FIELDS, Names, Top, TopRow, most
from storage.query import Filter
from storage.relational.packing import unpack_address
from storage.relational.reads.few import few_exchanges
from storage.relational.reads.scan import scan
from storage.relational.session import Rows, Session
from storage.relational.sql import DIMENSIONS

_SUMS: Final = "sum(request_bytes), sum(response_bytes), sum(coalesce(cost_usd, 0)), min(duration_us), max(duration_us)"

Groups = dict[tuple[Any, ...], TopRow]
"""Values as they are stored → what came of their records."""


async def top(session: Session, filter: Filter, by: str) -> Top:
    columns = TOP_FIELDS[by]
    found: Groups = {}
    is_full = False

    def add(rows: Rows) -> bool:
        nonlocal is_full
        for row in rows:
            values = tuple(row[: len(columns)])
            known = found.get(values)
            if known is None:
                known = found[values] = TopRow(())
            bucket, *counts, least_us, most_us = row[len(columns) :]
            known.add(counts)
            known.durations.add({bucket: counts[0]}, least_us, most_us)
        is_full = len(found) >= MAX_GROUPS
        return is_full

    dialect = session.dialect
    select = (
        f"SELECT {', '.join(columns)}, {dialect.bucket('duration_us')} AS duration_bucket, count(*), "
        f"{_count_if(f'{dialect.status_class} = 4')}, {_count_if(f'{dialect.status_class} = 5')}, {_SUMS}"
    )
    visible = (await session.state()).visible(replace(filter, kind="exchange"))
    complete = await scan(session, visible, select, f" GROUP BY {', '.join(columns)}, duration_bucket", add)
    complete &= not is_full
    seen = sum(row.exchanges for row in found.values())
    if complete:
        await _measure_few(session, visible, columns, found, seen)
    return Top(most(await named(session, columns, found)), seen, complete)


def _count_if(condition: str) -> str:
    return f"sum(CASE WHEN {condition} THEN 1 ELSE 0 END)"


async def _measure_few(
    session: Session, filter: Filter, columns: tuple[str, ...], found: Groups, exchanges: int
) -> None:
    """Read the latencies of few exchanges, which are then exact."""
    select = f"SELECT {', '.join(columns)}, duration_us"
    rows = await few_exchanges(session, filter, exchanges, select, is_counted=False)
    values: dict[tuple[Any, ...], list[int]] = {}
    for *names, duration_us in rows or ():
        values.setdefault(tuple(names), []).append(duration_us)
    if values.keys() == found.keys():
        for names, row in found.items():
            row.durations.values = sorted(values[names])


async def named(session: Session, columns: tuple[str, ...], found: Groups) -> list[TopRow]:
    """Give rows the names that their values stand for; they stay in their order."""
    coded = [place for place, column in enumerate(columns) if column in DIMENSIONS]
    text = await session.text_of({values[place] for values in found for place in coded if values[place]})

    def name(column: str, value: Any) -> str | None:
        if value is None or value == 0:
            return None
        if column in DIMENSIONS:
            return text[value]
        if column == "client_ip":
            value = unpack_address(value)
        return session.dialect.unescape(str(value))

    for values, row in found.items():
        names: Names = tuple(name(column, value) for column, value in zip(columns, values, strict=True))
        row.names = names
    return list(found.values())
