"""Disk space in Postgres: measure the used space, and make space of deleted rows usable again."""

from typing import Final

from storage.postgres.connection import Connection
from storage.postgres.index_keys import by_seq
from storage.postgres.session import PostgresSession
from storage.relational.reads.totals import rows_total

_ROW_BYTES: Final = 360
"""Approximate size of a row with its indexes, without its text (measured,
bench/results/queries-postgres-10000000.json).
"""
_CALL_BYTES: Final = 450
"""Approximate size of a tool call, without its content."""
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
    """Return SQL for an average over a sample of pages, or over the newest rows if the sampled
    pages are empty.
    """
    share = f"least(100, {_SAMPLE_PAGES * 8192 * 100.0} / greatest(1, {size}))"
    return (
        f"coalesce((SELECT avg({measure}) "
        f"FROM sidelog.{table} TABLESAMPLE SYSTEM ({share})), (SELECT avg({measure}) "
        f"FROM (SELECT {columns} FROM sidelog.{table} {newest} "
        f"LIMIT {_SAMPLE_PAGES}) AS newest), 0)"
    )


_TEXT_BYTES: Final = _average(
    # Values too large for a row are stored in chunks of 2 kB; that takes up to a quarter more
    # (measured).
    " + ".join(
        f"coalesce(pg_column_size({column}) * (1 + (pg_column_size({column}) > 2000)::int * "
        "0.25), 0)"
        for column in _TEXT
    ),
    ", ".join(_TEXT),
    "records",
    "(SELECT sum(pg_relation_size(inhrelid)) FROM pg_inherits "
    "WHERE inhparent = 'sidelog.records'::regclass)",
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
    "(SELECT coalesce(sum(calls), 0) "
    f"FROM sidelog.tool_rollups) * ({_CALL_BYTES} + {_CALLS})))::bigint"
)
"""Space of everything except records and blocks. The files of large tables also hold freed space,
to be used again.
"""
_USED: Final = (
    f"SELECT (($1::bigint * ({_ROW_BYTES} + {_TEXT_BYTES}))::bigint + $2::bigint + ({_OTHERS}))"
)
"""Space of a number of records, of their blocks with a number of bytes, and of everything else."""
_TABLES: Final = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'sidelog'::regnamespace "
    "AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname"
)


async def used_bytes(session: PostgresSession) -> int:
    """Return the space in use. It is less than the size of the files: they hold freed space, to be
    used again.
    """
    connection = session.connection
    block_bytes = await connection.fetchval("SELECT block_bytes FROM sidelog.counter")
    return int(await connection.fetchval(_USED, await rows_total(session), block_bytes))


async def vacuum(connection: Connection) -> None:
    """Vacuum all tables; this also truncates free space at the end of their files. Outside a
    transaction.
    """
    for (table,) in await connection.fetch(_TABLES):
        await connection.execute(f"VACUUM (ANALYZE) sidelog.{table}")


async def reclaim(connection: Connection) -> None:
    """Make the space of deleted rows usable for new ones. Outside a transaction."""
    for table in ("records", "blocks", "spans", "tool_calls"):
        await connection.execute(f"VACUUM sidelog.{table}")
