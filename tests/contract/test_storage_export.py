"""What the export to OpenTelemetry reads, over every backend: own records in order, and their tool
calls.
"""

import itertools
from typing import Any

from proxy.otel.exporter import Exporter, Progress
from proxy.otel.reading import Reader
from proxy.otel.requests import Signal, write_request
from storage.record import Batch, Entry, format_id
from tests.contract.listing import settled
from tests.contract.test_storage_tools import make_call
from tests.storage.samples import make_record
from tests.support.filters import make_filter
from tests.support.otlp import read_spans
from tests.support.otlp_sender import FakeSender

TRACE = "0af7651916cd43dd8448eb211c80319c"


def reader_of(store: Any, max_records: int = 3) -> Reader:
    """A reader of one sidecar's records."""
    return Reader(store, "sidecar-1", max_records=max_records)


async def test_own_records_are_read_in_order(store: Any) -> None:
    """Page after page, to the end and not beyond; events too, those of other sidecars not."""
    records = [
        make_record(instance="other" if number % 4 == 3 else "sidecar-1") for number in range(9)
    ]
    records[2].kind = "event"
    records[2].name = "start"
    records[2].data = b"{}"
    await store.commit(Batch("sidecar-1", [Entry(record) for record in records]))
    reader = reader_of(store)
    own = [record.seq for record in records[:8] if record.instance == "sidecar-1"]
    read = []
    after = 0

    end = records[7].seq
    while after < end:
        page = await reader.read("logs", after, end)
        assert page.end > after
        read += [item.seq for item in page.items]
        after = page.end

    assert read == own
    assert after == end
    assert await reader.count() == len(own) + 1


async def test_tool_calls_are_read_with_their_records(store: Any) -> None:
    """In the trace of the exchange that asked, also where another one brought the answer."""
    asking = make_record(trace_id=TRACE, span_id="b7ad6b7169203331")
    answering = make_record()
    plain = make_record()
    gone = make_record()
    calls = [
        make_call(record_id=answering.id, tool_name="own"),
        make_call(record_id=asking.id, tool_name="asked"),
        make_call(record_id=gone.id, tool_name="orphan"),
    ]
    await store.commit(Batch("sidecar-1", [Entry(asking)]))
    await store.commit(Batch("sidecar-1", [Entry(answering, None, calls), Entry(plain)]))
    page = await reader_of(store).read("traces", asking.seq, plain.seq)
    assert [len(item.encoded) for item in page.items] == [4, 1]
    spans = {span.name: span for span in read_spans(write_request("traces", page.items))}
    assert spans["tools/call own"].trace_id == answering.id.hex()
    assert spans["tools/call asked"].trace_id == TRACE
    assert spans["tools/call asked"].parent_span_id == asking.id[8:].hex()
    assert spans["tools/call orphan"].trace_id == gone.id.hex()


async def test_an_export_goes_on_where_it_ended(store: Any) -> None:
    """The position is in the store; what was erased before it was sent is missed."""
    receiver = FakeSender()
    stored = 0

    async def export(signal: Signal = "traces") -> Exporter:
        exporter = Exporter(
            signal, reader_of(store), receiver.send, store, stored_records=lambda: stored, max_bytes=1 << 20,
            interval_s=1.0, start=Progress(0, 0), clock=map(float, itertools.count(0, 100)).__next__,
        )  # fmt: skip
        # Where numbers may be ahead of the clock, it waits a minute before it misses any.
        for _ in range(2):
            await settled(store)
            await exporter.step()
        return exporter

    first = [make_record() for _ in range(4)]
    await store.commit(Batch("sidecar-1", [Entry(record) for record in first]))
    stored = 4
    await export()
    second = [make_record(), make_record(path="/secret"), make_record()]
    await store.commit(Batch("sidecar-1", [Entry(record) for record in second]))
    stored = 7
    await store.erase(make_filter(path_contains="/secret"))
    assert (await export()).counters.missed_records == 1
    sent = [*first, second[0], second[2]]
    assert receiver.taken == [format_id(record.id) for record in sent]
    assert (await export()).counters.missed_records == 0
    assert len(receiver.requests) == 3
