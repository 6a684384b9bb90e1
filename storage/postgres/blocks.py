"""Blocks of heads and bodies: how they get their ids, and their rows.

Strategy: a store reserves ids by the million from a sequence, before the transaction that uses them; above them is the
day, by which blocks are partitioned. Ids rise within a store and are never given twice; what a store did not use is
left out.
"""

from typing import Final

from storage.postgres.connection import Connection
from storage.postgres.partitions import BLOCK_DAY_BITS
from storage.relational.payloads import Packer

COLUMNS: Final = ("id", "kind", "newest_started_at_us", "raw_bytes", "data")
"""Of the table of blocks."""
BlockRow = tuple[int, int, int, int, bytearray]

_RESERVED_BITS: Final = 20
_RESERVED: Final = 1 << _RESERVED_BITS


def block_rows(packer: Packer) -> list[BlockRow]:
    """Make rows of finished blocks; without `seq`, which is not known when they are sent."""
    return [(number, kind, newest_us, size, frame) for number, kind, _, _, newest_us, size, frame in packer.blocks]


class BlockIds:
    """The ids that are reserved for one store."""

    def __init__(self) -> None:
        self._day = 0
        self._last = 0
        self._end = 0

    def forget(self) -> None:
        """Give up what is reserved: the server may not know of it."""
        self._last = self._end = 0

    async def packer(self, connection: Connection, entries: int, day: int) -> Packer:
        """Make a packer with ids enough for so many entries, of a day since the epoch."""
        # At most two blocks each: one of heads, one of bodies.
        assert 2 * entries < _RESERVED, "bug: a batch of more entries than a reservation has ids for"
        if self._day != day or self._end - self._last < 2 * entries:
            number = await connection.fetchval("SELECT nextval('sidelog.block_reservation')")
            self._day = day
            self._last = (day << BLOCK_DAY_BITS) | (int(number) << _RESERVED_BITS)
            self._end = self._last + _RESERVED - 1
        return Packer(self._last)

    def used(self, packer: Packer) -> None:
        """Note the ids that a packer has given."""
        self._last = packer.last_block
