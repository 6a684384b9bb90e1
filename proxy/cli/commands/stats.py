"""`sidelog stats` and `sidelog top`: totals of a filter, and of each endpoint or value of another
field in it.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import Any, Final

import click

from proxy.cli.command import command
from proxy.cli.commands import views
from proxy.cli.commands.client import Client, Filters
from proxy.cli.commands.listing import print_figures
from proxy.cli.commands.output import GAP, console, say, say_json
from proxy.cli.commands.zone import zone_name
from proxy.cli.options import (
    from_view_option,
    json_option,
    limit_option,
    reader_options,
    search_options,
)
from proxy.process.terminal import visible_line

FACETS: Final = ("level", "project", "container", "service")
BAR_CHARACTERS: Final = 24
UNKNOWN: Final = "{unknown}"
"""The endpoint of paths that taught nothing (docs/endpoints.md)."""
_TOP_TITLES: Final = ("requests", "share", "4xx", "5xx", "p50", "p95", "bytes out")
_TOOL_TITLES: Final = ("calls", "share", "failed", "p50", "p95", "bytes out")
_FAILURE_TITLES: Final = ("failures", "of failures", "p50", "p95", "bytes out")
_WHY: Final = {
    "known": '""', "absent": "–", "null": "(null)", "cut": "(body cut)", "not_json": "(not JSON)",
    "not_kept": "(not kept)",
}  # fmt: skip
"""What requests without a value stand for."""
_COUNTS: Final[Mapping[str, str]] = {
    "calls": "calls",
    "input": "input_tokens",
    "cached": "cache_read_tokens",
    "output": "output_tokens",
    "reasoning": "reasoning_tokens",
}
_FIRST_TO_GO: Final = (
    "reasoning",
    "cached",
    "bytes out",
    "share",
    "of failures",
    "p50",
    "4xx",
    "input",
    "cost",
    "output",
    "p95",
    "5xx",
    "failed",
)
"""Columns that a narrow terminal has no room for."""


@command()
@search_options
@json_option
@reader_options
def stats(client: Client, filters: Filters, zone: tzinfo | None, as_json: bool) -> int:
    """Show totals by status, level, project, container and service, and latency percentiles.

    Example: sidelog stats --since 24h --route default
    """
    summary = client.get_json("/api/summary", filters)
    facets = client.get_json("/api/facets", {**filters, "name": ",".join(FACETS)})["facets"]
    if as_json:
        say_json({**summary, "by": facets})
        return 0

    _print_totals(summary, zone)
    for name, values in ({"status": _status_values(summary)} | facets | summary["top"]).items():
        _print_values(name, values)
    _print_usage(summary["usage"])
    _say_sampled(summary)
    if not summary["complete"]:
        say("\nThe query ran out of time: these counts are lower bounds.")
    return 0


def _say_sampled(found: Mapping[str, Any]) -> None:
    if found.get("sampled"):
        say(
            "\nOf a sample: rules of capture keep a share of some, and figures are estimates of "
            "all (docs/sampling.md)."
        )


def _print_totals(summary: Mapping[str, Any], zone: tzinfo | None) -> None:
    if summary["rate_per_s"] is None:
        rate = ""
    else:
        rate = f"   {summary['rate_per_s']:.2f}/s{_span(summary, zone)}"
    say(f"exchanges   {summary['exchanges']:>12,}{rate}")
    if summary["events"]:  # which are counted only where they are asked for
        say(f"events      {summary['events']:>12,}")
    say(f"bytes       {summary['request_bytes']:>12,} in   {summary['response_bytes']:,} out")
    for name, title in (("duration_ms", "duration"), ("first_byte_ms", "first byte")):
        say(
            f"{title:12}"
            + "   ".join(
                f"{key} {_percentile(summary[name], key)}" for key in ("p50", "p95", "p99")
            )
        )


def _span(summary: Mapping[str, Any], zone: tzinfo | None) -> str:
    """Name the period of the rate."""
    first, last = (
        datetime.fromisoformat(summary[name]).astimezone(zone) for name in ("since", "until")
    )
    if first.date() == last.date():
        until = f"{last:%H:%M:%S}"
    else:
        until = f"{last:%Y-%m-%d %H:%M:%S}"
    return f" from {first:%Y-%m-%d %H:%M:%S} to {until} {zone_name(zone)}"


def _print_usage(usage: Mapping[str, Any] | None) -> None:
    """Print tokens and cost by model, and of all; nothing where no model was called."""
    if usage is None or not usage["calls"]:
        return
    rows = [*usage["models"], {**usage, "provider": "all", "model": None}]
    figures = {
        title: [f"{row[key]:,}" if row["counted"] or key == "calls" else "–" for row in rows]
        for title, key in _COUNTS.items()
    }
    figures["cost"] = [f"${row['cost_usd']:,.4f}" if row["priced"] else "–" for row in rows]
    if any(row["priced"] < row["calls"] for row in rows):
        figures["priced"] = [f"{row['priced']:,}" for row in rows]
    names = [" ".join(part for part in (row["provider"], row["model"]) if part) for row in rows]
    say("")
    print_figures("models", names, figures, _FIRST_TO_GO)

    if usage["priced"] < usage["calls"]:
        say(
            f"\nA price is known of {usage['priced']:,} of {usage['calls']:,} calls: cost is of "
            "these."
        )


def _percentile(found: Mapping[str, Any], name: str) -> str:
    value = found[name]
    if value is None:
        return "–"
    return f"{'≈ ' if found['estimated'] else ''}{value:,.1f} ms"


def _status_values(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"value": name, "count": count} for name, count in sorted(summary["status"].items())]


def _print_values(name: str, values: list[dict[str, Any]]) -> None:
    from rich.table import Table

    if not values:
        return

    out = console()
    most = max(value["count"] or 0 for value in values) or 1
    room = (
        out.width
        - 2 * GAP
        - max(12, *(len(str(value["value"])) for value in values))
        - len(f"{most:,}")
    )
    most_characters = min(BAR_CHARACTERS, max(1, room))
    table = Table(
        title=name,
        title_justify="left",
        box=None,
        pad_edge=False,
        show_header=False,
        title_style="bold",
    )
    table.add_column(no_wrap=True, overflow="ellipsis", min_width=12)
    table.add_column(justify="right")
    table.add_column()

    for value in values:
        count = value["count"]
        bar = "━" * round(most_characters * (count or 0) / most)
        table.add_row(
            visible_line(str(value["value"])), "–" if count is None else f"{count:,}", bar
        )

    out.print()
    out.print(table)


@command()
@click.option(
    "--by",
    metavar="FIELD",
    help="What to group by: endpoint (default), path, ip, ua, key, user, status, outcome, error, "
    "message, failure (endpoint, reason, status and message), method, host, model, provider, tool "
    "(calls of MCP tools), route, service, project, container, client, instance, a header "
    "(header.x-tenant) or place in JSON bodies (body.user.id).",
)
@click.option(
    "--sort",
    metavar="FIGURE",
    default="requests",
    show_default=True,
    help="Sort by, the highest first: requests, 4xx, 5xx, p50, p95, p99, bytes, tokens or cost.",
)
@from_view_option
@limit_option("Maximum number of rows.", 20, 1000)
@search_options
@json_option
@reader_options
def top(
    client: Client,
    filters: Filters,
    zone: tzinfo | None,
    by: str | None,
    sort: str,
    from_view: str | None,
    limit: int,
    as_json: bool,
) -> int:
    """Show the most frequent endpoints, or values of another field, with errors, latency, bytes and
    cost.

    Example: sidelog top --since 1h --sort p95
    """
    if from_view is not None:
        found, filters = views.begun_with(client, from_view, filters, zone)
        by = by or found["group_by"]

    return run_top(
        client,
        {**filters, "by": by or "endpoint", "sort": sort, "limit": str(limit)},
        as_json=as_json,
    )


def run_top(client: Client, parameters: Filters, *, as_json: bool) -> int:
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
        say(f"\n{UNKNOWN}: paths that were only refused, redirected or not answered, never served.")
    if found["by"] == "failure" and parameters.get("sort") == "requests":
        say("\nThe most frequent first; --sort orders by another figure.")
    _say_sampled(found)
    hidden = found["values"] - len(found["rows"])
    if hidden > 0:
        say(f"\n{hidden:,} more; --limit shows them.")
    if not found["complete"]:
        what = "calls" if found["by"] == "tool" else "requests"
        say(
            f"\nThere are too many for one answer: only the newest {found['seen']:,} {what} are "
            "counted."
        )

    return 0


def _print_top(found: Mapping[str, Any], sort: str) -> None:
    rows = found["rows"]
    titles = [
        *{"tool": _TOOL_TITLES, "failure": _FAILURE_TITLES}.get(found["by"], _TOP_TITLES),
        *(["cost"] if any(row["cost_usd"] for row in rows) else []),
    ]
    titles += [sort] if sort in _MORE else []
    names = [" ".join(str(part) for part in _name_of(row) if part) for row in rows]
    figures = {title: [_FIGURES[title](row) for row in rows] for title in titles}
    wanted = "bytes out" if sort == "bytes" else sort
    print_figures(
        visible_line(found["by"]),
        names,
        figures,
        [title for title in _FIRST_TO_GO if title != wanted],
    )


def _name_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    value = row["value"] or _WHY[row["state"]]
    return row.get("status"), row.get("error"), row["method"], value, row.get("message")


_FIGURES: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "requests": lambda row: f"{row['exchanges']:,}",
    "calls": lambda row: f"{row['exchanges']:,}",
    "failures": lambda row: f"{row['exchanges']:,}",
    "share": lambda row: f"{row['share']:.1%}",
    "of failures": lambda row: f"{row['share']:.1%}",
    "4xx": lambda row: _share(row, "client_errors"),
    "5xx": lambda row: _share(row, "server_errors"),
    "failed": lambda row: _share(row, "server_errors"),
    "p50": lambda row: _percentile(row["duration_ms"], "p50"),
    "p95": lambda row: _percentile(row["duration_ms"], "p95"),
    "p99": lambda row: _percentile(row["duration_ms"], "p99"),
    "bytes out": lambda row: f"{row['response_bytes']:,}",
    "cost": lambda row: f"${row['cost_usd']:,.4f}" if row["cost_usd"] else "–",
    "tokens": lambda row: (
        f"{row['input_tokens'] + row['output_tokens']:,}" if row.get("counted", True) else "–"
    ),
}
_MORE: Final = ("p99", "tokens")
"""Columns that are there when rows are sorted by them."""


def _share(row: Mapping[str, Any], name: str) -> str:
    if row[name]:
        return f"{row[name] / row['exchanges']:.1%}"
    return ""
