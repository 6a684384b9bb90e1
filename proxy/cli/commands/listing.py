"""Prints records: as a table for pages, as single lines for an endless list.

A wide terminal shows all columns. A narrower one shows fewer and shorter ones: no
date, no host, and half of the id, which `sidelog get` accepts as well. Long paths are wrapped.
Columns named by `--fields` are shown in full, however narrow the terminal.
"""

import difflib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from typing import TYPE_CHECKING, Final

from rich.text import Text

from proxy.cli.commands.output import (
    GAP,
    Column,
    CommandError,
    Json,
    is_wide,
    print_table,
)
from proxy.cli.commands.zone import zone_name
from proxy.process.terminal import visible_line
from storage.redactions import described
from storage.search.cell import FIELD_ALIASES, is_cell_field
from storage.search.reason import reason_of

if TYPE_CHECKING:
    from rich.console import Console


WIDE: Final = ("time", "status", "ms", "method", "target", "result", "id")
NARROW: Final = ("clock", "code", "ms", "request", "reason", "half_id")
_WRAPPED: Final = frozenset({"target", "request", "result", "reason", "about"})
"""Columns that may have long texts."""
_TITLES: Final = {
    "clock": "time", "took": "time", "reason": "result", "half_id": "id",
}  # fmt: skip
_TIMES: Final = {
    "time": "%Y-%m-%d %H:%M:%S.%f",
    "clock": "%H:%M:%S",
    "started": "%Y-%m-%d %H:%M:%S",
}
"""Columns of the time when a record began, and their formats."""
_TIME_CHARACTERS: Final = 23
"""Without the digits of microseconds."""
_OUTGOING: Final = "→ "
"""Marks calls to other hosts."""
COMPUTED: Final = ("time", "code", "ms", "target", "request", "result")
"""Columns that are computed, not members of a record."""
DERIVED: Final = (
    "in_flight", "finish_reason", "called_tools", "failed_tools", "grpc_status", "begun_by", "has_messages",
    "started_at", "ended_at", "upstream_sent_at", "upstream_done_at",
)  # fmt: skip
"""Members that the API adds to the stored record."""
_STYLES: Final = {"error": "red", "warn": "yellow"}
_STYLED: Final = frozenset({"status", "code", "outcome", "result", "reason"})
_NUMBERS: Final = frozenset(
    {"status", "code", "ms", "turns", "failed", "input", "output", "cost", "took"}
)
_LINE_WIDTHS: Final = {"time": 23, "clock": 8, "status": 3, "code": 3, "ms": 9, "method": 7}
_HALF_ID_CHARACTERS: Final = 16
"""Half of an id: its millisecond and twelve bits more."""
_WHY: Final = {
    "null": "null",
    "absent": "",
    "not_json": "[not JSON]",
    "cut": "[cut]",
    "not_kept": "[not kept]",
}
"""Text for a field without a value, as in a CSV file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Columns and time zone that the reader wants."""

    fields: tuple[str, ...] = ()
    """Columns; empty means those that fit the terminal."""
    zone: tzinfo | None = None
    """None: the machine's."""

    @property
    def asked(self) -> dict[str, str]:
        """Return the parameter that requests the columns read from heads and bodies; empty without
        one.
        """
        names = ",".join(filter(is_cell_field, self.fields))
        if names:
            return {"fields": names}
        return {}

    def columns(self, wide: Sequence[str], narrow: Sequence[str]) -> Sequence[str]:
        """Return the wanted columns, or else those for this terminal."""
        return self.fields or (wide if is_wide() else narrow)


def read_fields(text: str | None) -> tuple[str, ...]:
    """Parse comma-separated names of columns, including headers and paths in bodies.

    Raises:
        CommandError: a name is neither a column nor a member of a record.
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


def selected(row: Json, view: View) -> Json:
    """Return only the requested fields of a record, columns as their text."""
    if not view.fields:
        return row
    return {name: _member(name, row, view) for name in view.fields}


def _member(name: str, row: Json, view: View) -> object:
    if is_cell_field(name):
        return row.get("fields", {}).get(name)
    if name in COMPUTED:
        return column_text(name, row, view)
    return row.get(name)


def print_records(rows: Sequence[Json], view: View) -> None:
    """Print a table of records."""
    print_rows(WIDE, NARROW, rows, view, _cell)


def print_rows(
    wide: Sequence[str],
    narrow: Sequence[str],
    rows: Sequence[Json],
    view: View,
    cell: Callable[[str, Json, View], Text | str],
) -> None:
    """Print a table. Columns that the reader named are shown in full, however narrow the terminal.

    Args:
        wide: Columns for a wide terminal.
        narrow: Columns for other terminals.
        rows: At least one.
        view: May name other columns.
        cell: Returns the text of one cell.
    """
    names = view.columns(wide, narrow)
    columns = [Column(_title(name, view), name in _NUMBERS, name in _WRAPPED) for name in names]
    cells = [[cell(name, row, view) for name in names] for row in rows]
    print_table(columns, cells, is_plain=bool(view.fields))


def _title(name: str, view: View) -> str:
    title = visible_line(_TITLES.get(name, name))
    if name in _TIMES:
        return f"{title} {zone_name(view.zone)}"
    return title


def line_of(row: Json, view: View, out: "Console") -> str:
    """Return a record as one line, coloured on a terminal."""
    names = view.columns(WIDE, NARROW)
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


def _cell(name: str, row: Json, view: View) -> Text:
    if name in _STYLED:
        style = _STYLES.get(row.get("level") or "", "")
    else:
        style = ""
    return Text(visible_line(column_text(name, row, view)), style=style)


def column_text(name: str, row: Json, view: View) -> str:
    """Return the text of a column, as a table shows it."""
    if name in _COLUMN_TEXTS:
        return _COLUMN_TEXTS[name](row)
    if name in _TIMES:
        moment = row.get("started_at")
        if not moment:
            return "-"
        shown = datetime.fromisoformat(moment).astimezone(view.zone)
        return shown.strftime(_TIMES[name])[:_TIME_CHARACTERS]
    if is_cell_field(name):
        return _cell_text(row.get("fields", {}).get(name))
    return plain(row.get(name))


def _result_text(row: Json, *, has_message: bool) -> str:
    if has_message:
        message = (row.get("data") or {}).get("error_message") or row.get("message")
    else:
        message = None
    outcome = row.get("outcome")
    result = reason_of(row.get("error_type"), outcome, row.get("status")) or outcome or ""
    if message:
        result += f": {message}"
    weight = row.get("weight") or 1
    if weight == 1:
        return result
    return f"{result} ×{weight:g}"


def _target_text(row: Json) -> str:
    if _is_event(row):
        return row.get("name") or "-"
    sign = _OUTGOING if _is_outgoing(row) else ""
    return sign + (target_of(row) or "-")


def _request_text(row: Json) -> str:
    if _is_event(row):
        return f"event {row.get('name')}"
    if _is_outgoing(row):
        asked = _target_text(row)
    else:
        asked = _path(row) or "-"
    return f"{row.get('method') or '-'} {asked}"


_COLUMN_TEXTS: Final[dict[str, Callable[[Json], str]]] = {
    "status": lambda row: str(row.get("status") or "-"),
    "code": lambda row: str(row.get("status") or "-"),
    "ms": lambda row: "-" if row.get("duration_us") is None else f"{row['duration_us'] / 1000:.1f}",
    "method": lambda row: "event" if _is_event(row) else row.get("method") or "-",
    "target": _target_text,
    "request": _request_text,
    "result": partial(_result_text, has_message=True),
    "reason": partial(_result_text, has_message=False),
    "half_id": lambda row: str(row["id"]).replace("-", "")[:_HALF_ID_CHARACTERS],
    "redactions": lambda row: described(row.get("redactions") or {}),
}
"""Columns whose text differs from their value."""


def _cell_text(cell: Json | None) -> str:
    """Return the text of a field of heads or bodies: its value, or in brackets why it has none."""
    if cell is None:
        return ""
    if cell["state"] == "known":
        return str(cell["value"])
    return _WHY[cell["state"]]


def _is_event(row: Json) -> bool:
    return row.get("kind") == "event"


def _is_outgoing(row: Json) -> bool:
    return row.get("direction") == "out"


def target_of(row: Json) -> str:
    """Return the target: host, path and query, and the operation that they do not show."""
    host = row.get("host") or ""
    path = _path(row)
    if path.startswith("/"):
        return host + path
    # `*`, or the host again, of a CONNECT.
    return " ".join(dict.fromkeys(filter(None, (host, path))))


def _path(row: Json) -> str:
    """Return a path with its query and, as in endpoint names, the operation that the path does not
    show.
    """
    query = row.get("query")
    asked = (row.get("data") or {}).get("mcp") or {}
    operation = "/".join(filter(None, (asked.get("method"), asked.get("name"))))
    if not operation:
        # Of a GraphQL endpoint; in braces it stands for many.
        named = (row.get("endpoint") or "").partition("#")[2]
        operation = "" if named.startswith("{") else named
    return (
        (row.get("path") or "")
        + ("" if query is None else f"?{query}")
        + (operation and f"#{operation}")
    )


def plain(value: object) -> str:
    """Return a member of a record as text for a person; empty if unknown."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        if value:
            return "yes"
        return "no"

    return str(value)
