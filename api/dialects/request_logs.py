"""Request logs: `GET /api/request-logs`, calls to routes that require an API key, newest first.

See `api/dialects/README.md`. The window is fixed: 30 days, or less if retention keeps less.
`cursor` pages by `seq`.
"""

from dataclasses import replace
from typing import Final, Literal, cast

from aiohttp import web
from msgspec import UNSET, UnsetType

from api.http.cursor import cursor_after, read_cursor
from api.http.errors import BadParameter
from api.http.paging import read_whole_page
from api.http.params import Query, read_clamped, read_text
from api.http.responses import ApiObject, encode_rows, json_response, true_or_unset
from api.http.times import format_time
from api.native.tool_calls import KeyShown
from api.services import services_of
from storage.base import Storage
from storage.keys import MAX_KEYS, ApiKey
from storage.query import Count, CountQuery, FacetQuery, Filter, RecordQuery
from storage.record import Record
from storage.search.expression import Has, both, fields, status_among
from storage.search.language.terms import path_contains

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
WINDOW_US: Final = 30 * 86_400 * 1_000_000
_STATUSES: Final[dict[str, tuple[int, ...]]] = {
    "all": (),
    "2xx": (2,),
    "3xx": (3,),
    "4xx": (4,),
    "5xx": (5,),
}


ErrorCode = Literal[
    "missing_token", "invalid_token", "disabled", "expired", "scope_denied", "agent_denied"
]


class RequestLog(ApiObject):
    time: str
    api_key: KeyShown | None
    endpoint: str | None
    method: str | None
    status: int | None
    error_code: ErrorCode | None
    latency_ms: int


class KeyChoice(KeyShown):
    """A key to filter by."""

    deleted: bool


class RequestLogPage(ApiObject):
    logs: list[RequestLog]
    keys: list[KeyChoice]
    total: int
    next_cursor: str | None
    total_capped: bool | UnsetType = UNSET


def project_row(record: Record) -> RequestLog:
    """Return one call as a row of the page. Key name and last characters are those at the time of
    the call.
    """
    return RequestLog(
        time=format_time(record.started_at_us),
        api_key=None
        if record.key_id is None
        else KeyShown(record.key_id, record.key_name, record.key_last4),
        endpoint=record.path,
        method=record.method,
        status=record.status,
        error_code=cast(ErrorCode | None, record.auth_code),
        latency_ms=record.duration_us // 1000,
    )


def project_keys(keys: list[ApiKey], with_rows: frozenset[str]) -> list[KeyChoice]:
    """Return the keys to choose from: existing ones, and deleted ones that still have rows."""
    return [
        KeyChoice(key.id, key.name, key.last4, key.deleted_at_us is not None)
        for key in keys
        if key.deleted_at_us is None or key.id in with_rows
    ]


def read_query(query: Query, now_us: int) -> RecordQuery:
    """Read a page request.

    Raises:
        BadParameter: an invalid limit, an unknown status, or a cursor that was not made here.
    """
    status = (query.get("status") or "all").lower()
    if status not in _STATUSES:
        raise BadParameter("status", status, "one of " + ", ".join(_STATUSES))

    key = read_text(query, "key")
    endpoint = read_text(query, "endpoint")
    where = both(
        Has("keyed"),
        status_among((), _STATUSES[status]),
        None if key is None else fields(key_id=(key,)),
        None if endpoint is None else path_contains(endpoint),
    )
    filter = Filter(since_us=max(0, now_us - WINDOW_US), where=where)
    after = read_cursor(query.get("cursor"), "desc")
    return RecordQuery(
        filter=filter, limit=read_clamped(query, "limit", DEFAULT_LIMIT, MAX_LIMIT), after=after
    )


async def list_requests(request: web.Request) -> web.Response:
    """Return a page of logged calls, newest first, the number of calls that match, and the keys by
    which a client can filter.
    """
    services = services_of(request)
    query = read_query(request.query, services.now_us())
    page = await read_whole_page(services.storage, query)
    count = await count_rows(services.storage, query.filter)
    found = await services.storage.read(FacetQuery(Filter(), ("key",), limit=MAX_KEYS))
    with_rows = frozenset(value.value for value in found["key"])
    shown = RequestLogPage(
        logs=await encode_rows(page.records, project_row),
        keys=project_keys(await services.storage.keys(), with_rows),
        total=count.exchanges,
        next_cursor=cursor_after("desc", page.next_after),
        total_capped=true_or_unset(not count.exact),
    )
    return json_response(shown)


async def count_rows(storage: Storage, filter: Filter) -> Count:
    """Return the number of a filter's rows.

    A window that covers the whole log is removed, so that rollups can answer.
    """
    oldest = await storage.read(RecordQuery(filter=Filter(kind="all"), order="asc", limit=1))
    since_us = filter.since_us
    if since_us is not None and all(record.started_at_us >= since_us for record in oldest.records):
        earlier = await storage.read(
            RecordQuery(filter=Filter(kind="all", until_us=since_us), limit=1)
        )
        if earlier.complete and not earlier.records:
            filter = replace(filter, since_us=None)

    return await storage.read(CountQuery(filter))
