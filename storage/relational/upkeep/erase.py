"""Erasing the records of a filter, a slice at a time: rows, sums, and their part of the blocks.

Strategy: each slice is a transaction between two batches. Its rows are read once more as records,
their counts are subtracted from the rollups, and each of their blocks is packed anew without them,
under the same id; the remaining rows get their new places. Values that records share, such as
endpoints, models and hosts, stay in the dictionary until retention has passed their day; answers do
not show them.

Invariant: after each slice all sums, lists and payloads are those of the remaining records.
"""

from collections.abc import Sequence
from typing import Any, Final

from storage.purge import Slice
from storage.query import Filter
from storage.relational.blocks.payloads import GROWN, repack
from storage.relational.reads.scan import seq_range
from storage.relational.reads.text_index.tables import drop_holders
from storage.relational.slices import Range
from storage.relational.sql import Rows
from storage.relational.upkeep.removal import (
    BODIES_BLOCK,
    CONVERSATION,
    HEADS_BLOCK,
    REMOVED,
    count,
    delete_rows,
)
from storage.relational.upkeep.session import Upkeep
from storage.relational.writes.packing import COLUMNS

SLICE_ROWS: Final = 500
"""Rows of one transaction: about 50 ms with their blocks."""
_SCAN_ROWS: Final = 50_000
"""Rows examined in one transaction: 10 to 30 ms."""
_KIND: Final = COLUMNS.index("kind")


async def erase_slice(
    session: Upkeep, filter: Filter, from_seq: int, max_rows: int = SLICE_ROWS
) -> Slice:
    """Erase the first records of a filter from a `seq` on, in the transaction of a session whose
    budget has not begun.
    """
    found = await session.rows_by_seq(filter)
    whole = await seq_range(session, filter)
    first = max(from_seq, whole.first)
    if found is None or first > whole.last:
        return Slice(0, 0, None)

    most = _SCAN_ROWS if found.first_rows is None else max_rows
    last = min(first + most - 1, whole.last)
    where = await found.within(Range(first, last))
    assert where is not None, "bug: the budget has ended the first query"
    rows = await session.fetch(
        f"SELECT {', '.join(REMOVED)} FROM {session.dialect.schema}records "
        f"WHERE {where.text} {found.order_by('asc')} LIMIT {max_rows}",
        where.parameters,
    )
    if len(rows) == max_rows:
        last = rows[-1][0]
    if rows:
        await _remove(session, rows)

    events = sum(row[_KIND] for row in rows)
    return Slice(len(rows) - events, events, last + 1 if last < whole.last else None)


async def _remove(session: Upkeep, rows: Rows) -> None:
    await session.fetch(session.dialect.change_state("erasures", "{} + 1"))
    await count(session, rows, sign=-1)
    seqs = [row[0] for row in rows]
    await drop_holders(session, seqs)
    grown = 0

    for name, column in (("heads", HEADS_BLOCK), ("bodies", BODIES_BLOCK)):
        touched = {row[column]: row for row in rows if row[column]}
        for block, row in sorted(touched.items()):
            grown += await _repack(session, block, row, name, set(seqs))

    await session.count_bytes(grown)
    await delete_rows(session, rows)


async def _repack(
    session: Upkeep, block: int, erased: Sequence[Any], name: str, seqs: set[int]
) -> int:
    """Pack a block anew with the content of its remaining rows; delete it without any.

    Returns the change of its length. `erased` is one of the erased rows, `seqs` are all of them.
    """
    found = await session.shared_block(block, name, erased)
    if found is None:
        return 0

    dialect = session.dialect
    mark = dialect.placeholder
    # The rows of a growing block are all of one conversation, and far apart.
    conversation = (erased[CONVERSATION],) if found.kind == GROWN else ()
    rows = await session.fetch(
        f"SELECT seq, {name}_offset, {name}_length FROM {dialect.schema}records "
        f"WHERE {dialect.seq_between(mark(1), mark(2))} AND {name}_block = {mark(3)}"
        f"{f' AND conversation = {mark(4)}' if conversation else ''} {dialect.by_seq('asc')}",
        (found.part.first, found.part.last, block, *conversation),
    )
    left = [row for row in rows if row[0] not in seqs]
    if not left:
        await session.fetch(f"DELETE FROM {dialect.schema}blocks WHERE id = {mark(1)}", (block,))
        return -len(found.frame)

    size, packed = repack(found.frame, ((offset, length) for _, offset, length in left))
    await session.replace_block(block, name, left, size, bytes(packed), conversation)
    return len(packed) - len(found.frame)


def offsets(left: Rows) -> list[int]:
    """List the new offsets of rows, each given as seq, offset and length."""
    found = []
    offset = 0
    for _, _, length in left:
        found.append(offset)
        offset += length
    return found
