"""`sidelog conversations`: LLM calls that belong together, one line each, and one of them with its calls in order."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from proxy.cli.commands.client import Client
from proxy.cli.commands.listing import View, print_records
from proxy.cli.commands.output import complain, console, say, say_json
from proxy.cli.commands.zone import zone_name
from proxy.process.terminal import visible

MAX_PAGE: Final = 100
_MS_PER_S: Final = 1000
_SHOWN: Final = (
    "id",
    "started_at",
    "status",
    "model",
    "called_tools",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "error_type",
)


def run(client: Client, filters: Mapping[str, str | list[str]], limit: int, view: View, *, as_json: bool) -> int:
    """Print conversations, newest first."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while len(found) < limit:
        asked = {**filters, "limit": str(min(limit - len(found), MAX_PAGE))} | ({"cursor": cursor} if cursor else {})
        page = client.get_json("/api/conversations", asked)
        found += page["conversations"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    if as_json:
        for conversation in found:
            say_json(conversation, is_line=True)
    else:
        _print_list(found, view)
    return 0


def get(client: Client, conversation_id: str, view: View, *, as_json: bool) -> int:
    """Print one conversation and its calls, oldest first."""
    path, cursor = f"/api/conversations/{quote(conversation_id, safe='')}", None
    calls: list[dict[str, Any]] = []
    while True:
        page = client.get_json(path, {"limit": "1000"} | ({"cursor": cursor} if cursor else {}))
        calls += page["calls"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    if as_json:
        say_json({**page, "calls": calls})
        return 0
    _print_sums(page)
    print_records(calls, View(fields=view.fields or _SHOWN, is_wide=view.is_wide, zone=view.zone))
    return 0


def _print_list(found: Sequence[Mapping[str, Any]], view: View) -> None:
    from rich.table import Table

    if not found:
        complain("no conversations match")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column(f"started {zone_name(view.zone)}", no_wrap=True)
    table.add_column("id", no_wrap=True)
    for name in ("turns", "failed", "input", "output", "cost", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("model", no_wrap=True, overflow="ellipsis")
    table.add_column("about", no_wrap=True, overflow="ellipsis")
    for each in found:
        started = datetime.fromisoformat(each["started_at"]).astimezone(view.zone)
        table.add_row(
            started.strftime("%Y-%m-%d %H:%M:%S"), each["id"], f"{each['turns']:,}", f"{each['failed']:,}",
            f"{each['input_tokens']:,}", f"{each['output_tokens']:,}", _cost(each), f"{_seconds(each):,.1f} s",
            visible(", ".join(each["models"])), visible(each["title"] or "–"),
        )  # fmt: skip
    console().print(table)


def _print_sums(each: Mapping[str, Any]) -> None:
    say(f"about     {visible(each['title'] or '–')}")
    say(f"turns     {each['turns']:,}, {each['failed']:,} failed")
    say(f"models    {_counts(each['models'])}")
    say(f"tools     {_counts(each['tools'])}")
    read, thought = (f"{each[name]:,}" for name in ("cache_read_tokens", "reasoning_tokens"))
    say(f"tokens    {each['input_tokens']:,} in ({read} cached), {each['output_tokens']:,} out ({thought} reasoning)")
    say(f"cost      {_cost(each)}")
    say(f"time      {_seconds(each):,.1f} s, of which calls took {each['calls_ms'] / _MS_PER_S:,.1f} s")
    if (failure := each["failure"]) is not None:
        said = visible(str(failure["error_type"] or failure["outcome"]))
        say(f"failed    {failure['id']}  {failure['status'] or '–'}  {said}")
    say("")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{visible(name)} {count:,}" for name, count in counts.items()) or "–"


def _seconds(each: Mapping[str, Any]) -> float:
    return float(each["duration_ms"]) / _MS_PER_S


def _cost(each: Mapping[str, Any]) -> str:
    """Write what is known, and of how many calls it is where that is not all."""
    if not each["priced"]:
        return "–"
    unpriced = each["turns"] - each["priced"]
    return f"${each['cost_usd']:,.4f}" + (f" + {unpriced:,} unknown" if unpriced else "")
