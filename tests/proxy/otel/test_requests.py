"""Requests: batches of bounded size, gathered by service."""

import msgspec

from proxy.otel.requests import Call, Item, count, make_item, next_batch, write_request
from proxy.otel.telemetry import span_id_of
from tests.storage.samples import make_record
from tests.support.cases import each_of
from tests.support.otlp import Logs, Traces, plain, read_logs, read_spans, tool_call

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_spans_are_gathered_by_service() -> None:
    """One resource for each, however they are mixed; the scope is ours."""
    records = [make_record(service=name) for name in ("a", "b", "a", None)]
    body = write_request("traces", [make_item("traces", record, ()) for record in records])
    read = msgspec.json.decode(body, type=Traces)
    by_service = {
        plain(each.resource.attributes)["service.name"]: [
            span.span_id for span in each.scope_spans[0].spans
        ]
        for each in read.resource_spans
    }
    ids = [span_id_of(record.id) for record in records]
    assert by_service == {"a": [ids[0], ids[2]], "b": [ids[1]], "sidelog": [ids[3]]}
    assert {each.scope_spans[0].scope.name for each in read.resource_spans} == {"sidelog"}


def test_tool_calls_come_with_their_exchange() -> None:
    """In the trace of the exchange that asked for them."""
    item = make_item("traces", make_record(), (Call(tool_call(), TRACE),))
    assert count([item]) == 2
    assert read_spans(write_request("traces", [item]))[1].trace_id == TRACE


def test_events_are_logs_only() -> None:
    """A record of which nothing is sent counts as an item without content."""
    event = make_record(kind="event", name="gap", data=b"{}")
    assert make_item("traces", event, ()).encoded == ()
    logs = [make_item("logs", record, ()) for record in (event, make_record())]
    body = write_request("logs", logs)
    assert [record.event_name for record in read_logs(body)] == ["sidelog.gap", ""]
    assert (
        msgspec.json.decode(body, type=Logs).resource_logs[0].scope_logs[0].scope.name == "sidelog"
    )


def item(size_bytes: int) -> Item:
    """An item of a size."""
    return Item(1, 0, b"", (b"x" * size_bytes,))


@each_of(
    ("sizes", "max_items", "expected"),
    [
        ([50, 50, 1], 9, 2), ([200], 9, 1), ([200, 1], 9, 1), ([1, 200, 1], 9, 1), ([0, 0, 100], 9, 3),
        ([0, 0, 0], 2, 2), ([0, 0, 0], 1, 1), ([], 9, 0),
    ],
)  # fmt: skip
def test_batches_are_bounded(sizes: list[int], max_items: int, expected: int) -> None:
    """In bytes and in items, none empty; what is larger stands alone."""
    assert len(next_batch([item(size) for size in sizes], 100, max_items)) == expected
