"""A receiver of OTLP over HTTP, in JSON: it reads requests strictly, and answers by plan.

Each request is read twice: as the types here have it, which are what sidelog means to send, and by
OpenTelemetry's own.
"""

import gzip
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from aiohttp import web

from storage.record import ToolCall
from tests.storage.samples import START_US, make_record
from tests.support import otlp_protobuf


class AnyValue(msgspec.Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """A value; exactly one member is set."""

    string_value: str | None = None
    int_value: str | None = None
    double_value: float | None = None
    array_value: "ArrayValue | None" = None

    @property
    def plain(self) -> object:
        """The value as Python has it."""
        whole = None if self.int_value is None else int(self.int_value)
        several = (
            None if self.array_value is None else [each.plain for each in self.array_value.values]
        )
        (given,) = (
            each
            for each in (self.string_value, whole, self.double_value, several)
            if each is not None
        )
        return given


class ArrayValue(msgspec.Struct, forbid_unknown_fields=True):
    """A list of values."""

    values: list[AnyValue]


class KeyValue(msgspec.Struct, forbid_unknown_fields=True):
    """An attribute."""

    key: str
    value: AnyValue


class Resource(msgspec.Struct, forbid_unknown_fields=True):
    """Whose telemetry it is."""

    attributes: list[KeyValue]


class Scope(msgspec.Struct, forbid_unknown_fields=True):
    """What made it."""

    name: str
    version: str


class Status(msgspec.Struct, forbid_unknown_fields=True):
    """How a span ended."""

    code: int
    message: str


class Span(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`opentelemetry.proto.trace.v1.Span`, as far as it is used."""

    trace_id: str
    span_id: str
    name: str
    kind: int
    start_time_unix_nano: str
    end_time_unix_nano: str
    attributes: list[KeyValue]
    flags: int = 0
    parent_span_id: str = ""
    trace_state: str = ""
    status: Status | None = None

    @property
    def plain(self) -> dict[str, object]:
        """The attributes."""
        return plain(self.attributes)


class LogRecord(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`opentelemetry.proto.logs.v1.LogRecord`, as far as it is used."""

    time_unix_nano: str
    observed_time_unix_nano: str
    severity_number: int
    severity_text: str
    body: AnyValue
    attributes: list[KeyValue]
    trace_id: str = ""
    span_id: str = ""
    flags: int = 0
    event_name: str = ""

    @property
    def plain(self) -> dict[str, object]:
        """The attributes."""
        return plain(self.attributes)


class ScopeSpans(msgspec.Struct, forbid_unknown_fields=True):
    """Spans of one scope."""

    scope: Scope
    spans: list[Span]


class ResourceSpans(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Spans of one resource."""

    resource: Resource
    scope_spans: list[ScopeSpans]


class ScopeLogs(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Log records of one scope."""

    scope: Scope
    log_records: list[LogRecord]


class ResourceLogs(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Log records of one resource."""

    resource: Resource
    scope_logs: list[ScopeLogs]


class Traces(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`ExportTraceServiceRequest`."""

    resource_spans: list[ResourceSpans]


class Logs(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`ExportLogsServiceRequest`."""

    resource_logs: list[ResourceLogs]


_TRACES: Final = msgspec.json.Decoder(Traces)
_LOGS: Final = msgspec.json.Decoder(Logs)


def plain(attributes: list[KeyValue]) -> dict[str, object]:
    """Attributes as a dictionary; none is there twice."""
    found = {each.key: each.value.plain for each in attributes}
    assert len(found) == len(attributes)
    return found


def read_spans(body: bytes) -> list[Span]:
    """Read the spans of a request."""
    otlp_protobuf.read_traces(body)
    return [
        span
        for resource in _TRACES.decode(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def read_logs(body: bytes) -> list[LogRecord]:
    """Read the log records of a request."""
    otlp_protobuf.read_logs(body)
    return [
        record
        for resource in _LOGS.decode(body).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def tool_call(**changes: Any) -> ToolCall:
    """A successful call of a tool."""
    made = ToolCall(
        record_id=make_record().id, position=1, started_at_us=START_US, created_at_us=START_US, tool_name="add",
        server_label="demo", status="success", latency_us=1500, cost_usd=0.25, rpc_id='"7"', session="ab12",
        metadata=b'{"method": "tools/call", "protocol_version": "2025-11-25"}', arguments=(
            b'{"secret": 1}'
        ),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


@dataclass(frozen=True, slots=True)
class Received:
    """One request, and what was answered."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int


Plan = Callable[[str, bytes, int], web.Response]
"""Answers a request: its path, its body, and how many came before it."""


def take(path: str, body: bytes, before: int) -> web.Response:
    """Take everything."""
    return web.json_response({})


@dataclass
class Receiver:
    """What came, in order. `app` is to be run."""

    plan: Plan = take
    received: list[Received] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def app(self) -> web.Application:
        """Return the application that receives."""
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/{path:.*}", self._receive)
        return app

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("content-encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        with self.lock:
            answer = self.plan(request.path, body, len(self.received))
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.received.append(Received(request.path, headers, body, answer.status))

        return answer

    def spans(self, status: int = 200) -> list[Span]:
        """The spans of all requests that were answered so."""
        with self.lock:
            taken = [
                each.body
                for each in self.received
                if each.path == "/v1/traces" and each.status == status
            ]

        return [span for body in taken for span in read_spans(body)]

    def logs(self) -> list[LogRecord]:
        """The log records of all requests that were taken."""
        with self.lock:
            taken = [
                each.body
                for each in self.received
                if each.path == "/v1/logs" and each.status == 200
            ]

        return [record for body in taken for record in read_logs(body)]
