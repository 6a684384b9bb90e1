"""`sidelog query` and `sidelog get`: records of a running sidelog, read through its admin API.

Strategy: the API's JSON is passed on as it is with `--json`; tables show a few fields of it. Pages are fetched one by
one, so that a long answer starts at once and needs no memory.
"""

import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from proxy.commands.client import Client, refusal
from proxy.commands.curl import curl_of
from proxy.commands.output import CommandError, complain, console, say, say_json, visible

if TYPE_CHECKING:
    from rich.text import Text

PAGE_RECORDS: Final = 1000
"""The API's largest page."""

_STYLES: Final = {"error": "red", "warn": "yellow"}
_HIDDEN: Final = frozenset({"request", "response", "timeline", "data"})


def query(client: Client, parameters: Mapping[str, str | list[str]], limit: int, *, as_json: bool) -> int:
    """Print up to `limit` records, newest first unless asked otherwise: NDJSON, or a table."""
    records = pages(client, parameters, limit)
    if as_json:
        for record in records:
            say_json(record, is_line=True)
        return 0
    rows = list(records)
    if not rows:
        complain("no records match")
        return 0
    _print_table(rows)
    return 0


def pages(client: Client, parameters: Mapping[str, str | list[str]], limit: int) -> Iterator[dict[str, Any]]:
    """Yield up to `limit` records, following cursors; a page cut by the server's time budget is followed too."""
    cursor: str | None = None
    while limit > 0:
        page = dict(parameters) | {"limit": str(min(limit, PAGE_RECORDS))}
        if cursor:
            page["cursor"] = cursor
        answer = client.get_json("/api/records", page)
        records = answer["records"]
        yield from records
        limit -= len(records)
        cursor = answer.get("next_cursor")
        if not cursor:
            return


def get(client: Client, record_id: str, *, as_json: bool) -> int:
    """Print one exchange: its fields, heads and bodies."""
    record = client.get_json(f"/api/records/{quote(record_id, safe='')}")
    if as_json:
        say_json(record)
        return 0
    for name, value in record.items():
        if value is not None and name not in _HIDDEN and not name.endswith("_at_us"):
            say(f"{name:18} {visible(_plain(value))}")
    for half in ("request", "response"):
        if message := record.get(half):
            say(f"\n{half}")
            _print_message(message)
    if record.get("data") is not None:
        say("\ndata")
        say_json(record["data"])
    return 0


def get_curl(client: Client, record_id: str) -> int:
    """Print the command that sends the request again; what it lacks is said on stderr."""
    line = curl_of(client.get_json(f"/api/records/{quote(record_id, safe='')}"))
    for note in line.notes:
        complain(f"sidelog: {visible(note)}")
    if not line.command:
        return 1
    say(line.command)
    return 0


def download(client: Client, record_id: str, part: str) -> int:
    """Write a file of one record to stdout, nothing else: `request-body`, `response-body` or `har`."""
    answer = client.get(f"/api/records/{quote(record_id, safe='')}/{part}")
    if answer.status >= 400:
        raise CommandError(refusal(answer))
    sys.stdout.buffer.write(answer.body)
    sys.stdout.buffer.flush()
    return 0


def _print_message(message: Mapping[str, Any]) -> None:
    say(f"  {visible(message['start_line'] or '')}")
    for name, value in message["headers"]:
        say(f"  {visible(name)}: {visible(value)}")
    body = message["body"]
    if body is None:
        return
    say("")
    if body["omitted"]:
        say(f"  [{body['size']} bytes, not kept: {body['omitted']}]")
        return
    for window in ("head", "tail"):
        if body[window]:
            say(visible(body[window]))
        if window == "head" and body["truncated"]:
            say(f"  [… of {body['size']} bytes]")


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else "yes" if value is True else "no" if value is False else str(value)


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("time", "status", "ms", "method"):
        table.add_column(name, justify="right" if name in ("status", "ms") else "left", no_wrap=True)
    table.add_column("target", overflow="ellipsis", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("id", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row, Text))
    console().print(table)


def line_of(row: Mapping[str, Any]) -> str:
    """Show one record on one line, for a list that never ends; coloured on a terminal."""
    from rich.text import Text

    cells = _cells(row, Text)
    widths = (23, 3, 9, 7)
    for cell, width in zip(cells, widths, strict=False):
        cell.align("right" if width in (3, 9) else "left", width)
    out = console()
    with out.capture() as captured:
        out.print(Text("  ").join(cells), end="", soft_wrap=True)
    return captured.get()


def _cells(row: Mapping[str, Any], text: type["Text"]) -> list["Text"]:
    style = _STYLES.get(row.get("level") or "", "")
    duration_us = row.get("duration_us")
    is_event = row.get("kind") == "event"
    target = row.get("name") if is_event else f"{row.get('host') or ''}{row.get('path') or ''}"
    return [
        text(_local_time(row.get("started_at"))),
        text(str(row.get("status") or "-"), style=style),
        text("-" if duration_us is None else f"{duration_us / 1000:.1f}"),
        text(visible(row.get("method") or ("event" if is_event else "-"))),
        text(visible(target or "-")),
        text(visible(row.get("outcome") or ""), style=style),
        text(row.get("id") or ""),
    ]


def _local_time(moment: str | None) -> str:
    """Show an ISO time in the reader's zone, to the millisecond."""
    if not moment:
        return "-"
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
