"""`sidelog conversations`: LLM calls that belong together, one line each, and one of them with its calls in order."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from rich.text import Text

from proxy.cli.commands.client import Client
from proxy.cli.commands.listing import GAP, View, make_table, print_records
from proxy.cli.commands.output import complain, console, say, say_json
from proxy.cli.commands.zone import zone_name
from proxy.process.terminal import visible_line

MAX_PAGE: Final = 100
_MS_PER_S: Final = 1000
_MIN_ABOUT: Final = 16
"""Characters of what a conversation is about; where fewer would be left, columns go."""
_SHOWN: Final = (
    "id",
    "time",
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
    """Print a table that fits the terminal: columns go, then what each is about is cut; ids are always whole."""
    if not found:
        complain("no conversations match")
        return
    out = console()
    is_fitted = out.is_terminal and not view.is_wide
    tables = [_columns(names, found, view) for names in _LAYOUTS]
    names, rows, widths = next((each for each in tables if not is_fitted or _fits(each.widths, out.width)), tables[-1])
    over = max(0, _total(widths) - out.width)
    if is_fitted:
        widths[-1] -= over
    else:
        out.width += over
    titles = [_title(name, view) for name in names]
    table = make_table(titles, widths, [name in _FIGURES for name in names], has_header=view.has_header)
    for row in rows:
        table.add_row(*row)
    out.print(table)


class _Columns(NamedTuple):
    names: tuple[str, ...]
    rows: list[list[Text]]
    widths: list[int]


def _columns(names: tuple[str, ...], found: Sequence[Mapping[str, Any]], view: View) -> _Columns:
    rows = [[Text(_CELLS[name](each, view)) for name in names] for each in found]
    widths = [max(len(_title(name, view)), *(row[at].cell_len for row in rows)) for at, name in enumerate(names)]
    return _Columns(names, rows, widths)


def _fits(widths: Sequence[int], width: int) -> bool:
    return widths[-1] - max(0, _total(widths) - width) >= min(widths[-1], _MIN_ABOUT)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _title(name: str, view: View) -> str:
    return f"started {zone_name(view.zone)}" if name == "started" else _TITLES.get(name, name)


def _models(each: Mapping[str, Any]) -> str:
    first, *others = each["models"] or ("–",)
    return visible_line(first) + (f" +{len(others)}" if others else "")


def _started(each: Mapping[str, Any], view: View, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    return datetime.fromisoformat(each["started_at"]).astimezone(view.zone).strftime(form)


_CELLS: Final[Mapping[str, Callable[[Mapping[str, Any], View], str]]] = {
    "started": _started,
    "begun": lambda each, view: _started(each, view, "%m-%d %H:%M"),
    "id": lambda each, _: each["id"],
    "plain_id": lambda each, _: each["id"].replace("-", ""),
    "turns": lambda each, _: f"{each['turns']:,}",
    "failed": lambda each, _: f"{each['failed']:,}",
    "input": lambda each, _: _tokens(each, "input_tokens"),
    "output": lambda each, _: _tokens(each, "output_tokens"),
    "cost": lambda each, _: _cost(each),
    "time": lambda each, _: f"{_seconds(each):,.1f} s",
    "model": lambda each, _: _models(each),
    "about": lambda each, _: visible_line(each["title"] or "–"),
}
_LAYOUTS: Final = (
    ("started", "id", "turns", "failed", "input", "output", "cost", "time", "model", "about"),
    ("begun", "plain_id", "turns", "failed", "cost", "time", "model", "about"),
    ("begun", "plain_id", "turns", "cost", "model", "about"),
    ("begun", "plain_id", "turns", "cost", "about"),
    ("plain_id", "turns", "about"),
)
"""The widest first; the last is taken however narrow the terminal."""
_TITLES: Final = {"begun": "started", "plain_id": "id"}
_FIGURES: Final = frozenset(("turns", "failed", "input", "output", "cost", "time"))


def _print_sums(each: Mapping[str, Any]) -> None:
    say(f"about     {visible_line(each['title'] or '–')}")
    say(f"turns     {each['turns']:,}, {each['failed']:,} failed")
    say(f"models    {_counts(each['models'])}")
    say(f"tools     {_counts(each['tools'])}")
    read, thought = (f"{each[name]:,}" for name in ("cache_read_tokens", "reasoning_tokens"))
    used = f"{each['input_tokens']:,} in ({read} cached), {each['output_tokens']:,} out ({thought} reasoning)"
    say(f"tokens    {used if each['counted'] else '–'}")
    say(f"cost      {_cost(each)}")
    say(f"time      {_seconds(each):,.1f} s, of which calls took {each['calls_ms'] / _MS_PER_S:,.1f} s")
    if (failure := each["failure"]) is not None:
        said = visible_line(str(failure["error_type"] or failure["outcome"]))
        say(f"failed    {failure['id']}  {failure['status'] or '–'}  {said}")
    say("")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{visible_line(name)} {count:,}" for name, count in counts.items()) or "–"


def _tokens(each: Mapping[str, Any], name: str) -> str:
    """Write a sum; of calls none of which has reported anything there is none."""
    return f"{each[name]:,}" if each["counted"] else "–"


def _seconds(each: Mapping[str, Any]) -> float:
    return float(each["duration_ms"]) / _MS_PER_S


def _cost(each: Mapping[str, Any]) -> str:
    """Write what is known, and of how many calls it is where that is not all."""
    if not each["priced"]:
        return "–"
    unpriced = each["turns"] - each["priced"]
    return f"${each['cost_usd']:,.4f}" + (f" + {unpriced:,} unknown" if unpriced else "")
