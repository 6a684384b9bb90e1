"""Requests as the messages of OpenTelemetry have them: nothing is unknown, and they say what the
record says.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.json_format import ParseError
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags, Status

from proxy.otel.requests import Call, make_item, write_request
from storage.record import Outcome, Record, Stream, format_id
from tests.storage.samples import make_record
from tests.support.otlp_protobuf import read_logs, read_traces

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def values(attributes: Any) -> dict[str, object]:
    """The attributes of a message; of a list the members."""
    found: dict[str, object] = {}
    for each in attributes:
        assert isinstance(each, KeyValue)
        kind = each.value.WhichOneof("value")
        assert kind is not None, each.key
        value = getattr(each.value, kind)
        found[each.key] = (
            [one.string_value for one in value.values] if kind == "array_value" else value
        )

    return found


def body_of(signal: Any, record: Record, *calls: Call) -> bytes:
    """The request that one record makes."""
    return write_request(signal, [make_item(signal, record, calls)])


def test_a_span_is_the_record() -> None:
    """Ids in bytes, times in nanoseconds, kind and status by the names that OpenTelemetry gives
    them.
    """
    record = make_record(
        trace_id=TRACE, span_id=PARENT, outcome=Outcome.UPSTREAM_TIMEOUT, status=504, level="error", model="m",
        provider="openai",
        stream=Stream(first_content_us=1, frames=1, longest_gap_us=None, finished=True, finish_reason="stop"),
        duration_us=1500,
    )  # fmt: skip
    (resource,) = read_traces(body_of("traces", record)).resource_spans
    (scope,) = resource.scope_spans
    (span,) = scope.spans
    assert values(resource.resource.attributes)["service.name"] == (record.service or "shop")
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.span_id) == (
        TRACE,
        PARENT,
        record.id[8:],
    )
    assert span.start_time_unix_nano == record.started_at_us * 1000
    assert span.end_time_unix_nano - span.start_time_unix_nano == 1_500_000
    assert (span.kind, span.status.code) == (Span.SPAN_KIND_SERVER, Status.STATUS_CODE_ERROR)
    is_known = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
    assert span.flags == is_known | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK | 1
    told = values(span.attributes)
    assert told["sidelog.record.id"] == format_id(record.id)
    assert told["http.response.status_code"] == 504
    assert told["gen_ai.response.finish_reasons"] == ["stop"]


@pytest.mark.parametrize("kind", ["exchange", "event"])
def test_a_log_record_is_the_record(kind: str) -> None:
    """Of an exchange within its trace; of an event without one, and by its name."""
    record = make_record(
        kind=kind, level="warn", name="gap" if kind == "event" else None, data=b'{"lost": 1}'
    )
    ((log,),) = (
        each.scope_logs[0].log_records for each in read_logs(body_of("logs", record)).resource_logs
    )
    assert (log.severity_number, log.severity_text) == (SeverityNumber.SEVERITY_NUMBER_WARN, "WARN")
    assert log.observed_time_unix_nano == record.ended_at_us * 1000

    if kind == "event":
        assert (log.event_name, log.trace_id, log.body.string_value) == (
            "sidelog.gap",
            b"",
            '{"lost": 1}',
        )
    else:
        assert (log.event_name, log.trace_id, log.span_id) == ("", record.id, record.id[8:])


def wrong_name(span: dict[str, Any]) -> None:
    """A member that no span has."""
    span["startTimeUnixMilli"] = "1"


def wrong_kind(span: dict[str, Any]) -> None:
    """A text that is no number."""
    span["startTimeUnixNano"] = "soon"


def short_id(span: dict[str, Any]) -> None:
    """Half an id."""
    span["spanId"] = span["spanId"][:8]


@pytest.mark.parametrize(
    ("spoil", "error"),
    [(wrong_name, ParseError), (wrong_kind, ParseError), (short_id, AssertionError)],
)
def test_what_is_no_otlp_is_refused(
    spoil: Callable[[dict[str, Any]], None], error: type[Exception]
) -> None:
    """The judge of all tests of the export is strict."""
    request = json.loads(body_of("traces", make_record()))
    spoil(request["resourceSpans"][0]["scopeSpans"][0]["spans"][0])
    with pytest.raises(error):
        read_traces(json.dumps(request).encode())
