"""Use of language models in Postgres: whole hours from a small rollup, the rest from the rows of LLM calls."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

from storage.aggregates import ModelUsage
from storage.postgres.connection import Budget, Connection
from storage.postgres.dictionary import Names
from storage.postgres.scan import scan
from storage.postgres.state import State
from storage.postgres.tiers import has_rollups, rollup_where
from storage.query import Filter
from storage.relational.rollups import OTHER, Limits
from storage.relational.sql import texts
from storage.relational.time_ranges import Hours, hours_around, split
from storage.relational.usage import (
    DIMENSIONS,
    MEASURES,
    OTHERS,
    TABLE,
    UsageSums,
    UsageTally,
    calls_of,
    can_count,
    conditioned,
    is_counted,
    scanned,
)

_KEYS: Final = ("hour", *DIMENSIONS, "instance")
_ARRAYS: Final = ", ".join(f"${place}::bigint[]" for place in range(1, len(_KEYS) + len(MEASURES) + 1))
_MERGE: Final = (
    f"INSERT INTO sidelog.{TABLE} AS known ({', '.join((*_KEYS, *MEASURES))}) SELECT * FROM unnest({_ARRAYS}) "
    f"ON CONFLICT ({', '.join(_KEYS)}) DO UPDATE SET "
    + ", ".join(f"{measure} = known.{measure} + excluded.{measure}" for measure in MEASURES)
)
_CAP: Final = "UPDATE sidelog.state SET capped_dimensions = capped_dimensions | $1 WHERE capped_dimensions & $1 <> $1"
_COUNTED_APART: Final = f"SELECT DISTINCT {', '.join(DIMENSIONS)} FROM sidelog.{TABLE} WHERE hour = $1"
_SCANNED: Final = scanned("sidelog.")


async def merge(connection: Connection, sums: UsageSums, limits: Limits, instance: int, *, sign: int = 1) -> None:
    """Add sums to the table, inside the batch's transaction; take them off with a sign of -1."""
    for hour in limits.unknown(sums.hours):
        limits.learn(hour, await connection.fetch(_COUNTED_APART, hour))
    rows, capped = sums.admitted(limits)
    if capped:
        await connection.execute(_CAP, capped)
    written = [(*key, instance, *(sign * measure for measure in measures)) for key, measures in sorted(rows.items())]
    if written:
        await connection.execute(_MERGE, *map(list, zip(*written, strict=True)))


async def drop_empty(connection: Connection, hours: Sequence[int]) -> None:
    """Delete sums that have come down to nothing."""
    await connection.execute(f"DELETE FROM sidelog.{TABLE} WHERE hour = ANY($1::bigint[]) AND calls = 0", hours)


async def delete_before(connection: Connection, hour: int) -> None:
    """Delete sums of hours before one."""
    await connection.execute(f"DELETE FROM sidelog.{TABLE} WHERE hour < $1", hour)


async def usage(
    connection: Connection, filter: Filter, state: State, newest_us: int | None, names: Names, budget: Budget
) -> tuple[list[ModelUsage] | None, bool]:
    """Tell the usage of a filter that is visible, in a transaction that sees `state`.

    Returns:
        The models, None when only a scan could tell and other figures need none; and whether that is all.
    """
    if filter.kind == "event":
        return [], True
    tally, edges, complete = UsageTally(), [filter], True
    if can_count(filter, texts(filter), state.capped_dimensions):
        cut = split(filter, newest_us)
        edges = cut.edges
        await _add_hours(connection, filter, cut.hours, tally)
    elif has_rollups(state, filter) or is_counted(filter):
        return None, True
    for edge in edges:
        complete &= await _add_rows(connection, edge, state, tally, budget)
    text = await names.load(connection, {number or None for number in tally.ids - {OTHER}})
    return tally.models({**text, 0: None, OTHER: OTHERS}), complete


async def _add_hours(connection: Connection, filter: Filter, hours: Hours, tally: UsageTally) -> None:
    where = await rollup_where(connection, conditioned(filter))
    if where is None or hours.is_empty:
        return
    sums = ", ".join(f"sum({measure})::bigint" for measure in MEASURES)
    number = len(where.parameters) + 1
    sql = (
        f"SELECT provider, model, {sums} FROM sidelog.{TABLE} "
        f"WHERE {where.text} AND hour >= ${number} AND hour < ${number + 1} GROUP BY 1, 2"
    )
    for provider, model, *measures in await connection.fetch(sql, *where.parameters, *hours.bounds):
        tally.add(provider, model, measures)


async def _add_rows(connection: Connection, filter: Filter, state: State, tally: UsageTally, budget: Budget) -> bool:
    around = hours_around(filter.since_us, filter.until_us)
    sql = f"SELECT FROM sidelog.{TABLE} WHERE hour >= $1 AND hour < $2 LIMIT 1"
    if await connection.fetchrow(sql, *around.bounds) is None:
        return True  # nobody called a model in those hours
    parts = scan(connection, calls_of(filter), state, _SCANNED, " GROUP BY 1, 2", budget)
    async with aclosing(parts):
        async for rows in parts:
            if rows is None:
                return False
            for provider, model, *measures in rows:
                tally.add(provider, model or 0, map(int, measures))
    return True
