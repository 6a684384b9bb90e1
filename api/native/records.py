"""The native API: pages of records with every filter, one record with heads and bodies, its bodies as downloads."""

from typing import Final, Literal, cast

import msgspec
from aiohttp import web

from api.dialects.mcp_rows import project_row
from api.http.answers import encode_rows, json_answer
from api.http.cursor import encode_cursor
from api.http.errors import Refused
from api.http.params import FILTER_PARAMETERS, read_bool, read_filter, read_record_query, refuse_unknown
from api.native.har import CREATOR, har_entry
from api.native.in_flight import select_in_flight
from api.native.projection import detail_json, record_json, usage_json
from api.services import Services, services_of
from api.stream.streams import serve_stream
from api.stream.tail import Interest
from storage.query import RecordQuery
from storage.record import Body, Record, ToolCall, format_id, parse_id
from storage.tools import ToolStorage

_ENCODER: Final = msgspec.json.Encoder()
BodySide = Literal["request", "response"]


async def list_records(request: web.Request) -> web.Response:
    """Answer one page; with `in_flight=true` the newest one starts with exchanges in flight, beside `limit`."""
    services = services_of(request)
    query = read_record_query(request.query, services.now_us())
    # Taken before the page, so that an exchange that ends in between is in one of them; then it is shown once.
    flying = _in_flight(services, query) if read_bool(request.query, "in_flight") else []
    page = await services.storage.select(query)
    stored = {record.id for record in page.records}
    shown = [record for record in flying if record.id not in stored]
    shown.extend(page.records)
    return json_answer(
        {
            "records": await encode_rows(shown, record_json),
            "next_cursor": None if page.next_after is None else encode_cursor(query.order, page.next_after),
            "complete": page.complete,
        }
    )


async def stream(request: web.Request) -> web.StreamResponse:
    """Answer committed records as they come, and on resume those the client has missed."""
    services = services_of(request)
    refuse_unknown(request.query, FILTER_PARAMETERS | {"lastEventId"})
    filter = read_filter(request.query, services.now_us())
    interest = Interest(encode_record, filter, frozenset(("record",)))
    return await serve_stream(request, services, interest)


def encode_record(record: Record) -> list[tuple[int, str, bytes]]:
    """Write a record for the tail, under the id of its newer entry, so that both streams count alike."""
    return [(2 * record.seq, "record", _ENCODER.encode(record_json(record)))]


def _in_flight(services: Services, query: RecordQuery) -> list[Record]:
    """Choose the exchanges that belong before a page: only the newest one has any."""
    if query.order == "asc" or query.after is not None:
        return []
    return select_in_flight(query.filter, services.in_flight(), query.limit)


async def get_record(request: web.Request) -> web.Response:
    """Answer one record with heads and bodies, also while it is in flight."""
    services = services_of(request)
    record = await _find(services, request.match_info["id"])
    payloads = await services.storage.payloads([record.seq]) if record.seq else {}
    shown = detail_json(record, payloads.get(record.seq))
    shown["usage"] = usage_json(record)
    shown["tools"] = [project_row(call) for call in await _tools_of(services, record)]
    return json_answer(shown)


async def _tools_of(services: Services, record: Record) -> list[ToolCall]:
    """Read the tool calls of a record, or those that run in an exchange in flight."""
    if record.seq:
        return await cast(ToolStorage, services.storage).tool_calls_of(record.seq)
    return [call for call in services.running_tools() if call.record_id == record.id]


async def download_request_body(request: web.Request) -> web.Response:
    """Answer the stored request body as a file."""
    return await _download(request, "request")


async def download_response_body(request: web.Request) -> web.Response:
    """Answer the stored response body as a file."""
    return await _download(request, "response")


async def download_har(request: web.Request) -> web.Response:
    """Answer one exchange as an archive of one entry; an event is none."""
    services = services_of(request)
    record = await _find(services, request.match_info["id"])
    if record.kind == "event" or not record.seq:
        raise Refused(404, f"record {format_id(record.id)} is no finished exchange, so there is no archive of it")
    payloads = await services.storage.payloads([record.seq])
    archive = {"version": "1.2", "creator": CREATOR, "entries": [har_entry(record, payloads.get(record.seq))]}
    name = f'attachment; filename="{format_id(record.id)}.har"'
    body = _ENCODER.encode({"log": archive})
    return web.Response(body=body, content_type="application/json", headers={"Content-Disposition": name})


async def _download(request: web.Request, side: BodySide) -> web.Response:
    """Answer the kept windows of a body, always as an attachment: what a service sent must not run on our origin."""
    services = services_of(request)
    record = await _find(services, request.match_info["id"])
    payloads = await services.storage.payloads([record.seq]) if record.seq else {}
    payload = payloads.get(record.seq)
    body = None if payload is None else (payload.request_body if side == "request" else payload.response_body)
    if body is None:
        raise Refused(404, f"no {side} body is stored for record {format_id(record.id)}")
    if body.omitted is not None:
        raise Refused(404, f"the {side} body of record {format_id(record.id)} was not kept: {body.omitted}")
    return web.Response(
        body=body.head + body.tail,
        content_type="application/octet-stream",
        headers=_download_headers(body, f"{format_id(record.id)}-{side}-body"),
    )


def _download_headers(body: Body, name: str) -> dict[str, str]:
    """Name the file, and say what is missing between the two windows."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if body.truncated:
        headers["X-Sidelog-Truncated"] = f"head={len(body.head)}, tail={len(body.tail)}, size={body.size}"
    return headers


async def _find(services: Services, text: str) -> Record:
    """Look a record up by any spelling of its id, in the store and among those in flight.

    Raises:
        Refused: 404, there is none.
    """
    record_id = parse_id(text)
    if record_id is not None:
        flying = [record for record in services.in_flight() if record.id == record_id]
        record = await services.storage.get(record_id)
        if record is not None:
            return record
        if flying:
            return flying[0]
    raise Refused(404, f"there is no record {text[:100]!r}")
