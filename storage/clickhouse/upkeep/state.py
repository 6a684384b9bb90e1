"""How far retention, erasure and the size cap have come in one store.

Strategy: all marks are one entry of the register, so that they change together. Every read begins
with it: rows below a mark are hidden at once, and deleted from the server's parts later.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec.structs import replace

from storage.clickhouse.register.register import Register, encoded
from storage.relational.sql import MAX_INT

ENTRY: Final = "upkeep"
"""Name of the entry in the register."""


class Upkeep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The marks of one store. Reads take those that `storage.relational.session.State` names."""

    # Hidden from all readers, whether it is still in the parts or not.

    purge_floor_us: int = 0
    """Rows that started before are hidden; 0 without retention."""
    body_floor_us: int = 0
    """Bodies of rows that started before are hidden. Never below `purge_floor_us`."""
    purged_through_seq: int = 0
    """Rows up to this `seq` are hidden: retention or the size cap deleted them."""
    bodies_through_seq: int = 0
    """Bodies of rows up to this `seq` are hidden: the size cap deleted them."""

    # Deleted from the parts as well.

    bodies_gone_us: int = 0
    """Bodies of rows that started before are deleted: they were below `body_floor_us`."""
    given_back_through_seq: int = 0
    """Bodies of rows up to this `seq` are deleted: they were below `bodies_through_seq`."""
    hidden_bytes: int = 0
    """Estimated size of the rows that the size cap has hidden and the parts still have."""

    # Versions: counts that a reader remembers are valid as long as these stay.

    erasures: int = 0
    """Rises with every erasure."""
    trims: int = 0
    """Rises with every slice of rows that the size cap deletes."""
    trimmed_until_us: int = 0
    """Newest start of a row that the size cap deleted."""

    @property
    def first_shown_us(self) -> int:
        """Rows that started before are hidden; the least integer without retention."""
        return self.purge_floor_us or -MAX_INT - 1

    def raised(self, purge_floor_us: int, body_floor_us: int) -> "Upkeep":
        """Return the state with the floors for purged records and bodies raised. A floor lower than
        the present one changes nothing.
        """
        purge_us = max(self.purge_floor_us, purge_floor_us)
        body_us = max(self.body_floor_us, body_floor_us, purge_us)
        return replace(self, purge_floor_us=purge_us, body_floor_us=body_us)

    def lowered(self, purge_floor_us: int, body_floor_us: int) -> "Upkeep":
        """Return the state with the floors for purged records and bodies lowered. A floor higher
        than the present one changes nothing.
        """
        purge_us = min(self.purge_floor_us, purge_floor_us)
        body_us = min(self.body_floor_us, max(purge_floor_us, body_floor_us))
        return replace(
            self,
            purge_floor_us=purge_us,
            body_floor_us=body_us,
            bodies_gone_us=min(self.bodies_gone_us, body_us),
            # Counts that readers remember of these hours include rows that may be deleted by now.
            erasures=self.erasures + (purge_us != self.purge_floor_us),
        )


_decoder: Final = msgspec.json.Decoder(Upkeep)


def upkeep_of(value: str) -> Upkeep:
    """Decode the entry of the register. An empty one is that of a new store."""
    if value:
        return _decoder.decode(value)
    return Upkeep()


async def read_upkeep(register: Register) -> Upkeep:
    return upkeep_of((await register.entry(ENTRY)).value)


async def change_upkeep(register: Register, work: Callable[[Upkeep], Upkeep]) -> None:
    """Apply a function to the marks. It is called again where another sidecar was first.

    Raises:
        StorageUnavailable: Whether they have changed is unknown.
    """
    await register.change(ENTRY, lambda value: (encoded(work(upkeep_of(value))), None))
