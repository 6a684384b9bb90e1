"""The index of words where batches bring their part of it: made as it would be of what is stored."""

from typing import Any

import pytest

from storage.record import Batch
from storage.relational.reads.text_index import build, merge
from storage.relational.reads.text_index.texts import cell_of_rows, first_rows
from storage.relational.search.holders import Cell
from storage.relational.slices import Range
from storage.search.index.segment import unpacked
from tests.contract.test_storage_text_index import (
    ROWS,
    celled,
    check,
    check_words,
    entry_of,
    fill,
    holders,
    index,
    small_index,
)
from tests.support.filters import make_filter

__all__ = ["celled", "small_index"]


async def read_back(store: Any, rows: Range) -> set[int]:
    """Make the terms of a cell of what is stored."""

    async def read(session: Any) -> bytes:
        found, _ = await first_rows(session, rows, 1 << 20, rows.size + 1)
        return (await cell_of_rows(session, found, rows)).signature

    return set(unpacked(await store._read(read)))


async def cells_of(store: Any) -> list[Cell]:
    """Read the cells that are in no segment."""
    _, cells = await holders(store)
    return list(cells)


async def test_a_large_batch_brings_its_cells(celled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those that would be made of the store, and nothing is read for them."""
    monkeypatch.setattr(merge, "MAX_CELLS", 1000)
    monkeypatch.setattr(build, "LEAST_CELLS", 1000)
    await index(celled)
    entries = {number: entry_of(number) for number in range(1, ROWS)}
    for first in range(1, ROWS, 40):
        batch = Batch("sidecar-1", [entries[number] for number in range(first, min(first + 40, ROWS))])
        await celled.commit(batch)
        assert (await celled.text_index()).waiting == 0
    cells = await cells_of(celled)
    assert {cell.rows.size for cell in cells[:-1]} <= {5, 7, 4}
    await check(celled, entries)
    await check_words(celled, entries)
    for cell in cells:
        assert set(unpacked(cell.signature)) == await read_back(celled, cell.rows)
    monkeypatch.setattr(merge, "LEAST_CELLS", 4)
    monkeypatch.setattr(merge, "MAX_CELLS", 4)
    monkeypatch.setattr(merge, "_ENOUGH_BYTES", 0)
    await index(celled)
    segments, _ = await holders(celled)
    assert segments
    await check(celled, entries)


async def test_small_batches_between_large_ones_are_read(celled: Any) -> None:
    """Nothing is left uncovered but the newest few."""
    await index(celled)
    entries = await fill(celled, 1, ROWS)
    await index(celled)
    assert (await celled.text_index()).waiting < 7
    await check(celled, entries)
    await check_words(celled, entries)


async def test_batches_bring_nothing_where_no_index_is_made(celled: Any) -> None:
    """Neither before the first step, nor once the index is dropped."""
    await fill(celled, 1, 30)
    assert await holders(celled) == ([], [])
    await index(celled)
    while not (await celled.index_text(is_wanted=False)).is_done:
        pass
    await fill(celled, 31, 60)
    assert await holders(celled) == ([], [])


async def test_an_erasure_beside_a_step_wins(celled: Any) -> None:
    """A cell that was made of what there was before an erasure is not written after it."""
    await fill(celled, 1, 20)
    write = celled._indexer._write

    async def erase_first(work: Any) -> Any:
        celled._indexer._write = write
        await celled.erase(make_filter(kind="all", projects=("a",)))
        return await write(work)

    celled._indexer._write = erase_first
    step = await celled.index_text()
    assert step.is_lost
    assert await holders(celled) == ([], [])
    await fill(celled, 21, 60)
    await index(celled)
    assert (await celled.text_index()).waiting < 7
