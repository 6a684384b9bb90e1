"""Records on terminals of several widths: ids that can be copied, whole paths, nothing that moves
the cursor.
"""

import io
import re
from datetime import UTC
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from api.native.records import RecordShown
from proxy.cli.commands import listing
from proxy.cli.commands.listing import COMPUTED, View, line_of, print_records, read_fields, selected
from proxy.cli.commands.output import CommandError, print_table
from tests.support.cases import each_of

ID = "01a1f8cc-74e8-77fe-86e2-1cc5def00007"


def record(**changes: Any) -> dict[str, Any]:
    """A record as the API shows one."""
    shown = {
        "id": ID,
        "kind": "exchange",
        "started_at": "2026-01-02T03:04:05.678Z",
        "status": 502,
        "level": "error",
    }
    shown |= {
        "method": "POST",
        "host": "app.example",
        "path": "/v1/" + "long/" * 40,
        "outcome": "upstream_error",
    }
    return {**shown, "duration_us": 1_234_567, **changes}


ODD = (
    record(),
    record(path="/x\x1b[31m\r\n", method=None, status=None, duration_us=None),
    record(kind="event", name="gap", started_at=None, outcome=None),
)


@pytest.fixture(params=[80, 120, 140, 200])
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Console:
    """A terminal of a width, colours and all."""
    width: int = request.param
    made = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=True,
        color_system="standard",
        highlight=False,
        markup=False,
    )
    monkeypatch.setattr(listing, "console", lambda: made)
    return made


def plain(terminal: Console) -> str:
    """What was printed, without its colours."""
    assert isinstance(terminal.file, io.StringIO)
    return Text.from_ansi(terminal.file.getvalue()).plain


HALF_ID = ID.replace("-", "")[:16]


def test_a_path_is_never_cut(terminal: Console) -> None:
    """A long one is wrapped: no line is wider than the terminal."""
    print_records(ODD, View())
    shown = plain(terminal)
    assert all(len(line.rstrip()) <= terminal.width for line in shown.splitlines())
    assert shown.count(ID if terminal.width >= 140 else HALF_ID) == len(ODD)
    assert all(word in shown for word in ("502", "POST", "long"))
    assert "…" not in shown
    assert sum(line[: -len(HALF_ID)].count("g") for line in shown.splitlines()) >= 40


def test_date_and_host_are_shown_where_there_is_room(terminal: Console) -> None:
    """A narrow terminal has half of an id, which `get` accepts, and no message of the error."""
    row = record(path="/v1/orders", outcome="ok", data={"error_message": "no such host"})
    is_wide = terminal.width >= 140
    print_records([row], View(zone=UTC))
    shown = plain(terminal)
    assert "/v1/orders" in shown
    assert "http_502" in shown
    wide = ("2026-01-02", "app.example", "no such host", ID)
    assert [part in shown for part in wide] == [is_wide] * len(wide)


def test_a_failure_behind_a_status_of_200_is_seen(terminal: Console) -> None:
    """The result is the error's code, where there is one, and the colour says it."""
    print_records([record(status=200, outcome="ok", error_type="tool_error", path="/mcp")], View())
    assert "tool_error" in plain(terminal)
    assert isinstance(terminal.file, io.StringIO)
    assert re.search("\x1b\\[31m *200", terminal.file.getvalue())
    results = [
        line_of(record(status=status, outcome="ok"), View(fields=("result",)), terminal)
        for status in (399, 400)
    ]
    assert [Text.from_ansi(result).plain for result in results] == ["ok", "http_400"]
    said = record(status=500, outcome="ok", message="Traceback: KeyError currency")
    result = Text.from_ansi(line_of(said, View(fields=("result",)), terminal)).plain
    assert result == "http_500: Traceback: KeyError currency"


@each_of("row", ODD)
def test_a_line_of_a_live_list_holds_the_id(terminal: Console, row: dict[str, Any]) -> None:
    """It is one line without control characters, and none of it is cut."""
    line = Text.from_ansi(line_of(row, View(), terminal)).plain
    assert line.rstrip().endswith((ID, f"  {HALF_ID}"))
    assert line.isprintable()
    assert line.count("long/") in (0, 40)


@each_of("width", [60, 75, 100])
def test_lines_of_a_live_list_are_aligned(terminal: Console, width: int) -> None:
    """In a window beside an editor; `get` takes the beginning of an id."""
    terminal.width = width
    line = Text.from_ansi(
        line_of(record(path="/api", method="GET", error_type="http2"), View(), terminal)
    ).plain
    assert "GET /api " in line
    assert (len(line), line.endswith(f"  {HALF_ID}")) == (width, True)


def test_named_columns_are_whole(terminal: Console) -> None:
    """However narrow the terminal is; the query string belongs to the target."""
    terminal.width = 80
    print_records([record(query="page=2&x")], View(fields=("target", "result", "id")))
    shown = plain(terminal)
    assert f"app.example/v1/{'long/' * 40}?page=2&x  upstream_error  {ID}" in shown


def test_a_long_cell_does_not_widen_the_other_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Off a terminal each row is a line, each cell is whole, and none is padded to the longest."""
    print_records([record(path="/p", query="q" * 7000), *[record(path="/p")] * 9], View(zone=UTC))
    head, long, *lines = capsys.readouterr().out.splitlines()
    assert long.endswith(f"  app.example/p?{'q' * 7000}  upstream_error  {ID}")
    assert {len(line) for line in lines} == {head.index("id") + len(ID)}
    print_table(("name", "search"), [("a", "path:/x " * 60 + "end"), ("b", "")])
    assert capsys.readouterr().out == f"name  search\na     {'path:/x ' * 60}end\nb\n"


def test_a_target_that_is_no_path_stands_apart_from_the_host(terminal: Console) -> None:
    """`OPTIONS *`, and the authority of a CONNECT, which is its host."""
    view = View(fields=("target", "request"))
    asterisk = line_of(record(method="OPTIONS", path="*", query=None), view, terminal)
    assert Text.from_ansi(asterisk).plain == "app.example *  OPTIONS *"
    tunnel = line_of(record(method="CONNECT", path="app.example", query=None), view, terminal)
    assert Text.from_ansi(tunnel).plain == "app.example  CONNECT app.example"


def test_an_outgoing_call_has_a_sign_and_its_host(terminal: Console) -> None:
    """In both forms of the list."""
    view = View(fields=("target", "request"))
    row = record(direction="out", path="/x", query=None)
    shown = Text.from_ansi(line_of(row, view, terminal)).plain
    assert shown == "→ app.example/x  POST → app.example/x"


@pytest.mark.parametrize("row", [record(query="a=1"), record(query="")])
def test_a_request_has_its_query(terminal: Console, row: dict[str, Any]) -> None:
    """Also an empty one, in both forms of the list."""
    fields = View(fields=("target", "request"))
    short = {**row, "path": "/x"}
    assert (
        Text.from_ansi(line_of(short, fields, terminal)).plain
        == f"app.example/x?{row['query']}  POST /x?{row['query']}"
    )


def test_a_request_of_mcp_or_graphql_says_what_for(terminal: Console) -> None:
    """All of a server have one path."""
    view = View(fields=("target", "request"))
    called = record(path="/mcp", data={"mcp": {"method": "tools/call", "name": "add"}})
    assert (
        Text.from_ansi(line_of(called, view, terminal)).plain
        == "app.example/mcp#tools/call/add  POST /mcp#tools/call/add"
    )
    listed = record(path="/mcp", data={"mcp": {"method": "tools/list"}})
    assert Text.from_ansi(line_of(listed, view, terminal)).plain.endswith("POST /mcp#tools/list")
    asked = record(path="/graphql", endpoint="/graphql#GetUser")
    assert Text.from_ansi(line_of(asked, view, terminal)).plain.endswith("POST /graphql#GetUser")
    one_of_many = record(path="/graphql", endpoint="/graphql#{operation}")
    assert Text.from_ansi(line_of(one_of_many, view, terminal)).plain.endswith("POST /graphql")


def test_fields_are_columns_in_their_order(terminal: Console) -> None:
    """Columns and members of a record alike."""
    view = View(fields=("id", "status", "time", "duration_us", "data"), zone=UTC)
    print_records([record(data={"a": [1]})], view)
    assert plain(terminal).splitlines()[1].split() == [
        ID,
        "502",
        "2026-01-02",
        "03:04:05.678",
        "1234567",
        '{"a":',
        "[1]}",
    ]
    assert selected(record(), View(fields=("ms", "status", "query"))) == {
        "ms": "1234.6",
        "status": 502,
        "query": None,
    }
    assert selected(record(), View()) == record()


def test_utc_is_said_in_the_title(terminal: Console) -> None:
    """Whoever reads a time knows its zone."""
    print_records([record(path="/x")], View(zone=UTC))
    title, row = plain(terminal).splitlines()
    assert title.startswith("time UTC")
    assert "03:04:05" in row


def test_every_member_of_the_json_is_a_field() -> None:
    """Nothing the API shows is unknown, and what is unknown is said with what there is."""
    members = (name for name in RecordShown.__struct_fields__ if name != "fields")
    names = (*COMPUTED, *members, "header.x-tenant", "response_body.choices.0.text")
    assert read_fields(" , ".join(names)) == names
    assert read_fields(None) == ()

    with pytest.raises(
        CommandError, match="unknown field 'nope', expected some of: time, code"
    ) as caught:
        read_fields("id,nope")

    assert caught.value.exit_code == 2
    with pytest.raises(CommandError, match=r"unknown field 'tme'; did you mean time\?$"):
        read_fields("tme")


def test_a_field_has_the_name_that_a_record_has_for_it_in_full() -> None:
    """What failed is said in both."""
    assert read_fields("error_message,time") == ("message", "time")


def test_headers_and_places_in_bodies_are_columns() -> None:
    """With their value, or why there is none; the API is asked for those and no others."""
    view = View(fields=("status", "header.x", "body.a", "body.b"))
    assert view.asked == {"fields": "header.x,body.a,body.b"}
    assert View(fields=("status",)).asked == {}
    shown = {
        "header.x": {"value": "=1", "state": "known", "is_cut": False},
        "body.a": {"value": None, "state": "not_json", "is_cut": False},
        "body.b": {"value": None, "state": "absent", "is_cut": False},
    }
    row = {"status": 200, "fields": shown}
    assert selected(row, view) == {"status": 200, **shown}
    assert line_of(row, view, Console(file=io.StringIO(), width=200)).split() == [
        "200",
        "=1",
        "[not",
        "JSON]",
    ]


def test_titles_are_not_obeyed(terminal: Console) -> None:
    """A view that somebody else saved may name any place in a body."""
    print_records(
        [record(fields={})], View(fields=("body.\x1b]0;mine\x07", "body.a\nb", "body.[/x]"))
    )
    assert plain(terminal).splitlines()[0].split() == [
        "body.\\x1b]0;mine\\x07",
        "body.a\\x0ab",
        "body.[/x]",
    ]


@each_of(
    ("value", "shown"),
    [
        (["read", "run"], "read, run"), ([], ""), ([1, "a"], '[1, "a"]'), ({"a": 1}, '{"a": 1}'), (None, ""),
        (True, "yes"),
    ],
)  # fmt: skip
def test_a_member_of_a_record_is_written_for_a_person(value: object, shown: str) -> None:
    """Names side by side; what is deeper as JSON."""
    assert listing.plain(value) == shown
