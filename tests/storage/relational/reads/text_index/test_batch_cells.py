"""The cells of a batch: it has enough records for them, and they have all words."""

from storage.base import Prepared
from storage.record import Batch, Entry, Payload
from storage.relational.reads.text_index.batch_cells import (
    PreparedCells,
    cell_of,
    cells_in,
    cells_of,
    has_cells,
)
from storage.search.index.hashes import term
from storage.search.index.segment import rows_in
from tests.storage.samples import START_US, make_body, make_record


def entries(count: int, size: int = 0) -> list[Entry]:
    """Make records with so many bytes of text each; with none they have no payload."""
    payload = Payload(b"x" * size, b"", None, None) if size else None
    return [Entry(make_record(path=None, user_agent=None), payload) for _ in range(count)]


def rows(made: list[Entry], cell_bytes: int = 100, max_rows: int = 1000) -> list[tuple[int, int]]:
    """Return the first and the last row of each cell."""
    if not has_cells(made, cell_bytes, max_rows):
        return []
    return [(cell.rows.first, cell.rows.last) for cell in cells_of(made, cell_bytes, max_rows)]


def test_a_batch_is_cut_into_cells_alike() -> None:
    """Three quarters of a cell's text suffice for one; cells cover all rows of a batch."""
    assert rows([]) == []
    assert rows(entries(7, 10)) == []
    assert rows(entries(8, 10)) == [(0, 7)]
    assert rows(entries(19, 10)) == [(0, 18)]
    assert rows(entries(25, 10)) == [(0, 12), (13, 24)]
    assert rows(entries(1, 500)) == [(0, 0)]


def test_many_rows_are_enough_for_a_cell() -> None:
    """A cell has a limit of rows, however little text they have: each has a number of its own."""
    assert rows(entries(9), max_rows=10) == []
    assert rows(entries(10), max_rows=10) == [(0, 9)]
    assert rows(entries(25), max_rows=10) == [(0, 8), (9, 17), (18, 24)]


def test_a_cell_has_the_words_of_its_records() -> None:
    """Words are those of path, query, error, heads and bodies; the newest body's start is kept."""
    made = entries(3)
    made[0].record.path = "/caf%C3%A9/1"
    made[0].record.query = "name=two"
    made[0].record.error_type = "three_times"
    head = make_body(b'{"five": "\\u00fcber six"}')
    tail = make_body(b"seven", b"eight")
    made[1].payload = Payload(b"GET /four HTTP/1.1", b"HTTP/1.1 200 Eleven", head, tail)
    made[2].payload = Payload(b"GET /nine HTTP/1.1", b"", None, None)
    for entry, started in zip(made, (30, 10, 20), strict=True):
        entry.record.started_at_us = START_US + started
    cell = cell_of(made, 7)
    assert (cell.rows.first, cell.rows.last, cell.newest_body_us) == (7, 9, START_US + 10)
    for row, words in enumerate(
        (
            ("café", "two", "three_times"),
            ("four", "five", "über", "six", "seven", "eight", "eleven"),
            ("nine",),
        )
    ):
        for word in words:
            assert rows_in(cell.signature, term(word)) == 1 << row, word

    assert rows_in(cell.signature, term("get")) == 0b110
    assert not rows_in(cell.signature, term("ten"))
    assert cell_of(made[2:], 9).newest_body_us == 0


def test_a_batch_has_the_cells_that_were_prepared_for_it() -> None:
    """It has none if nothing was prepared, or by another store; their size is that of hashes."""
    made = [cell_of(entries(1, size), 0) for size in (10, 20)]
    prepared = PreparedCells.of(made)
    assert prepared.size_bytes == len(made[0].signature) + len(made[1].signature) > 0
    assert list(cells_in(Batch("sidecar-1", [], prepared=prepared))) == made
    assert not cells_in(Batch("sidecar-1", [], prepared=Prepared()))
    assert not cells_in(Batch("sidecar-1", []))
