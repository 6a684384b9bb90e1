"""What conditions of a search need beside SQLite's own functions: patterns of text, and text in captured bodies.

Strategy: a pattern is looked at by our own function, 0.6 µs a row, behind SQLite's search for its longest part, which
lets few rows pass and costs a fifth. SQLite's own GLOB and LIKE end at a NUL. Bodies are looked into row by
row (`body_contains(block, offset, length, text)`), in the order of `seq`, so neighbours are in the same block: the last
one is kept inflated. The walk itself, in slices within a time budget, is that of any other condition
(`storage/relational/reads/scan.py`).
"""

import json
import sqlite3
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from storage.relational.blocks.payloads import Bodies, inflate
from storage.search.patterns import is_lower_like

IS_LIKE: Final = "is_like"
ID_TEXT: Final = "lower({})".format(
    " || '-' || ".join(
        f"substr(hex(id), {start}, {length})" for start, length in ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    )
)
"""The id of a record as `storage.record.format_id` writes it."""

_read_parts = lru_cache(64)(json.loads)


def like(column: str, parts: Sequence[str], add: Callable[[Any], str]) -> str:
    """Write the condition that a column of text matches lower-case parts; 0 is no text."""
    if len(parts) == 1:
        return f"({column} <> 0 AND lower({column}) = {add(parts[0])})"
    known = f"{column} <> 0 AND instr(lower({column}), {add(max(parts, key=len))}) > 0"
    if len(parts) == 3 and not parts[0] and not parts[2]:
        return f"({known})"
    return f"({known} AND {IS_LIKE}(lower({column}), {add(json.dumps(parts))}))"


def add_search_functions(connection: sqlite3.Connection) -> None:
    connection.create_function(IS_LIKE, 2, _is_like, deterministic=True)
    connection.create_function(BODY_CONTAINS, 4, _BodySearch(connection))


def _is_like(text: str, parts: str) -> bool:
    return is_lower_like(text, _read_parts(parts))


BODY_CONTAINS: Final = "body_contains"


class _BodySearch:
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
