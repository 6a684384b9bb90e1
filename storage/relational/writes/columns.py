"""What both SQL stores do with the columns of a row alike: which of them repeat together, and which hold codes."""

from typing import Final

from storage.relational.rollups import DIMENSIONS
from storage.relational.sql import CODED
from storage.relational.sql import DIMENSIONS as DICTIONARY_COLUMNS
from storage.relational.writes.packing import COLUMNS

COMBINED: Final = (*DIMENSIONS, "outcome", "stage", "error_type")
"""Columns of which few combinations occur, with those of the origin."""
METHOD: Final = DIMENSIONS.index("method")
"""Its place in a combination."""
MAX_COMBINATIONS: Final = 10_000
"""Route × key × method × upstream × outcome and so on: 8 MB at most; beyond, a memory of them starts anew."""
MAX_METHOD_CHARACTERS: Final = 64
"""Of a combination that is remembered: the method is the client's to choose."""
REPEATED_PLACES: Final = tuple(COLUMNS.index(column) for column in (*DICTIONARY_COLUMNS, "origin") if column in COLUMNS)
"""Of the ids of repeated text."""

CODED_PLACES: Final = tuple((COLUMNS.index(column), words) for column, words in CODED.items())

PLACES: Final = (
    "heads_block", "heads_offset", "heads_length", "bodies_block", "bodies_offset", "bodies_length",
)  # fmt: skip
"""Columns that say where the payload of a row is."""


def code_of(column: str, value: str | None) -> int:
    """Return the number of a word.

    Raises:
        ValueError: It is none of the column's.
    """
    words = CODED[column]
    if value not in words:
        raise ValueError(f"{column} {value!r} is not one of {', '.join(words)}")
    return words.index(value)
