"""Seed 004, the Requests API: `GET /api/clients/{clientId}/proxies/{proxyId}/requests[/{requestId}]`.

A proxy is a route, its id the route's. The projections are in `client_rows.py`; here parameters become a query and
answers are put together. Rows are ordered by id, that is by receipt; those in flight stand where they were received,
`processed: false`. The extension `cursor` / `nextCursor` pages by id: a row keeps its place when its exchange ends.
"""

from typing import Final

from aiohttp import web

from api.dialects.client_rows import project_detail, project_row
from api.http.answers import encode_rows, json_answer
from api.http.cursor import decode_received_cursor, encode_received_cursor
from api.http.errors import Refused, Shape
from api.http.paging import read_whole_page
from api.http.params import Query, read_clamped, read_text
from api.http.times import read_time_us
from api.native.in_flight import select_in_flight
from api.services import RouteInfo, Services, services_of
from storage.query import Filter, RecordQuery
from storage.record import Payload, Record, parse_id
from storage.relational.by_id import id_number

DEFAULT_LIMIT: Final = 1000
MAX_LIMIT: Final = 1000
_SLICE_RECORDS: Final = 32
"""Records whose payloads are in memory at once."""
_MESSAGE: Final = "Success"

SHAPE: Final = Shape(body=lambda refused: {"message": refused.detail}, hides_what_is_foreign=True)


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
    """Answer the newest requests of a proxy."""
    services = services_of(request)
    client, proxy = request.match_info["clientId"], request.match_info["proxyId"]
    filter = read_filter(request.query, client, proxy)
    limit = read_clamped(request.query, "limit", DEFAULT_LIMIT, MAX_LIMIT)
    cursor = read_text(request.query, "cursor")
    after = None if cursor is None else decode_received_cursor(cursor)
    rows, next_after = await _read_rows(services, filter, limit, after)
    if not rows and next_after is None:
        await _check_proxy(services, client, proxy)
    answer: dict[str, object] = {
        "message": _MESSAGE,
        "totalRequests": len(rows),
        "limitReached": next_after is not None,
        "requests": await _show(services, rows, services.routes.get(proxy, RouteInfo())),
    }
    if next_after is not None and limit:
        answer["nextCursor"] = encode_received_cursor(next_after)
    return json_answer(answer)


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


async def _show(services: Services, rows: list[Record], route: RouteInfo) -> list[object]:
    """Project rows with the headers of their requests, some at a time."""
    shown: list[object] = []
    for first in range(0, len(rows), _SLICE_RECORDS):
        part = rows[first : first + _SLICE_RECORDS]
        payloads = await services.storage.payloads([record.seq for record in part if record.seq])

        def project(record: Record, payloads: dict[int, Payload] = payloads) -> object:
            return project_row(record, payloads.get(record.seq), route.location, services.retention_s)

        shown += await encode_rows(part, project)
    return shown


async def get_request(request: web.Request) -> web.Response:
    """Answer one request with headers and bodies."""
    services = services_of(request)
    client, proxy = request.match_info["clientId"], request.match_info["proxyId"]
    record = await _find(services, Filter(clients=(client,), routes=(proxy,)), request.match_info["requestId"])
    payloads = await services.storage.payloads([record.seq]) if record.seq else {}
    route = services.routes.get(proxy, RouteInfo())
    shown = project_detail(record, payloads.get(record.seq), route.location, services.retention_s)
    return json_answer({"message": _MESSAGE, "requests": [shown]})


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
