"""`sidelog view`: searches with a name, kept by a running sidelog; and a search that a view begins
with.

What is given beside the view's name wins over what it says of period, order and columns; searches
must both hold.
"""

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any, Final
from urllib.parse import quote

from proxy.cli.commands.client import Client, Filters
from proxy.cli.commands.listing import COMPUTED, read_fields
from proxy.cli.commands.output import CommandError, print_table, report, report_list, say, say_json
from proxy.cli.commands.zone import with_offsets, zone_of
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


def list_views(client: Client, *, as_json: bool) -> int:
    """Print all views, by name."""
    return report_list(
        client.get_json("/api/views")["views"], "views", _print_table, as_json=as_json
    )


def show(client: Client, name: str, *, as_json: bool) -> int:
    """Print one view: its members that say something."""
    view = find(client, name)
    if as_json:
        say_json(view)
        return 0

    for member, value in view.items():
        text = ", ".join(value) if isinstance(value, list) else value
        if text:
            say(f"{member:12} {visible(text)}")

    return 0


def save(
    client: Client,
    filters: Filters,
    zone: tzinfo | None,
    *,
    name: str,
    fields: str | None,
    order: str | None,
    by: str | None,
    as_json: bool,
) -> int:
    """Save a view, in the place of one of the same name."""
    return _put(
        client, members(name, filters, fields, order, by, is_utc=zone is not None), as_json=as_json
    )


def rename(client: Client, name: str, new_name: str, *, as_json: bool) -> int:
    """Give a view another name."""
    view = {member: value for member, value in find(client, name).items() if member != "changed_at"}
    return _put(client, view | {"name": new_name, "replaces": name}, as_json=as_json)


def _put(client: Client, view: Mapping[str, object], *, as_json: bool) -> int:
    saved = client.send_json("PUT", "/api/views", view)
    return report(saved, f"saved view {visible(saved['name'])}", as_json=as_json)


def delete(client: Client, name: str, *, as_json: bool) -> int:
    """Delete a view."""
    client.send_json("DELETE", f"/api/views/{quote(name, safe='')}")
    return report({"deleted": name}, f"deleted view {visible(name)}", as_json=as_json)


def find(client: Client, name: str) -> dict[str, Any]:
    """Find a view by its name.

    Raises:
        CommandError: there is none.
    """
    views: list[dict[str, Any]] = client.get_json("/api/views")["views"]
    for view in views:
        if view["name"] == name:
            return view
    raise CommandError(f"there is no view {name!r}; `sidelog view list` shows them")


def members(
    name: str,
    filters: Filters,
    fields: str | None,
    order: str | None,
    by: str | None,
    *,
    is_utc: bool,
) -> dict[str, object]:
    """Return the members of the API's request; times get the zone's offset.

    Raises:
        CommandError: a filter that is no part of a search.
    """
    given = with_offsets(filters, zone_of(is_utc))
    others = [filter for filter in given if filter not in ("query", "since", "until")]
    if others:
        option = others[0].replace("_", "-")
        raise CommandError(
            f"--{option} is not part of a view; write it into the search: '{others[0]}:…'",
            exit_code=2,
        )

    columns = list(read_fields(fields))
    return {"name": name, "columns": columns, "order": order or "desc", "group_by": by, **given}


def applied(view: Mapping[str, Any], filters: Filters) -> dict[str, str | list[str]]:
    """Put the given options over those of a view."""
    both = [text for text in (view["query"], filters.get("query", "")) if text]
    merged: dict[str, str | list[str]] = {
        name: view[name] for name in ("since", "until") if view[name]
    }
    if "since" in filters or "until" in filters:
        merged = {}
    merged |= filters
    if both:
        merged["query"] = str(both[0]) if len(both) == 1 else " ".join(f"({text})" for text in both)
    return merged


def fields_of(view: Mapping[str, Any]) -> str | None:
    """Name the columns of a view as the command line does, with commas; None without any. Others
    are left out.
    """
    from storage.record import Record

    known = (*COMPUTED, *Record.__struct_fields__)
    named = [name for column in view["columns"] for name in _COLUMNS.get(column, (column,))]
    return ",".join(name for name in named if name in known or is_cell_field(name)) or None


def _print_table(views: list[dict[str, Any]]) -> None:
    rows = [
        (
            view["name"],
            view["query"],
            view["since"],
            view["until"],
            view["group_by"],
            ", ".join(view["columns"]),
        )
        for view in views
    ]
    print_table(("name", "search", "since", "until", "by", "columns"), rows)
