"""Turns slices of a ring into records. Each entry moves the position of its source exactly once.

An entry becomes a record, or a drop with its reason. A slice that takes long yields to the loop,
and a large exchange is built in a thread.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from proxy.collector.rings.capture_rules import CaptureRules
from proxy.collector.rings.sources import Source
from proxy.enrich.http.bodies import TooLong
from proxy.enrich.records import RecordBuilder
from proxy.enrich.stages import stage, without_frames
from proxy.ring.descriptor import Descriptor
from proxy.ring.exchange import KIND_EXCHANGE, CapturedExchange
from proxy.ring.message import decode_message
from proxy.ring.ring import RingEntry
from storage.record import Entry
from storage.relational.blocks.portions import data_bytes
from storage.writer.writer import Writer

log = logging.getLogger(__name__)

ENTRY_BYTES: Final = 2048
"""Memory of an entry in addition to its texts and data (measured)."""
SLICE_S: Final = 0.008
"""Time after which a slice yields to the loop: unusual bodies cost a hundred times what plain ones
do.
"""
STAGE_RECORDS: Final = 128
"""Number of exchanges that go through a stage together, so that its code and tables stay in the
caches.
"""
STAGE_BYTES: Final = 128 * 1024
"""Size from which a stage takes no further exchange: some bodies take long to decode."""
LOOP_BYTES: Final = 64 * 1024
"""Size of the largest exchange that is built on the loop; larger ones are built in a thread. A
lower limit would make pictures and base64 of this size half as dear again. The worst of bodies take
3 us a byte.
"""


Observer = Callable[[list[Entry]], None]


class SliceReader:
    """Hands the records of slices to the writer."""

    def __init__(
        self,
        builder: RecordBuilder,
        writer: Writer,
        observers: Sequence[Observer],
        rules: CaptureRules | None,
    ) -> None:
        """`observers` are called with every record, including those that the rules leave out."""
        self._builder = builder
        self._rules = rules
        self._writer = writer
        self._observers = observers

    async def take(self, source: Source, slice_: list[RingEntry]) -> None:
        """Add the records of a slice to the writer, in order. A run of entries ends at a pause and
        at an entry that cannot be read.
        """
        run = _Run()
        is_behind = False
        pause_at_s = time.monotonic() + SLICE_S

        for raw, entry in zip(slice_, self._built(source, slice_), strict=True):
            if isinstance(entry, TooLong):
                self._flush(source, run)
                # Later entries wait, since positions move in order. If this is cancelled, the
                # entry stays in the ring.
                entry = await self._built_apart(source, raw)
                pause_at_s = time.monotonic() + SLICE_S

            if isinstance(entry, Exception):  # one bad record must not stop the next
                log.error("a ring entry could not be read and was dropped", exc_info=entry)
                self._flush(source, run)
                source.drop(raw[3], "poison")
                continue

            kept = entry if self._rules is None else self._rules.apply(entry)
            if kept is None:
                self._flush(source, run)
                self._observe([entry])
                source.leave_out(raw[3])
                is_behind = True
                continue

            entry = kept
            is_behind = False
            run.entries.append(entry)
            run.ends.append(raw[3])
            run.size_bytes += max(len(raw[2]), data_bytes(entry)) + ENTRY_BYTES

            if time.monotonic() > pause_at_s:  # 45 ns an entry
                self._flush(source, run)
                await asyncio.sleep(0)
                pause_at_s = time.monotonic() + SLICE_S

        self._flush(source, run)
        if is_behind:  # no record follows that would take the position along
            self._writer.advance(source.id, source.position)

    def _observe(self, entries: list[Entry]) -> None:
        for observe in self._observers:
            observe(entries)

    def _flush(self, source: Source, run: "_Run") -> None:
        if not run.entries:
            return
        self._observe(run.entries)
        self._writer.extend(run.entries, run.size_bytes, source.take(run.ends))
        run.entries = []
        run.ends = []
        run.size_bytes = 0

    def _built(self, source: Source, slice_: list[RingEntry]) -> Iterator[Entry | Exception]:
        """Yield the records of a slice, lazily; an exception stands for an entry that cannot be
        built here.
        """
        start = 0
        while start < len(slice_):
            part = _stage_of(slice_, start)
            if part:
                yield from self._builder.build_each(part, source.descriptor, LOOP_BYTES)
            else:
                part = slice_[start : start + 1]
                yield from stage(partial(self._message, source.descriptor), part)

            start += len(part)

    async def _built_apart(self, source: Source, raw: RingEntry) -> Entry | Exception:
        """Build the record of a large entry in a thread."""
        try:
            if not _is_exchange(raw):
                message = decode_message(*raw[:3])
                return await asyncio.to_thread(self._builder.message, message, source.descriptor)
            captured = CapturedExchange(raw[1], raw[2])
            return await asyncio.to_thread(self._builder.build, captured, source.descriptor)
        except Exception as error:
            return without_frames(error)

    def _message(self, descriptor: Descriptor, raw: RingEntry) -> Entry:
        return self._builder.message(decode_message(*raw[:3]), descriptor, LOOP_BYTES)


def _stage_of(slice_: list[RingEntry], start: int) -> list[RingEntry]:
    """Return the exchanges that go through a stage together, from `start` on."""
    part: list[RingEntry] = []
    size_bytes = 0
    for raw in slice_[start : start + STAGE_RECORDS]:
        if not _is_exchange(raw) or size_bytes >= STAGE_BYTES:
            break
        part.append(raw)
        size_bytes += len(raw[2])

    return part


def _is_exchange(raw: RingEntry) -> bool:
    return raw[0] == KIND_EXCHANGE


class _Run:
    """Entries of one ring that are added to the writer together."""

    __slots__ = ("ends", "entries", "size_bytes")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.ends: list[int] = []
        self.size_bytes = 0
