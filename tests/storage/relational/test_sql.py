"""Filters become SQL with bound parameters, in the form that indexes need."""

from dataclasses import replace
from importlib.resources import files

from storage.postgres.session import DIALECT as POSTGRES
from storage.relational.search.condition import conditions
from storage.relational.sql import COMBINATIONS, PART_KINDS
from storage.search.expression import Is, Or
from storage.sqlite.session import DIALECT as SQLITE
from tests.support.filters import make_filter

NUMBERED = replace(
    SQLITE,
    placeholder=lambda number: f"${number}",
    trace_id="trace_id = {}",
    like=lambda column, parts, add: f"has({column}, {add(parts[1])})",
)


def test_combinations_are_searched_under_their_kind() -> None:
    """Their texts, of which Postgres has a partial index of each kind, and then their rows, in a
    partial index, too.
    """
    schema = files("storage.postgres.migrations").joinpath("0001_first.sql").read_text()
    for field, column in COMBINATIONS.items():
        kind = f"kind = {PART_KINDS[column]}"
        for dialect in (SQLITE, POSTGRES):
            either = Or((Is(field, ("a",)), Is(field, ("b",))))
            found = conditions(make_filter(kind="all", where=either), {}, dialect)
            assert found is not None
            assert found.text.count(f"{kind} AND (") == 3
            assert f" AND {column} <> 0 AND " in found.text

        assert f"WHERE {kind};" in schema


def test_a_database_may_divide_in_its_own_way() -> None:
    """Quotients, and columns whose index is not wanted, are written as the dialect says."""
    dialect = replace(
        NUMBERED, divided=lambda number, by: f"intDiv({number}, {by})", unindexed="{}"
    )
    found = conditions(make_filter(kind="event", statuses=(404,), levels=("info",)), {}, dialect)
    assert found is not None
    assert found.text.startswith(
        "level = $1 AND status >= 400 AND intDiv(status, 100) = $2 AND status = $3"
    )
    assert found.text.endswith("AND kind = 1 AND level >= 1")
