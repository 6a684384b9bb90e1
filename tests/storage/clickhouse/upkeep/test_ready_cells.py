"""Cells of what was just stored: runs that follow each other, bounded, let go where others have taken their rows."""

import pytest

from storage.clickhouse.upkeep import ready_cells
from storage.clickhouse.upkeep.ready_cells import ReadyCells
from storage.record import Entry, Payload
from storage.relational.reads.text_index import fresh
from storage.relational.slices import Range
from tests.storage.samples import make_record

CELL_ROWS = 10


def entries(first: int, last: int) -> list[Entry]:
    """Make records with some `seq`s."""
    made = [Entry(make_record(), Payload(b"GET / HTTP/1.1", b"", None, None)) for _ in range(first, last + 1)]
    for seq, entry in enumerate(made, first):
        entry.record.seq = seq
    return made


async def make(cells: ReadyCells) -> None:
    """Make all that can be made."""
    while await cells.make(1 << 20, CELL_ROWS):
        pass


def spans(cells: ReadyCells, first: int, last: int) -> list[tuple[int, int]]:
    """Tell of which rows the cells are that begin some rows."""
    return [(each.rows.first, each.rows.last) for each in cells.within(Range(first, last))]


async def test_cells_are_made_of_what_follows_each_other() -> None:
    """What is less than one waits for more, and is left to the store where others come between."""
    cells = ReadyCells()
    assert cells.newest_rows.is_empty
    made = entries(1, 25)
    cells.offer(made)
    await make(cells)
    assert (cells.newest_rows, spans(cells, 1, 100)) == (Range(1, 20), [(1, 10), (11, 20)])
    assert [each.ids for each in cells.within(Range(1, 10))] == [b"".join(entry.record.id for entry in made[:10])]
    cells.offer(entries(26, 31))
    await make(cells)
    assert cells.newest_rows == Range(1, 30)
    cells.offer(entries(40, 60))
    await make(cells)
    assert cells.newest_rows == Range(1, 30)
    cells.offer(entries(61, 80))
    await make(cells)
    assert cells.newest_rows == Range(61, 80)
    assert (spans(cells, 1, 29), spans(cells, 2, 100), spans(cells, 61, 100)) == (
        [(1, 10), (11, 20)], [], [(61, 70), (71, 80)],
    )  # fmt: skip
    assert [cells.first_within(Range(*rows)) for rows in ((2, 100), (31, 100), (31, 69), (1, 9))] == [
        11,
        61,
        None,
        None,
    ]


async def test_what_others_have_taken_is_let_go() -> None:
    """A cell goes with any of its rows."""
    cells = ReadyCells()
    cells.drop([Range(1, 5)])
    cells.offer(entries(11, 60))
    await make(cells)
    cells.drop([Range(1, 10), Range(20, 20), Range(45, 46), Range(61, 99)])
    assert (spans(cells, 21, 60), cells.newest_rows) == ([(21, 30), (31, 40)], Range(51, 60))
    cells.drop([Range(1, 99)])
    assert cells.newest_rows.is_empty


async def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest stay; what comes while nobody makes cells is bounded, too."""
    cells = ReadyCells()
    cells.offer(entries(1, 10))
    await make(cells)
    [one] = cells.within(Range(1, 10))
    monkeypatch.setattr(ready_cells, "MAX_BYTES", 3 * one.size_bytes)
    cells.offer(entries(11, 60))
    await make(cells)
    assert cells.newest_rows == Range(31, 60)
    monkeypatch.setattr(fresh, "MAX_RECORDS", 20)
    cells.offer(entries(61, 90))
    await make(cells)
    assert cells.newest_rows == Range(51, 80)
