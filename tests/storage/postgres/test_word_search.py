"""A search for words asks the server some times for many cells: each answer may come from far away."""

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from storage.backends import open_storage
from storage.postgres import connection
from storage.query import Filter, RecordQuery
from storage.record import Batch, Entry, Payload
from storage.relational import slices
from storage.relational.reads.text_index import build, merge
from storage.search.expression import Text
from storage.search.phrase import Phrase
from tests.storage.samples import make_body, make_record

ROWS = 1400
CELL_ROWS = 7
SEGMENT_CELLS = 100
EVERY = 20
"""Each of these has the word: 70 of 200 cells."""


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked on connections that are opened from now on."""
    asked: list[str] = []
    connect = connection.connect

    async def logging(*arguments: Any, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
        opened = await connect(*arguments, **options)
        opened.add_query_logger(lambda query: asked.append(query.query))
        return opened

    monkeypatch.setattr(connection, "connect", logging)
    return asked


def entry_of(number: int) -> Entry:
    """Make a record with a body, and the word in some."""
    word = "seldom" if number % EVERY == 3 else "often"
    return Entry(
        make_record(),
        Payload(b"GET / HTTP/1.1", b"", make_body(b'{"said": "%s"}' % word.encode()), None),
    )


async def test_cells_are_looked_into_together(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statements: list[str]
) -> None:
    """For a word in seventy cells, all found, as few statements as for three slices of rows."""
    monkeypatch.setattr(slices, "SLICE_S", 60.0)  # However slow the machine is, none was slow.
    monkeypatch.setattr(build, "CELL_ROWS", CELL_ROWS)
    monkeypatch.setattr(build, "LEAST_CELLS", SEGMENT_CELLS)
    monkeypatch.setattr(merge, "MAX_CELLS", SEGMENT_CELLS)

    async with await open_storage(url, tmp_path, durability="fast") as store:
        await store.commit(Batch("sidecar-1", [entry_of(number) for number in range(ROWS)]))
        while not (await store.index_text()).is_done:
            pass
        query = RecordQuery(filter=Filter(where=Text(Phrase(("seldom",)))), limit=100)
        await store.read(query)
        statements.clear()
        page = await store.read(query)

    assert page.complete
    assert len(page.records) == ROWS // EVERY
    assert 5 < len(statements) < 30
