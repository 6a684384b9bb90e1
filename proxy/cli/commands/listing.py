"""Records as lines of a terminal: a table for pages, single lines for a list that never ends.

Strategy: a wide terminal shows everything; on a narrow one the date, the host and the result go (its colour stays),
and the id is written without hyphens, so that it still fits and can be passed to `sidelog get`; where that would leave
no room for the request, half of it, which `get` takes as well. What the reader asks for (`--wide`, `--fields`) is shown
whole, however narrow the terminal.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table
from rich.text import Text

from proxy.cli.commands.output import WIDE_COLUMNS, CommandError, console
from proxy.cli.commands.zone import zone_name
from proxy.process.terminal import visible_line
from storage.search.cell import is_cell_field
from storage.search.reason import reason_of

if TYPE_CHECKING:
    from rich.console import Console

Row = Mapping[str, Any]

WIDE: Final = ("time", "status", "ms", "method", "target", "result", "id")
NARROW: Final = ("time", "code", "ms", "request", "id")
COMPUTED: Final = ("time", "code", "ms", "target", "request", "result")
"""Columns that no member of a record is called."""
DERIVED: Final = (
    *("in_flight", "finish_reason", "called_tools", "begun_by"),
    *("started_at", "ended_at", "upstream_sent_at", "upstream_done_at"),
)
"""What the API shows of a record beside what is stored."""
_STYLES: Final = {"error": "red", "warn": "yellow"}
_STYLED: Final = frozenset({"status", "code", "outcome", "result"})
_NUMBERS: Final = frozenset({"status", "code", "ms"})
_LINE_WIDTHS: Final = {"status": 3, "code": 3, "ms": 9, "method": 7}
_ID_CHARACTERS: Final = 32
_WHOLE_ID_COLUMNS: Final = 76
"""Narrower terminals show the first half of an id: its millisecond and twelve bits more."""
_MIN_NAME_CHARACTERS: Final = 16
"""Of what figures are about; where less would be left, columns go."""
GAP: Final = 2
_WHY: Final = {"null": "null", "absent": "", "not_json": "[not JSON]", "cut": "[cut]", "not_kept": "[not kept]"}
"""What stands for a field without a value, as in a CSV file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How the reader wants to see records."""

    fields: tuple[str, ...] = ()
    """Columns; empty: those that fit the terminal."""
    is_wide: bool = False
    has_header: bool = True
    zone: tzinfo | None = None
    """None: the machine's."""

    @property
    def asked(self) -> dict[str, str]:
        """What the API must be asked for: columns that are read of heads and bodies."""
        names = ",".join(filter(is_cell_field, self.fields))
        return {"fields": names} if names else {}

    def columns(self, out: "Console") -> tuple[str, ...]:
        return self.fields or (WIDE if self.is_wide or out.width >= WIDE_COLUMNS else NARROW)


def read_fields(text: str | None) -> tuple[str, ...]:
    """Read the names of columns, with commas between them; headers and places in bodies are some.

    Raises:
        CommandError: a name that neither a column nor a member of a record has.
    """
    from storage.record import Record

    names = tuple(name for part in (text or "").split(",") if (name := part.strip()))
    known = (*COMPUTED, *(name for name in Record.__struct_fields__ if name != "marks"), *DERIVED)
    if unknown := [name for name in names if name not in known and not is_cell_field(name)]:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        asked = f"; did you mean {near[0]}? Expected" if near else ", expected"
        expected = f"{', '.join(known)}, or a header or place in a body such as header.x-tenant or body.user.id"
        raise CommandError(f"unknown field {unknown[0]!r}{asked} some of: {expected}", exit_code=2)
    return names


def selected(row: Row, view: View) -> Row:
    """Return a record with only the fields that were asked for, those of columns as their text."""
    if not view.fields:
        return row
    return {name: _member(name, row, view) for name in view.fields}


def _member(name: str, row: Row, view: View) -> object:
    if is_cell_field(name):
        return row.get("fields", {}).get(name)
    return column_text(name, row, view) if name in COMPUTED else row.get(name)


def print_records(rows: Sequence[Row], view: View) -> None:
    """Print a table that fits the terminal; off a terminal it is as wide as it needs."""
    out = console()
    names = view.columns(out)
    titles = [f"time {zone_name(view.zone)}" if name == "time" else visible_line(name) for name in names]
    cells = [[_cell(name, row, view, is_short=names is NARROW) for name in names] for row in rows]
    if names is NARROW:
        for row in cells:
            row[-1].truncate(_id_characters(out), overflow="crop")
    heads = titles if view.has_header else [""] * len(names)
    widths = [max(len(head), *(row[place].cell_len for row in cells)) for place, head in enumerate(heads)]
    needed = sum(widths) + GAP * (len(widths) - 1)
    if out.is_terminal and not view.is_wide and not view.fields:
        widths[names.index("target" if names is WIDE else "request")] -= max(0, needed - out.width)
    else:
        out.width = max(out.width, needed)
    table = make_table(titles, widths, [name in _NUMBERS for name in names], has_header=view.has_header)
    for row in cells:
        table.add_row(*row)
    out.print(table, soft_wrap=False, crop=not (view.is_wide or view.fields))


def make_table(titles: Sequence[str], widths: Sequence[int], are_figures: Sequence[bool], *, has_header: bool) -> Table:
    """Make a table without lines, of columns that are as wide as is said."""
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold", show_header=has_header)
    for title, width, is_figure in zip(titles, widths, are_figures, strict=True):
        table.add_column(title, justify="right" if is_figure else "left", width=max(1, width), no_wrap=True)
    return table


def print_figures(
    name: str, names: Sequence[str], figures: Mapping[str, Sequence[str]], first_to_go: Sequence[str]
) -> None:
    """Print a table of figures by name; on a narrow terminal columns go, in the order given, then names are cut."""
    out = console()
    cells = [Text(visible_line(each)) for each in names]
    widths = {title: max(len(title), *map(len, column)) for title, column in figures.items()}
    longest = max(len(name), *(cell.cell_len for cell in cells))
    for title in first_to_go if out.is_terminal else ():
        if sum(widths.values()) + GAP * len(widths) + min(longest, _MIN_NAME_CHARACTERS) > out.width:
            widths.pop(title, None)
    left = out.width - sum(widths.values()) - GAP * len(widths)
    first = max(min(longest, left), _MIN_NAME_CHARACTERS) if out.is_terminal else longest
    out.width = max(out.width, first + sum(widths.values()) + GAP * len(widths))
    table = make_table([name, *widths], [first, *widths.values()], [False] + [True] * len(widths), has_header=True)
    for place, cell in enumerate(cells):
        table.add_row(cell, *(figures[title][place] for title in widths))
    out.print(table)


def line_of(row: Row, view: View, out: "Console") -> str:
    """Show one record on one line, coloured on a terminal."""
    names = view.columns(out)
    is_short = names is NARROW
    widths = {**_LINE_WIDTHS, "time": 8 if is_short else 23}
    cells = [_cell(name, row, view, is_short=is_short) for name in names]
    for name, cell in zip(names, cells, strict=True):
        if name in widths and name != names[-1]:
            cell.align("right" if name in _NUMBERS else "left", widths[name])
    if is_short:
        cells[4].truncate(_id_characters(out), overflow="crop")
        left = out.width - sum(widths[name] for name in NARROW[:3]) - _id_characters(out) - GAP * (len(cells) - 1)
        cells[3].truncate(max(1, left), overflow="ellipsis", pad=True)
    with out.capture() as captured:
        out.print(Text("  ").join(cells), end="", soft_wrap=True)
    return captured.get()


def _id_characters(out: "Console") -> int:
    return _ID_CHARACTERS if out.width >= _WHOLE_ID_COLUMNS else _ID_CHARACTERS // 2


def _cell(name: str, row: Row, view: View, *, is_short: bool) -> Text:
    style = _STYLES.get(row.get("level") or "", "") if name in _STYLED else ""
    return Text(visible_line(column_text(name, row, view, is_short=is_short)), style=style)


def column_text(name: str, row: Row, view: View, *, is_short: bool = False) -> str:
    """Write what a column says of a record, as a table shows it."""
    match name:
        case "time":
            return _time_text(_in_zone(row.get("started_at"), view.zone), is_short=is_short)
        case "status" | "code":
            return str(row.get("status") or "-")
        case "ms":
            duration_us = row.get("duration_us")
            return "-" if duration_us is None else f"{duration_us / 1000:.1f}"
        case "method":
            return row.get("method") or ("event" if _is_event(row) else "-")
        case "target":
            return (row.get("name") if _is_event(row) else f"{row.get('host') or ''}{_path(row)}") or "-"
        case "request":
            return f"event {row.get('name')}" if _is_event(row) else f"{row.get('method') or '-'} {_path(row) or '-'}"
        case "result":
            outcome = row.get("outcome")
            return reason_of(row.get("error_type"), outcome, row.get("status")) or outcome or ""
        case "id":
            return (row.get("id") or "").replace("-", "") if is_short else row.get("id") or ""
        case _ if is_cell_field(name):
            return _cell_text(row.get("fields", {}).get(name))
        case _:
            return plain(row.get(name))


def _time_text(moment: datetime | None, *, is_short: bool) -> str:
    if moment is None:
        return "-"
    return f"{moment:%H:%M:%S}" if is_short else f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:23]


def _cell_text(cell: Mapping[str, Any] | None) -> str:
    """Write a field of heads and bodies: its value, or in brackets why there is none."""
    if cell is None:
        return ""
    return cell["value"] if cell["state"] == "known" else _WHY[cell["state"]]


def _is_event(row: Row) -> bool:
    return row.get("kind") == "event"


def _path(row: Row) -> str:
    """Write a path with its query, and, as an endpoint is named, what was asked for where the path does not tell."""
    query, asked = row.get("query"), (row.get("data") or {}).get("mcp") or {}
    operation = "/".join(filter(None, (asked.get("method"), asked.get("name")))) or _operation(row)
    return (row.get("path") or "") + ("" if query is None else f"?{query}") + (operation and f"#{operation}")


def _operation(row: Row) -> str:
    """Return the operation that an endpoint names, of GraphQL; none of those that share one."""
    name = str((row.get("endpoint") or "").partition("#")[2])
    return "" if name.startswith("{") else name


def plain(value: object) -> str:
    """Write a member of a record for a person; what is not known is empty."""
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return "yes" if value is True else "no" if value is False else str(value)


def _in_zone(moment: str | None, zone: tzinfo | None) -> datetime | None:
    return datetime.fromisoformat(moment).astimezone(zone) if moment else None
