"""The native API: pages of records with every filter, one record with heads and bodies, its bodies
as downloads.
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from api.http.cursor import cursor_after
from api.http.errors import Refused
from api.http.params import (
    read_bool,
    read_filter,
    read_record_query,
)
from api.http.responses import ApiObject, encode_rows, json_response
from api.native.fields import FieldShown, fields_shown, read_fields, with_payloads
from api.native.files.curl import curl_of
from api.native.files.cut_bodies import joined_bytes, sent_windows
from api.native.files.har import creator, har_entry, pages
from api.native.find import find_entry
from api.native.messages import archived_messages
from api.native.projection import detail_json, record_json, usage_json
from api.native.tool_calls import project_call
from api.services import Services, services_of
from api.stream.streams import serve_stream
from api.stream.tail_ring import Interest
from storage.query import Filter, RecordQuery, matches
from storage.record import Body, Entry, Payload, Record, ToolCall, format_id

_ENCODER: Final = msgspec.json.Encoder()
BodySide = Literal["request", "response"]


_Redactions = Annotated[
    dict[str, int],
    msgspec.Meta(
        description="values redacted before the record was stored: the id of a rule, or `name:` and the name of the "
        "value, with their number; null without any. More than 32 are counted under `other`",
        examples=[{"github-token": 1, "name:password": 2}],
    ),
]


def _shown_record() -> Any:
    """Return the type of `record_json`: a stored record, ids as text, times also as ISO, an event's
    payload parsed.
    """
    changed: dict[str, Any] = {"seq": int | None, "id": str, "data": Any, "ended_at_us": int | None}
    changed |= {
        "duration_us": int | None,
        "conversation": str | None,
        "redactions": _Redactions | None,
    }
    stored = [field for field in msgspec.structs.fields(Record) if field.name != "marks"]
    fields = [(field.name, changed.get(field.name, field.type)) for field in stored]
    times = [
        (name, str | None)
        for name in ("started_at", "ended_at", "upstream_sent_at", "upstream_done_at")
    ]
    derived = [
        ("in_flight", bool),
        ("finish_reason", str | None),
        ("called_tools", list[str] | None),
    ]
    derived += [("failed_tools", list[str] | None)]
    derived += [("grpc_status", str | None), ("begun_by", str | None), ("has_messages", bool)]
    asked: tuple[str, Any, Any] = ("fields", dict[str, FieldShown] | UnsetType, UNSET)
    return msgspec.defstruct(
        "RecordShown", [*fields, *derived, *times, asked], forbid_unknown_fields=True
    )


RecordShown: Any = _shown_record()


class RecordPage(ApiObject):
    records: list[RecordShown]
    next_cursor: str | None
    complete: bool


async def list_records(request: web.Request) -> web.Response:
    """List records; with `in_flight=true` the newest page starts with exchanges in flight, beside
    `limit`.
    """
    services = services_of(request)
    query = read_record_query(request.query, services.now_us())
    names = read_fields(request.query)
    # Taken before the page, so that an exchange that ends in between is in one of them; then it is
    # shown once.
    if read_bool(request.query, "in_flight"):
        flying = _in_flight(services, query)
    else:
        flying = []
    page = await services.storage.read(query)
    page, payloads = await with_payloads(services.storage, page) if names else (page, {})
    stored = {record.id for record in page.records}
    shown = [entry for entry in flying if entry.record.id not in stored]
    shown.extend(Entry(record, payloads.get(record.seq)) for record in page.records)
    cursor = cursor_after(query.order, page.next_after)
    return json_response(
        RecordPage(await encode_rows(shown, partial(_row, names)), cursor, page.complete)
    )


def _row(names: Sequence[str], entry: Entry) -> dict[str, object]:
    shown = record_json(entry.record)
    if names:
        return shown | {"fields": fields_shown(entry.record, entry.payload, names)}
    return shown


def select_in_flight(filter: Filter, entries: list[Entry], limit: int) -> list[Entry]:
    """Return the exchanges in flight that match, newest first.

    They are filtered as the store filters stored ones; a bound on the duration, not yet known,
    matches none.
    """
    found = [entry for entry in entries if matches(filter, entry.record, entry.payload)]
    found.sort(key=lambda entry: entry.record.id, reverse=True)
    return found[:limit]


async def stream(request: web.Request) -> web.StreamResponse:
    """Stream records as they are stored; a client that resumes gets those it has missed."""
    services = services_of(request)
    filter = read_filter(request.query, services.now_us(), "lastEventId", "fields")
    names = read_fields(request.query)
    if names:
        encode_entry = partial(_encode_entry, names)
    else:
        encode_entry = None
    interest = Interest(encode_record, filter, frozenset(("record",)), encode_entry)
    return await serve_stream(request, services.streams, services.principal, interest)


def encode_record(record: Record) -> list[tuple[int, str, bytes]]:
    """Write a record for the tail, under the id of its newer entry, so that both streams count
    alike.
    """
    return [(2 * record.seq, "record", _ENCODER.encode(record_json(record)))]


def _encode_entry(
    names: Sequence[str], record: Record, payload: Payload | None
) -> list[tuple[int, str, bytes]]:
    return [(2 * record.seq, "record", _ENCODER.encode(_row(names, Entry(record, payload))))]


def _in_flight(services: Services, query: RecordQuery) -> list[Entry]:
    """Return the exchanges that belong before a page: only the newest one has any."""
    if query.order == "asc" or query.after is not None:
        return []
    return select_in_flight(query.filter, services.in_flight(), query.limit)


async def get_record(request: web.Request) -> web.Response:
    """Return one record with heads and bodies, also while it is in flight."""
    services = services_of(request)
    record, payload = await find_entry(services, request.match_info["id"])
    shown = detail_json(record, payload)
    shown["usage"] = usage_json(record)
    if record.usage_state == "later":
        answers = await services.storage.answers_of(record.id)
    else:
        answers = []
    shown["answered_by"] = [format_id(answer) for answer in answers]
    shown["tools"] = [project_call(call) for call in await _tools_of(services, record)]
    return json_response(shown)


async def _tools_of(services: Services, record: Record) -> list[ToolCall]:
    """Read the tool calls of a record, or those that run in an exchange in flight."""
    if record.seq:
        return await services.storage.tool_calls_of(record.seq)
    return [call for call in services.running_tools() if call.record_id == record.id]


async def download_request_body(request: web.Request) -> web.Response:
    """Download the stored request body."""
    return await _download(request, "request")


async def download_response_body(request: web.Request) -> web.Response:
    """Download the stored response body."""
    return await _download(request, "response")


async def get_curl(request: web.Request) -> web.Response:
    """Return the curl command that sends a recorded request again, and what to know before it is
    run.
    """
    services = services_of(request)
    record, payload = await find_entry(services, request.match_info["id"])
    is_ours = record.instance == services.instance and record.direction == "in"
    socket = services.data_socket if is_ours else ""
    return json_response(curl_of(record, payload, socket))


async def download_har(request: web.Request) -> web.Response:
    """Download one finished exchange as a HAR file."""
    services = services_of(request)
    record, payload = await find_entry(services, request.match_info["id"])
    if record.kind == "event" or not record.seq:
        raise Refused(
            404,
            f"record {format_id(record.id)} is no finished exchange, so there is no archive of it",
        )

    messages = await archived_messages(services.storage, record)
    entry = har_entry(record, payload, messages)
    archive = {"version": "1.2", "creator": creator(services.version), "entries": [entry]}
    archive["pages"] = pages(record.started_at_us)
    name = f'attachment; filename="{format_id(record.id)}.har"'
    body = _ENCODER.encode({"log": archive})
    return web.Response(
        body=body, content_type="application/json", headers={"Content-Disposition": name}
    )


async def _download(request: web.Request, side: BodySide) -> web.Response:
    """Return what was kept of a body, always as an attachment: what a service sent must not run on
    our origin.
    """
    services = services_of(request)
    record, payload = await find_entry(services, request.match_info["id"])
    body: Body | None = getattr(payload, f"{side}_body", None)
    if body is None:
        raise Refused(404, f"no {side} body is stored for record {format_id(record.id)}")
    if body.omitted is not None:
        raise Refused(
            404, f"the {side} body of record {format_id(record.id)} was not kept: {body.omitted}"
        )

    return web.Response(
        body=joined_bytes(body),
        content_type="application/octet-stream",
        headers=_download_headers(body, f"{format_id(record.id)}-{side}-body"),
    )


def _download_headers(body: Body, name: str) -> dict[str, str]:
    """Name the file, and say how long the two windows beside the mark of a cut body are."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if body.truncated:
        head, tail = sent_windows(body)
        headers["X-Sidelog-Truncated"] = f"head={len(head)}, tail={len(tail)}, size={body.size}"
    return headers
