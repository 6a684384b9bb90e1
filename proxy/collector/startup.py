"""The start of a collector: with its store, or offline while the store is away, to be reconciled
later.

The store gets a moment to open. If it does not, everything else starts from the positions saved
with the spool: rings are drained into the spool, the admin port answers, and operations that need
the store fail as unavailable. Once the store opens, its positions are compared with the assumed
ones at one point between two slices of the drain; only then may others use the store.

Invariant: nothing is committed before the positions in the store are known.
"""

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from api.access.snapshot_cursor import SnapshotCursors
from api.stream.tail import Tail
from proxy.collector.committed import CommittedPositions
from proxy.collector.internal_events import InternalEvents
from proxy.collector.rings.drain import Drain
from proxy.collector.tail_offset import read_secret, start_tail
from proxy.enrich.jobs.known import MAX_JOBS
from proxy.enrich.records import RecordBuilder
from proxy.process.data_dir import DataDir, read_state, update_state
from proxy.settings.model import Settings
from storage.backends import DAMAGED, open_storage
from storage.base import Storage
from storage.errors import StorageDamaged, StorageUnavailable
from storage.ledger import RETIRED_TOTALS, SOURCE_SPOOL, is_ahead, merge, with_dropped
from storage.query import Filter, RecordQuery
from storage.record import Batch, Job, Position, Record, ToolCall, now_us
from storage.search.expression import Has
from storage.writer.deferred import RETRY_S, DeferredStorage
from storage.writer.spool import SUFFIX, Spool
from storage.writer.spool_replay import positions_file
from storage.writer.writer import Writer

log = logging.getLogger(__name__)

HOLDER: Final = "holder"
"""Key of the holder's id in the state file of the data directory."""
SPOOL_DIRECTORY: Final = "spool"
"""Name of the spool's folder in the data directory."""
FIRST_ATTEMPT_S: Final = 5.0
"""Time that the start waits for the store to open or be refused, before it continues offline. Rings
hold new records meanwhile. A record made without the store does not know which conversation it
continues.
"""
ANSWER_S: Final = 5.0
"""Time that an open store may take to return its positions before the start continues offline."""
LATE_ANSWER_S: Final = 60.0
"""Time for the same read once nothing waits for it. A store with several writers waits for one that
was killed: longer than `ANSWER_S`, and anew at each query.
"""

RECALLED_CALLS: Final = 5000
"""Number of LLM calls that are read at the start, which takes about 50 ms. A call that continues an
older one begins a new conversation.
"""


Notices = list[Callable[[InternalEvents], None]]


@dataclass(frozen=True, slots=True)
class Recalled:
    """Calls, jobs and conversations that new records may continue, read when the store opens."""

    waiting: list[ToolCall]
    """Tool calls that awaited their answer when the last collector ended."""
    jobs: list[Job]
    """The newest jobs."""
    calls: list[Record]
    """The newest LLM calls, oldest first."""


@dataclass(slots=True)
class StartState:
    """State from which a collector starts."""

    deferred: DeferredStorage
    committed: dict[bytes, Position]
    """Positions as in the store, or as last known."""
    spool: Spool | None
    tail: Tail
    fanout: SnapshotCursors | None
    notices: Notices
    """What was found wrong with the store, to be reported once there can be events."""
    offline_since: int | None = None
    """Time of a start without the store, Unix µs; None after a start with it."""
    recalled: Recalled | None = None
    """None until the store is there."""

    @property
    def effective(self) -> dict[bytes, Position]:
        spool = self.spool
        if spool is None:
            return self.committed
        return merge(self.committed, spool.positions, spool.retired)

    def report(self, events: InternalEvents) -> None:
        """Add the events of all notices so far."""
        while self.notices:
            self.notices.pop(0)(events)

    def recall(self, builder: RecordBuilder) -> None:
        """Give the builder the stored calls, jobs and conversations, once the store is there."""
        if self.recalled is not None:
            builder.await_answers(self.recalled.waiting)
            builder.know_jobs(self.recalled.jobs)
            builder.recall_conversations(self.recalled.calls)


@asynccontextmanager
async def started(settings: Settings, data: DataDir) -> AsyncIterator[StartState]:
    """Start with the store or offline, in which case opening continues in the background. On exit
    the store is closed.

    Raises:
        StorageMisconfigured: its address can never work. In an exception group.
    """
    notices: Notices = []
    holder = _holder(data.path)

    async def open_store() -> Storage:
        return await open_storage(
            settings.storage.url,
            data.path,
            durability=settings.storage.durability,
            instance=data.instance,
            holder=holder,
            max_bytes=settings.retention.max_bytes,
            on_set_aside=partial(_note_set_aside, notices),
        )

    deferred = DeferredStorage(open_store, RETRY_S)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(deferred.open(), name="opening"),
                tasks.create_task(deferred.watch(), name="store in place"),
            ]
            try:
                yield await _start(settings, data, deferred, notices)
            finally:
                for task in running:
                    task.cancel()
    finally:
        await deferred.close()


def _note_set_aside(notices: Notices, place: str, reason: str) -> None:
    """Report that a damaged store was renamed, and that an empty one takes its place."""
    log.error(
        "the store is damaged and was set aside, an empty one takes its place; `sidelog "
        "doctor` says how to rescue what is in it",
        extra={"place": place, "reason": reason},
    )
    data: dict[str, object] = {"place": place, "reason": reason, "count": None}
    notices.append(lambda events: events.add_event("store_set_aside", data))


def _holder(data_dir: Path) -> str:
    """Return the id that distinguishes this sidecar from others with the same name. A copied data
    directory gets an id of its own.
    """
    kept = read_state(data_dir).get(HOLDER)
    if not (isinstance(kept, str) and kept):
        kept = secrets.token_hex(16)
        try:
            update_state(data_dir, **{HOLDER: kept})
        except OSError as error:
            log.warning(
                "cannot save who holds this sidecar's name; the next start must wait: %s",
                error.strerror,
            )

    try:
        return f"{kept}-{data_dir.stat().st_ino}"
    except OSError:  # a disk that is gone for the moment
        return kept


async def _start(
    settings: Settings, data: DataDir, deferred: DeferredStorage, notices: Notices
) -> StartState:
    if await deferred.first_attempt(FIRST_ATTEMPT_S):
        tail = Tail(deferred.storage, is_begun=False)
        answer = await _read_store(settings, data, deferred, tail, notices, ANSWER_S)
        if answer is not None:
            deferred.enable()
            spool = load_spool(settings, data.path, answer.positions)
            fanout = _fanout(answer.secret)
            return StartState(
                deferred,
                answer.positions,
                spool,
                tail,
                fanout,
                notices,
                recalled=answer.recalled,
            )

    return _start_offline(settings, data, deferred, notices)


def _start_offline(
    settings: Settings, data: DataDir, deferred: DeferredStorage, notices: Notices
) -> StartState:
    offline_since = now_us()
    last_known = positions_file(data.path / SPOOL_DIRECTORY).value
    committed = last_known or {}

    spool = load_spool(settings, data.path, committed)
    if spool is not None and last_known is None:
        # The name of this sidecar may be older than its directory: its position in the store is
        # somewhere else.
        spool.start_at(offline_since)

    tail = Tail(deferred.storage, is_begun=False)
    fanout = _fanout(b"")
    return StartState(deferred, committed, spool, tail, fanout, notices, offline_since)


def load_spool(
    settings: Settings, data_dir: Path, committed: Mapping[bytes, Position]
) -> Spool | None:
    """Read the spool's frames that the store lacks; None with durability `fast`, which does not
    spool.

    A spool left by an earlier run with `safe` is read too, because its records are not stored yet.
    """
    directory = data_dir / SPOOL_DIRECTORY
    if settings.storage.durability != "safe" and not any(directory.glob("*" + SUFFIX)):
        return None
    spool = Spool(directory, settings.spool.max_bytes)
    spool.load(committed.get(SOURCE_SPOOL, Position()))
    return spool


def _fanout(secret: bytes) -> SnapshotCursors | None:
    if has_fanout(os.environ):
        return SnapshotCursors(secret=secret)
    return None


def has_fanout(environ: Mapping[str, str]) -> bool:
    """Whether `LOGS_ADMIN_FANOUT` is set, as the original proxy logs API calls it: admins then get
    cursors over all tenants.
    """
    return environ.get("LOGS_ADMIN_FANOUT", "").lower() in ("true", "1", "yes")


@dataclass(frozen=True, slots=True)
class _StoreState:
    """The parts of a store's state that the start needs."""

    positions: dict[bytes, Position]
    secret: bytes
    recalled: Recalled


async def _read_store(
    settings: Settings,
    data: DataDir,
    deferred: DeferredStorage,
    tail: Tail,
    notices: Notices,
    timeout_s: float,
) -> _StoreState | None:
    """Read the state that the start needs, and start the tail; return None while the store is away."""
    storage = await deferred.opened()
    try:
        async with asyncio.timeout(timeout_s):
            await start_tail(tail, storage, data.path)
            if has_fanout(os.environ):
                secret = await read_secret(storage)
            else:
                secret = b""
            recalled = await _recall(data.instance, storage)
            positions = await _positions(data, storage, notices)
            return _StoreState(positions, secret, recalled)
    except (StorageUnavailable, TimeoutError) as error:
        log.error(
            "the store is open, but the first query failed: %s",
            str(error) or f"no answer in {timeout_s:g} s",
        )

    return None


async def _recall(instance: str, storage: Storage) -> Recalled:
    """Read the calls, jobs and conversations that new records may continue; a damaged store gives
    none.
    """
    try:
        waiting = await storage.waiting_calls(instance)
        jobs = await storage.jobs(MAX_JOBS)
        calls = await storage.read(
            RecordQuery(filter=Filter(where=Has("provider")), limit=RECALLED_CALLS)
        )
    except StorageDamaged as error:
        log.error(
            "cannot read open conversations, calls and jobs; new ones will be started: %s", error
        )
        return Recalled([], [], [])

    return Recalled(waiting, jobs, calls.records[::-1])


async def _positions(data: DataDir, storage: Storage, notices: Notices) -> dict[bytes, Position]:
    """Read the positions. An empty store, which replaces one that was set aside, is given the last
    known positions.
    """
    stored = await storage.positions(data.instance)
    known = positions_file(data.path / SPOOL_DIRECTORY).value
    if (
        stored
        or not known
        or await storage.last_seq()
        or not any(data.path.glob(f"**/*{DAMAGED}*"))
    ):
        return await _go_on(data, storage, stored, known or {}, notices)

    await storage.commit(Batch(data.instance, [], known))
    return known


async def _go_on(
    data: DataDir,
    storage: Storage,
    stored: dict[bytes, Position],
    known: Mapping[bytes, Position],
    notices: Notices,
) -> dict[bytes, Position]:
    """Continue with the current rings and spool although the store has fewer records: it is a
    backup, another store, or empty.

    Records committed since then are missing from such a store. Those of rings that are still open
    are counted and reported; positions in the spool would count them as stored.
    """
    moved: dict[bytes, Position] = {}
    missing = 0
    for source, position in known.items():
        before = stored.get(source, Position())
        if not position.closed and is_ahead(position, before):
            moved[source] = position
            missing += position.stored - before.stored

    noted = known.get(SOURCE_SPOOL, Position())
    spool = stored.get(SOURCE_SPOOL, Position(closed=True))
    if (noted.taken, noted.offset) > (spool.taken, spool.offset):
        spool = msgspec.structs.replace(spool, offset=noted.offset, taken=noted.taken)
        moved[SOURCE_SPOOL] = spool

    if not moved:
        return stored

    log.warning(
        "the store was restored or replaced; going on without %d records that it lacks", missing
    )
    if missing:
        past = stored.get(RETIRED_TOTALS, Position(closed=True))
        dropped = with_dropped(past.dropped, "other_store", missing)
        moved[RETIRED_TOTALS] = msgspec.structs.replace(
            past, stored=past.stored - missing, dropped=dropped
        )
    await storage.commit(Batch(data.instance, [], moved))
    if missing:
        notices.append(lambda events: events.add_gap("other_store", missing))
    return {**stored, **moved}


async def reconcile(
    settings: Settings,
    data: DataDir,
    state: StartState,
    writer: Writer,
    drain: Drain,
    committed: CommittedPositions,
    on_known: Callable[[], None],
) -> None:
    """Wait for the store after an offline start, reconcile positions, and enable the store for all
    users.

    `on_known` is called before that, and before anything is committed.
    """
    deferred = state.deferred
    await deferred.opened()
    deferred.reason = "connected; reading this sidecar's positions"

    answer = None
    while answer is None:
        answer = await _read_store(
            settings, data, deferred, state.tail, state.notices, LATE_ANSWER_S
        )
        if answer is None:
            await asyncio.sleep(RETRY_S)

    stored = answer.positions
    state.recalled = answer.recalled
    if state.fanout is not None:
        state.fanout.secret = answer.secret
    is_reconciled = asyncio.Event()

    def apply() -> None:
        writer.reconcile(stored)
        state.committed = stored
        committed.reconcile(state.effective)
        on_known()
        deferred.enable()
        is_reconciled.set()

    drain.reconcile(apply)
    await is_reconciled.wait()
