"""Views: searches with a name, with their columns, period, order and grouping. A view is a
question, never an answer.

A caller sees, saves and deletes the views of exactly its own scope: a token of one project those of
that project, one that sees everything those that were saved by such. Readers may save, too: a view
changes no record, and each caller's own scope applies when it is opened. Both their number and
their size are bounded.
"""

import re
from typing import Annotated, Final, Literal

import msgspec
from aiohttp import web

from api.http.errors import BadParameter, Refused
from api.http.params import read_json_body, read_search
from api.http.responses import ApiObject, filled, json_response
from api.http.times import format_time, read_moment_us
from api.native.fields import CELL_FIELD
from api.native.groups.words import GROUPS, OTHER_NAMES, read_group
from api.native.keys import CONTROL, PRINTABLE, described
from api.services import services_of
from storage.search.cell import is_cell_field
from storage.search.language.parser import MAX_CHARACTERS
from storage.search.view import MAX_VIEW_BYTES, MAX_VIEWS, View

MAX_NAME_CHARACTERS: Final = 100
MAX_COLUMNS: Final = 30
_COLUMN: Final = re.compile(r"[a-z][a-z_]{0,39}", re.ASCII)

Name = Annotated[str, described(minLength=1, maxLength=MAX_NAME_CHARACTERS, pattern=PRINTABLE)]
Column = Annotated[str, described(pattern=f"^({_COLUMN.pattern}|{CELL_FIELD})$")]
Columns = Annotated[list[Column], described(maxItems=MAX_COLUMNS)]
Moment = Annotated[
    str,
    described(
        anyOf=[{"format": "date-time"}, {"format": "date"}, {"pattern": "^[0-9]{1,10}[smhdw]$"}]
    ),
]
Field = Annotated[
    str, described(anyOf=[{"enum": [*GROUPS, *OTHER_NAMES]}, {"pattern": f"^{CELL_FIELD}$"}])
]


class ViewGiven(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A view to be saved, in the place of one of the same name, or of the one that it `replaces`."""

    name: Name
    query: Annotated[str, described(maxLength=MAX_CHARACTERS)] = ""
    columns: Columns = []
    since: Moment | None = None
    until: Moment | None = None
    order: Literal["desc", "asc"] = "desc"
    group_by: Field | None = None
    replaces: str | None = None


class ViewShown(ApiObject):
    """`since` and `until` are ages or times, as they were given; null says nothing of the period."""

    name: str
    query: str
    columns: tuple[str, ...]
    since: str | None
    until: str | None
    order: Literal["desc", "asc"]
    group_by: str | None
    changed_at: str


class ViewList(ApiObject):
    views: list[ViewShown]


_decoder: Final = msgspec.json.Decoder(ViewGiven)


async def list_views(request: web.Request) -> web.Response:
    """List the views of the caller's scope, by name."""
    return json_response(
        ViewList([_shown(view) for view in await services_of(request).storage.views("")])
    )


async def put_view(request: web.Request) -> web.Response:
    """Save a view in the caller's scope, in the place of one of the same name, or of the one that
    it replaces.
    """
    services = services_of(request)
    view, replaced = read_view(await request.read(), services.now_us())
    match await services.storage.put_view("", view, replaced):
        case "full":
            raise Refused(
                409, f"there are {MAX_VIEWS} views, the limit is {MAX_VIEWS}; delete one first"
            )
        case "taken":
            raise Refused(409, f"there is a view {view.name!r} already")
        case "missing":
            raise _unknown(replaced or "")
        case "stored":
            return json_response(_shown(view))


async def delete_view(request: web.Request) -> web.Response:
    """Delete a view of the caller's scope."""
    name = request.match_info["view"]
    if not await services_of(request).storage.delete_view("", name):
        raise _unknown(name)
    return web.Response(status=204)


def read_view(raw: bytes, now_us: int) -> tuple[View, str | None]:
    """Read the JSON body of a request: the view, and the name of the one that it replaces.

    Raises:
        BadParameter: a member has a value it cannot have.
        BadSearch: its search cannot be read.
        Refused: 400, it is no object of these members.
    """
    given = read_json_body(_decoder, raw, "the view")
    _check(given, now_us)
    view = View(
        name=given.name.strip(),
        query=given.query,
        columns=tuple(dict.fromkeys(given.columns)),
        since=given.since,
        until=given.until,
        order=given.order,
        group_by=None if given.group_by is None else read_group("group_by", given.group_by),
        changed_at_us=now_us,
    )
    size = len(msgspec.json.encode(view))
    if size > MAX_VIEW_BYTES:
        raise Refused(400, f"the view has {size} bytes, the limit is {MAX_VIEW_BYTES}")

    return view, given.replaces


def _check(given: ViewGiven, now_us: int) -> None:
    # A browser takes the names of folders out of an address: these two would have none of their
    # own.
    is_named = given.name.strip() not in ("", ".", "..") and not CONTROL.search(given.name)
    if not is_named or len(given.name) > MAX_NAME_CHARACTERS:
        limit = (
            f"a text of 1 to {MAX_NAME_CHARACTERS} characters without control characters, and not "
            ". or .."
        )
        raise BadParameter("name", given.name, limit)
    if len(given.query) > MAX_CHARACTERS:
        raise BadParameter("query", given.query, f"at most {MAX_CHARACTERS} characters")

    read_search(given.query, now_us)
    if len(given.columns) > MAX_COLUMNS:
        raise BadParameter(
            "columns", f"{len(given.columns)} columns", f"at most {MAX_COLUMNS} columns"
        )

    for column in given.columns:
        if not _COLUMN.fullmatch(column) and not is_cell_field(column):
            raise BadParameter(
                "columns", column, "a column, or a field such as header.x-tenant or body.user.id"
            )

    for name in ("since", "until"):
        if (text := getattr(given, name)) is not None:
            read_moment_us(name, text, now_us)


def _shown(view: View) -> ViewShown:
    return filled(ViewShown, view, changed_at=format_time(view.changed_at_us))


def _unknown(name: str) -> Refused:
    return Refused(404, f"there is no view {name[:100]!r}")
