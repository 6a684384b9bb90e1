"""Tables of counts: what names them comes from recorded traffic."""

import io
from typing import Any

import pytest
from rich.console import Console

from proxy.cli.commands import listing, top

LATENCY = {"p50": 1.0, "p95": 2.0, "estimated": False}
ROW = {
    "method": None, "state": "known", "share": 1.0, "exchanges": 3, "client_errors": 0, "server_errors": 0,
    "response_bytes": 9, "cost_usd": 0.0, "duration_ms": LATENCY,
}  # fmt: skip


class _Client:
    """Answers the groups of a place in bodies."""

    def get_json(self, path: str, parameters: object) -> dict[str, object]:
        rows = [{**ROW, "value": "one\ntwo  999  100.0%"}, {**ROW, "value": "\x1b[2J"}]
        return {
            "by": "body.\x1b]0;mine\x07",
            "rows": rows,
            "values": 2,
            "complete": True,
            "seen": 6,
        }


def test_a_group_is_one_line_and_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither the values of a group nor the field that it is by."""
    assert top.run_top(_Client(), {}, as_json=False) == 0  # type: ignore[arg-type]  # two methods of it are used
    title, *rows = capsys.readouterr().out.splitlines()
    assert title.startswith("body.\\x1b]0;mine\\x07 ")
    assert [row[:10].strip() for row in rows] == ["one\\x0atwo", "\\x1b[2J"]


def test_a_cost_that_is_not_there_is_no_amount(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither of requests that cost nothing nor of a model without a price."""

    class Costs(_Client):
        def get_json(self, path: str, parameters: object) -> dict[str, object]:
            rows = [{**ROW, "value": "gpt-4o", "cost_usd": 0.048}, {**ROW, "value": "mine"}]
            return {"by": "model", "rows": rows, "values": 2, "complete": True, "seen": 6}

    assert top.run_top(Costs(), {}, as_json=False) == 0  # type: ignore[arg-type]  # two methods of it are used
    assert [row.split()[-1] for row in capsys.readouterr().out.splitlines()] == [
        "cost",
        "$0.0480",
        "–",
    ]


def test_calls_of_tools_fail_without_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    """One share of failures in the place of two, and words for calls where only the newest are
    counted.
    """

    class Tools(_Client):
        def get_json(self, path: str, parameters: object) -> dict[str, object]:
            rows = [{**ROW, "value": "search", "exchanges": 50, "server_errors": 1}]
            return {"by": "tool", "rows": rows, "values": 1, "complete": False, "seen": 5000}

    assert top.run_top(Tools(), {}, as_json=False) == 0  # type: ignore[arg-type]  # two methods of it are used
    title, row, _, note = capsys.readouterr().out.splitlines()
    assert title.split() == ["tool", "calls", "share", "failed", "p50", "p95", "bytes", "out"]
    assert row.split() == ["search", "50", "100.0%", "2.0%", "1.0", "ms", "2.0", "ms", "9"]
    assert "only the newest 5,000 calls are counted" in note


def test_failures_stand_in_columns_however_long_one_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Off a terminal each is whole; the share is one of failures, and the order is named."""

    class Failures(_Client):
        def get_json(self, path: str, parameters: object) -> dict[str, object]:
            failure = {**ROW, "value": "/a", "method": "GET", "status": 500, "error": "http_500"}
            rows = [
                {**failure, "message": "no such order …" * 12},
                {**failure, "message": "no", "share": 0.5},
            ]
            return {"by": "failure", "rows": rows, "values": 2, "complete": True, "seen": 6}

    client = Failures()
    assert top.run_top(client, {"sort": "requests"}, as_json=False) == 0  # type: ignore[arg-type]  # two methods of it are used
    title, first, second, _, note = capsys.readouterr().out.splitlines()
    assert title.split()[1:4] == ["failures", "of", "failures"]
    assert first.index("100.0%") + len("100.0%") == second.index("50.0%") + len("50.0%")
    assert first.startswith("500 http_500 GET /a no such order …")
    assert note.startswith("The most frequent first")


@pytest.mark.parametrize("name", ["{unknown}", "api.a.test/{unknown}"])
def test_an_endpoint_that_is_none_is_explained(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Below the table, where its name can still be copied into a filter."""

    class Endpoints(_Client):
        def get_json(self, path: str, parameters: object) -> dict[str, object]:
            rows = [{**ROW, "value": name, "method": "GET"}]
            return {"by": "endpoint", "rows": rows, "values": 1, "complete": True, "seen": 3}

    assert top.run_top(Endpoints(), {}, as_json=False) == 0  # type: ignore[arg-type]  # two methods of it are used
    _, row, _, note = capsys.readouterr().out.splitlines()
    assert row.startswith(f"GET {name}  ")
    assert (
        note == "{unknown}: paths that were only refused, redirected or not answered, never served."
    )


BEFORE = {"exchanges": 4, "server_errors": 0, "duration_ms": LATENCY | {"p95": 0.5}}


def test_what_moved_is_said_as_in_the_web_ui(capsys: pytest.CaptureFixture[str]) -> None:
    """The last hour against the one before, unless another period is given."""
    asked: list[dict[str, str]] = []

    class Endpoints(_Client):
        def get_json(self, path: str, parameters: object) -> dict[str, object]:
            asked.append(dict(parameters))  # type: ignore[call-overload]
            rows = [
                {**ROW, "value": "/slow", "server_errors": 1, "before": BEFORE},
                {**ROW, "value": "/same", "before": {**BEFORE, "exchanges": 3} | {"duration_ms": LATENCY}},
                {**ROW, "value": "/new", "before": BEFORE | {"exchanges": 0, "duration_ms": {"p95": None}}},
            ]  # fmt: skip
            return {"by": "endpoint", "rows": rows, "values": 3, "complete": True, "seen": 9}

    client: Any = Endpoints()
    assert top.run_top(client, top.asked_of({}, sort=None, is_change=True), as_json=False) == 0
    assert (asked[0]["since"], asked[0]["sort"], asked[0]["before"]) == ("1h", "slower", "true")
    title, *rows = (" ".join(line.split()) for line in capsys.readouterr().out.splitlines())
    assert title == "endpoint requests ± requests 5xx ± 5xx p95 ± p95"
    assert rows == [
        "/slow 3 ▼ 25% 33.3% ▲ 33.3 pt 2.0 ms ▲ 300%",
        "/same 3 steady steady 2.0 ms steady",
        "/new 3 new – 2.0 ms –",
    ]
    given = top.asked_of({"since": "24h"}, sort="failing", is_change=False)
    assert given == {"since": "24h", "sort": "failing"}
    assert top.asked_of({}, sort=None, is_change=False) == {"sort": "requests"}


@pytest.mark.parametrize("sort", ["slower", "failing"])
def test_where_the_log_begins_within_the_period_before_nothing_is_compared(
    sort: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says why."""

    class Endpoints(_Client):
        def get_json(self, path: str, parameters: object) -> dict[str, object]:
            rows = [{**ROW, "value": "/a", "before": None}]
            return {"by": "endpoint", "rows": rows, "values": 1, "complete": True, "seen": 3}

    client: Any = Endpoints()
    assert top.run_top(client, {"sort": sort}, as_json=False) == 0
    assert "does not reach back" in capsys.readouterr().out


@pytest.mark.parametrize("width", [80, 140])
def test_figures_are_whole_on_any_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """A narrow terminal has fewer columns, among them the one that rows are sorted by, and long
    names are wrapped.
    """
    out = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width)
    monkeypatch.setattr(listing, "console", lambda: out)

    class Endpoints(_Client):
        def get_json(self, path: str, parameters: object) -> dict[str, object]:
            rows = [
                {
                    **ROW,
                    "value": "/a/rather/long/path/of/a/service",
                    "method": "GET",
                    "response_bytes": 1_048_576,
                }
            ]
            return {"by": "endpoint", "rows": rows, "values": 1, "complete": True, "seen": 3}

    assert top.run_top(Endpoints(), {"sort": "bytes"}, as_json=False) == 0  # type: ignore[arg-type]  # as above
    assert isinstance(out.file, io.StringIO)
    shown = out.file.getvalue()
    title, *lines = shown.splitlines()
    assert max(map(len, shown.splitlines())) <= width
    assert ("requests" in title, "bytes out" in title, "p50" in title) == (True, True, width >= 140)
    assert lines[0].rstrip().endswith("1,048,576")
    name = "".join(line[: title.index("requests")].strip() for line in lines)
    assert name.replace(" ", "") == "GET/a/rather/long/path/of/a/service"


@pytest.mark.parametrize(("sort", "shown"), [("p99", "8.0 ms"), ("tokens", "1,230")])
def test_what_rows_are_sorted_by_is_shown(
    sort: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also a figure that has no column otherwise; a table that is sorted by another has none of it."""

    class Endpoints(_Client):
        def get_json(self, path: str, parameters: object) -> dict[str, object]:
            row = {
                **ROW,
                "value": "/a",
                "input_tokens": 1200,
                "output_tokens": 30,
                "duration_ms": LATENCY | {"p99": 8},
            }
            return {"by": "path", "rows": [row], "values": 1, "complete": True, "seen": 3}

    assert top.run_top(Endpoints(), {"sort": sort}, as_json=False) == 0  # type: ignore[arg-type]  # as above
    title, row = capsys.readouterr().out.splitlines()
    assert (title.split()[-1], row.endswith(shown)) == (sort, True)
    assert top.run_top(Endpoints(), {"sort": "p95"}, as_json=False) == 0  # type: ignore[arg-type]  # as above
    assert sort not in capsys.readouterr().out
