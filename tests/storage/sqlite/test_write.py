"""A range of time becomes a range of seq, by spans that cover every row."""

import contextlib
import random
import sqlite3
from pathlib import Path

import pytest

from storage.query import RecordQuery
from storage.relational.by_id import id_ms
from storage.sqlite import write
from storage.sqlite.store import SqliteStorage
from tests.storage.samples import START_US, make_batch, make_record


async def test_spans_cover_every_row_and_are_few(
    store: SqliteStorage, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small batches share a span until it is long enough, a large batch is one span, and none
    overlap.
    """
    monkeypatch.setattr(write, "SPAN_RECORDS", 20)
    chance = random.Random(3)

    for size in (1, 5, 13, 1, 1, 60, 2, 2):
        records = [
            make_record(started_at_us=START_US + chance.randrange(10**6)) for _ in range(size)
        ]
        await store.commit(make_batch(*records))
    rows = (await store.read(RecordQuery(order="asc", limit=1000))).records

    with contextlib.closing(sqlite3.connect(path)) as connection:
        spans = connection.execute("SELECT * FROM spans ORDER BY last_seq").fetchall()
    assert [(first, last) for last, first, *_ in spans] == [(1, 20), (21, 81), (82, 85)]
    for last, first, *bounds in spans:
        started = [row.started_at_us for row in rows[first - 1 : last]]
        ids = [id_ms(row.id) for row in rows[first - 1 : last]]
        assert bounds == [min(started), max(started), min(ids), max(ids)]
