"""Repeated text as small numbers: looked up in memory, kept in the table `dictionary`.

Strategy: values that clients choose come and go, so a value carries the day it was last looked up
for, and retention deletes those of days that have no rows any more. A day later all values are
looked up once more, and no row costs more. The cap on size does not wait for the day's end
(`unused_texts.py`).

Invariant: an id the writer remembers is committed. New values are inserted in the transaction of
the batch that brings them, so after a transaction that failed, or may have failed, everything is
forgotten and read again when needed. No row that uses a value started on a later day than the
value's.
"""

import sqlite3
from typing import Final

from storage.relational.sql import DICTIONARY_KINDS, Texts
from storage.relational.writes.remembered import MAX_REMEMBERED_BYTES, entry_bytes

_SELECT_ID: Final = "SELECT id, used_day FROM dictionary WHERE kind = ? AND value = ?"


class Dictionary:
    """Text to id, for the one writer."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str], int] = {}
        self._ids_bytes = 0
        self._day = 0

    def forget(self) -> None:
        """Remember nothing: a transaction failed."""
        self._ids.clear()
        self._ids_bytes = 0

    def begin(self, day: int) -> bool:
        """Begin a batch whose newest row starts on a day, at the latest; returns whether everything
        was forgotten.
        """
        is_later = day > self._day
        self._day = day
        if is_later:
            self.forget()
        return is_later

    def id_of(self, connection: sqlite3.Connection, column: str, value: str | None) -> int:
        """Find a value's id, inside the transaction that needs it, giving it one when it is new.
        Null is 0.
        """
        if value is None:
            return 0
        found = self._ids.get((column, value))
        if found is None:
            return self._insert(connection, column, value)
        return found

    def _insert(self, connection: sqlite3.Connection, column: str, value: str) -> int:
        kind = DICTIONARY_KINDS[column]
        text = str(value)

        row = connection.execute(_SELECT_ID, (kind, text)).fetchone()
        if row is None:
            sql = "INSERT INTO dictionary (kind, value, used_day) VALUES (?, ?, ?) RETURNING id"
            row = connection.execute(sql, (kind, text, self._day)).fetchone()
        elif row[1] < self._day:
            connection.execute(
                "UPDATE dictionary SET used_day = ? WHERE id = ?", (self._day, row[0])
            )

        if self._ids_bytes >= MAX_REMEMBERED_BYTES:
            self.forget()
        self._ids[(column, text)] = row[0]
        self._ids_bytes += entry_bytes(text)
        return int(row[0])


def find(connection: sqlite3.Connection, wanted: Texts) -> dict[str, dict[str, int]]:
    """Look up the ids of a filter's values, by column; unknown values are left out."""
    found: dict[str, dict[str, int]] = {}
    for column, values in wanted.items():
        known = found.setdefault(column, {})
        for value in values:
            row = connection.execute(_SELECT_ID, (DICTIONARY_KINDS[column], value)).fetchone()
            if row is not None:
                known[value] = row[0]

    return found
