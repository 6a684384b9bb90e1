"""What is wrong with a search: where, and what was expected."""

from typing import Any

from api.http.errors import MAX_SHOWN_CHARACTERS, Refused


class BadSearch(Refused):
    """A search that cannot be read: always 400. Positions count characters from 0."""

    def __init__(self, reason: str, position: int, length: int = 1, *, expected: tuple[str, ...] = ()) -> None:
        members: dict[str, Any] = {"parameter": "query", "position": position, "length": length}
        if expected:
            members["expected"] = list(expected)
        super().__init__(400, f"query, at character {position + 1}: {reason}", **members)


def shown(text: str) -> str:
    """Quote a part of a search."""
    return repr(text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + "…")
