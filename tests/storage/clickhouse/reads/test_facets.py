"""Values of several facets are counted in one pass over the rows, unless they have too many combinations."""

from collections import Counter

import pytest

from storage.clickhouse.store import ClickhouseStorage
from storage.query import Filter
from storage.record import Batch, Entry
from storage.relational.reads import facets
from tests.storage.samples import make_record
from tests.support.clickhouse import Server

_NAMES = ("service", "project", "key", "method", "level", "status")


@pytest.mark.parametrize("most", [facets._MAX_COMBINATIONS, 1])
async def test_counts_do_not_depend_on_the_passes(engine: Server, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """In one pass or in one for each facet."""
    monkeypatch.setattr(facets, "_MAX_COMBINATIONS", most)
    records = [
        make_record(service=f"s{number % 2}", project=f"p{number % 3}", key_id=f"k{number % 4}", method="GET")
        for number in range(12)
    ]
    async with await ClickhouseStorage.open(engine.address(engine.database())) as storage:
        await storage.commit(Batch("a", [Entry(record) for record in records]))
        found = await storage.facets(Filter(), _NAMES)
    counts = {name: {value.value: value.count for value in values} for name, values in found.items()}
    assert counts["service"] == Counter(record.service for record in records)
    assert counts["project"] == Counter(record.project for record in records)
    assert counts["key"] == Counter(record.key_id for record in records)
    assert counts["method"] == {"GET": 12}
    assert counts["level"] == Counter(record.level for record in records)
    assert list(counts["status"].values()) == [12]
