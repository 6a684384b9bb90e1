"""A worker's half of the pipe without traffic, and a collector's half without an admin port, over
one directory.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from proxy.collector.committed import CommittedPositions
from proxy.collector.internal_events import InternalEvents
from proxy.collector.rings.drain import Drain
from proxy.collector.rings.sources import Sources
from proxy.enrich.records import RecordBuilder
from proxy.process.wakeup import Wakeup
from proxy.ring.counters import CounterLayout
from proxy.ring.descriptor import write_descriptor
from proxy.ring.exchange import Exchange
from proxy.ring.inflight import Caller, InflightWriter
from proxy.ring.message import KIND_GRPC
from proxy.ring.ring import RingWriter
from proxy.ring.segment import Segment
from proxy.settings.model import CaptureRuleSettings, RouteSettings, Settings
from proxy.worker.recorder import Recorder
from storage.ledger import RETIRED_TOTALS, SOURCE_INTERNAL, SOURCE_SPOOL, Ledger, balance, merge
from storage.query import Filter, RecordQuery
from storage.record import Batch, Entry, Position, Record
from storage.writer.attempts import Availability
from storage.writer.backlog import BacklogLimits
from storage.writer.spool import Spool
from storage.writer.spool_replay import SpoolReplay
from storage.writer.writer import Writer
from tests.support.listeners import Listener
from tests.support.memory_store import MemoryStorage

INSTANCE = "sidecar-1"
SETTINGS = Settings(routes=(RouteSettings(id="shop", upstream="http://127.0.0.1:1"),))


class RingWorker:
    """What a worker does with its segment; it is alive until `die`."""

    def __init__(
        self,
        directory: Path | None,
        ring_bytes: int = 1 << 20,
        descriptor: bytes | None = None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a segment in the directory, or an anonymous one; `wake` is called for a collector
        that sleeps.
        """
        layout = CounterLayout(len(SETTINGS.routes))
        self.segment = Segment.create(
            directory,
            write_descriptor(msgspec.to_builtins(SETTINGS)) if descriptor is None else descriptor,
            ring_bytes=ring_bytes,
            counter_cells=layout.size,
            inflight_slots=8,
        )
        self.segment.hold()
        self.source = self.segment.source
        self.ring = RingWriter(self.segment, wake)
        self._recorder = Recorder(
            self.ring, self.segment.counters, layout, InflightWriter(self.segment)
        )

    def begin(self, path: str = "/items") -> Exchange:
        """Begin an exchange."""
        exchange = self._recorder.begin(time.monotonic_ns(), b"10.0.0.1")
        exchange.route = 0
        exchange.method = b"GET"
        exchange.status = 200
        exchange.request_head = f"GET {path} HTTP/1.1\r\nhost: shop\r\n\r\n".encode()
        exchange.response_head = b"HTTP/1.1 200 OK\r\n\r\n"
        return exchange

    def show(self, exchange: Exchange) -> bytes:
        """Note an exchange as running; return its id."""
        self._recorder.show(exchange, Caller())
        return exchange.id

    def finish(self, exchange: Exchange) -> bytes:
        """Record an exchange; return its id."""
        self._recorder.finish(exchange, time.monotonic_ns())
        return exchange.id

    def record(self, count: int = 1) -> list[bytes]:
        """Record some exchanges; return their ids."""
        return [self.finish(self.begin()) for _ in range(count)]

    def shed(self, count: int) -> None:
        """Let messages pass unrecorded, one of them of gRPC."""
        self._recorder.count_dropped_messages(count - 1)
        self._recorder.count_dropped_messages(1, KIND_GRPC)

    def fill(self) -> int:
        """Push until the ring is full; return how many exchanges it took."""
        taken = 0
        while self.ring.push(1, b"", []):  # an entry nobody can decode
            taken += 1
        return taken

    def die(self) -> None:
        """Give up the lock, as the kernel does for the dead."""
        self.segment.close()


class MortalStore(MemoryStorage):
    """A store whose process can be killed just before or just after any commit."""

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0
        self.dies_at: int | None = None
        """Number of the commit that never returns."""
        self.has_stored_it = False
        """Whether that one is stored nevertheless."""
        self.has_died = asyncio.Event()

    async def commit(self, batch: Batch) -> int:
        """Commit, or die."""
        self.commits += 1
        if self.commits == self.dies_at:
            if self.has_stored_it:
                await super().commit(batch)
            self.has_died.set()
            await asyncio.Event().wait()

        return await super().commit(batch)


PAUSE_S: Final = 0.01
"""Between two looks of the drain while there is traffic."""
NOWHERE: Final = Path(os.devnull, "nowhere")
"""Where nothing can be written: a record that is refused ends the test."""


class Collecting:
    """A collector's pipe: drain, writer and positions."""

    def __init__(
        self,
        directory: Path | None,
        store: MemoryStorage,
        committed: dict[bytes, Position],
        spool: Spool | None = None,
        rules: Sequence[CaptureRuleSettings] = (),
        pause_s: float = PAUSE_S,
    ) -> None:
        """Wire the parts as the collector's root does; with a spool, the queue is full at once."""
        self.store = store
        self.spool = spool
        effective = committed if spool is None else merge(committed, spool.positions, spool.retired)
        self.wakeup = Wakeup.create()
        self.observed: list[Entry] = []
        self.writer = Writer(
            store,
            instance=INSTANCE,
            quarantine_directory=NOWHERE,
            limits=BacklogLimits(
                max_records=3, max_age_s=0.002, queue_max_bytes=64 << 20 if spool is None else 6000
            ),
            spool=None if spool is None else SpoolReplay(spool, committed),
            availability=Availability(jitter=lambda: 0.0),
        )
        self.sources = Sources(directory, effective)
        builder = RecordBuilder(INSTANCE, SETTINGS)
        events = InternalEvents(builder, self.writer, effective)
        self.committed = CommittedPositions(self.sources, self.writer, events, effective)
        observers = [self.observed.extend]
        self.drain = Drain(
            self.sources, builder, self.writer, store, self.committed, events, observers, rules,
            pause_s=pause_s,
        )  # fmt: skip
        self.sources.subscribe(on_found=self.drain.on_found)
        self.writer.subscribe(self.committed, Listener(on_commit=self._on_commit))

    def _on_commit(self, batch: Batch) -> None:
        assert self.ledger().is_balanced, self.ledger()

    def ledger(self) -> Ledger:
        """The accounting, as the admin port shows it."""
        self.sources.find()
        counts = {s.id: s.producer_counts for s in self.sources.attached.values()}
        return balance(self.committed.positions, counts, self.writer.spooled_records)

    async def until(self, is_true: Callable[[], object], timeout_s: float = 60.0) -> None:
        """Wait until something holds; the ledger balances at every look."""
        deadline = time.monotonic() + timeout_s
        while not is_true():
            assert time.monotonic() < deadline, (self.ledger(), self.committed.positions)
            ledger = self.ledger()
            assert ledger.is_balanced, ledger
            await asyncio.sleep(0.002)

    async def until_stored(self, records: int) -> None:
        """Wait until so many records are stored."""
        await self.until(lambda: self.ledger().stored == records)

    async def until_empty(self) -> Ledger:
        """Wait until no ring is attached and all is committed; return the ledger."""
        self.sources.find()
        await self.until(lambda: not self.sources.attached and not self.writer.waiting_records)
        await self.until(
            lambda: set(self.committed.positions) <= {RETIRED_TOTALS, SOURCE_INTERNAL, SOURCE_SPOOL}
        )
        return self.ledger()


@asynccontextmanager
async def collecting(
    directory: Path | None,
    store: MemoryStorage,
    *,
    is_draining: bool = True,
    spool_directory: Path | None = None,
    rules: Sequence[CaptureRuleSettings] = (),
    pause_s: float = PAUSE_S,
) -> AsyncIterator[Collecting]:
    """Run a collector; leaving is its sudden death: what it had not committed is forgotten.

    Without `is_draining` only the writer runs, and the test takes the drain's steps itself.
    """
    committed = await store.positions(INSTANCE)
    spool = None
    if spool_directory is not None:
        spool = Spool(spool_directory, 64 << 20)
        spool.load(committed.get(SOURCE_SPOOL, Position()))
    plane = Collecting(directory, store, committed, spool, rules, pause_s)
    try:
        plane.sources.find()
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(plane.writer.run(), name="writer")]
            if is_draining:
                running.append(tasks.create_task(plane.drain.run(plane.wakeup), name="drain"))
            try:
                yield plane
            finally:
                for task in running:
                    task.cancel()
    finally:
        plane.sources.close()
        plane.wakeup.close()
        if spool is not None:
            spool.close()


async def rows(store: MemoryStorage) -> list[Record]:
    """Everything a store holds, oldest first."""
    page = await store.read(RecordQuery(filter=Filter(kind="all"), order="asc", limit=100_000))
    return page.records
