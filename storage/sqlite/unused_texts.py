"""Repeated text that goes with the rows that the cap on size takes, within the day that retention
waits for.

Strategy: no index tells who uses a text. Texts of rows that went wait until they are worth a
search; then the rows that are left are looked through, some with each slice, and what none of them
uses is deleted. What batches bring meanwhile is looked through before anything is deleted. What
waits is forgotten with the process: retention finds it by its day.

Invariant: inside the transaction of a slice; a text is deleted when every row that is left was
looked at. All other users of these columns are sums, and tool calls, of rows that are left.
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
"""Columns that clients may fill without end."""
_PLACES: Final = tuple((column, COLUMNS.index(column)) for column in _TEXTS)
_USED: Final = f"SELECT {', '.join(_TEXTS)} FROM records WHERE seq > ? AND seq <= ?"
_USED_BY_CALLS: Final = (
    "SELECT DISTINCT project FROM tool_calls WHERE record_seq > ? AND record_seq <= ?"
)
_ENDS: Final = "SELECT (SELECT min(seq) FROM records), (SELECT max(seq) FROM records)"
"""A look each: both in one query would read the table."""
_DELETE: Final = f"DELETE FROM dictionary WHERE {ID_AMONG}"

WAITING_SHARE: Final = 64
"""So small a part of the file waits at most before it is searched for."""
_MAX_WAITING: Final = 50_000
"""Texts that wait at most, 8 MB of their numbers."""
STEP_ROWS: Final = 10_000
"""Rows looked through with one slice: about 10 ms."""
STEP_TEXTS: Final = 20
"""Texts deleted with one slice beside twice what it brought: few, as the journal holds their pages.
"""
_ENTRY_BYTES: Final = 60
"""What a text takes in the table and its indexes beside its two copies."""


class UnusedTexts:
    """Texts of rows that went, until they are deleted or found to be in use."""

    def __init__(self, on_deleted: Callable[[], None]) -> None:
        """Wire up; `on_deleted` is called before ids that a writer may remember are committed to be
        gone.
        """
        self._on_deleted = on_deleted
        self._waiting: dict[int, int] = {}
        self._waiting_bytes = 0
        self._searched: set[int] = set()
        """None of the rows up to `_through_seq` uses them."""
        self._through_seq = 0

    def forget(self) -> None:
        """Forget what was looked at: a transaction failed, and rows are there again."""
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
        """Note the texts of rows that went, the oldest there were, and go on with the search where
        there is time.

        Rows are of `COLUMNS`, and decoded the `records`; the transaction is the one that deleted
        them.
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
