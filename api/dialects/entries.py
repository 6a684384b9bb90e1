"""Entries of the proxy logs: two halves of an exchange, or one event, with bodies if requested.

Exchange `seq = n` is request entry `2n-1` and response entry `2n`; event `seq = n` is entry
`2n`. Both halves
share all attributes; the request entry has the time of the start, the response entry that of
the end.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from api.http.responses import ApiObject, JsonObject, filled
from api.http.times import format_time
from api.native.files.cut_bodies import joined_text
from api.native.projection import read_json
from storage.base import Storage
from storage.query import Count, Order
from storage.record import Body, Level, Payload, Record, format_id
from storage.relational.blocks.portions import body_bytes, portions

_ENCODER: Final = msgspec.json.Encoder()
EntryKind = Literal["request", "response", "event"]
ENTRY_KINDS: Final[tuple[EntryKind, ...]] = ("request", "response", "event")
MAX_BODIES_BYTES: Final = 16 * 1024 * 1024
"""Limit of the stored bytes of all bodies in one response. Later ones are marked as left out."""
_SLICE_RECORDS: Final = 32
"""Records with payloads in memory at once; fewer if they are large."""


class LogEntry(ApiObject):
    id: int
    traceId: str
    tsMs: int
    tsIso: str
    kind: EntryKind
    level: Level
    projectId: str | None
    containerId: str | None
    serviceName: str | None
    method: str | None
    url: str | None
    clientIp: str | None
    status: int | None
    data: JsonObject
    source: str


class LogEntryPage(ApiObject):
    entries: list[LogEntry]
    total: int
    limit: int
    offset: int
    nextCursor: str | UnsetType | None = UNSET
    totalCapped: bool | UnsetType = UNSET
    complete: bool | UnsetType = UNSET
    nextAfterId: int | UnsetType | None = UNSET


class PendingEntry(NamedTuple):
    """One entry before its conversion."""

    record: Record
    kind: EntryKind

    @property
    def id(self) -> int:
        """Number of the entry in the dialect, unique and rising with `seq`."""
        return 2 * self.record.seq - (self.kind == "request")


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """The wanted kinds of entries."""

    request: bool = True
    response: bool = True
    event: bool = True

    @property
    def per_exchange(self) -> int:
        """Number of entries per exchange: 0, 1 or 2."""
        return self.request + self.response

    @property
    def record_kind(self) -> Literal["exchange", "event", "all"]:
        """Kinds of records with wanted entries; undefined if none are wanted."""
        if not self.event:
            return "exchange"
        if self.per_exchange:
            return "all"
        return "event"

    @property
    def uniform(self) -> int | None:
        """Number of entries per matching record; None if exchanges make two and events one."""
        if self.event and self.per_exchange == 2:
            return None
        return max(self.per_exchange, int(self.event))

    def total(self, count: Count) -> int:
        """Return the number of entries of a number of records."""
        return self.per_exchange * count.exchanges + self.event * count.events


_EVERY_HALF: Final = Halves()


def expand(records: Iterable[Record], halves: Halves, order: Order) -> list[PendingEntry]:
    """Return the wanted entries of records, by rising or falling entry id, in the order of the
    records.
    """
    exchange: list[EntryKind] = []
    if halves.request:
        exchange.append("request")
    if halves.response:
        exchange.append("response")
    if order == "desc":
        exchange.reverse()
    entries: list[PendingEntry] = []
    for record in records:
        if record.kind == "exchange":
            entries.extend(PendingEntry(record, kind) for kind in exchange)
        elif halves.event:
            entries.append(PendingEntry(record, "event"))

    return entries


def project_entry(entry: PendingEntry) -> LogEntry:
    """Return a log entry in the form of the proxy-logs dialect, without bodies."""
    record, kind = entry
    if kind == "response":
        time_us = record.ended_at_us
    else:
        time_us = record.started_at_us
    return filled(
        LogEntry,
        record,
        id=entry.id,
        traceId=trace_id_of(record),
        tsMs=time_us // 1000,
        tsIso=format_time(time_us),
        kind=kind,
        projectId=record.project,
        containerId=record.container,
        serviceName=record.service,
        url=record.target,
        clientIp=record.client_ip,
        data=data_of(record, kind),
    )


def encode_entries(record: Record) -> list[tuple[int, str, bytes]]:
    """Return a record's entries for the tail: id, kind and JSON of each, by rising id."""
    entries = expand([record], _EVERY_HALF, "asc")
    return [(entry.id, entry.kind, _ENCODER.encode(project_entry(entry))) for entry in entries]


def data_of(record: Record, kind: EntryKind) -> JsonObject:
    """Return the members that belong to one half only."""
    if kind == "request":
        return {"bytesIn": record.request_bytes, "userAgent": record.user_agent}
    if kind == "response":
        shown: JsonObject = {
            "bytesOut": record.response_bytes,
            "durationMs": record.duration_us // 1000,
        }
        if record.grpc is not None:
            shown |= {"grpcStatus": record.grpc.status_name, "grpcMessage": record.grpc.message}
        return shown | _redactions(record)

    payload = read_json(record.data)
    if isinstance(payload, dict):
        return {**payload, "name": record.name} | _redactions(record)

    return (
        {"name": record.name}
        | ({} if payload is None else {"payload": payload})
        | _redactions(record)
    )


def _redactions(record: Record) -> JsonObject:
    if record.redactions is None:
        return {}
    return {"redactions": record.redactions}


def trace_id_of(record: Record) -> str:
    """Return the W3C trace id in UUID form, else the record's own id."""
    if record.trace_id is not None and len(record.trace_id) == 32:
        text = record.trace_id
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    return format_id(record.id)


async def read_bodies(
    storage: Storage,
    entries: list[PendingEntry],
    wanted: frozenset[str],
    max_bytes: int = MAX_BODIES_BYTES,
) -> list[dict[str, object]]:
    """Return the body members of `data` for each entry; empty for entries whose body was not
    requested.
    """
    fields: list[dict[str, object]] = []
    left = max_bytes
    for part in portions(entries, _SLICE_RECORDS, lambda entry: body_bytes(entry.record)):
        seqs = {entry.record.seq for entry in part if entry.kind in wanted}
        if seqs and left > 0:
            payloads = await storage.payloads(sorted(seqs))
        else:
            payloads = {}
        for entry in part:
            shown, taken = _entry_fields(entry, payloads.get(entry.record.seq), wanted, left)
            fields.append(shown)
            left -= taken

    return fields


def show_entry(row: tuple[PendingEntry, dict[str, object]]) -> LogEntry:
    """Return an entry with its body added to its data."""
    entry, body = row
    shown = project_entry(entry)
    shown.data |= body
    return shown


def _entry_fields(
    entry: PendingEntry, payload: Payload | None, wanted: frozenset[str], left: int
) -> tuple[dict[str, object], int]:
    """Return one entry's body, and its size in bytes."""
    if entry.kind not in wanted:
        return {}, 0
    body: Body | None = getattr(payload, f"{entry.kind}_body", None)
    size = getattr(entry.record, f"{entry.kind}_bytes")
    if body is None:
        kept = 0
    else:
        kept = len(body.head) + len(body.tail)
    if kept > left:
        body = None
        kept = 0
    return body_fields(f"{entry.kind}Body", body, size), kept


def body_fields(name: str, body: Body | None, size: int) -> dict[str, object]:
    """Return the members of a body: its text or base64, its true size, and a flag for missing
    parts.
    """
    if body is None or body.omitted is not None:
        absent: dict[str, object] = {name: None, "bodyBytes": size, "bodyTruncated": False}
        if size:
            return {**absent, "bodyOmitted": True}
        return absent
    encoding, text = joined_text(body)
    shown: dict[str, object] = {name: text, "bodyBytes": body.size, "bodyTruncated": body.truncated}
    if encoding == "base64":
        shown["bodyEncoding"] = encoding
    if body.truncated:
        shown["bodyKept"] = {"head": len(body.head), "tail": len(body.tail)}
    return shown
