"""Index keys are coarse, lists are not: order, cursors and bounds are exact across buckets, and
rows stay small.
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.generate import make_record as make_mixed_record
from storage.postgres.index_keys import id_bucket, keys_of, seq_in_parts
from storage.postgres.store import PostgresStorage
from storage.query import Filter, Order, OrderBy, RecordQuery, Scope, matches
from storage.record import Record, new_id, now_us
from storage.relational.by_id import id_ms
from storage.relational.slices import Range
from storage.relational.time_ranges import DAY_US
from tests.storage.samples import make_batch, make_record
from tests.support import postgres
from tests.support.filters import make_filter

ROWS = 3000
"""More than two buckets of `seq`, and 18 of ids."""
MAX_ROW_BYTES = 400
"""A row of metadata with all its indexes."""
PROJECTS, LEVELS = ("p0", "p1", "p2"), ("info", "warn", "error")
FILTERS = (
    Filter(),
    make_filter(projects=("p1",)),
    make_filter(scope=Scope(projects=("p0",)), levels=("warn", "error")),
    make_filter(routes=("r1",), clients=("c",)),
    Filter(seq_after=1000, seq_until=2100),
)

ids = st.integers(0, (1 << 128) - 1)


@given(ids, ids)
def test_buckets_rise_with_ids(one: int, other: int) -> None:
    """Whatever the ids, the order of buckets and then of ids is that of ids."""
    small, large = sorted((UUID(int=one), UUID(int=other)))
    buckets = [id_bucket(id_ms(each.bytes)) for each in (small, large)]
    assert (buckets[0], small) <= (buckets[1], large)
    assert buckets[0] < 1 << 31


@pytest.fixture
async def mixed(store: PostgresStorage) -> list[Record]:
    """Rows of some projects, levels and routes, committed in another order than they were received
    in.
    """
    chance = random.Random(7)
    start_us = now_us() - 600_000_000
    numbers = sorted(range(ROWS), key=lambda number: number + chance.random() * 400)
    records = []

    for number in numbers:
        started_at_us = start_us + number * 100_000
        values = {
            "project": chance.choice(PROJECTS),
            "level": chance.choice(LEVELS),
            "route_id": f"r{number % 4}",
        }
        record_id = new_id(started_at_us * 1000, 7, number)
        records.append(make_record(id=record_id, started_at_us=started_at_us, client="c", **values))

    for first in range(0, ROWS, 700):
        await store.commit(make_batch(*records[first : first + 700]))

    return records


async def collected(store: PostgresStorage, query: RecordQuery) -> list[bytes]:
    """Read all pages of a query; answers the ids."""
    found: list[bytes] = []
    while True:
        page = await store.read(query)
        assert page.complete
        found += [record.id for record in page.records]
        if page.next_after is None:
            return found
        query = replace(query, after=page.next_after)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("by", ["seq", "id"])
async def test_pages_join_across_buckets(
    store: PostgresStorage, mixed: list[Record], by: OrderBy, order: Order
) -> None:
    """Every filter's pages, one behind the other, are its rows in order, none twice."""
    for filter in FILTERS:
        kept = [record for record in mixed if matches(filter, record)]
        expected = sorted(
            kept,
            key=lambda record: record.seq if by == "seq" else record.id,
            reverse=order == "desc",
        )
        query = RecordQuery(filter=filter, by=by, order=order, limit=271)
        assert await collected(store, query) == [record.id for record in expected]
        assert len(expected) > 600


async def test_rows_of_some_ranges_are_read_without_those_beside_them(
    store: PostgresStorage, mixed: list[Record], other: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Of ranges of some dozens of rows, as cells of the index of words are, at most thirty-two at
    each end too many.
    """
    ranges = [Range(first, first + 39) for first in (100, 1000, 1500, 2300, 2900)]
    condition = seq_in_parts("$1", "$2", "$3")
    values = keys_of(ranges), [rows.first for rows in ranges], [rows.last for rows in ranges]
    found = await other.fetch(f"SELECT seq FROM sidelog.records WHERE {condition}", *values)
    assert sorted(seq for (seq,) in found) == [
        seq for rows in ranges for seq in range(rows.first, rows.last + 1)
    ]
    for step in ("seqscan", "hashjoin", "mergejoin"):  # Of so few rows it would read all.
        await other.execute(f"SET enable_{step} = off")
    for filtered in (condition, f"project IS NOT NULL AND {condition}"):
        sql = f"EXPLAIN (ANALYZE, FORMAT json) SELECT * FROM sidelog.records WHERE {filtered}"
        [(plan,)] = await other.fetch(sql, *values)
        assert sum(removed(orjson.loads(plan)[0]["Plan"])) <= 2 * 32 * len(ranges)


def removed(plan: dict[str, Any]) -> Iterator[float]:
    """List how many rows each step of a plan reads for nothing."""
    yield plan.get("Rows Removed by Filter", 0) * plan["Actual Loops"]
    for step in plan.get("Plans", ()):
        yield from removed(step)


async def test_a_row_with_its_indexes_stays_small(
    store: PostgresStorage, other: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """The rows of the benches' mixed service, each with a project, a client, a key or a model now
    and then.
    """
    rows = 24_000
    batch = 3000
    # Each day has tables of its own, so rows on both sides of midnight would fill two of them.
    yesterday_noon_us = now_us() // DAY_US * DAY_US - DAY_US // 2
    for first in range(0, rows, batch):
        records = [
            make_mixed_record(number, rows, 0.03, yesterday_noon_us)
            for number in range(first, first + batch)
        ]
        await store.commit(make_batch(*records))

    size = await postgres.size_of_rows(other)
    assert size / rows < MAX_ROW_BYTES
