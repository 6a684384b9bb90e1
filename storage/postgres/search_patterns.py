"""Patterns of text as LIKE writes them, without regard to ASCII case."""

from collections.abc import Callable, Sequence
from typing import Any


def like(column: str, parts: Sequence[str], add: Callable[[Any], str]) -> str:
    """Write the condition that a column of text matches lower-case parts."""
    # The collation makes `lower` leave all but ASCII alone.
    lowered = f'lower({column} COLLATE "C")'
    if len(parts) == 1:
        return f"{lowered} = {add(parts[0])}"
    pattern = "%".join(part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for part in parts)
    return f"{lowered} LIKE {add(pattern)}"
