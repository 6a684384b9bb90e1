"""Requests API: `GET /api/clients/{clientId}/proxies/{proxyId}/requests[/{requestId}]`.

See `api/dialects/README.md`. A proxy is a route, and has the route's id. Rows are made in
`client_rows.py`; this module converts parameters to a query. Rows are ordered by id, that is by
receipt; those in flight appear at their time of receipt, with `processed: false`. `cursor` and
`nextCursor` page by id, so a row keeps its position when its exchange ends.
"""

from typing import Final

from aiohttp import web
from msgspec import UNSET, UnsetType

from api.dialects.client_rows import ClientRequest, ClientRequestDetail, project_detail, project_row
from api.http.cursor import decode_received_cursor, encode_received_cursor
from api.http.errors import ErrorFormat, Refused
from api.http.paging import read_whole_page
from api.http.params import Query, read_clamped, read_text
from api.http.responses import ApiObject, encode_rows, json_response
from api.http.times import read_time_us
from api.native.find import find_in, payload_of
from api.native.records import select_in_flight
from api.services import Services, services_of
from storage.query import CountQuery, Filter, RecordQuery
from storage.record import Entry, Payload
from storage.relational.blocks.portions import body_bytes, portions
from storage.relational.by_id import id_number
from storage.search.expression import fields

DEFAULT_LIMIT: Final = 1000
MAX_LIMIT: Final = 1000
_SLICE_RECORDS: Final = 32
"""Records with payloads in memory at once; fewer if they are large."""
_MESSAGE: Final = "Success"


class ClientRequestPage(ApiObject):
    message: str
    totalRequests: int
    limitReached: bool
    requests: list[ClientRequest]
    nextCursor: str | UnsetType = UNSET


class ClientRequestDetails(ApiObject):
    message: str
    requests: list[ClientRequestDetail]


class ClientError(ApiObject):
    message: str


ERRORS: Final = ErrorFormat(
    body=lambda refused: ClientError(refused.detail), schema=ClientError, hides_what_is_foreign=True
)


def read_filter(query: Query, client: str, proxy: str) -> Filter:
    """Read the filters. Both times are exclusive, with the precision of a millisecond.

    Raises:
        BadParameter: a time that cannot be read.
    """
    after = read_text(query, "processedAfter")
    before = read_text(query, "processedBefore")
    return Filter(
        where=fields(client=(client,), route_id=(proxy,)),
        since_us=None if after is None else read_time_us("processedAfter", after) + 1000,
        until_us=None if before is None else read_time_us("processedBefore", before),
    )


async def list_requests(request: web.Request) -> web.Response:
    """List the requests of a proxy, newest first."""
    services = services_of(request)
    client = request.match_info["clientId"]
    proxy = request.match_info["proxyId"]
    filter = read_filter(request.query, client, proxy)
    limit = read_clamped(request.query, "limit", DEFAULT_LIMIT, MAX_LIMIT)
    cursor = read_text(request.query, "cursor")
    if cursor is None:
        after = None
    else:
        after = decode_received_cursor(cursor)
    rows, next_after = await _read_rows(services, filter, limit, after)
    if not rows and next_after is None:
        await _check_proxy(services, client, proxy)
    shown = ClientRequestPage(
        message=_MESSAGE,
        totalRequests=len(rows),
        limitReached=next_after is not None,
        requests=await _show(services, rows),
        nextCursor=encode_received_cursor(next_after)
        if next_after is not None and limit
        else UNSET,
    )
    return json_response(shown)


async def _read_rows(
    services: Services, filter: Filter, limit: int, after: int | None
) -> tuple[list[Entry], int | None]:
    """Read one page of stored requests and those in flight, by id.

    Returns:
        The rows, and the id after which the next page begins, None without a next page.
    """
    # Those in flight first: a request that ends meanwhile then appears in both, never in neither.
    running = [
        entry
        for entry in services.in_flight()
        if after is None or id_number(entry.record.id) < after
    ]
    flying = select_in_flight(filter, running, limit + 1)
    page = await read_whole_page(
        services.storage, RecordQuery(filter=filter, by="id", limit=max(limit, 1), after=after)
    )
    known = {record.id for record in page.records}
    # Requests received before the end of the store's page belong to the next one.
    if page.next_after is None:
        least = -1
    else:
        least = page.next_after
    rows = [Entry(record) for record in page.records]
    rows += [e for e in flying if e.record.id not in known and id_number(e.record.id) > least]
    rows.sort(key=lambda entry: entry.record.id, reverse=True)
    if len(rows) > limit:
        return rows[:limit], id_number(rows[max(limit, 1) - 1].record.id)

    return rows, page.next_after


async def _show(services: Services, rows: list[Entry]) -> list[ClientRequest]:
    """Convert rows with the headers of their requests, some at a time."""
    shown: list[ClientRequest] = []
    for part in portions(rows, _SLICE_RECORDS, lambda row: body_bytes(row.record)):
        payloads = await services.storage.payloads(
            [entry.record.seq for entry in part if entry.record.seq]
        )

        def project(entry: Entry, payloads: dict[int, Payload] = payloads) -> ClientRequest:
            payload = payloads.get(entry.record.seq, entry.payload)
            return project_row(entry.record, payload, services.retention_s)

        shown += await encode_rows(part, project)

    return shown


async def get_request(request: web.Request) -> web.Response:
    """Return one request with headers and bodies."""
    services = services_of(request)
    client, proxy, text = (
        request.match_info[name] for name in ("clientId", "proxyId", "requestId")
    )
    entry = await find_in(
        services, text, lambda r: (r.client, r.route_id, r.kind) == (client, proxy, "exchange")
    )
    if entry is None:
        raise Refused(404, f"request {text[:100]!r} not found")

    payload = await payload_of(services, entry)
    shown = project_detail(entry.record, payload, services.retention_s)
    return json_response(ClientRequestDetails(_MESSAGE, [shown]))


async def _check_proxy(services: Services, client: str, proxy: str) -> None:
    """Refuse a client or proxy that does not exist, neither in the configuration nor on any record.

    Raises:
        Refused: 404.
    """
    route = services.routes.get(proxy)
    if route is not None and route.client == client:
        return

    count = await services.storage.read(
        CountQuery(Filter(where=fields(client=(client,), route_id=(proxy,))))
    )
    if count.exchanges == 0:
        raise Refused(404, f"client {client[:100]!r} has no proxy {proxy[:100]!r}")
