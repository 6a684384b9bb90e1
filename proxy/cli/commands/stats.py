"""`sidelog stats` and `sidelog top`: totals of a filter, and of each endpoint or value of another field in it."""

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import Any, Final

from proxy.cli.commands.client import Client
from proxy.cli.commands.output import console, say, say_json
from proxy.cli.commands.zone import zone_name
from proxy.process.terminal import visible_line

FACETS: Final = ("level", "project", "container", "service")
BAR_CHARACTERS: Final = 24
UNKNOWN: Final = "{unknown}"
"""The endpoint of paths that taught nothing (docs/endpoints.md)."""
_TOP_TITLES: Final = ("requests", "share", "4xx", "5xx", "p50", "p95", "bytes out")
_TOOL_TITLES: Final = ("calls", "share", "failed", "p50", "p95", "bytes out")
_WHY: Final = {
    "known": '""',
    "absent": "–",
    "null": "(null)",
    "cut": "(body cut)",
    "not_json": "(not JSON)",
    "not_kept": "(not kept)",
}
"""What requests without a value stand for."""
_COUNTS: Final = ("calls", "input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens")


def run(client: Client, filters: Mapping[str, str | list[str]], zone: tzinfo | None, *, as_json: bool) -> int:
    """Print the totals."""
    summary = client.get_json("/api/summary", filters)
    facets = client.get_json("/api/facets", {**filters, "name": ",".join(FACETS)})["facets"]
    if as_json:
        say_json({**summary, "by": facets})
        return 0
    _print_totals(summary, zone)
    for name, values in ({"status": _status_values(summary)} | facets | summary["top"]).items():
        _print_values(name, values)
    _print_usage(summary["usage"])
    if not summary["complete"]:
        say("\nThe query ran out of time: these counts are lower bounds.")
    return 0


def _print_totals(summary: Mapping[str, Any], zone: tzinfo | None) -> None:
    rate = "" if summary["rate_per_s"] is None else f"   {summary['rate_per_s']:.2f}/s{_span(summary, zone)}"
    say(f"exchanges   {summary['exchanges']:>12,}{rate}")
    if summary["events"]:  # which are counted only where they are asked for
        say(f"events      {summary['events']:>12,}")
    say(f"bytes       {summary['request_bytes']:>12,} in   {summary['response_bytes']:,} out")
    for name, title in (("duration_ms", "duration"), ("first_byte_ms", "first byte")):
        say(f"{title:12}" + "   ".join(f"{key} {_percentile(summary[name], key)}" for key in ("p50", "p95", "p99")))


def _span(summary: Mapping[str, Any], zone: tzinfo | None) -> str:
    """Say of what time the rate is; a sidelog of before did not."""
    if summary.get("since") is None:
        return ""
    first, last = (datetime.fromisoformat(summary[name]).astimezone(zone) for name in ("since", "until"))
    until = f"{last:%H:%M:%S}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M:%S}"
    return f" from {first:%Y-%m-%d %H:%M:%S} to {until} {zone_name(zone)}"


def _print_usage(usage: Mapping[str, Any] | None) -> None:
    """Print tokens and cost by model, and of all; nothing where no model was called."""
    from rich.table import Table

    if usage is None or not usage["calls"]:
        return
    table = Table(title="models", title_justify="left", box=None, pad_edge=False, title_style="bold")
    table.add_column("", no_wrap=True, overflow="ellipsis", min_width=12)
    for name in ("calls", "input", "cached", "output", "reasoning", "cost"):
        table.add_column(name, justify="right")
    for row in (*usage["models"], {**usage, "provider": "all", "model": None}):
        name = " ".join(visible_line(part) for part in (row["provider"], row["model"]) if part)
        counts = (row[key] for key in _COUNTS)
        table.add_row(name, *(f"{count:,}" for count in counts), f"${row['cost_usd']:,.4f}" if row["priced"] else "–")
    out = console()
    out.print()
    out.print(table)


def _percentile(found: Mapping[str, Any], name: str) -> str:
    value = found[name]
    return "–" if value is None else f"{'≈ ' if found['estimated'] else ''}{value:,.1f} ms"


def _status_values(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"value": name, "count": count} for name, count in sorted(summary["status"].items())]


def _print_values(name: str, values: list[dict[str, Any]]) -> None:
    from rich.table import Table

    if not values:
        return
    most = max(value["count"] or 0 for value in values) or 1
    table = Table(title=name, title_justify="left", box=None, pad_edge=False, show_header=False, title_style="bold")
    table.add_column(no_wrap=True, overflow="ellipsis", min_width=12)
    table.add_column(justify="right")
    table.add_column()
    for value in values:
        count = value["count"]
        bar = "━" * round(BAR_CHARACTERS * (count or 0) / most)
        table.add_row(visible_line(str(value["value"])), "–" if count is None else f"{count:,}", bar)
    out = console()
    out.print()
    out.print(table)


def run_top(client: Client, parameters: Mapping[str, str | list[str]], *, as_json: bool) -> int:
    """Print the table."""
    found = client.get_json("/api/top", parameters)
    if as_json:
        say_json(found)
        return 0
    if not found["rows"]:
        say("no calls of MCP tools" if found["by"] == "tool" else "no requests")
        return 0
    _print_top(found, str(parameters.get("sort", "")))
    if found["by"] == "endpoint" and any(row["value"] == UNKNOWN for row in found["rows"]):
        say(f"\n{UNKNOWN}: paths that were only refused or redirected, never served.")
    hidden = found["values"] - len(found["rows"])
    if hidden > 0:
        say(f"\n{hidden:,} more; --limit shows them.")
    if not found["complete"]:
        what = "calls" if found["by"] == "tool" else "requests"
        say(f"\nThere are too many for one answer: only the newest {found['seen']:,} {what} are counted.")
    return 0


def _print_top(found: Mapping[str, Any], sort: str) -> None:
    from rich.table import Table

    rows, is_tools = found["rows"], found["by"] == "tool"
    has_cost = any(row["cost_usd"] for row in rows)
    table = Table(box=None, pad_edge=False)
    table.add_column(visible_line(found["by"]), no_wrap=True, overflow="ellipsis", min_width=16)
    sorted_by = [sort] if sort in _MORE else []
    for title in (*(_TOOL_TITLES if is_tools else _TOP_TITLES), *(["cost"] if has_cost else []), *sorted_by):
        table.add_column(title, justify="right")
    for row in rows:
        title = visible_line(" ".join(part for part in (row["method"], row["value"] or _WHY[row["state"]]) if part))
        cells = [
            f"{row['exchanges']:,}",
            f"{row['share']:.1%}",
            *([] if is_tools else [_share(row, "client_errors")]),
            _share(row, "server_errors"),
        ]
        cells += [_percentile(row["duration_ms"], name) for name in ("p50", "p95")]
        cost = f"${row['cost_usd']:,.4f}" if row["cost_usd"] else "–"
        cells += [
            f"{row['response_bytes']:,}",
            *([cost] if has_cost else []),
            *(_MORE[name](row) for name in sorted_by),
        ]
        table.add_row(title, *cells)
    console().print(table)


_MORE: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "p99": lambda row: _percentile(row["duration_ms"], "p99"),
    "tokens": lambda row: f"{row['input_tokens'] + row['output_tokens']:,}",
}
"""Columns that are there when rows are sorted by them."""


def _share(row: Mapping[str, Any], name: str) -> str:
    return f"{row[name] / row['exchanges']:.1%}" if row[name] else ""
