"""OTLP requests: encoded items of records, grouped by resource, in requests of bounded size.

An item is the content to send for one record, encoded once. Items are sent in the order of the
records, so that a response settles everything up to a position in that order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import msgspec

from proxy.otel.attributes import encode_attributes, resource_attributes
from proxy.otel.telemetry import exchange_span, log_record, tool_span
from proxy.process.version import VERSION
from storage.record import Record, ToolCall

Signal = Literal["traces", "logs"]

PATHS: Final[dict[Signal, str]] = {"traces": "/v1/traces", "logs": "/v1/logs"}
_MEMBERS: Final = {
    "traces": ("resourceSpans", "scopeSpans", "spans"),
    "logs": ("resourceLogs", "scopeLogs", "logRecords"),
}
_SCOPE: Final = {"name": "sidelog", "version": VERSION}
MAX_RESOURCES: Final = 256
"""Limit of cached resources. A configuration has tens of services."""
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call, with the trace of its exchange."""

    call: ToolCall
    trace_id: str


@dataclass(frozen=True, slots=True)
class Item:
    """The content to send for one record."""

    seq: int
    ended_at_us: int
    resource: bytes
    """Encoded resource. Items with equal resources share one group."""
    encoded: tuple[bytes, ...]
    """Encoded spans or log records; empty if this record sends none."""

    @property
    def size_bytes(self) -> int:
        return len(self.resource) + sum(map(len, self.encoded))


def make_item(signal: Signal, record: Record, calls: Iterable[Call]) -> Item:
    """Return the spans or log records to send for a record."""
    sent: list[dict[str, object]] = []
    if signal == "logs":
        line = log_record(record)
        sent = [] if line is None else [line]
    elif record.kind == "exchange":
        sent = [exchange_span(record)]
        sent += [tool_span(each.call, each.trace_id) for each in calls]

    resource = _resource(record.service or "sidelog", record.instance, record.stage)
    return Item(record.seq, record.ended_at_us, resource, tuple(map(_encode, sent)))


@lru_cache(MAX_RESOURCES)
def _resource(service: str, instance: str, stage: str | None) -> bytes:
    return _encode({"attributes": encode_attributes(resource_attributes(service, instance, stage))})


def next_batch(items: Sequence[Item], max_bytes: int, max_items: int) -> Sequence[Item]:
    """Return as many of the first items as fit into one request, at least one."""
    size_bytes = 0
    for number, item in enumerate(items):
        size_bytes += item.size_bytes
        if number and (size_bytes > max_bytes or number >= max_items):
            return items[:number]
    return items


def count(items: Iterable[Item]) -> int:
    """Return the number of spans or log records in some items."""
    return sum(len(item.encoded) for item in items)


def write_request(signal: Signal, items: Sequence[Item]) -> bytes:
    """Return the JSON body of a request (OTLP 1.x, `ExportTraceServiceRequest` or
    `ExportLogsServiceRequest`).
    """
    by_resource: dict[bytes, list[msgspec.Raw]] = {}
    for item in items:
        if item.encoded:
            by_resource.setdefault(item.resource, []).extend(map(msgspec.Raw, item.encoded))
    resources, scopes, elements = _MEMBERS[signal]
    return _encode(
        {
            resources: [
                {"resource": msgspec.Raw(resource), scopes: [{"scope": _SCOPE, elements: sent}]}
                for resource, sent in by_resource.items()
            ]
        }
    )
