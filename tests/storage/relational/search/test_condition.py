"""Searches become conditions with bound parameters; what a condition cannot say is left to be looked at."""

from typing import Any

from storage.postgres.session import DIALECT as POSTGRES
from storage.relational.search.condition import condition, texts, unsaid, widened
from storage.search.expression import And, Between, Expression, Is, Like, Not, Or, Substring
from storage.sqlite.session import DIALECT as SQLITE

METHOD = Is("method", ("GET", "\udc80"))
HEADER = Like("header.x", ("", "a", ""))


def written(search: Expression, dialect: Any = SQLITE, ids: dict[str, dict[str, int]] | None = None) -> Any:
    """Write a condition; answers its text and its parameters."""
    where = condition(search, ids or {"method": {"GET": 7}}, dialect, 1)
    return where.text, list(where.parameters)


def test_texts() -> None:
    """Values of dictionary columns that can be stored; patterns are looked up by the condition itself."""
    assert texts(Or((METHOD, Not(Is("tool", ("t",))), Like("model", ("a", ""))))) == {
        "method": ("GET",),
        "tool_name": ("t",),
    }
    assert texts(None) == {}


def test_widening() -> None:
    """Of `and`, what can be said; of `or` and `not`, all or nothing."""
    assert widened(And((METHOD, HEADER))) == METHOD
    assert widened(Or((METHOD, HEADER))) is None
    assert widened(Not(HEADER)) is None
    assert widened(Or((METHOD, And((METHOD, HEADER))))) == Or((METHOD, METHOD))
    assert widened(None) is None
    assert unsaid(And((METHOD, HEADER))) == HEADER
    assert unsaid(METHOD) is None
    assert unsaid(Substring("x")) == Substring("x")


def test_conditions() -> None:
    """Values are bound, never written; null counts as false under `not`."""
    assert written(METHOD) == ("method IN (?)", [7])
    assert written(Not(METHOD), POSTGRES) == ("(method IN ($1::bigint) IS NOT TRUE)", [7])
    assert written(Is("model", ("x",))) == ("1 = 0", [])
    assert written(Between("status", None, 1 << 70)) == ("(status >= ? AND status <= ?)", [1, (1 << 63) - 1])
    text, parameters = written(Like("path", ("/A_%", "")), POSTGRES)
    assert text == 'lower(path COLLATE "C") LIKE $1'
    assert parameters == ["/a\\_\\%%"]
