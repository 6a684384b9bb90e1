"""Delete repeated texts after the size cap has deleted their rows, without waiting for retention to
delete the day.

Strategy: no index tells which rows use a text. Texts of deleted rows wait until enough have
gathered for a search. Then the remaining rows are read, some with each slice, and texts that none
of them uses are deleted. Rows of new batches are read as well before anything is deleted. If the
process ends, the waiting texts are forgotten, and retention deletes them with their day.

Invariant: this runs in the transaction of a slice, and a text is deleted only after every remaining
row was read. All other users of these columns are sums, and tool calls, of remaining rows.
"""

import sqlite3
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from storage.record import Record
from storage.relational.writes.packing import COLUMNS
from storage.sqlite.codec import Row
from storage.sqlite.connection import ID_AMONG, number_list

_TEXTS: Final = (
    "host", "user_agent", "user_id", "project", "method", "model", "resolved_model", "redactions",
    "message",
)  # fmt: skip
"""Columns with an unbounded number of values from clients."""
_PLACES: Final = tuple((column, COLUMNS.index(column)) for column in _TEXTS)
_USED: Final = f"SELECT {', '.join(_TEXTS)} FROM records WHERE seq > ? AND seq <= ?"
_USED_BY_CALLS: Final = (
    "SELECT DISTINCT project FROM tool_calls WHERE record_seq > ? AND record_seq <= ?"
)
_ENDS: Final = "SELECT (SELECT min(seq) FROM records), (SELECT max(seq) FROM records)"
"""One index look-up each; both in one query would read the table."""
_DELETE: Final = f"DELETE FROM dictionary WHERE {ID_AMONG}"

WAITING_SHARE: Final = 64
"""Fraction of the file (1/64) that waiting texts may occupy before a search starts."""
_MAX_WAITING: Final = 50_000
"""Most texts that wait; their numbers take 8 MB."""
STEP_ROWS: Final = 10_000
"""Rows read with one slice, in about 10 ms."""
STEP_TEXTS: Final = 20
"""Texts deleted with one slice in addition to twice the number it added. Few, as the journal holds
their pages.
"""
_ENTRY_BYTES: Final = 60
"""Size of a text's entry in the table and its indexes, without its two copies."""


class UnusedTexts:
    """Texts of deleted rows, until they are deleted or found to be in use."""

    def __init__(self, on_deleted: Callable[[], None]) -> None:
        """`on_deleted` is called before the deletion of ids is committed, as a writer may remember
        them.
        """
        self._on_deleted = on_deleted
        self._waiting: dict[int, int] = {}
        self._waiting_bytes = 0
        self._searched: set[int] = set()
        """Texts that no row up to `_through_seq` uses."""
        self._through_seq = 0

    def forget(self) -> None:
        """Forget all texts, because a transaction failed and its rows are back."""
        self._waiting.clear()
        self._waiting_bytes = 0
        self._searched.clear()

    def take(
        self,
        connection: sqlite3.Connection,
        rows: Iterable[Row],
        records: Iterable[Record],
        *,
        may_search: bool = True,
    ) -> None:
        """Add the texts of deleted rows, the oldest ones, and continue the search if there is time.

        `rows` are in the order of `COLUMNS`, and `records` their decoded form. Call it in the
        transaction that deleted them.
        """
        most = STEP_TEXTS + 2 * self._note(rows, records)
        if not may_search or (not self._searched and not self._is_worth(connection)):
            return

        first, last = connection.execute(_ENDS).fetchone()
        if first is None:
            return

        if not self._searched:
            self._searched = set(self._waiting)
            self._through_seq = first - 1
            self._waiting.clear()
            self._waiting_bytes = 0

        if self._searched:
            self._search(connection, last)
        if self._searched and self._through_seq == last:
            self._delete(connection, most)

    def _note(self, rows: Iterable[Row], records: Iterable[Record]) -> int:
        before = len(self._waiting)
        for row, record in zip(rows, records, strict=True):
            for column, place in _PLACES:
                number = row[place]
                text = getattr(record, column)
                if text is None or number in self._searched or len(self._waiting) >= _MAX_WAITING:
                    continue

                if number not in self._waiting:
                    size = self._waiting[number] = _ENTRY_BYTES + 2 * len(str(text))
                    self._waiting_bytes += size

        return len(self._waiting) - before

    def _is_worth(self, connection: sqlite3.Connection) -> bool:
        if len(self._waiting) >= _MAX_WAITING:
            return True
        pages, size = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "page_size")
        )
        return self._waiting_bytes > pages * size // WAITING_SHARE

    def _search(self, connection: sqlite3.Connection, last_seq: int) -> None:
        part = self._through_seq, min(last_seq, self._through_seq + STEP_ROWS)
        for sql in (_USED, _USED_BY_CALLS):
            for used in connection.execute(sql, part):
                self._searched.difference_update(used)
        self._through_seq = part[1]

    def _delete(self, connection: sqlite3.Connection, most: int) -> None:
        unused = sorted(islice(self._searched, most))
        self._on_deleted()
        connection.execute(_DELETE, (number_list(unused),))
        self._searched.difference_update(unused)
