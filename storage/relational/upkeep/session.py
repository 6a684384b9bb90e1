"""The database of upkeep, in addition to the session for reads."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from storage.record import Record
from storage.relational.rollup_tables import RollupTables
from storage.relational.rollups import ValueLimits
from storage.relational.session import BlockSession
from storage.relational.slices import Range
from storage.relational.sql import Rows, Statements, Where


class SharedBlock(NamedTuple):
    """A block to be packed anew, and the range of the rows with content in it."""

    kind: int
    frame: bytes
    part: Range


class Upkeep(BlockSession, Statements, Protocol):
    """One transaction that deletes; there is one at a time.

    If batches may lock the same rows, these are locked in the order of a batch: state, rollups,
    blocks, the counter, then spans, jobs and calls.
    """

    @property
    def limits(self) -> ValueLimits:
        """The values with separate counts in the rollups, as far as known."""
        ...

    @property
    def usage_limits(self) -> ValueLimits:
        """The same of usage."""
        ...

    @property
    def rollups(self) -> RollupTables: ...

    async def used_bytes(self) -> int:
        """Measure the used space, without the bytes freed by the running transaction."""
        ...

    async def lock_counter(self) -> None:
        """Lock the counter that numbers batches, if batches may wait for it."""
        ...

    async def count_bytes(self, change: int) -> None:
        """Note the growth of the blocks, after the last of them, if the store keeps count."""
        ...

    async def within(self, part: Range, first_mark: int) -> Where:
        """Write the conditions on the rows of a part, with marks numbered from `first_mark` on."""
        ...

    async def delete_unshared(
        self, name: str, blocks: Collection[int], conversations: Collection[Any], last_seq: int
    ) -> int:
        """Delete blocks of the rows up to one, except blocks that later rows have content in, too.

        `name` is the prefix of their columns, `conversations` those of the rows. Returns the bytes
        of the blocks.
        """
        ...

    async def shared_block(self, block: int, name: str, row: Sequence[Any]) -> SharedBlock | None:
        """Lock and read a block, given one of its rows; None if retention has deleted it."""
        ...

    async def replace_block(
        self,
        block: int,
        name: str,
        left: Rows,
        size: int,
        frame: bytes,
        conversation: Sequence[Any],
    ) -> None:
        """Write the remaining content of a block, and the new places of its rows: seq, offset and
        length.

        `conversation` is that of the rows if the block grows, otherwise empty.
        """
        ...

    async def forget_texts(self, rows: Rows, records: list[Record], *, may_search: bool) -> None:
        """Note repeated text of removed rows, if the store does not leave it to retention."""
        ...

    async def give_back(self, max_pages: int) -> int:
        """Give free pages back to the file system; return their number."""
        ...


async def raise_state(session: Upkeep, name: str, value: int, *, down: bool = False) -> None:
    """Raise a number of the state, or lower it; a number that is already beyond the value stays."""
    dialect = session.dialect
    mark = dialect.number_mark(1)
    sign = "<" if down else ">"
    moved = f"CASE WHEN {mark} {sign} {{0}} THEN {mark} ELSE {{0}} END"
    await session.fetch(dialect.change_state(name, moved), (value,))


async def first_row(session: Upkeep, column: str, within: Range) -> int | None:
    """Read a column of the first row of a range; None without one."""
    dialect = session.dialect
    mark = dialect.placeholder
    rows = await session.fetch(
        f"SELECT {column} FROM {dialect.schema}records "
        f"WHERE {dialect.seq_between(mark(1), mark(2))} {dialect.by_seq('asc')} LIMIT 1",
        (within.first, within.last),
    )
    return rows[0][0] if rows else None


async def rows_within(session: Upkeep, part: Range, columns: Iterable[str]) -> Rows:
    """Fetch columns of the rows of a part, in order."""
    dialect = session.dialect
    where = await session.within(part, 1)
    sql = f"SELECT {', '.join(columns)} FROM {dialect.schema}records WHERE {where.text}"
    return await session.fetch(f"{sql} {dialect.by_seq('asc')}", where.parameters)
