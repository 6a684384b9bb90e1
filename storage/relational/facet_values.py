"""The values of facets: which tables count them, which of them need a text, and what is written of them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from storage.aggregates import FACETS, class_name, most_frequent
from storage.query import ROLLUP_METHODS
from storage.record import LEVELS
from storage.relational.rollup_sql import Tables
from storage.relational.rollups import STATUS_KEYS, STATUS_TABLES
from storage.relational.sql import KINDS

Texts = Mapping[int, str | None] | Mapping[int | None, str | None]
"""Dictionary id → text."""
_WORDS: Final[dict[str, tuple[str, ...]]] = {"level": LEVELS, "kind": KINDS}


def told_by_status(tables: Tables, names: Iterable[str]) -> list[str]:
    """Choose the facets that the smaller tables count, where those are the tables of a filter."""
    return [name for name in names if FACETS[name] in STATUS_KEYS] if tables is STATUS_TABLES else []


def add(counts: dict[int, int], value: int, count: int) -> None:
    """Count a stored value."""
    counts[value] = counts.get(value, 0) + count


def frequent_ids(name: str, counts: Mapping[int, int], limit: int) -> Sequence[int]:
    """Choose the dictionary ids whose text a facet needs; null and `OTHER` are left out, and words that are no ids."""
    if FACETS[name] == "status_class" or FACETS[name] in _WORDS:
        return ()
    # More than wanted are looked up, so that equal counts are sorted by name; but not ten thousands.
    frequent = sorted(counts.items(), key=lambda item: -item[1])[: 4 * limit]
    return [value for value, _ in frequent if value > 0]


def written(name: str, counts: Mapping[int, int], ids: Sequence[int], text: Texts, limit: int) -> list[tuple[str, int]]:
    """Write the most frequent stored values as text.

    Args:
        name: Of the facet.
        counts: By stored value.
        ids: Of `frequent_ids`.
        text: Of these ids.
        limit: How many values at most.
    """
    column = FACETS[name]
    if column == "status_class":
        values = {class_name(value): count for value, count in counts.items() if value}
    elif column in _WORDS:
        values = {_WORDS[column][value]: count for value, count in counts.items()}
    else:
        values = {str(text[value]): counts[value] for value in ids}
        if name == "method":
            values = {value: count for value, count in values.items() if value in ROLLUP_METHODS}
    return most_frequent(values, limit)
