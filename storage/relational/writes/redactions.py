"""Redactions of a record, stored as one text of the dictionary and a few numbers.

Strategy: the traffic of a service has few combinations of redactions, so their ids are one repeated
text, in which filters look for them (`storage.relational.combinations`). The number of hits of each
differs more often, and searches do not need it: these numbers are packed with other values that
searches do not read. If all are 1, as in most records, they are left out.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from storage.relational import combinations

_MAX_REMEMBERED: Final = 256
"""Combinations, of a few kilobytes each: they save 1.5 us for each record with redactions."""


def pack(redactions: Mapping[str, int] | None) -> str | None:
    """Write the ids; None without redactions."""
    if redactions:
        return _packed(tuple(redactions))
    return None


def counts_of(redactions: Mapping[str, int]) -> list[int] | None:
    """List the numbers, in the order of the ids in their text; None if all are 1."""
    if [*redactions.values()].count(1) == len(redactions):
        return None
    return [redactions[name] for name in sorted(redactions)]


def unpack(packed: str, counts: Sequence[int] | None) -> dict[str, int]:
    """Read the results of `pack` and `counts_of`."""
    names = _names(packed)
    if counts is None:
        return dict.fromkeys(names, 1)
    return dict(zip(names, counts, strict=True))


@lru_cache(_MAX_REMEMBERED)
def _packed(names: tuple[str, ...]) -> str | None:
    return combinations.pack(names)


@lru_cache(_MAX_REMEMBERED)
def _names(packed: str) -> tuple[str, ...]:
    return tuple(combinations.unpack(packed))
