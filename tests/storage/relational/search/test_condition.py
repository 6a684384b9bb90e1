"""Filters are compiled to SQL conditions with bound parameters, and a residual that SQL cannot
express.
"""

from typing import Any

from storage.postgres.session import DIALECT as POSTGRES
from storage.query import Filter
from storage.relational.search.condition import (
    conditions,
    residual,
    rollup_conditions,
    search_condition,
    sql_superset,
    texts,
)
from storage.relational.sql import Where
from storage.search.expression import And, Between, Expression, Has, Is, Like, Not, Or, Substring
from storage.sqlite.session import DIALECT as SQLITE

METHOD = Is("method", ("GET", "\udc80"))
HEADER = Like("header.x", ("", "a", ""))


def written(
    search: Expression, dialect: Any = SQLITE, ids: dict[str, dict[str, int]] | None = None
) -> Any:
    """Return the text and the parameters of a search's condition."""
    where = search_condition(search, ids or {"method": {"GET": 7}}, dialect, 1)
    return where.text, list(where.parameters)


def test_texts() -> None:
    """Storable values of dictionary columns are looked up; patterns are sub-queries."""
    assert texts(Filter(where=Or((METHOD, Not(Is("tool", ("t",))), Like("model", ("a", "")))))) == {
        "method": ("GET",),
        "tool_name": ("t",),
    }
    assert texts(Filter()) == {}


def test_supersets_and_residuals() -> None:
    """Of `and`, the parts that SQL can express; of `or` and `not`, all or nothing."""
    assert sql_superset(And((METHOD, HEADER))) == METHOD
    assert sql_superset(Or((METHOD, HEADER))) is None
    assert sql_superset(Not(HEADER)) is None
    assert sql_superset(Or((METHOD, And((METHOD, HEADER))))) == Or((METHOD, METHOD))
    assert sql_superset(None) is None
    tool = Like("called_tool", ("a", ""))
    # A pattern may match across two names that are stored as one text.
    assert sql_superset(tool) == residual(tool) == tool
    assert sql_superset(Not(tool)) is None
    assert residual(And((METHOD, HEADER))) == HEADER
    assert residual(METHOD) is None
    assert residual(Substring("x")) == Substring("x")


def test_a_pattern_of_names_finds_a_superset_of_texts() -> None:
    """It uses the partial index of rows with names, and the dictionary texts of their kind."""
    text, parameters = written(Like("called_tool", ('NAME:"', "")), POSTGRES)
    assert text == (
        "(called_tools <> 0 AND called_tools IN (SELECT id FROM sidelog.dictionary WHERE kind = "
        "211 "
        'AND lower(value COLLATE "C") LIKE $1))'
    )
    assert parameters == ['%\n"name:\\\\"%"\n%']


def test_conditions() -> None:
    """Values are bound, never written; null counts as false under `not`."""
    assert written(METHOD) == ("method = ?", [7])
    assert written(Not(METHOD), POSTGRES) == ("(+method = $1::bigint IS NOT TRUE)", [7])
    assert written(Is("model", ("x",))) == ("1 = 0", [])
    assert written(Between("status", None, 1 << 70)) == (
        "(status >= ? AND status <= ?)",
        [1, (1 << 63) - 1],
    )
    text, parameters = written(Like("path", ("/A_%", "")), POSTGRES)
    assert text == 'lower(path COLLATE "C") LIKE $1'
    assert parameters == ["/a\\_\\%%"]


def test_alternatives_that_list_values_of_a_column_use_its_index() -> None:
    """The index finds all values; each row is then checked. Rollups have no such index."""
    other = And((Is("endpoint", ("/a", "/never")), Is("route_id", ("shop",)), Not(Has("project"))))
    filter = Filter(
        kind="all", where=Or((Is("endpoint", ("/{name}",)), other, Is("endpoint", ("/unknown",))))
    )
    ids = {"endpoint": {"/{name}": 1, "/a": 2}, "route_id": {"shop": 7}}
    assert texts(filter) == {
        "endpoint": ("/{name}", "/a", "/never", "/unknown"),
        "route_id": ("shop",),
    }
    either = "(+endpoint = ? OR (+endpoint = ? AND +route_id = ? AND (project <> 0 IS NOT TRUE)))"
    found = conditions(filter, ids, SQLITE)
    assert found == Where(f"endpoint IN (?, ?) AND endpoint <> 0 AND {either}", (1, 2, 1, 2, 7))
    assert rollup_conditions(filter, ids, SQLITE) == Where(either, (1, 2, 7))
    assert conditions(filter, {}, SQLITE) is None


def test_a_condition_that_never_holds_binds_no_parameters() -> None:
    """Parameters that were bound before an alternative turned out never to hold are dropped."""
    search = Or((And((Is("method", ("GET",)), Is("host", ("x",)))), Is("method", ("GET",))))
    assert written(search) == ("(+method = ?)", [7])
    assert written(And((METHOD, Or((Is("host", ("x",)), Between("status", 5, 4)))))) == (
        "1 = 0",
        [],
    )
