"""The values that most of the newest rows of a filter have, added up by the database slice by slice, in its budget."""

from dataclasses import replace
from typing import Any, Final

from storage.aggregates import MAX_GROUPS, TOP_FIELDS, Names, Top, TopRow, most
from storage.query import Filter
from storage.relational.packing import unpack_address
from storage.relational.reads.scan import scan
from storage.relational.rollup_sql import bucket_of
from storage.relational.session import Rows, Session
from storage.relational.sql import DIMENSIONS

_SUMS: Final = (
    "count(*), sum(CASE WHEN status / 100 = 4 THEN 1 ELSE 0 END), sum(CASE WHEN status / 100 = 5 THEN 1 ELSE 0 END), "
    "sum(request_bytes), sum(response_bytes), sum(coalesce(cost_usd, 0))"
)


async def top(session: Session, filter: Filter, by: str) -> Top:
    columns = TOP_FIELDS[by]
    found: dict[tuple[Any, ...], TopRow] = {}
    is_full = False

    def add(rows: Rows) -> bool:
        nonlocal is_full
        for row in rows:
            values = tuple(row[: len(columns)])
            known = found.get(values)
            if known is None:
                known = found[values] = TopRow(())
            known.add(row[len(columns)], row[len(columns) + 1 :])
        is_full = len(found) >= MAX_GROUPS
        return is_full

    places = ", ".join(str(place + 1) for place in range(len(columns) + 1))
    select = f"SELECT {', '.join(columns)}, {bucket_of('duration_us')}, {_SUMS}"
    visible = (await session.state()).visible(replace(filter, kind="exchange"))
    complete = await scan(session, visible, select, f" GROUP BY {places}", add)
    rows = await _named(session, columns, found)
    return Top(most(rows), sum(row.exchanges for row in rows), complete and not is_full)


async def _named(session: Session, columns: tuple[str, ...], found: dict[tuple[Any, ...], TopRow]) -> list[TopRow]:
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
