"""Read this sidecar's records in order, with their tool calls, as items to send."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from proxy.otel.requests import Call, Item, Signal, make_item
from proxy.otel.telemetry import trace_id_of
from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.query import CountQuery, Filter, RecordQuery
from storage.record import Record, format_id
from storage.search.expression import And, Has, Is

log = logging.getLogger(__name__)

SLICE_S: Final = 0.002
"""Time for which items are encoded before the loop gets a turn."""


@dataclass(frozen=True, slots=True)
class ItemPage:
    """Items of a part of the store."""

    items: list[Item]
    end: int
    """Sequence number up to which there are no further records of this sidecar."""


class Reader:
    """Reads the records that one sidecar has stored."""

    def __init__(self, storage: Storage, instance: str, *, max_records: int = 512) -> None:
        self.instance: Final = instance
        self._storage = storage
        self._max_records = max_records
        self._own = Is("instance", (instance,))

    async def read(self, signal: Signal, after: int, until: int) -> ItemPage:
        """Read a page of the records after `after`, up to `until`, both sequence numbers.

        Raises:
            StorageUnavailable: the store cannot be reached.
        """
        filter = Filter(kind="all", where=self._own, seq_until=until)
        page = await self._storage.read(
            RecordQuery(filter=filter, order="asc", limit=self._max_records, after=after)
        )
        if page.next_after is None and page.complete:
            end = until
        else:
            end = page.next_after or after
        if signal == "traces" and page.records:
            calls = await self._calls(page.records)
        else:
            calls = {}
        items: list[Item] = []
        slice_ends_s = time.monotonic() + SLICE_S

        for record in page.records:
            items.append(self._make(signal, record, calls.get(record.seq, ())))
            if time.monotonic() > slice_ends_s:
                await asyncio.sleep(0)
                slice_ends_s = time.monotonic() + SLICE_S

        return ItemPage(items, end)

    def _make(self, signal: Signal, record: Record, calls: Sequence[Call]) -> Item:
        """Return the item of a record; an empty one after an error, so that no record ends the
        export.
        """
        try:
            return make_item(signal, record, calls)
        except Exception:
            log.exception(
                "bug: nothing can be exported of a record", extra={"record": format_id(record.id)}
            )
            return Item(record.seq, record.ended_at_us, b"{}", ())

    async def count(self) -> int:
        """Return the number of this sidecar's records.

        Raises:
            StorageUnavailable: the store cannot be reached.
        """
        counted = await self._storage.read(CountQuery(Filter(kind="all", where=self._own)))
        return counted.exchanges + counted.events

    async def _calls(self, records: Sequence[Record]) -> dict[int, list[Call]]:
        """Return the tool calls stored with some records, by the `seq` of their record."""
        storage = self._storage
        traces = {record.id: trace_id_of(record) for record in records}
        found: dict[int, list[Call]] = {}

        for record in await self._with_calls(records[0].seq - 1, records[-1].seq):
            for call in await storage.tool_calls_of(record.seq):
                if call.record_id not in traces:
                    asking = await storage.get(call.record_id)
                    traces[call.record_id] = (
                        call.record_id.hex() if asking is None else trace_id_of(asking)
                    )
                found.setdefault(record.seq, []).append(Call(call, traces[call.record_id]))

        return found

    async def _with_calls(self, after: int, until: int) -> list[Record]:
        """Return all records with tool calls in a range, even if records of others use up the time
        budget.
        """
        filter = Filter(kind="all", where=And((self._own, Has("tool"))), seq_until=until)
        found: list[Record] = []
        while True:
            query = RecordQuery(filter=filter, order="asc", limit=self._max_records, after=after)
            page = await self._storage.read(query)
            found += page.records
            if page.complete and page.next_after is None:
                return found
            if page.next_after is None or page.next_after <= after:
                raise StorageUnavailable("the time budget ended before the first record")

            after = page.next_after
