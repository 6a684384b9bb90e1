"""Text in captured bodies, as a function that SQL calls row by row: `body_contains(block, offset, length, text)`.

Strategy: rows are walked in the order of `seq`, so neighbours are in the same block: the last one is kept inflated.
The walk itself, in slices within a time budget, is that of any other condition (`storage/relational/reads/scan.py`).
"""

import sqlite3
from typing import Final

import msgspec

from storage.relational.blocks.payloads import Bodies, inflate

FUNCTION: Final = "body_contains"


class BodySearch:
    """Searches over one connection; called on its thread only."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._frame = self._block = b""
        self._decode = msgspec.msgpack.Decoder(Bodies).decode

    def __call__(self, number: int, offset: int, length: int, text: str) -> bool:
        """Return whether a window of either body has the lower-case text, without regard to ASCII case."""
        row = self._connection.execute("SELECT data FROM blocks WHERE id = ?", (number,)).fetchone()
        if row is None:
            return False
        # Compared whole, because blocks are packed anew under their own id when records are erased.
        if row[0] != self._frame:
            self._block, self._frame = inflate(row[0]), row[0]
        part = memoryview(self._block)[offset : offset + length]
        if len(part) < length:
            return False
        bodies = self._decode(part)
        wanted = text.encode()
        windows = (
            window for body in (bodies.request_body, bodies.response_body) if body for window in (body.head, body.tail)
        )
        return any(wanted in window.lower() for window in windows)


def add_body_search(connection: sqlite3.Connection) -> None:
    connection.create_function(FUNCTION, 4, BodySearch(connection))
