"""How SQLite walks lists in the order of receipt."""

import sqlite3
from pathlib import Path

import pytest

from storage.query import Filter, RecordQuery, Scope
from storage.record import new_id
from storage.relational.facet_counts import KnownCounts
from storage.relational.reads.page import read_page
from storage.relational.session import run_sync
from storage.relational.writes.remembered import Names
from storage.sqlite.connection import Budget
from storage.sqlite.schema import prepare_reader
from storage.sqlite.session import SqliteSession
from storage.sqlite.store import SqliteStorage
from tests.storage.samples import START_US, make_batch, make_record
from tests.support.filters import make_filter


class RecordingBudget(Budget):
    """Notes how SQLite would run each statement."""

    plans: list[str]

    def execute(
        self,
        connection: sqlite3.Connection,
        sql: str,
        parameters: tuple[object, ...],
        *,
        is_part: bool = False,
    ) -> list[tuple[object, ...]] | None:
        """Note the plan, then run it."""
        rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
        self.plans.append("; ".join(row[3] for row in rows))
        return super().execute(connection, sql, parameters, is_part=is_part)


@pytest.mark.parametrize(
    ("filter", "index"),
    [
        (Filter(), "records_id"),
        (make_filter(scope=Scope(containers=("c",)), is_llm=True), "records_id"),
        (make_filter(projects=("a",)), "records_project_id"),
        (Filter(scope=Scope(projects=("a",)), seq_until=5), "records_project_id"),
        (make_filter(clients=("acme",), routes=("r",), since_us=START_US), "records_route_id"),
    ],
)
async def test_an_index_has_the_rows_in_order(tmp_path: Path, filter: Filter, index: str) -> None:
    """No page sorts, and none looks at rows of other projects, or of other routes."""
    path = tmp_path / "records.db"
    async with await SqliteStorage.open(path, durability="fast") as store:
        names = {
            "project": "a",
            "client": "acme",
            "route_id": "r",
            "container": "c",
            "provider": "p",
        }
        await store.commit(
            make_batch(*(make_record(id=new_id(START_US * 1000, 1, n), **names) for n in range(9)))
        )

    connection = sqlite3.connect(path, isolation_level=None)
    prepare_reader(connection)
    budget = RecordingBudget(10)
    budget.plans = []
    session = SqliteSession(connection, Names(), KnownCounts(), budget)
    page = run_sync(read_page(session, RecordQuery(filter=filter, by="id", limit=3, offset=1)))
    connection.close()
    assert len(page.records) == 3
    assert budget.plans
    for plan in budget.plans:
        assert f"INDEX {index} " in plan, plan
        assert "TEMP B-TREE" not in plan


async def test_a_page_that_is_cut_says_where_to_go_on(tmp_path: Path) -> None:
    """The first slice is read whatever the budget; what follows is found from the cursor on."""
    records = [make_record(id=new_id((START_US - n * 10_000_000) * 1000, 1, n)) for n in range(5)]
    async with await SqliteStorage.open(
        tmp_path / "records.db", durability="fast", read_budget_s=0
    ) as store:
        await store.commit(make_batch(*records))
        after: int | None = None
        found = []

        for _ in range(100):
            page = await store.read(RecordQuery(by="id", limit=10, after=after))
            found += page.records
            after = page.next_after
            if page.complete:
                break

        assert found == records
        skipping = await store.read(RecordQuery(by="id", limit=10, offset=3))
        assert (skipping.records, skipping.complete, skipping.next_after) == ([], False, None)
