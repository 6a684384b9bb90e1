"""Gateway requests, the request log of an LLM gateway: `GET /v1/requests`, newest first.

See `api/dialects/README.md`. Every proxied request is a row, ordered by id, that is by receipt.
Fields known only for LLM calls are null in other rows.
"""

from dataclasses import replace
from typing import Final

from aiohttp import web
from msgspec import UNSET, UnsetType

from api.http.errors import ErrorFormat, Refused
from api.http.paging import freeze_and_count, read_whole_page
from api.http.params import Query, read_bool, read_clamped, read_int, read_optional_int, read_text
from api.http.responses import ApiObject, encode_rows, filled, json_response, true_or_unset
from api.http.times import format_time
from api.services import services_of
from storage.query import CountQuery, Filter, RecordQuery
from storage.record import CROCKFORD, Record
from storage.search.expression import Has, both, fields
from storage.search.reason import reason_of

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 500

_ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    503: "overloaded_error",
}


class GatewayRow(ApiObject):
    id: str
    timestamp: str
    model: str | None
    provider: str | None
    status: int | None
    latency_ms: int
    input_tokens: int | None
    output_tokens: int | None
    project_id: str | None
    error: str | None
    resolved_model: str | UnsetType | None = UNSET
    """This member and the following ones are present for LLM calls only, and are not in the
    original API.
    """
    usage_state: str | UnsetType = UNSET
    cache_read_tokens: int | UnsetType | None = UNSET
    cache_write_tokens: int | UnsetType | None = UNSET
    reasoning_tokens: int | UnsetType | None = UNSET


_NO_USAGE: Final = dict.fromkeys(
    (
        "resolved_model",
        "usage_state",
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
    ),
    UNSET,
)


class GatewayPage(ApiObject):
    total: int
    limit: int
    offset: int
    data: list[GatewayRow]
    total_capped: bool | UnsetType = UNSET
    complete: bool | UnsetType = UNSET


class GatewayErrorBody(ApiObject):
    type: str
    message: str


class GatewayError(ApiObject):
    error: GatewayErrorBody


def error_body(refused: Refused) -> GatewayError:
    """Return an error in the form of LLM providers."""
    return GatewayError(
        GatewayErrorBody(_ERROR_TYPES.get(refused.status, "api_error"), refused.detail)
    )


ERRORS: Final = ErrorFormat(body=error_body, schema=GatewayError)


def format_request_id(raw: bytes) -> str:
    """Return a record id as `req_` and 26 lower-case Crockford base32 characters."""
    number = int.from_bytes(raw, "big")
    return "req_" + "".join(CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def project_row(record: Record) -> GatewayRow:
    """Return one exchange as a row of the request log."""
    return filled(
        GatewayRow,
        record,
        id=format_request_id(record.id),
        timestamp=format_time(record.started_at_us),
        latency_ms=record.duration_us // 1000,
        project_id=record.project,
        error=reason_of(record.error_type, record.outcome, record.status),
        **({} if record.usage_state is not None else _NO_USAGE),
    )


def read_query(query: Query) -> tuple[RecordQuery, int | None]:
    """Read a page request, and the fixed end of the log if one is given.

    Raises:
        BadParameter: a number that cannot be read.
    """
    max_seq = read_optional_int(query, "max_seq")
    project = read_text(query, "project_id")
    if read_bool(query, "llm_only"):
        is_llm = Has("provider")
    else:
        is_llm = None
    return RecordQuery(
        filter=Filter(where=both(None if project is None else fields(project=(project,)), is_llm)),
        by="id",
        limit=read_clamped(query, "limit", DEFAULT_LIMIT, MAX_LIMIT),
        offset=read_int(query, "offset", 0),
    ), max_seq


async def list_requests(request: web.Request) -> web.Response:
    """List requests, newest first, and count those that match."""
    services = services_of(request)
    query, max_seq = read_query(request.query)
    frozen, count = await freeze_and_count(services.storage, query.filter, max_seq, CountQuery)
    bounded = replace(query, filter=frozen.filter, offset=min(query.offset, frozen.max_seq))
    page = await read_whole_page(services.storage, bounded)
    shown = GatewayPage(
        total=count.exchanges,
        limit=query.limit,
        offset=query.offset,
        data=await encode_rows(page.records, project_row),
        total_capped=true_or_unset(not count.exact),
        complete=UNSET if page.complete or len(page.records) == query.limit else False,
    )
    return json_response(shown, headers={"X-Max-Seq": str(frozen.max_seq)})
