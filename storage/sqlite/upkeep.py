"""Deletion in SQLite for `storage.relational.upkeep`, in slices on the write connection.

Strategy: a slice works in steps of about a millisecond, and ends when its time is over or a batch
waits; with its commit it holds the write connection for about 8 ms at the median. All freed space
is overwritten (`secure_delete` of the write connection), and the journal is emptied after an
erasure, so that nothing of the erased heads, bodies and rows is left in the files.

A slice does not write the journal back: the next batch would have to wait for that, about 25 ms
(`journal.py`). Repeated text is deleted after its rows (`unused_texts.py`).
"""

import sqlite3
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, Final

from storage.record import Record
from storage.relational.facet_counts import KnownCounts
from storage.relational.rollups import ValueLimits
from storage.relational.slices import Range
from storage.relational.sql import Rows, Where
from storage.relational.upkeep.erase import offsets
from storage.relational.upkeep.purge import STEP_PAGES
from storage.relational.upkeep.session import SharedBlock
from storage.relational.upkeep.turn import Turn
from storage.relational.writes.remembered import Names
from storage.sqlite.connection import ID_AMONG, Budget, number_list
from storage.sqlite.rollups import ROLLUPS
from storage.sqlite.session import SqliteSession
from storage.sqlite.unused_texts import UnusedTexts
from storage.sqlite.write import BatchStore, Uncounted

PURGE_S: Final = 0.004
"""Time that a slice of retention works before it commits; syncing its writes takes about as long
again.
"""
TRIM_S: Final = 0.05
"""Time that a slice for the size cap works, while no batch waits; committing and measuring take
about 15 ms more.
"""
JOURNAL_SLICES: Final = 4
"""Slices after which the journal is written back: about 1 100 pages, with slices of 460 rows."""
_KEPT_PAGES: Final = 512
"""Free pages that the file keeps, 4 MiB, for the next batches."""
_KEPT_SHARE: Final = 64
"""Fraction of the file (1/64) that is also kept free: the next hour needs what the deleted hour has
left.
"""
_USED: Final = (
    "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, "
    "pragma_freelist_count, pragma_page_size"
)


class SqliteUpkeep(SqliteSession):
    """`storage.relational.upkeep.session.Upkeep` on the write connection."""

    rollups: Final = ROLLUPS

    def __init__(
        self,
        connection: sqlite3.Connection,
        names: Names,
        known_counts: KnownCounts,
        budget: Budget,
        batches: BatchStore,
        unused: UnusedTexts,
    ) -> None:
        """Begin a session; if it fails, the caller calls `forget` of `batches` and `unused`."""
        super().__init__(connection, names, known_counts, budget)
        self._batches = batches
        self._unused = unused

    @property
    def limits(self) -> ValueLimits:
        return self._batches.limits

    @property
    def usage_limits(self) -> ValueLimits:
        return self._batches.usage_limits

    @property
    def uncounted(self) -> Uncounted | None:
        """The rows stored since rows were last counted; None if only the store can tell."""
        return self._batches.uncounted

    def note_counted(self, last_seq: int) -> None:
        """Note that the rollups count all rows, up to the last one."""
        self._batches.uncounted = Uncounted(last_seq)

    async def used_bytes(self) -> int:
        return int(self.connection.execute(_USED).fetchone()[0])

    async def lock_counter(self) -> None:
        pass  # the transaction has everything

    async def count_bytes(self, change: int) -> None:
        pass  # the file tells

    async def within(self, part: Range, first_mark: int) -> Where:
        return Where(f"seq BETWEEN ?{first_mark} AND ?{first_mark + 1}", (part.first, part.last))

    async def delete_unshared(
        self, name: str, blocks: Collection[int], conversations: Collection[Any], last_seq: int
    ) -> int:
        # A block has the number of the last row that uses it.
        sql = f"DELETE FROM blocks WHERE {ID_AMONG} AND last_seq <= ?"
        await self.fetch(sql, (number_list(sorted(blocks)), last_seq))
        return 0

    async def shared_block(self, block: int, name: str, row: Sequence[Any]) -> SharedBlock | None:
        sql = "SELECT kind, data, first_seq, last_seq FROM blocks WHERE id = ?"
        for kind, frame, first, last in await self.fetch(sql, (block,)):
            return SharedBlock(kind, frame, Range(first, last))
        return None

    async def replace_block(
        self,
        block: int,
        name: str,
        left: Rows,
        size: int,
        frame: bytes,
        conversation: Sequence[Any],
    ) -> None:
        # The size cap deletes a block with its last row, so that has to be a row that is left.
        last_seq = left[-1][0]
        sql = "UPDATE blocks SET last_seq = ?, raw_bytes = ?, data = ? WHERE id = ?"
        await self.fetch(sql, (last_seq, size, frame, block))
        moved = [(offset, row[0]) for offset, row in zip(offsets(left), left, strict=True)]
        self.connection.executemany(f"UPDATE records SET {name}_offset = ? WHERE seq = ?", moved)

    async def forget_texts(self, rows: Rows, records: list[Record], *, may_search: bool) -> None:
        self._unused.take(self.connection, rows, records, may_search=may_search)

    async def give_back(self, max_pages: int) -> int:
        kept = max(_KEPT_PAGES, self._pragma("page_count") // _KEPT_SHARE)
        return await self._give_back(kept, max_pages)

    async def give_all_back(self, turn: Turn) -> bool:
        """Return one slice of free pages to the file system; False if there are no free pages."""
        return await turn.take(partial(self._give_back, 0), STEP_PAGES) > 0

    async def _give_back(self, kept_pages: int, max_pages: int) -> int:
        free = self._pragma("freelist_count")
        for _ in range(min(max_pages, free - kept_pages)):
            # One page at a time: sqlite3 executes a single step of a statement without columns,
            # which moves one page.
            self.connection.execute("PRAGMA incremental_vacuum(1)")
        return max(0, free - self._pragma("freelist_count"))

    def _pragma(self, name: str) -> int:
        return int(self.connection.execute(f"PRAGMA {name}").fetchone()[0])


def empty_journal(connection: sqlite3.Connection) -> None:
    """Write the journal into the file and cut it, as far as readers allow, because it holds earlier
    versions of pages.
    """
    connection.execute("PRAGMA wal_checkpoint(truncate)").fetchall()
