"""The table of reads: a list at its slowest depth, both stores side by side, what was cut is said."""

from bench.queries import Measured
from bench.query_report import Reads, markdown


def reads(backend: str, **p95_ms: float) -> Reads:
    """Make the results of one store, by name of the query, with `_` for ` ` and `__` for `, `."""
    results = {
        name.replace("__", ", ").replace("_", " "): Measured(9.0, 1.0, value, 0.5, complete=value < 1000)
        for name, value in p95_ms.items()
    }
    return Reads(backend, 10, 400, results)


def test_a_list_is_shown_at_its_slowest_depth() -> None:
    """And every other query as it is named; where one store has no figure, its columns are left out."""
    first = reads("sqlite", list__newest__first=2.0, list__newest__deep=7.0, facets__all=1234.0)
    second = reads("postgres", list__newest__first=3.0, list__newest__deep=2.5)
    assert markdown(first, second).splitlines() == [
        "| ms at 10 rows | sqlite first | p50 | p95 | CPU | postgres first | p50 | p95 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        "| list, newest | 9.0 | 1.0 | 7.0 | 0.5 | 9.0 | 1.0 | 3.0 |",
        "| facets, all (cut) | 9.0 | 1.0 | 1234.0 | 0.5 |",
    ]
