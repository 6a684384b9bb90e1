"""Repeated text as small numbers in SQLite, looked up or inserted when a row first needs it.

New values are inserted in the transaction of their batch. So after a failed transaction everything
is forgotten, and read again when needed. The size cap deletes unused texts before the end of their
day (`unused_texts.py`).
"""

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Final

from storage.relational.sql import DICTIONARY_KINDS, Texts
from storage.relational.writes import dictionary

_SELECT_ID: Final = "SELECT id, used_day FROM dictionary WHERE kind = ? AND value = ?"
_INSERT: Final = "INSERT INTO dictionary (kind, value, used_day) VALUES (?, ?, ?) RETURNING id"
_USE: Final = "UPDATE dictionary SET used_day = ? WHERE id = ?"


class _Column(dict[str | None, int | None]):
    """Text → id for one column; looks up missing texts."""

    def __init__(self, find: Callable[[str], int]) -> None:
        super().__init__({None: 0})
        self._find = find

    def __missing__(self, text: str) -> int:
        return self._find(text)


class Dictionary(dictionary.Dictionary):
    """Text → id over one connection, inside a transaction. Null is 0."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        super().__init__(null=0)

    def _column(self, column: str) -> dict[str | None, int | None]:
        return _Column(partial(self._learn, column))

    def _learn(self, column: str, text: str) -> int:
        kind = DICTIONARY_KINDS[column]
        row = self._connection.execute(_SELECT_ID, (kind, text)).fetchone()
        if row is None:
            row = self._connection.execute(_INSERT, (kind, text, self.day)).fetchone()
        elif row[1] < self.day:
            self._connection.execute(_USE, (self.day, row[0]))

        number = int(row[0])
        self.remember(column, text, number)
        return number


def find(connection: sqlite3.Connection, wanted: Texts) -> dict[str, dict[str, int]]:
    """Return the ids of a filter's values, by column; unknown values are left out."""
    found: dict[str, dict[str, int]] = {}
    for column, values in wanted.items():
        known = found.setdefault(column, {})
        for value in values:
            row = connection.execute(_SELECT_ID, (DICTIONARY_KINDS[column], value)).fetchone()
            if row is not None:
                known[value] = row[0]

    return found
