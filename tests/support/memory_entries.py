"""What the model of a store counts of a record."""

from typing import Final

_UNKNOWN: Final = "unknown"


def add_entries(counts: dict[str, int], name: str | None, entries: int) -> None:
    """Count entries of a name; those without one are unknown."""
    name = _UNKNOWN if name is None else name
    counts[name] = counts.get(name, 0) + entries
