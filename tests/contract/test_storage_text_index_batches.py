"""The index of words where batches bring their part of it: made as it would be of what is stored."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from storage.errors import StorageUnavailable
from storage.record import Batch, Entry, Position
from storage.relational.reads.text_index import batch_cells, build, merge
from storage.relational.reads.text_index.cells import Cell
from storage.relational.reads.text_index.making import CellMaking
from storage.relational.reads.text_index.texts import cell_of_rows, first_rows
from storage.relational.slices import Range
from storage.writer.backlog import BacklogLimits
from storage.writer.pending_batch import SourceRun
from storage.writer.writer import Writer
from tests.contract.test_storage_text_index import (
    ROWS,
    celled,
    check,
    check_words,
    commit,
    entry_of,
    fill,
    holders,
    index,
    small_index,
)
from tests.storage.samples import make_record
from tests.support.filters import make_filter
from tests.support.listeners import Listener
from tests.support.signatures import rows_by_term

__all__ = ["celled", "small_index"]


async def read_back(store: Any, rows: Range) -> dict[int, set[int]]:
    """Make the terms of a cell of what is stored."""

    async def read(session: Any) -> bytes:
        found, _ = await first_rows(session, rows, 1 << 20, rows.size + 1)
        return (await cell_of_rows(session, found, rows)).signature

    return rows_by_term(await store._read(read))


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
        await commit(celled, [entries[number] for number in range(first, min(first + 40, ROWS))])
        assert (await celled.text_index()).waiting == 0
    cells = await cells_of(celled)
    assert {cell.rows.size for cell in cells[:-1]} <= {5, 7, 4}
    await check(celled, entries)
    await check_words(celled, entries)
    for cell in cells:
        assert rows_by_term(cell.signature) == await read_back(celled, cell.rows)
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
    """They wait for the first step."""
    await fill(celled, 1, 30)
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


RING = b"r" * 16


async def write(store: Any, directory: Path, entries: Sequence[Entry]) -> Writer:
    """Have a writer settle entries as one batch, whatever the store does with it."""
    limits = BacklogLimits(max_records=len(entries))
    writer = Writer(
        store, instance="sidecar-1", quarantine_directory=directory / "quarantine", limits=limits
    )
    writer.subscribe(Listener())
    positions = [Position(count, count, count) for count in range(1, len(entries) + 1)]

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(writer.run())
        writer.extend(list(entries), 100, SourceRun(RING, positions))
        assert await writer.close(60.0) == 0

    return writer


def count_cells(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Note which cells are made: how many entries, and from which on."""
    noted: list[tuple[int, int]] = []
    cell_of = batch_cells.cell_of

    def counted(entries: Sequence[Entry], first: int) -> Cell:
        noted.append((len(entries), first))
        return cell_of(entries, first)

    monkeypatch.setattr(batch_cells, "cell_of", counted)
    return noted


async def test_a_commit_that_is_tried_again_has_the_cells_of_the_first(
    celled: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are made once, and cover the records with whichever attempt stores them."""
    await index(celled)
    entries = {number: entry_of(number) for number in range(1, 36)}
    made = count_cells(monkeypatch)
    commit_now = celled.commit

    async def refuse(batch: Batch) -> int:
        celled.commit = commit_now
        raise StorageUnavailable("for the test")

    celled.commit = refuse
    writer = await write(celled, tmp_path, list(entries.values()))
    assert writer.counters.batches["retried"] == 1
    assert made == [(7, first) for first in range(0, 35, 7)]
    assert [cell.rows for cell in await cells_of(celled)] == [
        Range(first, first + 6) for first in range(1, 36, 7)
    ]
    await check(celled, entries)
    await check_words(celled, entries)


async def test_parts_of_a_refused_batch_have_cells_of_their_own(
    celled: Any, tmp_path: Path
) -> None:
    """Each is cut for itself, down to the record that is refused: its id is stored already."""
    await index(celled)
    first = entry_of(1)
    await commit(celled, [first])
    refused = Entry(make_record(id=first.record.id))
    entries = {number: entry_of(number) for number in range(2, 38)}
    writer = await write(
        celled, tmp_path, [*list(entries.values())[:20], refused, *list(entries.values())[20:]]
    )
    assert writer.counters.records_quarantined == 1
    cells = await cells_of(celled)
    assert sum(cell.rows.size for cell in cells) >= 28
    for cell in cells:
        assert rows_by_term(cell.signature) == await read_back(celled, cell.rows)
    entries[1] = first
    await check(celled, entries)
    await check_words(celled, entries)


async def test_cells_that_take_too_long_keep_no_batch_waiting(
    celled: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stored without them, the store is there all the time, and the index is made behind."""
    await index(celled)
    go_on = threading.Event()
    cell_of = batch_cells.cell_of

    def stuck(entries: Sequence[Entry], first: int) -> Cell:
        assert go_on.wait(60)
        return cell_of(entries, first)

    monkeypatch.setattr(batch_cells, "cell_of", stuck)
    celled._indexer._making = CellMaking(0.01)
    entries = {number: entry_of(number) for number in range(1, 36)}
    writer = await write(celled, tmp_path, list(entries.values()))
    assert (writer.counters.batches["stored"], writer.counters.batches["retried"]) == (1, 0)
    assert await cells_of(celled) == []
    await check(celled, entries)
    go_on.set()
    await index(celled)
    assert (await celled.text_index()).waiting < 7
    await check_words(celled, entries)
