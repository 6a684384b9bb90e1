"""The write-ahead log beside a slice of deletion: written back by a reader, so that no batch waits for it.

Strategy: whoever commits when the journal has grown long writes it back, on the write connection's thread: some 25 ms,
and a slice that does so makes the next batch wait. Slices leave it alone, and after a few of them a read connection
writes it back on its own thread, which keeps neither a batch nor a slice from committing. Batches still do it
themselves when it gets long for all that.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def left_alone(connection: sqlite3.Connection) -> Iterator[None]:
    """Let commits only append to the journal, however long it is. Outside a transaction."""
    pages = connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0]
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")


def write_back(connection: sqlite3.Connection) -> None:
    """Write the journal into the file, as far as readers let us; waits for nobody. The next commit begins it anew."""
    connection.execute("PRAGMA wal_checkpoint(passive)").fetchall()
