"""Match text patterns. SQLite's own GLOB and LIKE cannot, because both stop at a NUL.

Strategy: a function of ours checks the pattern, 0.6 µs a row, after SQLite's search for its longest
part. That search excludes most rows at a fifth of the cost.
"""

import json
import sqlite3
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from storage.search.patterns import is_lower_like

IS_LIKE: Final = "is_like"
ID_TEXT: Final = "lower({})".format(
    " || '-' || ".join(
        f"substr(hex(id), {start}, {length})"
        for start, length in ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    )
)
"""SQL for a record's id in the form of `storage.record.format_id`."""

_read_parts = lru_cache(64)(json.loads)


def like(column: str, parts: Sequence[str], add: Callable[[Any], str]) -> str:
    """Return the condition that a text column matches lower-case parts."""
    if len(parts) == 1:
        return f"lower({column}) = {add(parts[0])}"
    has_longest = f"instr(lower({column}), {add(max(parts, key=len))}) > 0"
    if len(parts) == 3 and not parts[0] and not parts[2]:
        return has_longest
    return f"({has_longest} AND {IS_LIKE}(lower({column}), {add(json.dumps(parts))}))"


def add_search_functions(connection: sqlite3.Connection) -> None:
    connection.create_function(IS_LIKE, 2, _is_like, deterministic=True)


def _is_like(text: str, parts: str) -> bool:
    return is_lower_like(text, _read_parts(parts))
