"""Whether requests may wait for room in a ring: what a collector says in its header, judged from
the way to the store.

Strategy: it is said that there is no hope only where it is known. A commit that is slow or hangs, a
spool that is in use, a queue that is full for a moment: all of these end, and are waited for. Pure.
"""

from dataclasses import dataclass
from typing import Final

from proxy.ring.outlook import Outlook

GIVE_UP_S: Final = 10.0
"""Without a spool the store is waited for so long; a restart of a database takes less, and clients
time out later.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospects:
    """The way of records from the rings to the store, at one moment."""

    is_stuck: bool
    """Whether nothing more is taken from the rings: the queue is full, or an offline start without
    a spool waits.
    """
    away_s: float
    """For how long the store has been away; 0 while it is there."""
    has_spool: bool
    is_spool_full: bool


def outlook(prospects: Prospects) -> Outlook:
    """Return what is to be said in every ring that is read."""
    if not prospects.is_stuck or not prospects.away_s:
        return Outlook.ROOM
    if prospects.is_spool_full:
        return Outlook.FULL
    if not prospects.has_spool and prospects.away_s >= GIVE_UP_S:
        return Outlook.GIVEN_UP

    return Outlook.ROOM
