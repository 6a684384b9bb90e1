"""Log records of exchanges and events."""

import msgspec
import pytest

from proxy.otel.telemetry import exchange_span, log_record
from storage.record import MESSAGE_EVENT, Record
from tests.storage.samples import START_US, make_record
from tests.support.otlp import LogRecord, Span


def read(record: Record) -> LogRecord:
    """The log record of a record, as a receiver reads it."""
    return msgspec.json.decode(msgspec.json.encode(log_record(record)), type=LogRecord)


def test_an_exchange_is_a_line_within_its_span() -> None:
    """Trace, span and attributes are those of the span; the time is that of its end."""
    record = make_record(
        method="GET", path="/a", query="b=1", status=404, level="warn", outcome="ok", duration_us=7
    )
    told = read(record)
    span = msgspec.json.decode(msgspec.json.encode(exchange_span(record)), type=Span)
    assert (told.trace_id, told.span_id, told.plain) == (span.trace_id, span.span_id, span.plain)
    assert told.time_unix_nano == span.end_time_unix_nano
    assert told.body.plain == "GET /a?b=1 404"
    assert (told.severity_text, told.severity_number, told.event_name) == ("WARN", 13, "")


@pytest.mark.parametrize(
    ("outcome", "line"), [("ok", "GET /"), ("client_closed", "GET / client_closed")]
)
def test_an_odd_end_is_in_the_line(outcome: str, line: str) -> None:
    """An ordinary one is not."""
    record = make_record(method="GET", path="/", query=None, status=None, outcome=outcome)
    assert read(record).body.plain == line


def test_an_event_is_told_with_its_data() -> None:
    """It belongs to no span."""
    record = make_record(
        kind="event", name="gap", data=b'{"count": 3}', level="error", started_at_us=START_US, method=None, status=None
    )  # fmt: skip
    told = read(record)
    assert (told.event_name, told.body.plain, told.trace_id) == ("sidelog.gap", '{"count": 3}', "")
    assert (told.severity_number, int(told.time_unix_nano)) == (17, START_US * 1000)


def test_what_a_websocket_carried_stays_in_the_store() -> None:
    """It is content."""
    assert log_record(make_record(kind="event", name=MESSAGE_EVENT, data=b"secret")) is None
