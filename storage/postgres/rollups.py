"""How Postgres keeps the tables of rollups: by one statement a table over arrays, an array a
column.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from storage.postgres.histograms import pack_histogram
from storage.postgres.session import DIALECT
from storage.relational.rollup_sql import merging
from storage.relational.rollup_tables import ADDED, RollupSql, RollupTables, merged_columns
from storage.relational.rollups import HISTOGRAMS


def _merging(table: str, keys: Sequence[str], merged: Mapping[str, str]) -> str:
    columns = (*keys, *merged)
    # A histogram is sent as text, which takes less than the driver's own form of such a number.
    values = ", ".join(
        f"{column}::numeric" if column in HISTOGRAMS else column for column in columns
    )
    types = ("text" if column in HISTOGRAMS else "bigint" for column in columns)
    arrays = ", ".join(f"${place}::{type}[]" for place, type in enumerate(types, 1))
    rows = f"SELECT {values} FROM unnest({arrays}) AS given ({', '.join(columns)})"
    return merging(table, keys, merged, rows)


def _emptying(table: str, keys: Sequence[str], measures: Sequence[str]) -> str:
    arrays = ", ".join(f"${place}::bigint[]" for place in range(1, len(keys) + 1))
    same = " AND ".join(f"known.{name} = gone.{name}" for name in keys)
    none = " AND ".join(f"known.{name} = 0" for name in measures)
    return (
        f"DELETE FROM {table} AS known USING unnest({arrays}) AS gone ({', '.join(keys)}) "
        f"WHERE {same} AND {none}"
    )


def _deletion(table: str, keys: Sequence[str]) -> str:
    rows = f"SELECT ctid FROM {table} WHERE {keys[0]} < $1 LIMIT $2"
    return f"DELETE FROM {table} WHERE ctid = ANY(ARRAY({rows})) RETURNING 1"


ROLLUPS: Final = RollupTables(
    RollupSql(
        merged=merged_columns(
            least="least(known.{0}, excluded.{0})",
            most="greatest(known.{0}, excluded.{0})",
            histogram=ADDED,
        ),
        merging=_merging,
        emptying=_emptying,
        deletion=_deletion,
        pack=pack_histogram,
        cap="UPDATE sidelog.state SET capped_dimensions = capped_dimensions | $1 WHERE "
        "capped_dimensions & $1 <> $1",
        folded_until="SELECT until_hour FROM sidelog.folded FOR SHARE",
        # It waits for no other transaction, so that none can wait in a circle.
        take_folded="SELECT until_hour FROM sidelog.folded FOR UPDATE SKIP LOCKED",
        set_folded="UPDATE sidelog.folded SET until_hour = $1",
        usage_owner=("instance",),
    ),
    DIALECT,
)
