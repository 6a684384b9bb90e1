"""The summary of a run: calls, failures, cost.

All figures come from the API, for the period of the run: from the store, or from a running sidelog.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from proxy.cli.commands.client import Client, Filters
from proxy.cli.commands.output import Json
from proxy.process.terminal import visible_line

MAX_NAMED: Final = 4
"""Number of models, tools or failures that are named; the rest is counted."""
LEAST_USD: Final = 0.0001
_TOOL_ERROR: Final = "tool_error"
_UNTRUSTED: Final = "certificate_rejected"
_HOW_TO_TRUST: Final = (
    "a program does not trust sidelog's certificates: `sidelog ca` lists what it may need, and "
    "--no-egress decrypts nothing"
)


class Figures(NamedTuple):
    """The figures of a run."""

    totals: Json
    failures: Sequence[Json]
    tools: Sequence[Json]
    routes: Sequence[Json]
    """Routes with counts; for outgoing calls, hosts."""
    conversation: Json | None
    """The conversation with most turns."""
    conversations: int


def read_figures(client: Client, period: Filters) -> Figures:
    """Fetch the figures of a period."""
    # Calls over a WebSocket are events, and have a route; events of sidelog itself have none.
    failed = {**period, "by": "failure", "kind": "all", "query": "route:*"}
    by_turns = {**period, "sort": "turns", "limit": "100"}
    incoming = client.get_json("/api/facets", {**period, "name": "route", "direction": "in"})
    outgoing = client.get_json("/api/facets", {**period, "name": "host", "direction": "out"})
    conversations = client.get_json("/api/conversations", by_turns)["conversations"]
    return Figures(
        totals=client.get_json("/api/summary", period),
        failures=client.get_json("/api/top", failed)["rows"],
        tools=client.get_json("/api/top", {**period, "by": "tool"})["rows"],
        routes=incoming["facets"]["route"] + outgoing["facets"]["host"],
        conversation=next(iter(conversations), None),
        conversations=len(conversations),
    )


def lines_of(figures: Figures) -> list[str]:
    """Return the calls, then failures and cost, as lines."""
    parts = (_failed(figures), _cost(figures))
    lines = [_called(figures), "; ".join(filter(None, parts))]
    if any(row["error"] == _UNTRUSTED for row in figures.failures):
        lines.append(_HOW_TO_TRUST)
    return lines


def _called(figures: Figures) -> str:
    exchanges = figures.totals["exchanges"]
    usage = figures.totals["usage"]
    requests = _number(exchanges, "request")
    if usage is None or not usage["calls"]:
        return f"{requests}: {_listed(figures.routes, 'value', 'count')}"

    calls = _number(usage["calls"], "call")
    if usage["calls"] != exchanges:
        calls += f" in {requests}"
    models = [{**row, "model": row["model"] or row["provider"]} for row in usage["models"]]
    text = f"{calls}: {_listed(models, 'model', 'calls')}"
    tools = _listed(figures.tools, "value", "exchanges")
    return text + (tools and f"; tools: {tools}")


def _refused(figures: Figures) -> list[Json]:
    """Return the failed requests; a request that reports a failed tool did not fail itself."""
    return [row for row in figures.failures if row["error"] != _TOOL_ERROR]


def _failed(figures: Figures) -> str:
    text = "no call failed"
    if refused := _refused(figures):
        named = [{**row, "why": _why(row)} for row in refused]
        text = f"failed: {_listed(named, 'why', 'exchanges')}"
    tools = _listed(figures.tools, "value", "server_errors")
    return text + (tools and f"; tools that failed: {tools}")


def _why(row: Json) -> str:
    known = [str(part) for part in (row["status"], row["error"]) if part]
    return " ".join(known) or "without an answer"


def _cost(figures: Figures) -> str:
    """Return tokens and cost as text; empty if no model was called."""
    usage = figures.totals["usage"]
    if usage is None or not usage["calls"]:
        return ""

    text = "no tokens known"
    if usage["counted"]:
        cached = usage["cache_read_tokens"]
        known = f" ({cached:,} cached)" if cached else ""
        text = f"{usage['input_tokens']:,} tokens in{known}, {usage['output_tokens']:,} out"

    if not usage["priced"]:
        return f"{text}; cost unknown"

    usd = usage["cost_usd"]
    text += f"; ${usd:,.4f}" if usd >= LEAST_USD else f"; less than ${LEAST_USD:.4f}"
    refused = sum(row["exchanges"] for row in _refused(figures))  # costs nothing, as a rule
    unpriced = usage["calls"] - usage["priced"] - refused
    return text + (f" and {_number(unpriced, 'call')} of unknown cost" if unpriced > 0 else "")


def _number(count: int, noun: str) -> str:
    if count == 1:
        return f"{count:,} {noun}"
    return f"{count:,} {noun}s"


def _listed(rows: Iterable[Json], name: str, count: str) -> str:
    """Return names with their counts, the highest first; names without a count are left out."""
    counted = [(row[count], visible_line(str(row[name]))) for row in rows if row[count]]
    counted.sort(key=lambda each: -each[0])
    shown = [f"{times:,} × {text}" for times, text in counted[:MAX_NAMED]]
    if len(counted) > MAX_NAMED:
        shown.append(f"{len(counted) - MAX_NAMED:,} more")
    return ", ".join(shown)
