"""Records as CSV (RFC 4180), safe to open in a spreadsheet. Pure.

A cell that a spreadsheet would take for a formula (it begins with `=`, `+`, `-`, `@`, also of full
width, TAB, CR or LF) gets an apostrophe in front; numbers of ours are written as numbers. Lines end
with CRLF, and every field that needs quotes has them. Columns are named as the members of the JSON
are, durations in microseconds included. Bodies are columns where they are asked for, and the column
beside each says how it is written and what of it is missing. Who names the columns gets those, in
that order, headers and places in JSON bodies among them.
"""

import csv
import io
from collections.abc import Sequence
from typing import Final

from api.http.times import format_time
from api.native.fields import cells_of, text_of
from api.native.files.cut_bodies import describe_body, joined_text
from storage.record import Body, Payload, Record, format_id
from storage.redactions import described

_FORMULA: Final = (*"=+-@", *"\uff1d\uff0b\uff0d\uff20", *"\t\r\n")

COLUMNS: Final = (
    "seq", "id", "started_at", "ended_at", "kind", "level", "outcome", "status", "method", "scheme", "host", "path",
    "query", "duration_us", "first_byte_us", "request_bytes", "response_bytes", "client_ip", "upstream", "route_id",
    "service", "container", "project", "client", "user_id", "trace_id", "request_id", "user_agent", "error_type",
    "key_id", "key_name", "provider", "model", "resolved_model", "finish_reason", "called_tools",
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "usage_state",
    "cost_usd", "price_source", "name", "endpoint", "grpc_status", "redactions",
    "failed_tools", "message", "weight", "direction",
)  # fmt: skip


BODY_COLUMNS: Final = ("request_body", "request_body_note", "response_body", "response_body_note")


def header(columns: Sequence[str] = COLUMNS, *, with_bodies: bool = False) -> str:
    """Return the first line of a CSV file: the names of its columns."""
    return _line((*columns, *BODY_COLUMNS) if with_bodies else columns)


def row(
    record: Record,
    payload: Payload | None = None,
    columns: Sequence[str] = COLUMNS,
    *,
    with_bodies: bool = False,
) -> str:
    """Return the line of one record in a CSV file; an unknown value is an empty cell."""
    special: dict[str, object] = {
        "id": format_id(record.id),
        "started_at": format_time(record.started_at_us),
        "ended_at": format_time(record.ended_at_us),
        "finish_reason": None if record.stream is None else record.stream.finish_reason,
        "grpc_status": None if record.grpc is None else record.grpc.status_name,
        "redactions": None if record.redactions is None else described(record.redactions),
        "called_tools": None if record.stream is None else ", ".join(record.stream.tools or ()),
        "failed_tools": None
        if record.stream is None
        else ", ".join(record.stream.failed_tools or ()),
        "weight": int(record.weight) if record.weight.is_integer() else record.weight,
    }
    fields = [name for name in columns if name not in COLUMNS]
    special |= {name: text_of(cell) for name, cell in cells_of(record, payload, fields).items()}
    cells = (special[name] if name in special else getattr(record, name) for name in columns)
    bodies: tuple[str, ...] = ()
    if with_bodies:
        known = (None, None) if payload is None else (payload.request_body, payload.response_body)
        bodies = tuple(cell for body in known for cell in _body_cells(body))
    return _line([_cell(value) for value in (*cells, *bodies)])


def _body_cells(body: Body | None) -> tuple[str, str]:
    """Return a body's cells: the body, and a note that it is base64 or which part is missing."""
    if body is None:
        return "", ""
    encoding, text = joined_text(body)
    notes = ("base64" if encoding == "base64" else "", describe_body(body))
    return "" if body.omitted else text, ", ".join(note for note in notes if note)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        if value.startswith(_FORMULA):
            return "'" + value
        return value
    return str(value)


def _line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()
