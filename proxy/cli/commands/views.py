"""`sidelog view`: searches with a name, kept by a running sidelog; and a search that a view begins
with.

What is given beside the view's name wins over what it says of period, order and columns; searches
must both hold.
"""

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any, Final
from urllib.parse import quote

import click

from proxy.cli.command import Group
from proxy.cli.commands.client import Client, Filters
from proxy.cli.commands.listing import COMPUTED, read_fields
from proxy.cli.commands.output import CommandError, print_table, report, report_list, say, say_json
from proxy.cli.commands.zone import with_offsets
from proxy.cli.completion import complete_view
from proxy.cli.options import (
    argument,
    client_options,
    fields_option,
    json_option,
    order_option,
    reader_options,
    search_options,
)
from proxy.process.terminal import visible
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


_view_argument: Final = argument("name", "Name of a view.", shell_complete=complete_view)


@click.group(cls=Group)
def view() -> None:
    """Saved searches."""


@view.command("list")
@json_option
@reader_options
def list_views(client: Client, as_json: bool) -> int:
    """List the views.

    Example: sidelog view list
    """
    return report_list(
        client.get_json("/api/views")["views"], "views", _print_table, as_json=as_json
    )


@view.command()
@argument("name", "Name of the view; an existing one is replaced.")
@fields_option
@order_option
@click.option("--by", metavar="FIELD", help="Group by this field, as `sidelog top` does.")
@search_options
@json_option
@client_options
def save(
    client: Client,
    filters: Filters,
    zone: tzinfo | None,
    name: str,
    fields: str | None,
    order: str | None,
    by: str | None,
    as_json: bool,
) -> int:
    """Save a search under a name, with its columns, period and order.

    Example: sidelog view save "slow tenants" 'status:5xx duration:>1s' --since 24h
    --fields time,code,header.x-tenant
    """
    return _put(client, members(name, filters, fields, order, by), as_json=as_json)


@view.command()
@_view_argument
@json_option
@reader_options
def show(client: Client, name: str, as_json: bool) -> int:
    """Show a view.

    Example: sidelog view show "slow tenants" --json
    """
    found = find(client, name)
    if as_json:
        say_json(found)
        return 0

    for member, value in found.items():
        text = ", ".join(value) if isinstance(value, list) else value
        if text:
            say(f"{member:12} {visible(text)}")

    return 0


@view.command()
@_view_argument
@argument("new_name", "New name of the view.", metavar="NEW-NAME")
@json_option
@client_options
def rename(client: Client, name: str, new_name: str, as_json: bool) -> int:
    """Rename a view.

    Example: sidelog view rename "slow tenants" slow
    """
    found = {each: value for each, value in find(client, name).items() if each != "changed_at"}
    return _put(client, found | {"name": new_name, "replaces": name}, as_json=as_json)


def _put(client: Client, content: Mapping[str, object], *, as_json: bool) -> int:
    saved = client.send_json("PUT", "/api/views", content)
    return report(saved, f"saved view {visible(saved['name'])}", as_json=as_json)


@view.command()
@_view_argument
@json_option
@client_options
def delete(client: Client, name: str, as_json: bool) -> int:
    """Delete a view.

    Example: sidelog view delete slow
    """
    client.send_json("DELETE", f"/api/views/{quote(name, safe='')}")
    return report({"deleted": name}, f"deleted view {visible(name)}", as_json=as_json)


def find(client: Client, name: str) -> dict[str, Any]:
    """Find a view by its name.

    Raises:
        CommandError: there is none.
    """
    there: list[dict[str, Any]] = client.get_json("/api/views")["views"]
    for each in there:
        if each["name"] == name:
            return each
    raise CommandError(f"there is no view {name!r}; `sidelog view list` shows them")


def members(
    name: str,
    filters: Filters,
    fields: str | None,
    order: str | None,
    by: str | None,
) -> dict[str, object]:
    """Return the members of the API's request.

    Raises:
        CommandError: a filter that is no part of a search.
    """
    others = [filter for filter in filters if filter not in ("query", "since", "until")]
    if others:
        option = others[0].replace("_", "-")
        raise CommandError(
            f"--{option} is not part of a view; write it into the search: '{others[0]}:…'",
            exit_code=2,
        )

    columns = list(read_fields(fields))
    return {"name": name, "columns": columns, "order": order or "desc", "group_by": by, **filters}


def begun_with(
    client: Client, name: str, filters: Filters, zone: tzinfo | None
) -> tuple[dict[str, Any], Filters]:
    """Find a view; return it, and the given filters over its own."""
    found = find(client, name)
    return found, with_offsets(applied(found, filters), zone)


def applied(found: Mapping[str, Any], filters: Filters) -> dict[str, str | list[str]]:
    """Put the given options over those of a view."""
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


def fields_of(found: Mapping[str, Any]) -> str | None:
    """Name the columns of a view as the command line does, with commas; None without any. Others
    are left out.
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
    print_table(("name", "search", "since", "until", "by", "columns"), rows)
