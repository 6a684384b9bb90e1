"""Retention in SQL: the floors, and slices of deletion below them.

Strategy: `spans` has the position of old rows, a block has its newest record, so nothing is
searched. The order of deletion: rows, rollups of deleted hours, blocks, calls and jobs, unused
repeated text; at last pages are given back to the file system. A row above the floor keeps its
block until it is deleted, too. Each slice is a transaction of one kind of work, in steps, and ends
with its turn.

Slices of the cap on size are in `trim.py`.

Invariant: only rows that readers no longer see are deleted, so a reader cannot notice it.
"""

from functools import partial
from typing import Final

from storage.purge import Purged, RetentionState
from storage.record import now_us
from storage.relational.blocks.payloads import BODIES, GROWN, HEADS
from storage.relational.session import State
from storage.relational.slices import Range
from storage.relational.sql import MAX_INT, delete_before
from storage.relational.time_ranges import HOUR_US, unused_before
from storage.relational.tools.writes import drop_calls
from storage.relational.upkeep.session import Upkeep, first_row, raise_state
from storage.relational.upkeep.turn import Turn
from storage.relational.writes.jobs import drop_jobs

_STEP_ROWS: Final = 100
"""Rows of one step: 1 ms."""
_STEP_BLOCKS: Final = 10
"""Blocks of one step, usually 200 KB of compressed bodies."""
STEP_PAGES: Final = 20
"""Pages given back in one step."""
_ALL: Final = Range(0, MAX_INT)


async def retention(session: Upkeep) -> RetentionState:
    state = await session.state()
    dialect = session.dialect
    [(oldest_us, server_now_us)] = await session.fetch(
        f"SELECT min(min_started_at_us), {dialect.clock_us} FROM {dialect.schema}spans"
    )
    first_us = await first_row(session, "started_at_us", _ALL)
    return RetentionState(
        purge_floor_us=state.purge_floor_us,
        body_floor_us=state.body_floor_us,
        purged_through_seq=state.purged_through_seq,
        oldest_us=oldest_us,
        used_bytes=await session.used_bytes(),
        last_seq=state.last_seq,
        reaches_back_us=None if first_us is None else max(first_us, state.purge_floor_us),
        server_now_us=server_now_us,
    )


async def move_floors(
    session: Upkeep, purge_floor_us: int, body_floor_us: int, *, down: bool = False
) -> None:
    """Raise the floors, or lower them; a floor that is already beyond the value stays."""
    await raise_state(session, "purge_floor_us", purge_floor_us, down=down)
    await raise_state(session, "body_floor_us", max(purge_floor_us, body_floor_us), down=down)


async def purge(session: Upkeep, turn: Turn) -> Purged:
    """Delete one slice below the floors, in a transaction."""
    state = await session.state()
    rows = await _purge_rows(session, state.purge_floor_us, turn)
    if rows is not None:
        return Purged(rows, 0, is_done=False)

    hour = state.purge_floor_us // HOUR_US
    sums = partial(session.rollups.delete_before, session, hour)
    if await turn.take(sums, _STEP_ROWS):
        return Purged(0, 0, is_done=False)

    for kind, floor_us in (
        (HEADS, state.purge_floor_us),
        (BODIES, state.body_floor_us),
        (GROWN, state.body_floor_us),
    ):
        blocks = await turn.take(partial(_delete_blocks, session, kind, floor_us), _STEP_BLOCKS)
        if blocks:
            return Purged(0, blocks, is_done=False)

    orphans = partial(drop_calls, session, state.purge_floor_us)
    await drop_jobs(session, state.purge_floor_us)
    calls = partial(_empty_calls, session, state.body_floor_us)
    unused_day = await _unused_before(session, state)
    texts = partial(delete_before, session, "dictionary", "used_day", unused_day)
    for step, step_items in (
        (orphans, _STEP_ROWS),
        (calls, _STEP_ROWS),
        (texts, _STEP_ROWS),
        (session.give_back, STEP_PAGES),
    ):
        if await turn.take(step, step_items):
            return Purged(0, 0, is_done=False)

    return Purged(0, 0, is_done=True)


async def note_oldest(session: Upkeep) -> None:
    """Note that all rows before the oldest remaining one are gone."""
    first = await first_row(session, "seq", _ALL)
    if first is None:
        through = (await session.state()).last_seq
    else:
        through = first - 1
    await raise_state(session, "purged_through_seq", through)


async def _purge_rows(session: Upkeep, floor_us: int, turn: Turn) -> int | None:
    """Delete rows of the oldest spans below the floor; None without such a span."""
    dialect = session.dialect
    mark = dialect.placeholder
    spans = f"{dialect.schema}spans"
    key = dialect.span_key
    next_span = (
        f"SELECT {key}, first_seq, last_seq, max_started_at_us FROM {spans} "
        f"WHERE min_started_at_us < {mark(1)} AND {key} > {mark(2)} ORDER BY {key} LIMIT 1"
    )
    rows = 0
    finished: list[tuple[int, int]] = []
    after = -1

    while rows < turn.max_items and not (rows and turn.is_over):
        found = await session.fetch(next_span, (floor_us, after))
        if not found:
            break

        [(span, first, last, newest_us)] = found
        limit = min(turn.max_items - rows, turn.step_of(_STEP_ROWS))
        deleted = await _delete_rows(session, Range(first, last), floor_us, limit)
        rows += deleted
        if deleted < limit:
            finished.append((span, newest_us))
            after = span

    if not finished and not rows:
        return None

    await note_oldest(session)
    await session.lock_counter()
    # The newest span may have grown meanwhile: its current times decide.
    gone = f"DELETE FROM {spans} WHERE {key} = {mark(1)} AND max_started_at_us < {mark(2)}"
    kept = (
        f"UPDATE {spans} SET min_started_at_us = {mark(1)} "
        f"WHERE {key} = {mark(2)} AND max_started_at_us = {mark(3)}"
    )
    for span, newest_us in finished:
        await session.fetch(gone, (span, floor_us))
        await session.fetch(kept, (floor_us, span, newest_us))
    return rows


async def _delete_rows(session: Upkeep, part: Range, floor_us: int, max_rows: int) -> int:
    """Delete the first rows of a part that started before a floor; return their number."""
    dialect = session.dialect
    mark = dialect.placeholder
    records = f"{dialect.schema}records"
    inner = await session.within(part, 1)
    place = len(inner.parameters) + 1
    old = (
        f"SELECT seq FROM {records} WHERE {inner.text} AND started_at_us < {mark(place)} "
        f"{dialect.by_seq('asc')} LIMIT {mark(place + 1)}"
    )
    outer = await session.within(part, place + 2)
    gone = await session.fetch(
        f"DELETE FROM {records} WHERE {dialect.limited('seq', old)} AND {outer.text} RETURNING 1",
        (*inner.parameters, floor_us, max_rows, *outer.parameters),
    )
    return len(gone)


async def _delete_blocks(session: Upkeep, kind: int, floor_us: int, max_blocks: int) -> int:
    dialect = session.dialect
    mark = dialect.placeholder
    blocks = f"{dialect.schema}blocks"
    # The ids first: rows of the index are small, rows of the table are not.
    old = (
        f"SELECT id FROM {blocks} "
        f"WHERE kind = {mark(1)} AND newest_started_at_us < {mark(2)} LIMIT {mark(3)}"
    )
    # A block may have grown since it was found: its current state decides.
    gone = await session.fetch(
        f"DELETE FROM {blocks} WHERE {dialect.limited('id', old)} "
        f"AND +newest_started_at_us < {mark(4)} RETURNING length(data)",
        (kind, floor_us, max_blocks, floor_us),
    )
    if gone:
        await session.count_bytes(-sum(size for (size,) in gone))
    return len(gone)


async def _empty_calls(session: Upkeep, floor_us: int, max_calls: int) -> int:
    """Delete arguments and results of calls below the floor of bodies; return the number of calls."""
    dialect = session.dialect
    mark = dialect.placeholder
    calls = f"{dialect.schema}tool_calls"
    old = (
        f"SELECT id FROM {calls} WHERE started_at_us < {mark(1)} AND detail <> {dialect.no_bytes} "
        f"LIMIT {mark(2)}"
    )
    emptied = await session.fetch(
        f"UPDATE {calls} SET detail = {dialect.no_bytes}, search = '' "
        f"WHERE {dialect.limited('id', old)} RETURNING 1",
        (floor_us, max_calls),
    )
    await session.fetch(
        f"DELETE FROM {dialect.schema}waiting_calls WHERE started_at_us < {mark(1)}", (floor_us,)
    )
    return len(emptied)


async def _unused_before(session: Upkeep, state: State) -> int:
    """Return the day before which repeated text is unused, by the times of the remaining rows."""
    dialect = session.dialect
    mark = dialect.placeholder
    # The first span may still cover rows that the cap on size removed.
    found = await session.fetch(
        f"SELECT first_seq, last_seq FROM {dialect.schema}spans ORDER BY last_seq LIMIT 1"
    )
    first, last = found[0] if found else (0, 0)
    [(row_us, span_us, server_now_us)] = await session.fetch(
        f"SELECT (SELECT min(started_at_us) FROM {dialect.schema}records "
        f"WHERE {dialect.seq_between(mark(1), mark(2))}), "
        f"(SELECT min(min_started_at_us) FROM {dialect.schema}spans "
        f"WHERE last_seq > {mark(3)}), {dialect.clock_us}",
        (first, last, last),
    )
    oldest_us = min((each for each in (row_us, span_us) if each is not None), default=None)
    return unused_before(
        state.purge_floor_us, oldest_us, now_us() if server_now_us is None else server_now_us
    )
