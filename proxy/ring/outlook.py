"""The collector's word in a ring's header: whether room will be made in the ring, so that requests may
wait for it. Pure.

Strategy: the collector denies it only where it is known that no room will be made. A commit that is
slow or hangs, a spool that is in use, a queue that is full for a moment: all of these end, and are
waited for.

Invariant: only a living collector denies it, and each one that attaches a ring first says `ROOM`.
So a collector that is dead, starts or hands over leaves requests waiting, and so does a fresh ring.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

GIVE_UP_S: Final = 10.0
"""How long the store is waited for without a spool: longer than a database takes to restart, less
than the time-outs of most clients.
"""


class Outlook(IntEnum):
    """The word. It is one aligned store of 8 bytes, and no other cell belongs to it."""

    ROOM = 0
    """Records leave the ring, or will. A fresh header has it."""
    FULL = 1
    """The store is away, and queue and spool are full."""
    GIVEN_UP = 2
    """The ring is read no more, or the store has been away for too long without a spool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospects:
    """The way from the rings to the store, at one moment."""

    is_stuck: bool
    """Whether nothing more is taken from the rings: the queue is full, or an offline start without
    a spool waits.
    """
    away_s: float
    """For how long the store has been away; 0 while it is there."""
    has_spool: bool
    is_spool_full: bool

    @property
    def outlook(self) -> Outlook:
        """The word for every ring that is read."""
        if not self.is_stuck or not self.away_s:
            return Outlook.ROOM
        if self.is_spool_full:
            return Outlook.FULL
        if not self.has_spool and self.away_s >= GIVE_UP_S:
            return Outlook.GIVEN_UP
        return Outlook.ROOM


def outlook_name(word: int) -> str:
    """Return the name of a word that was read; an unknown one, as damage leaves it, is a number."""
    try:
        return Outlook(word).name.lower()
    except ValueError:
        return str(word)
