"""Spans of exchanges and of tool calls."""

from typing import Any

import msgspec
import pytest

from proxy.http1.trace_context import context_of
from proxy.otel import telemetry
from proxy.otel.telemetry import exchange_span, span_id_of, tool_span
from storage.record import format_id, level_of
from tests.storage.samples import START_US, make_record
from tests.support.cases import each_of
from tests.support.otlp import Span, tool_call

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def read(span: telemetry.Span) -> Span:
    """A span as a receiver reads it."""
    return msgspec.json.decode(msgspec.json.encode(span), type=Span)


def test_a_span_lasts_as_long_as_its_exchange() -> None:
    """From the start by the wall clock, by the monotonic duration."""
    record = make_record(
        started_at_us=START_US, duration_us=2500, status=200, outcome="ok", error_type=None
    )
    span = read(exchange_span(record))
    assert (int(span.start_time_unix_nano), int(span.end_time_unix_nano)) == (
        START_US * 1000,
        START_US * 1000 + 2500000,
    )
    assert (span.kind, span.status) == (2, None)


@each_of(
    ("status", "outcome", "code"), [(200, "ok", None), (404, "ok", 2), (None, "upstream_error", 2)]
)
def test_an_outgoing_call_is_a_span_of_a_client(
    status: int | None, outcome: str, code: int | None
) -> None:
    """To which an answer of 404 is an error."""
    record = make_record(
        direction="out", status=status, outcome=outcome, error_type=None, method="GET",
        level=level_of(status, outcome), endpoint="api.a.test/items/{id}", provider=None,
    )  # fmt: skip
    span = read(exchange_span(record))
    assert (span.kind, span.name) == (3, "GET api.a.test/items/{id}")
    assert (span.status and span.status.code) == code


def test_without_a_trace_the_id_makes_one() -> None:
    """The same one each time."""
    record = make_record(trace_id=None, span_id=None)
    span = read(exchange_span(record))
    assert (span.trace_id, span.parent_span_id) == (record.id.hex(), "")
    assert span.flags == 0x101
    assert exchange_span(record) == exchange_span(record)


def test_a_context_that_was_made_for_the_upstream_is_the_span_itself() -> None:
    """So that what the upstream tells is below it."""
    record = make_record()
    record.trace_id, record.span_id = context_of(record.id)
    span = read(exchange_span(record))
    assert (span.trace_id, span.span_id, span.parent_span_id) == (*context_of(record.id), "")


@each_of(
    ("changes", "name"),
    [
        ({"method": "GET", "endpoint": "/items/{id}"}, "GET /items/{id}"),
        ({"method": "GET", "endpoint": None}, "GET"),
        ({"method": "BREW", "endpoint": "/pot"}, "HTTP /pot"),
        ({"method": None, "endpoint": None}, "HTTP"),
        ({"provider": "openai", "model": "gpt", "path": "/v1/chat/completions"}, "chat gpt"),
        ({"provider": "openai", "model": None, "path": "/v1/embeddings"}, "embeddings"),
    ],
)
def test_names_are_few(changes: dict[str, Any], name: str) -> None:
    """Method and template, or operation and model."""
    assert read(exchange_span(make_record(**{"provider": None, **changes}))).name == name


@each_of(
    ("changes", "message"),
    [
        ({"status": 500, "outcome": "ok"}, "500"),
        (
            {"status": 502, "outcome": "upstream_error", "error_type": "upstream_refused"},
            "upstream_refused",
        ),
        ({"status": 200, "outcome": "truncated"}, "truncated"),
        ({"status": 404, "outcome": "ok"}, None),
        ({"status": 499, "outcome": "client_closed"}, None),
        ({"status": 200, "error_type": "server_error", "level": "error"}, "server_error"),
        ({"status": 200, "error_type": "jsonrpc_invalid_params", "level": "warn"}, None),
    ],
)
def test_a_broken_exchange_is_an_error(changes: dict[str, Any], message: str | None) -> None:
    """What the client did wrong is none, as the conventions of HTTP have it for servers."""
    graded = {
        "level": level_of(changes["status"], changes.get("outcome", "ok")),
        "error_type": None,
    }
    status = read(exchange_span(make_record(**graded | changes))).status
    assert (status and (status.code, status.message)) == (message and (2, message))


def test_a_tool_call_is_a_span_below_its_exchange() -> None:
    """With the names of MCP; arguments and result stay in the store."""
    call = tool_call()
    span = read(tool_span(call, TRACE))
    assert (span.trace_id, span.parent_span_id, span.name) == (
        TRACE,
        span_id_of(call.record_id),
        "tools/call add",
    )
    assert int(span.end_time_unix_nano) - int(span.start_time_unix_nano) == 1_500_000
    assert span.plain == {
        "mcp.method.name": "tools/call", "mcp.session.id": "ab12", "mcp.protocol.version": "2025-11-25",
        "jsonrpc.request.id": "7", "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "add",
        "network.protocol.name": "http", "network.transport": "tcp", "sidelog.record.id": format_id(call.record_id),
        "sidelog.mcp.server": "demo", "sidelog.cost_usd": 0.25,
    }  # fmt: skip
    assert (
        span.span_id
        != read(tool_span(tool_call(record_id=call.record_id, position=2), TRACE)).span_id
    )
    assert span.span_id == read(tool_span(call, TRACE)).span_id


@each_of(
    ("details", "kind", "code"),
    [
        (
            b'{"error": {"type": "invalid_params", "code": "-32602", "message": "secret"}}',
            "-32602",
            "-32602",
        ),
        (b'{"error": {"type": "tool_error"}}', "tool_error", None),
        (b'{"error": {"code": "", "type": "b"}}', "b", ""),
        (b"no JSON", "tool_error", None),
        (b"[" * 60_000, "tool_error", None),
        (None, "tool_error", None),
    ],
)
def test_a_failed_tool_call_is_an_error(details: bytes | None, kind: str, code: str | None) -> None:
    """Its type and the code of JSON-RPC are told, the words of the server are not."""
    span = read(tool_span(tool_call(status="error", error_details=details, latency_us=None), TRACE))
    assert span.status is not None
    assert span.status.code == 2
    assert (span.plain["error.type"], span.plain.get("rpc.response.status_code")) == (kind, code)
    assert span.end_time_unix_nano == span.start_time_unix_nano
    assert "secret" not in str(span)


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        (1, ""),
        (2, "ot=th:8"),
        (4, "ot=th:c"),
        (10, "ot=th:e6666666666668"),
        (1_000_000, "ot=th:ffffef39085f48"),
    ],
)
def test_a_span_of_a_sample_tells_the_threshold(weight: float, expected: str) -> None:
    """From which receivers know for how many it stands; so does its log record, and the span of its
    tool call.
    """
    record = make_record(weight=weight)
    assert read(exchange_span(record)).trace_state == expected
    assert (
        read(tool_span(tool_call(record_id=record.id, weight=weight), "0" * 31 + "1")).trace_state
        == expected
    )
    log = telemetry.log_record(record)
    assert log is not None
    assert (b"sampling.threshold" in bytes(log["attributes"])) == (weight != 1)  # type: ignore[call-overload]
    if weight != 1:
        threshold = int(expected.removeprefix("ot=th:").ljust(14, "0"), 16)
        assert (1 << 56) / ((1 << 56) - threshold) == pytest.approx(weight)
