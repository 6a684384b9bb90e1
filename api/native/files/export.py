"""Streams a filter's records as NDJSON, CSV or HAR, one page in memory at a time.

Records come oldest first by default, up to the newest at the start, so the export ends. A broken
export is resumed with `cursor`: the native one, made from the `seq` of the last record received. A
search that the time budget cut continues with the next page. If the store fails midway, the
connection breaks, so an export that ended in order is complete.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import msgspec
from aiohttp import web

from api.http.compression import compress_stream
from api.http.errors import BadParameter
from api.http.params import (
    Query,
    read_bool,
    read_choice,
    read_filter,
    read_place,
)
from api.native.fields import fields_shown, read_fields
from api.native.files import csv_rows
from api.native.files.har import creator, har_entry, pages
from api.native.messages import NOTHING_ARCHIVED, Archived, archived_messages
from api.native.projection import detail_json, record_json
from api.services import Services, services_of
from storage.query import RecordQuery
from storage.record import Payload, Record
from storage.relational.blocks.portions import body_bytes, portions

PAGE_RECORDS: Final = 500
"""Number of records per page: 1 MiB as a rule."""
PAGE_RECORDS_WITH_BODIES: Final = 50
"""Number of records per page with bodies; fewer if bodies are large."""

Format = Literal["ndjson", "csv", "har"]
FORMATS: Final[tuple[Format, ...]] = ("ndjson", "csv", "har")
_MEDIA_TYPES: Final = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "har": "application/json",
}
_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class ExportForm:
    """Format and columns of an export."""

    format: Format
    with_bodies: bool
    fields: tuple[str, ...]
    """Columns, headers and paths in bodies; empty means all columns."""
    has_bom: bool
    """Whether CSV begins with a UTF-8 mark; without it Excel assumes the machine's encoding."""

    @property
    def cell_fields(self) -> tuple[str, ...]:
        """Fields that are read from heads and bodies."""
        return tuple(name for name in self.fields if name not in csv_rows.COLUMNS)

    @property
    def needs_payloads(self) -> bool:
        return self.with_bodies or self.format == "har" or bool(self.cell_fields)


Writer = Callable[[Record, Payload | None, Archived], bytes]


async def export(request: web.Request) -> web.StreamResponse:
    """Respond with all records that match a filter as a file to download."""
    services = services_of(request)
    query = request.query
    others = ("format", "order", "cursor", "bodies", "fields", "bom")
    filter = read_filter(query, services.now_us(), *others)
    format = read_choice(query, "format", FORMATS, "ndjson")
    order, after = read_place(query, "asc")
    end = await services.storage.last_seq()
    if format == "har":  # an archive knows exchanges: of events alone it has nothing
        end = 0 if filter.kind == "event" else end
        filter = replace(filter, kind="exchange")
    bounded = replace(filter, seq_until=end)
    form = _read_form(query, format)
    if form.needs_payloads:
        limit = PAGE_RECORDS_WITH_BODIES
    else:
        limit = PAGE_RECORDS
    page = RecordQuery(filter=bounded, order=order, limit=limit, after=after)
    response = web.StreamResponse(
        headers={
            "Content-Type": _MEDIA_TYPES[format],
            "Content-Disposition": f'attachment; filename="sidelog.{format}"',
        }
    )
    compress_stream(request, response)
    await response.prepare(request)

    if request.method != "HEAD":
        await response.write(_begin(form, services.version))
        started_at_us = await _write_pages(services, response, page, form)
        if format == "har":
            await response.write(b'\n],"pages":' + _ENCODER.encode(pages(started_at_us)) + b"}}\n")

    await response.write_eof()
    return response


def _read_form(query: Query, format: Format) -> ExportForm:
    form = ExportForm(
        format,
        with_bodies=read_bool(query, "bodies"),
        fields=read_fields(query, csv_rows.COLUMNS),
        has_bom=read_bool(query, "bom"),
    )
    if form.fields and format == "har":
        raise BadParameter("fields", query["fields"], "only with ndjson or csv")
    if form.has_bom and format != "csv":
        raise BadParameter("bom", query["bom"], "only with csv")

    return form


async def _write_pages(
    services: Services, response: web.StreamResponse, query: RecordQuery, form: ExportForm
) -> int | None:
    """Write page after page, waiting for the client at each record: a slow client holds one page
    and no query.

    Exports take turns with reading and formatting single records: sixty that began at once, for
    clients that read nothing, delayed a neighbour's query by up to 1.3 s.

    Returns:
        The start of the first record; None if there were none.
    """
    write = _writer(form)
    is_har = form.format == "har"
    separator = b""
    started_at_us = None

    while True:
        async with services.export_turns:
            page = await services.storage.read(query)
        for some in portions(page.records, query.limit, body_bytes):
            async with services.export_turns:
                lines = await _lines(services, some, write, form)
            for line in lines:
                await response.write(separator + line)
                separator = b",\n" if is_har else b""
            firsts = [record.started_at_us for record in some]
            started_at_us = min(firsts if started_at_us is None else [started_at_us, *firsts])

        if page.next_after is None:
            return started_at_us

        query = replace(query, after=page.next_after)


async def _lines(
    services: Services, records: Sequence[Record], write: Writer, form: ExportForm
) -> list[bytes]:
    """Return the lines of some records."""
    storage = services.storage
    if form.needs_payloads:
        payloads = await storage.payloads([record.seq for record in records])
    else:
        payloads = {}
    lines = []

    for record in records:
        if form.format == "har":
            messages = await archived_messages(storage, record)
        else:
            messages = NOTHING_ARCHIVED
        lines.append(write(record, payloads.get(record.seq), messages))

    return lines


def _writer(form: ExportForm) -> Writer:
    """Return the function that formats one record."""
    columns = form.fields or csv_rows.COLUMNS
    match form.format:
        case "ndjson":
            return lambda record, payload, messages: _ndjson_line(record, payload, form)
        case "csv":
            return lambda record, payload, messages: csv_rows.row(
                record, payload, columns, with_bodies=form.with_bodies
            ).encode("utf-8", "replace")
        case "har":
            return lambda record, payload, messages: _ENCODER.encode(
                har_entry(record, payload, messages)
            )


def _ndjson_line(record: Record, payload: Payload | None, form: ExportForm) -> bytes:
    if payload is None or not form.with_bodies:
        shown = record_json(record)
    else:
        shown = detail_json(record, payload)
    if form.fields:
        bodies = ("request", "response", "timeline") if form.with_bodies else ()
        shown = {name: shown[name] for name in (*form.fields, *bodies) if name in shown}
        if form.cell_fields:
            shown["fields"] = fields_shown(record, payload, form.cell_fields)

    return _ENCODER.encode(shown) + b"\n"


def _begin(form: ExportForm, version: str) -> bytes:
    if form.format == "csv":
        header = csv_rows.header(form.fields or csv_rows.COLUMNS, with_bodies=form.with_bodies)
        return header.encode("utf-8-sig" if form.has_bom else "utf-8")
    if form.format == "har":
        return (
            b'{"log":{"version":"1.2","creator":'
            + _ENCODER.encode(creator(version))
            + b',"entries":[\n'
        )

    return b""
