"""Entries of seed 001, projected from records: two halves of an exchange, or one event.

Pure. Exchange `seq = n` is request entry `2n-1` and response entry `2n`; event `seq = n` is entry `2n`. All attributes
are shared between the halves, the request entry's time is the start, the response entry's the end.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import msgspec

from api.http.times import format_time
from api.native.projection import read_json
from storage.query import Count, Order
from storage.record import Record, format_id

_ENCODER: Final = msgspec.json.Encoder()
EntryKind = Literal["request", "response", "event"]


class Entry(NamedTuple):
    """One entry, not yet written out."""

    record: Record
    kind: EntryKind

    @property
    def id(self) -> int:
        """Its number in the dialect, unique and rising with `seq`."""
        return 2 * self.record.seq - (self.kind == "request")


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """Which kinds of entries are wanted."""

    request: bool = True
    response: bool = True
    event: bool = True

    @property
    def per_exchange(self) -> int:
        """Entries one exchange makes: 0, 1 or 2."""
        return self.request + self.response

    @property
    def record_kind(self) -> Literal["exchange", "event", "all"]:
        """Which records have wanted entries; meaningless when none are wanted."""
        if not self.event:
            return "exchange"
        return "all" if self.per_exchange else "event"

    @property
    def uniform(self) -> int | None:
        """Entries every matching record makes alike; None when exchanges make two and events one."""
        if self.event and self.per_exchange == 2:
            return None
        return max(self.per_exchange, int(self.event))

    def total(self, count: Count) -> int:
        """Count entries from records."""
        return self.per_exchange * count.exchanges + self.event * count.events


_EVERY_HALF: Final = Halves()


def expand(records: Iterable[Record], halves: Halves, order: Order) -> list[Entry]:
    """Turn records into their wanted entries, by rising or falling entry id, as the records come."""
    exchange: list[EntryKind] = []
    if halves.request:
        exchange.append("request")
    if halves.response:
        exchange.append("response")
    if order == "desc":
        exchange.reverse()
    entries: list[Entry] = []
    for record in records:
        if record.kind == "exchange":
            entries.extend(Entry(record, kind) for kind in exchange)
        elif halves.event:
            entries.append(Entry(record, "event"))
    return entries


def project_entry(entry: Entry) -> dict[str, object]:
    """Write an entry out with the keys of the document, in its order."""
    record, kind = entry
    time_us = record.ended_at_us if kind == "response" else record.started_at_us
    return {
        "id": entry.id,
        "traceId": trace_id_of(record),
        "tsMs": time_us // 1000,
        "tsIso": format_time(time_us),
        "kind": kind,
        "level": record.level,
        "projectId": record.project,
        "containerId": record.container,
        "serviceName": record.service,
        "method": record.method,
        "url": url_of(record),
        "clientIp": record.client_ip,
        "status": record.status,
        "data": data_of(record, kind),
        "source": record.source,
    }


def encode_entries(record: Record) -> list[tuple[int, str, bytes]]:
    """Write a record's entries for the tail: id, kind and JSON of each, by rising id."""
    entries = expand([record], _EVERY_HALF, "asc")
    return [(entry.id, entry.kind, _ENCODER.encode(project_entry(entry))) for entry in entries]


def data_of(record: Record, kind: EntryKind) -> dict[str, object]:
    """Show what belongs to one half only."""
    if kind == "request":
        return {"bytesIn": record.request_bytes, "userAgent": record.user_agent}
    if kind == "response":
        return {"bytesOut": record.response_bytes, "durationMs": record.duration_us // 1000}
    payload = read_json(record.data)
    if isinstance(payload, dict):
        return {**payload, "name": record.name}
    return {"name": record.name} if payload is None else {"name": record.name, "payload": payload}


def trace_id_of(record: Record) -> str:
    """Show the W3C trace id in UUID form, else the record's own id."""
    if record.trace_id is not None and len(record.trace_id) == 32:
        text = record.trace_id
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    return format_id(record.id)


def url_of(record: Record) -> str | None:
    """Join path and redacted query."""
    if record.path is None or record.query is None:
        return record.path
    return f"{record.path}?{record.query}"
