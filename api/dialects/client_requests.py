"""Requests API: `GET /api/clients/{clientId}/proxies/{proxyId}/requests[/{requestId}]`, see `api/dialects/README.md`.

A proxy is a route, its id the route's. The projections are in `client_rows.py`; here parameters become a query. Rows
are ordered by id, that is by receipt; those in flight stand where they were received, `processed: false`. `cursor` and
`nextCursor` page by id: a row keeps its place when its exchange ends.
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
from api.native.records import select_in_flight
from api.services import RouteInfo, Services, services_of
from storage.query import Filter, RecordQuery
from storage.record import Payload, Record, parse_id
from storage.relational.by_id import id_number

DEFAULT_LIMIT: Final = 1000
MAX_LIMIT: Final = 1000
_SLICE_RECORDS: Final = 32
"""Records whose payloads are in memory at once."""
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
    """Read the filters; both times are exclusive, at the millisecond that is shown.

    Raises:
        BadParameter: a time that is none.
    """
    after, before = read_text(query, "processedAfter"), read_text(query, "processedBefore")
    return Filter(
        clients=(client,),
        routes=(proxy,),
        since_us=None if after is None else read_time_us("processedAfter", after) + 1000,
        until_us=None if before is None else read_time_us("processedBefore", before),
    )


async def list_requests(request: web.Request) -> web.Response:
    """List the requests of a proxy, newest first."""
    services = services_of(request)
    client, proxy = request.match_info["clientId"], request.match_info["proxyId"]
    filter = read_filter(request.query, client, proxy)
    limit = read_clamped(request.query, "limit", DEFAULT_LIMIT, MAX_LIMIT)
    cursor = read_text(request.query, "cursor")
    after = None if cursor is None else decode_received_cursor(cursor)
    rows, next_after = await _read_rows(services, filter, limit, after)
    if not rows and next_after is None:
        await _check_proxy(services, client, proxy)
    shown = ClientRequestPage(
        message=_MESSAGE,
        totalRequests=len(rows),
        limitReached=next_after is not None,
        requests=await _show(services, rows, services.routes.get(proxy, RouteInfo())),
        nextCursor=encode_received_cursor(next_after) if next_after is not None and limit else UNSET,
    )
    return json_response(shown)


async def _read_rows(
    services: Services, filter: Filter, limit: int, after: int | None
) -> tuple[list[Record], int | None]:
    """Read one page of stored requests and those in flight, by id; and behind which id the next page begins, if any."""
    # Those in flight first: what ends meanwhile is then in both, and not in neither.
    running = [record for record in services.in_flight() if after is None or id_number(record.id) < after]
    flying = select_in_flight(filter, running, limit + 1)
    page = await read_whole_page(
        services.storage, RecordQuery(filter=filter, by="id", limit=max(limit, 1), after=after)
    )
    known = {record.id for record in page.records}
    # What was received before the end of the store's page is for the next one.
    least = -1 if page.next_after is None else page.next_after
    rows = page.records + [r for r in flying if r.id not in known and id_number(r.id) > least]
    rows.sort(key=lambda record: record.id, reverse=True)
    if len(rows) > limit:
        return rows[:limit], id_number(rows[max(limit, 1) - 1].id)
    return rows, page.next_after


async def _show(services: Services, rows: list[Record], route: RouteInfo) -> list[ClientRequest]:
    """Project rows with the headers of their requests, some at a time."""
    shown: list[ClientRequest] = []
    for first in range(0, len(rows), _SLICE_RECORDS):
        part = rows[first : first + _SLICE_RECORDS]
        payloads = await services.storage.payloads([record.seq for record in part if record.seq])

        def project(record: Record, payloads: dict[int, Payload] = payloads) -> ClientRequest:
            return project_row(record, payloads.get(record.seq), route.location, services.retention_s)

        shown += await encode_rows(part, project)
    return shown


async def get_request(request: web.Request) -> web.Response:
    """Return one request with headers and bodies."""
    services = services_of(request)
    client, proxy = request.match_info["clientId"], request.match_info["proxyId"]
    record = await _find(services, Filter(clients=(client,), routes=(proxy,)), request.match_info["requestId"])
    payloads = await services.storage.payloads([record.seq]) if record.seq else {}
    route = services.routes.get(proxy, RouteInfo())
    shown = project_detail(record, payloads.get(record.seq), route.location, services.retention_s)
    return json_response(ClientRequestDetails(_MESSAGE, [shown]))


async def _find(services: Services, filter: Filter, text: str) -> Record:
    """Look a request up by its id.

    Raises:
        Refused: 404, the client and proxy of the path have none of that id.
    """
    record_id = parse_id(text)
    if record_id is not None:
        flying = [record for record in services.in_flight() if record.id == record_id]
        record = await services.storage.get(record_id)
        for found in [*([] if record is None else [record]), *flying]:
            if found.client in filter.clients and found.route_id in filter.routes and found.kind == "exchange":
                return found
    raise Refused(404, f"request {text[:100]!r} not found")


async def _check_proxy(services: Services, client: str, proxy: str) -> None:
    """Tell an empty list from a client or proxy that does not exist: neither configured nor on any record.

    Raises:
        Refused: 404.
    """
    route = services.routes.get(proxy)
    if route is not None and route.client == client:
        return
    count = await services.storage.count(Filter(clients=(client,), routes=(proxy,)))
    if count.exchanges == 0:
        raise Refused(404, f"client {client[:100]!r} has no proxy {proxy[:100]!r}")
