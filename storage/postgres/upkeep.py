"""Deletion in Postgres for `storage.relational.upkeep`, while other sidecars commit.

Only one of the sidecars that share a database deletes at a time, a slice in one step. The server's
autovacuum makes freed space usable again. Until it runs, old versions of erased rows stay in the
tables; they also stay in the write-ahead log and in backups.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from storage.postgres.growing_blocks import rows_near, used_behind
from storage.postgres.index_keys import by_seq, seq_between
from storage.postgres.rollups import ROLLUPS
from storage.postgres.session import PostgresSession, bounds, id_range
from storage.postgres.space import used_bytes
from storage.record import Record
from storage.relational.blocks.payloads import GROWN
from storage.relational.rollups import ValueLimits
from storage.relational.slices import Range
from storage.relational.sql import Rows, Where
from storage.relational.upkeep.erase import offsets
from storage.relational.upkeep.session import SharedBlock
from storage.relational.usage import limits

LOCK: Final = 0x5349_4445_4C4F_48
"""Key of the advisory lock of deletion."""


class PostgresUpkeep(PostgresSession):
    """`storage.relational.upkeep.session.Upkeep` on the write connection."""

    rollups: Final = ROLLUPS

    @property
    def limits(self) -> ValueLimits:
        return ValueLimits()

    @property
    def usage_limits(self) -> ValueLimits:
        return limits()

    async def used_bytes(self) -> int:
        return await used_bytes(self)

    async def lock_counter(self) -> None:
        await self.connection.execute("SELECT FROM sidelog.counter FOR UPDATE")

    async def count_bytes(self, change: int) -> None:
        sql = "UPDATE sidelog.counter SET block_bytes = block_bytes + $1"
        await self.connection.execute(sql, change)

    async def within(self, part: Range, first_mark: int) -> Where:
        ids = await id_range(self.connection, part)
        return Where(bounds(first_mark), (part.first, part.last, *ids))

    async def delete_unshared(
        self,
        name: str,
        blocks: Collection[int | None],
        conversations: Collection[Any],
        last_seq: int,
    ) -> int:
        gone = sorted(block for block in blocks if block is not None)
        if not gone:
            return 0

        named = [conversation for conversation in conversations if conversation is not None]
        if named:
            used = await used_behind(self.connection, gone, named, last_seq)
        else:
            used = set[int]()
        used |= await self._used_by_span(name, gone, last_seq)
        sizes = await self.fetch(
            "DELETE FROM sidelog.blocks WHERE id = ANY($1::bigint[]) RETURNING octet_length(data)",
            ([block for block in gone if block not in used],),
        )
        return sum(size for (size,) in sizes)

    async def _used_by_span(self, name: str, blocks: list[int], last_seq: int) -> set[int]:
        """Return those of the blocks that later rows of the same span use; rows of other spans use
        none.
        """
        end = await self.connection.fetchval(
            "SELECT min(last_seq) FROM sidelog.spans WHERE last_seq >= $1", last_seq
        )
        if end is None or end == last_seq:
            return set()

        # Few blocks of one sidecar in the span can be shared, but several sidecars may write to it.
        where = await self.within(Range(last_seq + 1, end), 2)
        found = await self.fetch(
            f"SELECT DISTINCT {name}_block FROM sidelog.records WHERE {where.text} "
            f"AND {name}_block = ANY($1::bigint[])",
            (blocks, *where.parameters),
        )
        return {block for (block,) in found}

    async def shared_block(self, block: int, name: str, row: Sequence[Any]) -> SharedBlock | None:
        found = await self.connection.fetchrow(
            "SELECT kind, newest_started_at_us, data FROM sidelog.blocks WHERE id = $1 FOR UPDATE",
            block,
        )
        if found is None:
            return None

        kind, newest_us, frame = found
        if kind == GROWN:
            part = await rows_near(self.connection, newest_us)
        else:
            part = await self._rows_of(block, row[0], name, kind)
        return SharedBlock(kind, frame, part)

    async def _rows_of(self, block: int, seq: int, name: str, kind: int) -> Range:
        """Return the range of rows that contains a block's rows, given one of them.

        They are in one span, as a batch is, and the blocks of a kind rise with the rows of a batch.
        """
        [(first, last)] = await self.fetch(
            "SELECT first_seq, last_seq FROM sidelog.spans WHERE first_seq <= $1 "
            "ORDER BY first_seq DESC LIMIT 1",
            (seq,),
        )
        select = (
            "SELECT seq FROM sidelog.records "
            f"WHERE {seq_between('$1', '$2')} AND {name}_block <> $3 AND "
            f"(SELECT kind FROM sidelog.blocks WHERE id = {name}_block) = $4"
        )
        before = await self.connection.fetchval(
            f"{select} {by_seq('desc')} LIMIT 1", first, seq - 1, block, kind
        )
        after = await self.connection.fetchval(
            f"{select} {by_seq('asc')} LIMIT 1", seq + 1, last, block, kind
        )
        return Range(first if before is None else before + 1, last if after is None else after - 1)

    async def replace_block(
        self,
        block: int,
        name: str,
        left: Rows,
        size: int,
        frame: bytes,
        conversation: Sequence[Any],
    ) -> None:
        sql = "UPDATE sidelog.blocks SET raw_bytes = $2, data = $3 WHERE id = $1"
        await self.fetch(sql, (block, size, frame))
        await self.fetch(
            f"UPDATE sidelog.records SET {name}_offset = moved.place "
            "FROM unnest($1::bigint[], $2::integer[]) AS moved (number, place) "
            f"WHERE {seq_between('$3', '$4')} AND seq = number"
            f"{' AND conversation = $5' if conversation else ''}",
            ([row[0] for row in left], offsets(left), left[0][0], left[-1][0], *conversation),
        )

    async def forget_texts(self, rows: Rows, records: list[Record], *, may_search: bool) -> None:
        pass  # retention deletes them when their day is over

    async def give_back(self, max_pages: int) -> int:
        return 0  # the server's vacuum does so
