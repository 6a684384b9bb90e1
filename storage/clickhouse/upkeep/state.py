"""What is true of the store as a whole beside its rows: how far retention, erasure and the cap on
size have come.

It is one entry of the register, so that it changes as a whole, and every read begins with it.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec.structs import replace

from storage.clickhouse.register.register import Register, encoded
from storage.relational.sql import MAX_INT

ENTRY: Final = "upkeep"
"""Its name in the register."""


class Upkeep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """See the module."""

    purge_floor_us: int = 0
    """Rows that started before are not shown; 0 is none."""
    body_floor_us: int = 0
    """Bodies of rows that started before are not shown."""
    purged_through_seq: int = 0
    """No row up to it is shown: it was purged, or the cap on size took it."""
    bodies_through_seq: int = 0
    """No bodies of rows up to it are shown: the cap on size took them."""
    bodies_gone_us: int = 0
    """Bodies of rows that started before are out of the parts: they were below their floor."""
    given_back_through_seq: int = 0
    """Bodies of rows up to it are out of the parts: the cap on size took them."""
    hidden_bytes: int = 0
    """About how much of the parts is of what the cap on size took."""
    erasures: int = 0
    """Rises with every erasure."""
    trims: int = 0
    """Rises with every slice of rows that the cap on size takes."""
    trimmed_until_us: int = 0
    """No row that the cap on size took started later."""

    @property
    def first_shown_us(self) -> int:
        """No row that started before is shown."""
        return self.purge_floor_us or -MAX_INT - 1

    def raised(self, purge_floor_us: int, body_floor_us: int) -> "Upkeep":
        """Raise floors; a lower one than before changes nothing, and that of bodies is never below
        that of rows.
        """
        purge_us = max(self.purge_floor_us, purge_floor_us)
        body_us = max(self.body_floor_us, purge_floor_us, body_floor_us)
        return replace(self, purge_floor_us=purge_us, body_floor_us=body_us)

    def lowered(self, purge_floor_us: int, body_floor_us: int) -> "Upkeep":
        """Lower floors; a higher one than before changes nothing. To figures it is an erasure of
        what was deleted.
        """
        purge_us = min(self.purge_floor_us, purge_floor_us)
        body_us = min(self.body_floor_us, max(purge_floor_us, body_floor_us))
        erasures = self.erasures + (purge_us != self.purge_floor_us)
        gone_us = min(self.bodies_gone_us, body_us)
        return replace(
            self,
            purge_floor_us=purge_us,
            body_floor_us=body_us,
            bodies_gone_us=gone_us,
            erasures=erasures,
        )


_decoder: Final = msgspec.json.Decoder(Upkeep)


def upkeep_of(value: str) -> Upkeep:
    """Read the value of the entry; as it is before there is one, of an empty text."""
    return _decoder.decode(value) if value else Upkeep()


async def read_upkeep(register: Register) -> Upkeep:
    return upkeep_of((await register.entry(ENTRY)).value)


async def change_upkeep(register: Register, work: Callable[[Upkeep], Upkeep]) -> None:
    """Change it by a function of what it is; others may change it at the same time.

    Raises:
        StorageUnavailable: It is not known whether it was changed.
    """
    await register.change(ENTRY, lambda value: (encoded(work(upkeep_of(value))), None))
