"""Tables of rollups in SQLite, kept by one upsert for each row."""

from typing import Final

from storage.relational.rollup_tables import RollupSql, RollupTables, merged_columns
from storage.sqlite.histograms import APPENDED_BYTES, MERGE, pack_histogram
from storage.sqlite.session import DIALECT

_END: Final = "coalesce({1}(known.{0}, excluded.{0}), known.{0}, excluded.{0})"
"""Minimum or maximum of two values; SQLite's own function returns null if one of them is null."""
_HISTOGRAM: Final = (
    f"CASE WHEN length(known.{{0}}) < {APPENDED_BYTES} "
    f"THEN CAST(known.{{0}} || excluded.{{0}} AS BLOB) "
    f"ELSE {MERGE}(known.{{0}}, excluded.{{0}}) END"
)
_FOLDED_UNTIL: Final = "SELECT value FROM meta WHERE name = 'folded_until'"


ROLLUPS: Final = RollupTables(
    RollupSql(
        merged=merged_columns(
            least=_END.format("{0}", "min"), most=_END.format("{0}", "max"), histogram=_HISTOGRAM
        ),
        pack=pack_histogram,
        cap="UPDATE meta SET value = value | ? WHERE name = 'capped_dimensions'",
        folded_until=_FOLDED_UNTIL,
        take_folded=_FOLDED_UNTIL,
        set_folded="UPDATE meta SET value = ? WHERE name = 'folded_until'",
    ),
    DIALECT,
)
