"""A copy of one sidecar's positions and keys, for an empty server that takes the place of the one
that had them.

A removed file can still be read through an open descriptor; a database that was dropped, or
replaced by a failover, cannot. Strategy: positions, newest number and API keys are noted as they
are committed and read.

Invariant: only committed values are noted. The records that the noted positions count as stored,
and those found later do not, are lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from storage.base import Storage
from storage.keys import ApiKey
from storage.ledger import balance
from storage.record import Batch, Position

KEEPSAKE = "keepsake"
"""Its place in `storage.base.Kept`."""


@dataclass(slots=True)
class Keepsake:
    """The copy of one open store."""

    instance: str = ""
    positions: dict[bytes, Position] = field(default_factory=dict)
    last_seq: int = 0
    keys: list[ApiKey] = field(default_factory=list)
    is_emptied: bool = False
    """Whether the store was seen empty: positions found later count lost records as stored."""

    def note_positions(self, instance: str, positions: Mapping[bytes, Position]) -> None:
        """Note what was read."""
        self.instance, self.positions = instance, dict(positions)

    def note_commit(self, batch: Batch, last_seq: int) -> None:
        """Note what was committed."""
        self.instance = batch.instance
        self.last_seq = last_seq
        self.positions.update(batch.positions)
        for source in batch.retired:
            self.positions.pop(source, None)

    def lost_records(self, found: Mapping[bytes, Position]) -> int:
        """Return how many stored records a store with these positions lacks."""
        return max(0, balance(self.positions, {}).stored - balance(found, {}).stored)

    async def restore_keys(self, store: Storage) -> None:
        """Put the API keys into a store, unless another sidecar has."""
        known = {key.id for key in await store.keys()}
        for key in self.keys:
            if key.id not in known:
                await store.create_key(key)
