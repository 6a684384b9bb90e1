"""Rows of a batch, table by table, as they are sent: written once, whatever becomes of the attempt. Pure.

Strategy: what an attempt decides is two columns, `seq` and `attempt`, which are put before the others when it is known.
"""

from collections.abc import Sequence
from typing import Final, Self

from storage.clickhouse.link import Block
from storage.clickhouse.native import Column, Written, write_columns
from storage.clickhouse.writes.group import Follower, HandedRows, Turn

_NUMBERS: Final = ("seq", "attempt")


class Rows:
    """Rows of one table."""

    def __init__(self, table: str, places: Sequence[int], written: Written, numbers: tuple[str, str]) -> None:
        """Hold them.

        Args:
            table: Where they go.
            places: Of each row the place of its record in the batch, from 0.
            written: All columns but what an attempt decides.
            numbers: Names of the columns with the `seq` and with the attempt.
        """
        self.table = table
        self._places = places
        self._written = written
        self._numbers = numbers

    @classmethod
    def write(
        cls, table: str, places: Sequence[int], columns: Sequence[Column], numbers: tuple[str, str] = _NUMBERS
    ) -> Self:
        """Write columns.

        Raises:
            ValueError: A value cannot be held by its column.
            TypeError: The same.
            OverflowError: The same.
        """
        return cls(table, places, write_columns(columns), numbers)

    @classmethod
    def of(cls, handed: HandedRows) -> Self:
        """Take over rows that another writer has written."""
        places = range(handed.places) if isinstance(handed.places, int) else handed.places
        return cls(handed.table, places, Written(handed.names, handed.rows, [handed.data]), handed.numbers)

    @property
    def form(self) -> tuple[str, ...]:
        """Table and columns: rows of the same form go into one insert."""
        return (self.table, *self._numbers, *self._written.names)

    def handed(self) -> HandedRows:
        """Return what another writer needs."""
        places = len(self._places) if isinstance(self._places, range) else list(self._places)
        names, rows, chunks = self._written
        return HandedRows(self.table, places, self._numbers, names, rows, b"".join(chunks))

    def block(self, turn: Turn) -> Block:
        """Return the columns of an attempt."""
        first = turn.first_seq
        is_dense = isinstance(self._places, range)
        seqs = range(first, first + len(self._places)) if is_dense else [first + place for place in self._places]
        seq, attempt = self._numbers
        numbers = [Column(seq, "Int64", seqs), Column(attempt, "UInt64", [turn.attempt] * len(self._places))]
        return [write_columns(numbers), self._written]


def blocks_of(followers: Sequence[Follower]) -> dict[tuple[str, ...], list[Block]]:
    """Return the blocks of batches that are committed along with another, by their form."""
    blocks: dict[tuple[str, ...], list[Block]] = {}
    for turn, batch in followers:
        for rows in map(Rows.of, batch.tables):
            blocks.setdefault(rows.form, []).append(rows.block(turn))
    return blocks
