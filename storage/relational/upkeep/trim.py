"""The cap on size in SQL: slices of the oldest rows by `seq`; bodies of the older half before any
row.

Strategy: a slice is a range of `seq` and one transaction, in steps, and ends with its turn. A block
is deleted with the last row that has content in it: blocks never span batches, and batches never
span `spans`. Blocks of a conversation are also needed by its next calls.

Invariant: after each slice all answers and sums are those of the remaining rows, and every
remaining block is used.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from storage.purge import Trimmed, TrimStep, next_trim
from storage.record import Record
from storage.relational.slices import Range
from storage.relational.upkeep.removal import (
    BODIES_BLOCK,
    CONVERSATION,
    HEADS_BLOCK,
    REMOVED,
    STARTED,
    count,
    delete_rows,
)
from storage.relational.upkeep.session import Upkeep, first_row, raise_state, rows_within
from storage.relational.upkeep.turn import Turn

STEP_ROWS: Final = 25
"""Rows of one step: 10 ms, mostly to subtract them from seven sums each. Few rows at a time share
less of that work: with 10 rows, each takes half as long again.
"""


async def trim(session: Upkeep, turn: Turn) -> Trimmed:
    """Take one slice, of one step at least, in a transaction."""
    whole = await _next(session, turn.max_items)
    if whole is None:
        return Trimmed(0, 0)

    step_rows = turn.step_of(STEP_ROWS)
    rows: list[Any] = []
    records: list[Record] = []
    bodies = 0

    for first in range(whole.first_seq, whole.last_seq + 1, step_rows):
        part = Range(first, min(first + step_rows - 1, whole.last_seq))
        if whole.what == "bodies":
            await _trim_bodies(session, part)
            bodies += part.size
        else:
            some = await rows_within(session, part, REMOVED)
            records += await _trim_rows(session, part, some)
            rows += some

        if turn.is_over:
            break

    if rows:
        await session.forget_texts(rows, records, may_search=turn.may_search)
    return Trimmed(len(rows), bodies)


async def _next(session: Upkeep, max_rows: int) -> TrimStep | None:
    state = await session.state()
    whole = await session.seq_ends()
    # Erasure moves neither bound. The bounds avoid reading index entries of rows that were trimmed.
    within = Range(max(whole.first, state.purged_through_seq + 1), whole.last)
    first = await first_row(session, "seq", within)
    if first is None:
        return None
    return next_trim(first, whole.last, state.bodies_through_seq, max_rows)


async def _trim_rows(session: Upkeep, part: Range, rows: Sequence[Any]) -> list[Record]:
    await raise_state(session, "purged_through_seq", part.last)
    await raise_state(session, "trimmed_until_us", max((row[STARTED] for row in rows), default=0))
    await session.fetch(session.dialect.change_state("trims", "{} + 1"))
    records: list[Record] = []

    if rows:
        records = await count(session, rows, sign=-1)
        heads = {row[HEADS_BLOCK] for row in rows}
        bodies = {(row[BODIES_BLOCK], row[CONVERSATION]) for row in rows}
        size = await session.delete_unshared("heads", heads, (), part.last)
        await session.count_bytes(-size - await _delete_bodies(session, bodies, part.last))
        await delete_rows(session, rows)

    await session.lock_counter()
    dialect = session.dialect
    await session.fetch(
        f"DELETE FROM {dialect.schema}spans WHERE last_seq <= {dialect.placeholder(1)}",
        (part.last,),
    )
    return records


async def _trim_bodies(session: Upkeep, part: Range) -> None:
    dialect = session.dialect
    bodies = await rows_within(session, part, ("bodies_block", "conversation"))
    await raise_state(session, "bodies_through_seq", part.last)
    await session.count_bytes(-await _delete_bodies(session, bodies, part.last))

    mark = dialect.placeholder
    await session.fetch(
        f"UPDATE {dialect.schema}tool_calls SET detail = {dialect.no_bytes}, search = '' WHERE "
        f"record_seq BETWEEN {mark(1)} AND {mark(2)} AND detail <> {dialect.no_bytes}",
        (part.first, part.last),
    )


async def _delete_bodies(session: Upkeep, bodies: Collection[Sequence[Any]], last_seq: int) -> int:
    """Delete the blocks of rows up to one, given their blocks and conversations; return the bytes
    of the blocks.
    """
    blocks = {block for block, _ in bodies}
    conversations = {conversation for _, conversation in bodies}
    return await session.delete_unshared("bodies", blocks, conversations, last_seq)
