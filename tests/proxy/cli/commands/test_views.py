"""`sidelog view list`, and lists that begin with a view."""

import asyncio
import json
from typing import Any

from proxy.cli.commands import views
from storage.record import Entry
from storage.search.view import View
from tests.api.samples import make_body, make_payload, make_record
from tests.proxy.cli.commands.conftest import put
from tests.proxy.cli.conftest import Run
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


def test_a_list_and_a_top_list_begin_with_a_view(admin: MemoryStorage, run: Run) -> None:
    """Views that the web UI saved are listed; an unknown name is an error."""

    entries = [
        Entry(make_record(n, status=500 + n), make_payload(make_body(b'{"user": %d}' % (n // 2))))
        for n in range(5)
    ]
    put(admin, *entries)
    view = View(
        name="slow one",
        query="status:>=501 path:users",
        columns=("code", "body.user"),
        order="asc",
        group_by="body.user",
        changed_at_us=1,
    )
    asyncio.run(admin.put_view("", view))
    assert "slow one" in run("view list").out
    lines = run("query --view 'slow one' -- -status:504").out.split("\n")
    assert [line.split() for line in lines if line] == [
        ["code", "body.user"],
        ["501", "0"],
        ["502", "1"],
        ["503", "1"],
    ]
    found = json.loads(run("top --view 'slow one' --json").out)
    assert [(row["value"], row["exchanges"]) for row in found["rows"]] == [
        ("1", 2),
        ("0", 1),
        ("2", 1),
    ]
    assert run("query --view slow", code=1).err == (
        "sidelog: there is no view 'slow'; `sidelog view list` shows them\n"
    )
