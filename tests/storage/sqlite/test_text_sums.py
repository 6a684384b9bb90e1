"""A search is looked for in bodies once, however much is asked of what it finds."""

import random
from pathlib import Path

import pytest

from storage.query import CountQuery, Filter
from storage.record import Batch
from storage.relational import slices
from storage.relational.reads.text_index.narrow import COLUMNS
from storage.sqlite.store import SqliteStorage
from tests.contract.test_storage_text_sums import WORD, make_entry, queries


async def test_rows_are_looked_into_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For totals, groups, latencies, models and steps as for a count; events of calls are looked at
    apart.
    """
    monkeypatch.setattr(slices, "SLICE_S", 60.0)  # However slow the machine is, none was slow.
    chance = random.Random(3)
    asked: list[str] = []
    async with await SqliteStorage.open(
        tmp_path / "records.db", readers=1, durability="fast"
    ) as store:
        await store.commit(
            Batch("sidecar-1", [make_entry(number, chance) for number in range(200)])
        )
        await store._readers[0].run(lambda connection: connection.set_trace_callback(asked.append))

        def exchanges_looked_into() -> int:
            looks = [
                sql
                for sql in asked
                if sql.startswith(f"SELECT {COLUMNS} ") and "kind = 1" not in sql
            ]
            asked.clear()
            return len(looks)

        await store.read(CountQuery(Filter(where=WORD)))
        once = exchanges_looked_into()
        assert once
        for query in queries(WORD, "exchange"):
            await store.read(query)
            assert exchanges_looked_into() == once, query
