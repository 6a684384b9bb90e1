"""Requests of OTLP read by the messages that OpenTelemetry publishes: what they do not know is
refused.

Its JSON is that of protobuf, but for ids, which are hex and not base64 (OTLP, "JSON Protobuf
Encoding").
"""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ID_BYTES: Final = {"traceId": 16, "spanId": 8, "parentSpanId": 8}


def read_traces(body: bytes) -> ExportTraceServiceRequest:
    """Read a request with spans; everything that it says has to be in what was read."""
    read = ParseDict(_with_ids(json.loads(body), _from_hex), ExportTraceServiceRequest())
    _compare(body, ExportTraceServiceRequest.FromString(read.SerializeToString()))
    return read


def read_logs(body: bytes) -> ExportLogsServiceRequest:
    """The same of log records."""
    read = ParseDict(_with_ids(json.loads(body), _from_hex), ExportLogsServiceRequest())
    _compare(body, ExportLogsServiceRequest.FromString(read.SerializeToString()))
    return read


def _compare(body: bytes, read: ExportTraceServiceRequest | ExportLogsServiceRequest) -> None:
    """What is empty is not written in protobuf; all else comes back as it was sent, names and
    digits.
    """
    back = _with_ids(MessageToDict(read, use_integers_for_enums=True), _to_hex)
    assert back == _without_empty_text(json.loads(body))


def _with_ids(request: dict[str, Any], change: Callable[[str, int], str]) -> dict[str, Any]:
    """Change the ids of each span and log record in place."""
    for each in _elements(request):
        for name in ID_BYTES.keys() & each.keys():
            each[name] = change(each[name], ID_BYTES[name])
    return request


def _elements(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the spans or log records of a request."""
    for resource in (*request.get("resourceSpans", ()), *request.get("resourceLogs", ())):
        for scope in (*resource.get("scopeSpans", ()), *resource.get("scopeLogs", ())):
            yield from (*scope.get("spans", ()), *scope.get("logRecords", ()))


def _from_hex(text: str, size_bytes: int) -> str:
    raw = bytes.fromhex(text)
    assert len(raw) == size_bytes, text
    return base64.b64encode(raw).decode()


def _to_hex(text: str, size_bytes: int) -> str:
    return base64.b64decode(text, validate=True).hex()


def _without_empty_text(request: dict[str, Any]) -> dict[str, Any]:
    """Take out the texts without presence that are empty; those of values are there even so."""
    for each in _elements(request):
        for holder in (each, each.get("status", {})):
            for name in [name for name, value in holder.items() if value == ""]:
                del holder[name]
    return request
