"""Records as lines of a terminal: a table for pages, single lines for a list that never ends.

Strategy: a wide terminal shows everything; on a narrow one the date, the host and the outcome go (its colour stays),
and the id is written without hyphens, so that it still fits and can be passed to `sidelog get`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from proxy.cli.commands.output import WIDE_COLUMNS, console, visible_line

_WIDE: Final = ("time", "status", "ms", "method", "target", "outcome", "id")
_NARROW: Final = ("time", "code", "ms", "request", "id")
_STYLES: Final = {"error": "red", "warn": "yellow"}
_LINE_WIDTHS: Final = (23, 3, 9, 7)
_NARROW_LINE_WIDTHS: Final = (8, 3, 9)
_ID_CHARACTERS: Final = 32
_GAP: Final = 2


def print_records(rows: list[dict[str, Any]]) -> None:
    """Print a table that fits the terminal; off a terminal it is as wide as it needs."""
    out = console()
    is_wide = out.width >= WIDE_COLUMNS
    titles = _WIDE if is_wide else _NARROW
    cells = [_wide_cells(row) if is_wide else _narrow_cells(row) for row in rows]
    widths = [max(len(title), *(row[place].cell_len for row in cells)) for place, title in enumerate(titles)]
    flexible = titles.index("target" if is_wide else "request")
    needed = sum(widths) + _GAP * (len(widths) - 1)
    if out.is_terminal:
        widths[flexible] -= max(0, needed - out.width)
    else:
        out.width = max(out.width, needed)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for title, width in zip(titles, widths, strict=True):
        is_number = title in ("status", "code", "ms")
        table.add_column(title, justify="right" if is_number else "left", width=max(1, width), no_wrap=True)
    for row in cells:
        table.add_row(*row)
    out.print(table)


def line_of(row: Mapping[str, Any]) -> str:
    """Show one record on one line, coloured on a terminal."""
    out = console()
    is_wide = out.width >= WIDE_COLUMNS
    cells, widths = (_wide_cells(row), _LINE_WIDTHS) if is_wide else (_narrow_cells(row), _NARROW_LINE_WIDTHS)
    for cell, width in zip(cells, widths, strict=False):
        cell.align("right" if width in (3, 9) else "left", width)
    if not is_wide:
        left = out.width - sum(widths) - _ID_CHARACTERS - _GAP * (len(cells) - 1)
        cells[3].truncate(max(1, left), overflow="ellipsis", pad=True)
    with out.capture() as captured:
        out.print(Text("  ").join(cells), end="", soft_wrap=True)
    return captured.get()


def _wide_cells(row: Mapping[str, Any]) -> list[Text]:
    style = _STYLES.get(row.get("level") or "", "")
    is_event = row.get("kind") == "event"
    target = row.get("name") if is_event else f"{row.get('host') or ''}{row.get('path') or ''}"
    return [
        Text(_local_time(row.get("started_at"), "%Y-%m-%d %H:%M:%S.%f")[:23]),
        Text(str(row.get("status") or "-"), style=style),
        Text(_ms(row)),
        Text(visible_line(row.get("method") or ("event" if is_event else "-"))),
        Text(visible_line(target or "-")),
        Text(visible_line(row.get("outcome") or ""), style=style),
        Text(row.get("id") or ""),
    ]


def _narrow_cells(row: Mapping[str, Any]) -> list[Text]:
    style = _STYLES.get(row.get("level") or "", "")
    what = (
        f"event {row.get('name')}"
        if row.get("kind") == "event"
        else f"{row.get('method') or '-'} {row.get('path') or '-'}"
    )
    return [
        Text(_local_time(row.get("started_at"), "%H:%M:%S")),
        Text(str(row.get("status") or "-"), style=style),
        Text(_ms(row)),
        Text(visible_line(what)),
        Text((row.get("id") or "").replace("-", "")),
    ]


def _ms(row: Mapping[str, Any]) -> str:
    duration_us = row.get("duration_us")
    return "-" if duration_us is None else f"{duration_us / 1000:.1f}"


def _local_time(moment: str | None, form: str) -> str:
    """Show an ISO time in the reader's zone."""
    return datetime.fromisoformat(moment).astimezone().strftime(form) if moment else "-"
