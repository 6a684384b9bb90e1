"""Errors of the search language."""

from typing import Final

MAX_SHOWN_CHARACTERS: Final = 100
"""Longest part of a search that a message quotes."""


class SearchError(ValueError):
    """A search that cannot be parsed. Positions count characters from 0."""

    def __init__(
        self, reason: str, position: int, length: int = 1, *, expected: tuple[str, ...] = ()
    ) -> None:
        """Take the reason, the position, and what is possible there."""
        super().__init__(f"at character {position + 1}: {reason}")
        self.position = position
        self.length = length
        self.expected = expected


def shown(text: str) -> str:
    """Return a quoted part of a search, for a message."""
    return repr(text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + "…")


class BadValue(SearchError):
    """A value that its search word does not accept."""

    def __init__(
        self,
        text: str,
        limit: str,
        reason: str,
        position: int,
        length: int,
        *,
        expected: tuple[str, ...] = (),
    ) -> None:
        """Take the value and the limit that it breaks."""
        super().__init__(reason, position, length, expected=expected)
        self.text = text
        self.limit = limit
