"""Log records of OTLP: one of each exchange, within its span, and one of each event that sidelog tells. Pure.

What a WebSocket carried is an event, too, and is left out: it is content, as bodies are, and those stay in the store.
"""

from typing import Final

from proxy.otel.attributes import encode_attributes, event_attributes, exchange_attributes, plain
from proxy.otel.spans import span_id_of, trace_id_of
from storage.record import MESSAGE_EVENT, Record

LogRecord = dict[str, object]

_SEVERITIES: Final = {"debug": 5, "info": 9, "warn": 13, "error": 17}
"""Numbers of the data model of logs: the lowest of each range."""
_SAMPLED: Final = 1


def log_record(record: Record) -> LogRecord | None:
    """Return the log record of a record; None of one that stays in the store."""
    if record.kind == "exchange":
        return _common(record, record.started_at_us + record.duration_us) | {
            "body": {"stringValue": plain(_line(record))},
            "attributes": encode_attributes(exchange_attributes(record)),
            "traceId": trace_id_of(record),
            "spanId": span_id_of(record.id),
            "flags": _SAMPLED,
        }
    if record.name == MESSAGE_EVENT:
        return None
    return _common(record, record.started_at_us) | {
        "eventName": f"sidelog.{record.name}",
        "body": {"stringValue": plain((record.data or b"").decode("utf-8", "replace"))},
        "attributes": encode_attributes(event_attributes(record)),
    }


def _common(record: Record, at_us: int) -> LogRecord:
    return {
        "timeUnixNano": str(at_us * 1000),
        "observedTimeUnixNano": str(record.ended_at_us * 1000),
        "severityNumber": _SEVERITIES[record.level],
        "severityText": record.level.upper(),
    }


def _line(record: Record) -> str:
    """Write what happened in one line."""
    target = record.path or ""
    if record.query:
        target += f"?{record.query}"
    status = "" if record.status is None else str(record.status)
    outcome = "" if record.outcome == "ok" else record.outcome
    return " ".join(filter(None, (record.method, target, status, outcome)))
