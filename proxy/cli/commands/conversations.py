"""`sidelog conversations`: LLM calls that belong together, one line each, and one of them with its
calls in order.
"""

from collections.abc import Callable, Mapping
from datetime import tzinfo
from itertools import islice
from pathlib import Path
from typing import Final
from urllib.parse import quote

import click

from proxy.cli.command import (
    FILE,
    WholeNumber,
    argument,
    command,
    filter_options,
    json_lines_option,
    limit_option,
    reader_options,
)
from proxy.cli.commands.client import Client, Filters, client_pages
from proxy.cli.commands.listing import View, column_text, print_records, print_rows
from proxy.cli.commands.output import Json, complain, say, say_json
from proxy.process.terminal import visible_line

MAX_PAGE: Final = 100
_MS_PER_S: Final = 1000
_SHOWN: Final = (
    "id",
    "time",
    "status",
    "model",
    "called_tools",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "result",
)


@command()
@argument(
    "conversation_id",
    "One conversation, with its calls: its id, or the beginning of it.",
    metavar="[ID]",
    required=False,
)
@click.option(
    "--min-turns",
    type=WholeNumber(1),
    default=1,
    show_default=True,
    help="Leave out those with fewer calls.",
)
@click.option(
    "--min-failed", type=WholeNumber(0), default=0, help="Leave out those with fewer failures."
)
@click.option(
    "--min-cost",
    "min_cost_usd",
    metavar="USD",
    default="",
    help="Leave out those that cost less.",
)
@click.option(
    "--sort",
    metavar="FIGURE",
    default="newest",
    show_default=True,
    help="What is first: newest, or most cost, turns, failures, tokens or duration.",
)
@limit_option("Maximum number of conversations.", 20)
@click.option(
    "--html",
    metavar="FILE",
    type=FILE,
    help="Write one conversation into an HTML file that shows the whole run.",
)
@filter_options
@json_lines_option
@reader_options
def conversations(
    client: Client,
    filters: Filters,
    zone: tzinfo | None,
    conversation_id: str | None,
    min_turns: int,
    min_failed: int,
    min_cost_usd: str,
    sort: str,
    limit: int,
    html: Path | None,
    as_json: bool,
) -> int:
    """List LLM conversations, or show one: turns, tools, tokens, cost, time, where it failed.

    Example: sidelog conversations --since 24h --sort cost
    """
    view = View(zone=zone)
    if html is not None:
        return _save(client, conversation_id, html)
    if conversation_id is not None:
        return _print_one(client, conversation_id, view, as_json=as_json)

    asked = {
        **filters,
        "min_turns": str(min_turns),
        "sort": sort,
        "limit": str(min(limit, MAX_PAGE)),
    }
    asked |= {"min_failed": str(min_failed), "min_cost_usd": min_cost_usd}
    pages = client_pages(client, "/api/conversations", asked)
    found = list(islice((each for page in pages for each in page["conversations"]), limit))

    if as_json:
        for conversation in found:
            say_json(conversation, is_line=True)
    elif not found:
        complain("no conversations match")
    else:
        print_rows(_WIDE, _NARROW, found, view, _cell)

    return 0


def _save(client: Client, conversation_id: str | None, path: Path) -> int:
    """Write one conversation into a file that can be opened without sidelog."""
    if conversation_id is None:
        raise click.BadParameter("--html needs the id of a conversation")
    size = client.save_conversation(conversation_id, path)
    complain(f"wrote {path}, {size:,} bytes")
    return 0


def _print_one(client: Client, conversation_id: str, view: View, *, as_json: bool) -> int:
    """Print one conversation and its calls, oldest first."""
    pages = list(
        client_pages(
            client, f"/api/conversations/{quote(conversation_id, safe='')}", {"limit": "1000"}
        )
    )
    calls = [call for page in pages for call in page["calls"]]
    if as_json:
        say_json({**pages[-1], "calls": calls})
        return 0

    _print_sums(pages[-1])
    print_records(calls, View(fields=_SHOWN, zone=view.zone))
    say("\nmessages, arguments and results of tools: --html FILE, or the web UI, Conversations")
    return 0


def _models(each: Json) -> str:
    first, *others = each["models"] or ("–",)
    return first + (f" +{len(others)}" if others else "")


def _print_sums(each: Json) -> None:
    say(f"about     {visible_line(each['title'] or '–')}")
    if each.get("sampled"):
        of_sample = " (of a sample: what is stored)"
    else:
        of_sample = ""
    say(f"turns     {each['turns']:,}, {each['failed']:,} failed{of_sample}")
    say(f"models    {_counts(each['models'])}")
    say(f"tools     {_counts(each['tools'])}")
    if each["failed_tools"]:
        say(f"          of which failed: {_counts(each['failed_tools'])}")
    read, thought = (f"{each[name]:,}" for name in ("cache_read_tokens", "reasoning_tokens"))
    used = (
        f"{each['input_tokens']:,} in ({read} cached), {each['output_tokens']:,} out ({thought} "
        "reasoning)"
    )
    say(f"tokens    {used if each['counted'] else '–'}")
    say(f"cost      {_cost(each)}")
    say(
        f"time      {_seconds(each):,.1f} s, of which calls took "
        f"{each['calls_ms'] / _MS_PER_S:,.1f} s"
    )
    if (failure := each["failure"]) is not None:
        said = visible_line(str(failure["error_type"] or failure["outcome"]))
        say(f"failed    {failure['id']}  {failure['status'] or '–'}  {said}")
    say("")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{visible_line(name)} {count:,}" for name, count in counts.items()) or "–"


def _tokens(each: Json, name: str) -> str:
    """Write a sum; empty when no call has reported anything."""
    if each["counted"]:
        return f"{each[name]:,}"
    return "–"


def _seconds(each: Json) -> float:
    return float(each["duration_ms"]) / _MS_PER_S


def _cost(each: Json) -> str:
    """Return the sum of the known costs as text, with the number of calls whose cost is unknown."""
    if not each["priced"]:
        return "–"
    unpriced = each["turns"] - each["priced"]
    if unpriced and not each["cost_usd"]:
        return "–"
    return f"${each['cost_usd']:,.4f}" + (f" + {unpriced:,} unknown" if unpriced else "")


_CELLS: Final[Mapping[str, Callable[[Json], str]]] = {
    "turns": lambda each: f"{each['turns']:,}{'*' if each.get('sampled') else ''}",
    "failed": lambda each: f"{each['failed']:,}",
    "input": lambda each: _tokens(each, "input_tokens"),
    "output": lambda each: _tokens(each, "output_tokens"),
    "cost": _cost,
    "took": lambda each: f"{_seconds(each):,.1f} s",
    "model": _models,
    "about": lambda each: each["title"] or "–",
}
_WIDE: Final = (
    "started", "id", "turns", "failed", "input", "output", "cost", "took", "model", "about",
)  # fmt: skip
_NARROW: Final = ("half_id", "turns", "failed", "cost", "about")


def _cell(name: str, each: Json, view: View) -> str:
    if name in _CELLS:
        return _CELLS[name](each)
    return column_text(name, each, view)
