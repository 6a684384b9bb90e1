"""Positions come back from their rows as they were."""

from storage.record import Position
from storage.relational.writes.positions import POSITION_COLUMNS, position_row, positions_of


def test_positions_are_read_as_they_were_written() -> None:
    """A row has all columns; a database without a type of its own for truth gives numbers back."""
    positions = {
        b"a" * 16: Position(
            offset=4096, taken=7, stored=5, received=9, dropped={"ring_full": 2}, closed=True
        ),
        b"b" * 16: Position(),
    }
    rows = [position_row(source, position) for source, position in positions.items()]
    assert {len(row) for row in rows} == {len(POSITION_COLUMNS.split(", "))}
    assert positions_of(rows) == positions
    assert positions_of([(*row[:-1], int(row[-1])) for row in rows]) == positions
