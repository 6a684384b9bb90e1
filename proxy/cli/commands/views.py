"""`sidelog view list`, and searches that start from a view.

Options override the period, order and columns of the view. A record must match both searches.
"""

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any, Final

import click

from proxy.cli.command import Group, json_option, reader_options
from proxy.cli.commands.client import Client, Filters
from proxy.cli.commands.listing import COMPUTED
from proxy.cli.commands.output import (
    CommandError,
    Json,
    Result,
    columns_of,
    list_result,
    print_table,
)
from proxy.cli.commands.zone import with_offsets
from storage.search.cell import is_cell_field

_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "started": ("time",),
    "path": ("target",),
    "what": ("outcome",),
    "route": ("route_id",),
    "key": ("key_name",),
    "size": ("response_bytes",),
    "duration": ("ms",),
    "tokens": ("input_tokens", "output_tokens"),
    "phases": (),
}
"""Columns of the web UI → columns here."""


@click.group(cls=Group)
def view() -> None:
    """Saved searches."""


@view.command("list")
@reader_options
@json_option
def list_views(client: Client) -> Result:
    """List the views.

    Example: sidelog view list
    """
    return list_result(client.get_json("/api/views")["views"], "views", _print_table)


def begun_with(
    client: Client, name: str, filters: Filters, zone: tzinfo | None
) -> tuple[Json, Filters]:
    """Return a view, and the given filters merged over its own.

    Raises:
        CommandError: there is no view with this name.
    """
    for each in client.get_json("/api/views")["views"]:
        if each["name"] == name:
            return each, with_offsets(applied(each, filters), zone)
    raise CommandError(f"there is no view {name!r}; `sidelog view list` shows them")


def applied(found: Json, filters: Filters) -> dict[str, str | list[str]]:
    """Apply the given options over those of a view."""
    both = [text for text in (found["query"], filters.get("query", "")) if text]
    merged: dict[str, str | list[str]] = {
        name: found[name] for name in ("since", "until") if found[name]
    }
    if "since" in filters or "until" in filters:
        merged = {}
    merged |= filters
    if both:
        merged["query"] = str(both[0]) if len(both) == 1 else " ".join(f"({text})" for text in both)
    return merged


def fields_of(found: Json) -> str | None:
    """Return the columns of a view under their names on the command line, comma-separated; None
    without any. Unknown ones are left out.
    """
    from storage.record import Record

    known = (*COMPUTED, *Record.__struct_fields__)
    named = [name for column in found["columns"] for name in _COLUMNS.get(column, (column,))]
    return ",".join(name for name in named if name in known or is_cell_field(name)) or None


def _print_table(views: list[dict[str, Any]]) -> None:
    rows = [
        (
            each["name"],
            each["query"],
            each["since"],
            each["until"],
            each["group_by"],
            ", ".join(each["columns"]),
        )
        for each in views
    ]
    print_table(columns_of("name", "search", "since", "until", "by", "columns"), rows)
