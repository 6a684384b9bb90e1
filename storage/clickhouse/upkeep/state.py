"""What is true of the store as a whole beside its rows: how far retention, erasure and the cap on size have come.

Strategy: every commit carries it on, in columns of the journal, so that it changes in the order of commits, by whoever
has the turn, and one row tells all of it together with the end of the store. Values only.
"""

from typing import Final, NamedTuple


class Upkeep(NamedTuple):
    """In the order of its columns in `commits`."""

    purge_floor_us: int = 0
    """Rows that started before are not shown; 0 is none."""
    body_floor_us: int = 0
    """Bodies of rows that started before are not shown."""
    purged_through_seq: int = 0
    """No row up to it is shown: it was purged, or the cap on size took it."""
    bodies_through_seq: int = 0
    """No bodies of rows up to it are shown: the cap on size took them."""
    erasures: int = 0
    """Rises with every slice that is erased."""
    trims: int = 0
    """Rises with every slice of rows that the cap on size takes."""
    trimmed_until_us: int = 0
    """No row that the cap on size took started later."""


UPKEEP: Final = Upkeep._fields
