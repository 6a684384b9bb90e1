"""Seed 004, the Requests API: `GET /api/clients/{clientId}/proxies/{proxyId}/requests[/{requestId}]`.

A proxy is a route, its id the route's. The projections are in `client_rows.py`; here parameters become a query and
answers are put together. Exchanges in flight stand on the first page, `processed: false`. The extension `cursor` /
`nextCursor` pages by `seq`; the rows of one page are ordered by id, that is by receipt.
"""

from typing import Final

from aiohttp import web

from api.answers import encode_rows, json_answer
from api.cursor import decode_cursor, encode_cursor
from api.dialects.client_rows import project_detail, project_row
from api.errors import BadParameter, Refused, Shape
from api.in_flight import select_in_flight
from api.paging import read_whole_page
from api.params import Query, read_clamped, read_text
from api.services import RouteInfo, Services, services_of
from api.times import read_time_us
from storage.query import Filter, Page, RecordQuery
from storage.record import Payload, Record, parse_id

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


def read_cursor(query: Query) -> int | None:
    """Read where to go on; None on the first page.

    Raises:
        BadParameter: it was not made here.
    """
    cursor = query.get("cursor")
    if not cursor:
        return None
    order, after = decode_cursor(cursor)
    if order != "desc":
        raise BadParameter("cursor", cursor, "the nextCursor of an answer")
    return after


async def list_requests(request: web.Request) -> web.Response:
    """Answer the newest requests of a proxy."""
    services = services_of(request)
    client, proxy = request.match_info["clientId"], request.match_info["proxyId"]
    filter = read_filter(request.query, client, proxy)
    limit = read_clamped(request.query, "limit", DEFAULT_LIMIT, MAX_LIMIT)
    after = read_cursor(request.query)
    # One more than wanted tells whether there are more; taken before the page, so that none is in neither.
    flying = select_in_flight(filter, services.in_flight(), limit + 1) if after is None else []
    wanted = max(limit - len(flying), 0)
    page = await read_whole_page(services.storage, RecordQuery(filter=filter, limit=max(wanted, 1), after=after))
    stored = page.records[:wanted]
    known = {record.id for record in page.records}
    rows = [record for record in flying if record.id not in known][:limit] + stored
    if not rows:
        await _check_proxy(services, client, proxy)
    rows.sort(key=lambda record: record.id, reverse=True)
    is_cut = page.next_after is not None or len(page.records) > wanted or len(flying) > limit
    answer: dict[str, object] = {
        "message": _MESSAGE,
        "totalRequests": len(rows),
        "limitReached": is_cut,
        "requests": await _show(services, rows, services.routes.get(proxy, RouteInfo())),
    }
    next_after = _next_after(page, stored) if limit else None
    if next_after is not None:
        answer["nextCursor"] = encode_cursor("desc", next_after)
    return json_answer(answer)


def _next_after(page: Page, stored: list[Record]) -> int | None:
    """Tell behind which `seq` the next page begins; None when there is nothing left."""
    if len(page.records) > len(stored):
        return stored[-1].seq if stored else page.records[0].seq + 1
    return page.next_after


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
