"""Retention in SQL: the floors, and slices of deletion below them.

Strategy: the partition of a day without visible rows is dropped, which frees its space at once.
Rows of other days are deleted in slices, found by `spans`, each a transaction of its own; then the
rollups of past hours, then blocks, which know their newest record, then jobs and calls, then unused
repeated text. The server's own vacuum makes the space of slices usable again. Of sidecars that
share a database one deletes at a time.

Invariant: only rows that no reader sees any more are deleted. Rows that a batch may lock, too, are
locked in the order of a batch: state, then the counter row, then spans, jobs and calls.
"""

from typing import Final

import asyncpg

from storage.postgres import rollups
from storage.postgres.connection import Connection, affected, transaction
from storage.postgres.dictionary import delete_unused
from storage.postgres.index_keys import by_seq, seq_between
from storage.postgres.jobs import drop_jobs
from storage.postgres.partitions import DAYS_BEFORE, Partition, listed
from storage.postgres.session import PostgresSession, bounds, id_range, read_state
from storage.postgres.tools import drop_calls
from storage.purge import Purged, RetentionState
from storage.relational.blocks.payloads import BODIES, GROWN, HEADS
from storage.relational.reads.totals import rows_total
from storage.relational.session import State
from storage.relational.slices import Range
from storage.relational.time_ranges import DAY_US, HOUR_US, unused_before

LOCK: Final = 0x5349_4445_4C4F_48
"""Key of the advisory lock of deletion."""
_ROW_BYTES: Final = 360
"""A row with its indexes, about, beside its text (measured,
bench/results/queries-postgres-10000000.json).
"""
_CALL_BYTES: Final = 450
"""The same of a tool call, beside its content."""
_SAMPLE_PAGES: Final = 500
_TEXT: Final = (
    "path",
    "query",
    "trace_id",
    "span_id",
    "request_id",
    "data",
    "stream",
    "marks",
    "grpc",
)


def _average(measure: str, columns: str, table: str, size: str, newest: str) -> str:
    """Return SQL of an average over a sample of pages; over the newest rows, where the sampled
    pages are empty.
    """
    share = f"least(100, {_SAMPLE_PAGES * 8192 * 100.0} / greatest(1, {size}))"
    return (
        f"coalesce((SELECT avg({measure}) FROM sidelog.{table} TABLESAMPLE SYSTEM ({share})), "
        f"(SELECT avg({measure}) "
        f"FROM (SELECT {columns} FROM sidelog.{table} {newest} LIMIT {_SAMPLE_PAGES}) AS newest), "
        "0)"
    )


_TEXT_BYTES: Final = _average(
    # What does not fit into a row is kept in chunks of 2 kB: up to a quarter more (measured).
    " + ".join(
        f"coalesce(pg_column_size({column}) * (1 + (pg_column_size({column}) > 2000)::int * "
        "0.25), 0)"
        for column in _TEXT
    ),
    ", ".join(_TEXT),
    "records",
    "(SELECT sum(pg_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = "
    "'sidelog.records'::regclass)",
    by_seq("desc"),
)
_CALLS: Final = _average(
    "octet_length(detail) + octet_length(search)",
    "detail, search",
    "tool_calls",
    "pg_relation_size('sidelog.tool_calls')",
    "ORDER BY id DESC",
)
_OTHERS: Final = (
    "SELECT ((SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class "
    "WHERE relnamespace = 'sidelog'::regnamespace AND relkind = 'r' AND NOT relispartition "
    "AND relname NOT IN ('tool_calls', 'text_parts', 'text_cells', 'text_segments')) "
    "+ (SELECT coalesce(sum(size_bytes), 0) FROM sidelog.text_segments) "
    "+ (SELECT coalesce(sum(octet_length(signature)), 0) FROM sidelog.text_cells) "
    "+ least(pg_total_relation_size('sidelog.tool_calls'), "
    f"(SELECT coalesce(sum(calls), 0) FROM sidelog.tool_rollups) * ({_CALL_BYTES} + "
    f"{_CALLS})))::bigint"
)
"""Space of all but records and blocks. Files of large tables also hold freed space, which will be
used again.
"""
_USED: Final = (
    f"SELECT (($1::bigint * ({_ROW_BYTES} + {_TEXT_BYTES}))::bigint + $2::bigint + ({_OTHERS}))"
)
"""Space of so many records with blocks of so many bytes, and of everything else."""
_OLDEST: Final = (
    "SELECT min(min_started_at_us), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint "
    "FROM sidelog.spans"
)
_FIRST_SPAN: Final = "SELECT first_seq, last_seq FROM sidelog.spans ORDER BY last_seq LIMIT 1"
_OLDEST_LEFT: Final = (
    "SELECT least((SELECT min(started_at_us) FROM sidelog.records WHERE "
    f"{seq_between('$1', '$2')}), "
    "(SELECT min(min_started_at_us) FROM sidelog.spans WHERE last_seq > $2)), "
    "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
)
_MAX_BLOCKS: Final = 200
"""Blocks of one slice, 4 MB of compressed bodies at most as a rule."""
_TABLES: Final = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'sidelog'::regnamespace "
    "AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname"
)
_DROP_WAIT_MS: Final = 1000
"""Dropping a partition waits for every reader, and new readers wait behind it, so it gives up soon.
"""
_DAY_MS: Final = DAY_US // 1000


async def retention(session: PostgresSession) -> RetentionState:
    connection = session.connection
    state = await session.state()
    [(oldest_us, server_now_us)] = await connection.fetch(_OLDEST)
    first_us = await connection.fetchval(
        f"SELECT started_at_us FROM sidelog.records {by_seq('asc')} LIMIT 1"
    )
    # Not the size of the files, which hold freed space that will be used again.
    block_bytes = await connection.fetchval("SELECT block_bytes FROM sidelog.counter")
    return RetentionState(
        purge_floor_us=state.purge_floor_us,
        body_floor_us=state.body_floor_us,
        purged_through_seq=state.purged_through_seq,
        oldest_us=oldest_us,
        used_bytes=await connection.fetchval(_USED, await rows_total(session), block_bytes),
        last_seq=state.last_seq,
        reaches_back_us=None if first_us is None else max(first_us, state.purge_floor_us),
        server_now_us=server_now_us,
    )


async def move_floors(
    connection: Connection, purge_floor_us: int, body_floor_us: int, down: bool
) -> None:
    """Raise the floors, or lower them; a floor that is beyond its new value already stays."""
    moved = "least" if down else "greatest"
    await connection.execute(
        f"UPDATE sidelog.state SET purge_floor_us = {moved}(purge_floor_us, $1), "
        f"body_floor_us = {moved}(body_floor_us, greatest($1::bigint, $2))",
        purge_floor_us,
        body_floor_us,
    )


async def purge(connection: Connection, begin: str, max_rows: int) -> Purged:
    """Delete one slice below the floors, in a transaction that starts with the text `begin`."""
    begin = f"{begin}; SELECT pg_advisory_xact_lock({LOCK})"
    dropped = await _drop_day(connection, begin)
    if dropped is not None:
        return dropped

    async with transaction(connection, begin):
        state = await read_state(connection)
        rows = await _purge_rows(connection, state.purge_floor_us, max_rows)
        if rows:
            return Purged(rows, 0, is_done=False)

        await rollups.delete_before(connection, state.purge_floor_us // HOUR_US)
        blocks = await _purge_blocks(connection, state)
        if blocks:
            # The counter is locked now, and a batch locks what follows after it.
            return Purged(0, blocks, is_done=False)

        await drop_jobs(connection, state.purge_floor_us)
        calls = await drop_calls(connection, state)
        # The first span may know of rows that the cap on size took.
        first, last = await connection.fetchrow(_FIRST_SPAN) or (0, 0)
        [(oldest_us, server_now_us)] = await connection.fetch(_OLDEST_LEFT, first, last)
        day = unused_before(state.purge_floor_us, oldest_us, server_now_us)
        values = 0 if calls else await delete_unused(connection, day, max_rows)

    return Purged(0, 0, is_done=not calls and not values)


async def vacuum(connection: Connection) -> None:
    """Let the server tidy all tables, and cut off what is free at the end of their files. Outside a
    transaction.
    """
    for (table,) in await connection.fetch(_TABLES):
        await connection.execute(f"VACUUM (ANALYZE) sidelog.{table}")


async def reclaim(connection: Connection) -> None:
    """Make the space of deleted rows usable for new ones. Outside a transaction."""
    for table in ("records", "blocks", "spans", "tool_calls"):
        await connection.execute(f"VACUUM sidelog.{table}")


async def _drop_day(connection: Connection, begin: str) -> Purged | None:
    """Drop one partition of a day below the floor; None without one, or while readers hold it."""
    try:
        async with transaction(connection, f"{begin}; SET LOCAL lock_timeout = {_DROP_WAIT_MS}"):
            state = await read_state(connection)
            until_day = await _first_day(connection, state)
            for partition in await listed(connection):
                if partition.day < until_day and await _is_gone(connection, partition, state):
                    return await _drop(connection, partition)
    except asyncpg.LockNotAvailableError:
        return None

    return None


async def _first_day(connection: Connection, state: State) -> int:
    """Find the first day that may keep a row: by the floor, and by what the cap on size has left."""
    least_ms = await connection.fetchval("SELECT min(min_id_ms) FROM sidelog.spans")
    trimmed = 0 if least_ms is None else least_ms // _DAY_MS - DAYS_BEFORE
    return max(state.purge_floor_us // DAY_US, min(trimmed, state.trimmed_until_us // DAY_US))


async def _is_gone(connection: Connection, partition: Partition, state: State) -> bool:
    if partition.table == "blocks":
        sql = (
            f"SELECT NOT EXISTS (SELECT FROM sidelog.{partition.name} WHERE kind = $1 AND "
            "newest_started_at_us >= $2)"
        )
        found = [
            await connection.fetchval(sql, kind, state.purge_floor_us)
            for kind in (HEADS, BODIES, GROWN)
        ]
        return all(found)

    return bool(
        await connection.fetchval(
            "SELECT NOT EXISTS (SELECT FROM sidelog.spans "
            "WHERE min_id_ms < $1 AND max_id_ms >= $2 AND max_started_at_us >= $3)",
            (partition.day + 1) * _DAY_MS,
            partition.day * _DAY_MS,
            state.purge_floor_us,
        )
    )


async def _drop(connection: Connection, partition: Partition) -> Purged:
    measured = (
        "count(*), 0"
        if partition.table == "records"
        else "count(*), coalesce(sum(octet_length(data)), 0)::bigint"
    )
    [(number, size)] = await connection.fetch(f"SELECT {measured} FROM sidelog.{partition.name}")
    await connection.execute(f"DROP TABLE sidelog.{partition.name}")
    if partition.table == "records":
        await _note_oldest(connection)
        return Purged(number, 0, is_done=False)

    await connection.execute("UPDATE sidelog.counter SET block_bytes = block_bytes - $1", size)
    return Purged(0, number, is_done=False)


async def _purge_rows(connection: Connection, floor_us: int, max_rows: int) -> int:
    """Delete rows of the oldest spans below the floor; 0 when there is none left."""
    rows = 0
    finished: list[tuple[int, int]] = []
    after = -1

    while rows < max_rows:
        span = await connection.fetchrow(
            "SELECT first_seq, last_seq, max_started_at_us FROM sidelog.spans "
            "WHERE min_started_at_us < $1 AND first_seq > $2 ORDER BY first_seq LIMIT 1",
            floor_us,
            after,
        )
        if span is None:
            break

        after, last, newest_us = span
        limit = max_rows - rows
        deleted = await _delete_rows(connection, Range(after, last), floor_us, limit)
        rows += deleted
        if deleted < limit:
            finished.append((after, newest_us))

    if not finished and not rows:
        return 0

    await _note_oldest(connection)
    await connection.execute("SELECT FROM sidelog.counter FOR UPDATE")
    for first, newest_us in finished:
        await _finish_span(connection, first, newest_us, floor_us)
    return rows


async def _delete_rows(connection: Connection, part: Range, floor_us: int, limit: int) -> int:
    within = bounds(1)
    tag = await connection.execute(
        f"DELETE FROM sidelog.records WHERE {within} AND seq = ANY(ARRAY("
        f"SELECT seq FROM sidelog.records WHERE {within} AND started_at_us < $5 {by_seq('asc')} "
        "LIMIT $6))",
        part.first,
        part.last,
        *await id_range(connection, part),
        floor_us,
        limit,
    )
    return affected(tag)


async def _finish_span(
    connection: Connection, first_seq: int, newest_us: int, floor_us: int
) -> None:
    # The newest span may have grown meanwhile: its own times decide.
    await connection.execute(
        "DELETE FROM sidelog.spans WHERE first_seq = $1 AND max_started_at_us < $2",
        first_seq,
        floor_us,
    )
    await connection.execute(
        "UPDATE sidelog.spans SET min_started_at_us = $2 WHERE first_seq = $1 AND "
        "max_started_at_us = $3",
        first_seq,
        floor_us,
        newest_us,
    )


async def _note_oldest(connection: Connection) -> None:
    await connection.execute(
        "UPDATE sidelog.state SET purged_through_seq = greatest(purged_through_seq, coalesce("
        f"(SELECT seq - 1 FROM sidelog.records {by_seq('asc')} LIMIT 1), (SELECT last_seq FROM "
        "sidelog.counter)))"
    )


async def _purge_blocks(connection: Connection, state: State) -> int:
    blocks = 0
    size = 0
    for kind, floor_us in (
        (HEADS, state.purge_floor_us),
        (BODIES, state.body_floor_us),
        (GROWN, state.body_floor_us),
    ):
        rows = await connection.fetch(
            # A block may have grown since it was found: what it is now decides.
            "DELETE FROM sidelog.blocks WHERE kind = $1 AND newest_started_at_us < $2 AND id = "
            "ANY(ARRAY("
            "SELECT id FROM sidelog.blocks WHERE kind = $1 AND newest_started_at_us < $2 LIMIT "
            "$3)) "
            "RETURNING octet_length(data)",
            kind,
            floor_us,
            _MAX_BLOCKS - blocks,
        )
        blocks += len(rows)
        size += sum(length for (length,) in rows)

    if size:
        await connection.execute("UPDATE sidelog.counter SET block_bytes = block_bytes - $1", size)
    return blocks
