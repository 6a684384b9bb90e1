"""Tables of counts: what names them comes from recorded traffic."""

import io
from contextlib import nullcontext

import pytest
from rich.console import Console

from proxy.cli import app
from proxy.cli.commands import listing, stats

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
    assert stats.run_top(_Client(), {}, as_json=False) == 0  # type: ignore[arg-type]  # two methods of it are used
    title, *rows = capsys.readouterr().out.splitlines()
    assert title.startswith("body.\\x1b]0;mine\\x07 ")
    assert [row[:10].strip() for row in rows] == ["one\\x0atwo", "\\x1b[2J"]


def test_a_cost_that_is_not_there_is_no_amount(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither of requests that cost nothing nor of a model without a price."""

    class Costs(_Client):
        def get_json(self, path: str, parameters: object) -> dict[str, object]:
            rows = [{**ROW, "value": "gpt-4o", "cost_usd": 0.048}, {**ROW, "value": "mine"}]
            return {"by": "model", "rows": rows, "values": 2, "complete": True, "seen": 6}

    assert stats.run_top(Costs(), {}, as_json=False) == 0  # type: ignore[arg-type]  # two methods of it are used
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

    assert stats.run_top(Tools(), {}, as_json=False) == 0  # type: ignore[arg-type]  # two methods of it are used
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
    assert stats.run_top(client, {"sort": "requests"}, as_json=False) == 0  # type: ignore[arg-type]  # two methods of it are used
    title, first, second, _, note = capsys.readouterr().out.splitlines()
    assert title.split()[1:4] == ["failures", "of", "failures"]
    assert first.index("100.0%") + len("100.0%") == second.index("50.0%") + len("50.0%")
    assert first.startswith("500 http_500 GET /a no such order …")
    assert note.startswith("The most frequent first")


@pytest.mark.parametrize(
    ("until", "span"),
    [
        ("2026-11-22T02:02:00Z", "   2.50/s from 2026-11-22 02:00:00 to 02:02:00 UTC"),
        ("2026-11-23T02:02:00Z", "   2.50/s from 2026-11-22 02:00:00 to 2026-11-23 02:02:00 UTC"),
    ],
)
def test_a_rate_says_of_what_time_it_is(
    until: str, span: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the time that has records, not of the one asked for."""

    class Totals(_Client):
        def get_json(self, path: str, parameters: object) -> dict[str, object]:
            if path == "/api/facets":
                return {"facets": {}}
            latency = {"p50": None, "p95": None, "p99": None, "estimated": False}
            return {
                "exchanges": 300, "events": 0, "status": {}, "request_bytes": 0, "response_bytes": 0,
                "duration_ms": latency, "first_byte_ms": latency, "rate_per_s": 2.5, "top": {}, "usage": None,
                "since": "2026-11-22T02:00:00Z", "until": until, "complete": True,
            }  # fmt: skip

    monkeypatch.setattr(
        "proxy.cli.commands.reading.reading_client", lambda *_: nullcontext(Totals())
    )
    assert app.main(["stats", "--utc"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"exchanges            300{span}"


@pytest.mark.parametrize("priced", [2, 3])
def test_a_cost_says_of_how_many_calls_it_is(
    priced: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a price is not known of all of them, of each model and together; tokens nobody counted
    are no number.
    """
    counts = dict.fromkeys(
        ("input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens"), 0
    )
    known = counts | {
        "provider": "openai",
        "model": "known",
        "calls": 2,
        "counted": 2,
        "priced": 2,
        "cost_usd": 0.5,
    }
    mute = counts | {
        "provider": "openai",
        "model": "mute",
        "calls": 1,
        "counted": 0,
        "priced": priced - 2,
    }
    mute |= {"cost_usd": 0.25 if priced == 3 else None}
    usage = counts | {
        "calls": 3,
        "counted": 2,
        "priced": priced,
        "cost_usd": 0.5,
        "models": [known, mute],
    }
    stats._print_usage(usage)
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert lines[2].split()[:4] == ["openai", "mute", "1", "–"]
    assert (lines[-1] == "A price is known of 2 of 3 calls: cost is of these.") is (priced == 2)
    assert ("priced" in lines[0]) is (priced == 2)


def test_an_endpoint_that_is_none_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """Below the table, where its name can still be copied into a filter."""

    class Endpoints(_Client):
        def get_json(self, path: str, parameters: object) -> dict[str, object]:
            rows = [{**ROW, "value": "{unknown}", "method": "GET"}]
            return {"by": "endpoint", "rows": rows, "values": 1, "complete": True, "seen": 3}

    assert stats.run_top(Endpoints(), {}, as_json=False) == 0  # type: ignore[arg-type]  # two methods of it are used
    _, row, _, note = capsys.readouterr().out.splitlines()
    assert row.startswith("GET {unknown}  ")
    assert (
        note == "{unknown}: paths that were only refused, redirected or not answered, never served."
    )


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_figures_are_whole_on_any_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Columns go where there is no room, the one that rows are sorted by last; then names are cut,
    never a figure.
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

    assert stats.run_top(Endpoints(), {"sort": "bytes"}, as_json=False) == 0  # type: ignore[arg-type]  # as above
    assert isinstance(out.file, io.StringIO)
    title, row = out.file.getvalue().splitlines()
    assert max(len(title), len(row)) <= width
    assert ("requests" in title, "bytes out" in title, "p50" in title) == (True, True, width >= 80)
    assert (row.endswith("1,048,576"), "…" in row) == (True, width < 120)


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

    assert stats.run_top(Endpoints(), {"sort": sort}, as_json=False) == 0  # type: ignore[arg-type]  # as above
    title, row = capsys.readouterr().out.splitlines()
    assert (title.split()[-1], row.endswith(shown)) == (sort, True)
    assert stats.run_top(Endpoints(), {"sort": "p95"}, as_json=False) == 0  # type: ignore[arg-type]  # as above
    assert sort not in capsys.readouterr().out
