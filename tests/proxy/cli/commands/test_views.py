"""`sidelog view`: saved, shown, named anew and deleted over the API; and lists that begin with one."""

import asyncio
import json
from typing import Any

import pytest

from proxy.cli import app
from proxy.cli.commands import views
from proxy.cli.commands.output import CommandError
from storage.record import Batch, Entry
from tests.api.samples import make_body, make_payload, make_record
from tests.support.memory_store import MemoryStorage

VIEW: dict[str, Any] = {"query": "a or b", "since": "24h", "until": None}
COLUMNS = ["started", "path", "tokens", "phases", "body.a"]


def test_what_is_given_wins_over_the_view() -> None:
    """Both searches must hold; a period replaces the view's, all of it."""
    assert views.applied(VIEW, {}) == {"since": "24h", "query": "a or b"}
    assert views.applied(VIEW, {"query": "c", "status": ["404"]}) == {
        "since": "24h", "query": "(a or b) (c)", "status": ["404"],
    }  # fmt: skip
    assert views.applied(VIEW, {"until": "2026-01-01"}) == {
        "until": "2026-01-01",
        "query": "a or b",
    }


def test_columns_of_the_web_ui_have_names_here() -> None:
    """Those that are nothing here are left out."""
    assert (
        views.fields_of(VIEW | {"columns": COLUMNS})
        == "time,target,input_tokens,output_tokens,body.a"
    )
    assert views.fields_of({"columns": ["phases"]}) is None


def test_a_view_holds_a_search_and_no_options() -> None:
    """An option that is a filter belongs into the search."""
    given = views.members("a", {"query": "x", "since": "24h"}, "time,body.a", None, None)
    assert given == {
        "name": "a", "columns": ["time", "body.a"], "order": "desc", "group_by": None, "query": "x",
        "since": "24h",
    }  # fmt: skip
    with pytest.raises(
        CommandError, match="--error-type is not part of a view; write it into the search"
    ):
        views.members("a", {"error_type": ["x"]}, None, None, None)


def test_views_are_saved_asked_named_anew_and_deleted(
    admin: MemoryStorage, capsys: pytest.CaptureFixture[str]
) -> None:
    """A list and a top list begin with one; errors are the API's."""

    def output(*arguments: str, code: int = 0) -> str:
        assert app.main(list(arguments)) == code
        printed = capsys.readouterr()
        return printed.out if code == 0 else printed.err

    entries = [
        Entry(make_record(n, status=500 + n), make_payload(make_body(b'{"user": %d}' % (n // 2))))
        for n in range(5)
    ]
    asyncio.run(admin.commit(Batch("side-1", entries)))
    search = ("status:>=501", "path:users")
    output(
        "view",
        "save",
        "slow one",
        *search,
        "--fields",
        "code,body.user",
        "--order",
        "asc",
        "--by",
        "body.user",
    )
    assert "slow one" in output("view", "list")
    shown = json.loads(output("view", "show", "slow one", "--json"))
    assert (shown["query"], shown["columns"]) == ("status:>=501 path:users", ["code", "body.user"])
    lines = output("query", "--view", "slow one", "--", "-status:504").split("\n")
    assert [line.split() for line in lines if line] == [
        ["code", "body.user"],
        ["501", "0"],
        ["502", "1"],
        ["503", "1"],
    ]
    found = json.loads(output("top", "--view", "slow one", "--json"))
    assert [(row["value"], row["exchanges"]) for row in found["rows"]] == [
        ("1", 2),
        ("0", 1),
        ("2", 1),
    ]
    output("view", "rename", "slow one", "slow/2")
    assert output("view", "show", "slow one", code=1) == (
        "sidelog: there is no view 'slow one'; `sidelog view list` shows them\n"
    )
    assert output("view", "delete", "slow/2") == "deleted view slow/2\n"
    assert "there is no view 'slow/2'" in output("view", "delete", "slow/2", code=1)
    assert "statsu" in output("view", "save", "x", "statsu:5", code=2)
