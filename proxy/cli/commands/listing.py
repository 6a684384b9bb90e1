"""Records as lines of a terminal: a table for pages, single lines for a list that never ends.

Strategy: a wide terminal shows everything; on a narrower one the date goes first, then the host,
half of the id, which `sidelog get` takes as well, and at last the message of an error. The path is
never cut: where there is still no room it is folded. What the reader asks for (`--wide`,
`--fields`) is shown whole, however narrow the terminal.
"""

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table
from rich.text import Text

from proxy.cli.commands.output import GAP, WIDE_COLUMNS, CommandError, console, print_plain
from proxy.cli.commands.zone import zone_name
from proxy.process.terminal import visible_line
from storage.redactions import described
from storage.search.cell import FIELD_ALIASES, is_cell_field
from storage.search.reason import reason_of

if TYPE_CHECKING:
    from rich.console import Console

Row = Mapping[str, Any]

WIDE: Final = ("time", "status", "ms", "method", "target", "result", "id")
Layout = tuple[tuple[str, ...], int]
"""Names of columns, and how narrow the one that yields may become."""
_WHOLE: Final = 1 << 20
_LEAST: Final = 24
NARROW: Final = ("clock", "code", "ms", "request", "reason", "half_id")
_LAYOUTS: Final[tuple[Layout, ...]] = (
    (WIDE, _WHOLE),
    (("clock", "status", "ms", "method", "target", "result", "plain_id"), _WHOLE),
    (("clock", "code", "ms", "request", "result", "plain_id"), _WHOLE),
    (("clock", "code", "ms", "request", "result", "half_id"), _LEAST),
    (NARROW, _LEAST),
    (("clock", "code", "request", "reason", "half_id"), _LEAST),
    (("code", "request", "half_id"), _LEAST // 2),
)
"""The widest first."""
_YIELDING: Final = ("request", "about")
"""Columns that yield where there is no room: a path is folded, what a conversation is about is cut.
"""
_TITLES: Final = {
    "clock": "time", "begun": "started", "took": "time", "reason": "result", "plain_id": "id", "half_id": "id",
}  # fmt: skip
_DATED: Final = frozenset({"time", "clock", "started"})
COMPUTED: Final = ("time", "code", "ms", "target", "request", "result")
"""Columns that no member of a record is called."""
DERIVED: Final = (
    *(
        "in_flight",
        "finish_reason",
        "called_tools",
        "failed_tools",
        "grpc_status",
        "begun_by",
        "has_messages",
    ),
    *("started_at", "ended_at", "upstream_sent_at", "upstream_done_at"),
)
"""What the API shows of a record beside what is stored."""
_STYLES: Final = {"error": "red", "warn": "yellow"}
_STYLED: Final = frozenset({"status", "code", "outcome", "result", "reason"})
_NUMBERS: Final = frozenset(
    {"status", "code", "ms", "turns", "failed", "input", "output", "cost", "took"}
)
_LINE_WIDTHS: Final = {"time": 23, "clock": 8, "status": 3, "code": 3, "ms": 9, "method": 7}
_HALF_ID_CHARACTERS: Final = 16
"""Its millisecond and twelve bits more."""
_MIN_NAME_CHARACTERS: Final = 16
"""Of what figures are about; where less would be left, columns go."""
_MAX_PADDED_NAME_CHARACTERS: Final = 400
"""Of the same off a terminal: as long as a failure is at most, of a path of usual length."""
_WHY: Final = {
    "null": "null",
    "absent": "",
    "not_json": "[not JSON]",
    "cut": "[cut]",
    "not_kept": "[not kept]",
}
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

    names = tuple(
        FIELD_ALIASES.get(name, name) for part in (text or "").split(",") if (name := part.strip())
    )

    known = (*COMPUTED, *(name for name in Record.__struct_fields__ if name != "marks"), *DERIVED)
    if unknown := [name for name in names if name not in known and not is_cell_field(name)]:
        if near := difflib.get_close_matches(unknown[0], known, n=1):
            expected = f"; did you mean {near[0]}?"
        else:
            expected = (
                f", expected some of: {', '.join(known)}, or a header or place in a body such as "
                "header.x-tenant or body.user.id"
            )
        raise CommandError(f"unknown field {unknown[0]!r}{expected}", exit_code=2)

    return names


def selected(row: Row, view: View) -> Row:
    """Return a record with only the fields that were asked for, those of columns as their text."""
    if not view.fields:
        return row
    return {name: _member(name, row, view) for name in view.fields}


def _member(name: str, row: Row, view: View) -> object:
    if is_cell_field(name):
        return row.get("fields", {}).get(name)
    if name in COMPUTED:
        return column_text(name, row, view)
    return row.get(name)


def print_records(rows: Sequence[Row], view: View) -> None:
    """Print a table that fits the terminal: first what is said too well goes, a path is never cut."""
    print_fitted(
        [(view.fields or WIDE, 0)] if view.fields or view.is_wide else _LAYOUTS, rows, view, _cell
    )


def print_fitted(
    layouts: Sequence[Layout], rows: Sequence[Row], view: View, cell: Callable[..., Text]
) -> None:
    """Print the first layout that a terminal has room for; off a terminal every cell is whole.

    Layouts come widest first, and the last is taken however narrow the terminal. There is at least
    one row; `cell` writes one, of the name of a column, a row and a view.
    """
    (names, least), *narrower = layouts
    out = console()
    cells = [[cell(name, row, view) for name in names] for row in rows]
    titles = [_title(name, view) for name in names]

    if not out.is_terminal or view.is_wide or view.fields:
        print_plain(
            out, titles if view.has_header else None, cells, [name in _NUMBERS for name in names]
        )
        return

    heads = titles if view.has_header else [""] * len(names)
    widths = [
        max(len(head), *(row[place].cell_len for row in cells)) for place, head in enumerate(heads)
    ]
    over = sum(widths) + GAP * (len(widths) - 1) - out.width
    place = next((names.index(name) for name in _YIELDING if name in names), -1)
    if narrower and over > max(0, widths[place] - least):
        print_fitted(narrower, rows, view, cell)
        return

    widths[place] = min(widths[place], max(least, widths[place] - over))
    table = make_table(
        titles, widths, [name in _NUMBERS for name in names], has_header=view.has_header
    )
    if names[place] == "request":
        table.columns[place].no_wrap = False
        table.columns[place].overflow = "fold"
    for row in cells:
        table.add_row(*row)
    out.print(table, soft_wrap=False)


def _title(name: str, view: View) -> str:
    title = visible_line(_TITLES.get(name, name))
    if name in _DATED:
        return f"{title} {zone_name(view.zone)}"
    return title


def make_table(
    titles: Sequence[str], widths: Sequence[int], are_figures: Sequence[bool], *, has_header: bool
) -> Table:
    """Make a table without lines, of columns with the given widths."""
    table = Table(
        box=None,
        pad_edge=False,
        padding=(0, GAP, 0, 0),
        header_style="bold",
        show_header=has_header,
    )
    for title, width, is_figure in zip(titles, widths, are_figures, strict=True):
        table.add_column(
            title, justify="right" if is_figure else "left", width=max(1, width), no_wrap=True
        )

    return table


def print_figures(
    name: str,
    names: Sequence[str],
    figures: Mapping[str, Sequence[str]],
    first_to_go: Sequence[str],
) -> None:
    """Print a table of figures by name; on a narrow terminal columns go, in the order given, then
    names are cut.
    """
    out = console()
    cells = [Text(visible_line(each)) for each in names]
    if not out.is_terminal:
        rows = [
            [cell, *(Text(each[place]) for each in figures.values())]
            for place, cell in enumerate(cells)
        ]
        are_figures = [False] + [True] * len(figures)
        print_plain(out, [name, *figures], rows, are_figures, _MAX_PADDED_NAME_CHARACTERS)
        return

    widths = {title: max(len(title), *map(len, column)) for title, column in figures.items()}
    longest = max(len(name), *(cell.cell_len for cell in cells))
    for title in first_to_go:
        if (
            sum(widths.values()) + GAP * len(widths) + min(longest, _MIN_NAME_CHARACTERS)
            > out.width
        ):
            widths.pop(title, None)

    left = out.width - sum(widths.values()) - GAP * len(widths)
    first = max(min(longest, left), _MIN_NAME_CHARACTERS)
    out.width = max(out.width, first + sum(widths.values()) + GAP * len(widths))
    table = make_table(
        [name, *widths], [first, *widths.values()], [False] + [True] * len(widths), has_header=True
    )
    for place, cell in enumerate(cells):
        table.add_row(cell, *(figures[title][place] for title in widths))
    out.print(table)


def line_of(row: Row, view: View, out: "Console") -> str:
    """Show one record on one line, coloured on a terminal."""
    names = view.columns(out)
    cells = [_cell(name, row, view) for name in names]
    for name, cell in zip(names, cells, strict=True):
        if name in _LINE_WIDTHS and name != names[-1]:
            cell.align("right" if name in _NUMBERS else "left", _LINE_WIDTHS[name])
    if names is NARROW:
        taken = sum(cell.cell_len for cell in cells) + GAP * (len(cells) - 1)
        cells[names.index("request")].pad_right(max(0, out.width - taken))
    with out.capture() as captured:
        out.print(Text("  ").join(cells), end="", soft_wrap=True)
    return captured.get()


def _cell(name: str, row: Row, view: View) -> Text:
    if name in _STYLED:
        style = _STYLES.get(row.get("level") or "", "")
    else:
        style = ""
    return Text(visible_line(column_text(name, row, view)), style=style)


def column_text(name: str, row: Row, view: View) -> str:
    """Write the value of a record in a column, as a table shows it."""
    if name in _COLUMN_TEXTS:
        return _COLUMN_TEXTS[name](row)
    if name in ("time", "clock"):
        return _time_text(_in_zone(row.get("started_at"), view.zone), is_short=name == "clock")
    if is_cell_field(name):
        return _cell_text(row.get("fields", {}).get(name))
    return plain(row.get(name))


def _milliseconds(row: Row) -> str:
    duration_us = row.get("duration_us")
    return "-" if duration_us is None else f"{duration_us / 1000:.1f}"


def _id_digits(row: Row) -> str:
    return str(row["id"]).replace("-", "")


def _result_text(row: Row, *, has_message: bool) -> str:
    if has_message:
        message = (row.get("data") or {}).get("error_message") or row.get("message")
    else:
        message = None
    result = _result_of(row, message)
    weight = row.get("weight") or 1
    return result if weight == 1 else f"{result} ×{weight:g}"


def _method_text(row: Row) -> str:
    return "event" if _is_event(row) else row.get("method") or "-"


def _target_text(row: Row) -> str:
    return (row.get("name") if _is_event(row) else _target(row)) or "-"


def _request_text(row: Row) -> str:
    if _is_event(row):
        return f"event {row.get('name')}"
    return f"{row.get('method') or '-'} {_path(row) or '-'}"


_COLUMN_TEXTS: Final[dict[str, Callable[[Row], str]]] = {
    "status": lambda row: str(row.get("status") or "-"),
    "code": lambda row: str(row.get("status") or "-"),
    "ms": _milliseconds,
    "method": _method_text,
    "target": _target_text,
    "request": _request_text,
    "result": partial(_result_text, has_message=True),
    "reason": partial(_result_text, has_message=False),
    "plain_id": _id_digits,
    "half_id": lambda row: _id_digits(row)[:_HALF_ID_CHARACTERS],
    "redactions": lambda row: described(row.get("redactions") or {}),
}
"""Columns that are not written as their value is."""


def _result_of(row: Row, message: str | None) -> str:
    outcome = row.get("outcome")
    reason = reason_of(row.get("error_type"), outcome, row.get("status")) or outcome or ""
    return f"{reason}: {message}" if message else reason


def _time_text(moment: datetime | None, *, is_short: bool) -> str:
    if moment is None:
        return "-"
    if is_short:
        return f"{moment:%H:%M:%S}"
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:23]


def _cell_text(cell: Mapping[str, Any] | None) -> str:
    """Write a field of heads and bodies: its value, or in brackets why there is none."""
    if cell is None:
        return ""
    if cell["state"] == "known":
        return str(cell["value"])
    return _WHY[cell["state"]]


def _is_event(row: Row) -> bool:
    return row.get("kind") == "event"


def _target(row: Row) -> str:
    host = row.get("host") or ""
    path = _path(row)
    if path.startswith("/"):
        return host + path
    # `*`, or the host again, of a CONNECT.
    return " ".join(dict.fromkeys(filter(None, (host, path))))


def _path(row: Row) -> str:
    """Write a path with its query and, as in endpoint names, the operation that the path does not
    show.
    """
    query = row.get("query")
    asked = (row.get("data") or {}).get("mcp") or {}
    operation = "/".join(filter(None, (asked.get("method"), asked.get("name")))) or _operation(row)
    return (
        (row.get("path") or "")
        + ("" if query is None else f"?{query}")
        + (operation and f"#{operation}")
    )


def _operation(row: Row) -> str:
    """Return the operation that an endpoint names, of GraphQL; none of those that share one."""
    name = str((row.get("endpoint") or "").partition("#")[2])
    return "" if name.startswith("{") else name


def plain(value: object) -> str:
    """Write a member of a record for a person; an unknown one is empty."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if value is True:
        return "yes"
    if value is False:
        return "no"

    return str(value)


def _in_zone(moment: str | None, zone: tzinfo | None) -> datetime | None:
    if moment:
        return datetime.fromisoformat(moment).astimezone(zone)
    return None
