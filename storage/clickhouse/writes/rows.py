"""Rows of a batch, table by table, as they are sent: written once, whatever becomes of the attempt. Pure.

Strategy: what an attempt decides is two columns, `seq` and `attempt`, which are put before the others when it is known.
"""

from collections.abc import Sequence
from typing import Final

from storage.clickhouse.native import Column, Written, write_columns
from storage.clickhouse.writes.journal import Turn

_NUMBERS: Final = ("seq", "attempt")


class Rows:
    """Rows of one table."""

    def __init__(
        self, table: str, places: Sequence[int], columns: Sequence[Column], numbers: Sequence[str] = _NUMBERS
    ) -> None:
        """Write them.

        Args:
            table: Where they go.
            places: Of each row the place of its record in the batch, from 0.
            columns: All but what an attempt decides.
            numbers: Names of the columns with the `seq` and with the attempt.

        Raises:
            ValueError: A value cannot be held by its column.
            TypeError: The same.
            OverflowError: The same.
        """
        self.table = table
        self._places = places
        self._names = numbers
        self._written = write_columns(columns)

    def written(self, turn: Turn) -> list[Written]:
        """Return the columns of an attempt."""
        first = turn.first_seq
        is_dense = isinstance(self._places, range)
        seqs = range(first, first + len(self._places)) if is_dense else [first + place for place in self._places]
        seq, attempt = self._names
        numbers = [Column(seq, "Int64", seqs), Column(attempt, "UInt64", [turn.attempt] * len(self._places))]
        return [write_columns(numbers), self._written]
