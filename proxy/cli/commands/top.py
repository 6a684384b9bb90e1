"""`sidelog top`: figures of each endpoint, or of each value of another field."""

from collections.abc import Callable, Mapping
from datetime import tzinfo
from functools import partial
from typing import Final

import click

from proxy.cli.command import (
    command,
    from_view_option,
    json_option,
    limit_option,
    reader_options,
    search_options,
)
from proxy.cli.commands import views
from proxy.cli.commands.client import Client, Filters
from proxy.cli.commands.output import (
    Column,
    Json,
    Result,
    is_wide,
    print_table,
    say,
)
from proxy.process.terminal import visible_line

UNKNOWN: Final = "{unknown}"
"""Endpoint of paths that were too rare to be learned (docs/endpoints.md)."""
_TOP_TITLES: Final = ("requests", "share", "4xx", "5xx", "p50", "p95", "bytes out")
_TOOL_TITLES: Final = ("calls", "share", "failed", "p50", "p95", "bytes out")
_FAILURE_TITLES: Final = ("failures", "of failures", "p50", "p95", "bytes out")
_CHANGE_TITLES: Final = ("requests", "± requests", "5xx", "± 5xx", "p95", "± p95")
_CHANGES: Final = ("slower", "failing")
"""Sort orders that compare with the period before."""
_CHANGE_PERIOD: Final = "1h"
_STEADY: Final = 0.05
"""Largest relative change of a figure that counts as steady."""
_STEADY_POINTS: Final = 0.05
_MOST_PERCENT: Final = 1000
_WHY: Final = {
    "known": '""', "absent": "–", "null": "(null)", "cut": "(body cut)", "not_json": "(not JSON)",
    "not_kept": "(not kept)",
}  # fmt: skip
"""Text for requests without a value."""
_WIDE_TITLES: Final = frozenset({"share", "of failures", "p50", "bytes out", "± requests"})
"""Columns that only a wide terminal shows, unless rows are sorted by them."""
_MAX_PADDED_CHARACTERS: Final = 400
"""Largest padding of the column of names off a terminal: the length of the longest failure."""


def _percentile(found: Json, name: str) -> str:
    value = found[name]
    if value is None:
        return "–"
    return f"{'≈ ' if found['estimated'] else ''}{value:,.1f} ms"


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
    help="Sort by, the highest first: requests (default), 4xx, 5xx, p50, p95, p99, bytes, tokens, "
    "cost, and against the period before: slower (default with --change) or failing.",
)
@click.option(
    "--change",
    is_flag=True,
    help="Compare with the period of the same length before: the last hour with the one before it, "
    "unless --since says otherwise.",
)
@from_view_option
@limit_option("Maximum number of rows.", 20, 1000)
@search_options
@reader_options
@json_option
def top(
    client: Client,
    filters: Filters,
    zone: tzinfo | None,
    by: str | None,
    sort: str | None,
    change: bool,
    from_view: str | None,
    limit: int,
) -> Result:
    """Show the most frequent endpoints, or values of another field, with errors, latency, bytes and
    cost.

    Example: sidelog top --since 1h --sort p95
    """
    if from_view is not None:
        found, filters = views.begun_with(client, from_view, filters, zone)
        by = by or found["group_by"]

    asked = asked_of(filters, sort=sort, is_change=change)
    asked = {**asked, "by": by or "endpoint", "limit": str(limit)}
    return Result(client.get_json("/api/top", asked), partial(print_top, parameters=asked))


def asked_of(filters: Filters, *, sort: str | None, is_change: bool) -> Filters:
    """Add what rows are sorted by, and that they are compared with the period before."""
    if not is_change:
        return {**filters, "sort": sort or "requests"}
    return {"since": _CHANGE_PERIOD, **filters, "before": "true", "sort": sort or "slower"}


def print_top(found: Json, parameters: Filters) -> None:
    """Print the table, and what is to be known of it."""
    if not found["rows"]:
        say("no calls of MCP tools" if found["by"] == "tool" else "no requests")
        return

    sort = str(parameters.get("sort", ""))
    is_compared = "before" in parameters or sort in _CHANGES
    _print_table(found, sort, is_compared=is_compared)
    values = [str(row["value"]) for row in found["rows"]]
    if found["by"] == "endpoint" and any(value.endswith(UNKNOWN) for value in values):
        say(f"\n{UNKNOWN}: paths that were only refused, redirected or not answered, never served.")
    if found["by"] == "failure" and sort == "requests":
        say("\nThe most frequent first; --sort orders by another figure.")
    if is_compared and all(row["before"] is None for row in found["rows"]):
        say("\nNo comparison: the log does not reach back to all of the period before.")
    if found.get("sampled"):
        say(
            "\nOf a sample: rules of capture keep a share of some, and figures are estimates of "
            "all (docs/sampling.md)."
        )
    hidden = found["values"] - len(found["rows"])
    if hidden > 0:
        say(f"\n{hidden:,} more; --limit shows them.")
    if not found["complete"]:
        what = "calls" if found["by"] == "tool" else "requests"
        say(
            f"\nThere are too many for one answer: only the newest {found['seen']:,} {what} are "
            "counted."
        )


def _print_table(found: Json, sort: str, *, is_compared: bool) -> None:
    rows = found["rows"]
    usual = {"tool": _TOOL_TITLES, "failure": _FAILURE_TITLES}.get(found["by"], _TOP_TITLES)
    titles = list(_CHANGE_TITLES if is_compared else usual)
    if any(row["cost_usd"] for row in rows):
        titles.append("cost")
    titles += [sort] if sort in _MORE else []
    if not is_wide():
        hidden = _WIDE_TITLES - {"bytes out" if sort == "bytes" else sort}
        titles = [title for title in titles if title not in hidden]
    columns = [Column(visible_line(found["by"]))]
    columns += [Column(title, is_number=True, is_wrapped=False) for title in titles]
    cells = [[_name_of(row), *(_FIGURES[title](row) for title in titles)] for row in rows]
    print_table(columns, cells, max_padded=_MAX_PADDED_CHARACTERS)


def _name_of(row: Json) -> str:
    value = row["value"] or _WHY[row["state"]]
    parts = (row.get("status"), row.get("error"), row["method"], value, row.get("message"))
    return " ".join(str(part) for part in parts if part)


def _share(row: Json, name: str) -> str:
    if row[name]:
        return f"{row[name] / row['exchanges']:.1%}"
    return ""


def _requests_change(row: Json) -> str:
    before = row["before"]
    if before is None:
        return "–"
    if before["exchanges"]:
        return _relative(row["exchanges"], before["exchanges"])
    return "new"


def _latency_change(row: Json) -> str:
    before = row["before"] or {"duration_ms": {"p95": None}}
    return _relative(row["duration_ms"]["p95"], before["duration_ms"]["p95"])


def _relative(now: float | None, before: float | None) -> str:
    """Say by how many percent a figure has moved, as the web UI does."""
    if now is None or before is None:
        return "–"
    share = (now - before) / max(before, 0.001)
    if abs(share) < _STEADY:
        return "steady"
    if 100 * share <= _MOST_PERCENT:
        percent = f"{abs(share):.0%}"
    else:
        percent = f">{_MOST_PERCENT:,}%"
    return f"{'▲' if share > 0 else '▼'} {percent}"


def _errors_change(row: Json) -> str:
    """Say by how many percentage points the share of 5xx has moved."""
    before = row["before"]
    if before is None or not before["exchanges"]:
        return "–"
    now = row["server_errors"] / row["exchanges"]
    points = 100 * (now - before["server_errors"] / before["exchanges"])
    if abs(points) < _STEADY_POINTS:
        return "steady"
    return f"{'▲' if points > 0 else '▼'} {abs(points):.1f} pt"


_FIGURES: Final[Mapping[str, Callable[[Json], str]]] = {
    "requests": lambda row: f"{row['exchanges']:,}",
    "calls": lambda row: f"{row['exchanges']:,}",
    "failures": lambda row: f"{row['exchanges']:,}",
    "± requests": _requests_change,
    "± 5xx": _errors_change,
    "± p95": _latency_change,
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
"""Columns that appear when rows are sorted by them."""
