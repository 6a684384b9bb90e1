"""How SQLite walks lists in the order of receipt."""

from pathlib import Path

import pytest

from storage.query import Filter, RecordQuery, Scope
from storage.record import new_id
from storage.sqlite.store import SqliteStorage
from tests.storage.samples import START_US, make_batch, make_record
from tests.support.filters import make_filter


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
async def test_an_index_has_the_rows_in_order(
    store: SqliteStorage, plans: list[list[str]], filter: Filter, index: str
) -> None:
    """No page sorts, and none looks at rows of other projects, or of other routes."""
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

    plans.clear()
    page = await store.read(RecordQuery(filter=filter, by="id", limit=3, offset=1))
    assert len(page.records) == 3
    assert plans
    for plan in plans:
        steps = "; ".join(plan)
        assert f"INDEX {index} " in steps
        assert "TEMP B-TREE" not in steps


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
