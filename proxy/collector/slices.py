"""Slices of a ring become records: each entry leads to exactly one step of its source's position.

An entry becomes a record, or a drop with its reason. A slice gives way to the loop when it takes long, and what would
take very long is built in a thread.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from proxy.collector.sources import Source
from proxy.enrich.http.bodies import TooLong
from proxy.ring.descriptor import Descriptor
from proxy.ring.exchange import KIND_EXCHANGE, CapturedExchange
from proxy.ring.ring import RingEntry
from proxy.ring.websocket_message import KIND_MESSAGE, CapturedMessage, decode_message
from storage.record import Entry
from storage.writer.writer import Writer

log = logging.getLogger(__name__)

ENTRY_BYTES: Final = 2048
"""Taken by an entry in memory beside its sections (measured, bench/store_away.py)."""
SLICE_S: Final = 0.002
"""A slice is interrupted after so long: strange bodies cost a hundred times what plain ones do."""
LOOP_BYTES: Final = 64 * 1024
"""An exchange with more of it is built in a thread, at 0.2 us a byte for the worst of bodies."""


class RecordBuilder(Protocol):
    """Makes records; implemented by `proxy.enrich.records`."""

    def build(self, captured: CapturedExchange, descriptor: Descriptor, limit_bytes: int = ...) -> Entry:
        """Return the record of an exchange.

        Raises:
            TooLong: it would take long, because more than `limit_bytes` come out of a coded body.
        """
        ...

    def message(self, captured: CapturedMessage, descriptor: Descriptor) -> Entry:
        """Return the event of a WebSocket message."""
        ...


class SliceReader:
    """Hands the records of slices to the writer."""

    def __init__(self, builder: RecordBuilder, writer: Writer, observe: Callable[[list[Entry]], None]) -> None:
        """`observe` is called with everything that becomes a record."""
        self._builder = builder
        self._writer = writer
        self._observe = observe

    async def take(self, source: Source, slice_: list[RingEntry]) -> None:
        """Take a slice in order, in runs; giving way to the loop ends one, and so does what cannot be read."""
        run = _Run()
        pause_at_s = time.monotonic() + SLICE_S
        for raw in slice_:
            try:
                try:
                    entry = self._build(source, raw)
                except TooLong:
                    self._flush(source, run)
                    # What is behind it waits: positions move in order. Cancelled, the entry stays in the ring.
                    captured = CapturedExchange(raw[1], raw[2])
                    entry = await asyncio.to_thread(self._builder.build, captured, source.descriptor)
                    pause_at_s = time.monotonic() + SLICE_S
            except Exception:  # whatever is wrong with one record, the next is read
                log.exception("a ring entry could not be read and was dropped")
                self._flush(source, run)
                source.drop(raw[3], "poison")
                continue
            run.entries.append(entry)
            run.ends.append(raw[3])
            run.size_bytes += len(raw[2]) + ENTRY_BYTES
            if time.monotonic() > pause_at_s:  # 45 ns an entry
                self._flush(source, run)
                await asyncio.sleep(0)
                pause_at_s = time.monotonic() + SLICE_S
        self._flush(source, run)

    def _flush(self, source: Source, run: "_Run") -> None:
        if not run.entries:
            return
        self._observe(run.entries)
        self._writer.extend(run.entries, run.size_bytes, source.take(run.ends))
        run.entries, run.ends, run.size_bytes = [], [], 0

    def _build(self, source: Source, raw: RingEntry) -> Entry:
        """Return the record of an entry.

        Raises:
            TooLong: it would take long.
        """
        kind, header, sections, _ = raw
        if kind == KIND_EXCHANGE:
            if len(sections) > LOOP_BYTES:
                raise TooLong
            return self._builder.build(CapturedExchange(header, sections), source.descriptor, LOOP_BYTES)
        if kind == KIND_MESSAGE:
            return self._builder.message(decode_message(header, sections), source.descriptor)
        raise ValueError(f"unknown ring entry kind {kind}")


class _Run:
    """Entries of one ring that go to the writer together."""

    __slots__ = ("ends", "entries", "size_bytes")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.ends: list[int] = []
        self.size_bytes = 0
