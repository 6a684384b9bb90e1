"""Tables of counts, with names from recorded traffic."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from proxy.cli.commands import output, top
from tests.support.cases import each_of

LATENCY = {"p50": 1.0, "p95": 2.0, "p99": 8.0, "estimated": False}
ROW = {
    "method": None, "state": "known", "share": 1.0, "exchanges": 3, "client_errors": 0, "server_errors": 0,
    "response_bytes": 9, "cost_usd": 0.0, "duration_ms": LATENCY, "input_tokens": 1200, "output_tokens": 30,
}  # fmt: skip
Print = Callable[..., list[str]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Print:
    """Print the table of some rows; return its lines."""

    def print_rows(by: str, *rows: dict[str, Any], sort: str = "", **more: Any) -> list[str]:
        found = {"by": by, "rows": [ROW | row for row in rows], "values": len(rows)}
        top.print_top(found | {"complete": True, "seen": 6} | more, {"sort": sort})
        return capsys.readouterr().out.splitlines()

    return print_rows


def test_a_group_is_one_line_and_moves_no_cursor(lines: Print) -> None:
    """Neither the values of a group nor the field that it is by."""
    title, *rows = lines(
        "body.\x1b]0;mine\x07", {"value": "one\ntwo  999  100.0%"}, {"value": "\x1b[2J"}
    )
    assert title.startswith("body.\\x1b]0;mine\\x07 ")
    assert [row[:10].strip() for row in rows] == ["one\\x0atwo", "\\x1b[2J"]


def test_a_cost_that_is_not_there_is_no_amount(lines: Print) -> None:
    """Neither of requests that cost nothing nor of a model without a price."""
    rows = lines("model", {"value": "gpt-4o", "cost_usd": 0.048}, {"value": "mine"})
    assert [row.split()[-1] for row in rows] == ["cost", "$0.0480", "–"]


def test_calls_of_tools_fail_without_a_status(lines: Print) -> None:
    """One share of failures in the place of two, and words for calls where only the newest are
    counted.
    """
    failing = {"value": "search", "exchanges": 50, "server_errors": 1}
    title, row, _, note = lines("tool", failing, complete=False, seen=5000)
    assert title.split() == "tool calls share failed p50 p95 bytes out".split()
    assert row.split() == "search 50 100.0% 2.0% 1.0 ms 2.0 ms 9".split()
    assert "only the newest 5,000 calls are counted" in note


def test_failures_stand_in_columns_however_long_one_is(lines: Print) -> None:
    """Off a terminal each is whole; the share is one of failures, and the order is named."""
    failure = {"value": "/a", "method": "GET", "status": 500, "error": "http_500"}
    rows = [{**failure, "message": "no such order …" * 12}, {**failure, "message": "no", "share": 0.5}]  # fmt: skip
    title, first, second, _, note = lines("failure", *rows, sort="requests")
    assert title.split()[1:4] == ["failures", "of", "failures"]
    assert first.index("100.0%") + len("100.0%") == second.index("50.0%") + len("50.0%")
    assert first.startswith("500 http_500 GET /a no such order …")
    assert note.startswith("The most frequent first")


@each_of("name", ["{unknown}", "api.a.test/{unknown}"])
def test_an_endpoint_that_is_none_is_explained(lines: Print, name: str) -> None:
    """Below the table, where its name can still be copied into a filter."""
    _, row, _, note = lines("endpoint", {"value": name, "method": "GET"})
    assert row.startswith(f"GET {name}  ")
    assert (
        note == "{unknown}: paths that were only refused, redirected or not answered, never served."
    )


BEFORE = {"exchanges": 4, "server_errors": 0, "duration_ms": LATENCY | {"p95": 0.5}}


def test_the_last_hour_is_compared_unless_another_period_is_given() -> None:
    asked = top.asked_of({}, sort=None, is_change=True)
    assert asked == {"since": "1h", "sort": "slower", "before": "true"}
    given = top.asked_of({"since": "24h"}, sort="failing", is_change=False)
    assert given == {"since": "24h", "sort": "failing"}
    assert top.asked_of({}, sort=None, is_change=False) == {"sort": "requests"}


def test_what_moved_is_said_as_in_the_web_ui(lines: Print) -> None:
    title, *rows = lines(
        "endpoint",
        {"value": "/slow", "server_errors": 1, "before": BEFORE},
        {"value": "/same", "before": BEFORE | {"exchanges": 3, "duration_ms": LATENCY}},
        {"value": "/new", "before": BEFORE | {"exchanges": 0, "duration_ms": {"p95": None}}},
        sort="slower",
    )
    assert title.split() == "endpoint requests ± requests 5xx ± 5xx p95 ± p95".split()
    assert [" ".join(row.split()) for row in rows] == [
        "/slow 3 ▼ 25% 33.3% ▲ 33.3 pt 2.0 ms ▲ 300%",
        "/same 3 steady steady 2.0 ms steady",
        "/new 3 new – 2.0 ms –",
    ]


@each_of("sort", ["slower", "failing"])
def test_where_the_log_begins_within_the_period_before_nothing_is_compared(
    sort: str, lines: Print
) -> None:
    """It says why."""
    shown = lines("endpoint", {"value": "/a", "before": None}, sort=sort)
    assert "does not reach back" in shown[-1]


@pytest.mark.parametrize("width", [80, 140])
def test_figures_are_whole_on_any_terminal(
    monkeypatch: pytest.MonkeyPatch, lines: Print, width: int
) -> None:
    """A narrow terminal has fewer columns, among them the one that rows are sorted by, and long
    names are wrapped.
    """
    out = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width)
    monkeypatch.setattr(output, "console", lambda: out)
    path = "/a/rather/long/path/of/a/service"
    lines("endpoint", {"value": path, "method": "GET", "response_bytes": 1_048_576}, sort="bytes")
    assert isinstance(out.file, io.StringIO)
    title, *rows = out.file.getvalue().splitlines()
    assert max(map(len, (title, *rows))) <= width
    assert ("requests" in title, "bytes out" in title, "p50" in title) == (True, True, width >= 140)
    assert rows[0].rstrip().endswith("1,048,576")
    name = "".join(line[: title.index("requests")].strip() for line in rows)
    assert name.replace(" ", "") == f"GET{path}"


@each_of(("sort", "shown"), [("p99", "8.0 ms"), ("tokens", "1,230")])
def test_what_rows_are_sorted_by_is_shown(sort: str, shown: str, lines: Print) -> None:
    """Also a figure that has no column otherwise; a table that is sorted by another has none of it."""
    title, row = lines("path", {"value": "/a"}, sort=sort)
    assert (title.split()[-1], row.endswith(shown)) == (sort, True)
    assert sort not in "\n".join(lines("path", {"value": "/a"}, sort="p95"))
