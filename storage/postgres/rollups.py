"""Tables of rollups in Postgres, kept by one statement a table, with one array a column."""

from typing import Final

from storage.postgres.histograms import pack_histogram
from storage.postgres.session import DIALECT
from storage.relational.rollup_tables import ADDED, RollupSql, RollupTables, merged_columns

ROLLUPS: Final = RollupTables(
    RollupSql(
        merged=merged_columns(
            least="least(known.{0}, excluded.{0})",
            most="greatest(known.{0}, excluded.{0})",
            histogram=ADDED,
        ),
        pack=pack_histogram,
        cap="UPDATE sidelog.state SET capped_dimensions = capped_dimensions | $1 WHERE "
        "capped_dimensions & $1 <> $1",
        folded_until="SELECT until_hour FROM sidelog.folded FOR SHARE",
        # It does not wait for other transactions, so that no deadlock can arise.
        take_folded="SELECT until_hour FROM sidelog.folded FOR UPDATE SKIP LOCKED",
        set_folded="UPDATE sidelog.folded SET until_hour = $1",
        usage_owner=("instance",),
    ),
    DIALECT,
)
