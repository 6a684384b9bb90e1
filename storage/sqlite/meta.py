"""Values that belong to the store as a whole, as text, in the table `meta` beside the counters of the batches.

Their names carry a prefix, so that none can be taken for a counter.
"""

import sqlite3
from typing import Final

_PREFIX: Final = "value:"


def read_meta(connection: sqlite3.Connection, name: str) -> str | None:
    """Read one value; None when there is none."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (_PREFIX + name,)).fetchone()
    return None if row is None else str(row[0])


def put_meta(connection: sqlite3.Connection, name: str, value: str, *, replace: bool) -> str:
    """Keep one value, unless there is one and it shall not be replaced; answers what is kept."""
    conflict = "DO UPDATE SET value = excluded.value" if replace else "DO NOTHING"
    connection.execute(
        f"INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) {conflict}",  # noqa: S608 - two literals
        (_PREFIX + name, value),
    )
    kept = read_meta(connection, name)
    assert kept is not None
    return kept
