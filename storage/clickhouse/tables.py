"""The tables of records, and how those of their rows are read that are committed.

Strategy: `RECORDS` with the condition `IS_COMMITTED` is every committed row, once. What other backends keep beside the
rows is read from what is there: `spans` is a view of the journal. Rows are no view: version 18 reads all of it before
the first condition, 100 rows of 3.2 million in 4.6 s instead of 0.08.
"""

from typing import Final

from storage.clickhouse.codec import ROW_TYPES
from storage.clickhouse.dictionary import DICTIONARY
from storage.clickhouse.epochs import LIMIT_S
from storage.clickhouse.journal import COMMITS
from storage.clickhouse.link import Link
from storage.relational.sql import Dialect
from storage.relational.time_ranges import DAY_US

_RECORD_ROWS: Final = f"""CREATE TABLE IF NOT EXISTS record_rows ({", ".join(f"{n} {t}" for n, t in ROW_TYPES.items())})
ENGINE = ReplacingMergeTree(attempt) PARTITION BY intDiv(started_at_us, {DAY_US}) ORDER BY seq"""
RECORDS: Final = "record_rows FINAL"
IS_COMMITTED: Final = "seq <= (SELECT max(last_seq) FROM commits)"
# Null where there is none: version 18 says 0 of the least of no numbers.
_SPANS: Final = """CREATE VIEW IF NOT EXISTS spans AS
SELECT toNullable(first_seq) AS first_seq, toNullable(last_seq) AS last_seq,
toNullable(min_started_at_us) AS min_started_at_us, toNullable(max_started_at_us) AS max_started_at_us,
toNullable(min_id_ms) AS min_id_ms, toNullable(max_id_ms) AS max_id_ms
FROM commits WHERE first_seq <= last_seq"""

DIALECT: Final = Dialect(
    placeholder=lambda number: f"${number}",
    # Of an empty text version 18 finds none.
    path_contains="(path IS NOT NULL AND (length({0}) = 0 OR position(lower(path), {0}) > 0))",
    trace_id="trace_id = {}",
    called_tool="called_tools IN (SELECT id FROM dictionary WHERE kind = 211 AND position(value, {}) > 0)",
    divided=lambda number, by: f"intDiv({number}, {by})",
    unindexed="{}",
)


async def create(link: Link) -> None:
    """Make what is not there yet."""
    for statement in (COMMITS, DICTIONARY, _RECORD_ROWS, _SPANS):
        await link.execute(statement, limit_s=LIMIT_S)
