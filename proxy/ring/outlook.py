"""What the collector says in a ring's header: whether room will be made in it, so that requests may
wait for it.

Invariant: only a living collector says that there is no hope, and each one that attaches a ring
says first that there is. So a collector that is dead, starts, or hands over leaves requests
waiting, and a fresh ring does, too.
"""

from enum import IntEnum


class Outlook(IntEnum):
    """One word, which is written by one aligned store of 8 bytes, and stands alone: no other cell
    belongs to it.
    """

    ROOM = 0
    """Records leave the ring, or will: what a fresh header says."""
    FULL = 1
    """The store is away, and queue and spool are full."""
    GIVEN_UP = 2
    """Nothing more is read of this ring, or the store has been away too long for what has no spool.
    """


def outlook_name(said: int) -> str:
    """Return the name of a word that was read; of one that is not known, as damage leaves it, its
    number.
    """
    try:
        return Outlook(said).name.lower()
    except ValueError:
        return str(said)
