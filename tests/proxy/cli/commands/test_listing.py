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
from proxy.cli.commands import listing, output
from proxy.cli.commands.listing import COMPUTED, View, line_of, print_records, read_fields, selected
from proxy.cli.commands.output import Column, CommandError, print_table
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
    monkeypatch.setattr(output, "console", lambda: made)
    return made


def plain(terminal: Console) -> str:
    """The output, without its colours."""
    assert isinstance(terminal.file, io.StringIO)
    return Text.from_ansi(terminal.file.getvalue()).plain


def line(row: dict[str, Any], terminal: Console, *fields: str) -> str:
    """A record as a line, without its colours."""
    return Text.from_ansi(line_of(row, View(fields=fields), terminal)).plain


HALF_ID = ID.replace("-", "")[:16]


def test_a_path_is_never_cut(terminal: Console) -> None:
    """A long one is wrapped: no line is wider than the terminal."""
    print_records(ODD, View())
    shown = plain(terminal)
    assert all(len(each.rstrip()) <= terminal.width for each in shown.splitlines())
    assert shown.count(ID if terminal.width >= 140 else HALF_ID) == len(ODD)
    assert all(word in shown for word in ("502", "POST", "long"))
    assert "…" not in shown
    assert sum(each[: -len(HALF_ID)].count("g") for each in shown.splitlines()) >= 40


def test_date_and_host_are_shown_where_there_is_room(terminal: Console) -> None:
    """A narrow terminal has half of an id, which `get` accepts, and no message of the error. A
    reader knows the zone of a time.
    """
    row = record(path="/v1/orders", outcome="ok", data={"error_message": "no such host"})
    is_wide = terminal.width >= 140
    print_records([row], View(zone=UTC))
    shown = plain(terminal)
    assert shown.startswith("time UTC")
    assert "03:04:05" in shown
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
    for changes, result in (
        ({"status": 399}, "ok"),
        ({"status": 400}, "http_400"),
        ({"status": 500, "message": "Traceback: KeyError"}, "http_500: Traceback: KeyError"),
    ):
        assert line(record(outcome="ok", **changes), terminal, "result") == result


@each_of("row", ODD)
def test_a_line_of_a_live_list_holds_the_id(terminal: Console, row: dict[str, Any]) -> None:
    """It is one line without control characters, and none of it is cut."""
    shown = line(row, terminal)
    assert shown.rstrip().endswith((ID, f"  {HALF_ID}"))
    assert shown.isprintable()
    assert shown.count("long/") in (0, 40)


@each_of("width", [60, 75, 100])
def test_lines_of_a_live_list_are_aligned(terminal: Console, width: int) -> None:
    """In a small window; `get` accepts the beginning of an id."""
    terminal.width = width
    shown = line(record(path="/api", method="GET", error_type="http2"), terminal)
    assert "GET /api " in shown
    assert (len(shown), shown.endswith(f"  {HALF_ID}")) == (width, True)


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
    assert {len(each) for each in lines} == {head.index("id") + len(ID)}
    print_table([Column("name"), Column("search")], [("a", "path:/x " * 60 + "end"), ("b", "")])
    assert capsys.readouterr().out == f"name  search\na     {'path:/x ' * 60}end\nb\n"


@each_of(
    ("changes", "target", "request"),
    [
        ({"method": "OPTIONS", "path": "*"}, "app.example *", "OPTIONS *"),
        ({"method": "CONNECT", "path": "app.example"}, "app.example", "CONNECT app.example"),
        ({"direction": "out", "path": "/x"}, "→ app.example/x", "POST → app.example/x"),
        ({"path": "/x", "query": "a=1"}, "app.example/x?a=1", "POST /x?a=1"),
        ({"path": "/x", "query": ""}, "app.example/x?", "POST /x?"),
        (
            {"path": "/mcp", "data": {"mcp": {"method": "tools/call", "name": "add"}}},
            "app.example/mcp#tools/call/add",
            "POST /mcp#tools/call/add",
        ),
        (
            {"path": "/mcp", "data": {"mcp": {"method": "tools/list"}}},
            "app.example/mcp#tools/list",
            "POST /mcp#tools/list",
        ),
        (
            {"path": "/graphql", "endpoint": "/graphql#GetUser"},
            "app.example/graphql#GetUser",
            "POST /graphql#GetUser",
        ),
        (
            {"path": "/graphql", "endpoint": "/graphql#{operation}"},
            "app.example/graphql",
            "POST /graphql",
        ),
    ],
)
def test_a_request_is_named_in_both_forms_of_the_list(
    terminal: Console, changes: dict[str, Any], target: str, request: str
) -> None:
    """A target that is not a path is separated from the host, an outgoing call has a sign, and an
    operation that the path does not show is added.
    """
    row = record(**changes)
    assert line(row, terminal, "target", "request") == f"{target}  {request}"


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


def test_every_member_of_the_json_is_a_field() -> None:
    """All members of the API are known; for an unknown name, the error lists the known ones."""
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
    """Both names mean the same column."""
    assert read_fields("error_message,time") == ("message", "time")


def test_headers_and_places_in_bodies_are_columns() -> None:
    """With their value, or the reason of its absence; only these are requested from the API."""
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
    assert (
        line_of(row, view, Console(file=io.StringIO(), width=200)).split()
        == "200 =1 [not JSON]".split()
    )


def test_titles_are_not_obeyed(terminal: Console) -> None:
    """A view that somebody else saved may name any place in a body."""
    print_records(
        [record(fields={})], View(fields=("body.\x1b]0;mine\x07", "body.a\nb", "body.[/x]"))
    )
    assert (
        plain(terminal).splitlines()[0].split()
        == "body.\\x1b]0;mine\\x07 body.a\\x0ab body.[/x]".split()
    )


@each_of(
    ("value", "shown"),
    [
        (["read", "run"], "read, run"), ([], ""), ([1, "a"], '[1, "a"]'), ({"a": 1}, '{"a": 1}'), (None, ""),
        (True, "yes"),
    ],
)  # fmt: skip
def test_a_member_of_a_record_is_written_for_a_person(value: object, shown: str) -> None:
    """Names are listed; nested values are JSON."""
    assert listing.plain(value) == shown
