"""The tables of rows.

Strategy: each has a row's `seq` and the attempt it was inserted by, which tell whether it is committed
(`storage.clickhouse.reads.visible`). What other backends keep beside the rows is read from what is there: `spans` is a
view of the journal. Rows are no view: version 18 reads all of it before the first condition, 100 rows of 3.2 million in
4.6 s instead of 0.08. All are partitioned by the day of their start, so that retention drops days. Where a row of heads
or bodies is read alone, few others are between two marks of the index.
"""

from collections.abc import Collection
from functools import partial
from typing import Final

from storage.clickhouse.cluster.engines import made_for
from storage.clickhouse.codec import ROW_TYPES
from storage.clickhouse.dictionary import DICTIONARY
from storage.clickhouse.features import Features, read_features
from storage.clickhouse.link import LIMIT_S, Link, over_tables
from storage.clickhouse.reads.derived import DERIVED
from storage.clickhouse.upkeep.erasures import ERASED
from storage.clickhouse.upkeep.grids import GRIDS, SUMMED
from storage.clickhouse.upkeep.parts import await_quiet, delete
from storage.clickhouse.upkeep.segments import PARTS, SEGMENTS
from storage.clickhouse.upkeep.sums import CUBES, tables_of_sums
from storage.clickhouse.writes.calls import CALL_TYPES, PLACE_BITS, WAITING_TYPES
from storage.clickhouse.writes.jobs import JOB_TYPES
from storage.clickhouse.writes.journal import COMMITS
from storage.clickhouse.writes.payloads import BODY_TYPES, HEAD_TYPES
from storage.errors import StorageUnavailable
from storage.relational.time_ranges import DAY_US

_NUMBERS: Final = {"seq": "Int64", "attempt": "UInt64"}
_RECORD_MARKS: Final = 1024
"""Rows between two marks of records: a page reads few, and all their columns."""
_PAYLOAD_MARKS: Final = 128
"""Rows between two marks of heads and bodies."""
_NAMES: Final = "SELECT name FROM system.tables WHERE database = currentDatabase()"
_REPLICA: Final = "SELECT replica_name FROM system.replicas WHERE database = currentDatabase() AND table = 'summed'"
_MADE: Final = " IF NOT EXISTS "
"""Stands before the name of what a statement makes."""
# Null where there is none: version 18 says 0 of the least of no numbers.
_SPANS: Final = """CREATE VIEW IF NOT EXISTS spans AS
SELECT toNullable(first_seq) AS first_seq, toNullable(last_seq) AS last_seq,
toNullable(min_started_at_us) AS min_started_at_us, toNullable(max_started_at_us) AS max_started_at_us,
toNullable(min_id_ms) AS min_id_ms, toNullable(max_id_ms) AS max_id_ms
FROM commits WHERE first_seq <= last_seq"""


async def create(link: Link) -> Features:
    """Make what is not there yet; returns what the server can do."""
    features = await read_features(link)
    compressed = " CODEC(ZSTD(1))" if features.has_codecs else ""
    seq, place = "seq Int64 ALIAS record_seq", f"id Int64 ALIAS record_seq * {1 << PLACE_BITS} + place"
    existing = {name for (name,) in await over_tables(partial(link.fetch, _NAMES, limit_s=LIMIT_S))}
    if link.address.cluster:
        await _forget_lost_sums(link, existing)
    elif not CUBES.keys() <= existing:
        # An empty table of sums in the place of a lost one would be believed.
        await link.execute("DROP TABLE IF EXISTS grids", limit_s=LIMIT_S)
        existing -= {"grids"}
    for statement in (
        COMMITS,
        GRIDS,
        *((SUMMED,) if link.address.cluster else ()),
        DICTIONARY,
        _table("records", ROW_TYPES, "seq", *_derived(), marks=_RECORD_MARKS),
        _table("heads", _NUMBERS | _with_codec(HEAD_TYPES, compressed), "seq", marks=_PAYLOAD_MARKS),
        _table("bodies", _NUMBERS | _with_codec(BODY_TYPES, compressed), "seq", marks=_PAYLOAD_MARKS),
        _table("tool_calls", {"attempt": "UInt64", "place": "Int64"} | CALL_TYPES, "record_seq, place", seq, place),
        _table("waiting_calls", _NUMBERS | WAITING_TYPES, "instance, record_id, position, seq"),
        _table("jobs", _NUMBERS | JOB_TYPES, "id, seq, place"),
        ERASED,
        _SPANS,
        *tables_of_sums(),
        SEGMENTS,
        PARTS,
    ):
        # A start waits a second for its store, and to look at each table takes longer than to look at all.
        if statement.partition(_MADE)[2].split(maxsplit=1)[0] not in existing:
            await link.execute(made_for(link.address, statement), limit_s=LIMIT_S)
    return features


async def _forget_lost_sums(link: Link, existing: Collection[str]) -> None:
    """Note that a replica has no sums any more, before a table of them that was lost is made, and filled by others."""
    if "summed" not in existing or all(table in existing for table in (*CUBES, "grids")):
        return
    [(replica,)] = await link.fetch(_REPLICA, limit_s=LIMIT_S)
    await delete(link, "summed", "replica = $1", (replica,))
    if not await await_quiet(link, LIMIT_S):
        raise StorageUnavailable("clickhouse: a table of sums was lost, and the server does not forget what was in it")


def _table(name: str, types: dict[str, str], key: str, *more: str, marks: int = 8192) -> str:
    columns = ", ".join((*(f"{column} {type}" for column, type in types.items()), *more))
    return (
        f"CREATE TABLE IF NOT EXISTS {name} ({columns}) ENGINE = ReplacingMergeTree(attempt) "
        f"PARTITION BY intDiv(started_at_us, {DAY_US}) ORDER BY ({key}) SETTINGS index_granularity = {marks}"
    )


def _derived() -> list[str]:
    return [f"{column} {type} MATERIALIZED {made_of}" for column, (type, made_of) in DERIVED.items()]


def _with_codec(types: dict[str, str], codec: str) -> dict[str, str]:
    return {column: type if type == "Int64" else f"{type}{codec}" for column, type in types.items()}
