"""OTLP data of a record: spans of exchanges and of their MCP tool calls, and log records.

Each exchange becomes a log record within its span, and so does each event that sidelog reports.
WebSocket messages are events as well, but they are left out: they are content like bodies, which
stay in the store.

Ids are derived from the record's id, so a batch that is sent twice has the same spans, and a
record's id leads to its span. An exchange with a valid `traceparent` is a child of that span. With
`[proxy] trace_context` the upstream gets the id of our own span, so its spans are our children.
"""

import hashlib
from typing import Final

import msgspec

from proxy.otel import attributes
from storage.record import MESSAGE_EVENTS, Record, ToolCall, format_id

Span = dict[str, object]
LogRecord = dict[str, object]

_SERVER: Final = 2
_CLIENT: Final = 3
_ERROR: Final = 2
_SAMPLED: Final = 0x101
"""Flags: W3C `sampled`, and "it is known whether the parent is remote"; here it is not, or does not
exist.
"""
_REMOTE_PARENT: Final = 0x200
_THRESHOLD_BITS: Final = 56
_SEVERITIES: Final = {"debug": 5, "info": 9, "warn": 13, "error": 17}
"""Severity numbers of the log data model: the lowest of each range."""


def span_id_of(record_id: bytes) -> str:
    """Return the span id of a record: its last eight bytes, never zero
    (`proxy/http1/trace_context.py`).
    """
    return record_id[8:].hex()


def trace_id_of(record: Record) -> str:
    """Return the trace id of a record: the one in its request's head, else its own id."""
    return record.trace_id or record.id.hex()


def exchange_span(record: Record) -> Span:
    """Return the OpenTelemetry span of an exchange."""
    own_id = span_id_of(record.id)
    if record.trace_id and record.span_id != own_id:
        parent_id = record.span_id
    else:
        parent_id = None
    span: Span = {
        "traceId": trace_id_of(record),
        "spanId": own_id,
        "flags": _SAMPLED | (_REMOTE_PARENT if parent_id else 0),
        "name": attributes.plain(_name_of(record)),
        "kind": _SERVER if record.direction == "in" else _CLIENT,
        "startTimeUnixNano": str(record.started_at_us * 1000),
        "endTimeUnixNano": str((record.started_at_us + record.duration_us) * 1000),
        "attributes": attributes.encode_attributes(attributes.exchange_attributes(record)),
    }
    if parent_id:
        span["parentSpanId"] = parent_id
    if record.weight != 1:
        span["traceState"] = f"ot=th:{threshold_of(record.weight)}"
    error_type = attributes.error_type(record) or ""
    if record.level == "error" or (record.direction == "out" and error_type):
        span["status"] = {"code": _ERROR, "message": attributes.plain(error_type)}

    return span


def tool_span(call: ToolCall, trace_id: str) -> Span:
    """Return the span of a tool call, within the trace of the exchange that asked for it."""
    failure = _members(_members(call.error_details).get("error"))
    digest = hashlib.sha256(call.record_id + call.position.to_bytes(8, "big")).digest()
    span: Span = {
        "traceId": trace_id,
        "spanId": digest[:8].hex(),
        "parentSpanId": span_id_of(call.record_id),
        "flags": _SAMPLED,
        "name": attributes.plain(f"tools/call {call.tool_name}"),
        "kind": _CLIENT,
        "startTimeUnixNano": str(call.started_at_us * 1000),
        "endTimeUnixNano": str((call.started_at_us + (call.latency_us or 0)) * 1000),
        "attributes": attributes.encode_attributes(_tool_attributes(call, failure)),
    }
    if call.weight != 1:
        span["traceState"] = f"ot=th:{threshold_of(call.weight)}"
    if call.status == "error":
        span["status"] = {"code": _ERROR, "message": attributes.plain(_text(failure, "type") or "")}
    return span


def threshold_of(weight: float) -> str:
    """Return a sampling weight as the threshold below which random numbers were rejected.

    OpenTelemetry, "TraceState: Probability Sampling": 14 hexadecimal digits, without trailing
    zeros. Receivers count 2**56 / (2**56 - threshold) of each span. Our decision did not use the
    trace's own random number.
    """
    threshold = round((1 - 1 / weight) * (1 << _THRESHOLD_BITS))
    return f"{threshold:014x}".rstrip("0") or "0"


def _tool_attributes(call: ToolCall, failure: dict[str, object]) -> attributes.Attributes:
    is_error = call.status == "error"
    return {
        "mcp.method.name": "tools/call",
        "mcp.session.id": call.session,
        "mcp.protocol.version": _text(_members(call.metadata), "protocol_version"),
        "jsonrpc.request.id": None if call.rpc_id is None else call.rpc_id.strip('"'),
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": call.tool_name,
        "network.protocol.name": "http",
        "network.transport": "tcp",
        "rpc.response.status_code": _text(failure, "code"),
        "error.type": (_text(failure, "code") or _text(failure, "type") or "tool_error")
        if is_error
        else None,
        "sidelog.record.id": format_id(call.record_id),
        "sidelog.mcp.server": call.server_label,
        "sidelog.cost_usd": call.cost_usd or None,
    }


def _name_of(record: Record) -> str:
    """Return the name of a span from fields with few values: operation and model, or method and
    path template.
    """
    if record.provider is not None:
        return " ".join(filter(None, (attributes.operation_of(record), record.model)))
    if record.grpc is not None and record.path:
        return (record.endpoint or record.path).removeprefix("/")

    method = attributes.known_method(record)
    if method in (None, attributes.OTHER_METHOD):
        method = "HTTP"
    else:
        method = method
    return " ".join(filter(None, (method, record.endpoint)))


def _members(value: object) -> dict[str, object]:
    """Return the members of an object, or of a JSON document that is an object; otherwise none."""
    if isinstance(value, bytes):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            return {}
    if isinstance(value, dict):
        return value
    return {}


def _text(members: dict[str, object], name: str) -> str | None:
    value = members.get(name)
    if isinstance(value, str | int):
        return str(value)
    return None


def log_record(record: Record) -> LogRecord | None:
    """Return the log record of a record; None for a record that stays in the store."""
    if record.kind == "exchange":
        return _common(record, record.started_at_us + record.duration_us) | {
            "body": {"stringValue": attributes.plain(_line(record))},
            "attributes": attributes.encode_attributes(
                attributes.exchange_attributes(record) | _sampling(record)
            ),
            "traceId": trace_id_of(record),
            "spanId": span_id_of(record.id),
            "flags": 1,  # W3C sampled
        }
    if record.name in MESSAGE_EVENTS:
        return None
    return _common(record, record.started_at_us) | {
        "eventName": f"sidelog.{record.name}",
        "body": {"stringValue": attributes.plain((record.data or b"").decode("utf-8", "replace"))},
        "attributes": attributes.encode_attributes(attributes.event_attributes(record)),
    }


def _sampling(record: Record) -> attributes.Attributes:
    """Return the sampling threshold as an attribute: unlike a span, a log record has no trace
    state.
    """
    if record.weight == 1:
        return {}
    return {"sampling.threshold": threshold_of(record.weight)}


def _common(record: Record, at_us: int) -> LogRecord:
    return {
        "timeUnixNano": str(at_us * 1000),
        "observedTimeUnixNano": str(record.ended_at_us * 1000),
        "severityNumber": _SEVERITIES[record.level],
        "severityText": record.level.upper(),
    }


def _line(record: Record) -> str:
    """Describe an exchange in one line, with its target, status and outcome."""
    target = record.path or ""
    if record.query:
        target += f"?{record.query}"
    if record.status is None:
        status = ""
    else:
        status = str(record.status)
    if record.outcome == "ok":
        outcome = ""
    else:
        outcome = record.outcome
    return " ".join(filter(None, (record.method, target, status, outcome)))
