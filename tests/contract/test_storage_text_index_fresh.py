"""The index of words while it keeps up: made of what was committed a moment ago, as it would be of what is stored."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from storage.query import Filter
from storage.record import Entry
from storage.relational.reads.text_index import build, fresh, merge
from storage.relational.reads.text_index.fresh import cell_of
from storage.relational.reads.text_index.texts import find_texts, read_terms
from storage.relational.search.holders import Cell
from storage.relational.slices import Range
from storage.search.index.segment import unpacked
from tests.contract.test_storage_text_index import (
    ROWS,
    celled,
    check,
    check_words,
    fill,
    holders,
    index,
    small_index,
)
from tests.storage.samples import make_record

__all__ = ["celled", "small_index"]


async def read_back(store: Any, rows: Range) -> set[int]:
    """Make the terms of a cell of what is stored."""

    async def read(session: Any) -> bytes:
        return await read_terms(session, await find_texts(session, rows))

    return set(unpacked(await store._read(read)))


async def test_what_was_committed_a_moment_ago_is_indexed_as_what_is_stored(
    celled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the index keeps up nothing is read for it; its cells are those that would be made of the store."""
    for name in ("LEAST_CELLS", "MAX_CELLS"):
        monkeypatch.setattr(merge, name, 1000)
    await index(celled)
    entries: dict[int, Entry] = {}
    made: list[Range] = []

    def make(some: Sequence[Entry]) -> Cell:
        made.append(Range(some[0].record.seq, some[-1].record.seq))
        return cell_of(some)

    monkeypatch.setattr(build, "cell_of", make)
    for first in range(1, ROWS, 40):
        entries |= await fill(celled, first, first + 39)
        await index(celled)
    await check(celled, entries)
    await check_words(celled, entries)
    _, cells = await holders(celled)
    assert [cell.rows for cell in cells] == made
    assert sum(rows.size for rows in made) > ROWS - 7
    for cell in cells:
        # Stored paths of neighbours are read as one text, so there may be a pair more where one ends.
        terms, stored = set(unpacked(cell.signature)), await read_back(celled, cell.rows)
        assert terms <= stored
        assert len(stored - terms) <= 1


async def test_an_index_that_does_not_keep_up_makes_the_newest_first(
    celled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would read each row that it has missed, at half the pace, and miss more; a gap is read when nothing is new."""
    monkeypatch.setattr(fresh, "MAX_RECORDS", 24)

    async def covered() -> list[Range]:
        segments, cells = await holders(celled)
        rows = [segment.rows for segment in segments] + [cell.rows for cell in cells]
        return sorted(rows, key=lambda rows: rows.first)

    await index(celled)
    entries = await fill(celled, 1, 60)
    await celled.index_text()
    assert [(rows.first, rows.last) for rows in await covered()] == [(1, 7), (8, 14), (15, 21)]
    await celled.index_text()
    entries |= await fill(celled, 61, 120)
    while (rows := await covered())[-1].last < 81:
        await celled.index_text()
    assert sum(each.size for each in rows) < 60
    await check(celled, entries)
    await check_words(celled, entries)
    await index(celled)
    assert sum(each.size for each in await covered()) > 120 - 7
    await check(celled, entries)


async def test_rows_that_are_others_by_now_are_read(celled: Any) -> None:
    """Behind a failover that lost commits their numbers were given to others: those are indexed."""
    await index(celled)
    entries = await fill(celled, 1, 60)
    for number in range(20, 60):
        entries[number].record.id, mine = make_record().id, entries[number].record.id
        entries[number] = Entry(msgspec.structs.replace(entries[number].record, id=mine), entries[number].payload)
    steps = [await celled.index_text() for _ in range(3)]
    assert [step.is_lost for step in steps].count(True) == 1
    await index(celled)
    await check_words(celled, entries)
    _, cells = await holders(celled)
    for cell in cells:
        assert set(unpacked(cell.signature)) <= await read_back(celled, cell.rows)


async def test_who_does_not_index_keeps_nothing(celled: Any) -> None:
    """Neither before the first step, nor once the index is dropped."""

    def is_kept() -> bool:
        return celled._indexer._fresh is not None and celled._indexer._fresh.first_seq is not None

    await fill(celled, 1, 30)
    assert not is_kept()
    await index(celled)
    await fill(celled, 31, 60)
    assert is_kept()
    while not (await celled.drop_text_index()).is_done:
        pass
    await fill(celled, 61, 90)
    assert not is_kept()


@pytest.mark.parametrize("is_fresh", [False, True])
async def test_an_erasure_beside_a_step_wins(celled: Any, *, is_fresh: bool) -> None:
    """A cell that was made of what there was before an erasure is not written after it."""
    if is_fresh:
        await index(celled)
    await fill(celled, 1, 20)
    write = celled._indexer._write

    async def erase_first(work: Any) -> Any:
        celled._indexer._write = write
        await celled.erase(Filter(kind="all", projects=("a",)))
        return await write(work)

    celled._indexer._write = erase_first
    step = await celled.index_text()
    assert step.is_lost
    assert await holders(celled) == ([], [])
    await fill(celled, 21, 60)
    await index(celled)
    assert (await celled.text_index()).waiting < 7
