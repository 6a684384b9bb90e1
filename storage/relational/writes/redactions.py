"""Redactions of a record as one text of the dictionary and a few numbers, and back. Pure.

Strategy: the traffic of a service has few combinations of redactions, so their ids are one text
that repeats, in which filters look for them (`storage.relational.combinations`). In how many places
each was found differs more often, and no search asks for it: these numbers are packed with others
that none reads. Where all are 1, as in most records, there are none.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from storage.relational import combinations

_MAX_REMEMBERED: Final = 256
"""Combinations, of some kilobytes each at most: 1.5 us less for each record that has one."""


def pack(redactions: Mapping[str, int] | None) -> str | None:
    """Write the ids; None when there are none."""
    return _packed(tuple(redactions)) if redactions else None


def counts_of(redactions: Mapping[str, int]) -> list[int] | None:
    """List the numbers, in the order of the ids in their text; None when all are 1."""
    if [*redactions.values()].count(1) == len(redactions):
        return None
    return [redactions[name] for name in sorted(redactions)]


def unpack(packed: str, counts: Sequence[int] | None) -> dict[str, int]:
    """Read what `pack` and `counts_of` wrote."""
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
