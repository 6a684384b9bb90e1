"""Entries of a commit without an answer, until the store has been asked for them.

Strategy: a batch is noted before its commit is sent and forgotten after the answer. If the answer
was lost, the store is asked for the entries before the next batch; those that it has are left out
when they come again, in any batch.

Invariant: an entry is not stored twice.
"""

from collections.abc import Iterable, Mapping, Sequence

from storage.record import Entry


class Doubts:
    """The commits of one writer that are in doubt."""

    def __init__(self) -> None:
        self.entries: Sequence[Entry] = ()
        """Entries of the batch that may have been committed."""
        self._stored: dict[bytes, int] = {}
        """Entries that turned out to be stored, until a batch with them is committed: id → seq."""

    def note(self, entries: Sequence[Entry]) -> None:
        """Remember the entries of a commit that is about to be sent."""
        self.entries = entries

    def clear(self) -> None:
        """Forget the entries: the answer came."""
        self.entries = ()

    def settle(self, stored: Mapping[bytes, int]) -> None:
        """Note the store's answer: the ids of the entries that it has, with their `seq`."""
        self._stored |= stored
        self.entries = ()

    def unsettled(self, entries: list[Entry]) -> list[Entry]:
        """Return the entries that are not known to be stored; the others get their `seq`."""
        if not self._stored:
            return entries
        fresh = []
        for entry in entries:
            seq = self._stored.get(entry.record.id)
            if seq is None:
                fresh.append(entry)
            else:
                entry.record.seq = seq

        return fresh

    def forget(self, entries: Iterable[Entry]) -> None:
        """Note that these entries do not come again: all of them are stored."""
        if self._stored:
            for entry in entries:
                self._stored.pop(entry.record.id, None)
